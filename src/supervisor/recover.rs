//! Carries out recovery's plan for one attempt: look → plan → act → look again. Blocking; run off the runtime's thread.
//!
//! The plan itself is pure ([`crate::attempt::recovery`]). One thing is simpler here than it allows: an outcome that is in
//! the record is committed only when lock and tree are free. It cannot get lost meanwhile (it is on disk), and slot, row
//! and tree then never disagree.

use std::path::PathBuf;

use super::event::Closed;
use super::ground::{self, Ground, GroundRecord as _, RealGround};
use super::pulse::Pulse;
use crate::attempt::record::{Exit, ProcessStamp, Read, Record};
use crate::attempt::recovery::{
    Boot, Content, Facts, Heartbeat, Lock, Plan, Row, Tree, Wait, Worker, plan,
};
use crate::process::SweepResult;
use crate::task::{AttemptId, Outcome, OutcomeKind, Timestamp};

/// Time that a holder has which is starting or leaving.
const HOLDER_WAIT_MS: u64 = 30_000;
/// Between SIGTERM and SIGKILL for what a dead worker left behind.
const SWEEP_GRACE_MS: u64 = 5_000;
/// Time for SIGKILL to work before the tree is called stuck (for now).
const SWEEP_LIMIT_MS: u64 = 10_000;
/// Time between two looks while waiting for a holder.
const LOOK_AGAIN_MS: u64 = 50;
/// Time between two tries when a tree cannot be emptied or a record cannot be written.
const TRY_AGAIN_MS: u64 = 5_000;
/// Looks per allowed age of a proof of life, as far as the pulse is concerned: a look later than a few of them says that this
/// daemon stood still itself.
const LOOKS_PER_TIMEOUT: u64 = 4;

/// What one round came to.
#[derive(Debug)]
pub enum Round {
    /// It runs under this worker: watch that one, then go on.
    Watch(ProcessStamp),
    /// Look again after so many milliseconds.
    Again(u64),
    /// It is over: commit this.
    Closed(Closed),
    /// It cannot be ended now; the slot stays held. Go on after so many milliseconds.
    Stuck(String, u64),
    /// A record that no running attempt needs is dealt with; the text is for a person, if anything is.
    Gone(Option<String>),
}

/// Recovery of one attempt.
#[derive(Debug)]
pub struct Recovery<G: Ground = RealGround> {
    ground: G,
    attempt: AttemptId,
    path: PathBuf,
    row: Row,
    /// A proof of life may be that old, in milliseconds.
    heartbeat_timeout_ms: u64,
    /// What was seen of a holder whose record names no worker to watch: nobody else judges it.
    pulse: Option<Pulse>,
    /// The worker did not prove that it lives for so many milliseconds.
    silent_ms: Option<u64>,
    /// Its holder was ended for that.
    ended_here: bool,
    tree: Tree,
    waiting_since_ms: Option<u64>,
    waited: bool,
    holder_ended: u32,
    held: Option<G::File>,
    /// What the last look showed, and what followed.
    last: Option<(Facts, Plan)>,
}

/// What a look showed, beside the facts for the plan.
struct Look {
    facts: Facts,
    record: Option<Record>,
}

impl Recovery {
    /// Recovery of `attempt` on this machine, whose record is at `path`, and of which the database says `row`. A proof of life
    /// may be `heartbeat_timeout_ms` old.
    #[must_use]
    pub fn new(attempt: AttemptId, path: PathBuf, row: Row, heartbeat_timeout_ms: u64) -> Self {
        Self::on(RealGround, attempt, path, row, heartbeat_timeout_ms)
    }
}

impl<G: Ground> Recovery<G> {
    /// As [`Recovery::new`], on other ground.
    #[must_use]
    pub fn on(
        ground: G,
        attempt: AttemptId,
        path: PathBuf,
        row: Row,
        heartbeat_timeout_ms: u64,
    ) -> Self {
        Self {
            ground,
            attempt,
            path,
            row,
            heartbeat_timeout_ms,
            pulse: None,
            silent_ms: None,
            ended_here: false,
            tree: Tree::NotSwept,
            waiting_since_ms: None,
            waited: false,
            holder_ended: 0,
            held: None,
            last: None,
        }
    }

    /// The worker left by itself after it had emptied its tree: no need to sweep again.
    pub fn tree_is_empty(&mut self) {
        self.tree = Tree::Empty;
    }

    /// What the watcher says of the worker's proofs of life: for how long there was none, when that was too long.
    pub fn silent(&mut self, silent_ms: Option<u64>) {
        self.silent_ms = silent_ms;
    }

    /// The worker had its time to start: the next look does not wait for it any more.
    pub fn waited_enough(&mut self) {
        self.waited = true;
    }

    /// Something else may have happened since the last round: forget what only held then.
    pub fn watched(&mut self) {
        self.tree = Tree::NotSwept;
        self.waiting_since_ms = None;
        self.waited = false;
    }

    /// What the last round saw, and what it did about it.
    #[must_use]
    pub const fn last(&self) -> Option<(Facts, Plan)> {
        self.last
    }

    /// One round.
    ///
    /// # Errors
    /// When the record or `/proc` cannot be read, or the record cannot be written: try again.
    pub fn round(&mut self) -> std::io::Result<Round> {
        let look = self.look()?;
        let decided = plan(&look.facts);
        self.last = Some((look.facts, decided));
        tracing::debug!(attempt = %self.attempt, facts = ?look.facts, plan = ?decided, "recovery");
        self.act(decided, &look)
    }

    fn look(&mut self) -> std::io::Result<Look> {
        if self.held.is_none() {
            self.held = match self.ground.open(&self.path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
        }
        let (lock, record) = match &mut self.held {
            None => (Lock::Free, None),
            Some(file) => {
                let lock = if file.try_lock()? {
                    Lock::Free
                } else {
                    Lock::Held
                };
                (lock, Some(file.read()?))
            }
        };
        let content = match &record {
            // Died while it was made, for a claim that was never committed: as empty as one with a header.
            Some(record) if self.row == Row::Unknown && is_blank(record) => Content::Empty,
            Some(record) => content(record),
            None => Content::Missing,
        };
        let started = record.as_ref().and_then(|record| record.started.value());
        let boot = match record
            .as_ref()
            .map(|record| (started, record.header.value()))
        {
            Some((Some(started), _)) => self.boot(&started.boot_id),
            Some((None, Some(header))) => self.boot(&header.boot_id),
            Some((None, None)) | None => Boot::This,
        };
        let worker = match started {
            Some(started) if self.ground.is_alive(started.worker) => Worker::Alive,
            Some(_) => Worker::Dead,
            None => Worker::Unknown,
        };
        let now_ms = self.ground.monotonic_ms();
        let wait = match self.waiting_since_ms {
            _ if self.waited => Wait::Over,
            Some(since) if now_ms.saturating_sub(since) >= HOLDER_WAIT_MS => Wait::Over,
            Some(_) | None => Wait::Waiting,
        };
        if lock == Lock::Held {
            // Only a lock that we hold is kept between looks; of a held one the file may be replaced meanwhile.
            self.held = None;
        }
        let facts = Facts {
            row: self.row,
            content,
            boot,
            lock,
            worker,
            heartbeat: self.heartbeat(content, lock, record.as_ref(), now_ms),
            wait,
            tree: self.tree,
        };
        Ok(Look { facts, record })
    }

    /// What is known of the holder's proofs of life. A worker that the record names is watched by the caller; of a record that
    /// cannot be read there is nobody to watch, so its proofs are judged here, look by look.
    fn heartbeat(
        &mut self,
        content: Content,
        lock: Lock,
        record: Option<&Record>,
        now_ms: u64,
    ) -> Heartbeat {
        if self.silent_ms.is_some() {
            return Heartbeat::Stale;
        }
        if content != Content::Unreadable || lock == Lock::Free {
            self.pulse = None;
            return Heartbeat::Fresh;
        }
        let beat = record.and_then(|record| record.beat.value());
        let pulse = self.pulse.get_or_insert_with(|| Pulse::new(now_ms));
        let interval_ms = (self.heartbeat_timeout_ms / LOOKS_PER_TIMEOUT).max(LOOK_AGAIN_MS);
        pulse.look(beat, now_ms, interval_ms, self.heartbeat_timeout_ms)
    }

    fn act(&mut self, decided: Plan, look: &Look) -> std::io::Result<Round> {
        let record = look.record.as_ref();
        let exit = record.and_then(|record| record.exit.value());
        match decided {
            Plan::Adopt => match record.and_then(|record| record.started.value()) {
                Some(started) => Ok(Round::Watch(started.worker)),
                None => Ok(self.wait()),
            },
            Plan::WaitForHolder => Ok(self.wait()),
            Plan::EndHolder => self.end_holder(record),
            Plan::Sweep => self.sweep(record),
            Plan::CommitExitThenWaitTree => match (look.facts.lock, look.facts.wait) {
                (Lock::Free, _) if look.facts.tree == Tree::Stuck => Ok(self.stuck()),
                (Lock::Free, _) => self.sweep(record),
                (Lock::Held, Wait::Waiting) => Ok(self.wait()),
                (Lock::Held, Wait::Over) => self.end_holder(record),
            },
            Plan::CommitExit => match exit {
                Some(exit) => {
                    // An end that a closer before us wrote may not have reached the disk: a late worker must find it.
                    if matches!(exit.outcome.kind, OutcomeKind::NeverRan | OutcomeKind::Lost)
                        && let Some(file) = &self.held
                    {
                        file.write_synced_afresh(exit)?;
                    }
                    Ok(Round::Closed(closed(&self.attempt, exit, look)))
                }
                None => Ok(Round::Again(LOOK_AGAIN_MS)),
            },
            Plan::CloseNeverRan => self.close(OutcomeKind::NeverRan, look),
            Plan::CloseLost => self.close(OutcomeKind::Lost, look),
            Plan::SetAsideAndLose => {
                let kept = self.set_aside()?;
                let exit = Exit {
                    outcome: lost(&format!("its record was damaged and is kept as {kept}")),
                    ended_at: self.ground.now(),
                    output_bytes: 0,
                };
                Ok(Round::Closed(closed(&self.attempt, &exit, look)))
            }
            Plan::HoldSlot => Ok(self.stuck()),
            Plan::Discard => {
                if let Some(file) = self.held.take() {
                    file.unlink_locked()?;
                }
                Ok(Round::Gone(None))
            }
            Plan::KeepFile => {
                let kept = self.set_aside()?;
                Ok(Round::Gone(Some(format!(
                    "a record that no task explains was ended and is kept as {kept}"
                ))))
            }
            Plan::Nothing | Plan::Release => Ok(Round::Gone(None)),
        }
    }

    fn wait(&mut self) -> Round {
        let now_ms = self.ground.monotonic_ms();
        self.waiting_since_ms.get_or_insert(now_ms);
        Round::Again(LOOK_AGAIN_MS)
    }

    /// SIGKILL for the worker and its tree. What it wrote a moment before is read by the next look.
    fn end_holder(&mut self, record: Option<&Record>) -> std::io::Result<Round> {
        tracing::warn!(attempt = %self.attempt, "ending a worker that does not prove that it lives, and its tree");
        let result = self
            .ground
            .sweep(&self.tree_of(record), 0, SWEEP_LIMIT_MS)?;
        crate::crash::point("recover.holder_ended");
        self.holder_ended += 1;
        self.ended_here = true;
        self.tree = match result {
            // Twice nothing of ours was found and the lock is still held: a stranger, or a process that cannot be seen.
            SweepResult::Empty if self.holder_ended > 2 => Tree::Stuck,
            SweepResult::Empty => Tree::NotSwept,
            SweepResult::Remains(_) => Tree::Remains,
            SweepResult::Stuck(_) => Tree::Stuck,
        };
        Ok(Round::Again(LOOK_AGAIN_MS))
    }

    fn sweep(&mut self, record: Option<&Record>) -> std::io::Result<Round> {
        let tree = self.tree_of(record);
        let result = self.ground.sweep(&tree, SWEEP_GRACE_MS, SWEEP_LIMIT_MS)?;
        crate::crash::point("recover.swept");
        self.tree = match result {
            SweepResult::Empty => Tree::Empty,
            SweepResult::Remains(_) => Tree::Remains,
            SweepResult::Stuck(_) => Tree::Stuck,
        };
        Ok(Round::Again(if self.tree == Tree::Empty {
            0
        } else {
            LOOK_AGAIN_MS
        }))
    }

    /// Writes the end under our lock.
    fn close(&mut self, kind: OutcomeKind, look: &Look) -> std::io::Result<Round> {
        let outcome = if kind == OutcomeKind::Lost {
            match self.silent_ms.filter(|_| self.ended_here) {
                Some(ms) => lost(&format!(
                    "its worker did not prove that it lives for {} s and was ended",
                    ms / 1_000
                )),
                None => lost("its worker is gone and wrote no end"),
            }
        } else {
            Outcome::of(kind)
        };
        let exit = Exit {
            outcome,
            ended_at: self.ground.now(),
            output_bytes: 0,
        };
        if let Some(file) = &self.held {
            file.write_synced_afresh(&exit)?;
        }
        crate::crash::point("recover.closed");
        Ok(Round::Closed(closed(&self.attempt, &exit, look)))
    }

    /// Moves the record out of the way, for a person. Returns its new name.
    fn set_aside(&mut self) -> std::io::Result<String> {
        let name = format!("{}.set-aside-{}", self.attempt, self.ground.now().as_ms());
        self.ground
            .rename(&self.path, &self.path.with_file_name(&name))?;
        crate::crash::point("recover.set_aside");
        // Only now the lock may go: who gets it finds that the path is gone, and leaves.
        self.held = None;
        Ok(name)
    }

    fn stuck(&mut self) -> Round {
        self.tree = Tree::NotSwept;
        self.waiting_since_ms = None;
        self.holder_ended = 0;
        Round::Stuck(
            "its processes do not end on SIGKILL, or a stranger holds its record".to_owned(),
            TRY_AGAIN_MS,
        )
    }

    /// Where to look for what is left of it.
    fn tree_of(&self, record: Option<&Record>) -> ground::Tree<'_> {
        let started = record
            .and_then(|record| record.started.value())
            .filter(|started| self.boot(&started.boot_id) == Boot::This);
        let agent = started.and_then(|started| started.agent);
        ground::Tree {
            attempt: &self.attempt,
            roots: started
                .map(|started| started.worker)
                .into_iter()
                .chain(agent)
                .collect(),
            agent,
        }
    }

    fn boot(&self, id: &str) -> Boot {
        if id == self.ground.boot_id() {
            Boot::This
        } else {
            Boot::Other
        }
    }
}

fn content(record: &Record) -> Content {
    match (&record.header, &record.started, &record.exit) {
        (_, _, Read::Value(_)) => Content::Exit,
        (Read::Value(_), Read::Value(_), Read::Blank) => Content::Started,
        (Read::Value(_), Read::Blank, Read::Blank) => Content::Empty,
        (Read::Blank | Read::Damaged, _, Read::Blank | Read::Damaged)
        | (Read::Value(_), Read::Damaged, Read::Blank | Read::Damaged)
        | (Read::Value(_), Read::Blank | Read::Value(_), Read::Damaged) => Content::Unreadable,
    }
}

/// Nothing was ever written to it: no worker takes such a record for its own.
fn is_blank(record: &Record) -> bool {
    matches!(
        (&record.header, &record.started, &record.exit),
        (Read::Blank, Read::Blank, Read::Blank)
    )
}

fn started_at(record: Option<&Record>) -> Option<Timestamp> {
    record
        .and_then(|record| record.started.value())
        .map(|started| started.started_at)
}

fn lost(detail: &str) -> Outcome {
    Outcome::of(OutcomeKind::Lost).with_detail(detail)
}

fn closed(attempt: &AttemptId, exit: &Exit, look: &Look) -> Closed {
    Closed {
        attempt: attempt.clone(),
        outcome: exit.outcome.clone(),
        ended_at: exit.ended_at,
        started_at: started_at(look.record.as_ref()),
        report: look
            .record
            .as_ref()
            .and_then(|record| record.report.value())
            .cloned()
            .map(Box::new),
        launch_failed: false,
        machine_went_down: look.facts.boot == Boot::Other,
    }
}

#[cfg(test)]
mod tests;
