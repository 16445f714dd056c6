//! A state directory in which something was put in another's place while a daemon ran, or before it started.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and bound their waits by a clock"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Command;

use common::{AUTO_CLAUDE, World};

const FAILED: i32 = 1;

/// The names in the state directory, with the bytes of the database and its kin.
fn files(world: &World) -> BTreeMap<OsString, Vec<u8>> {
    let entries = std::fs::read_dir(world.dir()).unwrap().flatten();
    entries
        .map(|entry| {
            let name = entry.file_name();
            let is_ours = name.as_encoded_bytes().starts_with(b"auto-claude.");
            let bytes = std::fs::read(entry.path()).ok().filter(|_| is_ours);
            (name, bytes.unwrap_or_default())
        })
        .collect()
}

#[test]
fn a_daemon_whose_directory_was_replaced_leaves_and_touches_nothing_of_the_next() {
    let mut world = World::new("disk_reserve_mb = 1");
    world.start();
    let gate = world.dir().join("gate");
    let command = format!("while ! test -e {}; do sleep 0.02; done", gate.display());
    let id = world.submit("n", &command);
    world.wait_for("it runs", |world| {
        (!world.task(&id)["started_at"].is_null()).then_some(())
    });
    // The writer's connection is the last one, which at a clean end takes the log in and unlinks it by its name.
    let pid = world.daemon_pid();
    world.wait_for("readers are closed", |world| {
        // Each connection has the log open once; the main file may be kept open for the locks of others.
        let log = world.dir().join("auto-claude.db-wal");
        let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .flatten();
        let open = open.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == log));
        (open.count() == 1).then_some(())
    });
    // Everything moves away; the old daemon is still asked by the socket where that is now.
    let moved = tempfile::tempdir().unwrap();
    let kept = ["daemon.out", "config.toml", "gate"];
    for entry in std::fs::read_dir(world.dir()).unwrap().flatten() {
        let name = entry.file_name();
        if !kept.iter().any(|kept| name == *kept) {
            std::fs::rename(entry.path(), moved.path().join(name)).unwrap();
        }
    }
    // What the next daemon has there, with a log that a clean end of the old one would unlink.
    let next = tempfile::tempdir().unwrap();
    let mut other = Command::new(AUTO_CLAUDE);
    other.arg("init").arg("--state-dir").arg(next.path());
    assert!(other.output().unwrap().status.success());
    std::fs::copy(
        next.path().join("auto-claude.db"),
        world.dir().join("auto-claude.db"),
    )
    .unwrap();
    for name in ["auto-claude.lock", "auto-claude.db-wal", "auto-claude.sock"] {
        std::fs::write(world.dir().join(name), "another's").unwrap();
    }
    let before = files(&world);
    let mut asked = UnixStream::connect(moved.path().join("auto-claude.sock")).unwrap();
    let body = r#"{"name":"n","command":"true"}"#;
    write!(
        asked,
        "POST /api/v1/tasks HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    asked.read_to_string(&mut answer).unwrap();
    assert!(!answer.starts_with("HTTP/1.1 2"), "acknowledged: {answer}");
    let status = world.wait_for_death();
    assert_eq!(status.code(), Some(FAILED), "{}", world.story());
    let story = world.story();
    assert!(story.contains("was removed, moved or replaced"), "{story}");
    assert!(files(&world) == before, "{story}");
    assert!(!common::marked(&format!("{id}.1")).is_empty(), "it goes on");

    // Put back, the directory goes on where it was.
    for name in before
        .keys()
        .filter(|name| name.as_encoded_bytes().starts_with(b"auto-claude."))
    {
        std::fs::remove_file(world.dir().join(name)).unwrap();
    }
    for entry in std::fs::read_dir(moved.path()).unwrap().flatten() {
        let _ = std::fs::remove_dir_all(world.dir().join(entry.file_name()));
        std::fs::rename(entry.path(), world.dir().join(entry.file_name())).unwrap();
    }
    world.start();
    std::fs::write(&gate, "").unwrap();
    assert_eq!(world.wait_final(&id)["state"], "completed");
}

#[test]
fn a_directory_with_a_records_name_is_told_once() {
    let mut world = World::new("disk_reserve_mb = 1");
    let name = "task_bbbbbbbbbbbbb.1";
    world.start();
    assert!(world.stop_daemon().success());
    std::fs::create_dir(world.dir().join("records").join(name)).unwrap();
    world.start();
    world.wait_for("a person is told", |world| {
        let attention = world.ask("GET", "/status", None)["attention"].to_string();
        (attention.contains(name) && attention.contains("is no file")).then_some(())
    });
    let id = world.submit("n", "true");
    assert_eq!(world.wait_final(&id)["state"], "completed");
    assert_eq!(world.story().matches(name).count(), 1, "{}", world.story());
    assert!(world.dir().join("records").join(name).is_dir());
}

/// A daemon died after it had committed a lost attempt whose damaged record was moved away: nothing else leads to its door.
#[test]
fn a_door_without_a_record_goes_at_the_start_and_one_that_is_in_use_stays() {
    let mut world = World::new("disk_reserve_mb = 1");
    world.start();
    let running = world.submit("n", "sleep 600");
    let run_dir = world.dir().join("run");
    let used = run_dir.join(format!("{running}.1.sock"));
    world.wait_for("the running attempt has a door", |_| {
        used.exists().then_some(())
    });
    assert!(world.stop_daemon().success());
    let lone = run_dir.join("task_bbbbbbbbbbbbb.1.sock");
    drop(std::os::unix::net::UnixListener::bind(&lone).unwrap());
    let other = run_dir.join("notes.sock");
    std::fs::write(&other, "").unwrap();
    world.start();
    assert!(!lone.exists(), "{}", world.story());
    assert!(used.exists(), "{}", world.story());
    assert!(other.exists(), "{}", world.story());
    std::fs::remove_file(other).unwrap();
    world.act("cancel", &[&running]);
    world.wait_final(&running);
}
