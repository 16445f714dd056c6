//! The promises through the shipped binaries: a daemon that dies, is stopped, and is started again under running tasks.

mod common;

use common::World;
use serde_json::json;

#[test]
fn a_task_runs_to_its_end_with_its_true_exit_status() {
    let mut world = World::new("");
    world.start();
    let id = world.submit("n", "echo out; echo err >&2; exit 7");
    let task = world.wait_final(&id);
    assert_eq!(task["state"], "failed");
    assert_eq!(task["outcome"]["kind"], "exited");
    assert_eq!(task["outcome"]["exit_code"], 7);
    let output = world.output(&id);
    assert!(
        output.contains("out\n") && output.contains("err\n"),
        "{output}"
    );
}

#[test]
fn a_killed_daemon_loses_nothing_and_doubles_nothing() {
    let mut world = World::new("num_workers = 4");
    world.start();
    let gate = world.dir().join("gate");
    let line = |n: u32| {
        format!(
            "echo begin {n}; while ! test -e {}; do sleep 0.05; done; echo end {n}; exit {n}",
            gate.display()
        )
    };
    let running: Vec<String> = (1..=4)
        .map(|n| world.submit(&format!("r{n}"), &line(n)))
        .collect();
    let queued: Vec<String> = (0..50)
        .map(|n| world.submit(&format!("q{n}"), "echo queued"))
        .collect();
    for id in &running {
        world.wait_state(id, "processing");
    }
    world.wait_for("all four have begun", |world| {
        running
            .iter()
            .all(|id| world.output(id).contains("begin"))
            .then_some(())
    });
    world.kill_daemon();
    std::fs::write(&gate, "").unwrap();
    world.start();
    for (n, id) in (1..).zip(&running) {
        let task = world.wait_final(id);
        assert_eq!(task["attempt"], 1, "taken back, not run again");
        assert_eq!(task["outcome"]["exit_code"], n);
        let output = world.output(id);
        assert_eq!(output.matches("begin").count(), 1, "{output}");
        assert!(
            output.contains(&format!("begin {n}\nend {n}\n")),
            "{output}"
        );
    }
    for id in &queued {
        assert_eq!(world.wait_final(id)["state"], "completed");
        assert_eq!(world.output(id).matches("queued").count(), 1);
    }
}

#[test]
fn a_stopped_daemon_leaves_running_attempts_and_an_intent_survives_a_kill() {
    let mut world = World::new("grace_seconds = 1");
    world.start();
    let id = world.submit(
        "stubborn",
        "trap '' TERM; echo begin; while :; do sleep 0.1; done",
    );
    world.wait_for("it has begun", |world| {
        world.output(&id).contains("begin").then_some(())
    });
    assert!(world.stop_daemon().success());
    let said = std::fs::read_to_string(world.dir().join("daemon.out")).unwrap();
    assert!(said.contains("1 running attempt goes on"), "{said}");
    world.start();
    let answer = world.act("cancel", &[&id]);
    assert_eq!(answer[0]["effect"], "stopping");
    world.kill_daemon();
    world.start();
    let task = world.wait_final(&id);
    assert_eq!(task["state"], "cancelled");
    world.wait_for("nothing of it is left", |_| {
        common::marked(&format!("{id}.1")).is_empty().then_some(())
    });
}

#[test]
fn the_same_key_is_the_same_task() {
    let mut world = World::new("");
    world.start();
    let task = json!({"name": "n", "command": "true", "key": "nightly"});
    let first = world.submit_with(task.clone());
    world.kill_daemon();
    world.start();
    assert_eq!(world.submit_with(task), first);
    let (status, body) = world
        .request(
            "POST",
            "/tasks",
            Some(&json!({"name": "n", "command": "false", "key": "nightly"})),
        )
        .unwrap();
    assert_eq!((status, body["code"].as_str()), (409, Some("key_conflict")));
}

#[test]
fn a_command_that_leaves_politely_when_paused_is_paused_and_not_done() {
    let mut world = World::new("");
    world.start();
    let id = world.submit(
        "polite",
        "trap 'exit 0' TERM; echo begin; while :; do sleep 0.05; done",
    );
    world.wait_for("it has begun", |world| {
        world.output(&id).contains("begin").then_some(())
    });
    world.act("pause", &[&id]);
    let task = world.wait_state(&id, "paused");
    assert_eq!(task["outcome"]["exit_code"], 0);
    world.act("cancel", &[&id]);
    assert_eq!(world.wait_final(&id)["state"], "cancelled");
}
