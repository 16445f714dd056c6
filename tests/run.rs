//! `auto-claude run`: one task in the foreground, embedded and under a daemon.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and watch them"
)]
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;
mod run_kit;

use std::process::Output;

use common::{AUTO_CLAUDE, TASKCTL, World, alive, signal};
use run_kit::{pid, run_command, said, written_pid};

/// The exit code of a run whose state directory another run has.
const IN_USE: i32 = 4;

/// A run to its end.
fn run(world: &World, arguments: &[&str]) -> Output {
    run_command(world, arguments).output().unwrap()
}

/// The only task there.
fn only_task(world: &World) -> serde_json::Value {
    let listed = world.taskctl(&["--json", "task", "list"]);
    let tasks: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(tasks.as_array().unwrap().len(), 1, "{tasks}");
    tasks[0].clone()
}

#[test]
fn the_exit_status_passes_through() {
    let world = World::new("grace_seconds = 1");
    for (arguments, code) in [
        (&["--", "true"][..], 0),
        (&["exit 7"], 7),
        (&["exit 255"], 255),
        (&["kill -SEGV $$"], 128 + 11),
        (&["kill -KILL $$"], 128 + 9),
        (&["--timeout", "1s", "sleep 60"], 124),
        (&["--", "/nonexistent/program"], 127),
        (
            &[
                "--max-retries",
                "1",
                "--retry-on",
                "exit",
                "test $AUTO_CLAUDE_ATTEMPT = 2",
            ],
            0,
        ),
        (&[], 2),
        (&["--cwd", "/nonexistent", "true"], 2),
    ] {
        let config = world.dir().join("config.toml");
        std::fs::write(
            config,
            "min_disk_space_gb = 0\nretry_base_seconds = 1\nretry_max_seconds = 1\n",
        )
        .unwrap();
        let output = run(&world, arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            said(&output)
        );
    }
    // Nothing was left behind: nobody holds the directory, every journal folds.
    let checked = world.auto_claude("check", &[]);
    assert!(checked.status.success(), "{checked:?}");
    assert!(!world.dir().join("auto-claude.sock").exists());
}

#[test]
fn output_arrives_byte_for_byte_on_its_own_stream() {
    let world = World::new("");
    let blob = world.dir().join("blob");
    // Every byte, no newline at the end, longer than any buffer; incomplete UTF-8 across the pieces.
    let bytes: Vec<u8> = (0..3_000_000_u32)
        .map(|n| (n % 251) as u8 ^ (n >> 13) as u8)
        .collect();
    std::fs::write(&blob, &bytes).unwrap();
    let line = format!("cat {}; printf 'on err' >&2", blob.display());
    let output = run(&world, &[&line]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        output.stdout == bytes,
        "{} of {} bytes",
        output.stdout.len(),
        bytes.len()
    );
    assert!(said(&output).contains("on err"), "{}", said(&output));
    // Live: a line is there while the command runs.
    let mut child = run_command(
        &world,
        &[
            "echo first; while ! test -e gate; do sleep 0.05; done; echo last",
            "--cwd",
        ],
    )
    .arg(world.dir())
    .spawn()
    .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert_eq!(lines.next().unwrap().unwrap(), "first");
    std::fs::write(world.dir().join("gate"), "").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "last");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_killed_embedded_run_takes_its_worker_along_and_the_task_is_paused() {
    let mut world = World::new("grace_seconds = 1");
    let line = "echo $$ >agent; echo $PPID >worker; (trap '' TERM; sleep 600) & sleep 600";
    let mut child = run_command(&world, &[line, "--cwd"])
        .arg(world.dir())
        .spawn()
        .unwrap();
    let (agent, worker) = (written_pid(&world, "agent"), written_pid(&world, "worker"));
    assert!(alive(agent) && alive(worker));
    child.kill().unwrap();
    child.wait().unwrap();
    world.wait_for("worker and agent have ended", |_| {
        (!alive(agent) && !alive(worker)).then_some(())
    });
    world.start();
    let id = only_task(&world)["id"].as_str().unwrap().to_owned();
    let task = world.wait_state(&id, "paused");
    assert_eq!(task["outcome"]["kind"], "interrupted", "{task}");
    assert_eq!(task["retries"], 0, "{task}");
    assert!(common::marked(&format!("{id}.1")).is_empty());
}

#[test]
fn a_detached_run_goes_on_without_anybody() {
    let mut world = World::new("");
    let line = "while ! test -e gate; do sleep 0.05; done; echo done; exit 9";
    let output = run_command(&world, &["--detach", line, "--cwd"])
        .arg(world.dir())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let id = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(id.starts_with("task_"), "{id}");
    assert!(!common::marked(&format!("{id}.1")).is_empty(), "it runs");
    world.start();
    assert_eq!(world.task(&id)["state"], "processing");
    world.stop_daemon();
    std::fs::write(world.dir().join("gate"), "").unwrap();
    world.wait_for("it has ended while no daemon ran", |_| {
        common::marked(&format!("{id}.1")).is_empty().then_some(())
    });
    world.start();
    let task = world.wait_final(&id);
    assert_eq!(
        (
            task["outcome"]["exit_code"].as_i64(),
            task["attempt"].as_i64()
        ),
        (Some(9), Some(1)),
        "{task}"
    );
    assert!(world.output(&id).contains("done"));
}

#[test]
fn ctrl_c_pauses_an_embedded_run_and_what_it_prints_works() {
    let mut world = World::new("grace_seconds = 1");
    let line = "echo $$ >agent; echo resume=$AUTO_CLAUDE_RESUME; test $AUTO_CLAUDE_RESUME = 1 || sleep 600";
    let child = run_command(&world, &[line, "--cwd"])
        .arg(world.dir())
        .spawn()
        .unwrap();
    let agent = written_pid(&world, "agent");
    signal(pid(&child), "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(!alive(agent), "paused means ended");
    let text = said(&output);
    // Called by a path, so named by one.
    let serve = format!("{AUTO_CLAUDE} serve --state-dir {}", world.dir().display());
    assert!(text.contains(&serve), "{text}");
    let (_, rest) = text.split_once(&format!("{TASKCTL} --state-dir ")).unwrap();
    let words: Vec<&str> = rest.split(';').next().unwrap().split_whitespace().collect();
    world.start();
    let id = only_task(&world)["id"].as_str().unwrap().to_owned();
    assert_eq!(world.task(&id)["state"], "paused");
    let resumed = world.taskctl(&words[1..]);
    assert!(resumed.status.success(), "{words:?}: {resumed:?}");
    let task = world.wait_final(&id);
    assert_eq!(
        (&task["state"], task["attempt"].as_i64()),
        (&"completed".into(), Some(2)),
        "{task}"
    );
    assert!(world.output(&id).contains("resume=0") && world.output(&id).contains("resume=1"));
}

#[test]
fn a_run_under_a_daemon_that_is_killed_leaves_its_task_paused() {
    let mut world = World::new("grace_seconds = 1");
    world.start();
    let other = world.submit("other", "while ! test -e gate; do sleep 0.05; done");
    let mut child = run_command(&world, &["echo $$ >agent; sleep 600", "--cwd"])
        .arg(world.dir())
        .spawn()
        .unwrap();
    let agent = written_pid(&world, "agent");
    child.kill().unwrap();
    child.wait().unwrap();
    world.wait_for("its agent has ended", |_| (!alive(agent)).then_some(()));
    world.wait_for("it is paused", |world| {
        let listed = world.taskctl(&["--json", "task", "list", "--state", "paused"]);
        String::from_utf8_lossy(&listed.stdout)
            .contains("\"paused\"")
            .then_some(())
    });
    assert_eq!(world.task(&other)["state"], "processing", "others go on");
    world.act("cancel", &[&other]);
    // And the exit status of another one passes through.
    assert_eq!(run(&world, &["exit 3"]).status.code(), Some(3));
}

#[test]
fn two_runs_in_one_directory_are_refused_clearly() {
    let world = World::new("grace_seconds = 1");
    let child = run_command(&world, &["echo $$ >agent; sleep 600", "--cwd"])
        .arg(world.dir())
        .spawn()
        .unwrap();
    written_pid(&world, "agent");
    let second = run(&world, &["true"]);
    assert_eq!(second.status.code(), Some(IN_USE), "{}", said(&second));
    let text = said(&second);
    let holder = format!(
        "is in use by a foreground run (auto-claude run), pid {}",
        child.id()
    );
    assert!(
        text.contains(&holder) && text.contains("auto-claude serve"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
    signal(pid(&child), "TERM");
    let first = child.wait_with_output().unwrap();
    assert_eq!(first.status.code(), Some(128 + 15), "{}", said(&first));
}

#[test]
fn a_medium_task_goes_on_with_its_last_500_lines() {
    let mut world = World::new("grace_seconds = 1");
    let line = "if test $AUTO_CLAUDE_RESUME = 1; then cp \"$AUTO_CLAUDE_CONTEXT_FILE\" context; exit 0; fi; seq 600; echo $$ >agent; sleep 600";
    let child = run_command(&world, &["--type", "medium_context", line, "--cwd"])
        .arg(world.dir())
        .spawn()
        .unwrap();
    written_pid(&world, "agent");
    signal(pid(&child), "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    world.start();
    let id = only_task(&world)["id"].as_str().unwrap().to_owned();
    world.act("resume", &[&id]);
    assert_eq!(world.wait_final(&id)["state"], "completed");
    let wanted: String = (101..=600).map(|n| format!("{n}\n")).collect();
    assert_eq!(
        std::fs::read_to_string(world.dir().join("context")).unwrap(),
        wanted
    );
}

#[test]
fn an_embedded_run_leaves_others_alone_and_says_why_it_waits() {
    let mut world = World::new("num_workers = 1");
    world.start();
    world.ask("POST", "/system/pause", None);
    let waiting = world.submit("waiting", "echo never");
    world.stop_daemon();
    let mut child = run_command(&world, &["exit 6"]).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let why = lines
        .find(|line| line.as_ref().unwrap().contains("waits"))
        .unwrap()
        .unwrap();
    assert!(why.contains("taskctl system resume"), "{why}");
    assert!(world.taskctl(&["system", "resume"]).status.success());
    assert_eq!(child.wait().unwrap().code(), Some(6));
    assert!(world.output(&waiting).is_empty());
    world.start();
    assert_eq!(world.wait_final(&waiting)["state"], "completed");
}
