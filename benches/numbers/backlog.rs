//! What a long queue costs: submission, claim and finish, a page of the list, the start, memory; with nothing pending and
//! with 100,000 pending (1,000,000 with `BENCH_MILLION=1`).

use std::time::{Duration, Instant};

use crate::daemon::{Daemon, nothing, write_batch};
use crate::report::{Report, Row};
use crate::stats::{median, ms, rate, short};
use crate::submission::{one_batch, singles};
use crate::{Bench, Res, sys};

/// Tasks that are claimed and finished for one figure.
const RUN: usize = 1000;
/// Submissions per figure: single, and in a batch.
const SINGLES: usize = 100;
const BATCH: usize = 2000;
/// The queue is filled by files of this many lines.
const FILL: usize = 10_000;
/// Pages asked for.
const PAGES: usize = 30;
/// Longer than the queue of the first measurement may take to drain.
const DRAIN_LIMIT: Duration = Duration::from_secs(120);

const REACH_COST: f64 = 1.5;
const REACH_PAGE_MS: f64 = 20.0;
const REACH_START_S: f64 = 1.0;
const REACH_RSS_MIB: f64 = 60.0;

/// What one length of the queue costs.
struct Costs {
    /// Milliseconds of a submission by a process of its own.
    single_ms: f64,
    /// Milliseconds of a submission in a batch.
    batch_ms: f64,
    /// Milliseconds per task from claim to finish, 8 slots together.
    run_ms: f64,
}

/// The rows of this section.
pub(crate) fn section(bench: &Bench, report: &mut Report) -> Res<()> {
    let lengths: &[usize] = if bench.million {
        &[100_000, 1_000_000]
    } else {
        &[100_000]
    };
    for pending in lengths {
        at(bench, report, *pending)?;
    }
    Ok(())
}

fn at(bench: &Bench, report: &mut Report, pending: usize) -> Res<()> {
    let mut daemon = Daemon::fresh(bench, "backlog", 8)?;
    let empty = costs(bench, &daemon)?;
    daemon.ctl(&["system", "resume"])?;
    daemon.wait_until_drained(DRAIN_LIMIT)?;

    daemon.ctl(&["system", "pause"])?;
    let begun = Instant::now();
    for _ in 0..pending.div_ceil(FILL) {
        one_batch(bench, &daemon, FILL, "low")?;
    }
    let label = short(pending as f64);
    report.row(Row {
        what: format!("{label} submissions, in batches of {}", short(FILL as f64)),
        measured: format!("{}/s", short(rate(pending, begun.elapsed()))),
        ..Row::default()
    });
    let full = costs(bench, &daemon)?;
    report_costs(report, &label, &empty, &full);

    report_pages(report, &daemon, &label)?;
    let rss = sys::status_kib(daemon.pid(), "VmRSS").ok_or("the daemon is gone")?;
    daemon.stop()?;
    let start = daemon.again()?;
    let rss_after = sys::status_kib(daemon.pid(), "VmRSS").ok_or("the daemon is gone")?;
    report.row(Row {
        what: format!("start to the first answer, {label} pending"),
        measured: format!("{} s", short(start.as_secs_f64())),
        reach: format!("≤ {REACH_START_S} s"),
        met: Some(start.as_secs_f64() <= REACH_START_S),
        ..Row::default()
    });
    for (when, kib) in [("", rss), (", after a restart", rss_after)] {
        let mib = kib as f64 / 1024.0;
        report.row(Row {
            what: format!("daemon's RSS, {label} pending{when}"),
            measured: format!("{} MiB", short(mib)),
            reach: format!("≤ {REACH_RSS_MIB} MiB"),
            met: Some(mib <= REACH_RSS_MIB),
            ..Row::default()
        });
    }
    Ok(())
}

/// Measures on the queue as it is; claims are paused before and after.
fn costs(bench: &Bench, daemon: &Daemon) -> Res<Costs> {
    daemon.ctl(&["system", "pause"])?;
    let mut runs = Vec::new();
    for _ in 0..bench.runs {
        runs.push(claim_and_finish(bench, daemon)?);
    }
    let single_ms = median(&singles(daemon, SINGLES)?);
    let mut batches = Vec::new();
    for _ in 0..bench.runs {
        batches.push(1e3 / one_batch(bench, daemon, BATCH, "low")?);
    }
    Ok(Costs {
        single_ms,
        batch_ms: median(&batches),
        run_ms: median(&runs),
    })
}

/// Milliseconds per task: urgent ones are handed in while claims are paused, then go before all that wait.
fn claim_and_finish(bench: &Bench, daemon: &Daemon) -> Res<f64> {
    let file = bench.base.join("urgent.jsonl");
    write_batch(&file, RUN, "urgent", &nothing())?;
    let ids = daemon.submit(&file)?;
    let begun = Instant::now();
    daemon.ctl(&["system", "resume"])?;
    daemon.wait_for_last(&ids)?;
    let time = begun.elapsed();
    daemon.ctl(&["system", "pause"])?;
    let _ = std::fs::remove_file(&file);
    if let Some(task) = daemon.list("failed", 1)?.first() {
        return Err(format!("a task failed: {task}"));
    }
    Ok(ms(time) / RUN as f64)
}

fn report_costs(report: &mut Report, label: &str, empty: &Costs, full: &Costs) {
    for (what, before, after) in [
        (
            "submission by a process of its own",
            empty.single_ms,
            full.single_ms,
        ),
        ("submission in a batch", empty.batch_ms, full.batch_ms),
        ("claim and finish, per task", empty.run_ms, full.run_ms),
    ] {
        let ratio = after / before;
        report.row(Row {
            what: format!("{what}, {label} pending"),
            measured: format!("{} ms", short(after)),
            reference: format!("at 0 pending: {} ms", short(before)),
            ratio: format!("{ratio:.2}"),
            reach: format!("≤ {REACH_COST}"),
            met: Some(ratio <= REACH_COST),
        });
    }
}

fn report_pages(report: &mut Report, daemon: &Daemon, label: &str) -> Res<()> {
    for (what, args) in [
        (
            "task list, 100 rows as JSON",
            &["task", "list", "--limit", "100", "--json"][..],
        ),
        (
            "task list --state pending",
            &["task", "list", "--state", "pending", "--limit", "100"][..],
        ),
    ] {
        let mut times = Vec::new();
        for _ in 0..PAGES {
            let begun = Instant::now();
            daemon.ctl(args)?;
            times.push(ms(begun.elapsed()));
        }
        report.row(Row {
            what: format!("{what}, {label} pending, the process included"),
            measured: format!("{} ms", short(median(&times))),
            reach: format!("≤ {REACH_PAGE_MS} ms"),
            met: Some(median(&times) <= REACH_PAGE_MS),
            ..Row::default()
        });
    }
    Ok(())
}
