//! Numbers of processes that are given again.

use std::process::{Command, Stdio};

use crate::RESTARTS;
use crate::common::{self, World, is_root};

/// In a pid namespace the number of a dead worker is given to a stranger; the next daemon leaves that one alone.
#[test]
fn a_number_given_again_is_not_taken_for_the_worker() {
    if !is_root("pid reuse in a pid namespace") {
        return;
    }
    if !Command::new("unshare")
        .args([
            "-fp",
            "--mount-proc",
            "test",
            "-w",
            "/proc/sys/kernel/ns_last_pid",
        ])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
    {
        println!("SKIPPED: pid reuse: no pid namespace, or its last pid cannot be set");
        return;
    }
    let world = World::new(RESTARTS);
    let script = world.dir().join("reuse.sh");
    std::fs::write(&script, REUSE).unwrap();
    let done = Command::new("unshare")
        .args(["-fp", "--mount-proc", "/bin/sh"])
        .args([script.as_path(), world.dir()])
        .env("AC", common::AUTO_CLAUDE)
        .env("TC", common::TASKCTL)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(done.status.success(), "{said}\n{}", world.story());
    assert!(said.contains("the stranger lives"), "{said}");
}

const REUSE: &str = r#"
set -eu
D=$1
wait_for() { n=0; until eval "$1"; do n=$((n + 1)); test $n -lt 600 || { echo "in vain: $1"; exit 1; }; sleep 0.05; done; }
"$AC" serve --state-dir "$D" >>"$D/daemon.out" 2>&1 & daemon=$!
wait_for '"$TC" --state-dir "$D" system status >/dev/null 2>&1'
"$TC" --state-dir "$D" task create reuse 'test $AUTO_CLAUDE_ATTEMPT -gt 1 && exit 5; sleep 30000' >/dev/null
wait_for '"$TC" --state-dir "$D" --json worker list | grep -q "\"agent_pid\": *[0-9]"'
worker=$("$TC" --state-dir "$D" --json worker list | grep -o '"worker_pid": *[0-9]*' | grep -o '[0-9]*$')
kill -KILL $daemon; wait $daemon 2>/dev/null || true
kill -KILL $worker
wait_for '! test -e /proc/$worker || grep -q "^State:.Z" /proc/$worker/status'
wait_for '! test -e /proc/$worker'
echo $((worker - 1)) >/proc/sys/kernel/ns_last_pid
sleep 20000 & stranger=$!
test $stranger = $worker || { echo "the number was not given again: $stranger, not $worker"; exit 1; }
"$AC" serve --state-dir "$D" >>"$D/daemon.out" 2>&1 & daemon=$!
wait_for '"$TC" --state-dir "$D" --json task list 2>/dev/null | grep -q "\"state\": *\"failed\""'
"$TC" --state-dir "$D" --json task list | grep -q '"exit_code": *5' || { echo 'not run again'; exit 1; }
kill -0 $stranger && grep -q '^State:.S' /proc/$stranger/status && echo 'the stranger lives'
"#;
