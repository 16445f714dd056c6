//! Who waits for whom. A row of `waits` is a wait that is not over; `tasks.unmet` is the number of a task's rows.
//!
//! Invariants: a final task waits for nothing, and nobody waits for a final task once the batch that made it final is
//! committed (the supervisor satisfies or fails its dependants in that batch).

use rusqlite::OptionalExtension as _;

use super::row::{self, select_tasks};
use super::{ApplyError, StoreError, Tx};
use crate::task::{State, Task, TaskId};

/// The waits cannot be worked out.
pub(super) enum WaitError {
    /// A task that is to be waited for does not exist.
    Unknown(TaskId),
    /// The store failed.
    Store(StoreError),
}

impl From<WaitError> for ApplyError {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Unknown(id) => Self::UnknownDependency(id),
            WaitError::Store(error) => Self::Store(error),
        }
    }
}

impl From<rusqlite::Error> for WaitError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Tasks that wait for one.
pub(super) const DEPENDANTS: &str = select_tasks!(
    "JOIN waits w ON w.task = t.seq WHERE w.on_task = (SELECT seq FROM tasks WHERE id = ?1) AND t.aside = 0 \
                 ORDER BY t.seq"
);

impl Tx<'_> {
    /// The unfinished tasks whose wait for `id` is not over, in the order of submission.
    ///
    /// # Errors
    /// [`StoreError`]. A damaged dependant is set aside and left out.
    pub fn dependants(&self, id: &TaskId) -> Result<Vec<Task>, StoreError> {
        let rows = row::read_tasks(self.conn, DEPENDANTS, [id.as_str()])?;
        self.put_bad_aside(rows)
    }

    /// Ends the wait of `dependant` for `on`. When it was its last one, it takes its turn: at once, or (with an earliest
    /// time) by [`Tx::promote_due`]. Nothing happens when it does not wait for it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn satisfy(&self, dependant: &Task, on: &TaskId) -> Result<(), StoreError> {
        let ended = self
            .conn
            .prepare_cached("DELETE FROM waits WHERE task = ?1 AND on_task = (SELECT seq FROM tasks WHERE id = ?2)")?
            .execute((dependant.seq, on.as_str()))?;
        if ended == 0 {
            return Ok(());
        }
        self.conn
            .prepare_cached(
                "UPDATE tasks SET unmet = unmet - 1, turn = CASE \
                   WHEN unmet > 1 OR aside = 1 OR state NOT IN ('pending', 'retrying') THEN 0 \
                   WHEN not_before IS NOT NULL THEN 1 WHEN exclusive IS NOT NULL THEN 2 ELSE 3 END \
                 WHERE seq = ?1",
            )?
            .execute([dependant.seq])?;
        self.settle_lane(dependant.spec.exclusive.as_deref())
    }

    /// The numbers of those of `ids` that are not final. A missing one is an error when `strict`; otherwise it was deleted,
    /// so it was final.
    pub(super) fn waits_of(&self, ids: &[TaskId], strict: bool) -> Result<Vec<i64>, WaitError> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT seq, state FROM tasks WHERE id = ?1")?;
        let mut waits = Vec::with_capacity(ids.len());
        for id in ids {
            let found: Option<(i64, String)> = statement
                .query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            match found {
                None if strict => return Err(WaitError::Unknown(id.clone())),
                Some((seq, state))
                    if State::from_name(&state).is_none_or(|state| !state.is_final()) =>
                {
                    waits.push(seq)
                }
                None | Some(_) => {}
            }
        }
        waits.sort_unstable();
        waits.dedup();
        Ok(waits)
    }

    /// Writes waits.
    pub(super) fn add_waits(&self, seq: i64, waits: &[i64]) -> Result<(), StoreError> {
        if waits.is_empty() {
            return Ok(());
        }
        let mut statement = self
            .conn
            .prepare_cached("INSERT INTO waits (task, on_task) VALUES (?1, ?2)")?;
        for on in waits {
            statement.execute([seq, *on])?;
        }
        Ok(())
    }

    /// Puts waits for the unfinished ones of `after` in the place of the task's waits; returns their number.
    pub(super) fn renew_waits(
        &self,
        seq: i64,
        after: &[TaskId],
        strict: bool,
    ) -> Result<i64, ApplyError> {
        self.end_waits(seq)?;
        let waits = self.waits_of(after, strict)?;
        self.add_waits(seq, &waits)?;
        Ok(i64::try_from(waits.len()).unwrap_or(i64::MAX))
    }

    /// Ends all waits of a task.
    pub(super) fn end_waits(&self, seq: i64) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("DELETE FROM waits WHERE task = ?1")?
            .execute([seq])?;
        Ok(())
    }
}
