//! What a supervisor and its doors ask beside the queue: what runs, what belongs to a foreground run, what a clean-up
//! would take, and the clean slate.

use rusqlite::OptionalExtension as _;

use super::row::{self, select_tasks};
use super::{Reader, Store, StoreError, Tx};
use crate::task::{Task, TaskId, Timestamp};

impl Store {
    /// Copies the write-ahead log into the database and closes it. Without this nothing is lost, the next start only has
    /// more to read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn close(mut self) -> Result<(), StoreError> {
        self.tidy().map(|_| ())
    }
}

impl Tx<'_> {
    /// Whether the task is ready to be claimed: its time has come, nothing holds it back, its lane is free.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_ready(&self, id: &TaskId) -> Result<bool, StoreError> {
        Ok(self
            .conn
            .prepare_cached("SELECT 1 FROM tasks WHERE id = ?1 AND turn = 3")?
            .exists([id.as_str()])?)
    }

    /// How many tasks [`Tx::delete_final`] would delete, without its limit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn count_final(&self, before: Timestamp) -> Result<u64, StoreError> {
        let count: i64 = self
            .conn
            .prepare_cached(
                "SELECT count(*) FROM tasks WHERE finished_at IS NOT NULL AND finished_at < ?1 AND aside = 0 \
                 AND NOT EXISTS (SELECT 1 FROM waits WHERE on_task = tasks.seq)",
            )?
            .query_row([before.as_ms()], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Deletes tasks of every state, the newest first (none of them is waited for by an older one that stays), at most
    /// `limit`. Those that hold a slot stay.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn delete_any(&self, limit: u32) -> Result<Vec<TaskId>, StoreError> {
        let newest: Vec<(i64, String)> = self
            .conn
            .prepare_cached(
                "SELECT seq, id FROM tasks WHERE slot IS NULL ORDER BY seq DESC LIMIT ?1",
            )?
            .query_map([limit], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut deleted = Vec::with_capacity(newest.len());
        for (seq, id) in newest {
            self.conn
                .prepare_cached("DELETE FROM waits WHERE on_task = ?1")?
                .execute([seq])?;
            self.conn
                .prepare_cached("DELETE FROM set_aside WHERE task = ?1")?
                .execute([seq])?;
            self.delete_row(seq)?;
            // A damaged id names no files either.
            deleted.extend(id.parse());
        }
        Ok(deleted)
    }
}

impl Reader {
    /// The tasks that hold a slot, by slot. Damaged ones are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn running(&self) -> Result<Vec<Task>, StoreError> {
        let rows = row::read_tasks(
            self.connection(),
            select_tasks!("WHERE t.slot IS NOT NULL AND t.aside = 0 ORDER BY t.slot"),
            [],
        )?;
        Ok(rows.into_iter().filter_map(Result::ok).collect())
    }

    /// The task that runs with this exclusive key, or waits only for its turn; `None` when the next one may start at once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn in_lane(&self, key: &str) -> Result<Option<String>, StoreError> {
        Ok(self
            .connection()
            .prepare_cached(
                "SELECT id FROM tasks WHERE exclusive = ?1 AND exclusive IS NOT NULL AND aside = 0 \
                 AND (slot IS NOT NULL OR turn >= 2) ORDER BY slot IS NULL, priority DESC, seq LIMIT 1",
            )?
            .query_row([key], |row| row.get(0))
            .optional()?)
    }

    /// Unfinished tasks of foreground runs that are not paused, and so would go on without anybody watching. Not those that
    /// a person resumed, approved or reopened: a run leaves before that can happen, so they go on without one as wished. Oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn foreground(&self) -> Result<Vec<TaskId>, StoreError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT t.id FROM tasks t JOIN specs s ON s.task = t.seq \
             WHERE t.state IN ('pending', 'processing', 'retrying', 'waiting_unban', 'testing') \
             AND t.aside = 0 AND s.spec ->> '$.foreground' = 1 \
             AND NOT EXISTS (SELECT 1 FROM journal j WHERE j.task = t.seq \
                 AND j.event ->> '$.event' IN ('resumed', 'approved', 'reopened')) \
             ORDER BY t.seq",
        )?;
        let ids = statement
            .query_map([], |row| row.get::<_, String>(0))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(ids.into_iter().filter_map(|id| id.parse().ok()).collect())
    }
}
