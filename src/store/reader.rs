//! Reading beside the writer, on another connection and usually another thread.
//!
//! Invariant: no snapshot is held between calls, and each call is bounded: a snapshot keeps the write-ahead log from being
//! emptied.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, ToSql};

use super::open::{self, Role};
use super::row;
use super::{
    CopyError, CopyProgress, Counts, OpenOptions, SetAside, StoreError, aside, copy, fold,
};
use crate::task::{Actor, Event, State, Task, TaskId, Timestamp};

/// The columns of a scan: the number, and whether the task matches what no index answers.
macro_rules! scan_columns {
    () => {
        "SELECT seq, (?2 IS NULL OR created_at >= ?2) AND (?3 IS NULL OR uid = ?3) \
         AND (?4 IS NULL OR instr(lower(name), lower(?4)) > 0) AND (?5 IS NULL OR exclusive = ?5) FROM tasks "
    };
}

/// All tasks, newest first.
pub(super) const SCAN_NEWEST: &str = concat!(scan_columns!(), "WHERE seq < ?1 ORDER BY seq DESC");
/// All tasks, oldest first.
pub(super) const SCAN_OLDEST: &str = concat!(scan_columns!(), "WHERE seq > ?1 ORDER BY seq");
/// Tasks in one state, newest first.
pub(super) const SCAN_STATE_NEWEST: &str = concat!(
    scan_columns!(),
    "WHERE state = ?6 AND seq < ?1 ORDER BY seq DESC"
);
/// Tasks in one state, oldest first.
pub(super) const SCAN_STATE_OLDEST: &str = concat!(
    scan_columns!(),
    "WHERE state = ?6 AND seq > ?1 ORDER BY seq"
);
/// Ids with a beginning.
pub(super) const PREFIX: &str =
    "SELECT id FROM tasks WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3";

/// A read-only connection. May be sent to another thread, not shared.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
}

/// What the beginning of an id names.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved {
    /// One task.
    One(Box<Task>),
    /// None.
    None,
    /// Several: the first of them, at most [`Reader::RESOLVED_MAX`].
    Many(Vec<TaskId>),
}

/// Which tasks to list. The default is all, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFilter {
    /// In one of these states; empty = any.
    pub states: Vec<State>,
    /// Submitted at this time or later.
    pub since: Option<Timestamp>,
    /// Submitted by this user.
    pub uid: Option<u32>,
    /// With this in the name (letters A–Z match a–z).
    pub name_contains: Option<String>,
    /// With this exclusive key.
    pub exclusive: Option<String>,
    /// Oldest first instead of newest first.
    pub oldest_first: bool,
    /// Rows of the page, at most [`LIST_MAX_ROWS`].
    pub limit: u32,
    /// [`Page::next_cursor`] of the page before.
    pub cursor: Option<i64>,
}

impl Default for ListFilter {
    fn default() -> Self {
        Self {
            states: Vec::new(),
            since: None,
            uid: None,
            name_contains: None,
            exclusive: None,
            oldest_first: false,
            limit: LIST_MAX_ROWS,
            cursor: None,
        }
    }
}

/// Rows that a page has at most.
pub const LIST_MAX_ROWS: u32 = 500;
/// Rows that one page looks at (for each state asked for) before it gives back what it has found: some 10 ms.
const SCAN_MAX_ROWS: usize = 20_000;

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The tasks, in order.
    pub tasks: Vec<Task>,
    /// Of these, why some are set aside, by their numbers.
    pub set_aside: BTreeMap<i64, String>,
    /// Tasks of this page that cannot be read.
    pub unreadable: Vec<SetAside>,
    /// Of those, the numbers of some that the writer has yet to set aside ([`super::Tx::set_aside_unreadable`]).
    pub unmarked: Vec<i64>,
    /// Where to go on; `None` = this was the last page. A page may be short, or empty, and have a next one: when few of
    /// very many tasks match, each page looks at a bounded number of them.
    pub next_cursor: Option<i64>,
}

/// One record of a task's journal.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalRow {
    /// Its number, from 1.
    pub n: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// What happened.
    pub event: Event,
}

impl Reader {
    pub(super) const fn connection(&self) -> &Connection {
        &self.conn
    }

    /// Ids that [`Resolved::Many`] has at most.
    pub const RESOLVED_MAX: usize = 10;

    /// Opens the database for reading. It exists, with the newest schema: a store has opened it before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(options: &OpenOptions) -> Result<Self, StoreError> {
        Ok(Self {
            conn: open::connect(options, Role::Reader)?,
        })
    }

    /// The task with this id.
    ///
    /// # Errors
    /// [`StoreError::BadRow`] when it cannot be read.
    pub fn task(&self, id: &TaskId) -> Result<Option<Task>, StoreError> {
        row::task_by_id(&self.conn, id)
    }

    /// What `prefix`, the beginning of an id ([`TaskId::parse_prefix`]), names.
    ///
    /// # Errors
    /// [`StoreError::BadRow`] when it names one task that cannot be read.
    pub fn resolve(&self, prefix: &str) -> Result<Resolved, StoreError> {
        let mut statement = self.conn.prepare_cached(PREFIX)?;
        // '~' sorts after every character of an id.
        let rows = statement.query_map(
            (
                prefix,
                format!("{prefix}~"),
                Self::RESOLVED_MAX as u64 as i64,
            ),
            |row| row.get::<_, String>(0),
        )?;
        let ids: Vec<TaskId> = rows
            .filter_map(|id| id.map(|id| id.parse().ok()).transpose())
            .collect::<Result<_, _>>()?;
        match ids.as_slice() {
            [] => Ok(Resolved::None),
            [id] => Ok(self
                .task(id)?
                .map_or(Resolved::None, |task| Resolved::One(Box::new(task)))),
            _ => Ok(Resolved::Many(ids)),
        }
    }

    /// A page of the tasks that match, by submission.
    ///
    /// # Errors
    /// [`StoreError`]. A task that cannot be read is named in [`Page::unreadable`].
    pub fn list(&self, filter: &ListFilter) -> Result<Page, StoreError> {
        let snapshot = self.conn.unchecked_transaction()?;
        let (numbers, next_cursor) = if filter.states.is_empty() {
            merge(vec![self.scan(filter, None)?], filter)
        } else {
            let mut states = filter.states.clone();
            states.sort_unstable();
            states.dedup();
            let scans = states
                .into_iter()
                .map(|state| self.scan(filter, Some(state)))
                .collect::<Result<_, _>>()?;
            merge(scans, filter)
        };
        let mut page = Page {
            tasks: Vec::with_capacity(numbers.len()),
            set_aside: BTreeMap::new(),
            unreadable: Vec::new(),
            unmarked: Vec::new(),
            next_cursor,
        };
        for seq in numbers {
            match row::task_by_seq(&self.conn, seq)? {
                Some(Ok(task)) => {
                    if let Some(reason) = aside::reason(&self.conn, seq)? {
                        page.set_aside.insert(seq, reason);
                    }
                    page.tasks.push(task);
                }
                Some(Err(bad)) => {
                    if aside::is_news(&self.conn, &bad)? {
                        page.unmarked.extend(bad.seq);
                    }
                    page.unreadable.push(SetAside {
                        id: bad.id,
                        reason: bad.reason,
                    });
                }
                None => {}
            }
        }
        drop(snapshot);
        Ok(page)
    }

    /// Everything that happened to a task, oldest first; empty when there is no such task.
    ///
    /// # Errors
    /// [`StoreError::BadRow`] when a record cannot be read.
    pub fn journal(&self, id: &TaskId) -> Result<Vec<JournalRow>, StoreError> {
        journal_after(&self.conn, id, 0)
    }

    /// Tasks per state; kept, not counted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn counts(&self) -> Result<Counts, StoreError> {
        row::counts(&self.conn)
    }

    /// Tasks that may be claimed now. Counts them; for a status, not for each event.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn count_ready(&self) -> Result<u64, StoreError> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT count(*) FROM tasks WHERE turn = 3")?;
        Ok(statement
            .query_row([], |row| row.get::<_, i64>(0))?
            .unsigned_abs())
    }

    /// Every task that is set aside, with the reason.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_aside(&self) -> Result<Vec<SetAside>, StoreError> {
        fold::list(&self.conn)
    }

    /// A small fact by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        row::meta(&self.conn, key)
    }

    /// Saves the database as the new file `to`; see [`super::backup`].
    ///
    /// # Errors
    /// [`CopyError`].
    pub fn backup(
        &self,
        to: &Path,
        progress: &mut dyn FnMut(CopyProgress),
    ) -> Result<(), CopyError> {
        copy::copy_out(&self.conn, to, progress)
    }

    /// Looks through the tasks (of one state) from the cursor on.
    fn scan(&self, filter: &ListFilter, state: Option<State>) -> Result<Scan, StoreError> {
        let sql = match (state.is_some(), filter.oldest_first) {
            (false, false) => SCAN_NEWEST,
            (false, true) => SCAN_OLDEST,
            (true, false) => SCAN_STATE_NEWEST,
            (true, true) => SCAN_STATE_OLDEST,
        };
        let start = filter.cursor.unwrap_or(if filter.oldest_first {
            i64::MIN
        } else {
            i64::MAX
        });
        let since = filter.since.map(Timestamp::as_ms);
        let state = state.map(State::name);
        let mut params: Vec<&dyn ToSql> = vec![
            &start,
            &since,
            &filter.uid,
            &filter.name_contains,
            &filter.exclusive,
        ];
        if state.is_some() {
            params.push(&state);
        }
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params.as_slice())?;
        let mut scan = Scan {
            found: Vec::new(),
            stopped_at: None,
        };
        for _ in 0..SCAN_MAX_ROWS {
            let Some(row) = rows.next()? else {
                return Ok(Scan {
                    stopped_at: None,
                    ..scan
                });
            };
            let seq = row.get(0)?;
            scan.stopped_at = Some(seq);
            if row.get::<_, Option<bool>>(1)? == Some(true) {
                scan.found.push(seq);
                if scan.found.len() >= rows_of(filter) {
                    break;
                }
            }
        }
        Ok(scan)
    }
}

/// What a scan has found.
struct Scan {
    /// Numbers of matching tasks, in order.
    found: Vec<i64>,
    /// The last number looked at; `None` = there is nothing behind it.
    stopped_at: Option<i64>,
}

fn rows_of(filter: &ListFilter) -> usize {
    filter.limit.clamp(1, LIST_MAX_ROWS) as usize
}

/// Joins the scans of several states: in order, and only as far as every scan has looked.
fn merge(scans: Vec<Scan>, filter: &ListFilter) -> (Vec<i64>, Option<i64>) {
    // Mirrored for "newest first", so that smaller is always earlier on the page.
    let place = |seq: i64| if filter.oldest_first { seq } else { -seq };
    let horizon = scans
        .iter()
        .filter_map(|scan| scan.stopped_at)
        .min_by_key(|seq| place(*seq));
    let mut found: Vec<i64> = scans.into_iter().flat_map(|scan| scan.found).collect();
    found.sort_unstable_by_key(|seq| place(*seq));
    if let Some(horizon) = horizon {
        found.retain(|seq| place(*seq) <= place(horizon));
    }
    if found.len() > rows_of(filter) {
        found.truncate(rows_of(filter));
        let last = found.last().copied();
        return (found, last);
    }
    (found, horizon)
}

/// The records of a task's journal behind number `after`, oldest first.
pub(super) fn journal_after(
    conn: &Connection,
    id: &TaskId,
    after: u64,
) -> Result<Vec<JournalRow>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT n, at, actor, event FROM journal WHERE task = (SELECT seq FROM tasks WHERE id = ?1) AND n > ?2 ORDER BY n",
    )?;
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let mut rows = statement.query((id.as_str(), after))?;
    let mut journal = Vec::new();
    while let Some(row) = rows.next()? {
        journal.push(record(row).map_err(|reason| StoreError::BadRow {
            id: id.to_string(),
            reason: format!("a journal record behind number {}: {reason}", after),
        })?);
    }
    Ok(journal)
}

fn record(row: &rusqlite::Row<'_>) -> Result<JournalRow, String> {
    let said = |error: rusqlite::Error| error.to_string();
    let text: String = row.get(3).map_err(said)?;
    Ok(JournalRow {
        n: row.get::<_, i64>(0).map_err(said)?.unsigned_abs(),
        at: Timestamp::from_ms(row.get(1).map_err(said)?),
        actor: row::actor(&row.get::<_, String>(2).map_err(said)?)?,
        event: serde_json::from_str(&text).map_err(|error| error.to_string())?,
    })
}
