//! Much output.

use std::process::Command;
use std::time::Duration;

use crate::common::World;
use crate::started;

#[test]
fn a_gibibyte_of_output_is_kept_whole_in_bounded_memory_gib() {
    const BYTES: u64 = 1 << 30;
    let mut world = World::new("max_output_mb = 2048\n");
    let free = rustix::fs::statvfs(world.dir()).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
    if free < 2 * BYTES {
        println!(
            "SKIPPED: a gibibyte of output: only {} MiB are free",
            free >> 20
        );
        return;
    }
    world.start();
    // Numbered lines of 64 bytes: a gap, a repetition and a swap all show.
    let id = world.submit("gib", "seq -f '%063.0f' 0 16777215");
    let worker = started(&world, &format!("{id}.1")).worker.pid;
    let mut most_kib = 0;
    let task = loop {
        most_kib = most_kib.max(peak_kib(worker));
        let task = world.task(&id);
        if ["completed", "failed"].contains(&task["state"].as_str().unwrap()) {
            break task;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(task["state"], "completed", "{task}");
    let path = world.dir().join("tasks").join(&id).join("output.log");
    // The first line names the attempt.
    assert!(std::fs::metadata(&path).unwrap().len() > BYTES);
    let pipe = world.dir().join("wanted");
    let script = format!(
        "mkfifo {0}; seq -f '%063.0f' 0 16777215 >{0} & tail -n +2 {1} | cmp - {0}",
        pipe.display(),
        path.display()
    );
    assert!(
        Command::new("/bin/sh")
            .args(["-c", &script])
            .status()
            .unwrap()
            .success(),
        "the output differs"
    );
    println!(
        "the worker's peak: {most_kib} KiB; the daemon's: {} KiB",
        peak_kib(world.daemon_pid())
    );
    assert!(most_kib > 0 && most_kib < 32 * 1024, "{most_kib} KiB");
}

/// Peak of the resident memory.
fn peak_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
