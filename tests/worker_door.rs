//! The worker's door, with real workers and bad peers.

#![expect(
    clippy::disallowed_methods,
    reason = "a test: it may stop, and it starts programs of its own"
)]

mod worker_kit;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use auto_claude::attempt::protocol::{Progress, Reply, Request};
use auto_claude::checkpoint::{Checkpoints, Reason};
use auto_claude::process::WorkerEnd;
use auto_claude::task::{IntentKind, OutcomeKind};
use auto_claude::worker::client;
use worker_kit::{Bench, wait_for};

#[test]
fn the_door_tells_friend_from_child() {
    let bench = Bench::sh("sleep 60");
    let running = bench.start();
    running.agent();
    let mode = fs::metadata(&running.spec.door)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let wrong = Request::Checkpoint {
        token: "0".repeat(32),
        progress: Progress::default(),
    };
    assert!(matches!(running.ask(&wrong), Reply::Error(text) if text.contains("token")));
    assert!(matches!(running.ask(&Request::Committed), Reply::Error(_)));
    let right = |progress| Request::Checkpoint {
        token: running.spec.token.clone(),
        progress,
    };
    let long = Progress {
        note: Some("n".repeat(1001)),
        ..Progress::default()
    };
    assert!(matches!(running.ask(&right(long)), Reply::Error(text) if text.contains("1000")));
    let progress = Progress {
        chunk: Some(3),
        chunks: Some(9),
        note: Some("third".to_owned()),
        data: Some(serde_json::json!({"a": [1]})),
    };
    assert_eq!(running.ask(&right(progress.clone())), Reply::Ok);
    let newest = Checkpoints::of(&running.spec.task_dir)
        .newest()
        .unwrap()
        .unwrap();
    assert_eq!(
        (newest.progress, newest.reason),
        (Some(progress), Reason::Progress)
    );
    running.stop(IntentKind::Cancel, Some(0));
    running.ended();
}

#[test]
fn a_process_of_the_task_may_not_stop_it() {
    if Command::new("socat").arg("-V").output().is_err()
        && Command::new("python3").arg("-V").output().is_err()
    {
        println!("SKIPPED: neither socat nor python3 to speak to a socket");
        return;
    }
    let ask = r#"import os,socket;s=socket.socket(socket.AF_UNIX);s.connect(os.environ["AUTO_CLAUDE_DOOR"]);s.sendall(b'{"op":"stop","intent":{"kind":"cancel"}}\n{"op":"status"}\n');f=s.makefile();print(f.readline(),f.readline())"#;
    let bench = Bench::argv(&["python3", "-c", ask]);
    let ended = bench.run();
    assert_eq!(
        ended.exit.outcome.kind,
        OutcomeKind::Succeeded,
        "{}",
        bench.output()
    );
    assert_eq!(
        bench
            .output()
            .matches("only the daemon may ask this")
            .count(),
        2,
        "{}",
        bench.output()
    );
}

#[test]
fn bad_peers_do_not_disturb_the_door() {
    use std::io::{Read as _, Write as _};
    let bench = Bench::sh("sleep 60");
    let running = bench.start();
    running.agent();
    let connect = || std::os::unix::net::UnixStream::connect(&running.spec.door).unwrap();
    let silent: Vec<_> = (0..40).map(|_| connect()).collect();
    let mut endless = connect();
    endless
        .set_read_timeout(Some(Duration::from_millis(worker_kit::PATIENCE_MS)))
        .unwrap();
    // Writing fails once the door lets it go.
    let sent = (0..4096)
        .take_while(|_| endless.write_all(&[b'x'; 4096]).is_ok())
        .count();
    assert!(sent > 0);
    for line in ["{}", "nonsense", "{\"op\":\"stop\"}", "\u{0}"] {
        let mut peer = connect();
        writeln!(peer, "{line}").unwrap();
        let mut answer = [0; 9];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"{\"error\":", "{line}");
    }
    assert!(running.status().agent_pid.is_some());
    drop(silent);
    running.stop(IntentKind::Cancel, Some(0));
    running.ended();
}

#[test]
fn a_long_path_to_the_door_is_no_obstacle() {
    let mut bench = Bench::sh("sleep 60");
    let deep = bench.path(&"d".repeat(100)).join("e".repeat(100));
    fs::create_dir_all(&deep).unwrap();
    bench.spec().door = deep.join("door.sock");
    fs::write(&bench.handover.spec.door, "left by a dead worker").unwrap();
    let running = bench.start();
    running.agent();
    assert!(matches!(
        client::request(&running.spec.door, &Request::Status).unwrap(),
        Reply::Status(_)
    ));
    running.stop(IntentKind::Cancel, Some(0));
    running.ended();
    assert!(!bench.handover.spec.door.exists());
}

#[test]
fn a_stronger_intent_replaces_a_weaker_and_may_hurry() {
    let bench = Bench::sh("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    let running = bench.start();
    wait_for("the trap", || {
        bench.output().contains("ready").then_some(())
    });
    running.stop(IntentKind::Pause, Some(3_600_000));
    assert_eq!(running.status().stopping.unwrap().kind, IntentKind::Pause);
    running.stop(IntentKind::Cancel, Some(50));
    running.stop(IntentKind::Pressure, None);
    let outcome = running.ended().exit.outcome;
    assert_eq!(
        (outcome.kind, outcome.signal),
        (OutcomeKind::Signaled, Some(9))
    );
}

#[test]
fn an_exit_that_cannot_be_synced_keeps_the_worker_until_it_is_committed() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("SKIPPED: no strace to let fdatasync fail");
        return;
    }
    for daemon_commits in [true, false] {
        let bench = Bench::sh("sleep 1; exit 6");
        let running = bench.start();
        running.agent();
        // One failure when the daemon is away, failures without end when it is there.
        let inject = if daemon_commits {
            "inject=fdatasync:error=EIO"
        } else {
            "inject=fdatasync:error=EIO:when=1"
        };
        let pid = running.launched.worker.pid.to_string();
        let mut strace = Command::new("strace")
            .args([
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                "trace=fdatasync",
                "-e",
                inject,
                "-p",
                &pid,
            ])
            .spawn()
            .unwrap();
        if daemon_commits {
            let exit = wait_for("the exit at the door", || running.status().exit);
            assert_eq!(exit.outcome.exit_code, Some(6));
            assert_eq!(running.ask(&Request::Committed), Reply::Ok);
            assert_eq!(running.wait_end(), WorkerEnd::Left(4));
        } else {
            assert_eq!(running.wait_end(), WorkerEnd::Left(0));
            assert_eq!(
                running.record().exit.value().unwrap().outcome.exit_code,
                Some(6)
            );
        }
        assert!(
            running.log_text().contains("failed to sync the record"),
            "{}",
            running.log_text()
        );
        strace.wait().unwrap();
    }
}
