//! What a SIGKILL or a person leaves of a database: its log damaged, its main file empty or gone. Nothing that was
//! acknowledged vanishes without a word.
#![expect(clippy::unwrap_used, reason = "tests")]

mod store_support;

use std::fs;
use std::path::Path;

use auto_claude::store::{OpenError, OpenOptions, Store, check};
use rusqlite::Connection;
use store_support::{assert_refused, at, files, id, new, open, options, submit};

/// A directory as a SIGKILL leaves it: `tasks` acknowledged, and all of them but the schema still in the log.
fn killed(tasks: u64) -> tempfile::TempDir {
    let (alive, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = open(alive.path());
    for n in 0..tasks {
        let mut batch = store.batch().unwrap();
        submit(&mut batch, &new(n));
        batch.commit().unwrap();
    }
    for (name, bytes) in files(alive.path()) {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    directory
}

#[test]
fn from_its_creation_on_the_main_file_has_the_schema() {
    let directory = killed(3);
    let main = fs::read(options(directory.path()).path).unwrap();
    assert!(
        main.len() > 4096 && main[68..72] == *b"acld",
        "{}",
        main.len()
    );
}

#[test]
fn what_a_kill_leaves_opens_with_everything() {
    let directory = killed(30);
    let store = open(directory.path());
    assert_eq!(store.reader().unwrap().counts().unwrap().total(), 30);
}

#[test]
fn a_damaged_log_is_refused_untouched() {
    let directory = killed(30);
    let log = directory.path().join("tasks.db-wal");
    let sound = fs::read(&log).unwrap();
    let middle = 32 + 40 * (24 + 4096);
    assert!(sound.len() > 2 * middle, "{}", sound.len());
    for byte in (0..32).chain([32, 40, 60, 1_000, middle + 8, middle + 3_000]) {
        let mut bytes = sound.clone();
        bytes[byte] ^= 0x20;
        fs::write(&log, bytes).unwrap();
        let error = assert_refused(directory.path());
        assert!(
            matches!(error, OpenError::Corrupt { .. }),
            "byte {byte}: {error}"
        );
        assert!(error.to_string().contains("tasks.db-wal"), "{error}");
        check(&options(directory.path()).path, &mut |_| {}).expect_err("a check sees it, too");
    }
    let mut bytes = sound.clone();
    bytes[8..12].copy_from_slice(&1024_u32.to_be_bytes());
    fs::write(&log, bytes).unwrap();
    assert_refused(directory.path());

    // Cut anywhere, it is what a loss of power leaves.
    for end in [31, 32, 33, 4_000, 5_000, middle + 100, sound.len() - 1] {
        fs::write(&log, &sound[..end]).unwrap();
        drop(open(directory.path()));
        for (name, bytes) in files(killed(30).path()) {
            fs::write(directory.path().join(name), bytes).unwrap();
        }
    }
}

#[test]
fn an_empty_or_missing_file_beside_what_is_left_of_a_database_is_refused_untouched() {
    let directory = killed(5);
    let path = options(directory.path()).path;
    fs::write(&path, "").unwrap();
    let refused = |directory: &Path, left: &str| {
        let error = assert_refused(directory);
        assert!(
            matches!(&error, OpenError::Bereft { left: found, .. } if found.ends_with(left)),
            "{error}"
        );
    };
    refused(directory.path(), "tasks.db-wal");
    fs::remove_file(&path).unwrap();
    refused(directory.path(), "tasks.db-wal");
    check(&path, &mut |_| {}).expect_err("a check deletes no log");
    refused(directory.path(), "tasks.db-wal");

    let directory = killed(5);
    fs::remove_file(directory.path().join("tasks.db-wal")).unwrap();
    let error = assert_refused(directory.path());
    assert!(matches!(error, OpenError::LogMissing { .. }), "{error}");
}

#[test]
fn an_empty_database_beside_tasks_files_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let kin = directory.path().join("kin");
    fs::create_dir_all(kin.join("lost+found")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        kin: vec![directory.path().join("nowhere"), kin.clone()],
        ..options(place.path())
    };
    let refused = || {
        let before = files(place.path());
        let error = Store::open(&options, at(0)).expect_err("opened what it must refuse");
        assert!(matches!(error, OpenError::Bereft { .. }), "{error}");
        let mut after = files(place.path());
        after.retain(|name, bytes| {
            !(name.ends_with("-shm") || bytes.is_empty()) || before.contains_key(name)
        });
        assert!(before == after);
    };
    drop(Store::open(&options, at(0)).unwrap());
    fs::create_dir(kin.join(id(1).as_str())).unwrap();
    // One that has a schema is known to be ours.
    drop(Store::open(&options, at(0)).unwrap());
    fs::write(&options.path, "").unwrap();
    refused();
    fs::remove_file(&options.path).unwrap();
    refused();
    // Blank, but not empty: what the earlier program left when its log was taken away.
    let blank = Connection::open(&options.path).unwrap();
    blank
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA user_version = 0; VACUUM")
        .unwrap();
    drop(blank);
    assert!(fs::metadata(&options.path).unwrap().len() > 0);
    refused();
    fs::remove_dir(kin.join(id(1).as_str())).unwrap();
    drop(Store::open(&options, at(0)).unwrap());
}
