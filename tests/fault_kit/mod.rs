//! What the tests of faults share: small file systems that fill up or lose their power, failing system calls, and the
//! checks of the promises afterwards.
//!
//! Everything made here goes when its value is dropped, also when a test fails: nothing stays mounted, nothing traced.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real tools and bound their waits by a clock"
)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test file uses its part; one that uses all would make an expectation fail"
)]

mod disk;

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, World, marked, signal};
use auto_claude::store;
use serde_json::Value;

pub use disk::{Disk, run};

/// The worker of the task's first attempt.
pub fn worker_of(world: &World, id: &str) -> i32 {
    world.wait_for("its worker is known", |world| {
        let workers = world.ask("GET", "/workers", None);
        let line = workers
            .as_array()
            .unwrap()
            .iter()
            .find(|line| line["task"] == *id)?
            .clone();
        line["worker_pid"]
            .as_i64()
            .map(|pid| i32::try_from(pid).unwrap())
    })
}

/// Whether a tool is there: prints the reason for a skip where it is not.
pub fn has_tool(program: &str, what: &str) -> bool {
    let places = [
        "/usr/local/sbin",
        "/usr/sbin",
        "/sbin",
        "/usr/local/bin",
        "/usr/bin",
        "/bin",
    ];
    let found = places
        .iter()
        .any(|place| Path::new(place).join(program).exists());
    if !found {
        println!("SKIPPED: {what}: {program} is not installed");
    }
    found
}

/// Whether system calls can be made to fail here: prints the reason for a skip where they cannot.
pub fn can_trace(what: &str) -> bool {
    if !has_tool("strace", what) {
        return false;
    }
    let traced = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .status();
    let can = traced.is_ok_and(|status| status.success());
    if !can {
        println!("SKIPPED: {what}: tracing is not allowed here");
    }
    can
}

/// A small ext4 file system in a file, mounted over the state directory of a world. Declare it after the world.
pub struct WorldDisk(Disk);

impl WorldDisk {
    /// Makes one of `mib` MiB and mounts it over the world's directory; `None` (with the reason printed) where this machine
    /// cannot. The configuration goes along.
    pub fn over(world: &World, what: &str, mib: u64, options: &[&str]) -> Option<Self> {
        let config = std::fs::read(world.dir().join("config.toml")).unwrap();
        let image = world.dir().with_extension("img");
        let disk = match Disk::ext4(world.dir(), &image, mib, options) {
            Ok(disk) => disk,
            Err(error) => {
                println!("SKIPPED: {what}: cannot mount a file system here: {error}");
                return None;
            }
        };
        std::fs::write(disk.point().join("config.toml"), config).unwrap();
        run("sync", &["-f", disk.point().to_str().unwrap()]);
        Some(Self(disk))
    }
}

impl Deref for WorldDisk {
    type Target = Disk;

    fn deref(&self) -> &Disk {
        &self.0
    }
}

impl DerefMut for WorldDisk {
    fn deref_mut(&mut self) -> &mut Disk {
        &mut self.0
    }
}

impl Drop for WorldDisk {
    fn drop(&mut self) {
        let point = self.point();
        end_workers(point);
        if self.is_mounted() && std::thread::panicking() {
            // The failure names this directory: what is needed of it is copied before the file system goes.
            let kept = point.with_extension("kept");
            let _ = Command::new("cp")
                .arg("-a")
                .arg(point)
                .arg(&kept)
                .stderr(Stdio::null())
                .status();
            eprintln!("what was on the file system is kept: {}", kept.display());
        }
    }
}

/// SIGKILL for every process of the attempts that have a record in this state directory.
pub fn end_workers(dir: &Path) {
    for entry in std::fs::read_dir(dir.join("records"))
        .into_iter()
        .flatten()
        .flatten()
    {
        for pid in marked(&entry.file_name().to_string_lossy()) {
            signal(pid, "KILL");
        }
    }
}

/// System calls of a running process that fail, until this is dropped.
pub struct Fault(Child);

impl Fault {
    /// Makes calls of `pid` (the threads it has now; with `-f` among the options all, and its children) fail as the options
    /// of strace say. Returns once every thread is under it.
    pub fn attach(pid: i32, options: &[&str]) -> Self {
        let threads = if options.contains(&"-f") {
            vec![pid.to_string()]
        } else {
            threads(pid)
        };
        let child = Command::new("strace")
            .arg("-qq")
            .args(["-o", "/dev/null"])
            .args(options)
            .args(threads.iter().flat_map(|thread| ["-p", thread]))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let fault = Self(child);
        let begun = Instant::now();
        while !threads.iter().all(|thread| is_traced(pid, thread)) {
            assert!(
                begun.elapsed() < PATIENCE,
                "strace does not attach to {pid}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        fault
    }

    /// The fault ends; the process goes on.
    pub fn end(self) {
        drop(self);
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // SIGTERM detaches; SIGKILL would take the traced process along where strace has asked for that.
        signal(i32::try_from(self.0.id()).unwrap(), "TERM");
        let _ = self.0.wait();
    }
}

/// The threads of a process that stay: the runtime's pool comes and goes.
fn threads(pid: i32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .flatten();
    let stays = |thread: &std::fs::DirEntry| {
        std::fs::read_to_string(thread.path().join("comm"))
            .is_ok_and(|name| !name.contains("tokio"))
    };
    tasks
        .filter(stays)
        .map(|thread| thread.file_name().to_string_lossy().into_owned())
        .collect()
}

fn is_traced(pid: i32, thread: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/status"))
        .is_ok_and(|status| !status.contains("TracerPid:\t0\n"))
}

/// The database of a stopped daemon is sound: structure, references, and every journal's fold.
pub fn assert_sound(world: &World) {
    let path = world.dir().join("auto-claude.db");
    let report = store::check(&path, &mut |_| {})
        .unwrap_or_else(|error| panic!("{error}\n{}", world.story()));
    assert!(
        report.is_sound(),
        "{:?}\n{}",
        report.problems,
        world.story()
    );
    assert!(report.set_aside.is_empty(), "{:?}", report.set_aside);
}

/// How many times an event of this name is in the task's journal.
pub fn events(world: &World, id: &str, name: &str) -> usize {
    let journal = world.ask("GET", &format!("/tasks/{id}/journal"), None);
    journal
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["event"]["event"] == name)
        .count()
}

/// A refused request: its status and code.
pub fn refusal(answer: &(u16, Value)) -> (u16, String) {
    (
        answer.0,
        answer.1["code"].as_str().unwrap_or_default().to_owned(),
    )
}
