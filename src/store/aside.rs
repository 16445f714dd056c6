//! Damaged tasks, as those see them who work with the others: what is set aside, since when nobody asks, and why.

use rusqlite::{Connection, OptionalExtension as _};

use super::row::{self, BadRow};
use super::{Reader, SetAside, StoreError, Tx, fold};
use crate::task::TaskId;

impl Tx<'_> {
    /// Whether the task is set aside. Its row may be readable all the same.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_set_aside(&self, id: &TaskId) -> Result<bool, StoreError> {
        // Some damage keeps a row from being marked; then it is only listed.
        let mut statement = self.conn.prepare_cached(
            "SELECT 1 FROM tasks WHERE id = ?1 AND aside <> 0 UNION ALL SELECT 1 FROM set_aside WHERE id = ?1",
        )?;
        Ok(statement.exists([id.as_str()])?)
    }

    /// How many tasks are set aside.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn count_set_aside(&self) -> Result<u64, StoreError> {
        let mut statement = self.conn.prepare_cached("SELECT count(*) FROM set_aside")?;
        let count: i64 = statement.query_row([], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// The first of those that are set aside, by submission.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn first_set_aside(&self) -> Result<Option<SetAside>, StoreError> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT id, reason FROM set_aside ORDER BY task LIMIT 1")?;
        let first = statement.query_row([], |row| {
            Ok(SetAside {
                id: row.get(0)?,
                reason: row.get(1)?,
            })
        });
        Ok(first.optional()?)
    }

    /// Sets the task with this number aside, if it cannot be read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_aside_unreadable(&self, number: i64) -> Result<(), StoreError> {
        match row::task_by_seq(self.conn, number)? {
            Some(Err(bad)) => fold::put_aside(self.conn, &bad),
            Some(Ok(_)) | None => Ok(()),
        }
    }
}

impl Reader {
    /// Why the task is set aside; `None` when it is not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn why_set_aside(&self, id: &TaskId) -> Result<Option<String>, StoreError> {
        let mut statement = self
            .connection()
            .prepare_cached("SELECT reason FROM set_aside WHERE id = ?1")?;
        Ok(statement
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?)
    }
}

/// Why the task with this number is set aside.
pub(super) fn reason(conn: &Connection, number: i64) -> Result<Option<String>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT reason FROM set_aside WHERE task = ?1")?;
    Ok(statement.query_row([number], |row| row.get(0)).optional()?)
}

/// Whether the damaged row of a page is still to be set aside.
pub(super) fn is_news(conn: &Connection, bad: &BadRow) -> Result<bool, StoreError> {
    match bad.seq {
        Some(number) => Ok(reason(conn, number)?.is_none()),
        None => Ok(false),
    }
}
