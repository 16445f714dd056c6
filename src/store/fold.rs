//! Folding journals: a task's row must be what its journal says. What is not is set aside, and the rest goes on.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _};

use super::queue;
use super::row::{self, BadRow, Columns};
use super::{SetAside, StoreError};
use crate::task::{Event, Lifecycle, State, TaskSpec, Timestamp};

/// A start folds at most this many journals (some 0.3 s): tasks that hold a slot first, then in the order of submission. A
/// task to which nothing has happened but its submission needs none. `check` folds all.
const START_FOLDS_MAX: usize = 10_000;

/// Tasks that hold a slot.
pub(super) const RUNNING: &str =
    "SELECT seq FROM tasks WHERE slot IS NOT NULL AND aside = 0 LIMIT ?1";
/// Unfinished tasks to which more has happened than their submission.
pub(super) const MOVED: &str =
    "SELECT seq FROM tasks WHERE events > 1 AND finished_at IS NULL ORDER BY seq LIMIT ?1";

/// What the start has found.
pub(super) struct Folded {
    pub(super) set_aside: Vec<SetAside>,
    pub(super) left_out: u64,
}

/// Folds the journals of unfinished tasks to which something has happened, and again those that were set aside: a newer
/// program, or a repair, may be able to read them.
pub(super) fn at_start(conn: &mut Connection) -> Result<Folded, StoreError> {
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let numbers = |sql: &str| -> Result<Vec<i64>, StoreError> {
        let mut statement = tx.prepare(sql)?;
        let rows = statement.query_map([START_FOLDS_MAX as u64 as i64], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    };
    let known: BTreeSet<i64> = numbers("SELECT task FROM set_aside LIMIT ?1")?
        .into_iter()
        .collect();
    let running = numbers(RUNNING)?;
    let moved = numbers(MOVED)?;
    let all_moved: i64 = tx.query_row(
        "SELECT count(*) FROM tasks WHERE events > 1 AND finished_at IS NULL",
        [],
        |row| row.get(0),
    )?;

    for seq in known.iter().chain(
        running
            .iter()
            .chain(&moved)
            .filter(|seq| !known.contains(seq)),
    ) {
        match verify(&tx, *seq)? {
            // A fold does not look at everything that makes a task: its environment, for one.
            Some(Ok(_)) if known.contains(seq) => match row::task_by_seq(&tx, *seq)? {
                Some(Err(bad)) => put_aside(&tx, &bad)?,
                Some(Ok(_)) | None => take_back(&tx, *seq)?,
            },
            Some(Ok(_)) | None => {}
            Some(Err(bad)) => put_aside(&tx, &bad)?,
        }
    }
    let set_aside = list(&tx)?;
    tx.commit()?;
    Ok(Folded {
        set_aside,
        left_out: all_moved.unsigned_abs().saturating_sub(moved.len() as u64),
    })
}

/// Everything that is set aside.
pub(super) fn list(conn: &Connection) -> Result<Vec<SetAside>, StoreError> {
    let mut statement = conn.prepare("SELECT id, reason FROM set_aside ORDER BY task")?;
    let rows = statement.query_map([], |row| {
        Ok(SetAside {
            id: row.get(0)?,
            reason: row.get(1)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Leaves a damaged task out of everything from now on. Nothing of it is changed or deleted.
pub(super) fn put_aside(conn: &Connection, bad: &BadRow) -> Result<(), StoreError> {
    let Some(seq) = bad.seq else {
        return Ok(());
    };
    let lane: Option<String> = conn
        .query_row("SELECT exclusive FROM tasks WHERE seq = ?1", [seq], |row| {
            row.get(0)
        })
        .unwrap_or_default();
    // The damage itself may break a rule of the table; that must not keep us from marking it.
    conn.pragma_update(None, "ignore_check_constraints", true)?;
    let marked = conn.execute("UPDATE tasks SET aside = 1, turn = 0 WHERE seq = ?1", [seq]);
    conn.pragma_update(None, "ignore_check_constraints", false)?;
    match marked.map_err(StoreError::from) {
        // A value of the wrong type cannot even be marked; whoever reads the row leaves it out.
        Ok(_) | Err(StoreError::Refused(_)) => {}
        Err(error) => return Err(error),
    }
    conn.execute(
        "INSERT INTO set_aside (task, id, reason) VALUES (?1, ?2, ?3) \
         ON CONFLICT (task) DO UPDATE SET id = excluded.id, reason = excluded.reason",
        (seq, &bad.id, &bad.reason),
    )?;
    lane.map_or(Ok(()), |lane| queue::settle_lane(conn, &lane))
}

/// Puts a task back that is sound again. It stays aside when its slot or lane is taken.
fn take_back(conn: &Connection, seq: i64) -> Result<(), StoreError> {
    let marked = conn.execute(
        "UPDATE tasks SET aside = 0, turn = CASE WHEN unmet > 0 OR state NOT IN ('pending', 'retrying') THEN 0 \
         WHEN not_before IS NOT NULL THEN 1 WHEN exclusive IS NOT NULL THEN 2 ELSE 3 END WHERE seq = ?1",
        [seq],
    );
    match marked.map_err(StoreError::from) {
        Err(StoreError::Refused(_)) => return Ok(()),
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    conn.execute("DELETE FROM set_aside WHERE task = ?1", [seq])?;
    let lane: Option<String> =
        conn.query_row("SELECT exclusive FROM tasks WHERE seq = ?1", [seq], |row| {
            row.get(0)
        })?;
    lane.map_or(Ok(()), |lane| queue::settle_lane(conn, &lane))
}

/// Folds one task's journal and compares the result with its row. `None` when there is no such task; otherwise the
/// number of its events, or what is wrong.
pub(super) fn verify(
    conn: &Connection,
    seq: i64,
) -> Result<Option<Result<u64, BadRow>>, StoreError> {
    let mut statement = conn.prepare_cached(concat!(
        "SELECT t.id, t.events, t.slot, s.spec, t.name, t.priority, t.exclusive, ",
        row::life_columns!(),
        " FROM tasks t LEFT JOIN specs s ON s.task = t.seq WHERE t.seq = ?1"
    ))?;
    let mut id = String::from("(unreadable)");
    let compared = statement
        .query_row([seq], |row| {
            id = row.get(0).unwrap_or_else(|_| id.clone());
            Ok(kept(row).and_then(|kept| kept.matches(conn, seq)))
        })
        .optional()?;
    match compared {
        None => Ok(None),
        Some(Ok(events)) => Ok(Some(Ok(events))),
        Some(Err(Mismatch::Store(error))) => Err(error),
        Some(Err(Mismatch::Row(reason))) => Ok(Some(Err(BadRow {
            seq: Some(seq),
            id,
            reason,
        }))),
    }
}

enum Mismatch {
    Row(String),
    Store(StoreError),
}

impl From<String> for Mismatch {
    fn from(reason: String) -> Self {
        Self::Row(reason)
    }
}

impl From<rusqlite::Error> for Mismatch {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What the row says.
struct Kept {
    events: u64,
    slot: Option<u32>,
    life: Lifecycle,
}

fn kept(row: &rusqlite::Row<'_>) -> Result<Kept, Mismatch> {
    let said = |error: rusqlite::Error| Mismatch::Row(error.to_string());
    let events: i64 = row.get(1).map_err(said)?;
    let text: String = row.get(3).map_err(said)?;
    let spec: TaskSpec =
        serde_json::from_str(&text).map_err(|error| format!("column spec: {error}"))?;
    let copies: (String, i64, Option<String>) = (
        row.get(4).map_err(said)?,
        row.get(5).map_err(said)?,
        row.get(6).map_err(said)?,
    );
    if copies != (spec.name, row::priority_rank(spec.priority), spec.exclusive) {
        return Err(
            String::from("name, priority or exclusive differ from the specification").into(),
        );
    }
    let life = row::life(&mut Columns::from(row, 7))?;
    life.check()?;
    Ok(Kept {
        events: events.unsigned_abs(),
        slot: row.get(2).map_err(said)?,
        life,
    })
}

impl Kept {
    fn matches(self, conn: &Connection, seq: i64) -> Result<u64, Mismatch> {
        let (journal, slot) = journal(conn, seq)?;
        if journal.len() as u64 != self.events {
            return Err(format!(
                "the row counts {} events, the journal has {}",
                self.events,
                journal.len()
            )
            .into());
        }
        let folded = Lifecycle::fold(journal).map_err(|error| with_sources(&error))?;
        if folded != self.life {
            return Err(format!(
                "the row is not the fold of its journal ({}, not {})",
                state(&self.life),
                state(&folded)
            )
            .into());
        }
        if self.slot != slot.filter(|_| folded.state.holds_slot()) {
            return Err(String::from("the slot is not the one of the last claim").into());
        }
        Ok(self.events)
    }
}

fn state(life: &Lifecycle) -> &'static str {
    State::name(life.state)
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A journal's events with their times, and the slot of its last claim.
type Journal = (Vec<(Event, Timestamp)>, Option<u32>);

fn journal(conn: &Connection, seq: i64) -> Result<Journal, Mismatch> {
    let mut statement =
        conn.prepare_cached("SELECT n, at, event, actor FROM journal WHERE task = ?1 ORDER BY n")?;
    let mut rows = statement.query([seq])?;
    let mut events = Vec::new();
    let mut slot = None;
    while let Some(row) = rows.next()? {
        let expected = events.len() as i64 + 1;
        let said =
            |error: rusqlite::Error| Mismatch::Row(format!("journal record {expected}: {error}"));
        let n: i64 = row.get(0).map_err(said)?;
        if n != expected {
            return Err(format!("journal record {expected} is missing").into());
        }
        let text: String = row.get(2).map_err(said)?;
        let event: Event = serde_json::from_str(&text)
            .map_err(|error| format!("journal record {expected}: {error}"))?;
        row::actor(&row.get::<_, String>(3).map_err(said)?)?;
        if let Event::Claimed { slot: claimed, .. } = &event {
            slot = Some(*claimed);
        }
        events.push((event, Timestamp::from_ms(row.get(1).map_err(said)?)));
    }
    Ok((events, slot))
}
