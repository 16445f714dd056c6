//! What systemd hands to the daemon and hears from it: a listening socket, and notifications.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and bound their waits by a clock"
)]
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{AUTO_CLAUDE, PATIENCE, TASKCTL, World, signal};

/// A daemon with a listening socket passed as systemd does, and more variables.
fn activated(world: &World, listener: &UnixListener, more: &[(&str, &str)]) -> std::process::Child {
    let passed = OwnedFd::from(listener.try_clone().unwrap());
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(world.dir().join("daemon.out"))
        .unwrap();
    Command::new("/bin/sh")
        .arg("-c")
        .arg("LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve --state-dir \"$1\" 3<&0 </dev/null")
        .arg(AUTO_CLAUDE)
        .arg(world.dir())
        .envs(more.iter().copied())
        .stdin(passed)
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

#[test]
fn submissions_wait_in_the_passed_socket_while_the_daemon_restarts() {
    let world = World::new("");
    let path = world.dir().join("auto-claude.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let submit = |name: &str| {
        Command::new(TASKCTL)
            .arg("--state-dir")
            .arg(world.dir())
            .args(["--json", "task", "create", name, "echo $0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut names = Vec::new();
    for round in 0..3 {
        let waiting: Vec<_> = (0..4)
            .map(|n| {
                let name = format!("r{round}n{n}");
                let client = submit(&name);
                names.push(name);
                client
            })
            .collect();
        let mut daemon = activated(&world, &listener, &[]);
        for client in waiting {
            let output = client.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}\n{}", world.story());
        }
        if round == 1 {
            daemon.kill().unwrap();
        } else {
            signal(i32::try_from(daemon.id()).unwrap(), "TERM");
        }
        daemon.wait().unwrap();
        assert!(path.exists(), "a passed socket is never unlinked");
    }
    let mut daemon = activated(&world, &listener, &[]);
    let listed = world.ask("GET", "/tasks", None);
    let mut found: Vec<String> = listed["tasks"]
        .as_array()
        .unwrap_or_else(|| listed.as_array().unwrap())
        .iter()
        .map(|task| task["name"].as_str().unwrap().to_owned())
        .collect();
    found.sort();
    assert_eq!(found, names, "each once");
    signal(i32::try_from(daemon.id()).unwrap(), "TERM");
    daemon.wait().unwrap();
}

#[test]
fn systemd_itself_passes_the_socket() {
    let world = World::new("");
    let path = world.dir().join("auto-claude.sock");
    let started = Command::new("systemd-socket-activate")
        .arg("-l")
        .arg(&path)
        .arg(AUTO_CLAUDE)
        .args(["serve", "--state-dir"])
        .arg(world.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut activator) = started else {
        println!("SKIPPED: socket activation by systemd: systemd-socket-activate is not installed");
        return;
    };
    world.wait_for("it listens", |_| path.exists().then_some(()));
    let created = world.taskctl(&["--json", "task", "create", "n", "exit 0", "--wait"]);
    assert!(created.status.success(), "{created:?}");
    // It replaced itself by the daemon.
    assert_eq!(world.ask("GET", "/status", None)["pid"], activator.id());
    signal(i32::try_from(activator.id()).unwrap(), "TERM");
    assert!(activator.wait().unwrap().success());
    assert!(path.exists());
}

/// The next notification that begins with `wanted`; others are passed over.
fn notified(socket: &UnixDatagram, wanted: &str) {
    let begun = Instant::now();
    let mut seen = Vec::new();
    while begun.elapsed() < PATIENCE {
        let mut buffer = [0; 4096];
        let Ok(size) = socket.recv(&mut buffer) else {
            continue;
        };
        let text = String::from_utf8_lossy(&buffer[..size]).into_owned();
        if text.lines().any(|line| line.starts_with(wanted)) {
            return;
        }
        seen.push(text);
    }
    unreachable!("no {wanted} among {seen:?}");
}

#[test]
fn systemd_is_told_of_readiness_life_reload_and_end() {
    let mut world = World::new("");
    let path = world.dir().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    world.set_env("NOTIFY_SOCKET", path.to_str().unwrap());
    world.set_env("WATCHDOG_USEC", "400000");
    world.spawn();
    notified(&socket, "READY=1");
    // Ready means: it answers now.
    assert_eq!(world.ask("GET", "/health", None)["ok"], true);
    notified(&socket, "WATCHDOG=1");
    notified(&socket, "WATCHDOG=1");
    signal(world.daemon_pid(), "HUP");
    notified(&socket, "RELOADING=1");
    notified(&socket, "READY=1");
    // An agent cannot report in the daemon's name: it does not know the socket.
    let id = world.submit("n", "echo \"<$NOTIFY_SOCKET$WATCHDOG_USEC>\"");
    world.wait_final(&id);
    assert!(world.output(&id).contains("<>"), "{}", world.output(&id));
    assert!(world.stop_daemon().success());
    notified(&socket, "STOPPING=1");
}
