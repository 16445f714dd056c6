//! The ten states. Where each event leads from them is said in [`super::table`].

use serde::{Deserialize, Serialize};

/// Where a task stands. Each state's doc says who moves a task out of it and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for a slot, its time, its dependencies, its account. The supervisor claims it; a person may cancel, pause or edit it.
    Pending,
    /// Holds a slot; its worker runs. Left when the attempt has ended (or never ran, or is lost).
    Processing,
    /// Has at least one reason to wait. The last reason's end moves it back to where it came from; a person may cancel or edit it;
    /// it fails with a task that it waits for.
    Paused,
    /// Its account has a hold. Left when the hold is released or this task is chosen as its probe; a person may cancel,
    /// pause or edit it.
    WaitingUnban,
    /// Waits for its backoff. The supervisor claims it when its time has come, or moves it behind a new hold; a person may
    /// cancel, pause or edit it.
    Retrying,
    /// Holds a slot; acceptance commands run, as an attempt claimed for them. Left when that attempt has ended. Nothing enters
    /// it yet.
    Testing,
    /// A person must decide; no process, no slot. Left by the answer, or cancelled.
    NeedsHumanReview,
    /// Done. Only a person's retry opens it again.
    Completed,
    /// Failed for good. Only a person's retry opens it again.
    Failed,
    /// Cancelled. Only a person's retry opens it again.
    Cancelled,
}

impl State {
    /// All states, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Processing,
        Self::Paused,
        Self::WaitingUnban,
        Self::Retrying,
        Self::Testing,
        Self::NeedsHumanReview,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The name in JSON, in the database and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Paused => "paused",
            Self::WaitingUnban => "waiting_unban",
            Self::Retrying => "retrying",
            Self::Testing => "testing",
            Self::NeedsHumanReview => "needs_human_review",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// No event but a person's retry leads out of it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// A worker may exist: the task holds a slot.
    #[must_use]
    pub const fn holds_slot(self) -> bool {
        matches!(self, Self::Processing | Self::Testing)
    }

    /// The supervisor may claim it (when its time and dependencies allow).
    #[must_use]
    pub const fn is_claimable(self) -> bool {
        matches!(self, Self::Pending | Self::Retrying)
    }
}
