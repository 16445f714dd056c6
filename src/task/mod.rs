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
pub mod kind;
pub mod lifecycle;
pub mod outcome;
pub mod report;
pub mod retry;
pub mod spec;
pub mod spec_check;
pub mod state;
pub mod table;
pub mod time;

pub use agent::{AgentRun, AgentState, Further, Gate, ModelFrom, Prompt};
pub use apply::{ApplyError, FoldError};
pub use event::{Actor, Event, Intent, IntentKind, Next, PauseReason};
pub use id::{AttemptId, TaskId};
pub use kind::EventKind;
pub use lifecycle::{Lifecycle, PauseReasons, ResumeTo};
pub use outcome::{Outcome, OutcomeKind};
pub use report::{Block, BlockKind, Report, Tokens, Trouble, Window};
pub use retry::{Facts, OnLoss, Policy, decide, on_loss};
pub use spec::{AfterFailed, Command, IfLost, Priority, RetryOn, SecretRef, TaskSpec, TaskType};
pub use spec_check::SpecError;
pub use state::State;
pub use table::IllegalTransition;
pub use time::Timestamp;

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
    /// The attempt of the current generation.
    #[must_use]
    pub fn attempt(&self) -> AttemptId {
        AttemptId {
            task: self.id.clone(),
            generation: self.life.generation,
        }
    }
}
