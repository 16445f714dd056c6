//! Opening: what is refused stays as it is, byte for byte; what is ours opens as it was.
#![expect(clippy::unwrap_used, reason = "tests")]

mod store_support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use auto_claude::budget::{Amounts, Budget, Scope};
use auto_claude::store::{
    Like, OpenError, OpenOptions, Reservation, Store, StoreError, Tx, backup, check,
};
use auto_claude::task::{AttemptId, State, TaskType, Timestamp};
use rusqlite::Connection;
use store_support::{assert_refused, at, closed, damage, fill, id, open, options};

#[test]
fn a_new_database_is_private_and_has_a_reserve() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for name in [
        "tasks.db",
        "tasks.db-wal",
        "tasks.db-shm",
        "tasks.db.reserve",
    ] {
        let mode = fs::metadata(directory.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(
        fs::metadata(directory.path().join("tasks.db.reserve"))
            .unwrap()
            .len(),
        64 * 1024
    );
    assert!(store.release_reserve().unwrap());
    assert!(!store.release_reserve().unwrap(), "there is none left");
    store.restore_reserve().unwrap();
    assert!(directory.path().join("tasks.db.reserve").exists());
    assert_eq!(
        store.reader().unwrap().meta("created_at").unwrap(),
        Some(at(0).to_string())
    );
}

#[test]
fn settings_of_the_connection_hold() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let conn = Connection::open(options(directory.path()).path).unwrap();
    let text = |name: &str| {
        conn.pragma_query_value(None, name, |row| row.get::<_, String>(0))
            .unwrap()
    };
    let number = |name: &str| {
        conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(text("journal_mode"), "wal");
    assert_eq!(number("application_id"), 0x6163_6c64);
    assert_eq!(number("user_version"), 4);
    let loose: i64 = conn
        .query_row("SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0 AND name NOT LIKE 'sqlite_%'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(loose, 0, "every table is STRICT");
}

#[test]
fn what_is_no_database_of_ours_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let path = options(directory.path()).path;

    fs::write(&path, "dear diary\n".repeat(1_000)).unwrap();
    assert!(matches!(
        assert_refused(directory.path()),
        OpenError::NotADatabase { .. }
    ));

    fs::remove_file(&path).unwrap();
    let foreign = Connection::open(&path).unwrap();
    foreign
        .execute_batch("CREATE TABLE t (x); PRAGMA application_id = 7")
        .unwrap();
    drop(foreign);
    assert!(matches!(
        assert_refused(directory.path()),
        OpenError::Foreign {
            application_id: 7,
            ..
        }
    ));

    fs::remove_file(&path).unwrap();
    let foreign = Connection::open(&path).unwrap();
    foreign
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")
        .unwrap();
    // Everything of it is still in its log.
    let log = fs::read(directory.path().join("tasks.db-wal")).unwrap();
    let main = fs::read(&path).unwrap();
    drop(foreign);
    fs::write(&path, main).unwrap();
    fs::write(directory.path().join("tasks.db-wal"), log).unwrap();
    assert!(matches!(
        assert_refused(directory.path()),
        OpenError::Foreign {
            application_id: 0,
            ..
        }
    ));
}

#[test]
fn a_newer_schema_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let path = closed(directory.path(), 4);
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    let error = assert_refused(directory.path());
    assert!(
        matches!(
            error,
            OpenError::Newer {
                found: 99,
                known: 4,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("schema 99"), "{error}");
}

#[test]
fn a_damaged_structure_is_refused_untouched() {
    const PAGE: usize = 4096;
    let directory = tempfile::tempdir().unwrap();
    let path = closed(directory.path(), 300);
    let sound = fs::read(&path).unwrap();
    assert!(sound.len() > 40 * PAGE);

    fs::write(&path, &sound[..sound.len() / 2]).unwrap();
    assert!(
        matches!(assert_refused(directory.path()), OpenError::Corrupt { .. }),
        "truncated"
    );

    for page in [1, 5, 12, 30] {
        let mut bytes = sound.clone();
        bytes[page * PAGE..(page + 1) * PAGE].fill(0xa5);
        fs::write(&path, &bytes).unwrap();
        assert!(
            matches!(assert_refused(directory.path()), OpenError::Corrupt { .. }),
            "page {page} overwritten"
        );
    }

    let mut bytes = sound.clone();
    bytes[..16].fill(b'x');
    fs::write(&path, &bytes).unwrap();
    assert!(
        matches!(
            assert_refused(directory.path()),
            OpenError::NotADatabase { .. }
        ),
        "header overwritten"
    );

    fs::write(&path, &sound).unwrap();
    drop(open(directory.path()));
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = options(directory.path()).path;
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
    let refused = || Store::open(&options(directory.path()), at(0)).unwrap_err();
    let is =
        |error: OpenError, name| matches!(error, OpenError::NotAFile { kind, .. } if kind == name);
    assert!(is(refused(), "a named pipe"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(is(refused(), "a directory"));
}

#[test]
fn a_database_that_lacks_a_part_of_its_schema_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let path = closed(directory.path(), 4);
    let sound = fs::read(&path).unwrap();
    for (sql, name) in [
        ("DROP TABLE journal", "table \"journal\""),
        ("DROP TABLE waits", "table \"waits\""),
        ("DROP INDEX tasks_slot", "index \"tasks_slot\""),
        ("DROP TRIGGER count_update", "trigger \"count_update\""),
        (
            "DROP INDEX tasks_slot; CREATE INDEX tasks_slot ON tasks (slot)",
            "index \"tasks_slot\"",
        ),
        ("PRAGMA user_version = 0", "user_version"),
    ] {
        fs::write(&path, &sound).unwrap();
        damage(&path, sql);
        let error = assert_refused(directory.path());
        assert!(matches!(error, OpenError::Corrupt { .. }), "{sql}: {error}");
        let said = error.to_string();
        assert!(said.contains(name) && !said.contains('\n'), "{sql}: {said}");
        check(&path, &mut |_| {}).expect_err("a check says so, too");
    }
    // What somebody added is none of our business.
    fs::write(&path, &sound).unwrap();
    damage(&path, "CREATE TABLE mine (x); ANALYZE");
    drop(open(directory.path()));
}

#[test]
fn another_vfs_can_be_named() {
    let directory = tempfile::tempdir().unwrap();
    let vfs = |name: &str| OpenOptions {
        vfs: Some(String::from(name)),
        ..options(directory.path())
    };
    let mut store = Store::open(&vfs("unix-excl"), at(0)).unwrap();
    fill(&mut store, 4);
    drop(store);
    assert!(
        check(&options(directory.path()).path, &mut |_| {})
            .unwrap()
            .is_sound()
    );
    let error = Store::open(&vfs("nowhere"), at(0)).unwrap_err();
    assert!(matches!(error, OpenError::Store { .. }), "{error:?}");
}

#[test]
fn a_missing_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let error = Store::open(&options(&directory.path().join("nowhere")), at(0)).unwrap_err();
    assert!(
        matches!(&error, OpenError::File { path, .. } if path.ends_with("nowhere")),
        "{error:?}"
    );
}

/// What a fixture holds, opened by this program.
fn opens_with_its_tasks(fixture: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = options(directory.path()).path;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store");
    fs::copy(fixtures.join(fixture), &path).unwrap();
    let store = open(directory.path());
    assert!(store.set_aside().is_empty(), "{fixture}");
    let reader = store.reader().unwrap();
    let counts = reader.counts().unwrap();
    assert_eq!(counts.of(State::Pending), 4, "{fixture}");
    assert_eq!(counts.of(State::Processing), 1, "{fixture}");
    let first = reader.task(&id(0)).unwrap().unwrap();
    assert_eq!(first.life.state, State::Completed, "{fixture}");
    assert_eq!(reader.journal(&id(0)).unwrap().len(), 3, "{fixture}");
    drop((store, reader));
    let report = check(&path, &mut |_| {}).unwrap();
    assert!(report.is_sound(), "{fixture}");
    // Once more, without a migration: every table is now as this program makes it.
    drop(open(directory.path()));
}

#[test]
fn a_database_of_schema_1_opens() {
    opens_with_its_tasks("schema_1.db");
}

#[test]
fn a_database_of_schema_3_opens() {
    opens_with_its_tasks("schema_3.db");
}

#[test]
fn a_database_of_schema_2_opens_and_its_ledger_learns_what_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store/schema_2.db");
    let path = options(directory.path()).path;
    fs::copy(fixture, &path).unwrap();
    let conn = Connection::open(&path).unwrap();
    let row = "INSERT INTO ledger VALUES (?1, ?2, 5, 0, '/p', 'claude', 'default', 'm', 700, 0, 1, 2, 3, 4, 9)";
    // Of a completed task, of one that goes on, and of one that has been cleaned up.
    for (task, attempt) in [(id(0), 1), (id(1), 1), (id(77), 3)] {
        conn.execute(row, (task.as_str(), attempt)).unwrap();
    }
    drop(conn);
    let store = open(directory.path());
    assert!(store.set_aside().is_empty());
    let reader = store.reader().unwrap();
    assert_eq!(
        reader.task(&id(0)).unwrap().unwrap().life.state,
        State::Completed
    );
    let ledger = reader.ledger();
    let used = ledger.used(&Scope::Day, at(0)).unwrap();
    let before = ledger.used(&Scope::Day, Timestamp::from_ms(0)).unwrap();
    assert_eq!(
        (used.amounts.micro_usd, before.amounts.micro_usd),
        (0, 2_100)
    );
    assert_eq!((before.amounts.tokens, before.amounts.run_ms), (30, 27));
    let like = |task_type| Like {
        agent: "claude".to_owned(),
        model: Some("m".to_owned()),
        task_type,
        project: "/p".to_owned(),
    };
    let samples = ledger.samples(&like(TaskType::Lightweight)).unwrap();
    assert_eq!(samples.len(), 1, "one was completed: {samples:?}");
    assert_eq!(
        (
            samples[0].used.micro_usd,
            samples[0].same_type,
            samples[0].same_project
        ),
        (700, true, true)
    );
    let other = ledger.samples(&like(TaskType::HeavyContext)).unwrap();
    assert!(!other[0].same_type, "{other:?}");
    assert_eq!(ledger.reserved(&Scope::Day).unwrap(), Amounts::default());
    drop((store, reader));
    assert!(check(&path, &mut |_| {}).unwrap().is_sound());
}

#[test]
fn reservations_are_added_up_by_scope_and_released_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    fill(&mut store, 2);
    let attempt = |n: u64, generation| AttemptId {
        task: id(n),
        generation,
    };
    let row = |n, project: &str, account: &str| Reservation {
        attempt: attempt(n, 1),
        at: at(1),
        project: project.to_owned(),
        agent: "claude".to_owned(),
        account: account.to_owned(),
        share: Budget {
            micro_usd: Some(100),
            tokens: (n == 0).then_some(7),
            run_ms: None,
        },
    };
    let step = |store: &mut Store, act: &dyn Fn(&Tx<'_>) -> Result<(), StoreError>| {
        let mut batch = store.batch().unwrap();
        batch.step(|tx| act(tx)).unwrap();
        batch.commit().unwrap();
    };
    step(&mut store, &|tx| {
        tx.reserve(&row(0, "/a", "work"))?;
        tx.reserve(&row(1, "/b", "work"))
    });
    let reader = store.reader().unwrap();
    let reserved = |scope: &Scope| {
        let sum = reader.ledger().reserved(scope).unwrap();
        (sum.micro_usd, sum.tokens)
    };
    let session = Scope::Session {
        project: "/b".to_owned(),
    };
    let account = |name: &str| Scope::Account {
        agent: "claude".to_owned(),
        name: name.to_owned(),
    };
    assert_eq!(reserved(&Scope::Day), (200, 7));
    assert_eq!(reserved(&session), (100, 0));
    assert_eq!(reserved(&account("work")), (200, 7));
    assert_eq!(reserved(&account("other")), (0, 0));
    step(&mut store, &|tx| {
        assert_eq!(tx.release(&attempt(0, 2))?, None, "of another attempt");
        assert_eq!(tx.release(&attempt(0, 1))?.unwrap().tokens, Some(7));
        assert_eq!(tx.release(&attempt(0, 1))?, None, "once");
        Ok(())
    });
    assert_eq!(reserved(&Scope::Day), (100, 0));
    // The second task runs. What an attempt has that no task holds a slot for belongs to nobody.
    step(&mut store, &|tx| {
        tx.reserve(&Reservation {
            attempt: attempt(1, 9),
            ..row(1, "/b", "work")
        })?;
        assert_eq!(tx.release_strays()?, 1);
        Ok(())
    });
    assert_eq!(reserved(&Scope::Day), (100, 0));
}

/// Writes the fixture of the newest schema; run by hand, once, when a schema is released:
/// `cargo test --test store_open tool_ -- --ignored`.
#[test]
#[ignore = "tool: writes a fixture into the source tree"]
fn tool_write_the_fixture_of_the_newest_schema() {
    let directory = tempfile::tempdir().unwrap();
    closed(directory.path(), 6);
    let version: u32 = Connection::open(options(directory.path()).path)
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/fixtures/store/schema_{version}.db"));
    assert!(
        !fixture.exists(),
        "a released schema's fixture is never written again: {fixture:?}"
    );
    backup(&options(directory.path()), &fixture, &mut |_| {}).unwrap();
}
