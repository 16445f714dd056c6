//! 1,000 × `/bin/true` through queue, worker, capture and a synced exit record, with 8 slots, beside the `posix_spawn` loop and
//! the queues that are installed. The time runs from the first submission until all tasks are final.

use std::time::{Duration, Instant};

use crate::daemon::{Daemon, nothing, write_batch};
use crate::report::{Report, Row};
use crate::rivals::{self, Rival};
use crate::stats::{median, rate, short};
use crate::{Bench, Res, reference};

/// Tasks of one run.
const TASKS: usize = 1000;
/// Slots, and threads of the reference.
const SLOTS: u32 = 8;
/// A run that takes longer is an error.
const LIMIT: Duration = Duration::from_secs(300);
/// Of the reference's rate.
const REACH: f64 = 0.18;

/// The rows of this section.
pub(crate) fn section(bench: &Bench, report: &mut Report) -> Res<()> {
    let rivals: Vec<Rival> = rivals::installed();
    let mut references = Vec::new();
    let mut ours = Vec::new();
    let mut theirs = vec![Vec::new(); rivals.len()];
    let mut first_error = None;
    for _ in 0..bench.runs {
        // One after the other in each run, so that all meet the same machine.
        references.push(rate(TASKS, reference::spawn_loop(TASKS, SLOTS as usize)?));
        match once(bench) {
            Ok(time) => ours.push(rate(TASKS, time)),
            Err(error) => first_error = first_error.or(Some(error)),
        }
        for (rival, rates) in rivals.iter().zip(&mut theirs) {
            match (rival.run)(bench, SLOTS, rival.tasks) {
                Ok(time) => rates.push(rate(rival.tasks, time)),
                Err(error) => eprintln!("   {}: {error}", rival.name),
            }
        }
    }
    if !ours.is_empty() && first_error.is_none() {
        let ratio = median_ratio(&ours, &references);
        report.row(Row {
            what: format!("auto-claude, {TASKS} × /bin/true, {SLOTS} slots"),
            measured: format!("{}/s", short(median(&ours))),
            reference: format!(
                "posix_spawn loop, {SLOTS} parallel: {}/s",
                short(median(&references))
            ),
            ratio: format!("{ratio:.2}"),
            reach: format!("≥ {REACH}, aim 0.30"),
            met: Some(ratio >= REACH),
        });
    }
    for (rival, rates) in rivals
        .iter()
        .zip(&theirs)
        .filter(|(_, rates)| !rates.is_empty())
    {
        report.row(Row {
            what: format!("{}, {} × /bin/true, {SLOTS} slots", rival.name, rival.tasks),
            measured: format!("{}/s", short(median(rates))),
            reference: format!("the same: {}/s", short(median(&references))),
            ratio: format!("{:.3}", median_ratio(rates, &references)),
            ..Row::default()
        });
    }
    first_error.map_or(Ok(()), Err)
}

/// The median of the ratios of each run.
fn median_ratio(rates: &[f64], references: &[f64]) -> f64 {
    let ratios: Vec<f64> = rates
        .iter()
        .zip(references)
        .map(|(rate, base)| rate / base)
        .collect();
    median(&ratios)
}

/// One run on a fresh daemon.
fn once(bench: &Bench) -> Res<Duration> {
    let daemon = Daemon::fresh(bench, "throughput", SLOTS)?;
    let file = bench.base.join("throughput.jsonl");
    write_batch(&file, TASKS, "normal", &nothing())?;
    let begun = Instant::now();
    let ids = daemon.submit(&file)?;
    daemon.wait_for_last(&ids)?;
    daemon.wait_until_drained(LIMIT)?;
    let time = begun.elapsed();
    let _ = std::fs::remove_file(&file);
    if ids.len() != TASKS {
        return Err(format!(
            "{} of {TASKS} submissions were acknowledged",
            ids.len()
        ));
    }
    daemon.all_completed()?;
    Ok(time)
}
