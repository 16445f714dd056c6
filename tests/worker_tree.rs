//! Nothing of an attempt's tree stays behind: real processes that try to get away.

mod worker_kit;

use std::time::Duration;

use auto_claude::process::{
    AttemptCgroup, SweepResult, Target, WorkerEnd, is_alive, marker_of, monotonic_ms, signal,
    stamp_of, sweep,
};
use auto_claude::task::{IntentKind, OutcomeKind};
use rustix::process::Signal;
use worker_kit::{Bench, Ended, processes_with, wait_for};

/// An argument of `sleep` that no other test uses.
fn mark(number: u32) -> String {
    format!("{}.{}", 10_000 + number, std::process::id())
}

fn gone(mark: &str) {
    assert_eq!(processes_with(mark), [] as [i32; 0], "left behind");
}

#[test]
fn what_a_command_leaves_in_the_background_is_ended() {
    let mark = mark(1);
    let cases = [
        format!("sleep {mark} >/dev/null 2>&1 & exit 0"),
        format!("setsid sleep {mark} >/dev/null 2>&1 & exit 0"),
        // A double fork, an empty environment, a session of its own, SIGTERM ignored.
        format!(
            "(setsid env -i /bin/sh -c 'trap \"\" TERM; (sleep {mark}; true) & sleep {mark}; true' >/dev/null 2>&1 &) ; sleep 0.2; exit 0"
        ),
    ];
    for script in cases {
        let ended = Bench::sh(&script).run();
        assert_eq!(ended.exit.outcome.kind, OutcomeKind::Succeeded, "{script}");
        assert!(!ended.exit.outcome.descendant_held_pipe, "{script}");
        assert_eq!(ended.end, WorkerEnd::Left(0));
        gone(&mark);
    }
}

#[test]
fn a_held_pipe_ends_the_wait_and_is_told() {
    let mark = mark(2);
    let bench = Bench::sh(&format!("echo before; setsid sleep {mark} & exit 5"));
    let begin = monotonic_ms();
    let Ended { exit, .. } = bench.run();
    assert_eq!(
        (exit.outcome.exit_code, exit.outcome.descendant_held_pipe),
        (Some(5), true)
    );
    assert!(monotonic_ms() - begin < 10_000);
    assert_eq!(bench.output(), "before\n");
    gone(&mark);
}

#[test]
fn output_of_a_descendant_after_the_end_is_kept() {
    let bench = Bench::sh("(sleep 0.4; echo late) & echo early");
    let ended = bench.run();
    assert!(!ended.exit.outcome.descendant_held_pipe);
    assert_eq!(bench.output(), "early\nlate\n");
}

#[test]
fn a_stop_reaches_the_whole_tree() {
    let mark = mark(3);
    let bench = Bench::sh(&format!(
        "setsid sh -c 'trap \"\" TERM; while :; do sleep {mark}; done' & echo ready; wait"
    ));
    let running = bench.start();
    wait_for("the sleeper", || {
        (!processes_with(&mark).is_empty()).then_some(())
    });
    running.stop(IntentKind::Cancel, Some(300));
    let ended = running.ended();
    assert_eq!(
        ended.exit.outcome.signal,
        Some(15),
        "{:?}",
        ended.exit.outcome
    );
    gone(&mark);
}

#[test]
fn a_worker_killed_alone_takes_its_agent_with_it() {
    let mark = mark(4);
    let bench = Bench::argv(&["/bin/sleep", &mark]);
    let running = bench.start();
    let agent = running.agent();
    signal(running.launched.worker, Signal::KILL).unwrap();
    wait_for("the agent's end", || (!is_alive(agent)).then_some(()));
    assert_eq!(running.wait_end(), WorkerEnd::Signaled(9));
    gone(&mark);
}

#[test]
fn a_sweep_finds_who_escaped_a_killed_worker() {
    let marks = [mark(5), mark(6), mark(7)];
    let [by_marker, by_session, by_cgroup] = &marks;
    // One ignores SIGTERM and has a session of its own; one has no environment but the agent's session; one has neither.
    let bench = Bench::sh(&format!(
        "setsid sh -c 'trap \"\" TERM; sleep {by_marker}; true' & env -i sleep {by_session} & env -i setsid sleep {by_cgroup} & trap '' TERM; while :; do sleep 0.05; done"
    ));
    let running = bench.start();
    let agent = running.agent();
    for mark in &marks {
        wait_for("a sleeper", || {
            (!processes_with(mark).is_empty()).then_some(())
        });
    }
    signal(running.launched.worker, Signal::KILL).unwrap();
    running.wait_end();
    assert!(is_alive(agent), "the agent ignores SIGTERM");
    let cgroup = AttemptCgroup::existing(&running.spec.attempt);
    let tracked = !cgroup.members().is_empty();
    let target = Target {
        roots: vec![running.launched.worker, agent],
        session: Some(agent),
        marker: vec![marker_of(&running.spec.attempt)],
        cgroup: Some(cgroup.clone()),
    };
    assert_eq!(sweep(&target, 100, 10_000).unwrap(), SweepResult::Empty);
    assert!(!is_alive(agent));
    gone(by_marker);
    gone(by_session);
    if tracked {
        gone(by_cgroup);
    } else {
        println!(
            "SKIPPED: no writable cgroup2 tree: a process without environment and session cannot be found"
        );
        for pid in processes_with(by_cgroup) {
            signal(stamp_of(pid).unwrap(), Signal::KILL).unwrap();
        }
    }
    cgroup.remove();
    assert_eq!(
        sweep(&target, 0, 1_000).unwrap(),
        SweepResult::Empty,
        "again"
    );
}

#[test]
fn a_fork_bomb_stays_under_its_limit_and_ends() {
    let mark = mark(8);
    let mut bench = Bench::sh(&format!(
        "bomb() {{ sleep {mark} & bomb & bomb & wait; }}; bomb"
    ));
    bench.spec().max_processes = 60;
    bench.spec().timeout_ms = 1_500;
    bench.spec().grace_ms = 200;
    let running = bench.start();
    if AttemptCgroup::existing(&running.spec.attempt)
        .members()
        .is_empty()
        && rustix::process::geteuid().is_root()
    {
        // Without a pids controller nothing binds root.
        wait_for("the worker's log or the limit", || {
            let limited = !AttemptCgroup::existing(&running.spec.attempt)
                .members()
                .is_empty();
            (limited || running.log_text().contains("no pids controller")).then_some(())
        });
    }
    let unlimited = running.log_text().contains("no pids controller");
    let mut most = 0;
    let outcome = loop {
        most = most.max(processes_with(&mark).len());
        if let Some(exit) = running.record().exit.value() {
            break exit.outcome.clone();
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    running.wait_end();
    gone(&mark);
    if unlimited {
        println!("SKIPPED: no pids controller can be used here");
        return;
    }
    assert!(most <= 60, "{most} processes");
    assert!(most > 5, "the bomb did not go off: {most}");
    assert!(
        matches!(
            outcome.kind,
            OutcomeKind::TimedOut | OutcomeKind::Succeeded | OutcomeKind::Exited
        ),
        "{outcome:?}"
    );
}

#[test]
fn a_worker_leaves_nothing_of_its_own() {
    let bench = Bench::sh("exit 0");
    let running = bench.start();
    let attempt = running.spec.attempt.clone();
    running.ended();
    assert!(!bench.handover.spec.door.exists());
    assert_eq!(AttemptCgroup::existing(&attempt).members(), [] as [i32; 0]);
    assert!(
        !bench.handover.spec.task_dir.exists(),
        "no output, no directory"
    );
}
