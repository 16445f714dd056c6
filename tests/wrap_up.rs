//! A run that ended shortly before a limit is asked once what remains, after the window has begun anew: not earlier, whoever
//! is started anew meanwhile, and not at a time that cannot have been meant. With a program that speaks as Claude Code does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use auto_claude::supervisor::clock;
use auto_claude::task::Timestamp;
use common::World;
use serde_json::{Value, json};

/// Ends well, at 97 % of a window that begins anew at a time of the file `reset`.
const SCRIPT: &str = r#"#!/bin/sh
echo '{"type":"system","subtype":"init","session_id":"s","model":"claude-opus-5-5","claude_code_version":"2.1.329"}'
echo '{"type":"assistant","session_id":"s","message":{"id":"m","model":"claude-opus-5-5","content":[]}}'
echo "{\"type\":\"rate_limit_event\",\"rate_limit_info\":{\"status\":\"allowed\",\"unifiedWindows\":{\"five_hour\":{\"utilization\":0.97,\"resetsAt\":$(cat DIR/reset)}}}}"
echo '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"Done.","session_id":"s","total_cost_usd":0.01}'
"#;

fn world(dir: &Path) -> World {
    let program = dir.join("claude");
    std::fs::write(&program, SCRIPT.replace("DIR", dir.to_str().unwrap())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut world = World::new(&format!(
        "claude_cli_command = {program:?}\nprobe = \"off\"\n"
    ));
    world.start();
    world
}

/// Asks, with the window's next beginning as the agent tells it.
fn ask(world: &World, dir: &Path, reset: i64) -> String {
    std::fs::write(dir.join("reset"), reset.to_string()).unwrap();
    world.submit_with(json!({
        "name": "n", "cwd": dir, "prompt": {"text": "hi"},
        "env": {"PATH": std::env::var("PATH").unwrap()},
    }))
}

fn now_s() -> i64 {
    clock::now().as_ms() / 1_000
}

#[test]
fn the_wait_for_a_window_outlives_the_daemon() {
    let kept = tempfile::tempdir().unwrap();
    let mut world = world(kept.path());
    let reset = now_s() + 3 * 3_600;
    let id = ask(&world, kept.path(), reset);
    let waits = world.wait_state(&id, "retrying");
    let until: Timestamp = waits["not_before"].as_str().unwrap().parse().unwrap();
    assert_eq!(until.as_ms(), reset * 1_000, "{waits}");
    world.kill_daemon();
    world.start();
    // Its first transaction is over, and with it the look at what waits for too long.
    world.ask("POST", "/system/resume", None);
    let task = world.task(&id);
    let seen = (&task["state"], &task["attempt"], &task["not_before"]);
    assert_eq!(
        seen,
        (&json!("retrying"), &json!(1), &waits["not_before"]),
        "{task}"
    );
}

#[test]
fn a_time_that_cannot_have_been_meant_is_not_waited_for() {
    let kept = tempfile::tempdir().unwrap();
    let world = world(kept.path());
    let now = now_s();
    // Long past; of milliseconds, not seconds; a month ahead; the end of time.
    for reset in [
        now - 99_999,
        (now + 60) * 1_000,
        now + 30 * 86_400,
        253_402_300_799,
    ] {
        let id = ask(&world, kept.path(), reset);
        let done = world.wait_for("it is over, or waits", |world| {
            let task = world.task(&id);
            (!["pending", "processing"].contains(&task["state"].as_str()?)).then_some(task)
        });
        assert_eq!(
            (&done["state"], &done["attempt"]),
            (&json!("completed"), &json!(1)),
            "{reset}: {done}"
        );
        assert_eq!(done["outcome"]["kind"], json!("succeeded"));
        assert_eq!(done["not_before"], Value::Null);
    }
}
