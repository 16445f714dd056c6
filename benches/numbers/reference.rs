//! What the machine itself gives: processes and syncs per second. The other sections divide by it.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::report::{Report, Row};
use crate::stats::{median, rate, short};
use crate::{Bench, Res};

/// Processes of one measurement.
const SPAWNS: usize = 1000;
/// Syncs of one measurement.
const SYNCS: usize = 100;
/// What a sync covers: about what a small transaction writes.
const SYNC_BYTES: usize = 4096;

/// The rows of this section.
pub(crate) fn section(bench: &Bench, report: &mut Report) -> Res<()> {
    for parallel in [2, 8] {
        let mut rates = Vec::new();
        for _ in 0..bench.runs {
            rates.push(rate(SPAWNS, spawn_loop(SPAWNS, parallel)?));
        }
        report.row(Row {
            what: format!("posix_spawn(/bin/true) and wait, {parallel} parallel, {SPAWNS} times"),
            measured: format!("{}/s", short(median(&rates))),
            ..Row::default()
        });
    }
    let mut times = Vec::new();
    for _ in 0..bench.runs {
        times.push(sync_time(bench)?.as_secs_f64() * 1e3);
    }
    report.row(Row {
        what: format!("write {SYNC_BYTES} bytes and fdatasync, one after the other"),
        measured: format!("{} ms each", short(median(&times))),
        ..Row::default()
    });
    Ok(())
}

/// Starts `/bin/true` `count` times from `parallel` threads and waits for each. Without working directory, descriptors or a
/// hook to set up, the standard library starts a program by `posix_spawn`.
pub(crate) fn spawn_loop(count: usize, parallel: usize) -> Res<Duration> {
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..parallel)
            .map(|_| {
                scope.spawn(|| {
                    while next.fetch_add(1, Ordering::Relaxed) < count {
                        spawn_true()?;
                    }
                    Ok::<(), String>(())
                })
            })
            .collect();
        for thread in threads {
            thread
                .join()
                .map_err(|_| "a spawning thread panicked".to_owned())??;
        }
        Ok::<(), String>(())
    })?;
    Ok(begun.elapsed())
}

/// One process that does nothing, to its end.
pub(crate) fn spawn_true() -> Res<()> {
    let status = Command::new("/bin/true")
        .stdin(Stdio::inherit())
        .status()
        .map_err(|e| format!("cannot run /bin/true: {e}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("/bin/true: {status}"))
    }
}

/// The mean time of a small write with its sync, over a file that already has its blocks.
fn sync_time(bench: &Bench) -> Res<Duration> {
    let path = bench.base.join("sync");
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(&path)
        .map_err(|e| format!("cannot create {}: {e}", path.display()))?;
    let block = vec![7_u8; SYNC_BYTES];
    let write = |at: usize| {
        file.write_all_at(&block, (at * SYNC_BYTES) as u64)
            .and_then(|()| file.sync_data())
            .map_err(|e| format!("cannot write {}: {e}", path.display()))
    };
    for at in 0..SYNCS {
        write(at)?;
    }
    let begun = Instant::now();
    for at in 0..SYNCS {
        write(at)?;
    }
    let time = begun.elapsed() / SYNCS as u32;
    let _ = std::fs::remove_file(&path);
    Ok(time)
}
