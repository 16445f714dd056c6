//! The full check of a database: its structure, its references, every journal's fold, and everything that is kept twice.

use std::fmt;
use std::path::Path;

use rusqlite::Connection;

use super::open::{self, Role};
use super::row;
use super::schema::{self, Header};
use super::{CopyError, OpenError, OpenOptions, SetAside, StoreError, beside, fold};

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckProgress {
    /// Tasks folded.
    pub done: u64,
    /// Tasks in all.
    pub total: u64,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The task it is about, as far as its id can be read.
    pub task: Option<String>,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.task {
            Some(task) => write!(f, "{task}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckReport {
    /// Tasks folded.
    pub tasks: u64,
    /// Journal records folded.
    pub events: u64,
    /// The first problems, at most [`CheckReport::PROBLEMS_KEPT`].
    pub problems: Vec<Problem>,
    /// All problems.
    pub problem_count: u64,
    /// Tasks that were already set aside; they are no new problems.
    pub set_aside: Vec<SetAside>,
}

impl CheckReport {
    /// Problems told one by one.
    pub const PROBLEMS_KEPT: usize = 100;

    /// Nothing is wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.problem_count == 0
    }

    fn add(&mut self, task: Option<String>, text: impl Into<String>) {
        self.problem_count += 1;
        if self.problems.len() < Self::PROBLEMS_KEPT {
            self.problems.push(Problem {
                task,
                text: text.into(),
            });
        }
    }
}

/// Tasks folded between two reports.
const TASKS_PER_STEP: u32 = 1_000;

/// Checks the whole database at `path`, as it is at one moment. Nothing is changed; a daemon may be using it.
///
/// # Errors
/// [`CopyError`] when it cannot be read as a database of ours at all. Everything else is in the report.
pub fn check(
    path: &Path,
    progress: &mut dyn FnMut(CheckProgress),
) -> Result<CheckReport, CopyError> {
    let explain = |error| CopyError::Open(open::explain(path, error));
    beside::refuse_bereft(path, &[])?;
    beside::refuse_damaged_log(path, None)?;
    let conn = open::connect(&OpenOptions::at(path), Role::Reader).map_err(explain)?;
    let header = Header::read(&conn).map_err(explain)?;
    let newest = schema::newest(schema::MIGRATIONS);
    header.accept(path, newest)?;
    let mut report = CheckReport::default();
    if header.version != newest {
        let open = |source| OpenError::Store {
            path: path.to_owned(),
            source,
        };
        let older = StoreError::BadRow {
            id: String::from("schema"),
            reason: format!(
                "it is {}, the newest is {newest}: start the daemon once, it brings it up to date",
                header.version
            ),
        };
        return Err(open(older).into());
    }
    let snapshot = conn.unchecked_transaction()?;
    schema::refuse_incomplete(&snapshot, path, schema::MIGRATIONS, newest)?;
    structure(&snapshot, &mut report)?;
    if report.is_sound() {
        report.set_aside = fold::list(&snapshot)?;
        journals(&snapshot, &mut report, progress)?;
        environments(&snapshot, &mut report)?;
        doubles(&snapshot, &mut report)?;
    }
    Ok(report)
}

/// Pages, indexes, rules of the tables, references between them.
fn structure(conn: &Connection, report: &mut CheckReport) -> Result<(), StoreError> {
    let mut statement = conn.prepare("PRAGMA integrity_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        // What it finds in the pages comes as one text of many lines, below a heading.
        for line in line.lines().filter(|line| !is_heading(line)) {
            report.add(None, line);
        }
    }
    if !report.is_sound() {
        // References cannot be followed through damaged pages: that would end the check instead of telling what was found.
        return Ok(());
    }
    let mut statement = conn.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        report.add(
            None,
            format!("a row of {table} refers to a row of {parent} that is not there"),
        );
    }
    Ok(())
}

/// A line of SQLite's check that tells of nothing.
fn is_heading(line: &str) -> bool {
    line == "ok" || line.starts_with("*** in database")
}

/// Folds every journal. Environments are shared, so they are read once each and not with every task.
fn journals(
    conn: &Connection,
    report: &mut CheckReport,
    progress: &mut dyn FnMut(CheckProgress),
) -> Result<(), StoreError> {
    let total = conn
        .query_row("SELECT count(*) FROM tasks", [], |row| row.get::<_, i64>(0))?
        .unsigned_abs();
    let mut after = 0_i64;
    loop {
        let tasks: Vec<(i64, bool)> = conn
            .prepare_cached("SELECT seq, aside FROM tasks WHERE seq > ?1 ORDER BY seq LIMIT ?2")?
            .query_map((after, TASKS_PER_STEP), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let Some((last, _)) = tasks.last() else {
            return Ok(());
        };
        after = *last;
        for (seq, aside) in tasks {
            report.tasks += 1;
            if !aside {
                one_task(conn, seq, report)?;
            }
        }
        progress(CheckProgress {
            done: report.tasks,
            total,
        });
    }
}

fn one_task(conn: &Connection, seq: i64, report: &mut CheckReport) -> Result<(), StoreError> {
    match fold::verify(conn, seq)? {
        Some(Ok(events)) => report.events += events,
        Some(Err(bad)) => report.add(Some(bad.id), bad.reason),
        None => {}
    }
    Ok(())
}

fn environments(conn: &Connection, report: &mut CheckReport) -> Result<(), StoreError> {
    let mut statement = conn.prepare("SELECT env, vars FROM environments")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let env: i64 = row.get(0)?;
        let vars: Result<String, _> = row.get(1);
        if let Err(reason) = row::env(vars) {
            report.add(None, format!("environment {env}: {reason}"));
        }
    }
    Ok(())
}

/// Each query finds the tasks for which something that is kept beside its source differs from it.
const DOUBLES: [(&str, &str); 8] = [
    (
        "the number of its unfinished predecessors is wrong",
        "SELECT id FROM tasks WHERE unmet <> (SELECT count(*) FROM waits WHERE task = tasks.seq)",
    ),
    (
        "it waits for a task that is final",
        "SELECT t.id FROM waits w JOIN tasks t ON t.seq = w.task JOIN tasks o ON o.seq = w.on_task \
         WHERE o.finished_at IS NOT NULL",
    ),
    (
        "it could be claimed, but has no turn",
        "SELECT id FROM tasks WHERE turn = 0 AND state IN ('pending', 'retrying') AND unmet = 0 AND aside = 0",
    ),
    (
        "it has a turn, but cannot be claimed",
        "SELECT id FROM tasks WHERE turn > 0 AND NOT (state IN ('pending', 'retrying') AND unmet = 0 AND aside = 0)",
    ),
    (
        "it waits for its lane, but has none",
        "SELECT id FROM tasks WHERE (turn = 2 AND exclusive IS NULL) OR (turn = 1 AND not_before IS NULL)",
    ),
    (
        "its turn does not fit its lane",
        "SELECT id FROM tasks t WHERE turn >= 2 AND exclusive IS NOT NULL AND (turn = 3) <> ( \
           seq = (SELECT b.seq FROM tasks b WHERE b.exclusive = t.exclusive AND b.exclusive IS NOT NULL AND b.turn >= 2 \
                  ORDER BY b.priority DESC, b.seq LIMIT 1) \
           AND NOT EXISTS (SELECT 1 FROM tasks r WHERE r.exclusive = t.exclusive AND r.exclusive IS NOT NULL \
                           AND r.slot IS NOT NULL AND r.aside = 0))",
    ),
    (
        "it is marked as set aside, but not listed",
        "SELECT id FROM tasks WHERE aside = 1 AND seq NOT IN (SELECT task FROM set_aside)",
    ),
    (
        "tasks in this state are not as many as is kept",
        "SELECT c.state FROM counts c WHERE c.n <> (SELECT count(*) FROM tasks WHERE state = c.state)",
    ),
];

fn doubles(conn: &Connection, report: &mut CheckReport) -> Result<(), StoreError> {
    for (text, sql) in DOUBLES {
        let mut statement = conn.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            report.add(row.get(0).ok(), text);
        }
    }
    Ok(())
}
