//! Upgrades under running tasks: the program is replaced on disk, old workers meet a new daemon, and the reverse; and two
//! daemons that want the same state directory.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and bound their waits by a clock"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use auto_claude::attempt::record::{Header, Started};
use auto_claude::attempt::spec::{Handover, PROTOCOL_VERSION, WorkerSpec};
use auto_claude::process::{Launched, Launcher, OpenExe, boot_id, now};
use auto_claude::record::RecordFile;
use auto_claude::task::TaskType;
use common::{AUTO_CLAUDE, World, alive, signal};
use serde_json::json;

fn started(world: &World, attempt: &str) -> Started {
    world.wait_for("the record names worker and agent", |world| {
        let record = RecordFile::open_existing(&world.dir().join("records").join(attempt))
            .ok()?
            .read()
            .ok()?;
        record
            .started
            .value()
            .filter(|started| started.agent.is_some())
            .cloned()
    })
}

/// A daemon from a program of its own; killed when dropped.
struct Daemon(Child);

impl Daemon {
    fn start(program: &Path, world: &World) -> Self {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(world.dir().join("daemon.out"))
            .unwrap();
        let child = Command::new(program)
            .args(["serve", "--state-dir"])
            .arg(world.dir())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let daemon = Self(child);
        world.wait_for("the daemon answers", |world| {
            world.request("GET", "/health", None).ok().map(|_| ())
        });
        daemon
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn exe(pid: i32) -> PathBuf {
    std::fs::read_link(format!("/proc/{pid}/exe")).unwrap()
}

/// Copies the program over `to` as an upgrade does: beside it, then a rename.
fn install(to: &Path) {
    let beside = to.with_extension("new");
    std::fs::copy(AUTO_CLAUDE, &beside).unwrap();
    std::fs::rename(beside, to).unwrap();
}

fn gated(world: &World, name: &str, code: u32) -> String {
    let gate = world.dir().join("gate");
    let line = format!(
        "echo begin; while ! test -e {}; do sleep 0.05; done; echo end; exit {code}",
        gate.display()
    );
    let id = world.submit_with(json!({"name": name, "key": name, "command": line}));
    world.wait_for("it has begun", |world| {
        world.output(&id).contains("begin").then_some(())
    });
    id
}

#[test]
fn a_program_replaced_under_running_tasks_changes_nothing_for_them() {
    let world = World::new("num_workers = 8\n");
    let program = world.dir().join("auto-claude-copy");
    install(&program);
    let inode =
        |path: &Path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
    let old = Daemon::start(&program, &world);
    let old_inode = inode(Path::new(&format!("/proc/{}/exe", old.pid())));
    let before = gated(&world, "before", 3);
    install(&program);
    // Launched after the upgrade, by the old daemon: from the program that it has open.
    let between = gated(&world, "between", 4);
    for id in [&before, &between] {
        let worker = started(&world, &format!("{id}.1")).worker.pid;
        assert_eq!(inode(Path::new(&format!("/proc/{worker}/exe"))), old_inode);
        assert!(exe(worker).to_string_lossy().ends_with(" (deleted)"));
    }
    signal(old.pid(), "TERM");
    world.wait_for("the old daemon leaves", |_| {
        (!alive(old.pid())).then_some(())
    });
    drop(old);
    let new = Daemon::start(&program, &world);
    assert_ne!(
        inode(Path::new(&format!("/proc/{}/exe", new.pid()))),
        old_inode
    );
    let after = gated(&world, "after", 5);
    let worker = started(&world, &format!("{after}.1")).worker.pid;
    assert_ne!(inode(Path::new(&format!("/proc/{worker}/exe"))), old_inode);
    // The new daemon commands old workers.
    let cancelled = gated(&world, "cancelled", 6);
    assert_eq!(world.act("cancel", &[&cancelled])[0]["effect"], "stopping");
    std::fs::write(world.dir().join("gate"), "").unwrap();
    for (id, code) in [(&before, 3), (&between, 4), (&after, 5)] {
        let task = world.wait_final(id);
        assert_eq!(
            (
                task["attempt"].as_u64(),
                task["outcome"]["exit_code"].as_i64()
            ),
            (Some(1), Some(code)),
            "{}",
            world.story()
        );
        let output = world.output(id);
        assert!(
            output.ends_with("---\nbegin\nend\n") && output.matches("begin").count() == 1,
            "{output}"
        );
    }
    assert_eq!(world.wait_final(&cancelled)["state"], "cancelled");
}

#[test]
fn a_second_daemon_is_told_who_holds_the_directory_and_disturbs_nobody() {
    let mut world = World::new("");
    world.start();
    let id = gated(&world, "running", 3);
    let second = world.auto_claude("serve", &[]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(4), "{said}");
    assert!(
        said.contains(&format!("pid {}", world.daemon_pid())),
        "it names the holder: {said}"
    );
    assert!(said.contains(&world.dir().display().to_string()), "{said}");
    assert_eq!(world.request("GET", "/health", None).unwrap().0, 200);
    std::fs::write(world.dir().join("gate"), "").unwrap();
    let task = world.wait_final(&id);
    assert_eq!(
        (
            task["attempt"].as_u64(),
            task["outcome"]["exit_code"].as_i64()
        ),
        (Some(1), Some(3))
    );
    // The first one leaves: the next start takes over at once.
    assert!(world.stop_daemon().success());
    world.start();
    assert_eq!(world.task(&id)["state"], "failed");
}

/// Takes a task's running attempt away from its worker, and begins it anew under a hand-over of another version.
fn rehost(world: &mut World, id: &str, version: u32) -> Launched {
    let attempt = format!("{id}.1");
    let former = started(world, &attempt);
    world.kill_daemon();
    signal(former.worker.pid, "KILL");
    world.wait_for("worker and command are gone", |_| {
        common::marked(&attempt).is_empty().then_some(())
    });
    let path = world.dir().join("records").join(&attempt);
    std::fs::remove_file(&path).unwrap();
    let attempt: auto_claude::task::AttemptId = attempt.parse().unwrap();
    let header = Header {
        attempt: attempt.clone(),
        boot_id: boot_id().to_owned(),
        version,
    };
    RecordFile::create(&path, &header).unwrap();
    let gate = world.dir().join("gate");
    let spec = WorkerSpec {
        version,
        input: None,
        trying_timeout_ms: 0,
        driver: None,
        slot: 1,
        argv: [
            "/bin/sh",
            "-c",
            &format!(
                "echo again; while ! test -e {}; do sleep 0.05; done; exit 8",
                gate.display()
            ),
        ]
        .map(str::to_owned)
        .to_vec(),
        cwd: "/".into(),
        env: BTreeMap::new(),
        task_type: TaskType::Lightweight,
        resume: false,
        record: path,
        task_dir: world.dir().join("tasks").join(id),
        door: world.dir().join("run").join(format!("{attempt}.sock")),
        token: "0".repeat(32),
        timeout_ms: 0,
        idle_timeout_ms: 0,
        grace_ms: 1_000,
        max_output_bytes: 1 << 20,
        heartbeat_ms: 1_000,
        max_processes: 0,
        max_memory_bytes: 0,
        owner: None,
        launched_at_ms: now().as_ms(),
        attempt,
    };
    let handover = Handover {
        spec,
        secrets: BTreeMap::new(),
    };
    let log = std::fs::File::create(world.dir().join("logs/rehosted.log")).unwrap();
    Launcher::Direct
        .launch(
            &OpenExe::open(Path::new(AUTO_CLAUDE)).unwrap(),
            &handover,
            log,
        )
        .unwrap()
}

#[test]
fn workers_of_the_neighbouring_versions_are_taken_back_and_commanded() {
    for version in [PROTOCOL_VERSION - 1, PROTOCOL_VERSION + 1] {
        for cancel in [false, true] {
            let mut world = World::new("grace_seconds = 1\n");
            world.start();
            let id = gated(&world, "n", 8);
            let worker = rehost(&mut world, &id, version).worker;
            assert_eq!(started(&world, &format!("{id}.1")).worker, worker);
            world.start();
            world.wait_for("it is taken back", |world| {
                (world.workers() == [worker.pid]).then_some(())
            });
            if cancel {
                assert_eq!(world.act("cancel", &[&id])[0]["effect"], "stopping");
                assert_eq!(world.wait_final(&id)["state"], "cancelled");
            } else {
                std::fs::write(world.dir().join("gate"), "").unwrap();
                let task = world.wait_final(&id);
                assert_eq!(
                    (
                        task["attempt"].as_u64(),
                        task["outcome"]["exit_code"].as_i64()
                    ),
                    (Some(1), Some(8)),
                    "{}",
                    world.story()
                );
            }
        }
    }
}

#[test]
fn a_worker_two_versions_away_refuses_and_its_task_is_not_lost() {
    let mut world = World::new("");
    world.start();
    let id = gated(&world, "n", 8);
    let launched = rehost(&mut world, &id, PROTOCOL_VERSION + 2);
    world.wait_for("the worker refuses", |_| {
        auto_claude::process::reap(&launched.pidfd).unwrap()
    });
    assert!(!world.output(&id).contains("again"));
    world.start();
    std::fs::write(world.dir().join("gate"), "").unwrap();
    let task = world.wait_final(&id);
    assert_eq!(
        (
            task["attempt"].as_u64(),
            task["outcome"]["exit_code"].as_i64()
        ),
        (Some(2), Some(8)),
        "{}",
        world.story()
    );
}

/// What a worker of this version cannot understand it says so about, and goes on.
#[test]
fn a_request_of_a_later_version_is_refused_and_harms_nothing() {
    let mut world = World::new("");
    world.start();
    let id = gated(&world, "n", 3);
    let door = world.dir().join("run").join(format!("{id}.1.sock"));
    for line in [
        r#"{"op":"no_such_thing"}"#,
        r#"{"op":"status","new_field":1}"#,
        r#"{"op":"stop","intent":{"kind":"no_such_wish"}}"#,
    ] {
        let mut peer = UnixStream::connect(&door).unwrap();
        writeln!(peer, "{line}").unwrap();
        let mut answer = String::new();
        BufReader::new(peer).read_line(&mut answer).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert!(
            answer["error"].is_string() || answer["status"].is_object(),
            "{line}: {answer}"
        );
    }
    std::fs::write(world.dir().join("gate"), "").unwrap();
    assert_eq!(world.wait_final(&id)["outcome"]["exit_code"], 3);
}
