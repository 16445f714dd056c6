//! The launch protocol, the door, signals and the contract with the command, with real workers.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test: it may stop, and it starts programs of its own"
)]

mod worker_kit;

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use auto_claude::attempt::protocol::StartLine;
use auto_claude::attempt::record::{Exit, Read, Sector, Started};
use auto_claude::attempt::spec::Owner;
use auto_claude::checkpoint::{Checkpoints, Reason};
use auto_claude::process::{WorkerEnd, boot_id, is_alive, now, signal, stamp_of};
use auto_claude::record::{RecordError, RecordFile};
use auto_claude::task::{IntentKind, Outcome, OutcomeKind};
use auto_claude::worker::REFUSED;
use rustix::process::Signal;
use worker_kit::{Bench, Running, wait_for};

fn refused(running: &Running, reason: &str) {
    match running.start_line() {
        Some(StartLine::Refused(text)) => assert!(text.contains(reason), "{text}"),
        other => panic!("not refused: {other:?}"),
    }
    assert_eq!(running.wait_end(), WorkerEnd::Left(i32::from(REFUSED)));
}

fn started() -> Started {
    let worker = stamp_of(1).unwrap();
    Started {
        boot_id: boot_id().to_owned(),
        worker,
        agent: None,
        started_at: now(),
    }
}

/// A bench whose command would leave a file.
fn witness() -> Bench {
    let bench = Bench::sh("touch ran");
    fs::write(bench.path("untouched"), "").unwrap();
    bench
}

#[test]
fn an_attempt_that_is_not_to_be_begun_is_refused() {
    let exit = Exit {
        outcome: Outcome::of(OutcomeKind::NeverRan),
        ended_at: now(),
        output_bytes: 0,
    };
    let bench = witness();
    bench.create_record().write(&started()).unwrap();
    refused(&bench.launch(), "started already");

    let bench = witness();
    bench.create_record().write(&exit).unwrap();
    let running = bench.launch();
    refused(&running, "closed already");
    assert_eq!(running.record().exit, Read::Value(exit), "untouched");

    let bench = witness();
    let mut held = bench.create_record();
    assert!(held.try_lock().unwrap());
    refused(&bench.launch(), "lock");

    let bench = witness();
    refused(&bench.launch(), "failed to open the record");

    for sector in [Sector::Header, Sector::Started, Sector::Exit] {
        let bench = witness();
        drop(bench.create_record());
        let file = fs::OpenOptions::new()
            .write(true)
            .open(&bench.handover.spec.record)
            .unwrap();
        file.write_all_at(b"torn", sector.offset() as u64 + 9)
            .unwrap();
        refused(
            &bench.launch(),
            if sector == Sector::Header {
                "header cannot be read"
            } else {
                "damaged"
            },
        );
        assert!(!bench.path("ran").exists());
    }

    let mut bench = witness();
    drop(bench.create_record());
    bench.spec().attempt.generation = 2;
    refused(&bench.launch(), "the record is of attempt");

    let mut bench = witness();
    drop(bench.create_record());
    bench.spec().version = 9;
    refused(&bench.launch(), "version 9");
    assert!(!bench.path("ran").exists());
}

#[test]
fn a_lock_on_a_replaced_file_is_worth_nothing() {
    let bench = witness();
    let mut first = bench.create_record();
    assert!(first.try_lock().unwrap());
    let mut late = RecordFile::open_existing(&bench.handover.spec.record).unwrap();
    assert!(!late.try_lock().unwrap());
    first.unlink_locked().unwrap();
    let second = bench.create_record();
    assert!(matches!(late.try_lock(), Err(RecordError::Replaced { .. })));
    assert!(matches!(
        second.unlink_locked(),
        Err(RecordError::NotLocked { .. })
    ));
    assert!(bench.handover.spec.record.exists());
    assert!(
        RecordFile::create(&bench.handover.spec.record, &bench.header()).is_err(),
        "never over another"
    );
}

#[test]
fn the_record_tells_who_runs() {
    let mut bench = Bench::sh("echo x; sleep 60");
    bench.spec().heartbeat_ms = 20;
    let running = bench.start();
    let agent = running.agent();
    assert!(is_alive(agent));
    let record = running.record();
    assert_eq!(
        record.started.value().unwrap().worker,
        running.launched.worker
    );
    let beat = |seen: u64| {
        wait_for("a beat", || {
            running
                .record()
                .beat
                .value()
                .filter(|beat| beat.monotonic_ms > seen)
                .cloned()
        })
    };
    let first = beat(0);
    let second = beat(first.monotonic_ms);
    wait_for("output in the beat", || {
        running
            .record()
            .beat
            .value()
            .filter(|beat| beat.output_bytes == 2)
            .cloned()
    });
    assert!(
        second.monotonic_ms - first.monotonic_ms >= 15,
        "{first:?} {second:?}"
    );
    assert_eq!(record.exit, Read::Blank);
    let status = running.status();
    assert_eq!(
        (status.agent_pid, status.stopping, status.exit),
        (Some(agent.pid), None, None)
    );
    running.stop(IntentKind::Pause, None);
    let ended = running.ended();
    assert_eq!(
        (ended.exit.outcome.kind, ended.exit.outcome.signal),
        (OutcomeKind::Signaled, Some(15))
    );
    let newest = Checkpoints::of(&bench.handover.spec.task_dir)
        .newest()
        .unwrap()
        .unwrap();
    assert_eq!((newest.reason, newest.output_bytes), (Reason::Stop, 2));
}

#[test]
fn sigterm_to_the_worker_is_an_interruption() {
    for name in [Signal::TERM, Signal::INT, Signal::HUP] {
        let bench = Bench::sh("trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done");
        let running = bench.start();
        wait_for("the command", || {
            bench.output().contains("ready").then_some(())
        });
        signal(running.launched.worker, name).unwrap();
        let outcome = running.ended().exit.outcome;
        assert_eq!(
            (outcome.kind, outcome.exit_code),
            (OutcomeKind::Interrupted, Some(0))
        );
        assert!(
            Checkpoints::of(&bench.handover.spec.task_dir)
                .newest()
                .unwrap()
                .is_some()
        );
    }
}

#[test]
fn an_owners_end_is_an_interruption() {
    let mut owner = Command::new("sleep").arg("600").spawn().unwrap();
    let stamp = stamp_of(owner.id().cast_signed()).unwrap();
    let mut bench = Bench::sh("sleep 600");
    bench.spec().owner = Some(Owner {
        pid: stamp.pid,
        start_ticks: stamp.start_ticks,
    });
    let running = bench.start();
    running.agent();
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_eq!(running.ended().exit.outcome.kind, OutcomeKind::Interrupted);

    // Gone before the start, its number possibly taken by another process.
    let mut bench = witness();
    bench.spec().owner = Some(Owner {
        pid: std::process::id().cast_signed(),
        start_ticks: 1,
    });
    assert_eq!(bench.run().exit.outcome.kind, OutcomeKind::NeverRan);
    assert!(!bench.path("ran").exists());
}

#[test]
fn the_daemons_death_changes_nothing() {
    let bench = Bench::sh("sleep 0.3; echo done");
    let running = bench.start();
    // The daemon's end of the pipe is closed before the worker writes to it.
    let Running {
        launched,
        spec,
        log,
    } = running;
    drop(launched.started);
    let pidfd = launched.pidfd;
    let exit = wait_for("exit", || {
        RecordFile::open_existing(&spec.record)
            .unwrap()
            .read()
            .unwrap()
            .exit
            .value()
            .cloned()
    });
    assert_eq!(exit.outcome.kind, OutcomeKind::Succeeded, "{log:?}");
    assert_eq!(bench.output(), "done\n");
    wait_for("the worker's end", || {
        auto_claude::process::reap(&pidfd).unwrap()
    });
}
