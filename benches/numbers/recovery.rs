//! `kill -9` of the daemon with 4 tasks running and 50 queued: how long until the next daemon has them back, and whether all
//! is as promised: true exit statuses, output without a gap, nothing lost and nothing twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, ids};
use crate::report::{Report, Row};
use crate::stats::{median, short};
use crate::{Bench, Res, sys};

const RUNNING: usize = 4;
const QUEUED: usize = 50;
/// Lines of a running task, ten milliseconds apart: about six seconds, so that it lives through the kill.
const LINES: usize = 600;
/// Exit status of the first running task; the others follow.
const FIRST_STATUS: i64 = 10;
/// How long the daemon stays dead, so that the tasks do something meanwhile.
const DEAD: Duration = Duration::from_millis(700);
const LIMIT: Duration = Duration::from_secs(60);

const REACH_S: f64 = 1.0;

/// The rows of this section.
pub(crate) fn section(bench: &Bench, report: &mut Report) -> Res<()> {
    let mut times = Vec::new();
    for _ in 0..bench.runs {
        times.push(once(bench)?.as_secs_f64());
    }
    report.row(Row {
        what: format!("kill -9 with {RUNNING} running, {QUEUED} queued: all {RUNNING} taken back after the restart"),
        measured: format!("{} s", short(median(&times))),
        reach: format!("≤ {REACH_S} s, statuses true, nothing lost or twice"),
        met: Some(median(&times) <= REACH_S),
        ..Row::default()
    });
    Ok(())
}

/// One kill and restart; every promise is checked, and a broken one is an error.
fn once(bench: &Bench) -> Res<Duration> {
    let mut daemon = Daemon::fresh(bench, "recovery", RUNNING as u32)?;
    let ran = daemon.state().join("bench-ran");
    let running = start_running(&daemon, &ran)?;
    sys::wait_until("the tasks run", LIMIT, || {
        Ok(lines_of(&ran)?.len() == RUNNING)
    })?;
    start_queued(&daemon, &ran)?;
    let before = workers(&daemon)?;
    if before.len() != RUNNING || before.values().any(|worker| worker.adopted) {
        return Err(format!("not {RUNNING} workers of this daemon: {before:?}"));
    }
    let taken_back: BTreeMap<_, _> = before
        .into_iter()
        .map(|(id, worker)| {
            (
                id,
                Worker {
                    adopted: true,
                    ..worker
                },
            )
        })
        .collect();

    daemon.kill()?;
    std::thread::sleep(DEAD);
    let begun = Instant::now();
    let answered = daemon.again()?;
    sys::wait_until("all running tasks are taken back", LIMIT, || {
        Ok(workers(&daemon)? == taken_back)
    })?;
    let time = begun.elapsed().max(answered);

    daemon.wait_until_drained(LIMIT)?;
    check_running(&daemon, &running)?;
    check_once(&ran)?;
    Ok(time)
}

/// Tasks that print numbered lines and end with statuses of their own.
fn start_running(daemon: &Daemon, ran: &Path) -> Res<Vec<String>> {
    let mut all = Vec::new();
    for (index, status) in (FIRST_STATUS..).take(RUNNING).enumerate() {
        let script = format!(
            "echo running-{index} >> '{}'; n=0; while [ $n -lt {LINES} ]; do echo line=$n.; n=$((n+1)); sleep 0.01; done; exit {status}",
            ran.display()
        );
        all.extend(ids(&daemon.ctl(&[
            "task", "create", "running", "--json", "--", "/bin/sh", "-c", &script,
        ])?)?);
    }
    Ok(all)
}

/// Tasks that leave one line each.
fn start_queued(daemon: &Daemon, ran: &Path) -> Res<()> {
    let mut text = String::new();
    for index in 0..QUEUED {
        let script = format!("echo queued-{index} >> '{}'", ran.display());
        let line = serde_json::json!({ "name": format!("queued {index}"), "command": ["/bin/sh", "-c", script] });
        text.push_str(&format!("{line}\n"));
    }
    let file = daemon.state().join("bench-queued.jsonl");
    std::fs::write(&file, text).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
    let acknowledged = daemon.submit(&file)?.len();
    if acknowledged == QUEUED {
        Ok(())
    } else {
        Err(format!("{acknowledged} of {QUEUED} were acknowledged"))
    }
}

/// A running attempt as the daemon sees it: that the row says "processing" shows nothing, the row outlives every daemon.
#[derive(Debug, PartialEq)]
struct Worker {
    attempt: i64,
    pid: i64,
    /// This daemon has taken it over from a former one, and watches it.
    adopted: bool,
}

/// The worker of each task that runs.
fn workers(daemon: &Daemon) -> Res<BTreeMap<String, Worker>> {
    let text = daemon.ctl(&["worker", "list", "--json"])?;
    let list: Vec<serde_json::Value> =
        serde_json::from_str(&text).map_err(|e| format!("worker list: {e}"))?;
    Ok(list
        .iter()
        .filter_map(|line| {
            let worker = Worker {
                attempt: line.get("attempt")?.as_i64()?,
                pid: line.get("worker_pid")?.as_i64()?,
                adopted: line.get("adopted")?.as_bool()?,
            };
            Some((line.get("task")?.as_str()?.to_owned(), worker))
        })
        .collect())
}

/// True statuses, the first attempt, every line once and in order.
fn check_running(daemon: &Daemon, tasks: &[String]) -> Res<()> {
    for (id, expected) in tasks.iter().zip(FIRST_STATUS..) {
        let text = daemon.ctl(&["task", "show", id, "--json"])?;
        let shown: serde_json::Value =
            serde_json::from_str(&text).map_err(|e| format!("task show: {e}"))?;
        let task = shown.get("task").unwrap_or(&shown);
        let status = task
            .pointer("/outcome/exit_code")
            .and_then(serde_json::Value::as_i64);
        if status != Some(expected) {
            return Err(format!("{id} should have exit status {expected}: {task}"));
        }
        let log = daemon.state().join("tasks").join(id).join("output.log");
        let output = std::fs::read_to_string(&log)
            .map_err(|e| format!("cannot read {}: {e}", log.display()))?;
        let seen: Vec<usize> = output
            .split("line=")
            .skip(1)
            .filter_map(|rest| rest.split('.').next()?.parse().ok())
            .collect();
        if seen != (0..LINES).collect::<Vec<_>>() {
            return Err(format!(
                "{} has a gap, or a line twice: {} lines of {LINES}",
                log.display(),
                seen.len()
            ));
        }
    }
    Ok(())
}

/// Every task ran, and ran once.
fn check_once(ran: &Path) -> Res<()> {
    let mut lines = lines_of(ran)?;
    let all = lines.len();
    lines.sort_unstable();
    lines.dedup();
    if all == RUNNING + QUEUED && lines.len() == all {
        return Ok(());
    }
    Err(format!(
        "{all} starts of {} tasks ({} wanted): lost or run twice",
        lines.len(),
        RUNNING + QUEUED
    ))
}

fn lines_of(path: &Path) -> Res<Vec<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}
