//! Workers that die again and again: the task goes to a person, and so does the machine.

mod common;

use common::{World, signal};
use serde_json::json;

#[test]
fn a_task_that_is_lost_again_and_again_goes_to_review() {
    let mut world = World::new("num_workers = 1\nrestart_max = 3\n");
    world.start();
    let id = world.submit_with(json!({"name": "n", "if_lost": "rerun",
        "command": "echo $PPID >worker.$AUTO_CLAUDE_ATTEMPT; test $AUTO_CLAUDE_ATTEMPT = 4 || sleep 600", "cwd": world.dir()}));
    for attempt in 1..=3 {
        let worker: i32 = world.wait_for("the attempt runs", |world| {
            std::fs::read_to_string(world.dir().join(format!("worker.{attempt}")))
                .ok()?
                .trim()
                .parse()
                .ok()
        });
        signal(worker, "KILL");
        world.wait_for("its end was seen", |world| {
            let task = world.task(&id);
            (task["attempt"] != attempt || task["state"] != "processing").then_some(())
        });
        assert!(
            common::marked(&format!("{id}.{attempt}")).is_empty(),
            "its tree is gone before the next"
        );
        if attempt < 3 {
            world.act("retry", &[&id]);
        }
    }
    let task = world.wait_state(&id, "needs_human_review");
    assert_eq!(
        (&task["outcome"]["kind"], &task["retries"]),
        (&json!("lost"), &json!(0)),
        "{task}"
    );
    world.act("approve", &[&id]);
    assert_eq!(world.wait_final(&id)["state"], "completed");
}

#[test]
fn many_lost_attempts_stop_all_claims_until_a_person_resumes() {
    let mut world = World::new("num_workers = 1\ndaemon_restart_max = 2\n");
    world.start();
    let line = "echo $PPID >worker.$AUTO_CLAUDE_TASK_ID; sleep 600";
    for _ in 0..2 {
        let id = world.submit_with(
            json!({"name": "n", "if_lost": "fail", "command": line, "cwd": world.dir()}),
        );
        let worker: i32 = world.wait_for("it runs", |world| {
            std::fs::read_to_string(world.dir().join(format!("worker.{id}")))
                .ok()?
                .trim()
                .parse()
                .ok()
        });
        signal(worker, "KILL");
        assert_eq!(world.wait_final(&id)["outcome"]["kind"], "lost");
    }
    let waits = world.submit("waits", "true");
    let status = world.wait_for("claims are off", |world| {
        Some(world.ask("GET", "/status", None))
            .filter(|status| status["claims"]["enabled"] == false)
    });
    assert!(
        status.to_string().contains("taskctl system resume"),
        "{status}"
    );
    assert_eq!(world.task(&waits)["state"], "pending");
    assert!(world.taskctl(&["system", "resume"]).status.success());
    assert_eq!(world.wait_final(&waits)["state"], "completed");
}
