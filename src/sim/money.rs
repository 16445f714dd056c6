//! Money, tokens and time: which budgets there are, and what agents truly use up.

use super::chance::Chance;
use super::client::DIRECTORIES;
use super::server::PLACES;
use crate::budget::{Budget, Tokens};
use crate::config::Settings;
use crate::config::settings::NamedBudget;
use crate::task::Report;

/// What a token costs, whoever reads it: so what a run has cost follows from its tokens, and a guess of the daemon can be judged.
pub const MICRO_USD_PER_TOKEN: u64 = 10;
/// Tokens of one request at most.
const REQUEST_TOKENS_MAX: u64 = 8_000;
/// What one request costs at most: an agent notices only after it that its share is used up.
pub const REQUEST_MICRO_USD_MAX: u64 = REQUEST_TOKENS_MAX * MICRO_USD_PER_TOKEN;
/// The model of an agent that chooses itself.
const OWN_MODEL: &str = "sonnet";
/// Budgets of tasks, at most.
const TASK_TOKENS: u64 = 40_000;
/// Budgets of all tasks of a directory, of an account and of a day, at most.
const SHARED_TOKENS: u64 = 400_000;
const TASK_SECONDS: u64 = 60;
const SHARED_SECONDS: u64 = 1_800;
const MS_PER_SECOND: u64 = 1_000;

/// What a run has used up so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Tokens, all of them read.
    pub tokens: u64,
}

impl Spent {
    /// In millionths of a dollar.
    #[must_use]
    pub const fn micro_usd(self) -> u64 {
        self.tokens * MICRO_USD_PER_TOKEN
    }

    /// The agent makes a request, and its report says so.
    pub fn request(&mut self, report: &mut Report, model: Option<&str>, chance: &mut Chance) {
        let tokens = 1 + chance.below(REQUEST_TOKENS_MAX);
        self.tokens += tokens;
        let model = model.unwrap_or(OWN_MODEL).to_owned();
        let all = Tokens {
            input: self.tokens,
            ..Tokens::default()
        };
        report.tokens.insert(model.clone(), all);
        report.model = Some(model);
    }
}

fn drawn(tokens: u64, seconds: u64, chance: &mut Chance) -> Budget {
    let mut budget = Budget::NONE;
    let tokens = 1_000 + chance.below(tokens);
    match chance.below(6) {
        0..2 => budget.micro_usd = Some(tokens * MICRO_USD_PER_TOKEN),
        2 | 3 => budget.tokens = Some(tokens),
        4 => budget.run_ms = Some((1 + chance.below(seconds)) * MS_PER_SECOND),
        _ => {
            budget.micro_usd = Some(tokens * MICRO_USD_PER_TOKEN);
            budget.run_ms = Some((1 + chance.below(seconds)) * MS_PER_SECOND);
            budget.tokens = chance.percent(50).then_some(tokens);
        }
    }
    budget
}

/// The budget of a task.
#[must_use]
pub fn of_task(chance: &mut Chance) -> Budget {
    drawn(TASK_TOKENS, TASK_SECONDS, chance)
}

/// A budget that several tasks share.
fn shared(chance: &mut Chance) -> Budget {
    drawn(SHARED_TOKENS, SHARED_SECONDS, chance)
}

/// Draws the budgets of the settings.
pub fn settle(settings: &mut Settings, chance: &mut Chance) {
    if chance.percent(20) {
        settings.budget_session = shared(chance);
    }
    if chance.percent(15) {
        settings.budget_sessions = vec![NamedBudget {
            name: chance.one_of(DIRECTORIES).to_owned(),
            budget: shared(chance),
        }];
    }
    if chance.percent(20) {
        settings.budget_account_day = shared(chance);
    }
    if chance.percent(15) {
        let (agent, account) = chance.one_of(PLACES);
        settings.budget_accounts = vec![NamedBudget {
            name: format!("{agent}/{account}"),
            budget: shared(chance),
        }];
    }
    if chance.percent(20) {
        settings.budget_day = shared(chance);
    }
}

/// Takes away what no day brings back: in the heal phase a person raises it.
pub fn raise(settings: &mut Settings, all: bool) {
    settings.budget_session = Budget::NONE;
    settings.budget_sessions.clear();
    if all {
        settings.budget_day = Budget::NONE;
        settings.budget_account_day = Budget::NONE;
        settings.budget_accounts.clear();
    }
}
