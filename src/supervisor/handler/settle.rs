//! The end of a run, as its budgets see it: what it is charged, and whether it was they that cut it.

use super::{Handler, MS_PER_SECOND, Step, StepError};
use crate::budget::{Amounts, Budget, Level, Standing, after};
use crate::store::{LedgerRow, StoreError};
use crate::supervisor::budgets;
use crate::supervisor::event::Closed;
use crate::task::{IntentKind, OutcomeKind, Prompt, Task};

/// The end of an attempt, as its budgets see it.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// It did not end as its budget makes it appear: we ended it, and this was its end. That a server has answered is not
    /// told by such an end.
    pub(super) ended_by_us: Option<OutcomeKind>,
    /// It was cut at its share, and its budgets have more.
    pub(super) has_more: bool,
    /// What it was allowed to cost.
    pub(super) allowed_micro_usd: Option<u64>,
    /// How long it ran.
    pub(super) run_ms: u64,
}

impl Handler {
    /// An attempt has ended: its reservation is released, and what it has used is counted. Returns its end as its budget
    /// makes it appear: a cost that can be reckoned is, and a time-out that was its share's is the budget's.
    pub(super) fn settle(
        &mut self,
        step: &Step<'_>,
        task: &Task,
        closed: Closed,
    ) -> Result<(Closed, Settled), StepError> {
        let Some(prompt) = task.prompt_there() else {
            return Ok((closed, Settled::default()));
        };
        let share = step.tx.release(&closed.attempt)?;
        let mut closed = priced(step, &prompt, closed)?;
        self.budgets.has_spent();
        let run_ms = self.run_ms_of(task, &closed, share.unwrap_or(Budget::NONE));
        let mut settled = Settled {
            ended_by_us: None,
            has_more: false,
            allowed_micro_usd: share.and_then(|share| share.micro_usd),
            run_ms,
        };
        let now = step.moment.now;
        let mut lines = budgets::lines_of(&self.settings, step.tx.ledger(), task, 1, now)?;
        let share = share.unwrap_or(Budget::NONE);
        let mut spent = spent(&closed, share, run_ms);
        let is_cut_by_time = self.is_cut_by_time(task, &closed, share);
        if is_cut_by_time {
            spent.run_ms = spent.run_ms.max(share.run_ms.unwrap_or(0));
        }
        if is_cut_by_time || is_cut_for_tokens(task, &closed) {
            settled.ended_by_us = Some(closed.outcome.kind);
            closed.outcome.kind = OutcomeKind::MaxBudget;
        }
        if !closed.outcome.kind.may_have_run() {
            return Ok((closed, settled));
        }
        if closed.outcome.kind == OutcomeKind::MaxBudget && !share.is_none() {
            let standings: Vec<Standing> = lines.iter().map(|line| line.standing).collect();
            settled.has_more = after(&standings, share, spent).is_none();
        }
        for line in &mut lines {
            line.standing.used = line.standing.used.plus(spent);
            self.budgets.note(line);
        }
        let used_up = lines
            .iter()
            .find(|line| line.standing.level() == Level::UsedUp);
        if let Some(line) = used_up.filter(|_| closed.outcome.kind == OutcomeKind::MaxBudget) {
            closed.outcome = closed.outcome.clone().with_detail(line.words());
        }
        Ok((closed, settled))
    }

    /// The task's own time limit; 0 = none.
    fn time_limit_ms(&self, task: &Task) -> u64 {
        let seconds = task
            .spec
            .timeout_seconds
            .unwrap_or(self.settings.task_timeout_seconds);
        seconds.saturating_mul(MS_PER_SECOND)
    }

    /// How long a run took.
    fn run_ms_of(&self, task: &Task, closed: &Closed, share: Budget) -> u64 {
        let started_at = closed.started_at.or(task.life.started_at);
        let wall_ms = started_at.map_or(0, |started_at| closed.ended_at.ms_since(started_at));
        let own = Some(self.time_limit_ms(task)).filter(|own_ms| *own_ms > 0);
        let grace_ms = self.settings.grace_seconds.saturating_mul(MS_PER_SECOND);
        possible_ms(wall_ms, own.into_iter().chain(share.run_ms).min(), grace_ms)
    }

    /// Whether the time was over that its budget had left, and not the task's time limit.
    fn is_cut_by_time(&self, task: &Task, closed: &Closed, share: Budget) -> bool {
        let own_ms = self.time_limit_ms(task);
        closed.outcome.kind == OutcomeKind::TimedOut
            && share
                .run_ms
                .is_some_and(|most| own_ms == 0 || most < own_ms)
    }
}

/// Whether it was stopped because its budget of tokens was used up, and did not come to its end before.
fn is_cut_for_tokens(task: &Task, closed: &Closed) -> bool {
    let wished = task.life.intent.as_ref().map(|intent| intent.kind);
    let by_us = matches!(
        closed.outcome.kind,
        OutcomeKind::NoResult | OutcomeKind::Signaled | OutcomeKind::Exited
    );
    wished == Some(IntentKind::Budget) && by_us && closed.outcome.stop_sent
}

/// What the run has used up; of unknown cost it counts with what it was allowed.
fn spent(closed: &Closed, share: Budget, run_ms: u64) -> Amounts {
    let report = closed.report.as_deref();
    let known = report.and_then(|report| report.cost_micro_usd);
    Amounts {
        micro_usd: known.or(share.micro_usd).unwrap_or(0),
        tokens: report.map_or(0, |report| LedgerRow::tokens_of(report).sum()),
        run_ms,
    }
}

/// The end with a cost that the agent did not tell, where it can be known: a session that does not exist has cost nothing,
/// and a run whose tokens were seen has cost what others of its model have for theirs.
fn priced(step: &Step<'_>, prompt: &Prompt, mut closed: Closed) -> Result<Closed, StoreError> {
    let kind = closed.outcome.kind;
    let Some(report) = closed.report.as_deref_mut() else {
        return Ok(closed);
    };
    if report.cost_micro_usd.is_some() || !kind.may_have_run() {
        return Ok(closed);
    }
    if kind == OutcomeKind::UnknownSession {
        report.cost_micro_usd = Some(0);
        return Ok(closed);
    }
    let tokens = LedgerRow::tokens_of(report);
    let model = report.model.clone().or_else(|| prompt.model.clone());
    if tokens.sum() > 0
        && let Some(model) = model
    {
        let rate = step.tx.ledger().rate(&prompt.agent, &model)?;
        report.cost_micro_usd = rate.cost_of(&tokens);
        report.cost_estimated = report.cost_micro_usd.is_some();
    }
    Ok(closed)
}

/// What of a time by the wall clock can be true. That clock may be set, and goes on while the machine sleeps; the worker keeps
/// `limit_ms` by another one, so no run takes longer than that and its grace.
fn possible_ms(wall_ms: i64, limit_ms: Option<u64>, grace_ms: u64) -> u64 {
    let longest = limit_ms.map_or(u64::MAX, |limit_ms| limit_ms.saturating_add(grace_ms));
    u64::try_from(wall_ms).unwrap_or(0).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_charges_no_more_than_was_allowed() {
        const DAY_MS: i64 = 86_400_000;
        for (wall_ms, limit_ms, expected) in [
            (5_000, Some(60_000), 5_000),
            (DAY_MS, Some(60_000), 70_000),
            (DAY_MS, None, DAY_MS.unsigned_abs()),
            (-DAY_MS, Some(60_000), 0),
            (i64::MAX, Some(u64::MAX), i64::MAX.unsigned_abs()),
        ] {
            assert_eq!(
                possible_ms(wall_ms, limit_ms, 10_000),
                expected,
                "{wall_ms}"
            );
        }
    }
}
