//! Where a task stands: the fold of its journal.
//!
//! Invariant: a [`Lifecycle`] is born by [`Lifecycle::birth`] and changed only by [`Lifecycle::apply`]; so whoever folds the
//! journal again gets the same value. [`Lifecycle::check`] says what holds for every value that came about this way.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{AgentState, Intent, Outcome, PauseReason, State, Timestamp};

/// Where a task stands. Changed only by [`Lifecycle::apply`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// The state.
    pub state: State,
    /// Attempts claimed so far; the fencing number of the running or last one. 0 before the first claim.
    pub generation: u32,
    /// Retries spent since submission or the last reopening; never more than `generation`.
    pub retries: u32,
    /// When ends came that count in the restart intensity (lost), newest last, at most [`Lifecycle::RESTARTS_KEPT`].
    /// A person who reopens or approves the task empties it. Not sorted: the clock may have jumped.
    pub restarts: Vec<Timestamp>,
    /// The next attempt (while a slot is held: this attempt) goes on from the checkpoint.
    pub resume: bool,
    /// Why it is paused. Never empty in `paused`; while a slot is held, the reasons wished so far (an acknowledged pause is
    /// not forgotten when a stronger intent replaces it), and then `intent` is `Some`; empty in every other state.
    pub pause_reasons: PauseReasons,
    /// Where the last reason's end leads; meaningful while paused, the default in every other state.
    pub resume_to: ResumeTo,
    /// The wish to stop the running attempt; `Some` only in states that hold a slot.
    pub intent: Option<Intent>,
    /// Not claimed before this time; forgotten at the claim (once its time has come, no jump of the clock takes it back).
    pub not_before: Option<Timestamp>,
    /// How the last attempt ended, or that a dependency failed. Kept when the task goes on.
    pub outcome: Option<Outcome>,
    /// When the running or last attempt's command started; `None` while that is not known.
    pub started_at: Option<Timestamp>,
    /// When the task became final (the end of its attempt where one ended it); `Some` exactly in final states.
    pub finished_at: Option<Timestamp>,
    /// What a task of an agent remembers; `None` for a plain command, and before the first claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentState>,
}

/// A set of reasons to pause.
pub type PauseReasons = BTreeSet<PauseReason>;

/// Where a paused task goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResumeTo {
    /// Back to the queue: nothing has run since it last left it.
    #[default]
    Pending,
    /// Another attempt.
    Retrying,
    /// Back to its account's hold.
    WaitingUnban,
}

impl Lifecycle {
    /// Restart times kept; the setting `restart_max` is not above this.
    pub const RESTARTS_KEPT: usize = 100;

    /// Whether every invariant of the fields holds. The store asserts it before a write and after a read.
    ///
    /// # Errors
    /// One sentence that names the first invariant that is broken, and the values.
    pub fn check(&self) -> Result<(), String> {
        let slot = self.state.holds_slot();
        let rules = [
            (
                self.state != State::Paused || !self.pause_reasons.is_empty(),
                "a paused task has a reason to be paused",
            ),
            (
                self.pause_reasons.is_empty() || self.state == State::Paused || slot,
                "only a paused or running task has reasons to pause",
            ),
            (
                !slot || self.pause_reasons.is_empty() || self.intent.is_some(),
                "a running task with reasons to pause has an intent",
            ),
            (
                self.intent.is_none() || slot,
                "only a task that holds a slot has an intent",
            ),
            (
                self.intent_has_its_reason(),
                "an intent to pause is among the reasons to pause",
            ),
            (
                self.state == State::Paused || self.resume_to == ResumeTo::default(),
                "only a paused task says where it goes on",
            ),
            (
                self.finished_at.is_some() == self.state.is_final(),
                "a task has finished exactly when its state is final",
            ),
            (
                self.restarts.len() <= Self::RESTARTS_KEPT,
                "no more restart times than are kept",
            ),
            (
                self.retries <= self.generation,
                "no more retries than attempts",
            ),
            (self.outcome_fits(), "the outcome fits the state"),
            (
                self.attached().is_none()
                    || (self.state == State::Paused
                        && self.pause_reasons.contains(&PauseReason::Person)),
                "a session is in a person's hands only while the task is paused for that person",
            ),
            (
                self.generation > 0 || !self.needs_an_attempt(),
                "a task that was never claimed shows no trace of an attempt",
            ),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            None => Ok(()),
            Some((_, rule)) => Err(format!("not so: {rule}: {self:?}")),
        }
    }

    /// So many of its fallbacks are behind it.
    #[must_use]
    pub fn fallbacks_tried(&self) -> u32 {
        let moved = self.agent.as_ref().and_then(|agent| agent.moved.as_ref());
        moved.map_or(0, |moved| moved.tried)
    }

    fn intent_has_its_reason(&self) -> bool {
        let reason = self
            .intent
            .as_ref()
            .and_then(|intent| intent.kind.pause_reason());
        reason.is_none_or(|reason| self.pause_reasons.contains(&reason))
    }

    fn outcome_fits(&self) -> bool {
        use super::OutcomeKind::{DependencyFailed, Succeeded, ToolsDenied};
        let kind = self.outcome.as_ref().map(|outcome| outcome.kind);
        match self.state {
            State::Completed => matches!(kind, Some(Succeeded | ToolsDenied)),
            State::Failed => kind.is_some(),
            State::Retrying | State::WaitingUnban => {
                kind.is_some_and(|kind| kind != DependencyFailed)
            }
            State::Pending
            | State::Processing
            | State::Paused
            | State::Testing
            | State::NeedsHumanReview
            | State::Cancelled => true,
        }
    }

    fn needs_an_attempt(&self) -> bool {
        let outcome_of_attempt = self
            .outcome
            .as_ref()
            .is_some_and(|outcome| outcome.kind != super::OutcomeKind::DependencyFailed);
        self.state.holds_slot()
            || matches!(
                self.state,
                State::WaitingUnban | State::Retrying | State::Completed
            )
            || self.resume_to != ResumeTo::Pending
            || self.resume
            || self.started_at.is_some()
            || self
                .agent
                .as_ref()
                .is_some_and(AgentState::knows_an_attempt)
            || !self.restarts.is_empty()
            || outcome_of_attempt
    }
}
