//! `taskctl` across restarts of the daemon: what goes on for longer than one answer goes on with the next daemon.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and watch them"
)]
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStderr, Command, Stdio};

use common::{TASKCTL, World};
use serde_json::{Value, json};

/// No daemon answers.
const NO_DAEMON: i32 = 3;
/// So many times less patience than in what ships, in a build with crash points.
const HASTE: &str = "10";
/// No such task, or no such attempt of it.
const NOT_FOUND: i32 = 4;

fn taskctl(world: &World, arguments: &[&str]) -> Child {
    Command::new(TASKCTL)
        .arg("--state-dir")
        .arg(world.dir())
        .args(arguments)
        .env("AUTO_CLAUDE_HASTE", HASTE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads until the client says that its daemon went away.
fn wait_until_it_noticed(stderr: &mut BufReader<ChildStderr>) {
    let mut said = String::new();
    while !said.contains("the daemon went away") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "it ended: {said}");
    }
}

/// A task that writes `step 1`, half of a line on the other stream, and goes on as `gate1`, `gate2` appear.
fn stepping(world: &World) -> String {
    let gate = |n: u32| format!("while ! test -e gate{n}; do sleep 0.02; done");
    let line = format!(
        "echo step 1; printf 'half of ' >&2; {}; echo step 2; {}; echo a line >&2; printf 'step 3'",
        gate(1),
        gate(2)
    );
    let id = world.submit_with(json!({"name": "steps", "command": line, "cwd": world.dir()}));
    world.wait_for("it writes", |world| {
        world.output(&id).contains("half of ").then_some(())
    });
    id
}

fn open_gate(world: &World, n: u32) {
    std::fs::write(world.dir().join(format!("gate{n}")), "").unwrap();
}

#[test]
fn followed_output_goes_on_with_the_next_daemon_without_gap_or_repetition() {
    let mut world = World::new("");
    world.start();
    let id = stepping(&world);
    let modes: [&[&str]; 5] = [
        &["task", "logs", "-f", "--stream", "stdout"],
        &["task", "logs", "-f", "--stream", "stdout", "-n", "1"],
        &["task", "logs", "-f", "--timestamps"],
        &["--json", "task", "logs", "-f"],
        &["--json", "task", "logs", "-f", "-n", "2"],
    ];
    let mut followers = Vec::new();
    for mode in modes {
        let mut child = taskctl(&world, &[mode, &[&id]].concat());
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        while !seen.contains("step 1") {
            assert!(stdout.read_line(&mut seen).unwrap() > 0, "{mode:?}: {seen}");
        }
        followers.push((mode, child, stdout, stderr, seen));
    }
    // Twice, so that the second time something was passed over already.
    for gate in 1..=2 {
        assert!(world.stop_daemon().success());
        for (_, _, _, stderr, _) in &mut followers {
            wait_until_it_noticed(stderr);
        }
        open_gate(&world, gate);
        world.start();
        for (mode, _, stdout, _, seen) in &mut followers {
            while !seen.contains(&format!("step {}", gate + 1)) {
                assert!(stdout.read_line(seen).unwrap() > 0, "{mode:?}: {seen}");
            }
        }
    }
    for (mode, mut child, mut stdout, _, mut seen) in followers {
        stdout.read_to_string(&mut seen).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{mode:?}");
        if mode.contains(&"--stream") {
            assert_eq!(seen, "step 1\nstep 2\nstep 3", "{mode:?}");
            continue;
        }
        let said: Vec<String> = seen
            .lines()
            .map(|line| match serde_json::from_str::<Value>(line) {
                Ok(line) => line["text"].as_str().unwrap().to_owned(),
                Err(_) => line.split_once(" | ").unwrap().1.to_owned(),
            })
            .filter(|line| !line.starts_with("--- "))
            .collect();
        assert_eq!(
            said,
            ["step 1", "step 2", "half of a line", "step 3"],
            "{mode:?}"
        );
    }
}

#[test]
fn a_wait_goes_on_with_the_next_daemon() {
    let mut world = World::new("");
    world.start();
    let id = stepping(&world);
    let mut waiting = taskctl(&world, &["task", "wait", &id]);
    let mut stderr = BufReader::new(waiting.stderr.take().unwrap());
    // Its first word comes when it has waited for a second, so its request is under way.
    stderr.read_line(&mut String::new()).unwrap();
    assert!(world.stop_daemon().success());
    wait_until_it_noticed(&mut stderr);
    open_gate(&world, 1);
    open_gate(&world, 2);
    world.start();
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
}

#[test]
fn when_no_daemon_comes_back_it_is_said() {
    let mut world = World::new("grace_seconds = 1");
    world.start();
    let id = stepping(&world);
    let mut waiting = taskctl(&world, &["task", "wait", "--timeout", "5s", &id]);
    let following = taskctl(&world, &["task", "logs", "-f", "--stream", "stdout", &id]);
    let mut stderr = BufReader::new(waiting.stderr.take().unwrap());
    stderr.read_line(&mut String::new()).unwrap();
    assert!(world.stop_daemon().success());
    assert_eq!(waiting.wait().unwrap().code(), Some(NO_DAEMON));
    let followed = following.wait_with_output().unwrap();
    assert_eq!(followed.status.code(), Some(NO_DAEMON), "{followed:?}");
    assert_eq!(followed.stdout, b"step 1\n");
    let said = String::from_utf8_lossy(&followed.stderr).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].contains("went away"), "{said}");
    assert!(lines[1].contains("no daemon answers"), "{said}");
}

#[test]
fn a_batch_goes_on_with_the_next_daemon() {
    const LINES: usize = 4;
    let mut world = World::new("");
    world.start();
    let mut batch = taskctl(&world, &["task", "create", "--from", "-"]);
    let mut stdin = batch.stdin.take().unwrap();
    let mut stdout = BufReader::new(batch.stdout.take().unwrap()).lines();
    let mut ids = std::collections::BTreeSet::new();
    for round in 0..2 {
        for n in 0..LINES {
            let task = json!({"name": format!("n{round}.{n}"), "command": "true"});
            writeln!(stdin, "{task}").unwrap();
        }
        for _ in 0..LINES {
            ids.insert(stdout.next().unwrap().unwrap());
        }
        if round == 0 {
            assert!(world.stop_daemon().success());
            world.start();
        }
    }
    drop(stdin);
    assert_eq!(batch.wait().unwrap().code(), Some(0));
    assert_eq!(ids.len(), 2 * LINES);
    let listed = world.ask("GET", "/tasks?limit=1000", None);
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 2 * LINES);
    // An idle batch does not hold up the daemon that leaves.
    assert!(!world.story().contains("some requests were cut off"));
}

#[test]
fn an_attempt_that_never_was_is_an_error() {
    let mut world = World::new("");
    world.start();
    let id = world.submit("one", "echo once");
    world.wait_final(&id);
    for follow in [&[][..], &["-f"]] {
        let output = taskctl(
            &world,
            &[&["task", "logs", "--attempt", "9", &id], follow].concat(),
        )
        .wait_with_output()
        .unwrap();
        assert_eq!(output.status.code(), Some(NOT_FOUND), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let wanted = format!("taskctl: attempt: {id} has had 1 attempt, there is no attempt 9\n");
        assert_eq!(said, wanted);
    }
}
