//! What the store says of tasks and how it tells submissions apart: keys, stale copies, prefixes, lists, environments.
#![expect(clippy::unwrap_used, reason = "tests")]

mod store_support;

use auto_claude::store::{ApplyError, ListFilter, NewTask, Resolved, StoreError, Submission};
use auto_claude::task::{Actor, Event, State, TaskId};
use rusqlite::Connection;
use store_support::{at, claimed, fill, id, new, open, options, spec, submit};

#[test]
fn a_stale_task_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    fill(&mut store, 4);
    let mut batch = store.batch().unwrap();
    let old = batch.step(|tx| tx.task(&id(2))).unwrap().unwrap();
    let moved = batch
        .step(|tx| tx.apply(&old, &claimed(&old, 5), at(7), Actor::Daemon))
        .unwrap();
    let again = batch.step(|tx| tx.apply(&old, &claimed(&old, 6), at(8), Actor::Daemon));
    assert!(matches!(again, Err(ApplyError::Stale(stale)) if stale == old.id));
    // Same state and generation, but something else of it has changed meanwhile.
    let started = Event::Started { started_at: at(8) };
    batch
        .step(|tx| tx.apply(&moved, &started, at(8), Actor::Worker))
        .unwrap();
    let again = batch.step(|tx| tx.apply(&moved, &started, at(9), Actor::Worker));
    assert!(matches!(again, Err(ApplyError::Stale(_))), "{again:?}");
    // Two tasks in one slot.
    let other = batch.step(|tx| tx.task(&id(3))).unwrap().unwrap();
    let taken = batch.step(|tx| tx.apply(&other, &claimed(&other, 5), at(9), Actor::Daemon));
    assert!(
        matches!(taken, Err(ApplyError::Store(StoreError::Refused(_)))),
        "{taken:?}"
    );
    batch.commit().unwrap();
    assert_eq!(store.reader().unwrap().journal(&id(2)).unwrap().len(), 3);
    assert_eq!(
        store
            .reader()
            .unwrap()
            .task(&id(3))
            .unwrap()
            .unwrap()
            .life
            .state,
        State::Pending
    );
}

#[test]
fn a_key_belongs_to_its_user() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let mut batch = store.batch().unwrap();
    let mine = batch
        .step(|tx| tx.submit(&new(1), at(1), Actor::User(1000)))
        .unwrap();
    assert!(matches!(mine, Submission::Fresh(_)));
    let again = NewTask {
        id: id(2),
        ..new(1)
    };
    let same = batch
        .step(|tx| tx.submit(&again, at(2), Actor::User(1000)))
        .unwrap();
    assert_eq!(same, Submission::Same(mine.into_task()));
    let theirs = NewTask {
        id: id(3),
        uid: 1001,
        ..new(1)
    };
    assert!(matches!(
        batch
            .step(|tx| tx.submit(&theirs, at(2), Actor::User(1001)))
            .unwrap(),
        Submission::Fresh(_)
    ));
}

#[test]
fn a_prefix_names_one_or_some() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let all = fill(&mut store, 40);
    let reader = store.reader().unwrap();
    let whole = all[7].id.as_str();
    assert_eq!(
        reader.resolve(whole).unwrap(),
        Resolved::One(Box::new(all[7].clone()))
    );
    let Resolved::Many(some) = reader.resolve(TaskId::PREFIX).unwrap() else {
        panic!("all tasks have the prefix")
    };
    assert_eq!(some.len(), 10);
    let free = id(1_000_000);
    assert_eq!(reader.resolve(free.as_str()).unwrap(), Resolved::None);
    let unique = (6..).map(|n| &whole[..n]).find(|prefix| {
        all.iter()
            .filter(|task| task.id.as_str().starts_with(prefix))
            .count()
            == 1
    });
    assert!(matches!(
        reader.resolve(unique.unwrap()).unwrap(),
        Resolved::One(_)
    ));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one list, every filter")]
fn lists_filter_and_page_without_gaps() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    fill(&mut store, 30);
    let mut batch = store.batch().unwrap();
    let mut other = NewTask { uid: 7, ..new(100) };
    other.spec = spec("Rare NAME");
    other.spec.exclusive = Some(String::from("lane"));
    submit(&mut batch, &other);
    batch.commit().unwrap();
    let reader = store.reader().unwrap();
    let ids = |filter: &ListFilter| -> Vec<TaskId> {
        let mut filter = filter.clone();
        let mut ids = Vec::new();
        loop {
            let page = reader.list(&filter).unwrap();
            ids.extend(page.tasks.into_iter().map(|task| task.id));
            filter.cursor = page.next_cursor;
            if filter.cursor.is_none() {
                return ids;
            }
        }
    };
    let all = ListFilter {
        limit: 4,
        ..ListFilter::default()
    };
    let mut newest_first: Vec<_> = (0..30).map(id).collect();
    newest_first.push(id(100));
    newest_first.reverse();
    assert_eq!(ids(&all), newest_first);
    let some = ListFilter {
        states: vec![State::Processing, State::Completed, State::Failed],
        ..all.clone()
    };
    assert_eq!(ids(&some), [id(1), id(0)]);
    let everything = ListFilter {
        states: State::ALL.to_vec(),
        limit: 7,
        ..ListFilter::default()
    };
    assert_eq!(ids(&everything), newest_first);
    assert_eq!(
        ids(&ListFilter {
            name_contains: Some(String::from("rare n")),
            ..all.clone()
        }),
        [id(100)]
    );
    assert_eq!(
        ids(&ListFilter {
            name_contains: Some(String::from("%")),
            ..all.clone()
        }),
        []
    );
    assert_eq!(
        ids(&ListFilter {
            uid: Some(7),
            ..all.clone()
        }),
        [id(100)]
    );
    assert_eq!(
        ids(&ListFilter {
            exclusive: Some(String::from("lane")),
            ..all.clone()
        }),
        [id(100)]
    );
    assert_eq!(
        ids(&ListFilter {
            since: Some(at(1)),
            ..all.clone()
        }),
        []
    );
    assert_eq!(
        ids(&ListFilter {
            since: Some(at(0)),
            ..all
        })
        .len(),
        31
    );
}

#[test]
fn environments_are_kept_once_and_go_with_their_last_task() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    fill(&mut store, 50);
    let conn = Connection::open(options(directory.path()).path).unwrap();
    let kept = || {
        conn.query_row("SELECT count(*) FROM environments", [], |row| {
            row.get::<_, i64>(0)
        })
        .unwrap()
    };
    assert_eq!(kept(), 1);
    let mut batch = store.batch().unwrap();
    batch
        .step(|tx| {
            let mut lone = new(60);
            lone.spec
                .env
                .insert(String::from("LONE"), String::from("1"));
            let task = tx
                .submit(&lone, at(1), Actor::User(1000))
                .unwrap()
                .into_task();
            tx.apply(&task, &Event::Cancelled, at(2), Actor::User(1000))
        })
        .unwrap();
    batch.commit().unwrap();
    assert_eq!(kept(), 2);
    let mut batch = store.batch().unwrap();
    assert_eq!(
        batch.step(|tx| tx.delete_final(at(3), 9)).unwrap(),
        [id(60)]
    );
    batch.commit().unwrap();
    assert_eq!(kept(), 1);
}
