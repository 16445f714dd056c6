//! How an attempt ended, as it truly was.

use serde::{Deserialize, Serialize};

/// How an attempt ended. What the task does next is [`super::Next`], decided elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What happened.
    pub kind: OutcomeKind,
    /// The exit code, 0..=255, when the command exited.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// The signal's number when one ended the command.
    #[serde(default)]
    pub signal: Option<i32>,
    /// The signal left a core dump.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub core_dumped: bool,
    /// The command exited but a descendant still held its pipes when we stopped listening.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub descendant_held_pipe: bool,
    /// We had told it to stop (a signal was sent for an intent) before it ended: exit code 0 may then mean that it left
    /// politely, not that its work is done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stop_sent: bool,
    /// A few words for a person, ≤ 200 bytes: what could not be started and why, which limit was reached.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What happened to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// Exit code 0; of an agent that reports a result: a result without an error.
    Succeeded,
    /// A non-zero exit code.
    Exited,
    /// Ended by a signal, ours or not.
    Signaled,
    /// The kernel ended it for want of memory.
    OutOfMemory,
    /// Its wall time was over; we ended it.
    TimedOut,
    /// It showed no sign of work for its idle time; we ended it.
    Idle,
    /// The machine (or the foreground run that owned it) went down; we ended it.
    Interrupted,
    /// The command could not be started; nothing ran.
    SpawnFailed,
    /// The attempt was closed before its command was started; nothing ran.
    NeverRan,
    /// Its account must wait: no failure, it goes on when the account may.
    Limited,
    /// The agent ended well, but some of its tool calls were denied: whether its work is done, nobody knows.
    ToolsDenied,
    /// The agent's turn ended at a tool call that waits for an answer.
    ToolDeferred,
    /// The agent used up its turns.
    MaxTurns,
    /// The agent used up its budget.
    MaxBudget,
    /// The model refused.
    Refused,
    /// What the agent had to read was too long for its model.
    PromptTooLong,
    /// The agent does not know the session that was to be resumed.
    UnknownSession,
    /// The session could not be resumed.
    ResumeFailed,
    /// The session could not be resumed twice: the next attempt begins a new one.
    PoisonedSession,
    /// The model does not exist, or the account may not use it.
    ModelUnavailable,
    /// The agent says that its run failed.
    AgentError,
    /// The agent's process ended without a result, whatever its exit code says.
    NoResult,
    /// Nobody saw how it ended.
    Lost,
    /// A task it waited for failed; nothing ran.
    DependencyFailed,
}

impl OutcomeKind {
    /// All kinds.
    pub const ALL: [Self; 24] = [
        Self::Succeeded,
        Self::Exited,
        Self::Signaled,
        Self::OutOfMemory,
        Self::TimedOut,
        Self::Idle,
        Self::Interrupted,
        Self::SpawnFailed,
        Self::NeverRan,
        Self::Limited,
        Self::ToolsDenied,
        Self::ToolDeferred,
        Self::MaxTurns,
        Self::MaxBudget,
        Self::Refused,
        Self::PromptTooLong,
        Self::UnknownSession,
        Self::ResumeFailed,
        Self::PoisonedSession,
        Self::ModelUnavailable,
        Self::AgentError,
        Self::NoResult,
        Self::Lost,
        Self::DependencyFailed,
    ];

    /// Whether the command may have run: only then is there something to go on from.
    #[must_use]
    pub const fn may_have_run(self) -> bool {
        !matches!(
            self,
            Self::SpawnFailed | Self::NeverRan | Self::DependencyFailed
        )
    }
}

impl Outcome {
    /// Detail texts are cut to this many bytes, so that an outcome fits one disk sector.
    pub const DETAIL_MAX_BYTES: usize = 200;

    /// An outcome with nothing beside its kind.
    #[must_use]
    pub fn of(kind: OutcomeKind) -> Self {
        Self {
            kind,
            exit_code: None,
            signal: None,
            core_dumped: false,
            descendant_held_pipe: false,
            stop_sent: false,
            detail: String::new(),
        }
    }

    /// The same with `detail`, cut at a character boundary to [`Self::DETAIL_MAX_BYTES`].
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        detail.truncate(detail.floor_char_boundary(Self::DETAIL_MAX_BYTES));
        self.detail = detail;
        self
    }

    /// The same with one more `detail` behind the one it has, of which as much is cut off as the new one needs.
    #[must_use]
    pub fn and_detail(mut self, detail: &str) -> Self {
        const BETWEEN: &str = "; ";
        if self.detail.is_empty() {
            return self.with_detail(detail);
        }
        let room = Self::DETAIL_MAX_BYTES.saturating_sub(BETWEEN.len() + detail.len());
        self.detail.truncate(self.detail.floor_char_boundary(room));
        let joined = format!("{}{BETWEEN}{detail}", self.detail);
        self.with_detail(joined)
    }
}
