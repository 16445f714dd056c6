//! What can only be tested from inside: migrations with other lists than the real one, and that queries use their indexes.

use rusqlite::Connection;

use super::open::{OpenOptions, open_writer};
use super::schema::{self, MIGRATIONS};
use super::{OpenError, check, queue, reader, retain, tx, waits};
use crate::task::Timestamp;

const NOW: Timestamp = Timestamp::from_ms(1_700_000_000_000);

fn version(conn: &Connection) -> u32 {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

#[test]
fn a_migration_saves_the_database_first() {
    let directory = tempfile::tempdir().unwrap();
    let options = OpenOptions::at(directory.path().join("tasks.db"));
    drop(open_writer(&options, MIGRATIONS, NOW).unwrap());
    let mut longer = MIGRATIONS.to_vec();
    longer.push("CREATE TABLE later (x INTEGER) STRICT");
    let conn = open_writer(&options, &longer, NOW).unwrap();
    assert_eq!(version(&conn), schema::newest(&longer));
    conn.execute("INSERT INTO later VALUES (1)", []).unwrap();
    let saved = directory.path().join(format!(
        "tasks.db.schema-{}.backup-1",
        schema::newest(MIGRATIONS)
    ));
    assert!(check(&saved, &mut |_| {}).unwrap().is_sound());
    drop(conn);
    // Up to date: nothing to save again.
    drop(open_writer(&options, &longer, NOW).unwrap());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    // The older program leaves the newer database alone.
    let refused = open_writer(&options, MIGRATIONS, NOW);
    assert!(
        matches!(refused, Err(OpenError::Newer { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_migration_that_fails_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let options = OpenOptions::at(directory.path().join("tasks.db"));
    drop(open_writer(&options, MIGRATIONS, NOW).unwrap());
    let mut broken = MIGRATIONS.to_vec();
    broken.push("CREATE TABLE later (x INTEGER) STRICT; this is no SQL");
    assert!(open_writer(&options, &broken, NOW).is_err());
    let conn = open_writer(&options, MIGRATIONS, NOW).unwrap();
    assert_eq!(version(&conn), schema::newest(MIGRATIONS));
    assert!(conn.prepare("SELECT * FROM later").is_err());
}

/// A pending task as schema 1 knows it.
const OLD_TASK: &str = "INSERT INTO tasks (id, uid, key, fingerprint, created_at, name, priority, state, generation, retries, \
     restarts, resume, pause_reasons, resume_to, events, unmet, turn) \
     VALUES ('task_0123456789abc', 1000, 'k', 1, 0, 'build', 1, 'pending', 0, 0, '[]', 0, '[]', 'pending', 1, 0, 3)";

#[test]
fn a_database_of_any_earlier_schema_keeps_its_tasks_and_gets_every_check() {
    for version in 1..=MIGRATIONS.len() {
        let directory = tempfile::tempdir().unwrap();
        let options = OpenOptions::at(directory.path().join("tasks.db"));
        let old = open_writer(&options, &MIGRATIONS[..version], NOW).unwrap();
        old.execute(OLD_TASK, []).unwrap();
        drop(old);
        let conn = open_writer(&options, MIGRATIONS, NOW).unwrap();
        for bad in [
            "state = 'done'",
            "resume_to = 'x'",
            "finished_at = 1",
            "turn = 4",
        ] {
            let refused = conn.execute(&format!("UPDATE tasks SET {bad}"), []);
            assert!(
                matches!(&refused, Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)),
                "from schema {version}: {bad}: {refused:?}"
            );
        }
        for good in [
            "state = 'testing', slot = 1, generation = 1, turn = 0",
            "resume_to = 'waiting_unban'",
        ] {
            let changed = conn.execute(&format!("UPDATE tasks SET {good}"), []);
            assert_eq!(changed, Ok(1), "from schema {version}: {good}");
        }
        // Nobody may write into the schema any more.
        let written =
            conn.execute_batch("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = ''");
        assert!(written.is_err(), "from schema {version}");
        drop(conn);
        // A second look at what is on the disk: the tables are those of a new database.
        drop(open_writer(&options, MIGRATIONS, NOW).unwrap());
    }
}

#[test]
fn a_transition_makes_no_temporary_table() {
    let directory = tempfile::tempdir().unwrap();
    let options = OpenOptions::at(directory.path().join("tasks.db"));
    let conn = open_writer(&options, MIGRATIONS, NOW).unwrap();
    let mut statement = conn.prepare(&format!("EXPLAIN {}", tx::MOVE)).unwrap();
    let steps: Vec<String> = statement
        .query_map(
            rusqlite::params_from_iter(std::iter::repeat_n(None::<i64>, 25)),
            |row| row.get(1),
        )
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap();
    assert!(steps.iter().any(|step| step == "Insert"), "{steps:?}");
    assert!(
        !steps.iter().any(|step| step == "OpenEphemeral"),
        "{steps:?}"
    );
}

/// What SQLite would do, line by line.
fn plan(conn: &Connection, sql: &str) -> Vec<String> {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let count = statement.parameter_count();
    let nulls = rusqlite::params_from_iter(std::iter::repeat_n(None::<i64>, count));
    statement
        .query_map(nulls, |row| row.get(3))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap()
}

#[test]
fn queries_use_their_indexes() {
    let directory = tempfile::tempdir().unwrap();
    let options = OpenOptions::at(directory.path().join("tasks.db"));
    let conn = open_writer(&options, MIGRATIONS, NOW).unwrap();
    for (sql, index) in [
        (queue::CLAIMABLE, "tasks_ready"),
        (queue::RUNNING, "tasks_slot"),
        (queue::DUE, "tasks_timed"),
        (queue::NEXT_DUE, "tasks_timed"),
        (queue::LANE_BUSY, "tasks_lane_busy"),
        (queue::LANE_BEST, "tasks_lane"),
        (queue::LANE_READY, "tasks_lane_ready"),
        (waits::DEPENDANTS, "waits_on"),
        (retain::OLD, "tasks_finished"),
        (super::fold::MOVED, "tasks_moved"),
        (super::fold::RUNNING, "tasks_slot"),
        (reader::SCAN_NEWEST, "INTEGER PRIMARY KEY"),
        (reader::SCAN_OLDEST, "INTEGER PRIMARY KEY"),
        (reader::SCAN_STATE_NEWEST, "tasks_by_state"),
        (reader::SCAN_STATE_OLDEST, "tasks_by_state"),
        (reader::PREFIX, "sqlite_autoindex_tasks_1"),
    ] {
        let plan = plan(&conn, sql);
        assert!(
            plan.iter().any(|line| line.contains(index)),
            "{sql}\nuses {plan:#?}"
        );
        let whole = |line: &&String| line.starts_with("SCAN") && !line.contains("INDEX");
        assert!(
            plan.iter().find(whole).is_none(),
            "{sql}\nreads a whole table: {plan:#?}"
        );
        // Dependants are few and sorted; everything else comes in order.
        let sorts = plan.iter().any(|line| line.contains("TEMP B-TREE")) && index != "waits_on";
        assert!(!sorts, "{sql}\nsorts: {plan:#?}");
    }
}
