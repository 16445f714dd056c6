//! State directories, databases and socket paths that cannot be used: the daemon says so in one clear line, with a named
//! exit code, and leaves everything as it was.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;
mod fault_kit;

use std::collections::BTreeMap;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{AUTO_CLAUDE, World, is_root};
use fault_kit::{WorldDisk, has_tool};

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const IN_USE: i32 = 4;
const STORE_REFUSED: i32 = 5;

/// A directory for one test.
fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("auto-claude-dir-")
        .tempdir()
        .unwrap()
}

/// `auto-claude serve` on `dir`, by `program`.
#[expect(
    clippy::disallowed_methods,
    reason = "the program under test is started"
)]
fn serve(dir: &Path, program: &[&str]) -> Command {
    let mut command = Command::new(program[0]);
    command
        .args(&program[1..])
        .arg("serve")
        .arg("--state-dir")
        .arg(dir)
        .stdin(Stdio::null());
    command
}

/// The daemon does not start here: it leaves with `code`, and the last line it says holds all of `words`.
fn assert_refused(dir: &Path, code: i32, words: &[&str]) {
    assert_refused_by(serve(dir, &[AUTO_CLAUDE]), code, words);
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program under test is started"
)]
fn assert_refused_by(mut command: Command, code: i32, words: &[&str]) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    let last = said.trim_end().lines().last().unwrap_or_default();
    for word in words {
        assert!(
            last.contains(word),
            "no {word:?} in the last line of:\n{said}"
        );
    }
    assert!(
        !said.contains("panicked") && !said.contains("RUST_BACKTRACE"),
        "{said}"
    );
}

/// Every file below `dir` with its bytes, without the daemon's logs and locks.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap().flatten() {
            let path = entry.path();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !path.ends_with("logs") {
                open.push(path);
            } else if kind.is_file()
                && path.extension().is_none_or(|end| end != "lock")
                && !path.ends_with("daemon.out")
            {
                found.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// A state directory in which a daemon has run some tasks and was stopped.
fn used() -> World {
    let mut world = World::new("disk_reserve_mb = 1");
    world.start();
    for n in 0..5 {
        let id = world.submit("n", &format!("exit {n}"));
        world.wait_final(&id);
    }
    assert!(world.stop_daemon().success());
    world
}

#[test]
fn a_missing_directory_is_made_for_its_owner_alone() {
    let place = scratch();
    let dir = place.path().join("a/b");
    let mut world = World::new("");
    let mut command = serve(&dir, &[AUTO_CLAUDE]);
    command
        .env("AUTO_CLAUDE_TEST", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // The world waits for its own socket: let it be the same.
    std::os::unix::fs::symlink(
        dir.join("auto-claude.sock"),
        world.dir().join("auto-claude.sock"),
    )
    .unwrap();
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::remove_dir_all(place.path().join("a")).unwrap();
    world.start_by(command);
    for inside in ["", "logs", "tasks", "records", "run"] {
        let mode = std::fs::metadata(dir.join(inside))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700, "{inside}");
    }
    for inside in ["auto-claude.db", "auto-claude.sock"] {
        let mode = std::fs::metadata(dir.join(inside))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{inside}");
    }
    assert!(world.stop_daemon().success());
}

#[test]
fn a_file_in_the_place_of_a_directory_is_told() {
    let place = scratch();
    let file = place.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    assert_refused(
        &file,
        USAGE,
        &[file.to_str().unwrap(), "it is a file, not a directory"],
    );
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");

    let dir = place.path().join("dir");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("records"), "mine").unwrap();
    assert_refused(
        &dir,
        FAILED,
        &["cannot use ", dir.join("records").to_str().unwrap()],
    );
    assert_eq!(std::fs::read(dir.join("records")).unwrap(), b"mine");
}

#[test]
fn a_read_only_directory_is_told() {
    let what = "a read-only state directory";
    if !(is_root(what) && has_tool("mke2fs", what)) {
        return;
    }
    for used_before in [false, true] {
        let mut world = World::new("disk_reserve_mb = 1");
        let Some(disk) = WorldDisk::over(&world, what, 24, &[]) else {
            return;
        };
        if used_before {
            world.start();
            assert!(world.stop_daemon().success());
        }
        fault_kit::run(
            "mount",
            &["-o", "remount,ro", disk.point().to_str().unwrap()],
        );
        assert_refused(
            world.dir(),
            FAILED,
            &[world.dir().to_str().unwrap(), "Read-only file system"],
        );
    }
}

#[test]
fn wrong_rights_are_told() {
    let what = "wrong rights";
    if !(is_root(what) && has_tool("setpriv", what)) {
        return;
    }
    let place = scratch();
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap()
    };
    open(place.path(), 0o755);
    let program = place.path().join("auto-claude");
    std::fs::copy(AUTO_CLAUDE, &program).unwrap();
    let nobody = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        program.to_str().unwrap(),
    ];

    let dir = place.path().join("roots");
    std::fs::create_dir(&dir).unwrap();
    open(&dir, 0o700);
    assert_refused_by(
        serve(&dir, &nobody),
        USAGE,
        &[dir.to_str().unwrap(), "Permission denied"],
    );
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);

    // A directory of its own, with a database that a root's daemon has left there.
    let dir = place.path().join("mixed");
    std::fs::create_dir(&dir).unwrap();
    std::os::unix::fs::chown(&dir, Some(65534), Some(65534)).unwrap();
    std::fs::write(dir.join("auto-claude.db"), "").unwrap();
    open(&dir.join("auto-claude.db"), 0o600);
    let database = dir.join("auto-claude.db");
    assert_refused_by(
        serve(&dir, &nobody),
        STORE_REFUSED,
        &[database.to_str().unwrap(), "unable to open database file"],
    );
}

#[test]
fn a_socket_path_that_is_too_long_is_told_before_anything_is_made() {
    let place = scratch();
    let dir = place.path().join("x".repeat(110));
    assert_refused(
        &dir,
        USAGE,
        &[
            "auto-claude.sock",
            "the system takes 107",
            "choose a shorter --state-dir",
        ],
    );
    assert!(!dir.exists());
}

#[test]
fn a_socket_that_answers_is_left_to_its_owner() {
    let world = used();
    let path = world.dir().join("auto-claude.sock");
    let stranger = UnixListener::bind(&path).unwrap();
    assert_refused(
        world.dir(),
        FAILED,
        &[
            path.to_str().unwrap(),
            "is in use by another process",
            "choose another --state-dir",
        ],
    );
    assert!(path.exists());
    drop(stranger);
}

#[test]
fn a_stale_socket_is_replaced() {
    let mut world = used();
    let path = world.dir().join("auto-claude.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    world.start();
    assert!(world.stop_daemon().success());
    assert!(!path.exists(), "what the daemon made it takes away");
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let world = used();
    let path = world.dir().join("auto-claude.sock");
    std::fs::write(&path, "mine").unwrap();
    assert_refused(
        world.dir(),
        FAILED,
        &[
            path.to_str().unwrap(),
            "is no socket",
            "move it away, or choose another --state-dir",
        ],
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

#[test]
fn a_second_daemon_names_the_first() {
    let mut world = World::new("");
    world.start();
    let first = format!("pid {}", world.daemon_pid());
    assert_refused(
        world.dir(),
        IN_USE,
        &[
            world.dir().to_str().unwrap(),
            "is in use by",
            &first,
            "stop that one first",
        ],
    );
    let id = world.submit("n", "true");
    assert_eq!(
        world.wait_final(&id)["state"],
        "completed",
        "the first is not disturbed"
    );
}

/// What is done to a database, and what the daemon then says of it.
type Damage = (&'static str, fn(&std::fs::File), &'static [&'static str]);

fn damages() -> [Damage; 7] {
    [
        (
            "its first bytes",
            |file| file.write_all_at(b"SQLite?", 0).unwrap(),
            &["it is not an SQLite database", "restore a backup"],
        ),
        (
            "a page's type",
            |file| file.write_all_at(&[0xee], 4096).unwrap(),
            &["it is damaged", "restore a backup"],
        ),
        (
            "a page's cells",
            |file| file.write_all_at(&[0xff; 64], 3 * 4096).unwrap(),
            &["it is damaged", "restore a backup"],
        ),
        (
            "its second half",
            |file| {
                file.set_len(file.metadata().unwrap().len() / 8192 * 4096)
                    .unwrap()
            },
            &["it is damaged", "restore a backup"],
        ),
        (
            "all but 50 bytes",
            |file| file.set_len(50).unwrap(),
            &["it is damaged", "restore a backup"],
        ),
        (
            "its schema's number",
            |file| file.write_all_at(&99_u32.to_be_bytes(), 60).unwrap(),
            &["it has schema 99", "use the newer program"],
        ),
        (
            "its owner",
            |file| file.write_all_at(b"Fire", 68).unwrap(),
            &["the database of another program"],
        ),
    ]
}

#[test]
fn a_database_that_is_damaged_foreign_or_newer_is_refused_and_stays_as_it_is() {
    let world = used();
    let database = world.dir().join("auto-claude.db");
    let whole = std::fs::read(&database).unwrap();
    for (what, damage, words) in damages() {
        std::fs::write(&database, &whole).unwrap();
        damage(
            &std::fs::File::options()
                .read(true)
                .write(true)
                .open(&database)
                .unwrap(),
        );
        let before = files(world.dir());
        let words: Vec<&str> = words
            .iter()
            .copied()
            .chain([database.to_str().unwrap()])
            .collect();
        println!("{what}");
        assert_refused(world.dir(), STORE_REFUSED, &words);
        let after = files(world.dir());
        assert_eq!(
            before.keys().collect::<Vec<_>>(),
            after.keys().collect::<Vec<_>>(),
            "{what}"
        );
        for (path, bytes) in &before {
            let places: Vec<usize> = (0..bytes.len())
                .filter(|place| after[path].get(*place) != Some(&bytes[*place]))
                .collect();
            // The log's index in shared memory holds nothing of its own: SQLite makes it anew at each opening.
            if path.extension().is_some_and(|end| end == "db-shm") {
                continue;
            }
            let same = places.is_empty() && after[path].len() == bytes.len();
            assert!(
                same,
                "{what}: {} was changed at {:?}",
                path.display(),
                places.iter().take(20).collect::<Vec<_>>()
            );
        }
    }
}
