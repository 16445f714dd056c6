//! Wishes about one task.

use super::attach::in_hand;
use super::{Handler, Step, StepError};
use crate::store::ApplyError;
use crate::supervisor::command::{
    ActEffect, ActRequest, Action, Refusal, RefusalCode, Reply, SpecPatch,
};
use crate::supervisor::event::Effect;
use crate::task::{
    self, Actor, Event, Intent, IntentKind, PauseReason, Prompt, State, Task, TaskSpec, Timestamp,
};

impl Handler {
    pub(super) fn act(
        &mut self,
        step: &mut Step<'_>,
        request: &ActRequest,
    ) -> Result<Reply, StepError> {
        let task = step.task(&request.id)?;
        let actor = request.actor;
        self.budgets.mind_changes();
        let (task, effect) = match &request.action {
            Action::Cancel { grace_ms } => self.cancel(step, task, *grace_ms, actor)?,
            Action::Pause { reason } => Self::pause(step, task, *reason, actor)?,
            Action::Resume { reason } => self.resume(step, task, *reason, actor)?,
            Action::Attach { by } => Self::attach(step, task, *by, actor)?,
            Action::Detach => Self::detach(step, task, actor)?,
            Action::Retry => Self::retry(step, task, actor)?,
            Action::Approve => {
                asks_a_person(&task, "approved")?;
                (step.apply(&task, &Event::Approved, actor)?, ActEffect::Done)
            }
            Action::Reject => {
                asks_a_person(&task, "rejected")?;
                let rejected = step.apply(&task, &Event::Rejected, actor)?;
                self.tell_dependants(step, &rejected)?;
                (rejected, ActEffect::Done)
            }
            Action::Edit(patch) => edit(step, task, patch, actor)?,
        };
        Ok(Reply::Acted {
            task: Box::new(task),
            effect,
        })
    }

    fn cancel(
        &mut self,
        step: &mut Step<'_>,
        task: Task,
        grace_ms: Option<u64>,
        actor: Actor,
    ) -> Result<(Task, ActEffect), StepError> {
        match task.life.state {
            State::Cancelled => Ok((task, ActEffect::Already)),
            State::Completed | State::Failed => Err(over(&task, "cancelled")),
            State::Processing | State::Testing => {
                intend(step, task, IntentKind::Cancel, grace_ms, actor)
            }
            State::Pending
            | State::Paused
            | State::WaitingUnban
            | State::Retrying
            | State::NeedsHumanReview => {
                let cancelled = step.apply(&task, &Event::Cancelled, actor)?;
                self.tell_dependants(step, &cancelled)?;
                Ok((cancelled, ActEffect::Done))
            }
        }
    }

    pub(super) fn pause(
        step: &mut Step<'_>,
        task: Task,
        reason: PauseReason,
        actor: Actor,
    ) -> Result<(Task, ActEffect), StepError> {
        match task.life.state {
            State::Completed | State::Failed | State::Cancelled => Err(over(&task, "paused")),
            State::Processing | State::Testing => {
                let kind = match reason {
                    PauseReason::Person => IntentKind::Pause,
                    PauseReason::Resources => IntentKind::Pressure,
                    PauseReason::Budget => IntentKind::Budget,
                };
                let (task, effect) = intend(step, task, kind, None, actor)?;
                // Already being stopped, and not for a pause: to call that "already so" would be a promise that nobody keeps.
                if !task.life.pause_reasons.contains(&reason) {
                    return Err(wrong_state(&task, "paused: it is being cancelled"));
                }
                Ok((task, effect))
            }
            State::Paused if task.life.pause_reasons.contains(&reason) => {
                Ok((task, ActEffect::Already))
            }
            State::Pending | State::Paused | State::WaitingUnban | State::Retrying => Ok((
                step.apply(&task, &Event::Paused { reason }, actor)?,
                ActEffect::Done,
            )),
            State::NeedsHumanReview => Err(wrong_state(
                &task,
                "paused: it waits for a person anyway; approve or reject it",
            )),
        }
    }

    fn resume(
        &mut self,
        step: &mut Step<'_>,
        task: Task,
        reason: PauseReason,
        actor: Actor,
    ) -> Result<(Task, ActEffect), StepError> {
        match task.life.state {
            State::Completed | State::Failed | State::Cancelled => Err(over(&task, "resumed")),
            State::Paused if task.life.attached().is_some() && reason == PauseReason::Person => {
                Err(in_hand(&task, "resumed"))
            }
            State::Paused
                if reason == PauseReason::Person
                    && task.life.pause_reasons.contains(&PauseReason::Budget) =>
            {
                self.resume_with_budget(step, task, actor)
            }
            State::Paused if task.life.pause_reasons.contains(&reason) => Ok((
                step.apply(&task, &Event::Resumed { reason }, actor)?,
                ActEffect::Done,
            )),
            State::Processing | State::Testing if task.life.intent.is_some() => Err(wrong_state(
                &task,
                "resumed yet: its attempt is still being stopped; try again in a moment",
            )),
            State::NeedsHumanReview => Err(wrong_state(
                &task,
                "resumed: it waits for a person's answer; approve or reject it",
            )),
            State::Pending
            | State::Processing
            | State::Paused
            | State::WaitingUnban
            | State::Retrying
            | State::Testing => Ok((task, ActEffect::Already)),
        }
    }

    fn retry(
        step: &mut Step<'_>,
        task: Task,
        actor: Actor,
    ) -> Result<(Task, ActEffect), StepError> {
        match task.life.state {
            State::Completed | State::Failed | State::Cancelled => {
                Ok((step.apply(&task, &Event::Reopened, actor)?, ActEffect::Done))
            }
            State::Retrying => {
                let at_once = SpecPatch {
                    at: Some(step.moment.now),
                    ..SpecPatch::default()
                };
                edit(step, task, &at_once, actor)
            }
            State::Pending => Ok((task, ActEffect::Already)),
            State::Processing | State::Testing => {
                Err(wrong_state(&task, "retried: it runs; cancel it first"))
            }
            State::Paused if task.life.attached().is_some() => Err(in_hand(&task, "retried")),
            State::Paused => Err(wrong_state(&task, "retried: it is paused; resume it")),
            State::WaitingUnban => Err(wrong_state(
                &task,
                "retried: its account waits for a limit to end",
            )),
            State::NeedsHumanReview => Err(wrong_state(&task, "retried: approve or reject it")),
        }
    }
}

/// Commits a wish to stop the running attempt, unless its record shows that it has ended.
fn intend(
    step: &mut Step<'_>,
    task: Task,
    kind: IntentKind,
    grace_ms: Option<u64>,
    actor: Actor,
) -> Result<(Task, ActEffect), StepError> {
    if step.world.has_ended(&task.attempt()) {
        return Err(wrong_state(
            &task,
            "stopped any more: its command has ended, and its outcome is about to be noted; look at it again",
        ));
    }
    wish(step, task, kind, grace_ms, actor)
}

/// Commits a wish to stop the running attempt; the signal follows after the commit. The caller has seen that its record
/// shows no end yet.
pub(super) fn wish(
    step: &mut Step<'_>,
    task: Task,
    kind: IntentKind,
    grace_ms: Option<u64>,
    actor: Actor,
) -> Result<(Task, ActEffect), StepError> {
    let wished = Event::IntentSet {
        intent: Intent { kind, grace_ms },
    };
    let task = match step.tx.apply(&task, &wished, step.moment.now, actor) {
        Ok(task) => task,
        Err(ApplyError::Illegal(task::ApplyError::NotStronger { .. })) => {
            return Ok((task, ActEffect::Already));
        }
        Err(error) => return Err(error.into()),
    };
    step.changed(&task, &wished);
    // A weaker wish may add its reason while the stronger one goes on: the row says what is to be carried out.
    if let Some(intent) = task.life.intent.clone() {
        step.effects.push(Effect::Stop {
            attempt: task.attempt(),
            intent,
        });
    }
    Ok((task, ActEffect::Stopping))
}

fn edit(
    step: &mut Step<'_>,
    task: Task,
    patch: &SpecPatch,
    actor: Actor,
) -> Result<(Task, ActEffect), StepError> {
    if task.life.state.is_final() {
        return Err(over(&task, "changed"));
    }
    if task.life.state.holds_slot() {
        return Err(wrong_state(&task, "changed while it runs; pause it first"));
    }
    if patch.budget.is_some() && task.spec.command.prompt().is_none() {
        let text = format!(
            "budget: {} is no task of an agent; only those have budgets",
            task.id
        );
        return Err(Refusal::new(RefusalCode::BadRequest, text).into());
    }
    let (spec, fields) = patched(&task.spec, patch, task.life.not_before);
    if fields.is_empty() {
        return Ok((task, ActEffect::Already));
    }
    // Whatever the door has checked: a spec that is stored is a spec that can run.
    spec.check()
        .map_err(|error| Refusal::new(RefusalCode::BadRequest, error.to_string()))?;
    let event = Event::Edited {
        fields: fields.clone(),
        not_before: patch.at,
    };
    let edited = step.tx.edit(&task, &spec, fields, step.moment.now, actor)?;
    step.changed(&edited, &event);
    Ok((edited, ActEffect::Done))
}

/// The spec with the patch applied, and the names of the fields that differ.
fn patched(
    former: &TaskSpec,
    patch: &SpecPatch,
    not_before: Option<Timestamp>,
) -> (TaskSpec, Vec<String>) {
    let mut spec = former.clone();
    let mut fields = Vec::new();
    let mut note = |name: &str, changed: bool| {
        if changed {
            fields.push(name.to_owned());
        }
    };
    macro_rules! take {
        ($field:ident) => {
            if let Some(value) = &patch.$field {
                note(stringify!($field), spec.$field != *value);
                spec.$field = value.clone();
            }
        };
        ($field:ident?) => {
            if let Some(value) = &patch.$field {
                note(stringify!($field), spec.$field != Some(*value));
                spec.$field = Some(*value);
            }
        };
    }
    take!(name);
    take!(description);
    take!(command);
    take!(priority);
    take!(cwd);
    // Who is kept alone in the former directory is kept alone in the new one.
    if let (Some(lane), Some(former)) = (&patch.lane, &mut spec.exclusive)
        && former.starts_with(Prompt::LANE_OF_DIRECTORY)
    {
        former.clone_from(lane);
    }
    take!(timeout_seconds?);
    take!(max_retries?);
    if let Some(budget) = patch.budget
        && let task::Command::Prompt(prompt) = &mut spec.command
    {
        note("budget", prompt.budget() != budget);
        prompt.set_budget(budget);
    }
    if let Some(at) = patch.at {
        note("at", spec.at != Some(at) || not_before != Some(at));
        spec.at = Some(at);
    }
    (spec, fields)
}

/// Approve and reject are answers, and only a task in review has asked: of the others it is said what would do instead.
///
/// # Errors
/// The task does not wait for an answer.
fn asks_a_person(task: &Task, what: &str) -> Result<(), StepError> {
    let instead = match task.life.state {
        State::NeedsHumanReview => return Ok(()),
        State::Completed | State::Failed | State::Cancelled => return Err(over(task, what)),
        State::Paused => "nobody is asked, it is paused; resume or cancel it",
        State::Processing | State::Testing => "nobody is asked, it runs; cancel it if it is to end",
        State::Pending | State::WaitingUnban | State::Retrying => {
            "nobody is asked, it goes on by itself; cancel it if it is not to"
        }
    };
    Err(wrong_state(task, &format!("{what}: {instead}")))
}

pub(super) fn over(task: &Task, what: &str) -> StepError {
    wrong_state(
        task,
        &format!("{what}: it is over; retry it if it is to be done again"),
    )
}

pub(super) fn wrong_state(task: &Task, cannot_be: &str) -> StepError {
    let state = task.life.state.name();
    Refusal::new(
        RefusalCode::IllegalTransition,
        format!("{} is {state} and cannot be {cannot_be}", task.id),
    )
    .into()
}
