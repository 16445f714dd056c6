//! PURE. What a task is: its id, what was asked, its lifecycle, the one transition table, outcomes, the retry decision.
//!
//! Invariant: knows no clock, file, socket, process, thread or random state. Time comes in as a [`Timestamp`], chance as
//! a number. The only way to change a [`Lifecycle`] is [`Lifecycle::apply`]; what is stored is the journal of the events
//! applied, and the row is their fold.

pub mod agent;
pub mod apply;
pub mod backoff;
pub mod event;
mod fingerprint;
pub mod id;
mod in_hand;
pub mod kind;
pub mod lifecycle;
pub mod notice;
pub mod outcome;
pub mod prompt;
pub mod report;
pub mod retry;
pub mod spec;
pub mod spec_check;
pub mod state;
pub mod table;
pub mod time;

pub use agent::{AgentRun, AgentState, Attachment, Further, Moved};
pub use apply::{ApplyError, FoldError};
pub use event::{Actor, Event, Intent, IntentKind, Next, PauseReason};
pub use id::{AttemptId, TaskId};
pub use kind::EventKind;
pub use lifecycle::{Lifecycle, PauseReasons, ResumeTo};
pub use notice::{News, news};
pub use outcome::{Outcome, OutcomeKind};
pub use prompt::{Gate, ModelFrom, Place, Prompt};
pub use report::{Block, BlockKind, Report, Tokens, Trouble, Window};
pub use retry::{Facts, OnLoss, Policy, decide, on_loss};
pub use spec::{AfterFailed, Command, IfLost, Priority, RetryOn, SecretRef, TaskSpec, TaskType};
pub use spec_check::SpecError;
pub use state::State;
pub use table::IllegalTransition;
pub use time::Timestamp;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A task as the store holds it: what was asked, who asked, and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The public id.
    pub id: TaskId,
    /// Order of submission in this store, from 1; FIFO within a priority.
    pub seq: i64,
    /// Local uid of the submitter.
    pub uid: u32,
    /// When the submission was committed.
    pub created_at: Timestamp,
    /// What was asked.
    pub spec: TaskSpec,
    /// Where it stands.
    pub life: Lifecycle,
    /// The numbered place its running attempt holds; `Some` exactly in states that hold a slot.
    pub slot: Option<u32>,
}

impl Task {
    /// The prompt as it is asked where the task is now; `None` for a plain command. Everything that asks for agent, account,
    /// model or session of a task asks here.
    #[must_use]
    pub fn prompt_there(&self) -> Option<Cow<'_, Prompt>> {
        let prompt = self.spec.command.prompt()?;
        let agent = self.life.agent.as_ref();
        Some(match agent.and_then(|agent| agent.moved.as_ref()) {
            Some(moved) => Cow::Owned(prompt.at(&moved.to)),
            None => Cow::Borrowed(prompt),
        })
    }

    /// Where it would go on if it had to wait too long, in this order: never where it has been.
    #[must_use]
    pub fn ways_out(&self) -> &[Place] {
        let Some(prompt) = self.spec.command.prompt() else {
            return &[];
        };
        let tried = self.life.fallbacks_tried() as usize;
        prompt.fallback.get(tried..).unwrap_or_default()
    }

    /// What it needs before it may start; `None` for a plain command.
    #[must_use]
    pub fn gate(&self) -> Option<Gate> {
        let place = self.prompt_there()?.place();
        Some(Gate::of(&place, !self.ways_out().is_empty()))
    }

    /// The attempt of the current generation.
    #[must_use]
    pub fn attempt(&self) -> AttemptId {
        AttemptId {
            task: self.id.clone(),
            generation: self.life.generation,
        }
    }
}
