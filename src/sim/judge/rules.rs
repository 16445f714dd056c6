//! The rules about one step of a task, and about all that run.

use std::collections::BTreeSet;

use super::{Judge, Judged, Truths, demand};
use crate::task::agent::SERVER_FAILURES_MAX;
use crate::task::{
    AfterFailed, AttemptId, Event, IntentKind, Lifecycle, Next, Outcome, OutcomeKind, PauseReason,
    State, Task, TaskId,
};

const INTENT_KEPT: &str = "an acknowledged intent is carried out";

impl Judge {
    pub(super) fn check_step(
        &mut self,
        task: &Task,
        before: &Lifecycle,
        event: &Event,
        after: &Lifecycle,
        truths: &Truths,
    ) -> Judged {
        let id = &task.id;
        demand(
            !before.state.is_final() || *event == Event::Reopened,
            "final means final",
            || format!("{id} was {} and {event:?} happened", before.state.name()),
        )?;
        demand(
            after.generation >= before.generation,
            "generations only grow",
            || format!("{id}: {} after {}", after.generation, before.generation),
        )?;
        let attempt = AttemptId {
            task: id.clone(),
            generation: before.generation,
        };
        match event {
            Event::IntentSet { intent } => {
                self.wishes.entry(attempt).or_default().insert(intent.kind);
                Ok(())
            }
            Event::Ended { outcome, next, .. } => {
                check_truth(&attempt, before, outcome, *next, truths)?;
                check_retries(&attempt, before, outcome, after)?;
                self.check_kept(&attempt, outcome, *next)
            }
            Event::Reopened => {
                self.reopened.insert(id.clone());
                Ok(())
            }
            Event::Claimed { .. } => demand(
                after.generation == before.generation + 1,
                "generations only grow",
                || format!("{id}: {} after {}", after.generation, before.generation),
            ),
            Event::Submitted { .. }
            | Event::Started { .. }
            | Event::Paused { .. }
            | Event::Resumed { .. }
            | Event::Moved { .. }
            | Event::Attached { .. }
            | Event::Detached
            | Event::Cancelled
            | Event::Held
            | Event::Released
            | Event::DependencyFailed { .. }
            | Event::Screened { .. }
            | Event::Approved
            | Event::Rejected
            | Event::Answered
            | Event::Edited { .. } => Ok(()),
        }
    }

    /// What was wished of the attempt has its effect.
    fn check_kept(&mut self, attempt: &AttemptId, outcome: &Outcome, next: Next) -> Judged {
        let wishes = self.wishes.remove(attempt).unwrap_or_default();
        if wishes.contains(&IntentKind::Cancel) {
            return demand(next == Next::Cancel, INTENT_KEPT, || {
                format!("{attempt}: its cancel was acknowledged, and {next:?} follows")
            });
        }
        if !wishes.iter().any(|kind| kind.pause_reason().is_some()) {
            return Ok(());
        }
        let holds = match next {
            Next::Pause { .. } => true,
            Next::Complete => !outcome.stop_sent,
            Next::Fail | Next::Review => outcome.kind == OutcomeKind::Lost,
            Next::Pending
            | Next::Retry { .. }
            | Next::Continue { .. }
            | Next::Wait
            | Next::Cancel
            | Next::Defer
            | Next::Test => false,
        };
        demand(holds, INTENT_KEPT, || {
            format!("{attempt}: its pause was acknowledged, and {next:?} follows")
        })
    }

    pub(super) fn check_claim(
        &self,
        task: &Task,
        before: &Lifecycle,
        slot: u32,
        num_workers: u32,
    ) -> Judged {
        demand(slot <= num_workers, "slots are never exceeded", || {
            format!("{} gets slot {slot} of {num_workers}", task.id)
        })?;
        // A retry whose time has moved away with a clock that was set back does not wait for it.
        let excused = self.was_set_back && before.state == State::Retrying;
        demand(
            before.not_before <= self.latest || excused,
            "nothing starts before its time",
            || format!("{} was claimed before {:?}", task.id, before.not_before),
        )
    }

    pub(super) fn check_slots(&self, claimed: &[TaskId], num_workers: u32) -> Judged {
        let mut slots = BTreeSet::new();
        let mut lanes = BTreeSet::new();
        for task in self.running() {
            let slot = task.slot.unwrap_or_default();
            demand(slots.insert(slot), "slots are never exceeded", || {
                format!("two tasks in slot {slot}, one is {}", task.id)
            })?;
            if let Some(lane) = &task.spec.exclusive {
                demand(lanes.insert(lane), "one task per lane", || {
                    format!("two tasks of {lane} run, one is {}", task.id)
                })?;
            }
            self.check_wishes(task)?;
        }
        demand(
            claimed.is_empty() || slots.len() <= num_workers as usize,
            "slots are never exceeded",
            || format!("{} run in {num_workers} slots", slots.len()),
        )
    }

    /// An acknowledged wish is in the row until its attempt has ended.
    fn check_wishes(&self, task: &Task) -> Judged {
        let Some(wishes) = self.wishes.get(&task.attempt()) else {
            return Ok(());
        };
        let intent = task.life.intent.as_ref().map(|intent| intent.kind);
        demand(intent >= wishes.iter().max().copied(), INTENT_KEPT, || {
            format!(
                "{}: {wishes:?} was acknowledged, the row has {intent:?}",
                task.id
            )
        })?;
        let forgotten = wishes
            .iter()
            .filter_map(|kind| kind.pause_reason())
            .find(|reason| !task.life.pause_reasons.contains(reason));
        demand(forgotten.is_none(), INTENT_KEPT, || {
            format!("{}: the reason {forgotten:?} is forgotten", task.id)
        })
    }

    pub(super) fn check_predecessors(&self, id: &TaskId) -> Judged {
        let Some(seen) = self.tasks.get(id) else {
            return Ok(());
        };
        let spec = &seen.task.spec;
        for on in &spec.after {
            let satisfied = match spec.after_failed {
                AfterFailed::Fail if !self.reopened.contains(id) => self.completed.contains(on),
                AfterFailed::Fail | AfterFailed::Run => self.final_once.contains(on),
            };
            demand(satisfied, "nothing starts before its predecessors", || {
                format!("{id} was claimed before {on} was over")
            })?;
        }
        Ok(())
    }
}

/// The outcome is recorded as it truly was.
fn check_truth(
    attempt: &AttemptId,
    before: &Lifecycle,
    outcome: &Outcome,
    next: Next,
    truths: &Truths,
) -> Judged {
    let Some(truth) = truths.of(attempt) else {
        return demand(
            !matches!(outcome.kind, OutcomeKind::Succeeded | OutcomeKind::Limited),
            "an outcome is as it truly was",
            || format!("{attempt}: {outcome:?}, and it never did anything"),
        );
    };
    let kind = outcome.kind;
    match kind {
        OutcomeKind::NeverRan => demand(
            !truth.agent_started,
            "what may have started is never called never ran",
            || format!("{attempt} never ran, says its row; its agent had started"),
        )?,
        OutcomeKind::Lost => {
            demand(
                !truth.durable || truth.tampered,
                "an outcome that was written down is not lost",
                || {
                    let written = &truth.written;
                    format!("{attempt} is lost, says its row; it had written {written:?}")
                },
            )?;
            demand(
                truth.agent_started || truth.worker_killed || truth.tampered || truth.power_lost,
                "nothing is lost without a cause",
                || format!("{attempt} is lost, says its row; nothing has happened to it"),
            )?;
        }
        OutcomeKind::SpawnFailed if truth.written.is_none() => {}
        _ => {
            let written = truth.written.as_ref().map(|written| written.kind);
            let server_failures = before
                .agent
                .as_ref()
                .map_or(0, |agent| agent.server_failures);
            let budget = before.intent.as_ref().map(|intent| intent.kind);
            let fits = written == Some(kind)
                // Stopped because its budget is used up: that is how it ended.
                || (kind == OutcomeKind::MaxBudget && budget == Some(IntentKind::Budget))
                // The time was over that its budget had left.
                || (kind == OutcomeKind::MaxBudget && written == Some(OutcomeKind::TimedOut))
                || (written == Some(OutcomeKind::ResumeFailed)
                    && kind == OutcomeKind::PoisonedSession)
                || (written == Some(OutcomeKind::Limited)
                    && kind == OutcomeKind::AgentError
                    && server_failures >= SERVER_FAILURES_MAX);
            demand(fits, "an outcome is as it truly was", || {
                format!("{attempt} is {kind:?}, says its row; its worker saw {written:?}")
            })?;
        }
    }
    demand(
        next != Next::Complete || matches!(kind, OutcomeKind::Succeeded | OutcomeKind::ToolsDenied),
        "only a success completes",
        || format!("{attempt} is {kind:?} and completes its task"),
    )?;
    demand(
        kind != OutcomeKind::Succeeded || truth.succeeded || outcome.stop_sent,
        "exit code 0 alone is no success",
        || format!("{attempt} succeeded, says its row; its agent did not do what it was asked"),
    )
}

/// What is nobody's fault costs no retry.
fn check_retries(
    attempt: &AttemptId,
    before: &Lifecycle,
    outcome: &Outcome,
    after: &Lifecycle,
) -> Judged {
    let free = matches!(
        outcome.kind,
        OutcomeKind::NeverRan | OutcomeKind::Lost | OutcomeKind::Interrupted | OutcomeKind::Limited
    );
    demand(
        !free || after.retries == before.retries,
        "no retry is spent on a limit",
        || format!("{attempt}: {:?} spent a retry", outcome.kind),
    )?;
    demand(
        outcome.kind != OutcomeKind::Limited || after.state != State::Failed,
        "a limit is never a failure",
        || format!("{attempt} ran into a limit and its task failed"),
    )
}

/// The wish that a pause of a running attempt is.
#[must_use]
pub const fn intent_of(reason: PauseReason) -> IntentKind {
    match reason {
        PauseReason::Person => IntentKind::Pause,
        PauseReason::Resources => IntentKind::Pressure,
        PauseReason::Budget => IntentKind::Budget,
    }
}
