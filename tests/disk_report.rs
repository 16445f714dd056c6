//! What an agent said, on a disk that has no space for it when its worker writes the end down.

mod common;
mod fault_kit;

use std::os::unix::fs::PermissionsExt as _;

use common::{World, scratch};
use fault_kit::{Fault, assert_sound, can_trace, worker_of};
use serde_json::{Value, json};

/// An agent that waits for the gate and runs into a limit whose end it says.
const LIMITED: &str = r#"#!/bin/sh
echo "begin"
while ! test -e GATE; do sleep 0.05; done
echo '{"type":"error","message":"limit, again in 3600 s"}'
exit 1
"#;
const SCRIPTED: &str = r#"
name = "scripted"
program = "PROGRAM"
start = ["--", "{prompt}"]
[[events]]
when = { "/type" = "done" }
means = "success"
[[events]]
when = { "/type" = "error" }
means = "error"
text = "/message"
[[errors]]
pattern = "limit"
means = "five_hour"
until = 'in (?<seconds>\d+) s'
"#;

/// There is no space for what the agent said, then there is for how it ended: neither is written without the other.
#[test]
fn what_an_agent_said_is_written_again_with_its_end() {
    if !can_trace("a report that cannot be written") {
        return;
    }
    let gate = scratch("report-enospc");
    let kept = tempfile::tempdir().unwrap();
    let program = kept.path().join("agent.sh");
    std::fs::write(&program, LIMITED.replace("GATE", gate.to_str().unwrap())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = kept.path().join("scripted.toml");
    let text = SCRIPTED.replace("PROGRAM", program.to_str().unwrap());
    std::fs::write(&file, text).unwrap();
    // Its proofs of life come so seldom that none of them is among the writes that fail.
    let mut world = World::new(&format!(
        "agent_files = [{file:?}]\nheartbeat_seconds = 60\nheartbeat_timeout_seconds = 300"
    ));
    world.start();
    let id = world.submit_with(json!({
        "name": "n",
        "prompt": {"text": "do it", "agent": "scripted"},
        "cwd": kept.path(),
        "env": {"PATH": std::env::var("PATH").unwrap()},
    }));
    let worker = worker_of(&world, &id);
    world.wait_for("its agent runs", |world| {
        (world.task(&id)["started_at"] != Value::Null).then_some(())
    });
    let fault = Fault::attach(
        worker,
        &[
            "-e",
            "trace=pwrite64",
            "-e",
            "inject=pwrite64:error=ENOSPC:when=1..2",
        ],
    );
    std::fs::write(&gate, "").unwrap();
    world.wait_state(&id, "waiting_unban");
    fault.end();
    let accounts = world.ask("GET", "/accounts", None);
    assert_ne!(accounts[0]["holds"][0]["until"], Value::Null, "{accounts}");
    std::fs::remove_file(&gate).unwrap();
    assert!(world.stop_daemon().success());
    assert_sound(&world);
}
