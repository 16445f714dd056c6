//! The wall clock jumps while no daemon runs: no decision is for the worse. What runs goes on, what waits for a time waits
//! for it and not longer than was asked, and what was lost too often stays with a person.
//!
//! The daemon is started under libfaketime, which moves the wall clock and leaves the monotonic one. Its own timer is the
//! kernel's and does not move along, so each test looks at what a start decides. The library is preloaded: that moves the
//! clock of the tests' own build, which is linked dynamically, and has no effect on the release build, which is not; so each
//! start asks the daemon for its clock, and fails where it has not moved.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::path::{Path, PathBuf};

use auto_claude::task::Timestamp;
use common::{World, marked, scratch, signal};
use serde_json::{Value, json};

/// The library that moves the clock; `None` (with the reason printed) where there is none.
fn library(what: &str) -> Option<PathBuf> {
    let places = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/lib",
    ];
    let found = places
        .iter()
        .map(|place| Path::new(place).join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists());
    if found.is_none() {
        println!("SKIPPED: {what}: libfaketime is not installed");
    }
    found
}

/// Stops the daemon and starts the next one with the clock moved by so many minutes; fails where the move has no effect.
fn restart_at(world: &mut World, library: &Path, minutes: i64) {
    assert!(world.stop_daemon().success());
    world.set_env("LD_PRELOAD", library.to_str().unwrap());
    world.set_env("FAKETIME", &format!("{minutes:+}m"));
    world.set_env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    world.start();
    assert_started_at(world, minutes);
}

/// The daemon's clock, as it was at its start, is so many minutes ahead of ours (give or take what a busy machine needs).
fn assert_started_at(world: &World, minutes: i64) {
    const SLACK_MS: i64 = 4 * 60_000;
    let status = world.ask("GET", "/status", None);
    let started: Timestamp = serde_json::from_value(status["started_at"].clone()).unwrap();
    let off_ms = moved(minutes).ms_since(started);
    assert!(
        (-SLACK_MS..SLACK_MS).contains(&off_ms),
        "the daemon's clock is {off_ms} ms off: is it linked statically, so that nothing can be preloaded?"
    );
}

/// Stops the daemon and starts the next one with the true clock.
fn restart_in_time(world: &mut World) {
    assert!(world.stop_daemon().success());
    for name in ["LD_PRELOAD", "FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC"] {
        world.unset_env(name);
    }
    world.start();
    assert_started_at(world, 0);
}

/// The time so many minutes from now, as the API takes it.
fn in_minutes(minutes: i64) -> String {
    moved(minutes).to_string()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time that the daemon is told"
)]
fn moved(minutes: i64) -> Timestamp {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Timestamp::from_ms(i64::try_from(now.as_millis()).unwrap()).plus_ms(minutes * 60_000)
}

fn running(world: &World, gate: &Path) -> String {
    let line = format!(
        "echo begin; while ! test -e {}; do sleep 0.05; done; exit 6",
        gate.display()
    );
    let id = world.submit_with(json!({"name": "running", "command": line, "timeout_seconds": 600, "idle_timeout_seconds": 600}));
    world.wait_for("it has begun", |world| {
        world.output(&id).contains("begin").then_some(())
    });
    id
}

#[test]
fn a_jump_ahead_brings_what_is_due_and_ends_nothing() {
    let Some(library) = library("the clock jumps ahead") else {
        return;
    };
    let gate = scratch("clock-ahead");
    let mut world = World::new("heartbeat_seconds = 1\nheartbeat_timeout_seconds = 3");
    world.start();
    let runs = running(&world, &gate);
    let soon = world.submit_with(json!({"name": "soon", "command": "true", "at": in_minutes(60)}));
    let later =
        world.submit_with(json!({"name": "later", "command": "true", "at": in_minutes(600)}));
    restart_at(&mut world, &library, 120);
    assert_eq!(world.wait_final(&soon)["state"], "completed");
    assert_eq!(world.task(&later)["state"], "pending");
    // Two hours by the wall clock are no time-out, no idle time and no old proof of life.
    assert_eq!(world.task(&runs)["state"], "processing");
    restart_in_time(&mut world);
    assert_eq!(
        world.task(&soon)["state"],
        "completed",
        "what was done is not done again"
    );
    assert_eq!(world.task(&later)["state"], "pending");
    std::fs::write(&gate, "").unwrap();
    let task = world.wait_final(&runs);
    assert_eq!(
        (&task["outcome"]["exit_code"], &task["attempt"]),
        (&json!(6), &json!(1))
    );
    std::fs::remove_file(&gate).unwrap();
}

#[test]
fn a_jump_back_makes_no_retry_wait_longer_than_the_longest_backoff() {
    let Some(library) = library("the clock jumps back") else {
        return;
    };
    let gate = scratch("clock-back");
    let mut world =
        World::new("retry_base_seconds = 3600\nretry_max_seconds = 7200\nrestart_max = 10");
    world.start();
    let runs = running(&world, &gate);
    let wish = in_minutes(600);
    let asked = world.submit_with(json!({"name": "asked", "command": "true", "at": wish}));
    let failing =
        json!({"name": "retried", "command": "exit 1", "retry_on": ["exit"], "max_retries": 1});
    let retried = world.submit_with(failing.clone());
    // A retry at a time that a person asked for stays at that time.
    let put_off = world.submit_with(failing);
    for id in [&retried, &put_off] {
        world.wait_state(id, "retrying");
    }
    let edit = json!({"action": "edit", "ids": [put_off], "patch": {"at": wish}});
    let answer = world.ask("POST", "/tasks/actions", Some(&edit));
    assert_eq!(answer[0]["error"], Value::Null, "{answer}");
    restart_at(&mut world, &library, -3 * 24 * 60);
    assert_eq!(
        world.wait_final(&retried)["attempt"],
        2,
        "three days and an hour are no backoff"
    );
    for id in [&asked, &put_off] {
        assert_eq!(world.task(id)["not_before"], wish);
    }
    assert_eq!(
        (
            &world.task(&asked)["attempt"],
            &world.task(&put_off)["attempt"]
        ),
        (&json!(0), &json!(1))
    );
    assert_eq!(world.task(&runs)["state"], "processing");
    let fresh = world.submit("fresh", "true");
    assert_eq!(
        world.wait_final(&fresh)["state"],
        "completed",
        "new work is taken and done"
    );
    restart_in_time(&mut world);
    std::fs::write(&gate, "").unwrap();
    let task = world.wait_final(&runs);
    assert_eq!(
        (&task["outcome"]["exit_code"], &task["attempt"]),
        (&json!(6), &json!(1))
    );
    std::fs::remove_file(&gate).unwrap();
}

#[test]
fn what_was_lost_too_often_goes_to_a_person_though_the_clock_went_back() {
    let Some(library) = library("losses counted over a jump of the clock") else {
        return;
    };
    let mut world = World::new("retry_base_seconds = 1\nretry_max_seconds = 1\nrestart_max = 2");
    world.start();
    let id = world
        .submit_with(json!({"name": "n", "command": "echo begin; sleep 600", "if_lost": "rerun"}));
    for attempt in 1..=2 {
        let name = format!("{id}.{attempt}");
        world.wait_for("the attempt runs", |world| {
            (world.output(&id).matches("begin").count() == attempt).then_some(())
        });
        for pid in world.workers().into_iter().chain(marked(&name)) {
            signal(pid, "KILL");
        }
        if attempt == 1 {
            world.wait_for("the loss is seen", |world| {
                (world.task(&id)["outcome"]["kind"] == "lost").then_some(())
            });
            restart_at(&mut world, &library, -10);
        }
    }
    world.wait_state(&id, "needs_human_review");
}

/// A limit that ends far ahead: nothing starts an hour before, and the probe does when its time has come. What is announced
/// beyond eight days is looked at after eight.
#[test]
fn a_limit_a_day_or_eight_days_ahead_is_waited_out_and_one_of_a_month_is_looked_at_after_eight() {
    const DAY_MINUTES: i64 = 24 * 60;
    let Some(library) = library("a limit far ahead") else {
        return;
    };
    let kept = tempfile::tempdir().unwrap();
    let dir = kept.path();
    let program = dir.join("agent.sh");
    let script = "#!/bin/sh\nif [ -e limit ]; then\n  \
                  echo \"{\\\"type\\\":\\\"error\\\",\\\"message\\\":\\\"limit until $(( $(date +%s) + $(cat limit) ))\\\"}\"\n  \
                  exit 1\nfi\necho '{\"type\":\"done\"}'\n";
    std::fs::write(&program, script).unwrap();
    let mut rights = std::fs::metadata(&program).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut rights, 0o755);
    std::fs::set_permissions(&program, rights).unwrap();
    let file = dir.join("scripted.toml");
    let text = format!(
        "name = \"scripted\"\nprogram = {program:?}\nstart = [\"--\", \"{{prompt}}\"]\n\
         [[events]]\nwhen = {{ \"/type\" = \"done\" }}\nmeans = \"success\"\n\
         [[events]]\nwhen = {{ \"/type\" = \"error\" }}\nmeans = \"error\"\ntext = \"/message\"\n\
         [[errors]]\npattern = \"limit\"\nmeans = \"weekly\"\nuntil = 'until (?<epoch>\\d+)'\n"
    );
    std::fs::write(&file, text).unwrap();
    for (days, looked_at) in [(1, 1), (8, 8), (30, 8)] {
        let mut world = World::new(&format!("agent_files = [{file:?}]\nmax_retries = 0\n"));
        world.start();
        std::fs::write(dir.join("limit"), (days * 86_400).to_string()).unwrap();
        let id = world.submit_with(json!({
            "name": "limited",
            "prompt": {"text": "go", "agent": "scripted"},
            "cwd": dir,
            "env": {"PATH": std::env::var("PATH").unwrap()},
        }));
        world.wait_state(&id, "waiting_unban");
        std::fs::remove_file(dir.join("limit")).unwrap();
        restart_at(&mut world, &library, looked_at * DAY_MINUTES - 60);
        // Claims are looked at, and it is not among them.
        let other = world.submit("other", "true");
        assert_eq!(world.wait_final(&other)["state"], "completed");
        assert_eq!(world.task(&id)["state"], "waiting_unban", "{days} days");
        restart_at(&mut world, &library, looked_at * DAY_MINUTES + 5);
        let done = world.wait_final(&id);
        assert_eq!(
            (&done["state"], &done["attempt"], &done["retries"]),
            (&json!("completed"), &json!(2), &json!(0)),
            "{days} days: {done}"
        );
        assert!(world.stop_daemon().success());
    }
}
