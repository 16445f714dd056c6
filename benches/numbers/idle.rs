//! What it costs to have nothing to do: memory and wake-ups of the daemon, and of a worker whose agent is quiet.

use std::time::Duration;

use crate::daemon::{Daemon, nothing, write_batch};
use crate::report::{Report, Row};
use crate::stats::short;
use crate::{Bench, Res, sys};

/// Time for what belongs to the start (or to the work before) to end, and the time that is measured.
const SETTLE: Duration = Duration::from_secs(8);
const WINDOW: Duration = Duration::from_secs(10);
/// Tasks of the work after which the daemon is looked at again.
const WORK: usize = 1000;
const WORK_LIMIT: Duration = Duration::from_secs(120);
/// Longer than a task may take to start.
const START_LIMIT: Duration = Duration::from_secs(20);

const REACH_DAEMON_MIB: f64 = 12.0;
const REACH_WAKEUPS: f64 = 2.0;
const REACH_WORKER_MIB: f64 = 4.0;

/// The rows of this section.
pub(crate) fn section(bench: &Bench, report: &mut Report) -> Res<()> {
    let daemon = Daemon::fresh(bench, "idle", 2)?;
    let (mib, wakeups) = quiet(daemon.pid())?;
    report_pair(
        report,
        "idle daemon",
        mib,
        wakeups,
        REACH_DAEMON_MIB,
        Some(REACH_WAKEUPS),
    );

    let file = bench.base.join("idle.jsonl");
    write_batch(&file, WORK, "normal", &nothing())?;
    daemon.submit(&file)?;
    daemon.wait_until_drained(WORK_LIMIT)?;
    let _ = std::fs::remove_file(&file);
    let (mib, wakeups) = quiet(daemon.pid())?;
    report_pair(
        report,
        &format!("idle daemon after {} tasks", short(WORK as f64)),
        mib,
        wakeups,
        REACH_DAEMON_MIB,
        Some(REACH_WAKEUPS),
    );

    let (worker, _) = start_quiet_task(&daemon)?;
    let (mib, wakeups) = quiet(worker)?;
    report_pair(
        report,
        "worker of a quiet agent",
        mib,
        wakeups,
        REACH_WORKER_MIB,
        None,
    );
    let (mib, wakeups) = quiet(daemon.pid())?;
    report_pair(
        report,
        "daemon with one quiet agent",
        mib,
        wakeups,
        REACH_DAEMON_MIB,
        None,
    );
    Ok(())
}

/// MiB of resident memory, and wake-ups per second.
fn quiet(pid: u32) -> Res<(f64, f64)> {
    std::thread::sleep(SETTLE);
    let gone = || format!("process {pid} is gone");
    let before = sys::wakeups(pid).ok_or_else(gone)?;
    std::thread::sleep(WINDOW);
    let after = sys::wakeups(pid).ok_or_else(gone)?;
    let kib = sys::status_kib(pid, "VmRSS").ok_or_else(gone)?;
    Ok((
        kib as f64 / 1024.0,
        // A thread that ends takes its count with it.
        after.saturating_sub(before) as f64 / WINDOW.as_secs_f64(),
    ))
}

fn report_pair(
    report: &mut Report,
    who: &str,
    mib: f64,
    wakeups: f64,
    reach_mib: f64,
    reach_wakeups: Option<f64>,
) {
    report.row(Row {
        what: format!("{who}: RSS"),
        measured: format!("{} MiB", short(mib)),
        reach: format!("≤ {reach_mib} MiB"),
        met: Some(mib <= reach_mib),
        ..Row::default()
    });
    report.row(Row {
        what: format!("{who}: wake-ups"),
        measured: format!("{}/s over {} s", short(wakeups), WINDOW.as_secs()),
        reach: reach_wakeups
            .map(|reach| format!("≤ {reach}/s"))
            .unwrap_or_default(),
        met: reach_wakeups.map(|reach| wakeups <= reach),
        ..Row::default()
    });
}

/// Starts a task that only sleeps; the worker's pid (the agent's parent, as the agent itself sees it) and the task's id.
fn start_quiet_task(daemon: &Daemon) -> Res<(u32, String)> {
    let file = daemon.state().join("bench-worker-pid");
    let script = format!(
        "echo $PPID > '{0}.new' && mv '{0}.new' '{0}' && exec sleep 120",
        file.display()
    );
    let out = daemon.ctl(&[
        "task", "create", "quiet", "--json", "--", "/bin/sh", "-c", &script,
    ])?;
    let id = crate::daemon::ids(&out)?.pop().ok_or("no id")?;
    Ok((parent_pid(&file)?, id))
}

/// The number an agent wrote into `file`.
pub(crate) fn parent_pid(file: &std::path::Path) -> Res<u32> {
    sys::wait_until("the task has started", START_LIMIT, || Ok(file.exists()))?;
    let text = std::fs::read_to_string(file)
        .map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    text.trim()
        .parse()
        .map_err(|_| format!("'{}' is no pid", text.trim()))
}
