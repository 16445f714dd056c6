//! What budgets need of the ledger: what was used within a scope, what running attempts may use, what like tasks have
//! used. Which scopes a budget has, and what follows, is the supervisor's matter.

use rusqlite::{Connection, OptionalExtension as _, ToSql, params};

use super::accounts::{signed, whole};
use super::{Reader, StoreError, Tx};
use crate::budget::{Amounts, Budget, Rate, Sample, Scope, Tokens};
use crate::task::{AttemptId, TaskId, TaskType, Timestamp};

/// What a running attempt may use up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The attempt.
    pub attempt: AttemptId,
    /// When it was claimed.
    pub at: Timestamp,
    /// The task's directory.
    pub project: String,
    /// The agent.
    pub agent: String,
    /// The account.
    pub account: String,
    /// How much.
    pub share: Budget,
}

/// What ended runs have used within a scope.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// How much; a run of unknown cost counts with what it was allowed.
    pub amounts: Amounts,
    /// Runs whose cost nobody knows.
    pub unknown: u64,
}

/// Which finished tasks are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Like {
    /// The agent.
    pub agent: String,
    /// The model; `None` = any.
    pub model: Option<String>,
    /// The type.
    pub task_type: TaskType,
    /// The directory.
    pub project: String,
}

/// Finished tasks that a forecast looks at, the newest ones.
const SAMPLES_MAX: u32 = 500;
/// Sessions of one answer, those used last.
const SESSIONS_MAX: u32 = 200;
/// Runs of a model that say what its tokens cost, the newest ones.
const RATE_RUNS_MAX: u32 = 50;
/// Tasks of one answer.
const TASKS_MAX: u32 = 1_000;

const USED: &str = "SELECT total(coalesce(micro_usd, allowed_micro_usd, 0)), \
     total(tokens_input + tokens_output + tokens_cache_read + tokens_cache_write), total(run_ms), \
     count(*) - count(micro_usd) FROM ledger WHERE at >= ?1";
const RESERVED: &str =
    "SELECT total(micro_usd), total(tokens), total(run_ms) FROM reservations WHERE true";

/// The ledger and the reservations, as one transaction or one reader sees them.
#[derive(Debug, Clone, Copy)]
pub struct Ledger<'c> {
    conn: &'c Connection,
}

impl Tx<'_> {
    /// The ledger, as this transaction sees it.
    #[must_use]
    pub const fn ledger(&self) -> Ledger<'_> {
        Ledger { conn: self.conn }
    }

    /// Notes what an attempt may use up. Noted again, it is replaced.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reserve(&self, row: &Reservation) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO reservations (task, attempt, at, project, agent, account, micro_usd, tokens, run_ms) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                row.attempt.task.as_str(),
                row.attempt.generation,
                row.at.as_ms(),
                row.project,
                row.agent,
                row.account,
                row.share.micro_usd.map(signed),
                row.share.tokens.map(signed),
                row.share.run_ms.map(signed),
            ])?;
        Ok(())
    }

    /// Forgets what an attempt may use up; what that was, if anything.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn release(&self, attempt: &AttemptId) -> Result<Option<Budget>, StoreError> {
        Ok(self
            .conn
            .prepare_cached(
                "DELETE FROM reservations WHERE task = ?1 AND attempt = ?2 RETURNING micro_usd, tokens, run_ms",
            )?
            .query_row(params![attempt.task.as_str(), attempt.generation], |row| {
                share(row, 0)
            })
            .optional()?)
    }

    /// Forgets the reservations of attempts that no task holds a slot for: of a task that was set aside or deleted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn release_strays(&self) -> Result<u64, StoreError> {
        let gone = self
            .conn
            .prepare_cached(
                "DELETE FROM reservations WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = reservations.task \
                 AND t.generation = reservations.attempt AND t.slot IS NOT NULL)",
            )?
            .execute([])?;
        Ok(gone as u64)
    }
}

impl Reader {
    /// The ledger, as it now is.
    #[must_use]
    pub const fn ledger(&self) -> Ledger<'_> {
        Ledger {
            conn: self.connection(),
        }
    }
}

impl Ledger<'_> {
    /// What runs have used within `scope` that were committed since `since`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn used(&self, scope: &Scope, since: Timestamp) -> Result<Used, StoreError> {
        let (condition, names) = condition(scope, 2);
        let mut statement = self.conn.prepare_cached(&format!("{USED}{condition}"))?;
        let since = since.as_ms();
        let mut values: Vec<&dyn ToSql> = vec![&since];
        values.extend(names.iter().map(|name| name as &dyn ToSql));
        Ok(statement.query_row(values.as_slice(), |row| {
            Ok(Used {
                amounts: amounts(row)?,
                unknown: row.get::<_, i64>(3)?.unsigned_abs(),
            })
        })?)
    }

    /// What running attempts may use within `scope`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reserved(&self, scope: &Scope) -> Result<Amounts, StoreError> {
        let (condition, names) = condition(scope, 1);
        let mut statement = self
            .conn
            .prepare_cached(&format!("{RESERVED}{condition}"))?;
        Ok(statement.query_row(rusqlite::params_from_iter(names), amounts)?)
    }

    /// What this attempt may use up; `None` = nothing limits it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reservation(&self, attempt: &AttemptId) -> Result<Option<Budget>, StoreError> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT micro_usd, tokens, run_ms FROM reservations WHERE task = ?1 AND attempt = ?2",
            )?
            .query_row(params![attempt.task.as_str(), attempt.generation], |row| {
                share(row, 0)
            })
            .optional()?)
    }

    /// Directories in which agents have run or run now, those of the last runs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sessions(&self) -> Result<Vec<String>, StoreError> {
        self.names(
            "SELECT project FROM (SELECT project, at FROM ledger UNION ALL SELECT project, at FROM reservations) \
             GROUP BY project ORDER BY max(at) DESC, project LIMIT ?1",
            SESSIONS_MAX,
        )
    }

    /// Tasks that may have a budget of their own that somebody should see: those that run, and those that are paused for
    /// money.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tasks_with_budgets(&self) -> Result<Vec<TaskId>, StoreError> {
        let ids = self.names(
            "SELECT id FROM (SELECT t.id, t.seq FROM tasks t JOIN reservations r ON r.task = t.id \
             UNION SELECT id, seq FROM tasks WHERE state = 'paused' AND instr(pause_reasons, '\"budget\"') > 0) \
             ORDER BY seq LIMIT ?1",
            TASKS_MAX,
        )?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    fn names(&self, sql: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map([limit], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// What runs of a model have cost for their tokens, as they told it themselves.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rate(&self, agent: &str, model: &str) -> Result<Rate, StoreError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT total(micro_usd), total(tokens_input), total(tokens_output), total(tokens_cache_read), \
             total(tokens_cache_write) FROM (SELECT * FROM ledger WHERE agent = ?1 AND model = ?2 AND micro_usd > 0 \
             AND estimated = 0 ORDER BY at DESC LIMIT ?3)",
        )?;
        Ok(
            statement.query_row(params![agent, model, RATE_RUNS_MAX], |row| {
                Ok(Rate {
                    micro_usd: whole(row.get(0)?),
                    tokens: Tokens {
                        input: whole(row.get(1)?),
                        output: whole(row.get(2)?),
                        cache_read: whole(row.get(3)?),
                        cache_write: whole(row.get(4)?),
                    },
                })
            })?,
        )
    }

    /// What completed tasks like this one have used, each per chunk, the newest first. One of which a part of the cost is
    /// unknown says nothing, and is left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn samples(&self, like: &Like) -> Result<Vec<Sample>, StoreError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT total(l.micro_usd) / d.chunks, \
             (total(l.tokens_input) + total(l.tokens_output) + total(l.tokens_cache_read) + total(l.tokens_cache_write)) / d.chunks, \
             total(l.run_ms) / d.chunks, d.type = ?3, d.project = ?4 \
             FROM ledger d JOIN ledger l ON l.task = d.task \
             WHERE d.done = 1 AND d.agent = ?1 AND (?2 IS NULL OR d.model = ?2) \
             GROUP BY d.task, d.attempt HAVING count(*) = count(l.micro_usd) ORDER BY d.at DESC LIMIT ?5",
        )?;
        let type_name = type_name(like.task_type);
        let rows = statement.query_map(
            params![like.agent, like.model, type_name, like.project, SAMPLES_MAX],
            |row| {
                Ok(Sample {
                    used: amounts(row)?,
                    same_type: row.get(3)?,
                    same_project: row.get(4)?,
                })
            },
        )?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// The text of a type in the ledger: as in the submission.
pub(super) const fn type_name(task_type: TaskType) -> &'static str {
    match task_type {
        TaskType::Lightweight => "lightweight",
        TaskType::MediumContext => "medium_context",
        TaskType::HeavyContext => "heavy_context",
    }
}

/// What a row must have to be in `scope`, and the values for it, the first one numbered `from`.
fn condition(scope: &Scope, from: usize) -> (String, Vec<String>) {
    match scope {
        Scope::Task { id } => (format!(" AND task = ?{from}"), vec![id.clone()]),
        Scope::Session { project } => (format!(" AND project = ?{from}"), vec![project.clone()]),
        Scope::Account { agent, name } => (
            format!(" AND agent = ?{from} AND account = ?{}", from + 1),
            vec![agent.clone(), name.clone()],
        ),
        Scope::Day => (String::new(), Vec::new()),
    }
}

/// The first three columns: sums.
fn amounts(row: &rusqlite::Row<'_>) -> rusqlite::Result<Amounts> {
    Ok(Amounts {
        micro_usd: whole(row.get(0)?),
        tokens: whole(row.get(1)?),
        run_ms: whole(row.get(2)?),
    })
}

/// Three columns from `first` on: a share.
fn share(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Budget> {
    let limit = |column: usize| -> rusqlite::Result<Option<u64>> {
        Ok(row
            .get::<_, Option<i64>>(first + column)?
            .map(i64::unsigned_abs))
    };
    Ok(Budget {
        micro_usd: limit(0)?,
        tokens: limit(1)?,
        run_ms: limit(2)?,
    })
}
