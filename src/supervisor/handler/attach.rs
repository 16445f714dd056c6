//! A person takes an agent's session in hand, and hands it back.
//!
//! Invariant: while a session is in a person's hands its task is paused, and only handing it back (or the task's end) lets
//! anybody else into it. Both are events of the journal, so it holds through any death of the daemon.

use super::act::{over, wrong_state};
use super::{Handler, Step, StepError};
use crate::supervisor::command::ActEffect;
use crate::task::{Actor, Event, PauseReason, State, Task};

impl Handler {
    /// A running attempt is only asked to stop: what it leaves is attached when the wish comes again.
    pub(super) fn attach(
        step: &mut Step<'_>,
        task: Task,
        by: u32,
        actor: Actor,
    ) -> Result<(Task, ActEffect), StepError> {
        if task.spec.command.prompt().is_none() {
            let text = "attached: it runs a plain command, which has no agent session";
            return Err(wrong_state(&task, text));
        }
        match task.life.state {
            State::Completed | State::Failed | State::Cancelled => Err(over(&task, "attached")),
            State::Processing | State::Testing if task.spec.foreground => Err(wrong_state(
                &task,
                "attached: it belongs to a foreground run; interrupt that first",
            )),
            State::Processing | State::Testing => {
                let (task, _) = Self::pause(step, task, PauseReason::Person, actor)?;
                Ok((task, ActEffect::Stopping))
            }
            State::Paused if task.life.attached().is_some() => Err(in_hand(&task, "attached")),
            State::Pending
            | State::Paused
            | State::WaitingUnban
            | State::Retrying
            | State::NeedsHumanReview => {
                let agent = task.life.agent.as_ref();
                if !agent.is_some_and(crate::task::AgentState::has_session) {
                    let text = "attached: no attempt of it has begun an agent session yet";
                    return Err(wrong_state(&task, text));
                }
                let task = out_of_the_queue(step, task, actor)?;
                let task = step.apply(&task, &Event::Attached { by }, actor)?;
                Ok((task, ActEffect::Done))
            }
        }
    }

    /// The task goes on, unless it is paused for something else as well.
    pub(super) fn detach(
        step: &mut Step<'_>,
        task: Task,
        actor: Actor,
    ) -> Result<(Task, ActEffect), StepError> {
        if task.life.attached().is_none() {
            let text = "handed back: nobody has attached its session";
            return Err(wrong_state(&task, text));
        }
        let task = step.apply(&task, &Event::Detached, actor)?;
        let reason = PauseReason::Person;
        let task = step.apply(&task, &Event::Resumed { reason }, actor)?;
        Ok((task, ActEffect::Done))
    }
}

/// Pauses for a person what is not paused so yet. A person who takes up what waits for a decision has decided.
fn out_of_the_queue(step: &mut Step<'_>, task: Task, actor: Actor) -> Result<Task, StepError> {
    let reason = PauseReason::Person;
    let task = if task.life.state == State::NeedsHumanReview {
        step.apply(&task, &Event::Approved, actor)?
    } else {
        task
    };
    if task.life.pause_reasons.contains(&reason) {
        return Ok(task);
    }
    step.apply(&task, &Event::Paused { reason }, actor)
}

/// Its session is in somebody's hands.
pub(super) fn in_hand(task: &Task, what: &str) -> StepError {
    let whose = task.life.attached().map_or_else(String::new, |attached| {
        format!(" by user {} since {}", attached.by, attached.since)
    });
    wrong_state(
        task,
        &format!(
            "{what}: its agent session is attached{whose}; `taskctl task detach {}` hands it back",
            task.id
        ),
    )
}
