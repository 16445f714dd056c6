//! A row and a [`Task`]: each direction once.
//!
//! A row that cannot be turned into a task is a [`BadRow`], never an error of the whole query: one damaged task must not
//! stop the others.

use std::collections::BTreeMap;

use rusqlite::types::FromSql;
use rusqlite::{Connection, Row};
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::task::{Actor, Lifecycle, Priority, ResumeTo, State, Task, TaskId, TaskSpec, Timestamp};

/// The columns of a lifecycle, in the order in which [`life`] reads them.
macro_rules! life_columns {
    () => {
        "t.state, t.generation, t.retries, t.restarts, t.resume, t.pause_reasons, t.resume_to, t.intent, t.not_before, \
         t.outcome, t.started_at, t.finished_at, t.agent"
    };
}

/// A query for whole tasks, to be read by [`task`]; the argument is what follows `FROM`'s joins.
macro_rules! select_tasks {
    ($rest:literal) => {
        concat!(
            "SELECT t.seq, t.id, t.uid, t.created_at, t.slot, ",
            $crate::store::row::life_columns!(),
            ", s.spec, e.vars FROM tasks t LEFT JOIN specs s ON s.task = t.seq LEFT JOIN environments e ON e.env = s.env ",
            $rest
        )
    };
}

pub(super) use {life_columns, select_tasks};

/// A row that is not a task.
#[derive(Debug, Clone)]
pub(super) struct BadRow {
    /// Its `seq`, when even that can be read.
    pub(super) seq: Option<i64>,
    /// Its id, or what stands there.
    pub(super) id: String,
    /// What is wrong.
    pub(super) reason: String,
}

impl From<BadRow> for StoreError {
    fn from(bad: BadRow) -> Self {
        Self::BadRow {
            id: bad.id,
            reason: bad.reason,
        }
    }
}

/// A task that was found damaged and is left out of everything until somebody has looked at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Its id, as far as it can be read.
    pub id: String,
    /// What is wrong.
    pub reason: String,
}

/// Tasks per state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    by_state: BTreeMap<State, u64>,
}

impl Counts {
    /// Tasks in `state`.
    #[must_use]
    pub fn of(&self, state: State) -> u64 {
        self.by_state.get(&state).copied().unwrap_or(0)
    }

    /// All tasks.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_state.values().sum()
    }

    /// Tasks that are not final.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.by_state
            .iter()
            .filter(|(state, _)| !state.is_final())
            .map(|(_, n)| n)
            .sum()
    }

    /// Every state and its number, in the order of the states.
    pub fn iter(&self) -> impl Iterator<Item = (State, u64)> {
        State::ALL.into_iter().map(|state| (state, self.of(state)))
    }
}

/// The counts as they are kept (not counted).
pub(super) fn counts(conn: &Connection) -> Result<Counts, StoreError> {
    let mut statement = conn.prepare_cached("SELECT state, n FROM counts")?;
    let mut rows = statement.query([])?;
    let mut counts = Counts::default();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let n: i64 = row.get(1)?;
        if let Some(state) = State::from_name(&name) {
            counts.by_state.insert(state, n.unsigned_abs());
        }
    }
    Ok(counts)
}

/// Reads a row's columns from left to right; an error is a sentence that names the column.
pub(super) struct Columns<'r> {
    row: &'r Row<'r>,
    next: usize,
}

impl<'r> Columns<'r> {
    /// Begins at column `first`.
    pub(super) const fn from(row: &'r Row<'r>, first: usize) -> Self {
        Self { row, next: first }
    }

    fn take<T: FromSql>(&mut self) -> Result<T, String> {
        let index = self.next;
        self.next += 1;
        self.row
            .get(index)
            .map_err(|error| format!("column {}: {error}", self.name(index)))
    }

    fn take_with<T: FromSql, U, E: std::fmt::Display>(
        &mut self,
        parse: impl FnOnce(T) -> Result<U, E>,
    ) -> Result<U, String> {
        let index = self.next;
        let value = self.take()?;
        parse(value).map_err(|error| format!("column {}: {error}", self.name(index)))
    }

    fn take_json<T: DeserializeOwned>(&mut self) -> Result<T, String> {
        self.take_with(|text: String| serde_json::from_str(&text))
    }

    fn take_optional_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, String> {
        self.take_with(|text: Option<String>| {
            text.map(|text| serde_json::from_str(&text)).transpose()
        })
    }

    fn name(&self, index: usize) -> &str {
        self.row.as_ref().column_name(index).unwrap_or("?")
    }
}

/// Reads what `life_columns!` selects.
pub(super) fn life(columns: &mut Columns<'_>) -> Result<Lifecycle, String> {
    Ok(Lifecycle {
        state: columns.take_with(|name: String| {
            State::from_name(&name).ok_or_else(|| format!("{name:?} is no state"))
        })?,
        generation: columns.take()?,
        retries: columns.take()?,
        restarts: columns.take_json()?,
        resume: columns.take()?,
        pause_reasons: columns.take_json()?,
        resume_to: columns.take_with(|name: String| resume_to(&name))?,
        intent: columns.take_optional_json()?,
        not_before: columns.take::<Option<i64>>()?.map(Timestamp::from_ms),
        outcome: columns.take_optional_json()?,
        started_at: columns.take::<Option<i64>>()?.map(Timestamp::from_ms),
        finished_at: columns.take::<Option<i64>>()?.map(Timestamp::from_ms),
        agent: columns.take_optional_json()?,
    })
}

/// Reads what `select_tasks!` selects.
pub(super) fn task(row: &Row<'_>) -> Result<Task, BadRow> {
    let mut columns = Columns::from(row, 0);
    whole(&mut columns).map_err(|reason| BadRow {
        seq: row.get(0).ok(),
        id: row.get(1).unwrap_or_else(|_| String::from("(unreadable)")),
        reason,
    })
}

fn whole(columns: &mut Columns<'_>) -> Result<Task, String> {
    let seq = columns.take()?;
    let id = columns.take_with(|text: String| text.parse::<TaskId>())?;
    let uid = columns.take()?;
    let created_at = Timestamp::from_ms(columns.take()?);
    let slot = columns.take()?;
    let life = life(columns)?;
    life.check()?;
    let mut spec: TaskSpec = columns.take_json()?;
    spec.env = columns.take_optional_json()?.unwrap_or_default();
    Ok(Task {
        id,
        seq,
        uid,
        created_at,
        spec,
        life,
        slot,
    })
}

/// An environment's variables.
pub(super) fn env(text: rusqlite::Result<String>) -> Result<BTreeMap<String, String>, String> {
    let text = text.map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// The account and model that a task needs, as the queue knows them.
pub(super) fn gate(task: &Task) -> Option<String> {
    task.gate().map(|gate| gate.key())
}

/// The text of `resume_to` in the database.
pub(super) const fn resume_to_name(value: ResumeTo) -> &'static str {
    match value {
        ResumeTo::Pending => "pending",
        ResumeTo::Retrying => "retrying",
        ResumeTo::WaitingUnban => "waiting_unban",
    }
}

fn resume_to(name: &str) -> Result<ResumeTo, String> {
    [
        ResumeTo::Pending,
        ResumeTo::Retrying,
        ResumeTo::WaitingUnban,
    ]
    .into_iter()
    .find(|value| resume_to_name(*value) == name)
    .ok_or_else(|| format!("{name:?} is no way to go on"))
}

/// The number of a priority in the database: a higher one goes first.
pub(super) const fn priority_rank(priority: Priority) -> i64 {
    match priority {
        Priority::Low => 0,
        Priority::Normal => 1,
        Priority::High => 2,
        Priority::Urgent => 3,
    }
}

/// The text of an actor in the database.
pub(super) fn actor_text(actor: Actor) -> String {
    match actor {
        Actor::Daemon => String::from("daemon"),
        Actor::Worker => String::from("worker"),
        Actor::User(uid) => format!("user:{uid}"),
    }
}

/// The actor of a journal record.
pub(super) fn actor(text: &str) -> Result<Actor, String> {
    match text {
        "daemon" => Ok(Actor::Daemon),
        "worker" => Ok(Actor::Worker),
        _ => text
            .strip_prefix("user:")
            .and_then(|uid| uid.parse().ok())
            .map(Actor::User)
            .ok_or_else(|| format!("{text:?} is no actor")),
    }
}

/// JSON of a value of ours.
pub(super) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our types have string keys and no failing serializers")
}

/// Runs a query of `select_tasks!`; the rows in order, the damaged ones as such.
pub(super) fn read_tasks(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<Result<Task, BadRow>>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut tasks = Vec::new();
    while let Some(row) = rows.next()? {
        tasks.push(task(row));
    }
    Ok(tasks)
}

/// One task by id.
pub(super) fn task_by_id(conn: &Connection, id: &TaskId) -> Result<Option<Task>, StoreError> {
    one(read_tasks(
        conn,
        select_tasks!("WHERE t.id = ?1"),
        [id.as_str()],
    )?)
}

/// A task that was read before and whose specification has not changed since: reading that is most of the work.
#[cfg(feature = "sim")]
pub(super) fn task_again(conn: &Connection, before: &Task) -> Result<Option<Task>, StoreError> {
    use rusqlite::OptionalExtension as _;
    let mut statement = conn.prepare_cached(concat!(
        "SELECT t.slot, ",
        life_columns!(),
        " FROM tasks t WHERE t.id = ?1"
    ))?;
    let read = statement
        .query_row([before.id.as_str()], |row| {
            Ok((row.get(0)?, life(&mut Columns::from(row, 1))))
        })
        .optional()?;
    let Some((slot, life)) = read else {
        return Ok(None);
    };
    let bad = |reason| StoreError::BadRow {
        id: before.id.to_string(),
        reason,
    };
    let life = life.map_err(bad)?;
    life.check().map_err(bad)?;
    Ok(Some(Task {
        id: before.id.clone(),
        spec: before.spec.clone(),
        life,
        slot,
        ..*before
    }))
}

/// One task by number.
pub(super) fn task_by_seq(
    conn: &Connection,
    seq: i64,
) -> Result<Option<Result<Task, BadRow>>, StoreError> {
    Ok(read_tasks(conn, select_tasks!("WHERE t.seq = ?1"), [seq])?.pop())
}

fn one(mut rows: Vec<Result<Task, BadRow>>) -> Result<Option<Task>, StoreError> {
    Ok(rows.pop().transpose()?)
}

/// A value of `meta`.
pub(super) fn meta(conn: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    use rusqlite::OptionalExtension as _;
    let mut statement = conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}
