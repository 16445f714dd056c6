#!/usr/bin/env bash
# `make run`: supervises one real task in the foreground, to its end, with an embedded store.
#   TASK='shell line'   instead of the demonstration      STATE_DIR=…   where tasks and output are kept
source "$(dirname "$0")/lib.sh"

# Five seconds of visible work: it says what each part of the task's world is for.
# shellcheck disable=SC2016 # the task's own shell expands it
DEMO='echo "task $AUTO_CLAUDE_TASK_ID, attempt $AUTO_CLAUDE_ATTEMPT, in $(pwd)"
for step in 1 2 3 4 5; do
    echo "step $step of 5 at $(date +%T)"
    sleep 1
done
echo "done: this output is kept with the task"'

state_dir=${STATE_DIR:-$ROOT/target/demo-state}
# A Unix socket's path holds 107 bytes: a deep tree has no room for one.
if [ ${#state_dir} -gt 80 ]; then
    state_dir=${XDG_RUNTIME_DIR:-/tmp}/auto-claude-demo-$(id -u)
    echo "The tree's path is too long for a socket; state goes to $state_dir"
fi
(umask 077 && mkdir -p "$state_dir")

echo "State directory: $state_dir"
echo "Look around meanwhile:  target/release/taskctl --state-dir $state_dir task list"
echo "Afterwards start its daemon first:  target/release/auto-claude serve --state-dir $state_dir"
echo
exec target/release/auto-claude run --state-dir "$state_dir" -- /bin/sh -c "${TASK:-$DEMO}"
