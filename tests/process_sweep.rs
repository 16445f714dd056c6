//! Signals and sweeps reach what is meant and nothing else.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test: it may stop, and it starts programs of its own"
)]

#[path = "fault_kit/disk.rs"]
mod disk;

use std::process::{Child, Command, Stdio};

use auto_claude::attempt::record::ProcessStamp;
use auto_claude::attempt::spec::MARKER_VAR;
use auto_claude::process::{
    ProcStat, RunState, Snapshot, SweepResult, Target, is_alive, marker_of, monotonic_ms, signal,
    stamp_of, sweep,
};
use auto_claude::task::{AttemptId, TaskId};
use disk::Disk;
use rustix::process::Signal;

fn sleeper(marker: Option<&str>) -> (Child, ProcessStamp) {
    let mut command = Command::new("sleep");
    command.arg("600").env_remove(MARKER_VAR);
    if let Some(marker) = marker {
        command.env(MARKER_VAR, marker);
    }
    let child = command.spawn().unwrap();
    let stamp = stamp_of(child.id().cast_signed()).unwrap();
    (child, stamp)
}

fn attempt(generation: u32) -> AttemptId {
    let task = TaskId::from_random(u128::from(std::process::id()) + (u128::from(generation) << 40));
    AttemptId { task, generation }
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_number_with_another_start_time_is_another_process() {
    let (child, stamp) = sleeper(None);
    let reused = ProcessStamp {
        start_ticks: stamp.start_ticks - 1,
        ..stamp
    };
    assert!(!signal(reused, Signal::KILL).unwrap());
    assert!(is_alive(stamp));
    let roots = vec![reused];
    let session = Some(reused);
    let target = Target {
        roots,
        session,
        ..Target::default()
    };
    assert_eq!(sweep(&target, 0, 1_000).unwrap(), SweepResult::Empty);
    assert!(is_alive(stamp));
    assert!(signal(stamp, Signal::TERM).unwrap());
    end_waited(child);
    assert!(!signal(stamp, Signal::TERM).unwrap(), "gone is no error");
}

fn end_waited(mut child: Child) {
    child.wait().unwrap();
}

#[test]
fn a_marker_is_the_whole_marker() {
    let own = attempt(1);
    let others = [
        format!("{own}1"),
        format!("x{own}"),
        attempt(2).to_string(),
        String::new(),
    ];
    let (mine, stamp) = sleeper(Some(&own.to_string()));
    let spared: Vec<_> = others
        .iter()
        .map(|marker| sleeper(Some(marker)))
        .chain([sleeper(None)])
        .collect();
    let target = Target {
        marker: vec![marker_of(&own)],
        ..Target::default()
    };
    // Before exec a child still has its parent's environment.
    while Snapshot::take().unwrap().members(&target).len() != 1 {}
    // A child that nobody waited for is a zombie: dead, and nothing that is left.
    assert_eq!(sweep(&target, 0, 5_000).unwrap(), SweepResult::Empty);
    assert!(!is_alive(stamp));
    end_waited(mine);
    for (child, stamp) in spared {
        assert!(is_alive(stamp));
        end(child);
    }
}

#[test]
fn nobody_sweeps_itself_or_its_ancestors() {
    let own = stamp_of(std::process::id().cast_signed()).unwrap();
    let parent = stamp_of(std::os::unix::process::parent_id().cast_signed()).unwrap();
    let (child, stamp) = sleeper(None);
    let target = Target {
        roots: vec![own, parent],
        ..Target::default()
    };
    let members = Snapshot::take().unwrap().members(&target);
    assert!(members.iter().any(|member| member.stamp == stamp));
    assert!(
        members
            .iter()
            .all(|member| member.stamp != own && member.stamp != parent)
    );
    end(child);
}

#[test]
fn a_tree_that_ends_at_sigterm_is_not_killed() {
    let dir = tempfile::tempdir().unwrap();
    let witness = dir.path().join("tidy");
    let script = format!(
        "trap 'touch {}; exit' TERM; touch {0}.ready; while :; do sleep 0.02; done",
        witness.display()
    );
    let mut child = Command::new("sh").args(["-c", &script]).spawn().unwrap();
    while !witness.with_extension("ready").exists() {
        assert!(child.try_wait().unwrap().is_none());
    }
    let roots = vec![stamp_of(child.id().cast_signed()).unwrap()];
    let target = Target {
        roots,
        ..Target::default()
    };
    assert_eq!(sweep(&target, 20_000, 1_000).unwrap(), SweepResult::Empty);
    child.wait().unwrap();
    assert!(witness.exists());
}

/// A small file system that is thawed whatever happens, before it is unmounted.
struct Frozen(Disk);

impl Frozen {
    fn path(&self) -> &str {
        self.0.point().to_str().unwrap()
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = disk::try_run("fsfreeze", &["-u", self.path()]);
    }
}

#[test]
fn a_process_in_uninterruptible_sleep_is_stuck_until_it_wakes() {
    let dir = tempfile::tempdir().unwrap();
    let point = dir.path().join("disk");
    std::fs::create_dir(&point).unwrap();
    let frozen = match Disk::ext4(&point, &dir.path().join("image"), 8, &[]) {
        Ok(disk) => Frozen(disk),
        Err(error) => return println!("SKIPPED: no disk was frozen: {error}"),
    };
    // Whatever becomes of this test, the file system is thawed: when its end of the pipe closes, or after a while.
    let path = frozen.path().to_owned();
    let mut guard = Command::new("sh")
        .args(["-c", &format!("timeout 20 cat; fsfreeze -u {path}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    disk::run("fsfreeze", &["-f", &path]);
    let mut child = Command::new("touch")
        .arg(format!("{path}/file"))
        .spawn()
        .unwrap();
    let stamp = stamp_of(child.id().cast_signed()).unwrap();
    let asleep = || ProcStat::read(stamp.pid).unwrap().state == RunState::Stuck;
    let begin = monotonic_ms();
    while !asleep() {
        assert!(monotonic_ms() - begin < 10_000, "it never got stuck");
    }
    let target = Target {
        roots: vec![stamp],
        ..Target::default()
    };
    assert_eq!(
        sweep(&target, 0, 300).unwrap(),
        SweepResult::Stuck(vec![stamp])
    );
    drop(frozen);
    assert_eq!(sweep(&target, 0, 20_000).unwrap(), SweepResult::Empty);
    child.wait().unwrap();
    // Closes the pipe first.
    guard.wait().unwrap();
}
