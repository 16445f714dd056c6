//! Submitting: one row, one journal record, one environment kept once; the same again is the same task.

use rusqlite::{OptionalExtension as _, params};

use super::row::{self, json};
use super::{StoreError, SubmitError, Tx, queue, tx};
use crate::task::{Actor, Task, TaskId, TaskSpec, Timestamp};

/// A task to be stored.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Its id, new and random.
    pub id: TaskId,
    /// Who submits it.
    pub uid: u32,
    /// The submission's key, not empty: unique among this user's tasks.
    pub key: String,
    /// A number made from what was asked: the same key with another one is a conflict.
    pub fingerprint: u64,
    /// What was asked, checked.
    pub spec: TaskSpec,
    /// The tasks of `spec.after` that are not final yet.
    pub unmet: Vec<TaskId>,
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq)]
pub enum Submission {
    /// It is a new task.
    Fresh(Task),
    /// It was submitted before, with the same key and content: this is the task.
    Same(Task),
}

impl Submission {
    /// The task, new or not.
    #[must_use]
    pub fn into_task(self) -> Task {
        match self {
            Self::Fresh(task) | Self::Same(task) => task,
        }
    }
}

/// Environments with the same hash that are compared before another copy is stored: a bound for hashes made to collide.
const SAME_HASH_COMPARED: u32 = 8;

impl Tx<'_> {
    /// Stores a task, or finds the one that this submission has already made.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing is stored.
    pub fn submit(
        &self,
        new: &NewTask,
        at: Timestamp,
        actor: Actor,
    ) -> Result<Submission, SubmitError> {
        if let Some(known) = self.submitted_before(new)? {
            return Ok(known);
        }
        let taken = self
            .conn
            .prepare_cached("SELECT 1 FROM tasks WHERE id = ?1")?
            .exists([new.id.as_str()])?;
        if taken {
            return Err(SubmitError::IdTaken);
        }
        let waits = self
            .waits_of(&new.unmet, true)
            .map_err(|error| match error {
                super::waits::WaitError::Unknown(id) => SubmitError::UnknownDependency(id),
                super::waits::WaitError::Store(error) => SubmitError::Store(error),
            })?;
        let (event, life) = tx::birth(&new.spec)?;
        let unmet = i64::try_from(waits.len()).unwrap_or(i64::MAX);
        self.conn
            .prepare_cached(
                "INSERT INTO tasks (id, uid, key, fingerprint, created_at, name, priority, exclusive, state, generation, \
                 retries, restarts, resume, pause_reasons, resume_to, not_before, events, unmet, turn, gate) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, '[]', 0, '[]', ?10, ?11, 1, ?12, ?13, ?14)",
            )?
            .execute(params![
                new.id.as_str(),
                new.uid,
                new.key,
                new.fingerprint.cast_signed(),
                at.as_ms(),
                new.spec.name,
                row::priority_rank(new.spec.priority),
                new.spec.exclusive,
                life.state.name(),
                row::resume_to_name(life.resume_to),
                life.not_before.map(Timestamp::as_ms),
                unmet,
                queue::turn(&life, unmet, new.spec.exclusive.is_some(), at),
                new.spec.command.prompt().map(|prompt| prompt.gate().key()),
            ])?;
        let seq = self.conn.last_insert_rowid();
        let env = self.intern(&new.spec)?;
        self.conn
            .prepare_cached("INSERT INTO specs (task, spec, env) VALUES (?1, ?2, ?3)")?
            .execute(params![seq, json(&without_env(&new.spec)), env])?;
        self.append(seq, 1, &event, at, actor)?;
        self.add_waits(seq, &waits)?;
        self.settle_lane(new.spec.exclusive.as_deref())?;
        let task = Task {
            id: new.id.clone(),
            seq,
            uid: new.uid,
            created_at: at,
            spec: new.spec.clone(),
            life,
            slot: None,
        };
        Ok(Submission::Fresh(task))
    }

    fn submitted_before(&self, new: &NewTask) -> Result<Option<Submission>, SubmitError> {
        let known: Option<(i64, i64, String)> = self
            .conn
            .prepare_cached("SELECT seq, fingerprint, id FROM tasks WHERE uid = ?1 AND key = ?2")?
            .query_row(params![new.uid, new.key], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        let Some((seq, fingerprint, id)) = known else {
            return Ok(None);
        };
        if fingerprint != new.fingerprint.cast_signed() {
            let bad = |_| StoreError::BadRow {
                id: id.clone(),
                reason: String::from("column id: no task id"),
            };
            return Err(SubmitError::KeyConflict(id.parse().map_err(bad)?));
        }
        let task = row::task_by_seq(self.conn, seq)?
            .transpose()
            .map_err(StoreError::from)?;
        Ok(task.map(Submission::Same))
    }

    /// Puts another specification in the place of a task's.
    pub(super) fn replace_spec(&self, seq: i64, spec: &TaskSpec) -> Result<(), StoreError> {
        let former: Option<i64> = self
            .conn
            .prepare_cached("SELECT env FROM specs WHERE task = ?1")?
            .query_row([seq], |row| row.get(0))?;
        let env = self.intern(spec)?;
        self.conn
            .prepare_cached("UPDATE specs SET spec = ?2, env = ?3 WHERE task = ?1")?
            .execute(params![seq, json(&without_env(spec)), env])?;
        if let Some(former) = former.filter(|former| Some(*former) != env) {
            self.drop_unused_env(former)?;
        }
        Ok(())
    }

    /// The number of the specification's environment, which is stored unless it is there already.
    fn intern(&self, spec: &TaskSpec) -> Result<Option<i64>, StoreError> {
        if spec.env.is_empty() {
            return Ok(None);
        }
        let vars = json(&spec.env);
        let hash = fnv1a(vars.as_bytes()).cast_signed();
        let known: Option<i64> = self
            .conn
            .prepare_cached(
                "SELECT env FROM (SELECT env, vars FROM environments WHERE hash = ?1 ORDER BY env DESC LIMIT ?3) \
                 WHERE vars = ?2",
            )?
            .query_row(params![hash, vars, SAME_HASH_COMPARED], |row| row.get(0))
            .optional()?;
        if known.is_some() {
            return Ok(known);
        }
        self.conn
            .prepare_cached("INSERT INTO environments (hash, vars) VALUES (?1, ?2)")?
            .execute(params![hash, vars])?;
        Ok(Some(self.conn.last_insert_rowid()))
    }

    /// Deletes an environment that no task refers to any more.
    pub(super) fn drop_unused_env(&self, env: i64) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("DELETE FROM environments WHERE env = ?1 AND NOT EXISTS (SELECT 1 FROM specs WHERE env = ?1)")?
            .execute([env])?;
        Ok(())
    }
}

/// The specification as it is stored: its environment is kept elsewhere.
fn without_env(spec: &TaskSpec) -> TaskSpec {
    let mut spec = spec.clone();
    spec.env.clear();
    spec
}

/// FNV-1a with 64 bits: only finds candidates, which are then compared.
fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    bytes.iter().fold(OFFSET, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    })
}
