//! What can happen to a task: the journal's words.

use serde::{Deserialize, Serialize};

use super::{AgentRun, Further, Outcome, Place, Report, Timestamp};

/// One event of a task's life. The journal stores these as JSON; folding them gives the row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Acknowledged. The first event of every task, and only the first.
    Submitted {
        /// Not before this time.
        not_before: Option<Timestamp>,
    },
    /// A slot and a new generation were given; nothing runs yet.
    Claimed {
        /// The new generation: the former plus one.
        generation: u32,
        /// The slot.
        slot: u32,
        /// How the attempt of an agent begins; `None` for a plain command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<Box<AgentRun>>,
    },
    /// The worker said (or its record shows) that the command started.
    Started {
        /// When.
        started_at: Timestamp,
    },
    /// A wish to stop the running attempt, committed before any signal. A stronger one replaces a weaker; a weaker one that
    /// is a new reason to pause is remembered beside the stronger.
    IntentSet {
        /// The wish.
        intent: Intent,
    },
    /// The running attempt is over: how it truly ended, and what follows (decided by [`super::retry::decide`]).
    Ended {
        /// How it ended.
        outcome: Outcome,
        /// When.
        ended_at: Timestamp,
        /// What follows.
        next: Next,
        /// What an agent said about the run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<Box<Report>>,
    },
    /// A reason to pause a task that does not run, or one more reason for a paused one.
    Paused {
        /// Why.
        reason: PauseReason,
    },
    /// A reason to pause is gone; the last one's end lets the task go on.
    Resumed {
        /// Which.
        reason: PauseReason,
    },
    /// It would have waited too long for its account: it goes on elsewhere, in a new session.
    Moved {
        /// Where.
        to: Box<Place>,
        /// Where it was.
        from: Box<Place>,
        /// What it would have waited for, in words.
        why: String,
        /// So many of its fallbacks are behind it.
        tried: u32,
    },
    /// A person took the agent's session in hand; the task is paused for that person.
    Attached {
        /// The local user.
        by: u32,
    },
    /// The session was handed back; the task stays paused until that reason ends, too.
    Detached,
    /// Cancelled while it did not run.
    Cancelled,
    /// Its account got a hold.
    Held,
    /// The hold is over, or this task is its probe.
    Released,
    /// A task it waited for failed.
    DependencyFailed {
        /// Which, as text.
        dependency: String,
    },
    /// A question for a person came up before it ran.
    Screened {
        /// The question.
        question: String,
    },
    /// A person approved it.
    Approved,
    /// A person rejected it.
    Rejected,
    /// A person answered the question of a tool call.
    Answered,
    /// A person wants a final task to be done again.
    Reopened,
    /// What was asked was changed while it did not run; the new values are in the row.
    Edited {
        /// Names of the changed fields, as in the submission ([`Event::FIELD_AT`]).
        fields: Vec<String>,
        /// The new earliest time, when `at` was among them.
        not_before: Option<Timestamp>,
    },
}

impl Event {
    /// The name of the earliest time among the fields of [`Event::Edited`]: without it, `not_before` is not touched.
    pub const FIELD_AT: &'static str = "at";
}

/// What follows the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
pub enum Next {
    /// Nothing ran: back to the queue as if not claimed; no retry spent.
    Pending,
    /// Done.
    Complete,
    /// Failed for good.
    Fail,
    /// Another attempt.
    Retry {
        /// Not before this time.
        not_before: Timestamp,
        /// One of the task's retries is spent.
        spends_retry: bool,
        /// Counts in the restart intensity (lost; a hung worker's attempt is lost too).
        counts_as_restart: bool,
        /// The next attempt goes on from the checkpoint (`AUTO_CLAUDE_RESUME=1`).
        resume: bool,
    },
    /// The run went well, and another one follows it in the same session; nothing is spent.
    Continue {
        /// Not before this time.
        not_before: Timestamp,
        /// Why.
        why: Further,
    },
    /// A limit: wait for the account.
    Wait,
    /// Paused; resumes from the checkpoint when the command may have run, and at its account's hold when it had reached a
    /// limit.
    Pause {
        /// Why.
        reason: PauseReason,
    },
    /// Cancelled, as intended.
    Cancel,
    /// A person decides.
    Review,
    /// The agent's tool call waits for a person.
    Defer,
    /// Acceptance commands run next.
    Test,
}

/// A journaled wish to stop a running attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// What is wished.
    pub kind: IntentKind,
    /// Time between SIGTERM and SIGKILL; `None` = the setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
}

/// Kinds of intent, weakest first: a stronger one replaces a weaker (see [`Intent::is_stronger_than`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentKind {
    /// The machine is short of something.
    Pressure,
    /// A person wants it paused.
    Pause,
    /// The money is used up.
    Budget,
    /// Its time is over.
    Timeout,
    /// It is to be cancelled.
    Cancel,
}

impl Intent {
    /// An intent with the grace of the settings.
    #[must_use]
    pub const fn of(kind: IntentKind) -> Self {
        Self {
            kind,
            grace_ms: None,
        }
    }

    /// Whether this wish replaces `current`: its kind is stronger, or it is the same with a grace that is surely shorter
    /// (a person who has waited long enough).
    #[must_use]
    pub fn is_stronger_than(&self, current: &Self) -> bool {
        let shorter = match (self.grace_ms, current.grace_ms) {
            (Some(wished), Some(current)) => wished < current,
            // The setting is at least a second.
            (Some(wished), None) => wished == 0,
            (None, _) => false,
        };
        self.kind > current.kind || (self.kind == current.kind && shorter)
    }
}

impl IntentKind {
    /// All kinds, weakest first.
    pub const ALL: [Self; 5] = [
        Self::Pressure,
        Self::Pause,
        Self::Budget,
        Self::Timeout,
        Self::Cancel,
    ];

    /// The reason to pause that this wish stands for; `None` for a wish that ends the task or its attempt.
    #[must_use]
    pub const fn pause_reason(self) -> Option<PauseReason> {
        match self {
            Self::Pressure => Some(PauseReason::Resources),
            Self::Pause => Some(PauseReason::Person),
            Self::Budget => Some(PauseReason::Budget),
            Self::Timeout | Self::Cancel => None,
        }
    }
}

/// Why a task is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// A person paused it.
    Person,
    /// The machine is short of something.
    Resources,
    /// The money is used up.
    Budget,
}

impl PauseReason {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Person, Self::Resources, Self::Budget];
}

/// Who caused an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The supervisor itself.
    Daemon,
    /// A local user.
    User(u32),
    /// The task's worker.
    Worker,
}
