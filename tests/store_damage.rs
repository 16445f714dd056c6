//! Rows that are not as they should be: refused when written, set aside when found; the others go on.
#![expect(clippy::unwrap_used, reason = "tests")]

mod store_support;

use auto_claude::store::{ListFilter, Store, StoreError, check};
use auto_claude::task::Actor;
use rusqlite::Connection;
use store_support::{at, claimed, closed, damage, id, open};

#[test]
fn a_damaged_task_is_set_aside_and_the_rest_goes_on() {
    // Tasks 2 (running) is `seq` 2; tasks 3… are pending.
    for (sql, reason) in [
        (
            "UPDATE journal SET event = '{}' WHERE task = 2 AND n = 2",
            "journal record 2",
        ),
        (
            "UPDATE journal SET event = 'torn' WHERE task = 2 AND n = 1",
            "journal record 1",
        ),
        (
            "DELETE FROM journal WHERE task = 2 AND n = 1",
            "record 1 is missing",
        ),
        (
            "DELETE FROM journal WHERE task = 2 AND n = 2",
            "the journal has 1",
        ),
        ("UPDATE tasks SET retries = 1 WHERE seq = 2", "not the fold"),
        ("UPDATE tasks SET slot = 7 WHERE seq = 2", "slot"),
        (
            "UPDATE tasks SET state = 'pondering' WHERE seq = 2",
            "no state",
        ),
        ("UPDATE tasks SET outcome = '[' WHERE seq = 2", "outcome"),
        ("DELETE FROM specs WHERE task = 2", "spec"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = closed(directory.path(), 4);
        damage(&path, sql);
        let report = check(&path, &mut |_| {}).unwrap();
        assert!(!report.is_sound(), "{sql}");

        let mut store = open(directory.path());
        assert_eq!(store.set_aside().len(), 1, "{sql}");
        assert_eq!(store.set_aside()[0].id, id(1).as_str());
        assert!(
            store.set_aside()[0].reason.contains(reason),
            "{sql}: {:?}",
            store.set_aside()
        );
        let mut batch = store.batch().unwrap();
        batch
            .step(|tx| {
                assert!(tx.running()?.is_empty(), "{sql}");
                assert_eq!(tx.claimable(9)?.len(), 2, "{sql}");
                let task = tx.claimable(1)?.remove(0);
                // Its slot is free for others.
                tx.apply(&task, &claimed(&task, 1), at(9), Actor::Daemon)
            })
            .unwrap();
        batch.commit().unwrap();
    }
}

#[test]
fn a_task_found_damaged_while_running_is_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = closed(directory.path(), 5);
    damage(&path, "UPDATE specs SET spec = '{' WHERE task = 3");
    let mut store = open(directory.path());
    assert!(
        store.set_aside().is_empty(),
        "nothing has happened to it yet, so the start does not look at it"
    );
    let list = |store: &Store| {
        let reader = store.reader().unwrap();
        reader.list(&ListFilter::default()).unwrap()
    };
    let page = list(&store);
    assert_eq!((page.tasks.len(), page.unreadable.len()), (4, 1));
    assert_eq!(page.unmarked, [3]);
    let mut batch = store.batch().unwrap();
    let ready = batch.step(|tx| tx.claimable(2)).unwrap();
    assert_eq!(
        ready.iter().map(|task| task.id.clone()).collect::<Vec<_>>(),
        [id(3), id(4)]
    );
    batch.commit().unwrap();
    assert_eq!(
        store.reader().unwrap().set_aside().unwrap()[0].id,
        id(2).as_str()
    );
    let page = list(&store);
    assert_eq!((page.unreadable.len(), page.unmarked.len()), (1, 0));
    drop(store);

    // Repaired, it comes back with the next start.
    damage(
        &path,
        "UPDATE specs SET spec = (SELECT replace(spec, 'task 3', 'task 2') FROM specs WHERE task = 4) WHERE task = 3",
    );
    let mut store = open(directory.path());
    assert!(store.set_aside().is_empty(), "{:?}", store.set_aside());
    let mut batch = store.batch().unwrap();
    assert_eq!(batch.step(|tx| tx.claimable(9)).unwrap().len(), 3);
    drop(batch);
    drop(store);
    assert!(check(&path, &mut |_| {}).unwrap().is_sound());
}

#[test]
fn what_a_list_meets_is_set_aside_by_the_writer() {
    let directory = tempfile::tempdir().unwrap();
    let path = closed(directory.path(), 5);
    // One that cannot be read, and one that can and is wrong.
    damage(
        &path,
        "UPDATE specs SET spec = '{' WHERE task = 3; \
         UPDATE tasks SET state = 'pending', slot = NULL, turn = 3 WHERE seq = 2",
    );
    let mut store = open(directory.path());
    assert_eq!(store.set_aside().len(), 1);
    let unmarked = store
        .reader()
        .unwrap()
        .list(&ListFilter::default())
        .unwrap()
        .unmarked;
    let mut batch = store.batch().unwrap();
    batch
        .step(|tx| {
            assert!(tx.is_set_aside(&id(1))? && !tx.is_set_aside(&id(2))?);
            for number in unmarked.into_iter().chain([4, 99]) {
                tx.set_aside_unreadable(number)?;
            }
            assert!(tx.is_set_aside(&id(2))? && !tx.is_set_aside(&id(3))?);
            assert_eq!(tx.count_set_aside()?, 2);
            assert_eq!(tx.first_set_aside()?.unwrap().id, id(1).as_str());
            Ok::<_, StoreError>(())
        })
        .unwrap();
    batch.commit().unwrap();
    let reader = store.reader().unwrap();
    let page = reader.list(&ListFilter::default()).unwrap();
    assert!(page.unmarked.is_empty() && page.unreadable.len() == 1);
    let reason = &page.set_aside[&2];
    assert!(
        page.set_aside.len() == 1 && reason.contains("fold"),
        "{reason}"
    );
    assert_eq!(reader.why_set_aside(&id(1)).unwrap().as_ref(), Some(reason));
    assert_eq!(reader.why_set_aside(&id(3)).unwrap(), None);
}

#[test]
fn a_task_whose_environment_is_damaged_stays_aside() {
    let directory = tempfile::tempdir().unwrap();
    let path = closed(directory.path(), 2);
    damage(&path, "UPDATE environments SET vars = '{'");
    let mut store = open(directory.path());
    for _ in 0..2 {
        let mut batch = store.batch().unwrap();
        batch
            .step(|tx| (1..=2).try_for_each(|number| tx.set_aside_unreadable(number)))
            .unwrap();
        batch.commit().unwrap();
        drop(store);
        store = open(directory.path());
        assert_eq!(store.set_aside().len(), 2, "{:?}", store.set_aside());
    }
}

#[test]
fn the_rules_of_the_tables_refuse_nonsense() {
    let directory = tempfile::tempdir().unwrap();
    let path = closed(directory.path(), 4);
    let conn = Connection::open(path).unwrap();
    for nonsense in [
        "UPDATE tasks SET state = 'pondering' WHERE seq = 3",
        "UPDATE tasks SET state = 'processing', turn = 0 WHERE seq = 3",
        "UPDATE tasks SET state = 'completed', turn = 0 WHERE seq = 3",
        "UPDATE tasks SET state = 'paused', turn = 0 WHERE seq = 3",
        "UPDATE tasks SET slot = 9 WHERE seq = 3",
        "UPDATE tasks SET intent = '{}' WHERE seq = 3",
        "UPDATE tasks SET unmet = 1 WHERE seq = 3",
        "UPDATE tasks SET turn = 1 WHERE seq = 3",
        "UPDATE tasks SET turn = 2 WHERE seq = 3",
        "UPDATE tasks SET retries = 1 WHERE seq = 3",
        "UPDATE tasks SET priority = 4 WHERE seq = 3",
        "UPDATE tasks SET created_at = 9e18 WHERE seq = 3",
        "UPDATE tasks SET id = 'job_1' WHERE seq = 3",
        "UPDATE tasks SET events = 0 WHERE seq = 3",
        "UPDATE tasks SET generation = 'one' WHERE seq = 3",
        "INSERT INTO journal VALUES (3, 2, 0, 'daemon', 'not json')",
        "INSERT INTO journal VALUES (3, 2, 0, 'a ghost', '{}')",
        "INSERT INTO journal VALUES (99, 1, 0, 'daemon', '{}')",
        "INSERT INTO waits VALUES (3, 3)",
        "UPDATE counts SET n = -1",
    ] {
        assert!(conn.execute(nonsense, []).is_err(), "{nonsense}");
    }
}
