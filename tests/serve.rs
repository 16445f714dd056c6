//! The daemon as its user sees it: start, lock, signals, reload, clean-up, log.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and bound their waits by a clock"
)]
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{AUTO_CLAUDE, TASKCTL, World, alive, signal};
use serde_json::{Value, json};

/// Exit code of a daemon whose state directory another one has.
const IN_USE: i32 = 4;
/// Exit code of a client that finds no daemon.
const NO_DAEMON: i32 = 3;

fn gate(world: &World) -> String {
    format!(
        "echo begun; while ! test -e {}/gate; do sleep 0.05; done; echo over",
        world.dir().display()
    )
}

fn open_gate(world: &World) {
    std::fs::write(world.dir().join("gate"), "").unwrap();
}

fn log(world: &World) -> String {
    std::fs::read_to_string(world.dir().join("logs/auto_claude.log")).unwrap_or_default()
}

#[test]
fn a_second_daemon_waits_five_seconds_and_names_the_first() {
    let mut world = World::new("");
    world.start();
    let begun = Instant::now();
    let second = world.auto_claude("serve", &[]);
    let waited = begun.elapsed();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(IN_USE), "{said}");
    assert!(waited >= Duration::from_secs(5), "{waited:?}");
    let holder = format!(
        "{} is in use by a daemon (auto-claude serve), pid {}",
        world.dir().display(),
        world.daemon_pid()
    );
    assert!(said.contains(&holder), "{said}");
    // The first one is none the worse for it.
    let id = world.submit("n", "true");
    assert_eq!(world.wait_final(&id)["state"], "completed");
}

#[test]
fn a_daemon_that_waits_for_the_lock_starts_when_the_other_leaves() {
    let mut world = World::new("");
    world.start();
    let mut second = world.serve_command().spawn().unwrap();
    world.stop_daemon();
    world.wait_for("the second answers", |world| {
        let (_, status) = world.request("GET", "/status", None).ok()?;
        (status["pid"] == second.id()).then_some(())
    });
    signal(i32::try_from(second.id()).unwrap(), "TERM");
    assert!(second.wait().unwrap().success());
}

#[test]
fn a_missing_state_directory_is_made_for_its_owner_alone() {
    let world = World::new("");
    let dir = world.dir().join("deep/er/state");
    let mut daemon = Command::new(AUTO_CLAUDE)
        .arg("serve")
        .arg("--state-dir")
        .arg(&dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = || {
        Command::new(TASKCTL)
            .arg("--state-dir")
            .arg(&dir)
            .args(["system", "status"])
            .output()
            .unwrap()
    };
    let shown = world.wait_for("it answers", |_| {
        Some(status()).filter(|output| output.status.success())
    });
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for line in ["memory available", "load", "disk free"] {
        assert!(
            shown.lines().any(|shown| shown.starts_with(line)) && !shown.contains("unknown"),
            "{shown}"
        );
    }
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&dir).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
    signal(i32::try_from(daemon.id()).unwrap(), "TERM");
    assert!(daemon.wait().unwrap().success());
    // Its socket is gone, and who asks now is told how to start it.
    let output = status();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(NO_DAEMON), "{said}");
    assert!(said.contains("auto-claude serve --state-dir"), "{said}");
}

#[test]
fn sigterm_leaves_running_attempts_and_says_how_many() {
    let mut world = World::new("num_workers = 2");
    world.start();
    let line = gate(&world);
    let running: Vec<_> = (0..2).map(|_| world.submit("r", &line)).collect();
    let queued = world.submit("q", "true");
    for id in &running {
        world.wait_state(id, "processing");
    }
    let workers = world.wait_for("both have workers", |world| {
        Some(world.workers()).filter(|pids| pids.len() == 2)
    });
    assert!(world.stop_daemon().success());
    assert!(
        log(&world).contains("2 running attempts go on"),
        "{}",
        log(&world)
    );
    assert!(workers.iter().all(|pid| alive(*pid)), "{workers:?}");
    open_gate(&world);
    world.start();
    for id in running.iter().chain([&queued]) {
        let task = world.wait_final(id);
        assert_eq!(
            (&task["state"], &task["attempt"]),
            (&json!("completed"), &json!(1)),
            "{task}"
        );
    }
}

#[test]
fn sighup_takes_new_settings_and_refuses_a_broken_file() {
    let mut world = World::new("num_workers = 2\n");
    world.start();
    let config = world.dir().join("config.toml");
    let slots = |world: &World| world.ask("GET", "/status", None)["num_workers"].clone();
    let reload = |world: &World, text: &str, until: &str| {
        let before = log(world).len();
        std::fs::write(&config, format!("min_disk_space_gb = 0\n{text}")).unwrap();
        signal(world.daemon_pid(), "HUP");
        world.wait_for("the reload is logged", |world| {
            log(world)[before..].contains(until).then_some(())
        });
    };
    reload(&world, "num_workers = 3\n", "settings reloaded");
    assert_eq!(slots(&world), 3);
    reload(&world, "num_workers = 0\n", "the old settings stay");
    reload(&world, "num_workers = [", "the old settings stay");
    reload(&world, "nun_workers = 7\n", "the old settings stay");
    assert!(log(&world).contains("num_workers`?"), "{}", log(&world));
    assert_eq!(slots(&world), 3);
    reload(
        &world,
        "num_workers = 5\nmachine_id = \"other\"\n",
        "needs_restart",
    );
    assert_eq!(slots(&world), 5);
    assert_ne!(world.ask("GET", "/status", None)["machine_id"], "other");
    // What cannot be read at the next start is refused there, and nothing is touched.
    world.stop_daemon();
    std::fs::write(&config, "num_workers = 0\n").unwrap();
    let refused = world.auto_claude("serve", &[]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("config.toml:1:1: num_workers = 0"), "{said}");
}

#[test]
fn old_tasks_are_removed_by_themselves_with_their_files() {
    let mut world = World::new("");
    world.start();
    let old = world.submit("old", "echo old");
    let young = world.submit("young", "echo young");
    let tomorrow = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let waiting =
        world.submit_with(json!({"name": "later", "command": "true", "at": tomorrow.to_string()}));
    world.wait_final(&old);
    world.wait_final(&young);
    world.stop_daemon();
    let database = rusqlite::Connection::open(world.dir().join("auto-claude.db")).unwrap();
    let moved = database
        .execute(
            "UPDATE tasks SET finished_at = finished_at - 3 * 86400000 WHERE id = ?1",
            [&old],
        )
        .unwrap();
    assert_eq!(moved, 1);
    drop(database);
    // Off by default.
    world.start();
    assert_eq!(world.task(&old)["state"], "completed");
    world.stop_daemon();
    std::fs::write(
        world.dir().join("config.toml"),
        "min_disk_space_gb = 0\nkeep_days = 2\n",
    )
    .unwrap();
    world.start();
    world.wait_for("the old one is gone", |world| {
        let (status, _) = world.request("GET", &format!("/tasks/{old}"), None).ok()?;
        let files = world.dir().join("tasks").join(&old).exists();
        (status == 404 && !files).then_some(())
    });
    assert_eq!(world.task(&young)["state"], "completed");
    assert!(world.output(&young).contains("young"));
    assert_eq!(world.task(&waiting)["state"], "pending");
}

#[test]
fn every_change_of_a_task_is_a_line_of_the_log() {
    for json_lines in [false, true] {
        let mut world = World::new(&format!("log_json = {json_lines}\n"));
        world.start();
        let id = world.submit("n", "sleep 0.3; exit 5");
        world.wait_final(&id);
        world.stop_daemon();
        let text = log(&world);
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(&id)).collect();
        let wanted = [
            ("task submitted", "pending"),
            ("attempt claimed", "processing"),
            ("attempt started", "processing"),
            ("attempt ended", "failed"),
        ];
        assert_eq!(lines.len(), wanted.len(), "{text}");
        for (line, (event, state)) in lines.iter().zip(wanted) {
            if !json_lines {
                assert!(
                    line.contains(event) && line.contains(&format!("state={state}")),
                    "{line}"
                );
                continue;
            }
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["event"], event);
            assert_eq!(line["state"], state);
            assert_eq!(line["level"], "info");
            assert_eq!(line["task_id"], id.as_str());
            assert_eq!(line["agent"], "command");
            assert!(
                line["timestamp"]
                    .as_str()
                    .unwrap()
                    .parse::<jiff::Timestamp>()
                    .is_ok()
            );
        }
        let last = lines.last().unwrap();
        assert!(
            last.contains("exited") && last.contains("exit_code"),
            "{last}"
        );
    }
}

#[test]
fn a_daemon_on_a_terminal_says_that_it_is_ready_and_ends_with_ctrl_c() {
    let world = World::new("");
    let mut daemon = Command::new(AUTO_CLAUDE)
        .arg("serve")
        .arg("--state-dir")
        .arg(world.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(daemon.stderr.take().unwrap()).lines();
    let ready = lines
        .find(|line| line.as_ref().unwrap().contains("ready"))
        .unwrap()
        .unwrap();
    assert!(ready.contains("auto-claude.sock"), "{ready}");
    signal(i32::try_from(daemon.id()).unwrap(), "INT");
    assert!(daemon.wait().unwrap().success());
    assert!(lines.any(|line| line.unwrap().contains("leaving")));
}
