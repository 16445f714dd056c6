//! What the API says of budgets and of what a task will use.

use serde::{Deserialize, Serialize};

use crate::budget::{Amounts, Budget};
use crate::task::Timestamp;

/// A budget and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetView {
    /// `task`, `session`, `account` or `day`.
    pub scope: String,
    /// The task's id, the directory, `AGENT/ACCOUNT`; empty for the day.
    pub name: String,
    /// What may be used; a measure that is absent is not limited.
    pub limit: Budget,
    /// What ended runs have used; one of unknown cost counts with what it was allowed.
    pub used: Amounts,
    /// What running attempts may use.
    pub reserved: Amounts,
    /// Runs whose cost nobody knows.
    pub unknown_runs: u64,
    /// `open`, `warned` (80 % or more) or `used_up`.
    pub level: String,
    /// When it begins anew; `null` = never.
    pub resets_at: Option<Timestamp>,
}

/// The answer of `POST /tasks/estimate`: what a task will use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EstimateView {
    /// Whether anything is known; if not, all below is `null` or 0.
    pub known: bool,
    /// How like the finished tasks are that it is told from: `project`, `type` or `model`.
    pub likeness: Option<String>,
    /// The same in words.
    pub words: Option<String>,
    /// How many they are.
    pub tasks: u64,
    /// How many chunks the task has; 1 = none. The figures are for all of them.
    pub chunks: u32,
    /// Millionths of a US dollar.
    pub micro_usd: Option<SpreadView>,
    /// Tokens of all kinds.
    pub tokens: Option<SpreadView>,
    /// How long it runs.
    pub run_ms: Option<SpreadView>,
}

/// A figure with its spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpreadView {
    /// One in ten used less.
    pub p10: u64,
    /// Half of them used less.
    pub p50: u64,
    /// Nine in ten used less.
    pub p90: u64,
}
