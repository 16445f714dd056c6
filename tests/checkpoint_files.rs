//! Checkpoint files: the newest that is whole counts, a damaged one is set aside.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;

use auto_claude::attempt::protocol::Progress;
use auto_claude::checkpoint::{Checkpoint, Checkpoints, KEPT, Reason, next_chunk};
use auto_claude::task::Timestamp;
use proptest::prelude::*;

fn checkpoint(chunk: u64) -> Checkpoint {
    Checkpoint {
        attempt: "task_0123456789abc.2".parse().unwrap(),
        seq: 0,
        time: Timestamp::from_ms(1_800_000_000_000),
        reason: Reason::Progress,
        progress: Some(Progress {
            chunk: Some(chunk),
            ..Progress::default()
        }),
        output_bytes: 7,
    }
}

fn names(checkpoints: &Checkpoints) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(checkpoints.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_newest_counts_and_a_few_stay() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::of(dir.path());
    assert_eq!(checkpoints.newest().unwrap(), None);
    assert_eq!(next_chunk(None), 0);
    for chunk in 1..=5 {
        let written = checkpoints.write(checkpoint(chunk)).unwrap();
        assert_eq!(written.seq, chunk);
        assert_eq!(checkpoints.newest().unwrap(), Some(written));
    }
    assert_eq!(
        names(&checkpoints),
        [
            "00000003.checkpoint",
            "00000004.checkpoint",
            "00000005.checkpoint"
        ]
    );
    assert_eq!(names(&checkpoints).len(), KEPT);
    assert_eq!(next_chunk(checkpoints.newest().unwrap().as_ref()), 5);
}

#[test]
fn a_damaged_one_is_set_aside_and_the_one_before_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::of(dir.path());
    for chunk in 1..=3 {
        checkpoints.write(checkpoint(chunk)).unwrap();
    }
    fs::write(checkpoints.dir().join("a task's own file"), "left alone").unwrap();
    let path = |seq: u32| checkpoints.dir().join(format!("{seq:08}.checkpoint"));
    let bytes = fs::read(path(3)).unwrap();
    fs::write(path(3), &bytes[..bytes.len() - 1]).unwrap();
    fs::write(path(2), "").unwrap();
    assert_eq!(checkpoints.newest().unwrap().unwrap().seq, 1);
    assert_eq!(
        names(&checkpoints),
        [
            "00000001.checkpoint",
            "00000002.checkpoint.damaged",
            "00000003.checkpoint.damaged",
            "a task's own file"
        ]
    );
    assert_eq!(
        checkpoints.write(checkpoint(9)).unwrap().seq,
        4,
        "a number is never used again"
    );
    // Whole, but under another's name.
    fs::copy(path(4), path(8)).unwrap();
    assert_eq!(checkpoints.newest().unwrap().unwrap().seq, 4);
}

#[test]
fn what_is_no_file_or_cannot_be_renamed_is_passed_over_and_pushes_out_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::of(dir.path());
    for chunk in 1..=3 {
        checkpoints.write(checkpoint(chunk)).unwrap();
    }
    let path = |name: &str| checkpoints.dir().join(name);
    // A directory; a FIFO, which nobody writes to; a link to itself.
    fs::create_dir(path("00000004.checkpoint")).unwrap();
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, path("00000005.checkpoint"), mode).unwrap();
    std::os::unix::fs::symlink("00000003.checkpoint", path("00000006.checkpoint")).unwrap();
    // These cannot be set aside: their other names are taken by directories with something in them.
    for seq in 4..=6 {
        fs::create_dir_all(path(&format!("{seq:08}.checkpoint.damaged/kept"))).unwrap();
    }
    let mut problems = Vec::new();
    let newest = checkpoints.newest_telling(&mut problems).unwrap();
    assert_eq!(newest.unwrap().seq, 3);
    assert_eq!(problems.len(), 3, "{problems:?}");
    for (problem, name) in problems.iter().zip(["00000006", "00000005", "00000004"]) {
        assert!(
            problem.contains(name) && problem.contains("is passed over: "),
            "{problem}"
        );
    }
    assert_eq!(checkpoints.write(checkpoint(7)).unwrap().seq, 7);
    fs::remove_file(path("00000007.checkpoint")).unwrap();
    assert_eq!(
        checkpoints.newest().unwrap().unwrap().seq,
        3,
        "the good ones were not removed for the sake of the bad ones"
    );
    // What can be renamed is.
    for seq in 4..=6 {
        fs::remove_dir_all(path(&format!("{seq:08}.checkpoint.damaged"))).unwrap();
    }
    assert_eq!(checkpoints.newest().unwrap().unwrap().seq, 3);
    assert_eq!(
        names(&checkpoints),
        [
            "00000002.checkpoint",
            "00000003.checkpoint",
            "00000004.checkpoint.damaged",
            "00000005.checkpoint.damaged",
            "00000006.checkpoint.damaged"
        ]
    );
}

#[test]
fn a_fifo_where_the_new_one_is_first_written_is_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::of(dir.path());
    checkpoints.make_dir().unwrap();
    let fifo = checkpoints.dir().join("new.tmp");
    rustix::fs::mkfifoat(rustix::fs::CWD, fifo, rustix::fs::Mode::RWXU).unwrap();
    checkpoints.write(checkpoint(1)).unwrap();
    assert_eq!(checkpoints.newest().unwrap().unwrap().seq, 1);
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_those_before() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::of(dir.path());
    checkpoints.write(checkpoint(1)).unwrap();
    // Where the new one is first written, something else lies.
    fs::create_dir(checkpoints.dir().join("new.tmp")).unwrap();
    let error = checkpoints.write(checkpoint(2)).unwrap_err().to_string();
    assert!(error.starts_with("write a checkpoint in"), "{error}");
    assert_eq!(checkpoints.newest().unwrap().unwrap().seq, 1);
}

proptest! {
    #[test]
    fn any_change_of_a_file_is_noticed(place in 0usize..300, value in any::<u8>()) {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::of(dir.path());
        checkpoints.write(checkpoint(1)).unwrap();
        let path = checkpoints.dir().join("00000001.checkpoint");
        let mut bytes = fs::read(&path).unwrap();
        let place = place % bytes.len();
        prop_assume!(bytes[place] != value);
        bytes[place] = value;
        fs::write(&path, &bytes).unwrap();
        // A letter's case in the checksum is no damage.
        if let Some(read) = checkpoints.newest().unwrap() {
            prop_assert_eq!(read, Checkpoint { seq: 1, ..checkpoint(1) });
        }
    }
}
