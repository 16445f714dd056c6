//! One log line per committed change of a task: `task_id`, `agent`, `attempt`, `state`, and what the event adds.
//!
//! Invariants: a line is written only after the commit it tells of; a change that was rolled back leaves none. The message
//! is one of [`Transition::message`]'s fixed phrases, so that a reader of JSON lines can rely on it.

use serde::Serialize;

use crate::task::{Event, Outcome, State, Task, TaskId};

/// What `agent` says of a plain command; agents with a driver of their own have their driver's name.
pub const PLAIN_COMMAND: &str = "command";

/// A change of a task, for the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    task: TaskId,
    agent: String,
    attempt: u32,
    state: State,
    event: Event,
}

/// What some events add to the line.
#[derive(Debug, Default)]
struct Extra<'a> {
    slot: Option<u32>,
    outcome: Option<&'a Outcome>,
    reason: Option<String>,
}

impl Transition {
    /// What `event` made of `task`, which is as it stands after it.
    #[must_use]
    pub fn new(task: &Task, event: &Event) -> Self {
        Self {
            task: task.id.clone(),
            agent: task
                .prompt_there()
                .map_or_else(|| PLAIN_COMMAND.to_owned(), |prompt| prompt.agent.clone()),
            attempt: task.life.generation,
            state: task.life.state,
            event: event.clone(),
        }
    }

    /// Writes the line.
    pub fn log(&self) {
        let Extra {
            slot,
            outcome,
            reason,
        } = self.extra();
        tracing::info!(
            task_id = self.task.as_str(),
            agent = self.agent.as_str(),
            attempt = self.attempt,
            state = self.state.name(),
            slot,
            outcome = outcome.map(|outcome| word(&outcome.kind)),
            exit_code = outcome.and_then(|outcome| outcome.exit_code),
            signal = outcome.and_then(|outcome| outcome.signal),
            detail = outcome
                .map(|outcome| outcome.detail.as_str())
                .filter(|detail| !detail.is_empty()),
            reason,
            "{}",
            self.message()
        );
    }

    /// What happened, in words that do not change.
    #[must_use]
    pub const fn message(&self) -> &'static str {
        match &self.event {
            Event::Submitted { .. } => "task submitted",
            Event::Claimed { .. } => "attempt claimed",
            Event::Started { .. } => "attempt started",
            Event::IntentSet { .. } => "attempt is to stop",
            Event::Ended { .. } => "attempt ended",
            Event::Paused { .. } => "task paused",
            Event::Resumed { .. } => "task resumed",
            Event::Moved { .. } => "task goes on elsewhere",
            Event::Attached { .. } => "session attached",
            Event::Detached => "session handed back",
            Event::Cancelled => "task cancelled",
            Event::Held => "task held",
            Event::Released => "task released",
            Event::DependencyFailed { .. } => "dependency failed",
            Event::Screened { .. } => "task screened",
            Event::Approved => "task approved",
            Event::Rejected => "task rejected",
            Event::Answered => "question answered",
            Event::Reopened => "task reopened",
            Event::Edited { .. } => "task edited",
        }
    }

    fn extra(&self) -> Extra<'_> {
        let mut extra = Extra::default();
        match &self.event {
            Event::Claimed { slot, .. } => extra.slot = Some(*slot),
            Event::Ended { outcome, .. } => extra.outcome = Some(outcome),
            Event::IntentSet { intent } => extra.reason = Some(word(&intent.kind)),
            Event::Paused { reason } | Event::Resumed { reason } => {
                extra.reason = Some(word(reason));
            }
            Event::Moved { to, why, .. } => extra.reason = Some(format!("{to}: {why}")),
            Event::DependencyFailed { dependency } => extra.reason = Some(dependency.clone()),
            Event::Screened { question } => extra.reason = Some(question.clone()),
            Event::Edited { fields, .. } => extra.reason = Some(fields.join(",")),
            Event::Submitted { .. }
            | Event::Started { .. }
            | Event::Attached { .. }
            | Event::Detached
            | Event::Cancelled
            | Event::Held
            | Event::Released
            | Event::Approved
            | Event::Rejected
            | Event::Answered
            | Event::Reopened => {}
        }
        extra
    }
}

/// The word that JSON and database use for a value that is one word there.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}
