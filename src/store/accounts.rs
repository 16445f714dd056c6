//! Accounts of agents and the ledger of what their runs cost. What an account's texts mean is the supervisor's matter.

use rusqlite::{Connection, params};

use super::budgets::type_name;
use super::{Reader, StoreError, Tx};
use crate::task::{AttemptId, Gate, Report, State, TaskType, Timestamp, Tokens};

/// An account as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Its agent.
    pub agent: String,
    /// Its name, unique for the agent.
    pub name: String,
    /// How it is reached: JSON.
    pub spec: String,
    /// What is known of its limits: JSON.
    pub state: String,
}

/// What one run of an agent cost.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerRow {
    /// The attempt.
    pub attempt: AttemptId,
    /// When it was committed.
    pub at: Timestamp,
    /// Who asked for the task.
    pub uid: u32,
    /// The task's directory.
    pub project: String,
    /// The agent.
    pub agent: String,
    /// The account.
    pub account: String,
    /// The model; empty where nobody said it.
    pub model: String,
    /// Millionths of a US dollar; `None` = nobody knows.
    pub micro_usd: Option<u64>,
    /// Reckoned, not told by the agent.
    pub estimated: bool,
    /// All models' tokens.
    pub tokens: Tokens,
    /// How long it ran.
    pub run_ms: u64,
    /// The task's type.
    pub task_type: TaskType,
    /// How many chunks the task has; 1 = none.
    pub chunks: u32,
    /// The task was completed with it.
    pub done: bool,
    /// What it was allowed to cost; `None` = nothing limited it.
    pub allowed_micro_usd: Option<u64>,
}

impl LedgerRow {
    /// All models' tokens of a report.
    #[must_use]
    pub fn tokens_of(report: &Report) -> Tokens {
        report
            .tokens
            .values()
            .fold(Tokens::default(), |sum, one| Tokens {
                input: sum.input.saturating_add(one.input),
                output: sum.output.saturating_add(one.output),
                cache_read: sum.cache_read.saturating_add(one.cache_read),
                cache_write: sum.cache_write.saturating_add(one.cache_write),
            })
    }
}

/// By what the ledger is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostBy {
    /// Task.
    Task,
    /// Directory.
    Project,
    /// Local user.
    User,
    /// Agent and account.
    Account,
    /// Model.
    Model,
    /// Day, UTC.
    Day,
}

impl CostBy {
    const fn expression(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Project => "project",
            Self::User => "CAST(uid AS TEXT)",
            Self::Account => "agent || '/' || account",
            Self::Model => "model",
            Self::Day => "date(at / 1000, 'unixepoch')",
        }
    }
}

/// A sum over runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CostSum {
    /// What they have in common; empty for the sum of all.
    pub group: String,
    /// Runs.
    pub runs: u64,
    /// Runs whose cost nobody knows: the sum is at least this much.
    pub unknown: u64,
    /// Runs whose cost was reckoned.
    pub estimated: u64,
    /// Millionths of a US dollar, of those that are known.
    pub micro_usd: u64,
    /// Tokens.
    pub tokens: Tokens,
    /// Time.
    pub run_ms: u64,
}

/// Most groups of one answer, the most expensive ones.
const GROUPS_MAX: u32 = 1_000;

impl Tx<'_> {
    /// All accounts that are kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        accounts(self.conn)
    }

    /// Keeps an account as it now is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_account(&self, row: &AccountRow) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "INSERT INTO accounts (agent, name, spec, state) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (agent, name) DO UPDATE SET spec = excluded.spec, state = excluded.state",
            )?
            .execute([&row.agent, &row.name, &row.spec, &row.state])?;
        Ok(())
    }

    /// Forgets an account. Whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn delete_account(&self, agent: &str, name: &str) -> Result<bool, StoreError> {
        let deleted = self
            .conn
            .prepare_cached("DELETE FROM accounts WHERE agent = ?1 AND name = ?2")?
            .execute([agent, name])?;
        Ok(deleted > 0)
    }

    /// Whether an unfinished task needs this account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn account_is_needed(&self, agent: &str, name: &str) -> Result<bool, StoreError> {
        let (from, to) = keys_of(agent, name);
        Ok(self
            .conn
            .prepare_cached(
                "SELECT 1 FROM tasks WHERE gate IS NOT NULL AND finished_at IS NULL AND gate >= ?1 AND gate < ?2",
            )?
            .exists([from, to])?)
    }

    /// Notes what a run cost. Noted again, it is the same row.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_to_ledger(&self, row: &LedgerRow) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "INSERT OR IGNORE INTO ledger (task, attempt, at, uid, project, agent, account, model, micro_usd, estimated, \
                 tokens_input, tokens_output, tokens_cache_read, tokens_cache_write, run_ms, type, chunks, done, allowed_micro_usd) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
            )?
            .execute(params![
                row.attempt.task.as_str(),
                row.attempt.generation,
                row.at.as_ms(),
                row.uid,
                row.project,
                row.agent,
                row.account,
                row.model,
                row.micro_usd.map(signed),
                row.estimated,
                signed(row.tokens.input),
                signed(row.tokens.output),
                signed(row.tokens.cache_read),
                signed(row.tokens.cache_write),
                signed(row.run_ms),
                type_name(row.task_type),
                row.chunks.max(1),
                row.done,
                row.allowed_micro_usd.map(signed),
            ])?;
        Ok(())
    }

    /// The known cost of all runs since `since`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn cost_since(&self, since: Timestamp) -> Result<CostSum, StoreError> {
        let sums = sums(self.conn, "''", since, None)?;
        Ok(sums.into_iter().next().unwrap_or_default())
    }
}

impl Reader {
    /// All accounts that are kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        accounts(self.connection())
    }

    /// Unfinished tasks by the account and model they need, and by state.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn waiting_at_gates(&self) -> Result<Vec<(Gate, State, u64)>, StoreError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT gate, state, count(*) FROM tasks WHERE gate IS NOT NULL AND finished_at IS NULL GROUP BY gate, state",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, i64>(2)?.unsigned_abs(),
            ))
        })?;
        let mut waiting = Vec::new();
        for row in rows {
            let (gate, state, count) = row?;
            if let (Some(gate), Some(state)) = (Gate::from_key(&gate), State::from_name(&state)) {
                waiting.push((gate, state, count));
            }
        }
        Ok(waiting)
    }

    /// Costs since `since`, summed up, the most expensive first; of one task only, when one is named.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn costs(
        &self,
        by: CostBy,
        since: Timestamp,
        task: Option<&str>,
    ) -> Result<Vec<CostSum>, StoreError> {
        sums(self.connection(), by.expression(), since, task)
    }
}

/// The keys of an account's gates: from the first up to, and without, the second.
fn keys_of(agent: &str, name: &str) -> (String, String) {
    // `0` follows `/`, which ends the account's part of a key.
    (format!("{agent}/{name}/"), format!("{agent}/{name}0"))
}

fn accounts(conn: &Connection) -> Result<Vec<AccountRow>, StoreError> {
    let mut statement =
        conn.prepare_cached("SELECT agent, name, spec, state FROM accounts ORDER BY agent, name")?;
    let rows = statement.query_map([], |row| {
        Ok(AccountRow {
            agent: row.get(0)?,
            name: row.get(1)?,
            spec: row.get(2)?,
            state: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// `total()` and not `sum()`: it cannot overflow. Exact up to 2^53 millionths of a dollar.
fn sums(
    conn: &Connection,
    group: &str,
    since: Timestamp,
    task: Option<&str>,
) -> Result<Vec<CostSum>, StoreError> {
    let sql = format!(
        "SELECT {group}, count(*), count(*) - count(micro_usd), total(estimated), total(micro_usd), total(tokens_input), \
         total(tokens_output), total(tokens_cache_read), total(tokens_cache_write), total(run_ms) \
         FROM ledger WHERE at >= ?1 AND (?2 IS NULL OR task = ?2) GROUP BY 1 ORDER BY 5 DESC, 1 LIMIT {GROUPS_MAX}"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map(params![since.as_ms(), task], |row| {
        Ok(CostSum {
            group: row.get(0)?,
            runs: row.get::<_, i64>(1)?.unsigned_abs(),
            unknown: row.get::<_, i64>(2)?.unsigned_abs(),
            estimated: whole(row.get(3)?),
            micro_usd: whole(row.get(4)?),
            tokens: Tokens {
                input: whole(row.get(5)?),
                output: whole(row.get(6)?),
                cache_read: whole(row.get(7)?),
                cache_write: whole(row.get(8)?),
            },
            run_ms: whole(row.get(9)?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from a float saturates, and no sum of the ledger is negative"
)]
pub(super) fn whole(sum: f64) -> u64 {
    sum as u64
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
