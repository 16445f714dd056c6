//! Tasks of agents: the prompt that was asked for, and what such a task remembers from one attempt to the next.
//!
//! A plain command is an agent, too, but one without an account, a session or a result of its own: it has none of this.

use serde::{Deserialize, Serialize};

use super::{OutcomeKind, Timestamp};
use crate::budget::Budget;

/// What an agent is asked. Everything that settings decide is decided at the submission and stands here, so that a task
/// says the same tomorrow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// What is asked, 1..=1,048,576 bytes; with `chunks`, a template in which `{chunk}` stands for each of them.
    pub prompt: String,
    /// Which agent, as in `taskctl agent list`.
    #[serde(default = "Prompt::default_agent")]
    pub agent: String,
    /// On which account.
    #[serde(default = "Prompt::default_account")]
    pub account: String,
    /// Which model; `None` = the agent's own choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Who chose the model.
    #[serde(default)]
    pub model_from: ModelFrom,
    /// Heavy tasks: what the prompt is asked for, one after the other, each in a run of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<String>,
    /// Further arguments of the agent's program, before the prompt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The agent's program, where the submitter named one by its path; `None` = the setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// What was added to a command line of the agent that the submitter wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// What the task may cost, in millionths of a US dollar; `None` = no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_micro_usd: Option<u64>,
    /// How many tokens of all kinds it may use; `None` = no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,
    /// How long all its attempts may run together, in milliseconds; `None` = no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_run_ms: Option<u64>,
}

/// Who chose a task's model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelFrom {
    /// Nobody: the agent does.
    #[default]
    Agent,
    /// The setting for the task's type.
    Setting,
    /// The submitter.
    Submitter,
}

impl Prompt {
    /// A prompt for an agent on an account, and nothing beside it.
    #[must_use]
    pub fn of(prompt: String, agent: String, account: String) -> Self {
        Self {
            prompt,
            agent,
            account,
            model: None,
            model_from: ModelFrom::default(),
            chunks: Vec::new(),
            args: Vec::new(),
            program: None,
            added: Vec::new(),
            budget_micro_usd: None,
            budget_tokens: None,
            budget_run_ms: None,
        }
    }

    /// What the task may use up.
    #[must_use]
    pub const fn budget(&self) -> Budget {
        Budget {
            micro_usd: self.budget_micro_usd,
            tokens: self.budget_tokens,
            run_ms: self.budget_run_ms,
        }
    }

    /// Gives it another budget.
    pub const fn set_budget(&mut self, budget: Budget) {
        self.budget_micro_usd = budget.micro_usd;
        self.budget_tokens = budget.tokens;
        self.budget_run_ms = budget.run_ms;
    }

    /// The agent of a prompt that names none.
    pub const DEFAULT_AGENT: &'static str = "claude";
    /// The account of a prompt that names none: the agent's own login.
    pub const DEFAULT_ACCOUNT: &'static str = "default";
    /// What stands for the chunk in a template.
    pub const CHUNK: &'static str = "{chunk}";

    fn default_agent() -> String {
        Self::DEFAULT_AGENT.to_owned()
    }

    fn default_account() -> String {
        Self::DEFAULT_ACCOUNT.to_owned()
    }

    /// What is asked for chunk number `chunk`, from 0; the whole prompt where there are none.
    #[must_use]
    pub fn text_for(&self, chunk: u32) -> String {
        match self.chunks.get(chunk as usize) {
            Some(text) => self.prompt.replace(Self::CHUNK, text),
            None => self.prompt.clone(),
        }
    }

    /// What the queue knows it by: tasks with the same gate wait for the same holds.
    #[must_use]
    pub fn gate(&self) -> Gate {
        Gate {
            agent: self.agent.clone(),
            account: self.account.clone(),
            model: self.model.clone(),
        }
    }
}

/// What a task needs before it may start: an account that is open for a model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gate {
    /// The agent.
    pub agent: String,
    /// The account.
    pub account: String,
    /// The model, when one is pinned.
    pub model: Option<String>,
}

impl Gate {
    /// As one text, for the store. Agents and accounts have plain names without `/`.
    #[must_use]
    pub fn key(&self) -> String {
        let model = self.model.as_deref().unwrap_or_default();
        format!("{}/{}/{model}", self.agent, self.account)
    }

    /// Back from the text; `None` when it is none.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        let mut parts = key.splitn(3, '/').map(str::to_owned);
        Some(Self {
            agent: parts.next().filter(|part| !part.is_empty())?,
            account: parts.next().filter(|part| !part.is_empty())?,
            model: Some(parts.next()?).filter(|part| !part.is_empty()),
        })
    }
}

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
