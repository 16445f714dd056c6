//! The ledger's row of one run, judged by what its agent truly did and said.

use super::budgets::LEDGER;
use super::{Judged, demand};
use crate::budget::Budget;
use crate::sim::money::{MICRO_USD_PER_TOKEN, REQUEST_MICRO_USD_MAX};
use crate::sim::truth::Truths;
use crate::store::{LedgerRow, Used};
use crate::supervisor::event::Closed;
use crate::task::{OutcomeKind, Timestamp};

/// So long an agent may take to end whose time is over, by the settings of every simulation.
const GRACE_MS: u64 = 10_000;

/// What was told of a run is what its agent truly said, and it kept to its share of money but for one request.
pub(super) fn check_told(closed: &Closed, share: Option<Budget>, truths: &Truths) -> Judged {
    let attempt = &closed.attempt;
    let Some(truth) = truths.of(attempt) else {
        return Ok(());
    };
    let told = closed.report.as_ref().and_then(|it| it.cost_micro_usd);
    let excused = truth.power_lost || truth.tampered || !truth.durable;
    demand(
        told == truth.told_micro_usd || (told.is_none() && excused),
        LEDGER,
        || {
            format!(
                "{attempt} is said to have cost {told:?}, its agent said {:?}",
                truth.told_micro_usd
            )
        },
    )?;
    let tokens = closed.report.as_deref().map(LedgerRow::tokens_of);
    let tokens = tokens.map(|tokens| tokens.sum());
    demand(
        tokens == Some(truth.spent.tokens)
            || (excused && tokens.unwrap_or(0) <= truth.spent.tokens),
        LEDGER,
        || {
            format!(
                "{attempt} is said to have used {tokens:?} tokens, it used {}",
                truth.spent.tokens
            )
        },
    )?;
    let most = share.and_then(|share| share.micro_usd);
    let spent = truth.spent.micro_usd();
    demand(
        most.is_none_or(|most| spent <= most + REQUEST_MICRO_USD_MAX),
        "a run goes beyond its share by one request",
        || format!("{attempt} has spent {spent} of {most:?}"),
    )
}

/// What the ledger has of a run.
pub(super) fn check_row(
    closed: &Closed,
    row: &Used,
    share: Budget,
    began: Option<Timestamp>,
    is_probe: bool,
) -> Judged {
    let report = closed.report.as_deref();
    let tokens = report.map_or(0, |report| LedgerRow::tokens_of(report).sum());
    let run_ms = began.map_or(0, |began| closed.ended_at.ms_since(began));
    // The wall clock may have been set; a worker keeps its share by another one.
    let most_ms = share.run_ms.map_or(u64::MAX, |most| most + GRACE_MS);
    let run_ms = u64::try_from(run_ms).unwrap_or(0).min(most_ms);
    let micro_usd = row.amounts.micro_usd;
    let reckoned = row.unknown == 0 && tokens > 0 && micro_usd == tokens * MICRO_USD_PER_TOKEN;
    let allowed = row.unknown == 1 && micro_usd == share.micro_usd.unwrap_or(0);
    let is_right = match report.and_then(|report| report.cost_micro_usd) {
        Some(told) => row.unknown == 0 && micro_usd == told,
        // A session that is not there costs nothing; a probe goes on in none.
        None if closed.outcome.kind == OutcomeKind::UnknownSession
            && report.is_some()
            && !is_probe =>
        {
            row.unknown == 0 && micro_usd == 0
        }
        None => reckoned || allowed,
    };
    let is_right = is_right && row.amounts.tokens == tokens && row.amounts.run_ms == run_ms;
    demand(is_right, LEDGER, || {
        format!(
            "{}: {tokens} tokens, {run_ms} ms, {report:?}, of {share:?}; the ledger has {row:?}",
            closed.attempt
        )
    })
}
