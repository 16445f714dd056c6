//! What the API says of agents: prompts, sessions, accounts and their holds, and money.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::BudgetView;
use crate::agent::ByHand;
use crate::budget::Budget;
use crate::holds::HoldKind;
use crate::task::{ModelFrom, Moved, Place, Report, Timestamp, Tokens};

/// What an agent is asked, as it is submitted: what is left out is filled in from the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPrompt {
    /// 1..=1,048,576 bytes; with chunks a template that holds `{chunk}`. `null` beside a `command` that runs Claude Code:
    /// what is asked stands there, and the rest is about that run; it takes `account`, `fallback`, `model` and budgets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Which agent; `null` = `claude`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Which account; `null` = `default`, the agent's own login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Where it goes on, in this order, when it would wait longer than `fallback_after_seconds`: `AGENT` or
    /// `AGENT:ACCOUNT`, ≤ 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<String>,
    /// Which model; `null` = the setting for the type, else the agent's own choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// ≤ 10,000 texts; the prompt is asked once for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<String>,
    /// Further arguments of the agent's program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// What it may cost, in millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_micro_usd: Option<u64>,
    /// How many tokens of all kinds it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,
    /// How long all its attempts may run together, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_run_ms: Option<u64>,
}

/// What is known of a task's agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentView {
    /// Which agent.
    pub agent: String,
    /// On which account.
    pub account: String,
    /// It goes on there instead of where it was before, and why; `null` while it is where it was asked first.
    #[serde(default)]
    pub moved: Option<Moved>,
    /// Where else it may go on, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<Place>,
    /// Of `GET /tasks/{id}`: what of its account it waits for. `null` when nothing, and in all other answers.
    #[serde(default)]
    pub waits_for: Option<String>,
    /// Until when, where that is known.
    #[serde(default)]
    pub waits_until: Option<Timestamp>,
    /// Its session, which can be resumed by hand; `null` before the first attempt.
    pub session: Option<String>,
    /// The chunk that is done next, from 0.
    pub chunk: u32,
    /// How many there are.
    pub chunks: u32,
    /// The model that was chosen, and by whom.
    pub model: Option<String>,
    /// `agent`, `setting` or `submitter`.
    pub model_from: ModelFrom,
    /// The running attempt finds out whether its account's hold is over.
    pub probe: bool,
    /// Known cost of all its runs, in millionths of a US dollar.
    pub spent_micro_usd: u64,
    /// Runs whose cost nobody knows.
    pub unknown_costs: u32,
    /// What its last run said.
    pub report: Option<Report>,
    /// Its own budget; a measure that is absent is not limited.
    #[serde(default)]
    pub budget: Budget,
    /// Of `GET /tasks/{id}`: all budgets that concern it, and where they stand. Empty in all other answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetView>,
    /// Of `GET /tasks/{id}`: what its running attempt may use up; `null` when nothing limits it, and in all other answers.
    #[serde(default)]
    pub share: Option<Budget>,
    /// Of `GET /tasks/{id}`: the budget that it waits for. `null` when none, and in all other answers.
    #[serde(default)]
    pub waits_for_budget: Option<String>,
    /// Who has the session in hand; `null` when nobody has.
    #[serde(default)]
    pub attached: Option<AttachedView>,
}

/// Who has an agent's session in hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedView {
    /// The local user.
    pub by: u32,
    /// Since when.
    pub since: Timestamp,
    /// Of `GET /tasks/{id}`: how that person goes on in it. `null` in all other answers, and when there is no such way (any
    /// more).
    #[serde(default)]
    pub by_hand: Option<ByHand>,
}

/// An account of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountView {
    /// Its agent.
    pub agent: String,
    /// Its name.
    pub name: String,
    /// The agent's configuration directory; `null` = the agent's own.
    pub config_dir: Option<PathBuf>,
    /// Names of the variables that its runs get.
    pub variables: Vec<String>,
    /// Why it is closed; empty = it is open.
    pub holds: Vec<HoldView>,
    /// A run is under way that finds out whether it is open again.
    pub probing: bool,
    /// How much of each window is used, as runs have said.
    pub windows: Vec<WindowView>,
    /// Attempts that run on it.
    pub running: u64,
    /// Tasks that may start on it.
    pub queued: u64,
    /// Tasks that it has stopped and that wait for it.
    pub held: u64,
}

/// Why an account is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldView {
    /// One word.
    pub kind: HoldKind,
    /// The same for people.
    pub words: String,
    /// Only this model.
    pub model: Option<String>,
    /// When it began.
    pub since: Timestamp,
    /// When a task finds out whether it is over; `null` = a person must act.
    pub until: Option<Timestamp>,
    /// Hits in a row.
    pub strikes: u32,
    /// A few words.
    pub detail: String,
    /// What a person can do.
    pub advice: Option<String>,
}

/// A window of usage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowView {
    /// `five_hour`, `seven_day`, …
    pub name: String,
    /// How much is used, in percent.
    pub used_percent: f64,
    /// When it begins anew.
    pub resets_at: Option<Timestamp>,
    /// When a run said so.
    pub seen_at: Timestamp,
}

/// The body of `POST /accounts/{agent}/{account}/hold`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// End holds: those of `kind`, or all.
    #[serde(default)]
    pub clear: bool,
    /// Which holds end; otherwise the kind that is shown, `null` = `person`.
    #[serde(default)]
    pub kind: Option<HoldKind>,
    /// When a task may find out whether it is over; `null` = only a person ends it.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

/// The body of `POST /agents/{agent}/contract`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractFound {
    /// What of its contract the installed agent breaks, in one line of at most 1000 characters: its accounts are closed.
    /// Empty = it keeps it: what was closed for that is open again.
    pub broken: String,
}

/// What some runs of agents cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostView {
    /// What they have in common: a task's id, a directory, a uid, `agent/account`, a model, a day (UTC).
    pub group: String,
    /// Runs.
    pub runs: u64,
    /// Runs whose cost nobody knows: `micro_usd` is without them.
    pub unknown_runs: u64,
    /// Runs whose cost was reckoned and not told by the agent.
    pub estimated_runs: u64,
    /// Millionths of a US dollar.
    pub micro_usd: u64,
    /// Tokens.
    pub tokens: Tokens,
    /// How long they ran.
    pub run_ms: u64,
}
