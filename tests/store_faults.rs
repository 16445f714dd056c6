//! Real faults: a writer that is killed, writes and syncs that fail, a disk that is full. What was acknowledged is
//! there afterwards, what was not is there whole or not at all, and the database passes its full check.
//!
//! The writer is this test binary itself, started again with `STORE_WRITER` set; it prints a line for each acknowledged
//! batch.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes, mount real file systems"
)]
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "fault_kit/disk.rs"]
mod disk;
mod store_support;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use auto_claude::store::{OpenError, OpenOptions, Reader, Store, StoreError, SubmitError, check};
use auto_claude::task::{Actor, TaskId};
use disk::Disk;
use store_support::{at, claimed, completed, id, new, options};

/// Names the directory in which the started binary writes.
const WRITER: &str = "STORE_WRITER";
/// How many batches it writes; it goes on for ever without.
const BATCHES: &str = "STORE_WRITER_BATCHES";
const TASKS_PER_BATCH: u64 = 3;

/// The body of the started binary; nothing in an ordinary run of the tests.
#[test]
fn writer() {
    let Some(directory) = std::env::var_os(WRITER) else {
        return;
    };
    let batches: u64 = std::env::var(BATCHES).map_or(u64::MAX, |text| text.parse().unwrap());
    let mut store = match Store::open(&options(Path::new(&directory)), at(0)) {
        Ok(store) => store,
        Err(error) => return say(&format!("refused {error}")),
    };
    let total = store
        .reader()
        .and_then(|reader| reader.counts())
        .map_or(0, |counts| counts.total());
    for batch in 0..batches {
        match write_batch(&mut store, total + batch * TASKS_PER_BATCH) {
            Ok(ids) => ids.iter().for_each(|id| say(&format!("stored {id}"))),
            Err(error) => say(&format!("failed {error}")),
        }
    }
}

fn say(line: &str) {
    // One write each: a line is there whole or not at all.
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
}

/// Some submissions, and one task that goes through its whole life.
fn write_batch(store: &mut Store, first: u64) -> Result<Vec<TaskId>, SubmitError> {
    let mut batch = store.batch()?;
    let mut ids = Vec::new();
    for n in first..first + TASKS_PER_BATCH {
        let mut task = new(n);
        // More than a page each, so that a batch is many writes.
        task.spec.description = "x".repeat(5_000);
        ids.push(
            batch
                .step(|tx| tx.submit(&task, at(1), Actor::User(1000)))?
                .into_task()
                .id,
        );
    }
    let moved = batch.step(|tx| {
        let Some(task) = tx.claimable(1)?.pop() else {
            return Ok(());
        };
        let task = tx.apply(&task, &claimed(&task, 0), at(2), Actor::Daemon)?;
        tx.apply(&task, &completed(at(3)), at(3), Actor::Worker)
            .map(drop)
    });
    match moved {
        Err(auto_claude::store::ApplyError::Store(error)) => return Err(error.into()),
        other => other.unwrap(),
    }
    batch.commit()?;
    Ok(ids)
}

/// The command that runs [`writer`] in `directory`, after `prefix`.
fn writer_command(directory: &Path, prefix: &[String]) -> Command {
    let binary = std::env::current_exe().unwrap();
    let mut argv: Vec<std::ffi::OsString> = prefix.iter().map(Into::into).collect();
    argv.push(binary.into());
    let mut command = Command::new(&argv[0]);
    command
        .args(&argv[1..])
        .args(["writer", "--exact", "--nocapture", "--test-threads=1"]);
    command
        .env(WRITER, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

fn acknowledged(output: &str) -> BTreeSet<TaskId> {
    // The test harness writes the beginning of its own line before ours.
    output
        .lines()
        .filter_map(|line| line.split_once("stored "))
        .map(|(_, id)| id.parse().unwrap())
        .collect()
}

/// Everything acknowledged is there, batches are whole, and the check is clean.
#[track_caller]
fn assert_kept(directory: &Path, acknowledged: &BTreeSet<TaskId>, what: &str) {
    let path = options(directory).path;
    let store = Store::open(&options(directory), at(9)).unwrap();
    assert!(
        store.set_aside().is_empty(),
        "{what}: {:?}",
        store.set_aside()
    );
    let reader = store.reader().unwrap();
    for id in acknowledged {
        assert!(
            reader.task(id).unwrap().is_some(),
            "{what}: {id} was acknowledged and is gone"
        );
    }
    assert_eq!(
        reader.counts().unwrap().total() % TASKS_PER_BATCH,
        0,
        "{what}: half a batch"
    );
    drop((reader, store));
    let report = check(&path, &mut |_| {}).unwrap();
    assert!(report.is_sound(), "{what}: {:?}", report.problems);
}

#[test]
fn a_killed_writer_loses_nothing_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut known = BTreeSet::new();
    for round in 1..=12_usize {
        let mut child = writer_command(directory.path(), &[]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut output = String::new();
        // At another moment of a batch each time: after some more acknowledgements, in the middle of what follows.
        while acknowledged(&output).len() < round * 5 {
            assert!(
                lines.read_line(&mut output).unwrap() > 0,
                "the writer ended by itself: {output}"
            );
        }
        child.kill().unwrap();
        lines.read_to_string(&mut output).unwrap();
        child.wait().unwrap();
        known.extend(acknowledged(&output));
        assert_kept(directory.path(), &known, &format!("round {round}"));
    }
}

/// Whether `strace` can be used here.
fn strace_works() -> bool {
    let traced = Command::new("strace")
        .args(["-qq", "-e", "trace=none", "true"])
        .stderr(Stdio::null())
        .status();
    let works = traced.is_ok_and(|status| status.success());
    if !works {
        println!("SKIPPED: strace is missing or may not trace: no faults were injected");
    }
    works
}

/// Runs the writer for a few batches, with `inject` for the system calls `calls`, and checks what it leaves.
fn with_fault(calls: &str, inject: &str) -> (BTreeSet<TaskId>, String) {
    let directory = tempfile::tempdir().unwrap();
    drop(store_support::open(directory.path()));
    let prefix = ["strace", "-f", "-qq", "-o", "/dev/null", "-e"].map(String::from);
    let mut prefix = prefix.to_vec();
    prefix.extend([
        format!("trace={calls}"),
        String::from("-e"),
        format!("inject={calls}:{inject}"),
    ]);
    let output = writer_command(directory.path(), &prefix)
        .env(BATCHES, "6")
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let known = acknowledged(&output);
    assert_kept(directory.path(), &known, &format!("{calls} {inject}"));
    (known, output)
}

#[test]
fn a_write_that_fails_undoes_one_batch_only() {
    if !strace_works() {
        return;
    }
    let mut failed = 0;
    for error in ["EIO", "ENOSPC"] {
        for n in [1, 2, 5, 9, 17, 30, 47, 80, 121, 170] {
            let (known, output) = with_fault("pwrite64", &format!("error={error}:when={n}"));
            let refused = output.contains("refused");
            assert!(
                refused || known.len() >= 5 * TASKS_PER_BATCH as usize,
                "{error} at write {n}: {output}"
            );
            failed += output.matches("failed").count();
            let says_full = output.contains("the disk is full");
            assert!(
                says_full == (error == "ENOSPC" && output.contains("failed")) || refused,
                "{output}"
            );
        }
    }
    assert!(failed >= 4, "the faults did not hit: {failed}");
}

#[test]
fn a_sync_that_fails_undoes_one_batch_only() {
    if !strace_works() {
        return;
    }
    let mut failed = 0;
    for n in 1..=7 {
        let (known, output) = with_fault("fdatasync,fsync", &format!("error=EIO:when={n}"));
        let refused = output.contains("refused");
        assert!(
            refused || known.len() >= 5 * TASKS_PER_BATCH as usize,
            "EIO at sync {n}: {output}"
        );
        failed += output.matches("failed").count();
    }
    assert!(failed >= 3, "the faults did not hit: {failed}");
}

#[test]
fn a_disk_that_fails_for_good_keeps_what_was_acknowledged() {
    if !strace_works() {
        return;
    }
    for (calls, inject) in [
        ("pwrite64", "error=EIO:when=90+"),
        ("fdatasync,fsync", "error=EIO:when=5+"),
    ] {
        let (known, output) = with_fault(calls, inject);
        assert!(
            output.contains("failed") && !known.is_empty(),
            "{calls} {inject}: {output}"
        );
    }
}

#[test]
fn a_death_in_a_write_or_sync_keeps_what_was_acknowledged() {
    if !strace_works() {
        return;
    }
    for n in [3, 11, 27, 44, 75, 130, 190] {
        with_fault("pwrite64", &format!("signal=KILL:when={n}"));
    }
    for n in 2..=6 {
        with_fault("fdatasync,fsync", &format!("signal=KILL:when={n}"));
    }
}

/// A directory to mount a file system on.
fn mount_point(directory: &Path) -> PathBuf {
    let point = directory.join("disk");
    std::fs::create_dir(&point).unwrap();
    point
}

#[test]
fn power_loss_keeps_what_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let mut disk = match Disk::ext4(&mount_point(directory.path()), &image, 64, &[]) {
        Ok(disk) => disk,
        Err(error) => {
            println!("SKIPPED: no power was lost: an ext4 image cannot be mounted here: {error}");
            return;
        }
    };
    let mut known = BTreeSet::new();
    for round in 1..=4_usize {
        let state = disk.point().join("state");
        std::fs::create_dir_all(&state).unwrap();
        let mut child = writer_command(&state, &[]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut output = String::new();
        while acknowledged(&output).len() < round * 7 {
            assert!(
                lines.read_line(&mut output).unwrap() > 0,
                "the writer ended by itself: {output}"
            );
        }
        // What is read from here on may have been said while the power went: no promise covers it, and a whole batch of it
        // may be there or not.
        known.extend(acknowledged(&output));
        disk.power_off().unwrap();
        child.kill().unwrap();
        lines.read_to_string(&mut output).unwrap();
        child.wait().unwrap();
        disk.unmount();
        disk.mount();
        assert_kept(&state, &known, &format!("round {round}"));
    }
}

#[test]
fn a_store_that_is_opened_on_a_full_disk_finds_room_in_its_reserve() {
    let directory = tempfile::tempdir().unwrap();
    let disk = match Disk::tmpfs(&mount_point(directory.path()), "3m") {
        Ok(disk) => disk,
        Err(error) => {
            println!("SKIPPED: no disk was filled: {error}");
            return;
        }
    };
    let options = OpenOptions {
        reserve_bytes: 256 * 1024,
        ..OpenOptions::at(disk.point().join("tasks.db"))
    };
    let mut store = Store::open(&options, at(0)).unwrap();
    let mut batch = store.batch().unwrap();
    let submitted = batch.step(|tx| tx.submit(&new(0), at(0), Actor::User(1000)));
    let task = submitted.unwrap().into_task();
    batch.commit().unwrap();
    drop(store);
    let filler = disk.fill("filler");

    let error = Store::open(&options, at(1)).unwrap_err();
    assert!(
        matches!(&error, OpenError::Store { source, .. } if source.is_disk_full()),
        "{error:?}"
    );
    Store::give_up_reserve(&options).unwrap();
    // Nothing to give up is no failure.
    Store::give_up_reserve(&options).unwrap();
    let store = Store::open(&options, at(2)).unwrap();
    assert!(store.reader().unwrap().task(&task.id).unwrap().is_some());
    std::fs::remove_file(filler).unwrap();
}

#[test]
fn on_a_full_disk_the_reserve_keeps_the_last_transitions_possible() {
    let directory = tempfile::tempdir().unwrap();
    let disk = match Disk::tmpfs(&mount_point(directory.path()), "3m") {
        Ok(disk) => disk,
        Err(error) => {
            println!("SKIPPED: no disk was filled: {error}");
            return;
        }
    };
    let options = OpenOptions {
        reserve_bytes: 256 * 1024,
        ..OpenOptions::at(disk.point().join("tasks.db"))
    };
    // Somebody else's file, which goes when a person makes room.
    std::fs::write(disk.point().join("ballast"), vec![0; 1024 * 1024]).unwrap();
    let mut store = Store::open(&options, at(0)).unwrap();
    let mut batch = store.batch().unwrap();
    let running = batch
        .step(|tx| {
            let task = tx
                .submit(&new(0), at(0), Actor::User(1000))
                .unwrap()
                .into_task();
            tx.apply(&task, &claimed(&task, 0), at(1), Actor::Daemon)
        })
        .unwrap();
    batch.commit().unwrap();

    let mut stored = 1;
    let error = loop {
        match write_large(&mut store, stored) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1_000, "the disk does not get full");
    };
    assert!(
        matches!(&error, SubmitError::Store(error) if error.is_disk_full()),
        "{error:?}"
    );
    // Not one byte is left for anybody.
    let filler = disk.fill("filler");

    assert!(store.release_reserve().unwrap());
    let mut batch = store.batch().unwrap();
    batch
        .step(|tx| tx.apply(&running, &completed(at(5)), at(5), Actor::Worker))
        .unwrap();
    batch.commit().unwrap();

    assert!(store.restore_reserve().is_err() || disk.point().join("tasks.db.reserve").exists());
    std::fs::remove_file(filler).unwrap();
    std::fs::remove_file(disk.point().join("ballast")).unwrap();
    store.restore_reserve().unwrap();
    let reader = Reader::open(&options).unwrap();
    assert_eq!(reader.counts().unwrap().total(), stored);
    assert_eq!(
        reader.task(&id(0)).unwrap().unwrap().life.finished_at,
        Some(at(5))
    );
    drop((reader, store));
    assert!(check(&options.path, &mut |_| {}).unwrap().is_sound());
}

fn write_large(store: &mut Store, n: u64) -> Result<(), SubmitError> {
    let mut task = new(n);
    task.spec.description = "x".repeat(9_000);
    let mut batch = store.batch()?;
    batch.step(|tx| tx.submit(&task, at(2), Actor::User(1000)))?;
    batch.commit().map_err(|error: StoreError| error.into())
}
