//! Budgets and estimates as people see them.

use crate::api::wire::{BudgetView, EstimateView, SpreadView};
use crate::budget::{Measure, named, usd};
use crate::cli::duration;
use crate::cli::output::plain;
use crate::task::Timestamp;

use super::table::{Column, cut, droppable, keep, render};
use super::time;

const COLUMNS: [Column; 6] = [
    keep("BUDGET OF"),
    cut("NAME"),
    keep("USED"),
    keep("OF"),
    droppable("RESERVED", 2),
    droppable("STANDS", 1),
];

/// The limited measures of a budget: each with its limit, what is used, and what is reserved.
fn measures(budget: &BudgetView) -> impl Iterator<Item = (Measure, u64, u64, u64)> {
    crate::budget::MEASURES
        .into_iter()
        .filter_map(move |measure| {
            let limit = budget.limit.get(measure)?;
            let (used, reserved) = (budget.used.get(measure), budget.reserved.get(measure));
            Some((measure, limit, used, reserved))
        })
}

/// A table of budgets: one line for each measure that is limited.
#[must_use]
pub fn table(budgets: &[BudgetView], now: Timestamp, columns: usize) -> Vec<String> {
    let rows = budgets.iter().flat_map(|budget| {
        measures(budget).map(move |(measure, limit, used, reserved)| {
            vec![
                of(budget).to_owned(),
                plain(&budget.name),
                named(measure, used),
                named(measure, limit),
                named(measure, reserved),
                stands(budget, now),
            ]
        })
    });
    render(&COLUMNS, &rows.collect::<Vec<_>>(), columns)
}

fn of(budget: &BudgetView) -> &'static str {
    match budget.scope.as_str() {
        "task" => "task",
        "session" => "session",
        "account" => "account, today",
        "day" => "today",
        _ => "?",
    }
}

fn stands(budget: &BudgetView, now: Timestamp) -> String {
    let unknown = match budget.unknown_runs {
        0 => String::new(),
        runs => format!(", {runs} runs of unknown cost"),
    };
    let until = budget
        .resets_at
        .filter(|_| budget.level == "used_up")
        .map(|at| format!(" until {}", time::both(at, now)))
        .unwrap_or_default();
    let level = match budget.level.as_str() {
        "open" => "open",
        "warned" => "nearly used up",
        "used_up" => "used up",
        _ => "?",
    };
    format!("{level}{until}{unknown}")
}

/// One budget in one line, as in `task show`.
#[must_use]
pub fn line(budget: &BudgetView, now: Timestamp) -> String {
    let parts = measures(budget).map(|(measure, limit, used, reserved)| {
        let reserved = if reserved > 0 {
            format!(" and {} reserved", named(measure, reserved))
        } else {
            String::new()
        };
        format!(
            "{} of {} used{reserved}",
            named(measure, used),
            named(measure, limit)
        )
    });
    let parts: Vec<String> = parts.collect();
    let whose = match budget.scope.as_str() {
        "task" => "its own".to_owned(),
        "session" => "its session's".to_owned(),
        "account" => format!("of the account {}, today", plain(&budget.name)),
        _ => "of today".to_owned(),
    };
    format!("{whose}: {} ({})", parts.join(", "), stands(budget, now))
}

/// What a task will use, as lines.
#[must_use]
pub fn estimate(estimate: &EstimateView) -> Vec<String> {
    let (Some(words), Some(money)) = (&estimate.words, estimate.micro_usd) else {
        return vec!["estimate  unknown: no finished task is like this one".to_owned()];
    };
    let spread = |spread: SpreadView, show: &dyn Fn(u64) -> String| {
        format!(
            "{} ({} to {} in 8 of 10 cases)",
            show(spread.p50),
            show(spread.p10),
            show(spread.p90)
        )
    };
    let tasks = match estimate.tasks {
        1 => "1 finished task".to_owned(),
        tasks => format!("{tasks} finished tasks"),
    };
    let chunks = match estimate.chunks {
        0 | 1 => String::new(),
        chunks => format!(", for {chunks} chunks"),
    };
    let mut lines = vec![format!("cost      {}", spread(money, &usd))];
    lines.extend(
        estimate
            .tokens
            .map(|tokens| format!("tokens    {}", spread(tokens, &|count| count.to_string()))),
    );
    lines.extend(
        estimate
            .run_ms
            .map(|time| format!("time      {}", spread(time, &duration::brief))),
    );
    lines.push(format!("from      {tasks} ({words}){chunks}"));
    lines
}
