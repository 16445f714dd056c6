//! What a record says decides: after a reboot, and after launches that failed or never were.

use std::time::{Duration, Instant};

use auto_claude::attempt::record::{Exit, Header, Read, Started};
use auto_claude::record::RecordFile;
use auto_claude::supervisor::unlaunched;
use auto_claude::task::{Outcome, OutcomeKind};
use serde_json::json;

use crate::common::{World, alive, signal};
use crate::{RESTARTS, ends, first_waits, record, started, with_word, word};

#[test]
fn after_a_reboot_what_ran_is_lost_and_what_ended_is_known() {
    let mut world = World::new(&format!("num_workers = 4\n{RESTARTS}"));
    world.start();
    let mark = word(6);
    let ran = world.submit("ran", &first_waits(&mark));
    let ended = world.submit("ended", "echo begin; sleep 0.3; exit 6");
    let waiting = world.submit_with(json!({"name": "waiting", "key": "w", "command": "echo begin", "at": auto_claude::process::now().plus_ms(-3_600_000), "after": [ran]}));
    for id in [&ran, &ended] {
        world.wait_for("it has begun", |world| {
            world.output(id).contains("begin").then_some(())
        });
    }
    let names = [&ran, &ended].map(|id| format!("{id}.1"));
    let workers = names
        .each_ref()
        .map(|name| started(&world, name).worker.pid);
    world.kill_daemon();
    world.wait_for("one has ended", |world| {
        record(world, &names[1])?.exit.value().map(|_| ())
    });
    signal(workers[0], "KILL");
    world.wait_for("no worker is left", |_| {
        (!workers.iter().any(|worker| alive(*worker))).then_some(())
    });
    with_word(&mark)
        .into_iter()
        .for_each(|pid| signal(pid, "KILL"));
    for name in &names {
        another_boot(&world, name);
    }
    world.start();
    let task = world.wait_final(&ended);
    assert_eq!(
        (
            task["attempt"].as_u64(),
            task["outcome"]["exit_code"].as_i64()
        ),
        (Some(1), Some(6)),
        "{}",
        world.story()
    );
    let task = world.wait_final(&ran);
    assert_eq!(ends(&world, &ran), ["lost", "exited"]);
    assert_eq!(
        (
            task["attempt"].as_u64(),
            task["outcome"]["exit_code"].as_i64()
        ),
        (Some(2), Some(5)),
        "{}",
        world.story()
    );
    assert_eq!(
        world.wait_final(&waiting)["outcome"]["kind"],
        "dependency_failed"
    );
}

/// Makes the record say that it was written in another boot.
fn another_boot(world: &World, attempt: &str) {
    let mut file = RecordFile::open_existing(&world.dir().join("records").join(attempt)).unwrap();
    assert!(file.try_lock().unwrap());
    let found = file.read().unwrap();
    let header = found.header.value().unwrap().clone();
    let boot_id = "00000000-0000-0000-0000-000000000000".to_owned();
    file.write_synced(&Header {
        boot_id: boot_id.clone(),
        ..header
    })
    .unwrap();
    if let Read::Value(started) = found.started {
        file.write_synced(&Started { boot_id, ..started }).unwrap();
    }
}

/// A launch can fail after the worker was spawned: what the worker did stands.
#[test]
fn a_failed_launch_does_not_overwrite_what_the_worker_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let attempt: auto_claude::task::AttemptId = "task_0000000000000.1".parse().unwrap();
    let path = dir.path().join(attempt.to_string());
    let header = Header {
        attempt: attempt.clone(),
        boot_id: auto_claude::process::boot_id().to_owned(),
        version: 1,
    };
    let worker =
        auto_claude::process::stamp_of(i32::try_from(std::process::id()).unwrap()).unwrap();
    let mut file = RecordFile::create(&path, &header).unwrap();
    let never_ran = Exit {
        outcome: Outcome::of(OutcomeKind::NeverRan),
        ended_at: auto_claude::process::now(),
        output_bytes: 0,
    };

    assert!(file.try_lock().unwrap());
    assert!(!unlaunched::close(&path, &never_ran).unwrap(), "held");
    let began = Started {
        boot_id: header.boot_id.clone(),
        worker,
        agent: None,
        started_at: auto_claude::process::now(),
    };
    file.write(&began).unwrap();
    drop(file);
    assert!(!unlaunched::close(&path, &never_ran).unwrap(), "begun");
    let read = RecordFile::open_existing(&path).unwrap().read().unwrap();
    assert_eq!((read.started, read.exit), (Read::Value(began), Read::Blank));
}

/// A daemon that died between claim and launch says nothing about the machine: the next one claims at once.
#[test]
fn a_claim_that_was_never_launched_is_claimed_again_at_once() {
    let mut world = World::new("num_workers = 1\n");
    world.start();
    let mark = word(9);
    let id = world.submit(
        "n",
        &format!("test $AUTO_CLAUDE_ATTEMPT -gt 1 && exit 0; sleep {mark}"),
    );
    let worker = started(&world, &format!("{id}.1")).worker.pid;
    world.kill_daemon();
    signal(worker, "KILL");
    world.wait_for("the worker is dead", |_| (!alive(worker)).then_some(()));
    with_word(&mark)
        .into_iter()
        .for_each(|pid| signal(pid, "KILL"));
    // As if the daemon had died before the launch.
    let path = world.dir().join("records").join(format!("{id}.1"));
    let header = record(&world, &format!("{id}.1"))
        .unwrap()
        .header
        .value()
        .unwrap()
        .clone();
    std::fs::remove_file(&path).unwrap();
    RecordFile::create(&path, &header).unwrap();
    let begun = Instant::now();
    world.start();
    assert_eq!(world.wait_final(&id)["state"], "completed");
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}\n{}",
        begun.elapsed(),
        world.story()
    );
    assert_eq!(ends(&world, &id), ["never_ran", "succeeded"]);
    let status = world.ask("GET", "/status", None);
    assert_eq!(status["attention"], json!([]), "{status}");
}
