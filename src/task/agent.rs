//! Tasks of agents: how an attempt begins, and what such a task remembers from one attempt to the next.
//!
//! A plain command is an agent, too, but one without an account, a session or a result of its own: it has none of this.

use serde::{Deserialize, Serialize};

use super::{OutcomeKind, Place, Timestamp};

/// How an attempt of an agent begins: decided at the claim and journaled with it, before anything runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRun {
    /// The agent's session: chosen by us.
    pub session: String,
    /// The session has been begun by an earlier attempt and is resumed.
    #[serde(default)]
    pub resume: bool,
    /// It is the one attempt that finds out whether its account's hold is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub probe: bool,
    /// What this attempt may still cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_micro_usd: Option<u64>,
}

/// What a task of an agent remembers between its attempts: the fold of its claims and ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentState {
    /// The session that the next attempt may go on in; `None` = it begins a new one.
    #[serde(default)]
    pub session: Option<String>,
    /// An attempt has said that it is in that session, or may have: it is resumed, not begun.
    #[serde(default)]
    pub begun: bool,
    /// Times in a row that the session could not be resumed.
    #[serde(default)]
    pub failed_resumes: u32,
    /// Times in a row that the server failed under it: more than others may mean that it fails because of what it is asked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub server_failures: u32,
    /// The chunk that is to be done next.
    #[serde(default)]
    pub chunk: u32,
    /// It was asked once whether anything remains, after a run that ended shortly before a limit.
    #[serde(default)]
    pub asked_what_remains: bool,
    /// The next attempt asks that.
    #[serde(default)]
    pub ask_what_remains: bool,
    /// The running attempt is its account's probe.
    #[serde(default)]
    pub probe: bool,
    /// Cost of all its runs that is known.
    #[serde(default)]
    pub spent_micro_usd: u64,
    /// Runs whose cost nobody knows.
    #[serde(default)]
    pub unknown_costs: u32,
    /// What the last run said.
    #[serde(default)]
    pub report: Option<super::Report>,
    /// It goes on elsewhere than it was asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
    /// The session is in a person's hands; `Some` only while the task is paused for that person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<Attachment>,
}

/// Where a task goes on that would have waited too long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Where it goes on.
    pub to: Place,
    /// Where it was before.
    pub from: Place,
    /// What it would have waited for, in words.
    pub why: String,
    /// So many of its fallbacks are behind it.
    pub tried: u32,
    /// When.
    pub at: Timestamp,
}

/// Who has an agent's session in hand: nobody else goes on in it until it is handed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The local user.
    pub by: u32,
    /// Since when.
    pub since: Timestamp,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde asks for"
)]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Failures of the server in a row under one task, after which they are the task's: it spends retries from then on.
pub const SERVER_FAILURES_MAX: u32 = 10;

/// The end of a window that is waited for, to ask what remains, lies at most this far ahead: no window is longer than a week,
/// and one day more is for a reset that moves.
pub const WRAP_UP_WAIT_MAX_MS: i64 = 8 * 24 * 3_600 * 1_000;

/// Resumes that fail in a row before the session is given up.
pub const FAILED_RESUMES_MAX: u32 = 2;

/// Why another run follows one that went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Further {
    /// There are more chunks.
    Chunk,
    /// It ended shortly before a limit and may have been told to come to an end: it is asked once whether anything remains.
    WrapUp,
}

impl AgentState {
    /// A claim: the attempt begins as `run` says.
    pub(super) fn claim(&mut self, run: &AgentRun) {
        if self.session.as_ref() != Some(&run.session) {
            self.begun = false;
            self.failed_resumes = 0;
        }
        self.session = Some(run.session.clone());
        self.probe = run.probe;
    }

    /// The end of a run.
    pub(super) fn end(&mut self, kind: OutcomeKind, report: Option<&super::Report>) {
        self.probe = false;
        let server = report
            .and_then(|report| report.block.as_ref())
            .is_some_and(|block| block.kind == super::BlockKind::Server);
        if kind == OutcomeKind::Limited && server {
            self.server_failures = self.server_failures.saturating_add(1);
        } else if kind.may_have_run() {
            self.server_failures = 0;
        }
        match kind {
            OutcomeKind::UnknownSession | OutcomeKind::PoisonedSession => {
                self.session = None;
                self.begun = false;
                self.failed_resumes = 0;
            }
            OutcomeKind::ResumeFailed => {
                self.failed_resumes = self.failed_resumes.saturating_add(1);
            }
            OutcomeKind::NeverRan | OutcomeKind::SpawnFailed | OutcomeKind::DependencyFailed => {}
            OutcomeKind::Succeeded
            | OutcomeKind::Exited
            | OutcomeKind::Signaled
            | OutcomeKind::OutOfMemory
            | OutcomeKind::TimedOut
            | OutcomeKind::Idle
            | OutcomeKind::Interrupted
            | OutcomeKind::Limited
            | OutcomeKind::ToolsDenied
            | OutcomeKind::ToolDeferred
            | OutcomeKind::MaxTurns
            | OutcomeKind::MaxBudget
            | OutcomeKind::Refused
            | OutcomeKind::PromptTooLong
            | OutcomeKind::ModelUnavailable
            | OutcomeKind::AgentError
            | OutcomeKind::NoResult
            | OutcomeKind::Lost => {
                self.failed_resumes = 0;
                // Of a run that nobody could read, the session may have been begun: to begin it twice is an error.
                self.begun |= report.is_none_or(|report| report.session.is_some());
                if let Some(named) = report.and_then(|report| report.session.as_ref()) {
                    // An agent that chooses its session itself says here which one it was.
                    self.session = Some(named.clone());
                }
            }
        }
        if !kind.may_have_run() {
            return;
        }
        self.ask_what_remains = false;
        match report.and_then(|report| report.cost_micro_usd) {
            Some(cost) => self.spent_micro_usd = self.spent_micro_usd.saturating_add(cost),
            None => self.unknown_costs = self.unknown_costs.saturating_add(1),
        }
        self.report = report.cloned();
    }

    /// It goes on elsewhere, in a new session: one belongs to the configuration of its account.
    pub(super) fn go_elsewhere(&mut self, moved: Moved) {
        self.session = None;
        self.begun = false;
        self.failed_resumes = 0;
        self.server_failures = 0;
        self.moved = Some(moved);
    }

    /// Whether any attempt has left something here.
    #[must_use]
    pub fn knows_an_attempt(&self) -> bool {
        let unused = Self {
            moved: self.moved.clone(),
            ..Self::default()
        };
        *self != unused
    }

    /// Whether there is a session that can be resumed.
    #[must_use]
    pub const fn has_session(&self) -> bool {
        self.session.is_some() && self.begun
    }

    /// Another run follows one that went well.
    pub(super) fn go_further(&mut self, why: Further) {
        match why {
            Further::Chunk => {
                self.chunk = self.chunk.saturating_add(1);
                // Each chunk is asked anew: a session that holds them all would grow too long.
                self.session = None;
                self.begun = false;
                self.asked_what_remains = false;
            }
            Further::WrapUp => {
                self.asked_what_remains = true;
                self.ask_what_remains = true;
            }
        }
    }

    /// A person wants the task to be done again: from its beginning, in a new session. What was spent stays spent.
    pub(super) fn reopen(&mut self) {
        *self = Self {
            spent_micro_usd: self.spent_micro_usd,
            unknown_costs: self.unknown_costs,
            ..Self::default()
        };
    }
}

/// What is to be known of an agent's run, beside how it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AgentFacts {
    /// There are chunks after this one.
    pub more_chunks: bool,
    /// It ended shortly before a limit, and was not asked yet what remains: not before this time.
    pub wrap_up_at: Option<Timestamp>,
    /// A run with denied tools counts as done.
    pub denied_is_done: bool,
    /// It was to go on in a session that had begun.
    pub resumed: bool,
    /// It was cut at its share of a budget that has more: it may go on with another share.
    pub budget_left: bool,
}
