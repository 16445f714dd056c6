//! How each point is reached, and what follows.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and bound their waits by a clock"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::os::unix::process::ExitStatusExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Instant;

use auto_claude::attempt::record::{Header, ProcessStamp};
use auto_claude::record::RecordFile;
use serde_json::json;

use crate::common::{World, signal};
use crate::crash_kit::promises::{check, database_is_sound};
use crate::crash_kit::{Died, Jobs, Kind, open_gate, passes};
use crate::points::{POINTS, Point, Scene};

/// Cases at a time: they wait for most of their time.
const AT_ONCE: usize = 5;
/// After so many passes of a worker's point the daemon is ended, too.
const WORKER_PASSES: usize = 9;
const SIGKILL: i32 = 9;

const CONFIG: &str = "num_workers = 4\ngrace_seconds = 1\nretry_base_seconds = 1\nretry_max_seconds = 1\n\
                      restart_max = 100\ndaemon_restart_max = 10000\ndisk_reserve_mb = 1\n";
const QUICK_HEARTBEAT: &str = "heartbeat_seconds = 1\nheartbeat_timeout_seconds = 3\n";

/// Runs all cases of some scenes: the hits of the list, or the first `hits` of each point.
pub fn all_of(scenes: &[Scene], hits: Option<u32>) {
    let only = std::env::var("MATRIX_ONLY").ok();
    let cases = POINTS
        .iter()
        .filter(|point| scenes.contains(&point.scene))
        .flat_map(|point| {
            let hits: Vec<u32> =
                hits.map_or_else(|| point.hits.to_vec(), |most| (1..=most).collect());
            hits.into_iter()
                .map(|hit| (*point, hit))
                .collect::<Vec<_>>()
        });
    let cases: Vec<(Point, u32)> = cases
        .filter(|(point, hit)| {
            only.as_ref()
                .is_none_or(|only| *only == format!("{}:{hit}", point.name))
        })
        .collect();
    let (count, waiting, failed) = (cases.len(), Mutex::new(cases), Mutex::new(Vec::new()));
    let next = || waiting.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((point, hit)) = next() {
                    let begun = Instant::now();
                    let result = catch_unwind(AssertUnwindSafe(|| one(point, hit)));
                    println!("{}:{hit} {} ms", point.name, begun.elapsed().as_millis());
                    if result.is_err() {
                        failed.lock().unwrap().push(format!("{}:{hit}", point.name));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{} of {count} cases failed; repeat one with MATRIX_ONLY=…: {failed:?}",
        failed.len()
    );
}

fn one(point: Point, hit: u32) {
    let config = format!(
        "{CONFIG}{}",
        if point.scene == Scene::Recovery {
            QUICK_HEARTBEAT
        } else {
            ""
        }
    );
    let mut world = World::new(&config);
    match point.scene {
        Scene::Daemon => life(&mut world, point, hit, false),
        Scene::Worker => life(&mut world, point, hit, true),
        Scene::Recovery => recovery(&mut world, point, hit),
        Scene::Record => record_in_the_way(&mut world, point, hit),
        Scene::Maintenance => maintenance(&mut world, point, hit),
        Scene::Restore => restore(&mut world, point, hit),
    }
}

fn arm(world: &mut World, point: Point, hit: u32) {
    let log = world.dir().join("passes").display().to_string();
    world.set_env("AUTO_CLAUDE_CRASH", &format!("{}:{hit}", point.name));
    world.set_env("AUTO_CLAUDE_CRASH_LOG", &log);
}

fn disarm(world: &mut World, point: Point, hit: u32) {
    world.unset_env("AUTO_CLAUDE_CRASH");
    world.unset_env("AUTO_CLAUDE_CRASH_LOG");
    let passed = passes(world, point.name);
    assert!(
        passed > 0 || hit > 1,
        "{} was never passed\n{}",
        point.name,
        world.story()
    );
}

/// Starts the armed daemon; it may die before it answers.
fn start_armed(world: &mut World, jobs: &Jobs) -> Result<(), Died> {
    world.spawn();
    jobs.until(world, "the daemon answers", |world| {
        world.request("GET", "/health", None).ok().map(|_| ())
    })
}

/// The whole story with an armed daemon, then again without.
fn life(world: &mut World, point: Point, hit: u32, of_worker: bool) {
    let mut jobs = Jobs::one_of_each();
    jobs.worker_point = of_worker.then(|| (point.name.to_owned(), WORKER_PASSES));
    arm(world, point, hit);
    let lived = start_armed(world, &jobs)
        .and_then(|()| jobs.begin(world))
        .and_then(|()| {
            open_gate(world);
            jobs.until_final(world)
        });
    if lived.is_ok() {
        world.stop_daemon();
    }
    disarm(world, point, hit);
    world.start();
    jobs.go_on(world);
    check(&jobs, world);
}

/// A daemon dies under running tasks; one worker dies with it, one hangs, one record is damaged, strays lie about.
fn recovery(world: &mut World, point: Point, hit: u32) {
    let mut jobs = Jobs::one_of_each();
    world.start();
    jobs.submit(world).unwrap();
    for kind in [Kind::Gated, Kind::Long, Kind::Waiting] {
        jobs.until_started(world, kind).unwrap();
    }
    let [gated, long, waiting] =
        [Kind::Gated, Kind::Long, Kind::Waiting].map(|kind| jobs.of(kind).id.clone().unwrap());
    jobs.cancel(world).unwrap();
    world.kill_daemon();
    let damaged = format!("{gated}.1");
    let worker = worker_of(world, &waiting).pid;
    signal(worker, "STOP");
    if let Some(worker) = record(world, &damaged).and_then(|record| {
        record
            .read()
            .ok()?
            .started
            .value()
            .map(|started| started.worker)
    }) {
        signal(worker.pid, "KILL");
        world.wait_for("the worker is dead", |_| {
            (!crate::common::alive(worker.pid)).then_some(())
        });
    }
    std::fs::write(world.dir().join("records").join(&damaged), [0xA5; 4096]).unwrap();
    let quick = jobs.of(Kind::Quick).id.clone().unwrap();
    for stray in [
        format!("{quick}.1"),
        format!("{quick}.99"),
        format!("{long}.99"),
    ] {
        make_record(world, &stray);
    }
    arm(world, point, hit);
    if start_armed(world, &jobs).is_ok() {
        open_gate(world);
        // Ends with the death, or with all tasks.
        let _ = jobs.until_final(world);
        if !world.daemon_is_dead() {
            world.kill_daemon();
        }
    }
    disarm(world, point, hit);
    world.start();
    jobs.go_on(world);
    // The damaged one is set aside for a person; nothing else may be left.
    let records = std::fs::read_dir(world.dir().join("records"))
        .unwrap()
        .flatten();
    let aside: Vec<_> = records
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with(&format!("{damaged}.set-aside-"))
        })
        .collect();
    assert_eq!(aside.len(), 1, "{}", world.story());
    std::fs::remove_file(aside[0].path()).unwrap();
    check(&jobs, world);
}

fn record(world: &World, attempt: &str) -> Option<RecordFile> {
    RecordFile::open_existing(&world.dir().join("records").join(attempt)).ok()
}

fn worker_of(world: &World, id: &str) -> ProcessStamp {
    world.wait_for("a record names its worker", |world| {
        let record = record(world, &format!("{id}.1"))?.read().ok()?;
        record.started.value().map(|started| started.worker)
    })
}

fn make_record(world: &World, attempt: &str) {
    let header = Header {
        attempt: attempt.parse().unwrap(),
        // One of this boot would be used as it is.
        boot_id: "00000000-0000-0000-0000-000000000000".to_owned(),
        version: 1,
    };
    RecordFile::create(&world.dir().join("records").join(attempt), &header).unwrap();
}

/// A record lies where a new one is to be made.
fn record_in_the_way(world: &mut World, point: Point, hit: u32) {
    let mut jobs = Jobs::one_of_each();
    arm(world, point, hit);
    start_armed(world, &jobs).unwrap();
    world.ask("POST", "/system/pause", None);
    jobs.submit(world).unwrap();
    let gated = jobs.of(Kind::Gated).id.clone().unwrap();
    make_record(world, &format!("{gated}.1"));
    let _ = world.request("POST", "/system/resume", None);
    let status = world.wait_for_death();
    assert_eq!(status.signal(), Some(SIGKILL));
    disarm(world, point, hit);
    world.start();
    world.ask("POST", "/system/resume", None);
    jobs.go_on(world);
    check(&jobs, world);
}

/// A crash in the middle of a backup, or of a cleanup.
fn maintenance(world: &mut World, point: Point, hit: u32) {
    arm(world, point, hit);
    world.start();
    let ids: Vec<String> = (0..3)
        .map(|n| {
            world.submit_with(json!({"name": "n", "key": format!("k{n}"), "command": "echo out"}))
        })
        .collect();
    for id in &ids {
        world.wait_final(id);
    }
    let backup = world.dir().join("saved.db");
    let _ = world.request("POST", "/system/backup", Some(&json!({"path": backup})));
    if !world.daemon_is_dead() {
        let _ = world.request("POST", "/system/cleanup", Some(&json!({"days": 0})));
        world.wait_for_death();
    }
    disarm(world, point, hit);
    world.start();
    let listed = world.ask("GET", "/tasks", None)["tasks"]
        .as_array()
        .unwrap()
        .len();
    if point.name == "backup.copied" {
        assert_eq!(listed, 3);
        assert!(!backup.exists(), "a backup is there whole or not at all");
    } else {
        assert_eq!(listed, 0, "the cleanup was committed");
    }
    world.ask(
        "POST",
        "/system/backup",
        Some(&json!({"path": world.dir().join("again.db")})),
    );
    assert!(world.stop_daemon().success());
    database_is_sound(world);
}

/// A crash in the middle of a restore leaves the one or the other database, whole.
fn restore(world: &mut World, point: Point, hit: u32) {
    world.start();
    let before = world.submit("before", "echo out");
    world.wait_final(&before);
    let saved = world.dir().join("saved.db");
    world.ask("POST", "/system/backup", Some(&json!({"path": saved})));
    let after = world.submit("after", "echo out");
    world.wait_final(&after);
    assert!(world.stop_daemon().success());
    let log = world.dir().join("passes");
    let status = std::process::Command::new(crate::common::AUTO_CLAUDE)
        .args(["restore", "--state-dir"])
        .args([world.dir(), saved.as_path()])
        .env("AUTO_CLAUDE_CRASH", format!("{}:{hit}", point.name))
        .env("AUTO_CLAUDE_CRASH_LOG", log)
        .status()
        .unwrap();
    if hit == 1 {
        assert_eq!(status.signal(), Some(SIGKILL));
    }
    disarm(world, point, hit);
    world.start();
    assert_eq!(world.task(&before)["state"], "completed");
    let (status, _) = world
        .request("GET", &format!("/tasks/{after}"), None)
        .unwrap();
    assert!([200, 404].contains(&status));
    assert!(world.stop_daemon().success());
    database_is_sound(world);
    let again = world.auto_claude("restore", &[saved.to_str().unwrap()]);
    assert!(again.status.success(), "{again:?}");
    world.start();
    let (status, _) = world
        .request("GET", &format!("/tasks/{after}"), None)
        .unwrap();
    assert_eq!(status, 404);
    assert!(world.stop_daemon().success());
    database_is_sound(world);
}
