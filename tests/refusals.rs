//! What is refused, clearly and in time, with nothing touched: databases, places, a full queue, a full disk.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and bound their waits by a clock"
)]

mod common;

use std::process::{Command, Output, Stdio};

use common::{AUTO_CLAUDE, World};

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_database_that_is_not_ours_is_refused_and_left_alone() {
    let mut world = World::new("");
    world.start();
    world.wait_final(&world.submit("n", "true"));
    world.stop_daemon();
    let file = world.dir().join("auto-claude.db");
    let whole = std::fs::read(&file).unwrap();
    let newer = {
        let database = rusqlite::Connection::open(&file).unwrap();
        database.pragma_update(None, "user_version", 999).unwrap();
        drop(database);
        std::fs::read(&file).unwrap()
    };
    let torn: Vec<u8> = whole
        .iter()
        .enumerate()
        .map(|(at, byte)| if at > 100 { byte ^ 0x5a } else { *byte })
        .collect();
    for (bytes, word) in [
        (newer, "999"),
        (torn, "auto-claude.db"),
        (vec![b'x'; 20_000], "auto-claude.db"),
    ] {
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(world.dir().join(format!("auto-claude.db{suffix}")));
        }
        std::fs::write(&file, &bytes).unwrap();
        for (command, code) in [("serve", 5), ("check", 5)] {
            let refused = world.auto_claude(command, &[]);
            let said = format!("{}{}", out(&refused), err(&refused));
            // A check may also have looked and found what is wrong.
            let allowed = [Some(code), Some(1)];
            assert!(
                allowed[..if command == "check" { 2 } else { 1 }].contains(&refused.status.code()),
                "{command}: {refused:?}"
            );
            assert!(said.contains(word), "{command}: {said}");
            assert!(
                std::fs::read(&file).unwrap() == bytes,
                "{command} wrote to it"
            );
        }
    }
}

#[test]
fn places_that_cannot_be_used_are_refused_in_one_line() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    std::fs::write(&file, "").unwrap();
    let long = parent.path().join("x".repeat(120));
    let taken = parent.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("auto-claude.sock"), "no socket").unwrap();
    let used = parent.path().join("used");
    std::fs::create_dir(&used).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(used.join("auto-claude.sock")).unwrap();
    for (dir, word) in [
        (file.clone(), "file"),
        (file.join("below"), "below"),
        ("/proc/auto-claude".into(), "/proc/auto-claude"),
        (long, "107"),
        (taken.clone(), "is no socket"),
        (used, "in use"),
    ] {
        let refused = Command::new(AUTO_CLAUDE)
            .arg("serve")
            .arg("--state-dir")
            .arg(&dir)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = err(&refused);
        assert!(
            !refused.status.success() && refused.status.code().is_some(),
            "{dir:?}: {refused:?}"
        );
        let told: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with("auto-claude: "))
            .collect();
        assert!(told.len() == 1 && told[0].contains(word), "{dir:?}: {said}");
    }
    assert_eq!(
        std::fs::read(taken.join("auto-claude.sock")).unwrap(),
        b"no socket"
    );
}

#[test]
fn a_full_queue_and_a_full_disk_refuse_in_time_and_keep_what_was_taken() {
    let mut world = World::new("max_queue_length = 2\n");
    world.start();
    world.ask("POST", "/system/pause", None);
    let kept = [world.submit("a", "true"), world.submit("b", "true")];
    let refused = world.taskctl(&["task", "create", "c", "true"]);
    assert_eq!(refused.status.code(), Some(10), "{refused:?}");
    assert!(err(&refused).contains("max_queue_length"), "{refused:?}");
    std::fs::write(
        world.dir().join("config.toml"),
        "min_disk_space_gb = 1048576\n",
    )
    .unwrap();
    common::signal(world.daemon_pid(), "HUP");
    let refused = world.wait_for("the disk counts as full", |world| {
        let refused = world.taskctl(&["task", "create", "c", "true"]);
        err(&refused)
            .contains("min_disk_space_gb")
            .then_some(refused)
    });
    assert_eq!(refused.status.code(), Some(10), "{refused:?}");
    // What was taken goes its way all the same.
    world.ask("POST", "/system/resume", None);
    for id in &kept {
        assert_eq!(world.wait_final(id)["state"], "completed");
    }
}

/// A state directory whose daemon was killed with this many acknowledged tasks, all of them still in the log.
fn killed(tasks: usize) -> World {
    let mut world = World::new("disk_reserve_mb = 1");
    world.start();
    world.ask("POST", "/system/pause", None);
    for n in 0..tasks {
        world.submit(&n.to_string(), "true");
    }
    world.kill_daemon();
    world
}

#[test]
fn a_database_whose_tasks_would_vanish_is_refused_and_goes_on_once_it_is_whole_again() {
    let mut world = killed(20);
    let file = |suffix: &str| world.dir().join(format!("auto-claude.db{suffix}"));
    let (main, log) = (file(""), file("-wal"));
    let (whole_main, whole_log) = (std::fs::read(&main).unwrap(), std::fs::read(&log).unwrap());
    let mut header = whole_log.clone();
    header[17] ^= 1;
    let mut middle = whole_log.clone();
    middle[32 + 24 + 100] ^= 1;
    for (main_bytes, log_bytes, word) in [
        (Some(&whole_main[..]), Some(&header[..]), "it is damaged"),
        (Some(&whole_main), Some(&middle), "it is damaged"),
        (Some(&[]), Some(&whole_log), "is left of a database"),
        (None, Some(&whole_log), "is left of a database"),
        (Some(&whole_main), None, "was taken away"),
    ] {
        for (path, bytes) in [(&main, main_bytes), (&log, log_bytes)] {
            match bytes {
                Some(bytes) => std::fs::write(path, bytes).unwrap(),
                None => std::fs::remove_file(path).unwrap(),
            }
        }
        for command in ["serve", "init", "check"] {
            let refused = world.auto_claude(command, &[]);
            assert_eq!(refused.status.code(), Some(5), "{command}: {refused:?}");
            assert!(err(&refused).contains(word), "{command}: {refused:?}");
            assert_eq!(
                std::fs::read(&main).ok().as_deref(),
                main_bytes,
                "{command}"
            );
            assert_eq!(std::fs::read(&log).ok().as_deref(), log_bytes, "{command}");
        }
        std::fs::write(&main, &whole_main).unwrap();
        std::fs::write(&log, &whole_log).unwrap();
    }
    world.start();
    let page = world.ask("GET", "/tasks", None);
    assert_eq!(page["tasks"].as_array().unwrap().len(), 20);
}

#[test]
fn an_emptied_database_is_refused_while_tasks_files_stand_beside_it() {
    let mut world = World::new("disk_reserve_mb = 1");
    world.start();
    world.wait_final(&world.submit("n", "echo here"));
    assert!(world.stop_daemon().success());
    let file = world.dir().join("auto-claude.db");
    std::fs::write(&file, "").unwrap();
    let refused = world.auto_claude("serve", &[]);
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    assert!(err(&refused).contains("/tasks/task_"), "{refused:?}");
    assert_eq!(std::fs::read(&file).unwrap(), b"");
    // Who means it moves away what is left.
    std::fs::rename(world.dir().join("tasks"), world.dir().join("former")).unwrap();
    world.start();
    // A reset leaves a database, and that is one.
    world.wait_final(&world.submit("n", "true"));
    let backup = world.dir().join("before.db");
    world.ask(
        "POST",
        "/system/reset",
        Some(&serde_json::json!({"backup": backup})),
    );
    world.kill_daemon();
    world.start();
}

#[test]
fn a_pipe_in_the_databases_place_is_refused_at_once() {
    let world = World::new("");
    let made = Command::new("mkfifo")
        .arg(world.dir().join("auto-claude.db"))
        .status()
        .unwrap();
    assert!(made.success());
    for command in ["serve", "init", "check"] {
        let refused = world.auto_claude(command, &[]);
        assert_eq!(refused.status.code(), Some(5), "{command}: {refused:?}");
        assert!(err(&refused).contains("it is a named pipe"), "{refused:?}");
    }
}

/// Changes rows by other means, as no program of ours does.
#[expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]
fn damage(world: &World, sql: &str) {
    let database = rusqlite::Connection::open(world.dir().join("auto-claude.db")).unwrap();
    database
        .execute_batch("PRAGMA ignore_check_constraints = ON")
        .unwrap();
    database.execute_batch(sql).unwrap();
}

#[test]
fn a_database_that_lacks_a_table_or_its_schemas_number_is_refused_in_one_line() {
    let mut world = World::new("disk_reserve_mb = 1");
    world.start();
    assert!(world.stop_daemon().success());
    let file = world.dir().join("auto-claude.db");
    let whole = std::fs::read(&file).unwrap();
    for (sql, word) in [
        ("DROP TABLE journal", "\"journal\" is missing"),
        ("PRAGMA user_version = 0", "user_version"),
    ] {
        std::fs::write(&file, &whole).unwrap();
        damage(&world, sql);
        let names = || std::fs::read_dir(world.dir()).unwrap().count();
        let before = names();
        let refused = world.auto_claude("serve", &[]);
        assert_eq!(refused.status.code(), Some(5), "{sql}: {refused:?}");
        let said = err(&refused);
        let told = said
            .lines()
            .filter(|line| line.starts_with("auto-claude: "));
        assert!(said.contains(word) && told.count() == 1, "{sql}: {said}");
        assert!(!said.contains("CREATE"), "{said}");
        assert!(
            names() <= before + 2,
            "{sql}: only a log and its index may come"
        );
    }
}

#[test]
fn the_worker_and_the_record_of_a_set_aside_task_are_left_alone() {
    let mut world = World::new("disk_reserve_mb = 1");
    world.start();
    let gate = world.dir().join("gate");
    let command = format!(
        "while ! test -e {}; do sleep 0.02; done; exit 7",
        gate.display()
    );
    let id = world.submit("n", &command);
    world.wait_state(&id, "processing");
    let attempt = format!("{id}.1");
    world.wait_for("it runs", |world| {
        let task = world.task(&id);
        (!task["started_at"].is_null()).then_some(())
    });
    world.kill_daemon();
    damage(
        &world,
        "UPDATE tasks SET state = 'pending', slot = NULL, turn = 3",
    );
    world.start();
    // It is told why, everywhere.
    let shown = world.task(&id);
    let reason = shown["set_aside"].as_str().unwrap().to_owned();
    assert!(reason.contains("not the fold"), "{reason}");
    let shown = world.taskctl(&["task", "show", &id]);
    assert!(out(&shown).contains(&reason), "{shown:?}");
    let listed = world.taskctl(&["task", "list"]);
    assert!(out(&listed).contains("set aside"), "{listed:?}");
    let checked = world.auto_claude("check", &[]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    let line = format!("set aside: {id}: {reason}");
    assert!(out(&checked).contains(&line), "{checked:?}");
    assert!(!out(&checked).contains("no problems"), "{checked:?}");
    // Another daemon does not end it either, and how it ended stays on record.
    world.kill_daemon();
    world.start();
    assert!(!common::marked(&attempt).is_empty(), "{}", world.story());
    std::fs::write(&gate, "").unwrap();
    world.wait_for("the worker has left", |_| {
        common::marked(&attempt).is_empty().then_some(())
    });
    assert!(world.stop_daemon().success());
    let record = std::fs::read(world.dir().join("records").join(&attempt)).unwrap();
    let record = String::from_utf8_lossy(&record);
    assert!(record.contains("\"exit_code\":7"), "{record}");

    // Repaired, the task comes to the end that its attempt had.
    damage(
        &world,
        "UPDATE tasks SET state = 'processing', slot = 1, turn = 0",
    );
    world.start();
    let task = world.wait_final(&id);
    assert_eq!(task["outcome"]["exit_code"], 7, "{task}");
}

#[test]
fn a_list_says_what_it_leaves_out_and_has_it_set_aside() {
    let mut world = World::new("disk_reserve_mb = 1");
    world.start();
    world.ask("POST", "/system/pause", None);
    let ids = [world.submit("a", "true"), world.submit("b", "true")];
    assert!(world.stop_daemon().success());
    damage(
        &world,
        "UPDATE specs SET spec = '{' WHERE task = (SELECT seq FROM tasks WHERE name = 'a')",
    );
    world.start();
    let attention = |world: &World| world.ask("GET", "/status", None)["attention"].to_string();
    assert_eq!(attention(&world), "[]", "nothing was looked at yet");
    for arguments in [&["task", "list"][..], &["--json", "task", "list"]] {
        let listed = world.taskctl(arguments);
        assert!(out(&listed).contains(&ids[1]), "{listed:?}");
        let said = err(&listed);
        assert!(
            said.contains("left out: 1 damaged task") && said.contains(&ids[0]),
            "{listed:?}"
        );
    }
    world.wait_for("a person is told", |world| {
        attention(world)
            .contains("1 damaged task is set aside")
            .then_some(())
    });
    let page = world.ask("GET", "/tasks", None);
    assert_eq!(page["unreadable"][0]["id"], *ids[0], "{page}");
    let shown = world.taskctl(&["task", "show", &ids[0]]);
    assert!(
        err(&shown).contains("is damaged") && err(&shown).contains("spec"),
        "{shown:?}"
    );
    let checked = world.auto_claude("check", &[]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    assert!(out(&checked).contains("set aside: "), "{checked:?}");
}
