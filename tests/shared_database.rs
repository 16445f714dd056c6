//! One database, two state directories: never two daemons on it, and never an attempt twice because its record is elsewhere.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the programs under test"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{AUTO_CLAUDE, World, alive};

const IN_USE: i32 = 4;
const STORE_REFUSED: i32 = 5;

/// A directory with a database, and the address of it.
struct Shared {
    dir: tempfile::TempDir,
}

impl Shared {
    fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("auto-claude-shared-")
            .tempdir()
            .unwrap();
        Self { dir }
    }

    fn database(&self) -> PathBuf {
        self.dir.path().join("shared.db")
    }

    /// As long as this file is there, the long task runs.
    fn go_on(&self) -> PathBuf {
        self.dir.path().join("go-on")
    }
}

fn address(database: &Path) -> String {
    format!("sqlite:///{}", database.display())
}

/// A state directory whose daemon uses this database.
fn world_on(database: &Path) -> World {
    let mut world = World::new("disk_reserve_mb = 1");
    world.set_env("DATABASE_URL", &address(database));
    world
}

/// `auto-claude ARGUMENTS` on this state directory and database leaves with `code`, and says all of `words` in its last line.
fn assert_refused(dir: &Path, database: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let output = Command::new(AUTO_CLAUDE)
        .arg("--state-dir")
        .arg(dir)
        .args(arguments)
        .env("DATABASE_URL", address(database))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    let last = said.trim_end().lines().last().unwrap_or_default();
    for word in words {
        assert!(last.contains(word), "{arguments:?}: no {word:?} in: {said}");
    }
}

/// A task that runs until the file `go_on` is taken away.
fn submit_long(world: &World, go_on: &Path) -> String {
    std::fs::write(go_on, "").unwrap();
    let id = world.submit(
        "long",
        &format!(
            "echo begun; while [ -e {} ]; do sleep 0.05; done",
            go_on.display()
        ),
    );
    world.wait_for("the task runs", |world| {
        world.output(&id).contains("begun").then_some(())
    });
    id
}

/// The long task's worker still runs; now the task ends, as itself and after one attempt.
fn assert_undisturbed(world: &World, go_on: &Path, id: &str, worker: i32) {
    assert!(alive(worker), "its worker was ended\n{}", world.story());
    std::fs::remove_file(go_on).unwrap();
    let task = world.wait_final(id);
    assert_eq!(task["state"], "completed", "{task}\n{}", world.story());
    assert_eq!(task["attempt"], 1, "{task}");
}

#[test]
fn a_second_daemon_on_one_database_names_the_first_and_leaves_its_work_alone() {
    let shared = Shared::new();
    let mut first = world_on(&shared.database());
    first.start();
    let id = submit_long(&first, &shared.go_on());
    let worker = first.workers()[0];
    let backup = first.dir().join("copy.db");
    assert!(
        first
            .taskctl(&["system", "backup", backup.to_str().unwrap()])
            .status
            .success()
    );

    // By its name and by a symbolic link to it.
    let link = shared.dir.path().join("link.db");
    std::os::unix::fs::symlink(shared.database(), &link).unwrap();
    let second = World::new("");
    let holder = format!("pid {}", first.daemon_pid());
    let words = [
        "is in use by a daemon (auto-claude serve)",
        &holder,
        first.dir().to_str().unwrap(),
        "database_url",
    ];
    for (database, arguments) in [
        (&shared.database(), &["serve"][..]),
        (&shared.database(), &["run", "true"]),
        (&link, &["restore", backup.to_str().unwrap()]),
        (&link, &["serve"]),
    ] {
        assert_refused(second.dir(), database, arguments, IN_USE, &words);
    }
    // What only reads may read.
    let check = Command::new(AUTO_CLAUDE)
        .arg("--state-dir")
        .arg(second.dir())
        .arg("check")
        .env("DATABASE_URL", address(&shared.database()))
        .output()
        .unwrap();
    assert!(check.status.success(), "{check:?}");
    assert_undisturbed(&first, &shared.go_on(), &id, worker);

    // Once the first has left, the second may have it.
    assert!(first.stop_daemon().success());
    let mut second = world_on(&link);
    second.start();
    assert_eq!(second.task(&id)["state"], "completed");
}

#[test]
fn a_database_whose_attempts_run_elsewhere_is_refused_until_they_have_ended() {
    let shared = Shared::new();
    let mut first = world_on(&shared.database());
    first.start();
    let id = submit_long(&first, &shared.go_on());
    let worker = first.workers()[0];
    // The attempt goes on; nobody holds the database any more.
    first.kill_daemon();

    let mut second = world_on(&shared.database());
    let records = first.dir().join("records");
    let words = [
        shared.database().to_str().unwrap().to_owned(),
        "1 running attempts".to_owned(),
        records.to_str().unwrap().to_owned(),
        format!("--state-dir {}", first.dir().display()),
    ];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for arguments in [&["serve"][..], &["run", "true"]] {
        assert_refused(
            second.dir(),
            &shared.database(),
            arguments,
            STORE_REFUSED,
            &words,
        );
    }
    first.start();
    assert_undisturbed(&first, &shared.go_on(), &id, worker);
    assert!(first.stop_daemon().success());
    second.start();
    assert_eq!(second.task(&id)["state"], "completed");
}

#[test]
fn a_state_directory_that_was_moved_keeps_its_attempts() {
    let shared = Shared::new();
    let mut first = World::new("disk_reserve_mb = 1");
    first.start();
    let id = submit_long(&first, &shared.go_on());
    let worker = first.workers()[0];
    first.kill_daemon();

    let moved = World::new("");
    std::fs::remove_dir_all(moved.dir()).unwrap();
    std::fs::rename(first.dir(), moved.dir()).unwrap();
    let mut moved = moved;
    moved.start();
    assert_undisturbed(&moved, &shared.go_on(), &id, worker);
}

#[test]
fn a_lock_is_never_written_through_a_link() {
    let shared = Shared::new();
    let victim = shared.dir.path().join("victim");
    std::fs::write(&victim, "mine").unwrap();
    std::os::unix::fs::symlink(&victim, shared.dir.path().join("shared.db.lock")).unwrap();
    let world = World::new("");
    assert_refused(
        world.dir(),
        &shared.database(),
        &["serve"],
        1,
        &["cannot lock", "shared.db.lock", "symbolic links"],
    );
    assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
}
