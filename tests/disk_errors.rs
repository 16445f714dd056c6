//! System calls of daemon and worker that fail with EIO or ENOSPC, once or for a while: what was acknowledged is durable,
//! nothing is doubled, an end that was seen is not lost, and everything goes on by itself when the fault is over.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod common;
mod fault_kit;

use common::{World, alive, marked, scratch};
use fault_kit::{Fault, assert_sound, can_trace, events, worker_of};
use serde_json::{Value, json};

const SYNCS: &str = "trace=fsync,fdatasync";
const WRITES: &str = "trace=pwrite64,write,fsync,fdatasync";

/// A task that says `begin`, waits for the gate and ends with `code`.
fn gated(gate: &std::path::Path, code: i32) -> String {
    format!(
        "echo begin; while ! test -e {}; do sleep 0.05; done; echo end; exit {code}",
        gate.display()
    )
}

fn begun(world: &World, id: &str) {
    world.wait_for("it has begun", |world| {
        world.output(id).contains("begin").then_some(())
    });
}

/// Ended once, with this exit code, in its first attempt, and its command ran once.
fn assert_ran_once(world: &World, id: &str, code: i32) {
    let task = world.wait_final(id);
    assert_eq!(
        (&task["outcome"]["exit_code"], &task["attempt"]),
        (&json!(code), &json!(1)),
        "{task}\n{}",
        world.story()
    );
    assert_eq!(
        (events(world, id, "claimed"), events(world, id, "ended")),
        (1, 1),
        "{}",
        world.story()
    );
    assert_eq!(world.output(id).matches("begin").count(), 1);
}

/// A worker that cannot write its end down, with `fault` injected: the daemon commits it from the worker's word.
fn unwritten_end(name: &str, settings: &str, fault: &[&str]) {
    if !can_trace(name) {
        return;
    }
    let gate = scratch(name);
    let mut world = World::new(settings);
    world.start();
    let id = world.submit("n", &gated(&gate, 7));
    begun(&world, &id);
    let worker = worker_of(&world, &id);
    let fault = Fault::attach(worker, fault);
    std::fs::write(&gate, "").unwrap();
    assert_ran_once(&world, &id, 7);
    world.wait_for("the worker leaves", |_| (!alive(worker)).then_some(()));
    world.wait_for("its record goes", |world| {
        (!world.dir().join("records").join(format!("{id}.1")).exists()).then_some(())
    });
    fault.end();
    // The task is free for its next attempt.
    assert_eq!(world.act("retry", &[&id])[0]["error"], Value::Null);
    world.wait_for("it runs again", |world| {
        (world.task(&id)["attempt"] == 2).then_some(())
    });
    assert_eq!(world.wait_final(&id)["outcome"]["exit_code"], 7);
    std::fs::remove_file(&gate).unwrap();
    assert!(world.stop_daemon().success());
    assert_sound(&world);
}

const QUICK: &str = "heartbeat_seconds = 1\nheartbeat_timeout_seconds = 3";

#[test]
fn an_end_that_cannot_be_synced_is_committed_from_the_workers_door() {
    unwritten_end(
        "sync-eio",
        QUICK,
        &["-e", SYNCS, "-e", "inject=fsync,fdatasync:error=EIO"],
    );
}

#[test]
fn an_end_that_cannot_be_written_is_committed_from_the_workers_door() {
    unwritten_end(
        "write-eio",
        QUICK,
        &[
            "-e",
            "trace=pwrite64,fdatasync",
            "-e",
            "inject=pwrite64:error=EIO",
        ],
    );
}

#[test]
fn a_worker_that_cannot_write_its_proof_of_life_is_not_ended() {
    let what = "a proof of life that cannot be written";
    if !can_trace(what) {
        return;
    }
    let gate = scratch("beat-eio");
    let mut world = World::new(QUICK);
    world.start();
    let id = world.submit("n", &gated(&gate, 4));
    world.wait_for("it has proved that it lives", |world| {
        world.ask("GET", "/workers", None)[0]["heartbeat_age_ms"].as_u64()
    });
    let fault = Fault::attach(
        worker_of(&world, &id),
        &["-e", "trace=pwrite64", "-e", "inject=pwrite64:error=EIO"],
    );
    // Well beyond the time after which a worker that says nothing is ended.
    let silent = world.wait_for("the proof in the record is old", |world| {
        let age = world.ask("GET", "/workers", None)[0]["heartbeat_age_ms"].as_u64();
        age.filter(|age| *age > 9_000)
            .or_else(|| (world.task(&id)["state"] != "processing").then_some(0))
    });
    assert!(silent > 0, "it was ended\n{}", world.story());
    fault.end();
    std::fs::write(&gate, "").unwrap();
    assert_ran_once(&world, &id, 4);
    std::fs::remove_file(&gate).unwrap();
}

#[test]
fn a_worker_whose_disk_comes_back_writes_its_end_down_without_a_daemon() {
    let what = "a worker's disk that fails for a while";
    if !can_trace(what) {
        return;
    }
    let gate = scratch("no-daemon-eio");
    let mut world = World::new("");
    world.start();
    let id = world.submit("n", &gated(&gate, 9));
    begun(&world, &id);
    let worker = worker_of(&world, &id);
    world.kill_daemon();
    let fault = Fault::attach(
        worker,
        &[
            "-e",
            WRITES,
            "-e",
            "inject=pwrite64,fdatasync:error=ENOSPC:when=1..2",
        ],
    );
    std::fs::write(&gate, "").unwrap();
    world.wait_for("the worker has left", |_| (!alive(worker)).then_some(()));
    fault.end();
    assert!(
        marked(&format!("{id}.1")).is_empty(),
        "nothing of it is left"
    );
    world.start();
    assert_ran_once(&world, &id, 9);
    std::fs::remove_file(&gate).unwrap();
}

/// What a client saw of the submissions it made while calls of the daemon failed.
struct Seen {
    acknowledged: Vec<String>,
    refused: u32,
}

/// Submits, each with a key of its own, until `enough` were refused or acknowledged.
fn submit_meanwhile(world: &World, name: &str, enough: usize) -> Seen {
    let mut seen = Seen {
        acknowledged: Vec::new(),
        refused: 0,
    };
    for n in 0..enough {
        let task = json!({"name": name, "command": "echo begin", "key": format!("{name} {n}")});
        match world.request("POST", "/tasks", Some(&task)) {
            Ok((201, task)) => seen
                .acknowledged
                .push(task["id"].as_str().unwrap().to_owned()),
            Ok((503 | 507, error)) => {
                seen.refused += 1;
                assert!(
                    matches!(error["code"].as_str(), Some("store_failed" | "disk_low")),
                    "{error}"
                );
            }
            other => panic!("{other:?}\n{}", world.story()),
        }
    }
    seen
}

/// Faults of the daemon, all its threads, while tasks end and are submitted; then the fault is over.
fn daemon_fault(name: &str, inject: &str, refuses: bool) {
    if !can_trace(name) {
        return;
    }
    let gate = scratch(name);
    let mut world = World::new("num_workers = 3");
    world.start();
    let running: Vec<String> = (1..=2)
        .map(|n| world.submit("running", &gated(&gate, n)))
        .collect();
    for id in &running {
        begun(&world, id);
    }
    let fault = Fault::attach(world.daemon_pid(), &["-f", "-e", WRITES, "-e", inject]);
    let seen = submit_meanwhile(&world, name, 8);
    std::fs::write(&gate, "").unwrap();
    assert_eq!(
        seen.refused > 0,
        refuses,
        "{} acknowledged\n{}",
        seen.acknowledged.len(),
        world.story()
    );
    // Still there: it answers.
    world.ask("GET", "/status", None);
    fault.end();

    for (n, id) in (1..).zip(&running) {
        assert_ran_once(&world, id, n);
    }
    for id in &seen.acknowledged {
        assert_eq!(
            world.wait_final(id)["state"],
            "completed",
            "{}",
            world.story()
        );
    }
    // The same keys again: what came to be in spite of its refusal is the same task, nothing is doubled.
    for n in 0..8 {
        let id = world.submit_with(
            json!({"name": name, "command": "echo begin", "key": format!("{name} {n}")}),
        );
        assert_eq!(world.wait_final(&id)["state"], "completed");
        assert_eq!(
            world.output(&id).matches("begin").count(),
            1,
            "{}",
            world.output(&id)
        );
    }
    let all = world.ask("GET", "/tasks?limit=100", None);
    assert_eq!(all["tasks"].as_array().unwrap().len(), 10);
    world.wait_for("the daemon calls itself healthy", |world| {
        (world.request("GET", "/health", None).unwrap().0 == 200).then_some(())
    });
    // Killed, not stopped: what it holds in memory must not be what made it right.
    world.kill_daemon();
    assert_sound(&world);
    world.start();
    for id in seen.acknowledged.iter().chain(&running) {
        world.wait_final(id);
    }
    std::fs::remove_file(&gate).unwrap();
}

#[test]
fn a_daemon_whose_syncs_fail_refuses_and_recovers() {
    daemon_fault("syncs-eio", "inject=fsync,fdatasync:error=EIO", true);
}

#[test]
fn a_daemon_whose_writes_fail_refuses_and_recovers() {
    daemon_fault("writes-eio", "inject=pwrite64:error=EIO", true);
}

#[test]
fn a_daemon_whose_disk_is_full_for_its_writes_refuses_and_recovers() {
    daemon_fault("writes-enospc", "inject=pwrite64:error=ENOSPC", true);
}

/// One failing call, the n-th, of each kind, one after the other in one daemon: every task that was acknowledged is run
/// once, none comes to be twice.
#[test]
fn the_nth_sync_or_write_of_the_daemon_fails_matrix() {
    let what = "the n-th call fails";
    if !can_trace(what) {
        return;
    }
    let mut world = World::new("num_workers = 2");
    world.start();
    for call in ["fsync", "pwrite64"] {
        let mut refused = 0;
        for (n, error) in (1..=6).zip(["EIO", "ENOSPC"].into_iter().cycle()) {
            let name = format!("{call} {n} {error}");
            let fault = Fault::attach(
                world.daemon_pid(),
                &[
                    "-e",
                    &format!("trace={call}"),
                    "-e",
                    &format!("inject={call}:error={error}:when={n}"),
                ],
            );
            let seen = submit_meanwhile(&world, &name, 3);
            refused += seen.refused;
            for id in &seen.acknowledged {
                let task = world.wait_final(id);
                assert_eq!(
                    task["state"],
                    "completed",
                    "{name}: {task}\n{}",
                    world.story()
                );
                // A lost or failed start may be tried again; a command that ran is not run again.
                assert_eq!(
                    world.output(id).matches("begin").count(),
                    1,
                    "{name}: {}",
                    world.output(id)
                );
            }
            fault.end();
            for n in 0..3 {
                let id = world.submit_with(
                    json!({"name": name, "command": "echo begin", "key": format!("{name} {n}")}),
                );
                assert_eq!(world.wait_final(&id)["state"], "completed", "{name}");
                assert_eq!(
                    world.output(&id).matches("begin").count(),
                    1,
                    "{name}: {}",
                    world.output(&id)
                );
            }
        }
        assert!(refused > 0, "no {call} failed: the rounds show nothing");
    }
    assert!(world.stop_daemon().success());
    assert_sound(&world);
}
