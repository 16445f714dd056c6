//! Backup, restore, and the space that the files take.
#![expect(clippy::unwrap_used, reason = "tests")]

mod store_support;

use std::fs;

use auto_claude::store::{CopyError, backup, check, restore};
use auto_claude::task::{Actor, Event};
use store_support::{at, closed, damage, fill, new, open, options, submit};

#[test]
fn backups_are_whole_and_replace_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let all = fill(&mut store, 200);
    let to = directory.path().join("saved.db");
    let mut seen = Vec::new();
    store
        .reader()
        .unwrap()
        .backup(&to, &mut |progress| seen.push(progress))
        .unwrap();
    assert_eq!(
        seen.last().map(|progress| progress.done),
        seen.last().map(|progress| progress.total)
    );
    let again = backup(store.options(), &to, &mut |_| {});
    assert!(matches!(again, Err(CopyError::Exists(path)) if path == to));
    assert!(check(&to, &mut |_| {}).unwrap().is_sound());

    // What comes later is not in it; the replaced database is kept.
    let mut batch = store.batch().unwrap();
    submit(&mut batch, &new(900));
    batch.commit().unwrap();
    drop(store);
    let path = options(directory.path()).path;
    let kept = restore(&to, &path, &mut |_| {}).unwrap().unwrap();
    assert!(kept.ends_with("tasks.db.before-restore-1"), "{kept:?}");
    assert_eq!(check(&kept, &mut |_| {}).unwrap().tasks, 201);
    let reader = open(directory.path()).reader().unwrap();
    assert_eq!(reader.counts().unwrap().total(), 200);
    assert_eq!(reader.task(&all[3].id).unwrap().as_ref(), Some(&all[3]));
}

#[test]
fn an_unsound_backup_is_not_restored() {
    let directory = tempfile::tempdir().unwrap();
    let path = closed(directory.path(), 4);
    let to = directory.path().join("saved.db");
    backup(&options(directory.path()), &to, &mut |_| {}).unwrap();
    damage(&to, "UPDATE tasks SET retries = 1 WHERE seq = 2");
    let before = fs::read(&path).unwrap();
    let error = restore(&to, &path, &mut |_| {}).unwrap_err();
    assert!(
        matches!(error, CopyError::Unsound { problems: 1.., .. }),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), before);
    fs::write(&to, "no database").unwrap();
    assert!(restore(&to, &path, &mut |_| {}).is_err());
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(!directory.path().join("tasks.db.restore").exists());
}

#[test]
fn a_damaged_database_can_be_replaced_with_its_log_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = closed(directory.path(), 4);
    let to = directory.path().join("saved.db");
    backup(&options(directory.path()), &to, &mut |_| {}).unwrap();
    fs::write(&path, "scrambled").unwrap();
    fs::write(
        directory.path().join("tasks.db-wal"),
        "what was left of its log",
    )
    .unwrap();
    let kept = restore(&to, &path, &mut |_| {}).unwrap().unwrap();
    assert_eq!(fs::read(&kept).unwrap(), b"scrambled");
    assert!(
        !directory.path().join("tasks.db-wal").exists(),
        "a stale log would be applied to the new database"
    );
    let reader = open(directory.path()).reader().unwrap();
    assert_eq!(reader.counts().unwrap().total(), 4);
}

#[test]
fn what_is_left_of_a_database_is_kept_and_not_applied_to_the_restored_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = closed(directory.path(), 4);
    let to = directory.path().join("saved.db");
    backup(&options(directory.path()), &to, &mut |_| {}).unwrap();
    // More tasks, of which a SIGKILL leaves the log.
    let mut store = open(directory.path());
    let mut batch = store.batch().unwrap();
    submit(&mut batch, &new(77));
    batch.commit().unwrap();
    let (name, log) = ("tasks.db-wal", directory.path().join("tasks.db-wal"));
    let left = fs::read(&log).unwrap();
    drop(store);
    for (round, is_empty) in [(1, true), (2, false)] {
        fs::remove_file(&path).unwrap();
        if is_empty {
            fs::write(&path, "").unwrap();
        }
        fs::write(&log, &left).unwrap();
        let kept = restore(&to, &path, &mut |_| {}).unwrap().unwrap();
        assert!(kept.ends_with(format!("tasks.db.before-restore-{round}")));
        assert_eq!(fs::read(&kept).unwrap(), b"");
        let kept = format!("tasks.db.before-restore-{round}-wal");
        assert!(
            fs::read(directory.path().join(kept)).unwrap() == left,
            "{name}"
        );
        let reader = open(directory.path()).reader().unwrap();
        assert_eq!(reader.counts().unwrap().total(), 4);
    }
}

#[test]
fn the_log_stays_small_and_deleted_tasks_give_their_space_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let reader = store.reader().unwrap();
    let size = |name: &str| fs::metadata(directory.path().join(name)).unwrap().len();
    for round in 0..40 {
        let mut batch = store.batch().unwrap();
        for n in 0..20 {
            let mut task = new(round * 20 + n);
            task.spec.description = "x".repeat(9_000);
            batch
                .step(|tx| {
                    let task = tx
                        .submit(&task, at(1), Actor::User(1000))
                        .unwrap()
                        .into_task();
                    tx.apply(&task, &Event::Cancelled, at(2), Actor::User(1000))
                })
                .unwrap();
        }
        batch.commit().unwrap();
        // A reader between the batches does not keep the log from beginning anew.
        assert_eq!(reader.counts().unwrap().total(), (round + 1) * 20);
        assert!(
            size("tasks.db-wal") < 64 * 1024 * 1024,
            "round {round}: {}",
            size("tasks.db-wal")
        );
    }
    store.tidy().unwrap();
    assert_eq!(size("tasks.db-wal"), 0);
    let full = size("tasks.db");
    let mut batch = store.batch().unwrap();
    assert_eq!(
        batch
            .step(|tx| tx.delete_final(at(3), 1_000))
            .unwrap()
            .len(),
        800
    );
    batch.commit().unwrap();
    while store.tidy().unwrap() {}
    assert!(
        size("tasks.db") < full / 4,
        "{} of {full}",
        size("tasks.db")
    );
}
