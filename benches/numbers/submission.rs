//! What handing in a task costs: a process each, 32 connections at once, one batch. Claims are paused, so that only
//! submission is measured; each is durable when `taskctl` has printed it.

use std::time::Instant;

use crate::daemon::{Daemon, ids, nothing, write_batch};
use crate::report::{Report, Row};
use crate::stats::{median, ms, percentile, rate, short};
use crate::{Bench, Res, reference, sys};

/// Single submissions of one run.
const SINGLES: usize = 200;
/// Connections at once, and the submissions over each.
const CONNECTIONS: usize = 32;
const PER_CONNECTION: usize = 150;
/// Submissions of a batch.
const BATCH: usize = 5000;

const REACH_P50_MS: f64 = 5.0;
const REACH_PER_SECOND: f64 = 2000.0;

/// The rows of this section.
pub(crate) fn section(bench: &Bench, report: &mut Report) -> Res<()> {
    let (mut p50, mut p99, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    let (mut many, mut batch) = (Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        let daemon = Daemon::fresh(bench, "submission", 2)?;
        daemon.ctl(&["system", "pause"])?;
        let times = singles(&daemon, SINGLES)?;
        p50.push(median(&times));
        p99.push(percentile(&times, 99.0));
        bare.push(median(&bare_processes()?));
        many.push(connections(bench, &daemon)?);
        batch.push(one_batch(bench, &daemon, BATCH, "normal")?);
    }
    report.row(Row {
        what: format!("one taskctl process per submission, p50 of {SINGLES}"),
        measured: format!("{} ms", short(median(&p50))),
        reference: format!("a process that does nothing: {} ms", short(median(&bare))),
        ratio: format!("{:.1}", median(&p50) / median(&bare)),
        reach: format!("≤ {REACH_P50_MS} ms"),
        met: Some(median(&p50) <= REACH_P50_MS),
    });
    report.row(Row {
        what: "the same, p99".to_owned(),
        measured: format!("{} ms", short(median(&p99))),
        ..Row::default()
    });
    for (what, rates) in [
        (
            format!("{CONNECTIONS} connections, {PER_CONNECTION} submissions each"),
            &many,
        ),
        (format!("one batch of {BATCH}"), &batch),
    ] {
        report.row(Row {
            what,
            measured: format!("{}/s", short(median(rates))),
            reach: format!("≥ {}/s", short(REACH_PER_SECOND)),
            met: Some(median(rates) >= REACH_PER_SECOND),
            ..Row::default()
        });
    }
    Ok(())
}

/// Milliseconds of each of `count` submissions, a process each, one after the other.
pub(crate) fn singles(daemon: &Daemon, count: usize) -> Res<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        daemon.ctl(&[
            "task",
            "create",
            "single",
            "--json",
            "--priority",
            "low",
            "--",
            "/bin/true",
        ])?;
        times.push(ms(begun.elapsed()));
    }
    Ok(times)
}

fn bare_processes() -> Res<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..SINGLES {
        let begun = Instant::now();
        reference::spawn_true()?;
        times.push(ms(begun.elapsed()));
    }
    Ok(times)
}

/// Submissions per second over many connections at once.
fn connections(bench: &Bench, daemon: &Daemon) -> Res<f64> {
    let file = bench.base.join("connection.jsonl");
    write_batch(&file, PER_CONNECTION, "normal", &nothing())?;
    let begun = Instant::now();
    let outputs: Vec<Res<String>> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| {
                    sys::capture(
                        daemon
                            .taskctl()
                            .args(["task", "create", "--json", "--from"])
                            .arg(&file),
                    )
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| {
                client
                    .join()
                    .unwrap_or_else(|_| Err("a client's thread panicked".to_owned()))
            })
            .collect()
    });
    let time = begun.elapsed();
    let mut acknowledged = 0;
    for output in outputs {
        acknowledged += ids(&output?)?.len();
    }
    if acknowledged != CONNECTIONS * PER_CONNECTION {
        return Err(format!(
            "{acknowledged} of {} submissions were acknowledged",
            CONNECTIONS * PER_CONNECTION
        ));
    }
    Ok(rate(acknowledged, time))
}

/// Submissions per second in one batch.
pub(crate) fn one_batch(bench: &Bench, daemon: &Daemon, count: usize, priority: &str) -> Res<f64> {
    let file = bench.base.join("batch.jsonl");
    write_batch(&file, count, priority, &nothing())?;
    let begun = Instant::now();
    let acknowledged = daemon.submit(&file)?.len();
    let time = begun.elapsed();
    let _ = std::fs::remove_file(&file);
    if acknowledged != count {
        return Err(format!(
            "{acknowledged} of {count} submissions were acknowledged"
        ));
    }
    Ok(rate(count, time))
}
