//! Processes that get in the way, through the shipped binaries: what escapes, hangs, is stopped, is killed alone; a machine
//! that was booted anew; numbers that are given again.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and bound their waits by a clock"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "../common/mod.rs"]
mod common;
mod output;
mod record;
mod reuse;

use std::time::{Duration, Instant};

use auto_claude::attempt::record::{Record, Started};
use auto_claude::record::RecordFile;
use common::{World, alive, marked, signal};
use serde_json::{Value, json};

const RESTARTS: &str = "restart_max = 50\ndaemon_restart_max = 1000\ngrace_seconds = 1\n";
const QUICK_HEARTBEAT: &str = "heartbeat_seconds = 1\nheartbeat_timeout_seconds = 3\n";

fn record(world: &World, attempt: &str) -> Option<Record> {
    RecordFile::open_existing(&world.dir().join("records").join(attempt))
        .ok()?
        .read()
        .ok()
}

/// What the worker wrote down before it spawned the command, and after.
fn started(world: &World, attempt: &str) -> Started {
    world.wait_for("the record names worker and agent", |world| {
        record(world, attempt)?
            .started
            .value()
            .filter(|started| started.agent.is_some())
            .cloned()
    })
}

/// Living processes whose command line holds this word.
fn with_word(word: &str) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(word))
            && alive(*pid)
    })
    .collect()
}

/// A number of seconds for `sleep` that no other test uses.
fn word(number: u32) -> String {
    format!("{}.{}", 20_000 + number, std::process::id())
}

/// How the attempts of a task ended, in their order.
fn ends(world: &World, id: &str) -> Vec<String> {
    let journal = world.ask("GET", &format!("/tasks/{id}/journal"), None);
    let rows = journal.as_array().unwrap().iter();
    rows.filter(|row| row["event"]["event"] == "ended")
        .map(|row| row["event"]["outcome"]["kind"].as_str().unwrap().to_owned())
        .collect()
}

/// A line that waits in its first attempt and ends in its second.
fn first_waits(word: &str) -> String {
    format!(
        "echo begin $AUTO_CLAUDE_ATTEMPT; test $AUTO_CLAUDE_ATTEMPT -gt 1 && exit 5; sleep {word} & wait"
    )
}

#[test]
fn a_worker_killed_alone_is_lost_and_what_it_left_is_ended_before_the_next_attempt() {
    let mut world = World::new(RESTARTS);
    world.start();
    let marks = [word(1), word(2), word(3)];
    let [plain, deaf, bare] = &marks;
    // Beside the agent: one in its session, one deaf to SIGTERM in a session of its own, one without environment.
    let line = format!(
        "test $AUTO_CLAUDE_ATTEMPT -gt 1 && {{ pgrep -f '^sleep ({plain}|{deaf}|{bare})' && exit 9; exit 5; }}\n\
         setsid sh -c 'trap \"\" TERM; sleep {deaf}; true' & env -i setsid sleep {bare} & trap '' TERM; echo begin; while :; do sleep {plain}; done"
    );
    let id = world.submit("left", &line);
    for mark in &marks {
        world.wait_for("all of them run", |_| {
            (!with_word(mark).is_empty()).then_some(())
        });
    }
    let tracked =
        !auto_claude::process::AttemptCgroup::existing(&format!("{id}.1").parse().unwrap())
            .members()
            .is_empty();
    signal(started(&world, &format!("{id}.1")).worker.pid, "KILL");
    if !tracked {
        println!(
            "SKIPPED: a process without environment and session of a killed worker: no writable cgroup2 tree"
        );
        with_word(bare)
            .into_iter()
            .for_each(|pid| signal(pid, "KILL"));
    }
    let task = world.wait_final(&id);
    assert_eq!(
        (
            task["attempt"].as_u64(),
            task["outcome"]["exit_code"].as_i64()
        ),
        (Some(2), Some(5)),
        "{task}\n{}",
        world.story()
    );
    assert_eq!(ends(&world, &id), ["lost", "exited"]);
    assert_eq!(task["retries"], 0, "a loss spends no retry");
    for mark in &marks {
        assert_eq!(with_word(mark), [] as [i32; 0]);
    }
}

#[test]
fn what_follows_a_loss_is_what_the_task_says() {
    let mut world = World::new(&format!("num_workers = 6\n{RESTARTS}"));
    world.start();
    let mark = word(4);
    let submit = |if_lost: Value, kind: &str| {
        let line = format!(
            "test $AUTO_CLAUDE_ATTEMPT -gt 1 && {{ echo resume $AUTO_CLAUDE_RESUME; exit 0; }}; echo begin; sleep {mark}"
        );
        world.submit_with(json!({"name": "n", "key": format!("{if_lost}{kind}"), "command": line, "if_lost": if_lost, "type": kind}))
    };
    let ids = [
        submit(json!("review"), "lightweight"),
        submit(json!("fail"), "lightweight"),
        submit(json!("rerun"), "medium_context"),
        submit(json!("resume"), "lightweight"),
        submit(Value::Null, "lightweight"),
        submit(Value::Null, "medium_context"),
    ];
    for id in &ids {
        world.wait_for("it has begun", |world| {
            world.output(id).contains("begin").then_some(())
        });
        signal(started(&world, &format!("{id}.1")).worker.pid, "KILL");
    }
    let [review, fail, rerun, resume, plain, medium] = &ids;
    world.wait_state(review, "needs_human_review");
    assert_eq!(world.wait_final(fail)["outcome"]["kind"], "lost");
    for (id, resumed) in [(rerun, 0), (resume, 1), (plain, 0), (medium, 1)] {
        assert_eq!(world.wait_final(id)["state"], "completed");
        assert!(
            world.output(id).ends_with(&format!("resume {resumed}\n")),
            "{}",
            world.output(id)
        );
    }
    assert_eq!(with_word(&mark), [] as [i32; 0]);
}

/// The worker stands still since just now: its attempt is lost for that, at about the timeout, and no zombie stays.
fn assert_ended_for_its_silence(world: &World, id: &str, worker: i32) {
    let begun = Instant::now();
    let detail = world.wait_for("it is lost", |world| {
        let journal = world.ask("GET", &format!("/tasks/{id}/journal"), None);
        let rows = journal.as_array().unwrap().iter();
        rows.map(|row| row["event"]["outcome"]["detail"].clone())
            .find(|detail| detail.is_string())
    });
    let took = begun.elapsed();
    assert_eq!(
        detail,
        "its worker did not prove that it lives for 3 s and was ended",
        "{}",
        world.story()
    );
    // 3 s, and half as much again for questions at its door; the rest is for a busy machine.
    assert!(took < Duration::from_secs(9), "{took:?}");
    world.wait_for("its status is taken", |_| {
        (!std::path::Path::new(&format!("/proc/{worker}")).exists()).then_some(())
    });
}

#[test]
fn a_worker_that_stands_still_is_ended_though_a_wish_waits_at_its_door() {
    let mut world = World::new(&format!("{RESTARTS}{QUICK_HEARTBEAT}"));
    world.start();
    let mark = word(10);
    let id = world.submit("hung", &first_waits(&mark));
    let worker = started(&world, &format!("{id}.1")).worker.pid;
    signal(worker, "STOP");
    assert_eq!(world.act("cancel", &[&id])[0]["error"], Value::Null);
    assert_ended_for_its_silence(&world, &id, worker);
    assert_eq!(world.wait_final(&id)["state"], "cancelled");
    assert_eq!(with_word(&mark), [] as [i32; 0]);
}

#[test]
fn a_worker_that_stands_still_is_ended_with_its_tree_and_its_task_goes_on() {
    let mut world = World::new(&format!("num_workers = 4\n{RESTARTS}{QUICK_HEARTBEAT}"));
    world.start();
    let mark = word(5);
    let hung = world.submit("hung", &first_waits(&mark));
    let well = world.submit("well", "echo begin; sleep 6; echo end");
    for id in [&hung, &well] {
        world.wait_for("it has begun", |world| {
            world.output(id).contains("begin").then_some(())
        });
    }
    let worker = started(&world, &format!("{hung}.1")).worker.pid;
    signal(worker, "STOP");
    assert_ended_for_its_silence(&world, &hung, worker);
    let task = world.wait_final(&hung);
    assert_eq!(
        (
            task["attempt"].as_u64(),
            task["outcome"]["exit_code"].as_i64()
        ),
        (Some(2), Some(5)),
        "{}",
        world.story()
    );
    assert_eq!(ends(&world, &hung), ["lost", "exited"]);
    assert!(!alive(worker));
    assert_eq!(with_word(&mark), [] as [i32; 0]);
    let task = world.wait_final(&well);
    assert_eq!(
        (task["attempt"].as_u64(), task["state"].as_str()),
        (Some(1), Some("completed")),
        "its neighbour is left alone"
    );
}

#[test]
fn a_daemon_that_stood_still_shoots_nobody() {
    let mut world = World::new(&format!("num_workers = 4\n{RESTARTS}{QUICK_HEARTBEAT}"));
    world.start();
    let gate = world.dir().join("gate");
    let id = world.submit(
        "long",
        &format!(
            "echo begin; while ! test -e {}; do sleep 0.05; done; exit 4",
            gate.display()
        ),
    );
    world.wait_for("it has begun", |world| {
        world.output(&id).contains("begin").then_some(())
    });
    let daemon = world.daemon_pid();
    let worker = started(&world, &format!("{id}.1")).worker.pid;
    // The worker stands still as well (a suspended machine, a debugger): the daemon may not hold that against it either.
    for pid in [daemon, worker] {
        signal(pid, "STOP");
    }
    std::thread::sleep(Duration::from_secs(5));
    for pid in [daemon, worker] {
        signal(pid, "CONT");
    }
    let beats = |world: &World| {
        record(world, &format!("{id}.1"))
            .and_then(|record| record.beat.value().map(|beat| beat.monotonic_ms))
    };
    let before = beats(&world);
    world.wait_for("two more proofs of life", |world| {
        beats(world).filter(|beat| before.is_none_or(|before| *beat > before + 1_500))
    });
    std::fs::write(&gate, "").unwrap();
    let task = world.wait_final(&id);
    assert_eq!(
        (
            task["attempt"].as_u64(),
            task["outcome"]["exit_code"].as_i64()
        ),
        (Some(1), Some(4)),
        "{}",
        world.story()
    );
}

#[test]
fn a_pipe_that_a_descendant_holds_does_not_hold_the_task() {
    let mut world = World::new("");
    world.start();
    let mark = word(7);
    let begun = Instant::now();
    let id = world.submit(
        "pipe",
        &format!("echo before; setsid env -i sleep {mark} & exit 5"),
    );
    let task = world.wait_final(&id);
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(
        (
            task["outcome"]["exit_code"].as_i64(),
            task["outcome"]["descendant_held_pipe"].as_bool()
        ),
        (Some(5), Some(true)),
        "{task}"
    );
    assert!(
        world.output(&id).ends_with("---\nbefore\n"),
        "{}",
        world.output(&id)
    );
    assert_eq!(with_word(&mark), [] as [i32; 0]);
}

#[test]
fn a_fork_bomb_leaves_the_daemon_and_other_tasks_alone() {
    let mut world = World::new("num_workers = 2\nmax_processes = 60\ngrace_seconds = 1\n");
    world.start();
    let mark = word(8);
    let line = format!("bomb() {{ sleep {mark} & bomb & bomb & wait; }}; bomb");
    let bomb = world
        .submit_with(json!({"name": "bomb", "key": "b", "command": line, "timeout_seconds": 3}));
    let worker = started(&world, &format!("{bomb}.1")).worker.pid;
    let other = world.submit("other", "echo well");
    let mut most = 0;
    let over = |world: &World| {
        ["completed", "failed"].contains(&world.task(&bomb)["state"].as_str().unwrap())
    };
    let begun = Instant::now();
    while !over(&world) {
        most = most.max(with_word(&mark).len());
        let unlimited = std::fs::read_to_string(world.dir().join("logs/workers.log"))
            .is_ok_and(|text| text.contains("no pids controller"));
        if unlimited && is_privileged() {
            println!("SKIPPED: a fork bomb under a limit: no pids controller can be used here");
            world.act("cancel", &[&bomb]);
        }
        assert!(begun.elapsed() < common::PATIENCE, "{}", world.story());
    }
    assert!(most <= 60, "{most} processes under worker {worker}");
    assert_eq!(world.wait_final(&other)["state"], "completed");
    assert_eq!(with_word(&mark), [] as [i32; 0]);
    assert_eq!(marked(&format!("{bomb}.1")), [] as [i32; 0]);
}

fn is_privileged() -> bool {
    rustix::process::geteuid().is_root()
}
