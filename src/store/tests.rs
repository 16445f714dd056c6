//! What can only be tested from inside: migrations with other lists than the real one, and that queries use their indexes.

use rusqlite::Connection;

use super::open::{OpenOptions, open_writer};
use super::schema::{self, MIGRATIONS};
use super::{OpenError, check, queue, reader, retain, waits};
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
