//! How `taskctl` finds its daemon, and that it waits for one that lives only.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and watch them"
)]

mod common;

use std::process::{Command, Stdio};

use common::{TASKCTL, World, signal};
use serde_json::json;

#[test]
fn taskctl_in_a_task_speaks_to_the_daemon_that_started_it() {
    let mut world = World::new("");
    world.start();
    let mut other = World::new("");
    other.start();
    // Nothing of its own says where the daemon is; what it submits runs there, too, and knows it again. A place that is
    // named on the command line is another one.
    let inner = format!("{TASKCTL} task show $AUTO_CLAUDE_TASK_ID");
    let line = format!(
        "{TASKCTL} task create --wait inner '{inner}' && {TASKCTL} --state-dir {} task create outer true",
        other.dir().display()
    );
    let id = world.submit_with(json!({
        "name": "asks", "command": line, "cwd": "/",
        "env": {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "AUTO_CLAUDE_SOCKET": "/nonexistent.sock"},
    }));
    let task = world.wait_final(&id);
    assert_eq!(task["state"], "completed", "{}", world.output(&id));
    let names = |world: &World| -> Vec<String> {
        let listed = world.ask("GET", "/tasks?order=oldest", None);
        let tasks = listed["tasks"].as_array().unwrap().clone();
        tasks
            .iter()
            .map(|task| format!("{} {}", task["name"], task["state"]).replace('"', ""))
            .collect()
    };
    assert_eq!(names(&world), ["asks completed", "inner completed"]);
    assert!(
        names(&other)[0].starts_with("outer "),
        "{:?}",
        names(&other)
    );
}

#[test]
fn a_stopped_daemon_is_not_waited_for_and_a_slow_answer_is() {
    let (mut world, mut living) = (World::new(""), World::new(""));
    world.start();
    living.start();
    let task = world.submit("quiet", "sleep 600");
    let slow = living.submit("slow", "sleep 12");
    let start_in = |world: &World, arguments: &[&str]| {
        let mut command = Command::new(TASKCTL);
        command.arg("--state-dir").arg(world.dir()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::piped()).spawn().unwrap()
    };
    // Longer than a daemon may be silent: it is alive and says so meanwhile.
    let waiting = start_in(&living, &["task", "wait", &slow]);

    let daemon = world.daemon_pid();
    signal(daemon, "STOP");
    let asked: Vec<_> = [
        &["system", "status"][..],
        &["--json", "task", "list"],
        &["task", "logs", "-f", &task],
        &["task", "pause", &task],
    ]
    .map(|arguments| start_in(&world, arguments))
    .into();
    for child in asked {
        let answer = child.wait_with_output().unwrap();
        assert_eq!(answer.status.code(), Some(3), "{answer:?}");
        let said = String::from_utf8_lossy(&answer.stderr).into_owned();
        // Before it there may be a line of progress.
        let last = said.lines().last().unwrap();
        assert!(
            last.contains("has given no sign of life for 10 s"),
            "{said}"
        );
        assert_eq!(said.matches("sign of life").count(), 1, "{said}");
    }
    signal(daemon, "CONT");
    let waited = waiting.wait_with_output().unwrap();
    assert_eq!(waited.status.code(), Some(0), "{waited:?}");
    assert!(world.taskctl(&["system", "status"]).status.success());
}
