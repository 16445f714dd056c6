//! What the disk does not give back: a checkpoint, the database. What does not depend on it goes on, and a person is told.

mod common;
mod fault_kit;

use common::{World, is_root, marked, signal};
use fault_kit::{Fault, WorldDisk, can_trace, has_tool};
use serde_json::json;

/// Ends what is left of an attempt, also when the test fails: on a dead disk its worker would stay for ever.
struct Attempt(String);

impl Drop for Attempt {
    fn drop(&mut self) {
        for pid in marked(&self.0) {
            signal(pid, "KILL");
        }
    }
}

#[test]
fn a_checkpoint_that_the_disk_does_not_give_back_costs_only_itself() {
    let what = "a checkpoint that cannot be read";
    if !can_trace(what) {
        return;
    }
    let mut world = World::new("grace_seconds = 1");
    world.start();
    let line = format!(
        "echo begin $AUTO_CLAUDE_CHUNK; test $AUTO_CLAUDE_RESUME = 1 && exit 0; \
         for n in 1 2 3; do {} checkpoint --chunk $n >/dev/null || exit 1; done; echo ready; sleep 600",
        common::TASKCTL
    );
    let id = world.submit_with(json!({"name": "n", "command": line, "type": "heavy_context"}));
    world.wait_for("three chunks are done", |world| {
        world.output(&id).contains("ready").then_some(())
    });
    // One more is written at the pause.
    world.act("pause", &[&id]);
    world.wait_state(&id, "paused");
    let folder = world.dir().join("tasks").join(&id).join("checkpoints");
    let newest = folder.join("00000004.checkpoint");
    let fault = Fault::attach(
        world.daemon_pid(),
        &[
            "-f",
            "-P",
            newest.to_str().unwrap(),
            "-e",
            "trace=read",
            "-e",
            "inject=read:error=EIO",
        ],
    );
    world.act("resume", &[&id]);
    assert_eq!(world.wait_final(&id)["state"], "completed");
    fault.end();
    assert!(
        world.output(&id).contains("begin 3\n"),
        "{}\n{}",
        world.output(&id),
        world.story()
    );
    // The disk may give it back another day: it keeps its name.
    assert!(newest.exists());
    assert!(!folder.join("00000004.checkpoint.damaged").exists());
    assert!(
        world
            .story()
            .contains("00000004.checkpoint cannot be used and is passed over: Input/output error"),
        "{}",
        world.story()
    );
}

#[test]
fn without_its_database_the_daemon_tells_what_it_knows() {
    let what = "a database that cannot be read";
    if !is_root(what) || !has_tool("mke2fs", what) {
        return;
    }
    let mut world = World::new("disk_reserve_mb = 1\nnum_workers = 1");
    let Some(disk) = WorldDisk::over(&world, what, 24, &[]) else {
        return;
    };
    world.start();
    let id = world.submit("sleeper", "echo begin; sleep 600");
    let _attempt = Attempt(format!("{id}.1"));
    world.wait_for("it runs", |world| {
        world.output(&id).contains("begin").then_some(())
    });
    let before = world.ask("GET", "/workers", None);
    assert_eq!(world.ask("GET", "/status", None)["attention"], json!([]));
    // A reader whose snapshot is still the newest has its pages in memory and would not notice: a commit makes it read.
    world.submit("next", "true");
    if let Err(error) = disk.power_off() {
        return println!("SKIPPED: {what}: {error}");
    }

    let unread = "the database cannot be read: ";
    let status = world.ask("GET", "/status", None);
    assert!(status["attention"].to_string().contains(unread), "{status}");
    assert_eq!(
        (&status["tasks"], &status["running"]),
        (&json!({}), &json!(1))
    );
    assert_eq!(status["claims"]["enabled"], false);
    let workers = world.ask("GET", "/workers", None);
    for field in ["task", "name", "slot", "attempt", "worker_pid"] {
        assert_eq!(workers[0][field], before[0][field], "{workers}");
    }

    let status = world.taskctl(&["system", "status"]);
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(
        status.status.success() && text.contains(&format!("attention: {unread}")),
        "{text}"
    );
    let workers = world.taskctl(&["worker", "list"]);
    let (text, said) = (
        String::from_utf8(workers.stdout).unwrap(),
        String::from_utf8(workers.stderr).unwrap(),
    );
    assert!(
        workers.status.success() && text.contains("sleeper") && said.contains(unread),
        "{text}{said}"
    );
    world.kill_daemon();
}
