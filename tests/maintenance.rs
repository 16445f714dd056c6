//! What keeps a state directory in order: init, check-config, check, backup, restore, reset, cleanup.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and watch them"
)]

mod common;

use std::process::{Command, Output, Stdio};

use common::{AUTO_CLAUDE, TASKCTL, World};
use serde_json::Value;

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn good(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    out(&output)
}

#[test]
fn init_makes_what_is_missing_and_leaves_what_is_there() {
    for program in [AUTO_CLAUDE, TASKCTL] {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("state");
        let init = || {
            let output = Command::new(program)
                .arg("--state-dir")
                .arg(&dir)
                .arg("init")
                .stdin(Stdio::null())
                .output()
                .unwrap();
            good(output)
        };
        let first = init();
        assert_eq!(
            first
                .lines()
                .filter(|line| line.ends_with("(made)"))
                .count(),
            3,
            "{first}"
        );
        let config = dir.join("config.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        assert!(text.contains("num_workers = 2"), "{text}");
        std::fs::write(&config, "num_workers = 7\n").unwrap();
        let second = init();
        assert_eq!(
            second.matches("was there, unchanged").count(),
            3,
            "{second}"
        );
        assert_eq!(
            std::fs::read_to_string(&config).unwrap(),
            "num_workers = 7\n"
        );
        // What it wrote is what is in force.
        let shown = Command::new(AUTO_CLAUDE)
            .arg("--state-dir")
            .arg(&dir)
            .arg("check-config")
            .output()
            .unwrap();
        assert!(good(shown).contains("num_workers = 7"));
    }
}

#[test]
fn check_config_reads_the_descriptions_of_agents_that_it_names() {
    let broken = tempfile::NamedTempFile::new().unwrap();
    let path = broken.path().to_str().unwrap();
    let world = World::new(&format!("agent_files = [{path:?}]\n"));
    let check = || {
        Command::new(AUTO_CLAUDE)
            .args(["check-config", "--state-dir"])
            .arg(world.dir())
            .output()
            .unwrap()
    };
    let start = "name = \"mine\"\nprogram = \"mine\"\nstart = [\"{prompt}\"]\n";
    for (more, wanted) in [
        (
            "[[errors]]\npattern = \"limit\"\n",
            "line 4: missing field `means`",
        ),
        ("failed_text = [\"(\"]\n", "failed_text[0]"),
    ] {
        std::fs::write(broken.path(), format!("{start}{more}")).unwrap();
        let refused = check();
        let said = err(&refused);
        assert!(
            refused.status.code() == Some(2) && said.contains(wanted) && said.contains(path),
            "{said}"
        );
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    }
    std::fs::write(
        broken.path(),
        format!("{start}[[events]]\nwhen = {{ \"/t\" = \"end\" }}\nmeans = \"success\"\n"),
    )
    .unwrap();
    good(check());
}

#[test]
fn check_config_tells_values_origins_and_every_mistake_at_once() {
    let world = World::new("num_workers = 3\n");
    let check = |arguments: &[&str], level: &str| {
        Command::new(AUTO_CLAUDE)
            .args(arguments)
            .arg("check-config")
            .arg("--state-dir")
            .arg(world.dir())
            .env("LOG_LEVEL", level)
            .output()
            .unwrap()
    };
    let text = good(check(&[], "warn"));
    for (setting, origin) in [
        ("num_workers = 3", "config.toml:3"),
        ("log_level = \"warn\"", "environment LOG_LEVEL"),
        ("grace_seconds = 10", "default"),
    ] {
        assert!(
            text.lines()
                .any(|line| line.starts_with(setting) && line.ends_with(origin)),
            "{setting} {origin}: {text}"
        );
    }
    let json: Value = serde_json::from_str(&good(check(&["--json"], "warn"))).unwrap();
    let text = json.to_string();
    assert!(
        text.contains("num_workers") && text.contains("LOG_LEVEL"),
        "{text}"
    );
    std::fs::write(
        world.dir().join("config.toml"),
        "num_wokers = 3\ngrace_seconds = 0\nsensitive_patterns = ['(']\n",
    )
    .unwrap();
    let refused = check(&[], "loud");
    assert_eq!(refused.status.code(), Some(2));
    let text = err(&refused);
    for wanted in [
        "num_wokers",
        "num_workers",
        "grace_seconds = 0",
        "1 to 3600",
        "sensitive_patterns[0]",
        "LOG_LEVEL",
        "loud",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    // A directory that is not there is not made by looking.
    let nowhere = world.dir().join("nowhere");
    let output = Command::new(AUTO_CLAUDE)
        .arg("check-config")
        .arg("--state-dir")
        .arg(&nowhere)
        .output()
        .unwrap();
    assert!(output.status.success() && !nowhere.exists());
}

#[test]
fn check_finds_a_row_that_its_journal_does_not_give() {
    let mut world = World::new("");
    world.start();
    let id = world.submit("n", "exit 3");
    world.wait_final(&id);
    // Beside a running daemon, too.
    assert!(good(world.auto_claude("check", &[])).contains("no problems"));
    world.stop_daemon();
    let database = rusqlite::Connection::open(world.dir().join("auto-claude.db")).unwrap();
    database
        .execute("UPDATE tasks SET state = 'completed' WHERE id = ?1", [&id])
        .unwrap();
    drop(database);
    let checked = world.auto_claude("check", &[]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    assert!(
        out(&checked).contains("problem: ") && out(&checked).contains(&id),
        "{checked:?}"
    );
    let nothing = world.dir().join("nothing");
    let output = Command::new(AUTO_CLAUDE)
        .arg("check")
        .arg("--state-dir")
        .arg(&nothing)
        .output()
        .unwrap();
    assert!(
        !output.status.success() && !err(&output).is_empty(),
        "{output:?}"
    );
    assert!(!nothing.exists());
}

#[test]
fn a_backup_made_while_tasks_run_is_restored_whole() {
    let mut world = World::new("num_workers = 2\ngrace_seconds = 1\n");
    world.start();
    let done = world.submit("done", "echo done");
    world.wait_final(&done);
    let runs = world.submit("runs", "sleep 600");
    world.wait_state(&runs, "processing");
    let file = world.dir().join("copy.db");
    let path = file.to_str().unwrap();
    assert!(good(world.taskctl(&["system", "backup", path])).contains(path));
    let again = world.taskctl(&["system", "backup", path]);
    assert!(
        !again.status.success(),
        "an existing file is never written over: {again:?}"
    );
    let after = world.submit("after", "true");
    world.wait_final(&after);
    // Not while a daemon runs.
    let refused = world.auto_claude("restore", &[path]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    assert!(
        err(&refused).contains("is in use by a daemon"),
        "{refused:?}"
    );
    world.stop_daemon();
    // Not from a file that is no backup; what is there stays.
    let bad = world.dir().join("bad.db");
    std::fs::write(&bad, vec![7; 9000]).unwrap();
    let refused = world.auto_claude("restore", &[bad.to_str().unwrap()]);
    assert!(
        !refused.status.success() && err(&refused).contains("bad.db"),
        "{refused:?}"
    );
    let restored = good(world.auto_claude("restore", &[path]));
    let kept = restored
        .lines()
        .find_map(|line| line.strip_prefix("what was there before is kept as "))
        .unwrap();
    assert!(std::path::Path::new(kept).exists(), "{restored}");
    assert!(good(world.auto_claude("check", &[])).contains("no problems"));
    world.start();
    assert_eq!(world.task(&done)["state"], "completed");
    // The attempt that ran through all of this is taken back, not started anew.
    let task = world.task(&runs);
    assert_eq!(
        (task["state"].as_str(), task["attempt"].as_i64()),
        (Some("processing"), Some(1)),
        "{task}"
    );
    assert_eq!(
        world
            .request("GET", &format!("/tasks/{after}"), None)
            .unwrap()
            .0,
        404
    );
    world.act("cancel", &[&runs]);
    assert_eq!(world.wait_final(&runs)["state"], "cancelled");
}

#[test]
fn reset_wants_nothing_running_and_makes_a_backup_first() {
    let mut world = World::new("grace_seconds = 1\n");
    world.start();
    let runs = world.submit("runs", "sleep 600");
    world.wait_state(&runs, "processing");
    let refused = world.taskctl(&["system", "reset", "--yes"]);
    assert!(
        !refused.status.success() && err(&refused).contains("stop-all"),
        "{refused:?}"
    );
    good(world.taskctl(&["system", "stop-all", "--yes"]));
    world.wait_state(&runs, "paused");
    let refused = world.taskctl(&["system", "reset"]);
    assert!(
        !refused.status.success(),
        "without a terminal it needs --yes: {refused:?}"
    );
    let answer = good(world.taskctl(&["--json", "system", "reset", "--yes"]));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let backup = answer["backup"].as_str().unwrap();
    assert_eq!(answer["count"], 1);
    assert_eq!(
        good(world.taskctl(&["--json", "task", "list"])).trim(),
        "[]"
    );
    world.wait_for("its files are gone", |world| {
        (!world.dir().join("tasks").join(&runs).exists()).then_some(())
    });
    world.stop_daemon();
    good(world.auto_claude("restore", &[backup]));
    world.start();
    assert_eq!(world.task(&runs)["state"], "paused");
}

#[test]
fn cleanup_removes_final_tasks_with_their_files_and_nothing_else() {
    let mut world = World::new("grace_seconds = 1\n");
    world.start();
    let done: Vec<_> = (0..3)
        .map(|n| world.submit(&format!("d{n}"), "echo out"))
        .collect();
    for id in &done {
        world.wait_final(id);
    }
    let runs = world.submit("runs", "sleep 600");
    world.wait_state(&runs, "processing");
    let dry = good(world.taskctl(&["--json", "system", "cleanup", "--days", "0", "--dry-run"]));
    assert!(dry.contains('3'), "{dry}");
    assert_eq!(world.task(&done[0])["state"], "completed");
    let none: Value = serde_json::from_str(&good(
        world.taskctl(&["--json", "system", "cleanup", "--days", "1"]),
    ))
    .unwrap();
    assert_eq!(none["count"], 0);
    let all: Value = serde_json::from_str(&good(
        world.taskctl(&["--json", "system", "cleanup", "--days", "0"]),
    ))
    .unwrap();
    assert_eq!(all["count"], 3);
    for id in &done {
        assert_eq!(
            world
                .request("GET", &format!("/tasks/{id}"), None)
                .unwrap()
                .0,
            404
        );
        world.wait_for("its files are gone", |world| {
            (!world.dir().join("tasks").join(id).exists()).then_some(())
        });
    }
    assert_eq!(world.task(&runs)["state"], "processing");
    world.act("cancel", &[&runs]);
    world.wait_final(&runs);
}
