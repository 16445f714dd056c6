//! Agents that a file describes, under the real daemon: a prompt that no argument can hold, and one that tries a failed
//! request for ever.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, and says where"
)]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use common::World;
use serde_json::{Value, json};

/// What describes it; its program is a script of the test's.
const DESCRIPTION: &str = r#"
name = "scripted"
program = "PROGRAM"
start = ["--", "{prompt}"]
prompt_by_input = "-"
idle_seconds = 2
[[events]]
when = { "/type" = "turn" }
means = "turn"
served = true
[[events]]
when = { "/type" = "done" }
means = "success"
[[events]]
when = { "/type" = "error" }
means = "retry"
text = "/message"
[[errors]]
pattern = "waiting for network"
means = "network"
[[stderr]]
pattern = "status 429"
means = "throttle"
"#;

/// A daemon that knows the agent whose program is this script.
fn world(dir: &Path, script: &str, settings: &str) -> World {
    let program = dir.join("agent.sh");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = dir.join("scripted.toml");
    let text = DESCRIPTION.replace("PROGRAM", program.to_str().unwrap());
    std::fs::write(&file, text).unwrap();
    let mut world = World::new(&format!("agent_files = [{file:?}]\n{settings}"));
    world.start();
    world
}

fn task(dir: &Path, prompt: &str) -> Value {
    json!({
        "name": "scripted",
        "prompt": {"text": prompt, "agent": "scripted"},
        "cwd": dir,
        "env": {"PATH": std::env::var("PATH").unwrap()},
    })
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    (dir, path)
}

#[test]
fn a_prompt_longer_than_an_argument_comes_on_standard_input_to_its_end() {
    let (_kept, dir) = scratch();
    let script = r#"printf '%s' "$2" > argument; cat > input; echo '{"type":"done"}'"#;
    let world = world(&dir, script, "");
    let longest = "x".repeat(1024 * 1024);
    for (prompt, argument, input) in [
        ("short", "short", ""),
        ("-short", "-short", ""),
        (longest.as_str(), "-", longest.as_str()),
    ] {
        let id = world.submit_with(task(&dir, prompt));
        let done = world.wait_final(&id);
        assert_eq!(done["state"], "completed", "{done}\n{}", world.story());
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
        assert_eq!(read("argument"), argument);
        assert!(read("input") == input, "{} bytes", read("input").len());
    }
    // One byte more is refused, and so is a prompt that is too long for an agent that reads none.
    let too_long = format!("{longest}x");
    let (status, body) = world
        .request("POST", "/tasks", Some(&task(&dir, &too_long)))
        .unwrap();
    assert_eq!(status, 400, "{body}");
    let message = body["message"].as_str().unwrap();
    assert!(
        message.contains("1048577") && message.contains("1048576"),
        "{message}"
    );
    let mut other = task(&dir, &longest);
    other["prompt"]["agent"] = json!("qwen");
    let (status, body) = world.request("POST", "/tasks", Some(&other)).unwrap();
    assert_eq!(status, 400, "{body}");
    let message = body["message"].as_str().unwrap();
    assert!(message.contains("as an argument only"), "{message}");
}

#[test]
fn an_agent_that_tries_for_ever_is_ended_and_its_account_held() {
    let (_kept, dir) = scratch();
    let script = r#"echo '{"type":"turn"}'
        while [ ! -e network ]; do
            echo '{"type":"error","message":"Reconnecting... waiting for network"}'; sleep 0.1
        done
        echo '{"type":"done"}'"#;
    let world = world(&dir, script, "agent_trying_seconds = 1\nmax_retries = 0\n");
    let id = world.submit_with(task(&dir, "go"));
    let waits = world.wait_state(&id, "waiting_unban");
    assert_eq!(
        (&waits["outcome"]["kind"], &waits["retries"]),
        (&json!("limited"), &json!(0)),
        "{waits}"
    );
    let accounts = world.ask("GET", "/accounts", None);
    assert_eq!(accounts[0]["holds"][0]["kind"], "network", "{accounts}");
    std::fs::write(dir.join("network"), "").unwrap();
    let cleared = world.taskctl(&["limits", "clear", "default", "--agent", "scripted"]);
    assert!(cleared.status.success(), "{cleared:?}");
    let done = world.wait_final(&id);
    assert_eq!(done["state"], "completed", "{done}\n{}", world.story());
}

#[test]
fn an_agent_that_tries_in_silence_is_ended_by_its_descriptions_idle_time() {
    let (_kept, dir) = scratch();
    let script = r#"[ -e served ] || { echo 'Attempt 1 failed with status 429' >&2; exec sleep 600; }
        echo '{"type":"done"}'"#;
    let world = world(&dir, script, "max_retries = 0\n");
    let id = world.submit_with(task(&dir, "go"));
    let waits = world.wait_state(&id, "waiting_unban");
    assert_eq!(
        (&waits["outcome"]["kind"], &waits["retries"]),
        (&json!("limited"), &json!(0)),
        "{waits}"
    );
    let accounts = world.ask("GET", "/accounts", None);
    assert_eq!(accounts[0]["holds"][0]["kind"], "throttle", "{accounts}");
    let cleared = world.taskctl(&["limits", "clear", "default", "--agent", "scripted"]);
    assert!(cleared.status.success(), "{cleared:?}");
    std::fs::write(dir.join("served"), "").unwrap();
    let done = world.wait_final(&id);
    assert_eq!(done["state"], "completed", "{done}\n{}", world.story());
}
