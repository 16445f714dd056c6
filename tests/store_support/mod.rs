//! What the store's tests share: small tasks, fixed times, a place on disk.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test binary uses its own part of this"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use auto_claude::store::{ApplyError, Batch, NewTask, OpenError, OpenOptions, Store};
use auto_claude::task::{
    Actor, AfterFailed, Command, Event, Next, Outcome, OutcomeKind, Priority, Task, TaskId,
    TaskSpec, TaskType, Timestamp,
};

/// Test time begins here.
pub(crate) const EPOCH_MS: i64 = 1_700_000_000_000;

/// `ms` after the beginning of test time.
pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(EPOCH_MS + ms)
}

/// The n-th id.
pub(crate) fn id(n: u64) -> TaskId {
    // Spread over the alphabet, so that ids are not in order of submission.
    TaskId::from_random(u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// A plain submission.
pub(crate) fn spec(name: &str) -> TaskSpec {
    TaskSpec {
        name: name.to_owned(),
        description: String::new(),
        command: Command::Argv(vec![String::from("/bin/true")]),
        task_type: TaskType::default(),
        priority: Priority::Normal,
        cwd: PathBuf::from("/"),
        env: BTreeMap::from([(String::from("PATH"), String::from("/usr/bin:/bin"))]),
        secrets: BTreeMap::new(),
        after: Vec::new(),
        after_failed: AfterFailed::default(),
        at: None,
        timeout_seconds: None,
        idle_timeout_seconds: None,
        max_retries: None,
        retry_on: Vec::new(),
        if_lost: None,
        exclusive: None,
        notify: None,
        batch: None,
        foreground: false,
    }
}

/// The n-th new task, with a key of its own.
pub(crate) fn new(n: u64) -> NewTask {
    NewTask {
        id: id(n),
        uid: 1000,
        key: format!("key {n}"),
        fingerprint: n,
        spec: spec(&format!("task {n}")),
        unmet: Vec::new(),
    }
}

/// Options for a database with a small reserve.
pub(crate) fn options(directory: &Path) -> OpenOptions {
    OpenOptions {
        reserve_bytes: 64 * 1024,
        ..OpenOptions::at(directory.join("tasks.db"))
    }
}

/// Opens the store.
pub(crate) fn open(directory: &Path) -> Store {
    Store::open(&options(directory), at(0)).expect("open the store")
}

/// The claim of `task` for `slot`.
pub(crate) fn claimed(task: &Task, slot: u32) -> Event {
    Event::Claimed {
        generation: task.life.generation + 1,
        slot,
        run: None,
    }
}

/// A good end.
pub(crate) fn completed(ended_at: Timestamp) -> Event {
    Event::Ended {
        outcome: Outcome::of(OutcomeKind::Succeeded),
        ended_at,
        next: Next::Complete,
        report: None,
    }
}

/// Every file of a directory with its bytes.
pub(crate) fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(directory)
        .expect("list the directory")
        .map(|entry| {
            let entry = entry.expect("read the directory");
            let bytes = std::fs::read(entry.path()).expect("read a file");
            (entry.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect()
}

/// Submits tasks 0..n, claims the first and ends it, claims the second.
pub(crate) fn fill(store: &mut Store, n: u64) -> Vec<Task> {
    let mut batch = store.batch().unwrap();
    for number in 0..n {
        submit(&mut batch, &new(number));
    }
    batch
        .step(|tx| {
            for slot in 0..2 {
                let task = tx.claimable(1)?.remove(0);
                let task = tx.apply(&task, &claimed(&task, slot), at(5), Actor::Daemon)?;
                if slot == 0 {
                    tx.apply(&task, &completed(at(6)), at(6), Actor::Worker)?;
                }
            }
            Ok::<_, ApplyError>(())
        })
        .unwrap();
    batch.commit().unwrap();
    (0..n)
        .map(|number| store.reader().unwrap().task(&id(number)).unwrap().unwrap())
        .collect()
}

/// Submits one task.
pub(crate) fn submit(batch: &mut Batch<'_>, task: &NewTask) -> Task {
    batch
        .step(|tx| tx.submit(task, at(0), Actor::User(task.uid)))
        .unwrap()
        .into_task()
}

/// A closed database with `n` tasks in one file.
pub(crate) fn closed(directory: &Path, n: u64) -> PathBuf {
    let mut store = open(directory);
    fill(&mut store, n);
    drop(store);
    let path = options(directory).path;
    assert!(
        !directory.join("tasks.db-wal").exists(),
        "the last to close leaves no log behind"
    );
    path
}

/// Changes the closed database with raw SQL that no rule stops.
pub(crate) fn damage(path: &Path, sql: &str) {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF")
        .unwrap();
    conn.execute_batch(sql).unwrap();
}

/// The database in `directory` is refused, and every file there stays as it is.
#[track_caller]
pub(crate) fn assert_refused(directory: &Path) -> OpenError {
    let before = files(directory);
    let error = Store::open(&options(directory), at(0)).expect_err("opened what it must refuse");
    let mut after = files(directory);
    // No part of the database: shared memory, which is made anew at each opening, and a log with nothing in it.
    after.retain(|name, bytes| {
        before.contains_key(name) || !(name.ends_with("-shm") || bytes.is_empty())
    });
    assert_eq!(
        after.keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>()
    );
    assert!(after == before, "a refused database was changed");
    error
}
