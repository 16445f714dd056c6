#!/usr/bin/env bash
# `make test`: installs what the tests need, then checks the tree, runs all tests that prove a promise, and says what was
# skipped and why. The last line is `N passed, N failed`.
#   TEST_LIMIT_S=1200   time for checks and tests, counted after the installation of the tools
source "$(dirname "$0")/lib.sh"
need_cargo
: >"$SKIPS_FILE"
scripts/install-tools.sh test

STARTED_S=$SECONDS
LIMIT_S=${TEST_LIMIT_S:-1200}
JUNIT=target/nextest/default/junit.xml
DOC_LOG=target/doc-tests.log
TEST_LOG=target/tests.log
mkdir -p target
rm -f "$JUNIT" "$DOC_LOG" "$TEST_LOG"

step "checks" env LIMIT_S="$(seconds_left "$LIMIT_S")" scripts/check.sh

# A pipe would hide the exit status from `step`; a function could not be run by `timeout`.
run_nextest='cargo nextest run --locked --features crashpoints,sim --no-tests=pass'
run_cargo_test='set -o pipefail; cargo test --locked --features crashpoints,sim --no-fail-fast --lib --bins --tests -- --nocapture 2>&1 | tee '$TEST_LOG
if have cargo-nextest; then
    step "tests" bash -c "exec $run_nextest"
else
    skipped "time limits per test" "cargo-nextest is not installed; cargo test has none"
    step "tests" bash -c "$run_cargo_test"
    { grep -oE 'SKIPPED: .*' "$TEST_LOG" || true; } | sort -u >>"$SKIPS_FILE"
fi
step "doc tests" bash -c "set -o pipefail; cargo test --locked --features crashpoints,sim --doc 2>&1 | tee $DOC_LOG"
scripts/skips.sh "$JUNIT" >>"$SKIPS_FILE"

# count WORD FILE…: the sum of the numbers before a word in cargo's result lines.
count() {
    local word=$1
    shift
    { grep -hE "^test result:" "$@" 2>/dev/null | grep -oE "[0-9]+ $word" || true; } | awk '{ n += $1 } END { print n + 0 }'
}
results=("$DOC_LOG")
[ -f "$TEST_LOG" ] && results+=("$TEST_LOG")
passed=$(($(junit_passed "$JUNIT") + $(count passed "${results[@]}")))
failed=$(($(junit_failed "$JUNIT") + $(count failed "${results[@]}")))
ignored=$({ grep -rhoE '^ *#\[ignore' src tests 2>/dev/null || true; } | wc -l)

say "summary after $((SECONDS - STARTED_S)) s (limit $LIMIT_S s)"
show_skips
[ "$ignored" = 0 ] || echo "Left to make test-machine and make soak: $ignored tests marked #[ignore]."
[ ${#FAILED_STEPS[@]} = 0 ] || printf 'FAILED: %s\n' "${FAILED_STEPS[@]}"
echo "$passed passed, $failed failed"
[ ${#FAILED_STEPS[@]} = 0 ] && [ "$failed" = 0 ]
