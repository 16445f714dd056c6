//! What one step of a batch can do to tasks: read, apply an event, edit. (Submitting, the queue, waiting and deleting are
//! beside it, each in its file.)

use rusqlite::{Connection, OptionalExtension as _, params};

use super::row::{self, Columns, actor_text, json};
use super::{ApplyError, Counts, StoreError};
use crate::task::{Actor, Event, Lifecycle, Task, TaskId, TaskSpec, Timestamp};

/// The inside of one step of a batch.
#[derive(Debug)]
pub struct Tx<'c> {
    pub(super) conn: &'c Connection,
}

/// What the row holds beside the task.
struct Bookkeeping {
    events: i64,
    unmet: i64,
}

impl<'c> Tx<'c> {
    pub(super) const fn new(conn: &'c Connection) -> Self {
        Self { conn }
    }

    /// The task with this id.
    ///
    /// # Errors
    /// [`StoreError::BadRow`] when it cannot be read.
    pub fn task(&self, id: &TaskId) -> Result<Option<Task>, StoreError> {
        row::task_by_id(self.conn, id)
    }

    /// The task as it now is, whose specification is as it was when it was read `before`.
    ///
    /// # Errors
    /// [`StoreError::BadRow`] when it cannot be read.
    #[cfg(feature = "sim")]
    pub fn task_again(&self, before: &Task) -> Result<Option<Task>, StoreError> {
        row::task_again(self.conn, before)
    }

    /// What happened to a task behind record number `after` of its journal, oldest first.
    ///
    /// # Errors
    /// [`StoreError::BadRow`] when a record cannot be read.
    #[cfg(feature = "sim")]
    pub fn journal_after(
        &self,
        id: &TaskId,
        after: u64,
    ) -> Result<Vec<super::JournalRow>, StoreError> {
        super::reader::journal_after(self.conn, id, after)
    }

    /// Applies one event: the row moves by the table, the journal gets the event. `task` is the task as it was read; when
    /// it has moved since, nothing happens.
    ///
    /// The slot is that of [`Event::Claimed`] and is given up with the last state that holds one. A reopened task waits again
    /// for those of its predecessors that are not final.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing was written once the step has returned the error.
    pub fn apply(
        &self,
        task: &Task,
        event: &Event,
        at: Timestamp,
        actor: Actor,
    ) -> Result<Task, ApplyError> {
        let kept = self.current(task)?;
        let life = task.life.apply(event, at)?;
        let unmet = if matches!(event, Event::Reopened) {
            self.renew_waits(task.seq, &task.spec.after, false)?
        } else if life.state.is_final() {
            self.end_waits(task.seq)?;
            0
        } else {
            kept.unmet
        };
        let claimed = if let Event::Claimed { slot, .. } = event {
            Some(*slot)
        } else {
            task.slot
        };
        let slot = claimed.filter(|_| life.state.holds_slot());
        let moved = Task {
            life,
            slot,
            ..task.clone()
        };
        self.write(
            task,
            &moved,
            &Bookkeeping {
                events: kept.events + 1,
                unmet,
            },
            at,
        )?;
        self.append(task.seq, kept.events + 1, event, at, actor)?;
        self.settle_lane(moved.spec.exclusive.as_deref())?;
        Ok(moved)
    }

    /// Changes what was asked: `spec` replaces the task's, and [`Event::Edited`] with the names of the changed `fields` is
    /// journaled. With `after` among them, the task waits for those of its new predecessors that are not final.
    ///
    /// # Errors
    /// [`ApplyError`]; [`ApplyError::UnknownDependency`] when a new predecessor does not exist.
    pub fn edit(
        &self,
        task: &Task,
        spec: &TaskSpec,
        fields: Vec<String>,
        at: Timestamp,
        actor: Actor,
    ) -> Result<Task, ApplyError> {
        let kept = self.current(task)?;
        let names = |field: &str| fields.iter().any(|name| name == field);
        let not_before = spec.at.filter(|_| names(Event::FIELD_AT));
        let renews_waits = names(FIELD_AFTER);
        let event = Event::Edited { fields, not_before };
        let life = task.life.apply(&event, at)?;
        let unmet = if renews_waits {
            self.renew_waits(task.seq, &spec.after, true)?
        } else {
            kept.unmet
        };
        self.replace_spec(task.seq, spec)?;
        let moved = Task {
            life,
            spec: spec.clone(),
            ..task.clone()
        };
        self.write(
            task,
            &moved,
            &Bookkeeping {
                events: kept.events + 1,
                unmet,
            },
            at,
        )?;
        self.append(task.seq, kept.events + 1, &event, at, actor)?;
        self.settle_lane(task.spec.exclusive.as_deref())?;
        self.settle_lane(moved.spec.exclusive.as_deref())?;
        Ok(moved)
    }

    /// Tasks per state; kept, not counted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn counts(&self) -> Result<Counts, StoreError> {
        row::counts(self.conn)
    }

    /// A small fact by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        row::meta(self.conn, key)
    }

    /// Writes a small fact; `None` forgets it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_meta(&self, key: &str, value: Option<&str>) -> Result<(), StoreError> {
        match value {
            Some(value) => self
                .conn
                .prepare_cached(
                    "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                )?
                .execute([key, value])?,
            None => self.conn.prepare_cached("DELETE FROM meta WHERE key = ?1")?.execute([key])?,
        };
        Ok(())
    }

    /// Compares the row with what the caller has read, field by field: state and generation are among them.
    fn current(&self, task: &Task) -> Result<Bookkeeping, ApplyError> {
        let mut statement = self.conn.prepare_cached(concat!(
            "SELECT t.events, t.unmet, t.aside, t.slot, ",
            row::life_columns!(),
            " FROM tasks t WHERE t.seq = ?1 AND t.id = ?2"
        ))?;
        let found = statement
            .query_row(params![task.seq, task.id.as_str()], |row| {
                let kept = Bookkeeping {
                    events: row.get(0)?,
                    unmet: row.get(1)?,
                };
                let aside: bool = row.get(2)?;
                let slot: Option<u32> = row.get(3)?;
                Ok((kept, aside, slot, row::life(&mut Columns::from(row, 4))))
            })
            .optional()?;
        let stale = || ApplyError::Stale(task.id.clone());
        let (kept, aside, slot, life) = found.ok_or_else(stale)?;
        let bad = |reason: String| StoreError::BadRow {
            id: task.id.to_string(),
            reason,
        };
        if aside {
            return Err(bad(String::from("it is set aside")).into());
        }
        let unchanged = life.map_err(bad)? == task.life && slot == task.slot;
        if unchanged { Ok(kept) } else { Err(stale()) }
    }

    /// The compare-and-set itself.
    fn write(
        &self,
        before: &Task,
        after: &Task,
        kept: &Bookkeeping,
        at: Timestamp,
    ) -> Result<(), ApplyError> {
        let life = &after.life;
        let changed = self.conn.prepare_cached(MOVE)?.execute(params![
            after.spec.name,
            row::priority_rank(after.spec.priority),
            after.spec.exclusive,
            life.state.name(),
            life.generation,
            life.retries,
            json(&life.restarts),
            life.resume,
            json(&life.pause_reasons),
            row::resume_to_name(life.resume_to),
            life.intent.as_ref().map(json),
            life.not_before.map(Timestamp::as_ms),
            life.outcome.as_ref().map(json),
            life.started_at.map(Timestamp::as_ms),
            life.finished_at.map(Timestamp::as_ms),
            after.slot,
            kept.events,
            kept.unmet,
            super::queue::turn(life, kept.unmet, after.spec.exclusive.is_some(), at),
            life.agent.as_ref().map(json),
            row::gate(after),
            before.seq,
            before.id.as_str(),
            before.life.state.name(),
            before.life.generation,
        ])?;
        if changed == 1 {
            Ok(())
        } else {
            Err(ApplyError::Stale(before.id.clone()))
        }
    }

    /// Adds a record to a task's journal.
    pub(super) fn append(
        &self,
        seq: i64,
        n: i64,
        event: &Event,
        at: Timestamp,
        actor: Actor,
    ) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "INSERT INTO journal (task, n, at, actor, event) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![seq, n, at.as_ms(), actor_text(actor), json(event)])?;
        Ok(())
    }
}

/// Moves a task's row, if it is as it was read.
///
/// `OR FAIL`: SQLite need not be able to undo this statement alone (for which it copies each page that it changes once more),
/// because the step is undone as a whole.
pub(super) const MOVE: &str = "UPDATE OR FAIL tasks SET name = ?1, priority = ?2, exclusive = ?3, state = ?4, generation = ?5, \
     retries = ?6, restarts = ?7, resume = ?8, pause_reasons = ?9, resume_to = ?10, intent = ?11, not_before = ?12, \
     outcome = ?13, started_at = ?14, finished_at = ?15, slot = ?16, events = ?17, unmet = ?18, turn = ?19, agent = ?20, \
     gate = ?21 \
     WHERE seq = ?22 AND id = ?23 AND state = ?24 AND generation = ?25 AND events = ?17 - 1";

/// The name of the predecessors among the fields of [`Event::Edited`].
const FIELD_AFTER: &str = "after";

/// The first record of a journal and the row it makes.
pub(super) fn birth(spec: &TaskSpec) -> Result<(Event, Lifecycle), StoreError> {
    let event = Event::Submitted {
        not_before: spec.at,
    };
    let life = Lifecycle::birth(&event).map_err(|error| StoreError::BadRow {
        id: String::from("(new)"),
        reason: error.to_string(),
    })?;
    Ok((event, life))
}
