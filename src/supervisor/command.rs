//! What the outside may ask of the supervisor, and what it answers. The reply goes out after the commit.

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::account::AccountChange;
use crate::budget::Budget;
use crate::task::{Actor, PauseReason, State, Task, TaskId, TaskSpec, Timestamp};

/// One wish of a client.
#[derive(Debug)]
pub enum Command {
    /// A new task.
    Submit(Box<SubmitRequest>),
    /// Something about one task.
    Act(ActRequest),
    /// Set these tasks aside, by their numbers, if they cannot be read: a reader has met them.
    SetAside {
        /// Their numbers.
        numbers: Vec<i64>,
    },
    /// Nothing: the answer proves that the supervisor takes commands.
    Ping,
    /// Stop or start claiming (a person's pause of the whole queue).
    SetClaims {
        /// Whether claims go on.
        enabled: bool,
    },
    /// Stop claims, and end every running attempt at once; their tasks are paused.
    StopAll {
        /// Who.
        actor: Actor,
    },
    /// A batch of this user's tasks is complete: when all of them are over, this command line is told.
    CloseBatch {
        /// The user.
        uid: u32,
        /// The batch's name.
        batch: String,
        /// Who takes the notice.
        notify: String,
    },
    /// Something about an account of an agent.
    Account {
        /// The agent.
        agent: String,
        /// The account.
        name: String,
        /// What.
        change: AccountChange,
    },
    /// Remove final tasks older than this, with their files.
    Cleanup {
        /// Finished before this time.
        before: Timestamp,
        /// Only count.
        dry_run: bool,
    },
    /// Remove everything, after a backup. Refused while attempts run.
    Reset {
        /// Where the backup that was just made is.
        backup: std::path::PathBuf,
    },
}

/// A submission, checked by the door.
#[derive(Debug, Clone)]
pub struct SubmitRequest {
    /// The new task's id, drawn by the edge.
    pub id: TaskId,
    /// The submitter's key: the same key from the same user is the same task. 1..=200 characters.
    pub key: String,
    /// What is asked.
    pub spec: TaskSpec,
    /// How the submitter wrote `spec.at`, where the words mean another instant whenever they are read.
    pub at_written: Option<String>,
    /// Local uid of the submitter.
    pub uid: u32,
}

impl SubmitRequest {
    /// A number for what is asked; see [`TaskSpec::fingerprint`].
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.spec.fingerprint(self.at_written.as_deref())
    }
}

/// A wish about one task.
#[derive(Debug, Clone)]
pub struct ActRequest {
    /// Which task.
    pub id: TaskId,
    /// What.
    pub action: Action,
    /// Who.
    pub actor: Actor,
    /// Decide, but change nothing.
    pub dry_run: bool,
}

/// What may be wished about one task.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Cancel it; a running attempt is ended with grace.
    Cancel {
        /// Between SIGTERM and SIGKILL; `None` = the setting.
        grace_ms: Option<u64>,
    },
    /// Pause it; a running attempt is ended after its checkpoint.
    Pause {
        /// Why.
        reason: PauseReason,
    },
    /// Take a reason to pause away.
    Resume {
        /// Which.
        reason: PauseReason,
    },
    /// Hand the agent's session to this local user; a running attempt is ended first, and then the wish must come again.
    Attach {
        /// Whom.
        by: u32,
    },
    /// Take an attached session back: the task goes on in it.
    Detach,
    /// Do a final task again, or a retrying one at once.
    Retry,
    /// Approve a task that waits for review.
    Approve,
    /// Reject a task that waits for review.
    Reject,
    /// Change what was asked, while it does not run.
    Edit(Box<SpecPatch>),
}

/// Changes to a task that does not run. `None` = unchanged; a double option takes `null` as "back to the default".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpecPatch {
    /// New name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// New command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<crate::task::Command>,
    /// New priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<crate::task::Priority>,
    /// New working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<std::path::PathBuf>,
    /// Not before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// New wall time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// New number of retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// New budget of a task of an agent, in place of the former one; `{}` = none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// The lane of the new directory: an agent's task that is kept alone in its directory moves to it. Whoever takes the wish
    /// fills it in.
    #[serde(skip)]
    pub lane: Option<String>,
}

/// What was done.
#[derive(Debug, Clone)]
pub enum Reply {
    /// The task as it now stands; `fresh` is false when the key was known.
    Submitted {
        /// The task.
        task: Box<Task>,
        /// It is new.
        fresh: bool,
    },
    /// The task after the action, and what happened.
    Acted {
        /// The task.
        task: Box<Task>,
        /// What happened.
        effect: ActEffect,
    },
    /// Done, nothing to show.
    Done,
    /// So many tasks were concerned.
    Count(u64),
}

/// What an action did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActEffect {
    /// The task moved.
    Done,
    /// The wish is committed; the running attempt is being stopped.
    Stopping,
    /// It was so already; nothing changed.
    Already,
}

/// Why a wish was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Refusal {
    /// A stable code.
    pub code: RefusalCode,
    /// One sentence: what, where, what to do.
    pub message: String,
}

/// Stable codes of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The request itself is wrong.
    BadRequest,
    /// No such task or route.
    NotFound,
    /// The id prefix names several tasks.
    AmbiguousId,
    /// The key belongs to another submission.
    KeyConflict,
    /// The task's state does not allow it.
    IllegalTransition,
    /// The peer may not do this.
    Forbidden,
    /// The queue is full.
    QueueFull,
    /// Too little disk space for new work.
    DiskLow,
    /// The request is larger than allowed.
    TooLarge,
    /// The peer took too long.
    RequestTimeout,
    /// The daemon is leaving; try again.
    ShuttingDown,
    /// The store could not take it; nothing was changed.
    StoreFailed,
    /// A bug of ours.
    Internal,
}

impl Refusal {
    /// A refusal with this code and sentence.
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// Where a reply goes; dropped when the client is gone.
pub type ReplyTo = oneshot::Sender<Result<Reply, Refusal>>;

/// Something changed about a task: told to whoever watches, after the commit. A watcher that lags reads the store again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which task.
    pub id: TaskId,
    /// Its order of submission.
    pub seq: i64,
    /// Where it stands now.
    pub state: State,
    /// Its generation.
    pub generation: u32,
    /// When.
    pub at: Timestamp,
}
