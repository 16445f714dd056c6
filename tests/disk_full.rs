//! A state directory whose disk is full: what runs is brought to its end, new work is refused, and all goes on once there
//! is space again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;
mod fault_kit;

use common::{World, is_root, scratch};
use fault_kit::{WorldDisk, assert_sound, events, has_tool, refusal};
use serde_json::json;

/// A file outside the full disk, gone at the end.
struct Flag(std::path::PathBuf);

impl Flag {
    fn new(name: &str) -> Self {
        Self(scratch(name))
    }

    fn raise(&self) {
        std::fs::write(&self.0, "").unwrap();
    }

    fn lower(&self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn can_mount(what: &str) -> bool {
    is_root(what) && has_tool("mke2fs", what)
}

/// Tasks at work on a disk that is about to be full.
struct Tasks {
    /// Fills the disk with its output, and goes on.
    chatty: String,
    /// End when the gate opens, with the exit codes 1, 2, 3.
    quiet: Vec<String>,
    doomed: String,
    halted: String,
    /// Waits for a slot.
    queued: String,
}

fn set_to_work(world: &World, gate: &Flag, flood: &Flag, chatty_gate: &Flag) -> Tasks {
    let wait = |flag: &Flag| format!("while ! test -e {}; do sleep 0.05; done", flag.0.display());
    let chatty = format!(
        "echo begun; {begin}; while test -e {flood}; do head -c 65536 /dev/zero | tr '\\0' x; done; \
         while ! test -e {gate}; do echo again; sleep 0.05; done; exit 5",
        begin = wait(flood),
        flood = flood.0.display(),
        gate = chatty_gate.0.display()
    );
    let chatty = world.submit("chatty", &chatty);
    let quiet: Vec<String> = (1..=3)
        .map(|n| world.submit("quiet", &format!("echo begun; {}; exit {n}", wait(gate))))
        .collect();
    let doomed = world.submit("doomed", "echo begun; sleep 600");
    let halted = world.submit("halted", "echo begun; sleep 600");
    for id in quiet.iter().chain([&chatty, &doomed, &halted]) {
        world.wait_for("all run", |world| {
            world.output(id).contains("begun").then_some(())
        });
    }
    // No slot is left for this one before the disk is full.
    let queued = world.submit("queued", "true");
    Tasks {
        chatty,
        quiet,
        doomed,
        halted,
        queued,
    }
}

/// Submits until that is refused, with a clear code; the tasks that were taken.
fn submit_until_refused(world: &World) -> Vec<String> {
    let answer = world.wait_for("a submission is refused", |world| {
        let task = json!({"name": "late", "command": "true", "description": "x".repeat(900)});
        let answer = world.request("POST", "/tasks", Some(&task)).unwrap();
        (answer.0 != 201).then_some(answer)
    });
    assert_eq!(refusal(&answer), (507, "disk_low".to_owned()), "{answer:?}");
    let all = world.ask("GET", "/tasks?limit=1000", None);
    let late = all["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|task| task["name"] == "late");
    late.map(|task| task["id"].as_str().unwrap().to_owned())
        .collect()
}

/// What runs is brought to its end on a full disk, and wishes are obeyed; nothing new is begun.
fn bring_to_an_end(world: &World, tasks: &Tasks, gate: &Flag) {
    for (action, id) in [("cancel", &tasks.doomed), ("pause", &tasks.halted)] {
        assert_eq!(
            world.act(action, &[id])[0]["error"],
            json!(null),
            "{}",
            world.story()
        );
    }
    assert_eq!(world.wait_final(&tasks.doomed)["state"], "cancelled");
    world.wait_state(&tasks.halted, "paused");
    gate.raise();
    for (n, id) in (1..).zip(&tasks.quiet) {
        let task = world.wait_final(id);
        assert_eq!(
            (&task["outcome"]["exit_code"], &task["attempt"]),
            (&json!(n), &json!(1))
        );
        assert_eq!(events(world, id, "ended"), 1);
    }
    let answer = world
        .request(
            "POST",
            "/tasks",
            Some(&json!({"name": "refused", "command": "true"})),
        )
        .unwrap();
    assert_eq!(refusal(&answer), (507, "disk_low".to_owned()), "{answer:?}");
    assert_eq!(
        world.task(&tasks.queued)["state"],
        "pending",
        "nothing new is begun on a full disk"
    );
}

/// Commits go through out of the reserve, and a person still sees why nothing new begins.
fn assert_shown_as_full(world: &World) {
    let status = world.wait_for("it is shown as full", |world| {
        let status = world.ask("GET", "/status", None);
        let attention = status["attention"].to_string();
        attention.contains("the disk is full").then_some(status)
    });
    assert_eq!(status["claims"]["enabled"], false, "{status}");
    let why_not = status["claims"]["why_not"].as_str().unwrap();
    assert!(why_not.contains("the disk is full"), "{status}");
}

#[test]
fn a_full_disk_costs_no_outcome_and_takes_no_new_work() {
    let what = "a full disk";
    if !can_mount(what) {
        return;
    }
    let (gate, flood, chatty_gate) = (
        Flag::new("full-gate"),
        Flag::new("full-flood"),
        Flag::new("full-chatty"),
    );
    let mut world = World::new("num_workers = 6\ndisk_reserve_mb = 1\ngrace_seconds = 1");
    let Some(disk) = WorldDisk::over(&world, what, 24, &[]) else {
        return;
    };
    world.start();
    let ballast = disk.point().join("ballast");
    std::fs::write(&ballast, vec![0; 4 << 20]).unwrap();
    let tasks = set_to_work(&world, &gate, &flood, &chatty_gate);
    flood.raise();
    world.wait_for("the disk is full", |_| {
        (disk.free() < 64 << 10).then_some(())
    });
    let taken = submit_until_refused(&world);
    bring_to_an_end(&world, &tasks, &gate);
    assert_shown_as_full(&world);
    // A daemon that is started on the full disk knows it, too: the reserve is gone.
    world.kill_daemon();
    world.start();
    assert_shown_as_full(&world);
    assert_eq!(world.task(&tasks.queued)["state"], "pending");
    assert!(
        disk.free() < 1 << 20,
        "the disk was full all the time: {} bytes are free",
        disk.free()
    );

    // Space returns: everything moves again by itself.
    flood.lower();
    std::fs::remove_file(&ballast).unwrap();
    for id in taken.iter().chain([&tasks.queued]) {
        assert_eq!(world.wait_final(id)["state"], "completed");
    }
    let after = world.wait_for("submissions are taken again", |world| {
        let answer = world
            .request(
                "POST",
                "/tasks",
                Some(&json!({"name": "after", "command": "true"})),
            )
            .unwrap();
        (answer.0 == 201).then(|| answer.1["id"].as_str().unwrap().to_owned())
    });
    assert_eq!(world.wait_final(&after)["state"], "completed");
    world.wait_for("the log says what was lost", |world| {
        world
            .output(&tasks.chatty)
            .contains(" bytes of output lost: ")
            .then_some(())
    });
    let status = world.ask("GET", "/status", None);
    assert_eq!(
        (&status["attention"], &status["claims"]["enabled"]),
        (&json!([]), &json!(true)),
        "what is over is not shown any more"
    );
    chatty_gate.raise();
    assert_eq!(world.wait_final(&tasks.chatty)["outcome"]["exit_code"], 5);
    assert!(world.stop_daemon().success());
    assert_sound(&world);
}

#[test]
fn below_min_disk_space_gb_only_what_is_known_is_acknowledged() {
    let mut world = World::new("");
    world.start();
    let known = json!({"name": "n", "command": "true", "key": "k"});
    let id = world.submit_with(known.clone());
    world.wait_final(&id);
    assert!(world.stop_daemon().success());
    std::fs::write(
        world.dir().join("config.toml"),
        "min_disk_space_gb = 1000000\n",
    )
    .unwrap();
    world.start();
    let answer = world
        .request(
            "POST",
            "/tasks",
            Some(&json!({"name": "n", "command": "true"})),
        )
        .unwrap();
    assert_eq!(refusal(&answer), (507, "disk_low".to_owned()));
    let message = answer.1["message"].as_str().unwrap();
    assert!(
        message.contains("min_disk_space_gb asks for 1000000")
            && message.contains("free some space, or lower it"),
        "{message}"
    );
    assert_eq!(
        world.submit_with(known),
        id,
        "a repeated question gets the same answer, however full the disk"
    );
    assert_eq!(
        world.ask("GET", "/tasks", None)["tasks"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn without_inodes_what_runs_ends_and_what_waits_waits() {
    let what = "no inodes left";
    if !can_mount(what) {
        return;
    }
    let gate = Flag::new("inodes-gate");
    let mut world = World::new("num_workers = 2\ndisk_reserve_mb = 1");
    let Some(disk) = WorldDisk::over(&world, what, 24, &["-N", "128"]) else {
        return;
    };
    world.start();
    let running = world.submit(
        "running",
        &format!(
            "echo begun; while ! test -e {}; do sleep 0.05; done; exit 3",
            gate.0.display()
        ),
    );
    world.wait_for("it runs", |world| {
        world.output(&running).contains("begun").then_some(())
    });
    let inodes = disk.use_up_inodes();
    let waiting = world.submit("waiting", "echo heard");
    world.wait_for("a person is told", |world| {
        let status = world.ask("GET", "/status", None);
        status["attention"]
            .to_string()
            .contains("its record cannot be made")
            .then_some(())
    });
    gate.raise();
    assert_eq!(world.wait_final(&running)["outcome"]["exit_code"], 3);
    assert_eq!(world.task(&waiting)["attempt"], 0);
    std::fs::remove_dir_all(&inodes).unwrap();
    assert_eq!(world.wait_final(&waiting)["state"], "completed");
    assert!(world.output(&waiting).contains("heard\n"));
    assert_eq!(
        world.ask("GET", "/status", None)["attention"],
        json!([]),
        "what is over is not shown any more"
    );
    assert!(world.stop_daemon().success());
    assert_sound(&world);
}
