//! Whose turn it is, kept up to date with every write instead of searched for.
//!
//! A task that may be claimed is on one of three steps: it waits for its time, it waits for its lane, it is ready. A
//! *lane* is the tasks with one exclusive key; only its best waiting task is ready, and none while one of them holds a slot.
//! So claiming reads ready tasks from an index in the order in which they go, whatever else waits.

use rusqlite::{Connection, OptionalExtension as _};

use super::row::{self, BadRow, select_tasks};
use super::{StoreError, Tx, fold};
use crate::task::agent::WRAP_UP_WAIT_MAX_MS;
use crate::task::{Gate, Lifecycle, Task, Timestamp};

/// `tasks.turn`: cannot be claimed.
pub(super) const NOT_NOW: i64 = 0;
/// `tasks.turn`: waits for its time.
pub(super) const TIMED: i64 = 1;
/// `tasks.turn`: waits for its lane.
pub(super) const IN_LANE: i64 = 2;
/// `tasks.turn`: ready.
pub(super) const READY: i64 = 3;

/// [`Tx::promote_due`] moves at most this many tasks at a time, so that a batch stays short.
pub const PROMOTE_CHUNK: u32 = 1_000;

/// Tasks whose time has come.
pub(super) const DUE: &str = "SELECT seq, exclusive FROM tasks WHERE turn = 1 AND not_before <= ?1 ORDER BY not_before LIMIT ?2";
/// Ready tasks of a gate, the next one first.
pub(super) const CLAIMABLE: &str =
    select_tasks!("WHERE t.turn = 3 AND t.gate IS ?1 ORDER BY t.priority DESC, t.seq LIMIT ?2");
/// Whether there are ready tasks that need no account.
pub(super) const UNGATED_READY: &str = "SELECT 1 FROM tasks WHERE turn = 3 AND gate IS NULL";
/// The first gate after another at which tasks are ready.
pub(super) const NEXT_GATE: &str = "SELECT min(gate) FROM tasks WHERE turn = 3 AND gate > ?1";
/// Tasks that wait for a hold of a gate, the next one first.
pub(super) const HELD: &str = select_tasks!(
    "WHERE t.state = 'waiting_unban' AND t.aside = 0 AND t.gate IS ?1 ORDER BY t.priority DESC, t.seq LIMIT ?2"
);
/// The first gate after another at which tasks wait for a hold.
pub(super) const NEXT_HELD_GATE: &str =
    "SELECT min(gate) FROM tasks WHERE state = 'waiting_unban' AND aside = 0 AND gate > ?1";
/// The earliest time that a task waits for.
pub(super) const NEXT_DUE: &str =
    "SELECT not_before FROM tasks WHERE turn = 1 ORDER BY not_before LIMIT 1";
/// Tasks that hold a slot.
pub(super) const RUNNING: &str =
    select_tasks!("WHERE t.slot IS NOT NULL AND t.aside = 0 ORDER BY t.slot");
/// Whether a task of the lane holds a slot.
pub(super) const LANE_BUSY: &str = "SELECT 1 FROM tasks WHERE exclusive = ?1 AND exclusive IS NOT NULL AND slot IS NOT NULL AND aside = 0";
/// The lane's next one.
pub(super) const LANE_BEST: &str = "SELECT seq FROM tasks WHERE exclusive = ?1 AND exclusive IS NOT NULL AND turn >= 2 ORDER BY priority DESC, seq LIMIT 1";
/// The lane's ready one.
pub(super) const LANE_READY: &str =
    "SELECT seq FROM tasks WHERE exclusive = ?1 AND exclusive IS NOT NULL AND turn = 3";

/// A task's turn at `at`, before its lane is settled.
pub(super) fn turn(life: &Lifecycle, unmet: i64, exclusive: bool, at: Timestamp) -> i64 {
    if !life.state.is_claimable() || unmet > 0 {
        NOT_NOW
    } else if life.not_before.is_some_and(|time| time > at) {
        TIMED
    } else if exclusive {
        IN_LANE
    } else {
        READY
    }
}

impl Tx<'_> {
    /// Lets tasks whose earliest time has come take their turn, the earliest first. Returns how many;
    /// [`PROMOTE_CHUNK`] means that there may be more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn promote_due(&self, now: Timestamp) -> Result<u64, StoreError> {
        let due: Vec<(i64, Option<String>)> = self
            .conn
            .prepare_cached(DUE)?
            .query_map((now.as_ms(), PROMOTE_CHUNK), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        if due.is_empty() {
            return Ok(0);
        }
        let mut statement = self
            .conn
            .prepare_cached("UPDATE tasks SET turn = ?2 WHERE seq = ?1")?;
        for (seq, exclusive) in &due {
            statement.execute((seq, if exclusive.is_some() { IN_LANE } else { READY }))?;
            self.settle_lane(exclusive.as_deref())?;
        }
        Ok(due.len() as u64)
    }

    /// Lets retries take their turn whose time lies further ahead than `longest_ms`, the longest backoff there is: the clock
    /// was set back since, and nobody asked for such a wait. A time that a person asked for stays, and so does the end of a
    /// window. Returns how many; [`PROMOTE_CHUNK`] means that there may be more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn promote_overlong(&self, now: Timestamp, longest_ms: u64) -> Result<u64, StoreError> {
        let latest = now.plus_ms(i64::try_from(longest_ms).unwrap_or(i64::MAX));
        let rows = row::read_tasks(
            self.conn,
            select_tasks!(
                "WHERE t.turn = 1 AND t.state = 'retrying' AND t.not_before > ?1 ORDER BY t.not_before LIMIT ?2"
            ),
            (latest.as_ms(), PROMOTE_CHUNK),
        )?;
        let mut promoted = 0;
        for task in self.put_bad_aside(rows)? {
            if task.spec.at == task.life.not_before || waits_for_a_window(&task, now) {
                continue;
            }
            let lane = task.spec.exclusive.as_deref();
            self.conn
                .prepare_cached("UPDATE tasks SET turn = ?2 WHERE seq = ?1")?
                .execute((task.seq, if lane.is_some() { IN_LANE } else { READY }))?;
            self.settle_lane(lane)?;
            promoted += 1;
        }
        Ok(promoted)
    }

    /// The tasks that may be claimed, in the order in which they go: by priority, then by submission. At most one of each
    /// lane, and none of a lane in which a task holds a slot.
    ///
    /// # Errors
    /// [`StoreError`]. A damaged task is set aside and left out.
    pub fn claimable(&self, limit: u32) -> Result<Vec<Task>, StoreError> {
        self.claimable_at(&self.ready_gates()?, limit)
    }

    /// As [`Tx::claimable`], of these gates only (`None` = tasks that need no account): the others are not looked at.
    ///
    /// # Errors
    /// [`StoreError`]. A damaged task is set aside and left out.
    pub fn claimable_at(
        &self,
        gates: &[Option<Gate>],
        limit: u32,
    ) -> Result<Vec<Task>, StoreError> {
        let mut tasks = Vec::new();
        for gate in gates {
            tasks.extend(self.first(CLAIMABLE, gate.as_ref(), limit)?);
        }
        tasks.sort_by_key(|task| (std::cmp::Reverse(task.spec.priority), task.seq));
        tasks.truncate(limit as usize);
        Ok(tasks)
    }

    /// The tasks that wait for a hold of this gate, the next one first.
    ///
    /// # Errors
    /// [`StoreError`]. A damaged task is set aside and left out.
    pub fn held_at(&self, gate: &Gate, limit: u32) -> Result<Vec<Task>, StoreError> {
        self.first(HELD, Some(gate), limit)
    }

    /// The gates at which tasks are ready; `None` stands for tasks that need no account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn ready_gates(&self) -> Result<Vec<Option<Gate>>, StoreError> {
        let ungated = self.conn.prepare_cached(UNGATED_READY)?.exists([])?;
        let gates = self.gates(NEXT_GATE)?;
        Ok(ungated
            .then_some(None)
            .into_iter()
            .chain(gates.into_iter().map(Some))
            .collect())
    }

    /// The gates at which tasks wait for a hold.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn held_gates(&self) -> Result<Vec<Gate>, StoreError> {
        self.gates(NEXT_HELD_GATE)
    }

    /// Gate after gate, each by one look into the index.
    fn gates(&self, next: &str) -> Result<Vec<Gate>, StoreError> {
        let mut statement = self.conn.prepare_cached(next)?;
        let mut gates = Vec::new();
        let mut before = String::new();
        while let Some(key) =
            statement.query_row([&before], |row| row.get::<_, Option<String>>(0))?
        {
            gates.extend(Gate::from_key(&key));
            before = key;
        }
        Ok(gates)
    }

    /// The first `limit` sound tasks of a query by gate.
    fn first(&self, query: &str, gate: Option<&Gate>, limit: u32) -> Result<Vec<Task>, StoreError> {
        let key = gate.map(Gate::key);
        let wanted = limit as usize;
        let mut room = wanted;
        loop {
            let rows = row::read_tasks(
                self.conn,
                query,
                (&key, i64::try_from(room).unwrap_or(i64::MAX)),
            )?;
            let found = rows.len();
            let mut tasks = self.put_bad_aside(rows)?;
            let bad = found - tasks.len();
            if bad == 0 || found < room || tasks.len() >= wanted {
                tasks.truncate(wanted);
                return Ok(tasks);
            }
            room += bad;
        }
    }

    /// The earliest time for which a task that could be claimed otherwise waits; it may have passed already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let earliest: Option<i64> = self
            .conn
            .prepare_cached(NEXT_DUE)?
            .query_row([], |row| row.get(0))
            .optional()?;
        Ok(earliest.map(Timestamp::from_ms))
    }

    /// The tasks that hold a slot, by slot.
    ///
    /// # Errors
    /// [`StoreError`]. A damaged task is set aside and left out.
    pub fn running(&self) -> Result<Vec<Task>, StoreError> {
        let rows = row::read_tasks(self.conn, RUNNING, [])?;
        self.put_bad_aside(rows)
    }

    /// Sees to it that exactly the best waiting task of a free lane is ready.
    pub(super) fn settle_lane(&self, lane: Option<&str>) -> Result<(), StoreError> {
        lane.map_or(Ok(()), |lane| settle_lane(self.conn, lane))
    }

    /// Sets the damaged rows aside and returns the others.
    pub(super) fn put_bad_aside(
        &self,
        rows: Vec<Result<Task, BadRow>>,
    ) -> Result<Vec<Task>, StoreError> {
        let mut tasks = Vec::with_capacity(rows.len());
        for row in rows {
            match row {
                Ok(task) => tasks.push(task),
                Err(bad) => fold::put_aside(self.conn, &bad)?,
            }
        }
        Ok(tasks)
    }
}

/// Whether the task is to be asked what remains once a window has begun anew: no backoff, and longer than any.
fn waits_for_a_window(task: &Task, now: Timestamp) -> bool {
    let asks = task
        .life
        .agent
        .as_ref()
        .is_some_and(|agent| agent.ask_what_remains);
    let waits_ms = task.life.not_before.map(|at| at.ms_since(now));
    asks && waits_ms.is_some_and(|waits_ms| waits_ms <= WRAP_UP_WAIT_MAX_MS)
}

/// See [`Tx::settle_lane`].
pub(super) fn settle_lane(conn: &Connection, lane: &str) -> Result<(), StoreError> {
    let busy = conn.prepare_cached(LANE_BUSY)?.exists([lane])?;
    let number = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    let best = conn
        .prepare_cached(LANE_BEST)?
        .query_row([lane], number)
        .optional()?
        .filter(|_| !busy);
    let ready = conn
        .prepare_cached(LANE_READY)?
        .query_row([lane], number)
        .optional()?;
    if ready == best {
        return Ok(());
    }
    let mut set = conn.prepare_cached("UPDATE tasks SET turn = ?2 WHERE seq = ?1")?;
    if let Some(ready) = ready {
        set.execute((ready, IN_LANE))?;
    }
    if let Some(best) = best {
        set.execute((best, READY))?;
    }
    Ok(())
}
