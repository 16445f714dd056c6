//! Which budgets there are, by the settings and the tasks, and where each stands by the ledger. What follows from that is
//! the room `budget`'s matter; the handler acts on it, and the doors show it.

use crate::budget::{Budget, Level, Scope, Standing, named};
use crate::config::Settings;
use crate::store::{Ledger, StoreError};
use crate::task::{Prompt, Task, Timestamp};

const DAY_MS: i64 = 86_400_000;

/// A budget and since when it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// What it is about.
    pub scope: Scope,
    /// How much.
    pub limit: Budget,
    /// Runs that were committed earlier do not count.
    pub since: Timestamp,
}

/// Where a budget stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The budget.
    pub of: Limited,
    /// Where it stands.
    pub standing: Standing,
    /// Runs whose cost nobody knows: they count with what they were allowed.
    pub unknown_runs: u64,
}

impl Line {
    /// What there is to say of it: `today's budget is used to 84 % ($8.40 of $10.00)`.
    #[must_use]
    pub fn words(&self) -> String {
        let Some((measure, percent)) = self.standing.fullest() else {
            return self.of.scope.to_string();
        };
        let limit = self.standing.limit.get(measure).unwrap_or(0);
        let of = format!(
            "{} of {}",
            named(measure, self.standing.used.get(measure)),
            named(measure, limit)
        );
        let scope = &self.of.scope;
        if self.standing.level() == Level::UsedUp {
            format!("{scope} is used up ({of}): {}", scope.advice())
        } else {
            format!("{scope} is used to {percent} % ({of})")
        }
    }
}

/// When the day of `now` began (UTC).
#[must_use]
pub fn day_of(now: Timestamp) -> Timestamp {
    Timestamp::from_ms(now.as_ms().div_euclid(DAY_MS) * DAY_MS)
}

/// When a budget begins anew; `None` = never.
#[must_use]
pub fn resets_at(of: &Limited) -> Option<Timestamp> {
    of.scope.is_daily().then(|| of.since.plus_ms(DAY_MS))
}

/// The budgets that concern a task. None for a plain command.
#[must_use]
pub fn of_task(settings: &Settings, task: &Task, now: Timestamp) -> Vec<Limited> {
    let Some(prompt) = task.prompt_there() else {
        return Vec::new();
    };
    let own = Limited {
        scope: Scope::Task {
            id: task.id.to_string(),
        },
        limit: prompt.budget(),
        since: ever(),
    };
    let project = task.spec.cwd.to_string_lossy().into_owned();
    let shared = [
        of_session(settings, project),
        of_account(settings, &prompt.agent, &prompt.account, now),
        of_day(settings, now),
    ];
    std::iter::once(own)
        .chain(shared)
        .filter(|limited| !limited.limit.is_none())
        .collect()
}

/// Whether a budget limits the tokens of a task.
#[must_use]
pub fn counts_tokens(settings: &Settings, task: &Task) -> bool {
    of_task(settings, task, ever())
        .iter()
        .any(|limited| limited.limit.tokens.is_some())
}

fn of_session(settings: &Settings, project: String) -> Limited {
    let named = settings
        .budget_sessions
        .iter()
        .find(|entry| entry.name == project);
    Limited {
        limit: named.map_or(settings.budget_session, |entry| entry.budget),
        scope: Scope::Session { project },
        since: ever(),
    }
}

fn of_account(settings: &Settings, agent: &str, account: &str, now: Timestamp) -> Limited {
    let named = settings
        .budget_accounts
        .iter()
        .find(|entry| is_account(&entry.name, agent, account));
    Limited {
        scope: Scope::Account {
            agent: agent.to_owned(),
            name: account.to_owned(),
        },
        limit: named.map_or(settings.budget_account_day, |entry| entry.budget),
        since: day_of(now),
    }
}

fn of_day(settings: &Settings, now: Timestamp) -> Limited {
    Limited {
        scope: Scope::Day,
        limit: settings.budget_day,
        since: day_of(now),
    }
}

/// `AGENT/ACCOUNT`, or the account alone for the agent of prompts that name none.
fn is_account(name: &str, agent: &str, account: &str) -> bool {
    match name.split_once('/') {
        Some((of, name)) => of == agent && name == account,
        None => agent == Prompt::DEFAULT_AGENT && name == account,
    }
}

fn ever() -> Timestamp {
    Timestamp::from_ms(Timestamp::MIN_MS)
}

/// Where a budget stands; `sharers` may take parts of what is free.
///
/// # Errors
/// When the ledger cannot be read.
pub fn line(ledger: Ledger<'_>, of: Limited, sharers: u32) -> Result<Line, StoreError> {
    let used = ledger.used(&of.scope, of.since)?;
    let standing = Standing {
        limit: of.limit,
        used: used.amounts,
        reserved: ledger.reserved(&of.scope)?,
        sharers,
    };
    Ok(Line {
        of,
        standing,
        unknown_runs: used.unknown,
    })
}

/// Where the budgets stand that concern a probe of the daemon's own.
///
/// # Errors
/// When the ledger cannot be read.
pub fn lines_of_probe(
    settings: &Settings,
    ledger: Ledger<'_>,
    (agent, account): (&str, &str),
    now: Timestamp,
) -> Result<Vec<Line>, StoreError> {
    let shared = [
        of_account(settings, agent, account, now),
        of_day(settings, now),
    ];
    let limited = shared.into_iter().filter(|of| !of.limit.is_none());
    limited.map(|of| line(ledger, of, 1)).collect()
}

/// Where the budgets of a task stand, when `slots` are free for others of its kind.
///
/// # Errors
/// When the ledger cannot be read.
pub fn lines_of(
    settings: &Settings,
    ledger: Ledger<'_>,
    task: &Task,
    slots: u32,
    now: Timestamp,
) -> Result<Vec<Line>, StoreError> {
    let alone_in_its_directory = task
        .spec
        .exclusive
        .as_deref()
        .is_some_and(|lane| lane.starts_with(Prompt::LANE_OF_DIRECTORY));
    of_task(settings, task, now)
        .into_iter()
        .map(|of| {
            let sharers = match &of.scope {
                Scope::Task { .. } => 1,
                Scope::Session { .. } if alone_in_its_directory => 1,
                Scope::Session { .. } | Scope::Account { .. } | Scope::Day => slots,
            };
            line(ledger, of, sharers)
        })
        .collect()
}

/// Where every budget of the settings stands: the day's, those of accounts and of sessions that have been used.
///
/// # Errors
/// When the ledger cannot be read.
pub fn of_settings(
    settings: &Settings,
    ledger: Ledger<'_>,
    accounts: impl IntoIterator<Item = (String, String)>,
    now: Timestamp,
) -> Result<Vec<Line>, StoreError> {
    let mut all = vec![of_day(settings, now)];
    all.extend(
        accounts
            .into_iter()
            .map(|(agent, name)| of_account(settings, &agent, &name, now)),
    );
    if !(settings.budget_session.is_none() && settings.budget_sessions.is_empty()) {
        let mut projects = ledger.sessions()?;
        let named = settings.budget_sessions.iter();
        projects.extend(named.map(|entry| entry.name.clone()));
        projects.sort_unstable();
        projects.dedup();
        all.extend(
            projects
                .into_iter()
                .map(|project| of_session(settings, project)),
        );
    }
    all.into_iter()
        .filter(|limited| !limited.limit.is_none())
        .map(|limited| line(ledger, limited, 1))
        .collect()
}

/// Accounts that may have a budget: those that are kept, those that the settings name, and the agents' own logins.
#[must_use]
pub fn accounts(
    settings: &Settings,
    kept: impl IntoIterator<Item = (String, String)>,
) -> Vec<(String, String)> {
    let named = settings.budget_accounts.iter().map(|entry| {
        let (agent, name) = entry
            .name
            .split_once('/')
            .unwrap_or((Prompt::DEFAULT_AGENT, &entry.name));
        (agent.to_owned(), name.to_owned())
    });
    let own = (
        Prompt::DEFAULT_AGENT.to_owned(),
        Prompt::DEFAULT_ACCOUNT.to_owned(),
    );
    let mut all: Vec<_> = kept.into_iter().chain(named).chain([own]).collect();
    all.sort_unstable();
    all.dedup();
    all
}
