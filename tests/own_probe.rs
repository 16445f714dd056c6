//! A daemon that dies around a probe of its own: nothing of it is left running, nothing is sent twice, nobody is alarmed,
//! and the account goes on. With an agent that a file describes, so that every step can be died at.

#![cfg(feature = "crashpoints")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, and says where"
)]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use auto_claude::task::Timestamp;
use common::{World, marked, signal};
use serde_json::json;

const DESCRIPTION: &str = r#"
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
cost_usd = "/cost"
[[errors]]
pattern = "limit"
means = "five_hour"
until = 'in (?<seconds>\d+) s'
"#;

/// Notes each run by its prompt. Under the limit it is refused, else served, a moment later.
const SCRIPT: &str = r#"#!/bin/sh
echo "$2" >> DIR/runs
if [ -e DIR/limit ]; then
    echo '{"type":"error","message":"limit, again in 3 s","cost":0.05}'
    exit 1
fi
sleep 0.3
echo '{"type":"done"}'
"#;

fn world(dir: &Path, settings: &str) -> World {
    let program = dir.join("agent.sh");
    std::fs::write(&program, SCRIPT.replace("DIR", dir.to_str().unwrap())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = dir.join("scripted.toml");
    let text = DESCRIPTION.replace("PROGRAM", program.to_str().unwrap());
    std::fs::write(&file, text).unwrap();
    World::new(&format!(
        "agent_files = [{file:?}]\nprobe_prompt = \"probe\"\n{settings}"
    ))
}

fn ask(world: &World, dir: &Path, prompt: &str) -> String {
    world.submit_with(json!({
        "name": prompt,
        "prompt": {"text": prompt, "agent": "scripted"},
        "cwd": dir,
        "env": {"PATH": std::env::var("PATH").unwrap()},
    }))
}

#[test]
fn a_daemon_may_die_at_every_step_of_its_own_probe() {
    // Of the second daemon, in which the probe is the first attempt.
    let points = [
        "record.created:1",
        "engine.before_commit:2",
        "engine.after_commit:2",
        "engine.committed:2",
        "launch.before_spawn:1",
        "launch.after_spawn:1",
        "attend.launched:1",
        "engine.before_commit:3",
        "engine.committed:3",
        "record.unlinking:1",
    ];
    for point in points {
        let kept = tempfile::tempdir().unwrap();
        let dir = kept.path();
        let mut world = world(dir, "");
        world.start();
        std::fs::write(dir.join("limit"), "").unwrap();
        let id = ask(&world, dir, "limited");
        world.wait_state(&id, "waiting_unban");
        std::fs::remove_file(dir.join("limit")).unwrap();
        world.act("cancel", &[&id]);
        world.kill_daemon();
        world.set_env("AUTO_CLAUDE_CRASH", point);
        world.spawn();
        world.wait_for_death();
        world.unset_env("AUTO_CLAUDE_CRASH");
        world.start();
        // Whatever became of it: a task that comes now is served, and is the probe where that one told nothing.
        let id = ask(&world, dir, "later");
        let done = world.wait_final(&id);
        assert_eq!(done["state"], "completed", "at {point}: {done}");
        let accounts = world.ask("GET", "/accounts", None);
        assert_eq!(
            (&accounts[0]["holds"], &accounts[0]["probing"]),
            (&json!([]), &json!(false)),
            "at {point}"
        );
        let runs = std::fs::read_to_string(dir.join("runs")).unwrap();
        let probes = runs.lines().filter(|line| *line == "probe").count();
        assert!(probes <= 1, "at {point}: sent {probes} times");
        world.wait_for("no record is left", |world| {
            let records = std::fs::read_dir(world.dir().join("records")).unwrap();
            (records.count() == 0).then_some(())
        });
        for task in std::fs::read_dir(world.dir().join("tasks")).unwrap() {
            let name = task.unwrap().file_name().into_string().unwrap();
            let left = marked(&format!("{name}.1"));
            assert!(left.is_empty(), "at {point}: {left:?} run");
        }
        let status = world.ask("GET", "/status", None);
        assert_eq!(status["attention"], json!([]), "at {point}: {status}");
    }
}

/// How many probes were sent.
fn probes(dir: &Path) -> usize {
    let runs = std::fs::read_to_string(dir.join("runs")).unwrap();
    runs.lines().filter(|line| *line == "probe").count()
}

#[test]
fn a_budget_that_is_used_up_pays_for_no_probe() {
    let kept = tempfile::tempdir().unwrap();
    let dir = kept.path();
    let mut world = world(dir, "budget_day = \"$0.04\"\n");
    world.start();
    std::fs::write(dir.join("limit"), "").unwrap();
    let id = ask(&world, dir, "limited");
    world.wait_state(&id, "waiting_unban");
    std::fs::remove_file(dir.join("limit")).unwrap();
    world.act("cancel", &[&id]);
    world.wait_for("the time of the hold has come", |world| {
        let accounts = world.ask("GET", "/accounts", None);
        let until: Timestamp = accounts[0]["holds"][0]["until"].as_str()?.parse().ok()?;
        (until < auto_claude::supervisor::clock::now()).then_some(())
    });
    // Each of these is a transaction that gives free slots, and looks for probes.
    for _ in 0..3 {
        world.ask("POST", "/system/resume", None);
    }
    assert_eq!(probes(dir), 0, "{}", world.story());
    let config = world.dir().join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("$0.04", "$10")).unwrap();
    signal(world.daemon_pid(), "HUP");
    world.wait_for("the account is open", |world| {
        let accounts = world.ask("GET", "/accounts", None);
        (accounts[0]["holds"] == json!([])).then_some(())
    });
    assert_eq!(probes(dir), 1);
}
