//! `auto-claude run --detach` without a daemon, and what a run says with `--json`.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and watch them"
)]
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;
mod run_kit;

use std::process::Output;

use common::World;
use run_kit::{pid, run_command, said, written_pid};
use serde_json::{Value, json};

/// No daemon answers.
const NO_DAEMON: i32 = 3;

fn detach(world: &World, arguments: &[&str]) -> Output {
    run_command(world, &[&["--detach"], arguments].concat())
        .output()
        .unwrap()
}

fn configure(world: &World, settings: &str) {
    let text = format!("min_disk_space_gb = 0\n{settings}\n");
    std::fs::write(world.dir().join("config.toml"), text).unwrap();
}

/// It was refused for this reason, in one line, with what to do.
fn refused(world: &World, arguments: &[&str], why: &str) {
    let output = detach(world, arguments);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(NO_DAEMON), "{text}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert_eq!(text.lines().count(), 1, "{text}");
    let serve = format!("auto-claude serve --state-dir {}", world.dir().display());
    for part in [why, "nothing was submitted", &serve] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_cannot_start_at_once_is_refused_without_a_daemon() {
    let mut world = World::new("num_workers = 2");
    world.start();
    let later = world
        .submit_with(json!({"name": "later", "command": "true", "at": "2027-12-31T00:00:00Z"}));
    let line = "echo $$ >holder; sleep 600";
    let holder =
        json!({"name": "holder", "command": line, "exclusive": "lane", "cwd": world.dir()});
    let holder = world.submit_with(holder);
    written_pid(&world, "holder");
    assert!(world.stop_daemon().success());

    refused(&world, &["--at", "+1h", "true"], "its time is 20");
    let after = format!("it is to run after {later}");
    refused(&world, &["--after", &later, "true"], &after);
    let lane = format!("{holder} has the exclusive key \"lane\" before it");
    refused(&world, &["--exclusive", "lane", "true"], &lane);
    configure(&world, "num_workers = 1");
    refused(&world, &["true"], "every slot is busy (num_workers = 1)");
    configure(&world, "quiet_hours = [\"00:00-12:00\", \"12:00-00:00\"]");
    refused(&world, &["true"], "new attempts are off: quiet hours until");
    configure(&world, "num_workers = 2");
    world.start();
    world.ask("POST", "/system/pause", None);
    assert!(world.stop_daemon().success());
    refused(
        &world,
        &["true"],
        "new attempts are off: a person stopped them",
    );

    world.start();
    let listed = world.ask("GET", "/tasks", None);
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 2, "{listed}");
    world.act("cancel", &[&holder]);
    // Under a daemon it is only a task that waits.
    let output = detach(&world, &["--at", "+1h", "true"]);
    assert!(output.status.success(), "{}", said(&output));
    world.wait_final(&holder);
}

/// A wait shorter than a start takes is drawn once in a hundred times: never so often in a row.
const DRAWS_MAX: usize = 10;

#[test]
fn the_retries_of_a_detached_task_wait_for_the_next_daemon() {
    let mut world = World::new("retry_base_seconds = 5\nretry_max_seconds = 5");
    let line = "test $AUTO_CLAUDE_ATTEMPT = 2";
    // A wait is drawn from 0 to 5 s: one of next to nothing is over before the run has left, and tells nothing here.
    let waiting = (0..DRAWS_MAX).find_map(|_| {
        let output = detach(&world, &["--retry-on", "exit", "--max-retries", "1", line]);
        let text = said(&output);
        assert!(output.status.success(), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        let waits = text.contains("its retries wait for it");
        assert!(waits || text.contains("is over: completed"), "{text}");
        waits.then_some(output)
    });
    let output = waiting.expect("one of the draws waits");
    let id = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    world.start();
    let task = world.wait_final(&id);
    assert_eq!(
        (&task["state"], &task["attempt"]),
        (&json!("completed"), &json!(2)),
        "{task}"
    );
}

#[test]
fn with_json_a_run_says_everything_of_its_own_in_json() {
    let world = World::new("grace_seconds = 1");
    let line = "echo out; printf 'no end' >&2; exit 4";
    let output = run_command(&world, &["--json", line]).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert_eq!(output.stdout, b"out\n");
    let text = said(&output);
    let (own, others): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with('{'));
    assert_eq!(others, ["no end"]);
    let tasks: Vec<Value> = own
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["task"].clone())
        .collect();
    let (first, last) = (tasks.first().unwrap(), tasks.last().unwrap());
    assert!(first["id"].as_str().unwrap().starts_with("task_"), "{text}");
    assert_eq!(
        (&last["state"], &last["outcome"]["exit_code"]),
        (&json!("failed"), &json!(4)),
        "{text}"
    );

    // What is no change of state is a note.
    let line = "echo $$ >agent; sleep 600";
    let child = run_command(&world, &["--json", line, "--cwd"])
        .arg(world.dir())
        .spawn()
        .unwrap();
    written_pid(&world, "agent");
    // Who comes second is told in JSON, too.
    let second = run_command(&world, &["--json", "true"]).output().unwrap();
    let error: Value = serde_json::from_str(&said(&second)).unwrap();
    assert_eq!(error["error"]["code"], "in_use");
    common::signal(pid(&child), "INT");
    let output = child.wait_with_output().unwrap();
    let lines: Vec<Value> = said(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let noted = |line: &Value| line["note"]["text"] == "pausing; again to leave at once";
    assert!(lines.iter().any(noted), "{lines:?}");
    assert_eq!(lines.last().unwrap()["task"]["state"], "paused");

    let output = run_command(&world, &["--json", "--detach", "--at", "+1h", "true"]);
    let output = { output }.output().unwrap();
    let error: Value = serde_json::from_str(&said(&output)).unwrap();
    assert_eq!(error["error"]["code"], "no_daemon");
}
