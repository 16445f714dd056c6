//! The scripts in `docs/tasks.md`, run as they stand there: submitted by the command beside them, interrupted, resumed.
//!
//! Of `./measure`, `./check` and `./convert`, which the page leaves to its reader, there are stand-ins that note each call
//! and, in the first attempt, never come back at the place where the test interrupts them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use common::{TASKCTL, World};
use serde_json::Value;

const PAGE: &str = include_str!("../docs/tasks.md");
const OPERATIONS: &str = include_str!("../docs/operations.md");

/// The fenced text after the mark `<!-- example: NAME -->`.
fn example(name: &str) -> &'static str {
    let (_, after) = PAGE
        .split_once(&format!("<!-- example: {name} -->\n"))
        .unwrap();
    let (_, body) = after.split_once('\n').unwrap();
    body.split_once("```\n").unwrap().0
}

/// The words of the line that submits `script`.
fn submission(script: &str) -> Vec<&'static str> {
    let line = PAGE.lines().find(|line| {
        line.starts_with("    taskctl task create") && line.ends_with(&format!("./{script}"))
    });
    line.unwrap().split_whitespace().skip(1).collect()
}

/// A world with one worked example in it.
struct Example {
    world: World,
    id: String,
    work: PathBuf,
}

impl Example {
    /// Submits `script` as its page says, with `stand_in` under the name that the script calls.
    fn submit(script: &str, (called, stand_in): (&str, &str), names: &str) -> Self {
        let mut world = World::new("retry_base_seconds = 1");
        world.start();
        let work = world.dir().join("project");
        std::fs::create_dir(&work).unwrap();
        program(&work.join(script), example(script));
        program(&work.join(called), &format!("#!/bin/sh\n{stand_in}\n"));
        std::fs::write(work.join("names.txt"), names).unwrap();
        std::fs::write(work.join("calls"), "").unwrap();
        let bin = Path::new(TASKCTL).parent().unwrap().display();
        let path = format!("PATH={bin}:/usr/local/bin:/usr/bin:/bin");
        let mut arguments = submission(script);
        let command = arguments.pop().unwrap();
        arguments.extend([
            "--json",
            "--env",
            &path,
            "--cwd",
            work.to_str().unwrap(),
            command,
        ]);
        let output = world.taskctl(&arguments);
        assert!(output.status.success(), "{output:?}");
        let task: Value = serde_json::from_slice(&output.stdout).unwrap();
        Self {
            id: task["id"].as_str().unwrap().to_owned(),
            world,
            work,
        }
    }

    fn calls(&self) -> String {
        std::fs::read_to_string(self.work.join("calls")).unwrap()
    }

    fn wait_calls(&self, calls: &str) {
        self.world
            .wait_for(&format!("the calls are {calls:?}"), |_| {
                (self.calls() == calls).then_some(())
            });
    }

    /// SIGKILL for the daemon, then for the worker; then a new daemon.
    fn kill_all(&mut self) {
        let workers = self.world.workers();
        assert_eq!(workers.len(), 1, "{}", self.world.story());
        self.world.kill_daemon();
        for pid in workers {
            common::signal(pid, "KILL");
        }
        self.world.start();
    }

    fn completed_in_attempt(&self, attempt: u64) {
        let task = self.world.wait_final(&self.id);
        assert_eq!(
            task["state"],
            "completed",
            "{task}\n{}",
            self.world.output(&self.id)
        );
        assert_eq!(task["attempt"], attempt, "{task}");
        assert_eq!(
            task["retries"], 0,
            "an interruption spends no retry: {task}"
        );
    }
}

fn program(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_lightweight_example_begins_anew_and_shows_no_half_report() {
    let stand_in = "echo measured >>calls; echo \"row of attempt $AUTO_CLAUDE_ATTEMPT, resume $AUTO_CLAUDE_RESUME\"
[ \"$AUTO_CLAUDE_ATTEMPT\" != 1 ] || sleep 1000";
    let mut example = Example::submit("report.sh", ("measure", stand_in), "");
    example.wait_calls("measured\n");
    assert!(!example.work.join("report.txt").exists());
    example.kill_all();
    example.completed_in_attempt(2);
    assert_eq!(
        std::fs::read_to_string(example.work.join("report.txt")).unwrap(),
        "row of attempt 2, resume 0\n"
    );
    let parts = std::fs::read_dir(&example.work)
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".part"));
    assert_eq!(parts.count(), 0, "what was cut off is removed");
}

#[test]
fn the_medium_example_passes_over_what_its_output_names() {
    let stand_in = "echo \"$1\" >>calls; [ \"$1$AUTO_CLAUDE_ATTEMPT\" != ben1 ] || sleep 1000";
    let example = Example::submit("check.sh", ("check", stand_in), "ada\nben\ncy\n");
    example.wait_calls("ada\nben\n");
    for (action, state) in [("pause", "paused"), ("resume", "completed")] {
        let output = example.world.taskctl(&["task", action, &example.id]);
        assert!(output.status.success(), "{output:?}");
        example.world.wait_state(&example.id, state);
    }
    example.completed_in_attempt(2);
    assert_eq!(example.calls(), "ada\nben\nben\ncy\n");
    let output = example.world.output(&example.id);
    assert_eq!(output.matches("checked ada\n").count(), 1, "{output}");
}

#[test]
fn the_heavy_example_goes_on_at_its_chunk() {
    let stand_in = "echo \"$1\" >>calls; [ \"$1$AUTO_CLAUDE_ATTEMPT\" != 21 ] || sleep 1000";
    let mut example = Example::submit("convert.sh", ("convert", stand_in), "");
    example.wait_calls("0\n1\n2\n");
    example.kill_all();
    example.completed_in_attempt(2);
    assert_eq!(example.calls(), "0\n1\n2\n2\n3\n");
    let task_dir = example.world.dir().join("tasks").join(&example.id);
    let told: Value =
        serde_json::from_slice(&std::fs::read(task_dir.join("checkpoints/progress.json")).unwrap())
            .unwrap();
    let documented: Value = serde_json::from_str(self::example("progress.json")).unwrap();
    assert_eq!(told, documented);
    everything_is_explained(example.world.dir(), &task_dir);
}

/// Every file of a state directory that has seen work stands in the table of `docs/operations.md`.
fn everything_is_explained(state_dir: &Path, task_dir: &Path) {
    let ours_alone = ["daemon.out", "project"];
    for dir in [state_dir, &state_dir.join("logs"), task_dir] {
        for entry in std::fs::read_dir(dir).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let known = ["-wal", "-shm"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(&name);
            assert!(
                ours_alone.contains(&name.as_str()) || OPERATIONS.contains(known),
                "{name} in {} is explained nowhere in docs/operations.md",
                dir.display()
            );
        }
    }
}

#[test]
fn a_command_has_no_input_no_terminal_and_a_session_of_its_own() {
    let mut world = World::new("");
    world.start();
    let id = world.submit(
        "n",
        "readlink /proc/self/fd/0; cut -d' ' -f6,7 /proc/$$/stat; echo $$",
    );
    world.wait_final(&id);
    let output = world.output(&id);
    let lines: Vec<&str> = output.lines().skip(1).collect();
    assert_eq!(lines[0], "/dev/null");
    assert_eq!(
        lines[1],
        format!("{} 0", lines[2]),
        "its session is its own, its terminal is none"
    );
}
