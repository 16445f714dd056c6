//! Deleting what is over.

use rusqlite::OptionalExtension as _;

use super::{StoreError, Tx};
use crate::task::{TaskId, Timestamp};

/// Final tasks that finished before a time and that nobody waits for, the oldest first.
pub(super) const OLD: &str = "SELECT seq, id FROM tasks WHERE finished_at IS NOT NULL AND finished_at < ?1 AND aside = 0 \
                 AND NOT EXISTS (SELECT 1 FROM waits WHERE on_task = tasks.seq) ORDER BY finished_at, seq LIMIT ?2";

impl Tx<'_> {
    /// Deletes final tasks that finished before `before`, the oldest first, at most `limit`, each with its journal. Those
    /// for which an unfinished task still waits stay, and those that are set aside. With a task, its key is forgotten.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn delete_final(&self, before: Timestamp, limit: u32) -> Result<Vec<TaskId>, StoreError> {
        let old: Vec<(i64, String)> = self
            .conn
            .prepare_cached(OLD)?
            .query_map((before.as_ms(), limit), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut deleted = Vec::with_capacity(old.len());
        for (seq, id) in old {
            self.delete_row(seq)?;
            let bad = |_| StoreError::BadRow {
                id: id.clone(),
                reason: String::from("column id: no task id"),
            };
            deleted.push(id.parse().map_err(bad)?);
        }
        Ok(deleted)
    }

    /// Deletes one task with its journal, and its environment when no other task shares it.
    pub(super) fn delete_row(&self, seq: i64) -> Result<(), StoreError> {
        let env: Option<i64> = self
            .conn
            .prepare_cached("SELECT env FROM specs WHERE task = ?1")?
            .query_row([seq], |row| row.get(0))
            .optional()?
            .flatten();
        self.conn
            .prepare_cached("DELETE FROM tasks WHERE seq = ?1")?
            .execute([seq])?;
        if let Some(env) = env {
            self.drop_unused_env(env)?;
        }
        Ok(())
    }
}
