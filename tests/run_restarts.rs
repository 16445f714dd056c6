//! `auto-claude run` under a daemon that leaves and comes back: an upgrade is no reason to stop anybody's work.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and watch them"
)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;
mod run_kit;

use std::io::{BufRead as _, BufReader, Lines};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, ChildStderr};
use std::sync::mpsc::{Receiver, sync_channel};

use common::{World, signal};
use run_kit::{pid, run_command, said, written_pid};

/// What a run says when its daemon has left.
const LOOKING: &str = "the daemon went away, looking for it";

/// The names of the events in a task's journal.
fn journal(world: &World, id: &str) -> Vec<String> {
    let records = world.ask("GET", &format!("/tasks/{id}/journal"), None);
    let events = records.as_array().unwrap().iter();
    events
        .map(|record| record["event"]["event"].as_str().unwrap().to_owned())
        .collect()
}

/// The one task with this name.
fn named(world: &World, name: &str) -> String {
    let listed = world.ask("GET", "/tasks?limit=1000", None);
    let mut found = listed["tasks"].as_array().unwrap().iter();
    let task = found.find(|task| task["name"] == name).unwrap();
    task["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_foreground_run_lives_through_a_clean_stop_of_the_daemon() {
    let mut world = World::new("grace_seconds = 1");
    world.start();
    let line = "for n in 1 2 3; do echo line $n; while ! test -e gate$n; do sleep 0.05; done; done; echo last; exit 6";
    let mut child = run_command(&world, &["--name", "long", line, "--cwd"])
        .arg(world.dir())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().map(Result::unwrap);
    assert_eq!(next().as_deref(), Some("line 1"));
    // Twice: the lease that was taken anew is no other than the first one.
    for n in 1..=2 {
        assert!(world.stop_daemon().success());
        std::fs::write(world.dir().join(format!("gate{n}")), "").unwrap();
        world.start();
        assert_eq!(next(), Some(format!("line {}", n + 1)));
    }
    std::fs::write(world.dir().join("gate3"), "").unwrap();
    assert_eq!(next().as_deref(), Some("last"));
    assert_eq!(next(), None);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
    let id = named(&world, "long");
    let events = journal(&world, &id);
    assert_eq!(events, ["submitted", "claimed", "started", "ended"]);
}

/// A Ctrl-C for a run that looks for its daemon: it says what becomes of the task, and leaves.
fn leaves_with_a_word(mut run: Child) {
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    wait_for_line(&mut lines, LOOKING);
    signal(pid(&run), "INT");
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert!(rest[0].contains("the next daemon pauses it"), "{rest:?}");
    assert_eq!(run.wait().unwrap().code(), Some(130));
}

fn wait_for_line(lines: &mut Lines<BufReader<ChildStderr>>, wanted: &str) {
    let mut said = Vec::new();
    for line in lines {
        said.push(line.unwrap());
        if said.last().unwrap().contains(wanted) {
            return;
        }
    }
    panic!("it ended without {wanted:?}: {said:?}");
}

#[test]
fn a_run_that_does_not_come_back_is_paused_and_one_that_was_taken_over_is_not() {
    let mut world = World::new("grace_seconds = 1\nnum_workers = 4");
    // In a build with crash points a run is waited for 5 s, not 20 s.
    world.set_env("AUTO_CLAUDE_HASTE", "4");
    world.start();
    let taken_over = run_command(
        &world,
        &["--name", "over", "echo $$ >over; sleep 600", "--cwd"],
    )
    .arg(world.dir())
    .spawn()
    .unwrap();
    written_pid(&world, "over");
    signal(pid(&taken_over), "INT");
    let output = taken_over.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let over = named(&world, "over");
    world.act("resume", &[&over]);
    world.wait_state(&over, "processing");

    let start = |name: &str| {
        let line = format!("echo $$ >{name}; sleep 600");
        let child = run_command(&world, &["--name", name, &line, "--cwd"])
            .arg(world.dir())
            .spawn()
            .unwrap();
        written_pid(&world, name);
        child
    };
    let (mut gone, left) = (start("gone"), start("left"));
    assert!(world.stop_daemon().success());
    gone.kill().unwrap();
    gone.wait().unwrap();
    // While no daemon is there a run can be left, too.
    leaves_with_a_word(left);
    world.start();
    for name in ["gone", "left"] {
        let id = named(&world, name);
        assert_eq!(world.task(&id)["state"], "processing");
    }
    for name in ["gone", "left"] {
        let id = named(&world, name);
        world.wait_state(&id, "paused");
    }
    // It is older, so it would have been paused first.
    assert_eq!(world.task(&over)["state"], "processing");
    assert!(!journal(&world, &over)[5..].contains(&"intent_set".to_owned()));
    world.act("cancel", &[&over]);
}

/// Stands between a run and its daemon, which is gone for the run's connections that `cut` names, by number: 0 is the one
/// that submits, 1 the lease. Gives the daemon's end of those that are passed on.
fn between(world: &World, cut: fn(usize) -> bool) -> Receiver<UnixStream> {
    let (outer, inner) = (
        world.dir().join("auto-claude.sock"),
        world.dir().join("inner.sock"),
    );
    std::fs::rename(&outer, &inner).unwrap();
    let listener = UnixListener::bind(outer).unwrap();
    let (passed, taken) = sync_channel(64);
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let client = client.unwrap();
            if cut(number) {
                continue;
            }
            let daemon = UnixStream::connect(&inner).unwrap();
            let _ = passed.send(daemon.try_clone().unwrap());
            pass_on(client.try_clone().unwrap(), daemon.try_clone().unwrap());
            pass_on(daemon, client);
        }
    });
    taken
}

fn pass_on(mut from: UnixStream, mut to: UnixStream) {
    std::thread::spawn(move || {
        // However it ends, both sides hear of it.
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// From now on the daemon is reached without anybody between.
fn nobody_between(world: &World) {
    let at = |name: &str| world.dir().join(name);
    std::fs::rename(at("inner.sock"), at("auto-claude.sock")).unwrap();
}

fn start_run(world: &World, line: &str) -> Child {
    run_command(world, &["--name", "run", line, "--cwd"])
        .arg(world.dir())
        .spawn()
        .unwrap()
}

#[test]
fn a_daemon_that_leaves_between_the_submission_and_the_lease_is_looked_for() {
    let mut world = World::new("grace_seconds = 1");
    world.start();
    let _passed = between(&world, |number| number == 1);
    let mut run = start_run(&world, "while ! test -e gate; do sleep 0.05; done; exit 5");
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    wait_for_line(&mut lines, LOOKING);
    std::fs::write(world.dir().join("gate"), "").unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(run.wait().unwrap().code(), Some(5), "{rest:?}");
    nobody_between(&world);
    let events = journal(&world, &named(&world, "run"));
    assert_eq!(events, ["submitted", "claimed", "started", "ended"]);
}

#[test]
fn while_that_daemon_is_looked_for_a_run_can_be_left() {
    let mut world = World::new("grace_seconds = 1");
    world.start();
    let _passed = between(&world, |number| number >= 1);
    leaves_with_a_word(start_run(&world, "sleep 600"));
    nobody_between(&world);
    world.act("cancel", &[&named(&world, "run")]);
}

#[test]
fn a_daemon_that_leaves_before_it_takes_the_pause_ends_no_run_without_a_word() {
    let mut world = World::new("grace_seconds = 1");
    world.start();
    let passed = between(&world, |_| false);
    let mut run = start_run(&world, "sleep 600");
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    // The lease says so.
    wait_for_line(&mut lines, ": processing");
    passed.recv().unwrap().shutdown(Shutdown::Both).unwrap();
    signal(pid(&run), "INT");
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(rest.len(), 2, "{rest:?}");
    assert!(rest[0].contains("again to leave at once"), "{rest:?}");
    assert!(rest[1].contains("the next daemon pauses it"), "{rest:?}");
    assert_eq!(run.wait().unwrap().code(), Some(130));
    nobody_between(&world);
    // This one has not left: it sees that its run has gone.
    world.wait_state(&named(&world, "run"), "paused");
}

#[test]
fn a_stopped_daemon_holds_nobody_who_presses_twice() {
    let mut world = World::new("grace_seconds = 1");
    world.start();
    let mut run = start_run(&world, "sleep 600");
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    wait_for_line(&mut lines, ": processing");
    signal(world.daemon_pid(), "STOP");
    signal(pid(&run), "INT");
    wait_for_line(&mut lines, "again to leave at once");
    signal(pid(&run), "INT");
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert!(rest[0].contains("the daemon pauses it"), "{rest:?}");
    assert_eq!(run.wait().unwrap().code(), Some(130));
    signal(world.daemon_pid(), "CONT");
    world.wait_state(&named(&world, "run"), "paused");
}

#[test]
fn a_run_that_is_killed_before_it_holds_its_task_leaves_it_paused() {
    let mut world = World::new("grace_seconds = 1");
    // In a build with crash points a run is waited for 1 s, not 20 s.
    world.set_env("AUTO_CLAUDE_HASTE", "20");
    world.start();
    // What a run has sent when it is killed right after its submission.
    let submission = serde_json::json!({
        "name": "abandoned",
        "command": "sleep 600",
        "cwd": world.dir(),
        "foreground": true,
    });
    let task = world.ask("POST", "/tasks", Some(&submission));
    let id = task["id"].as_str().unwrap();
    world.wait_state(id, "paused");
    world.act("cancel", &[id]);
}
