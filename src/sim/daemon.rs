//! A daemon: the real store and the real handler between simulated clients, attendants and disk. It does what
//! `supervisor::start`, `supervisor::engine` and `supervisor::carriers` do, one step at a time.

mod attending;
mod sight;
mod transaction;

pub use sight::SimWorld;
pub use transaction::{Around, Fate};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::attendant::{Attendant, Busy, Surroundings, recovery};
use super::bug::Bug;
use super::client::{self, Sent};
use super::disk::vfs;
use super::machine::{Shared, SimGround};
use super::notices::{self, Telling};
use crate::attempt::recovery::Row;
use crate::config::Settings;
use crate::store::{OpenError, OpenOptions, Store, StoreError};
use crate::supervisor::command::{Refusal, Reply};
use crate::supervisor::event::Effect;
use crate::supervisor::handler::{Handler, Wake};
use crate::supervisor::notice::Notice;
use crate::supervisor::recover::Recovery;
use crate::supervisor::steps::Handled;
use crate::task::{AttemptId, Task, TaskId, Timestamp};

/// The database.
pub const DATABASE: &str = "/tasks.db";

/// What is done after a commit, in this order.
#[derive(Debug)]
pub enum Out {
    /// An effect is carried out.
    Effect(Effect),
    /// A client gets its answer.
    Reply(Sent, Result<Reply, Refusal>),
}

/// A record that no running attempt needs, on its way out.
#[derive(Debug)]
pub struct Stray {
    recovery: Recovery<SimGround>,
    at_ms: u64,
}

/// A daemon.
pub struct Daemon {
    /// `None` while it is taken apart.
    pub store: Option<Store>,
    /// The real one.
    pub handler: Handler,
    /// The settings in force.
    pub settings: Arc<Settings>,
    /// What waits to be handled.
    pub events: VecDeque<Sent>,
    /// What is to be carried out.
    pub outs: VecDeque<Out>,
    /// Who attends which attempt.
    pub attendants: BTreeMap<AttemptId, Attendant>,
    strays: BTreeMap<AttemptId, Stray>,
    /// Notices on their way.
    pub tellings: Vec<Telling>,
    busy: Busy,
    ground: SimGround,
    /// When to look again.
    pub wake: Wake,
    /// The time that was told already.
    woken_at: Option<Timestamp>,
    /// A transaction was lost: the next one not before this, by the monotonic clock.
    retry_at_ms: u64,
    bug: Option<Bug>,
    /// Faults are over.
    pub healing: bool,
}

/// How the store is opened.
#[must_use]
pub fn options() -> OpenOptions {
    vfs::register();
    OpenOptions {
        reserve_bytes: 0,
        vfs: Some(vfs::NAME.to_owned()),
        ..OpenOptions::at(DATABASE)
    }
}

impl Daemon {
    /// Opens the database and takes back what runs, as `supervisor::start` does.
    ///
    /// # Errors
    /// The store's.
    pub fn start(
        machine: &Shared,
        settings: &Arc<Settings>,
        bug: Option<Bug>,
    ) -> Result<Self, OpenError> {
        let store_error = |source: StoreError| OpenError::Store {
            path: DATABASE.into(),
            source,
        };
        let mut store = Store::open(&options(), machine.get().now())?;
        let mut batch = store.batch().map_err(store_error)?;
        let known = if bug == Some(Bug::IgnoreBudgets) {
            Arc::new(client::settings(settings.num_workers))
        } else {
            Arc::clone(settings)
        };
        let mut running = Vec::new();
        let mut left = Vec::new();
        let handler = batch
            .step(|tx| {
                running = tx.running()?;
                left = notices::left_to_tell(tx)?;
                Handler::new(known, false, tx)
            })
            .map_err(store_error)?;
        drop(batch);
        running.extend(handler.own_probes());
        let mut daemon = Self {
            store: Some(store),
            handler,
            settings: Arc::clone(settings),
            events: VecDeque::from([Sent::Timer]),
            outs: VecDeque::new(),
            attendants: BTreeMap::new(),
            strays: BTreeMap::new(),
            tellings: Vec::new(),
            busy: Busy::default(),
            ground: SimGround::of(machine),
            wake: Wake::default(),
            woken_at: None,
            retry_at_ms: 0,
            bug,
            healing: false,
        };
        daemon.take_back(&running, machine).map_err(store_error)?;
        if bug != Some(Bug::ForgetNotices) {
            for notice in left {
                daemon.tell(notice, machine);
            }
        }
        Ok(daemon)
    }

    fn take_back(&mut self, running: &[Task], machine: &Shared) -> Result<(), StoreError> {
        if self.bug == Some(Bug::ForgetSlots) {
            self.handler.forget_slots();
        }
        let held: BTreeSet<AttemptId> = running.iter().map(Task::attempt).collect();
        let names: Vec<AttemptId> = {
            let machine = machine.get();
            let names = machine.records.keys();
            names.filter(|name| !held.contains(name)).cloned().collect()
        };
        let mut known = BTreeMap::new();
        if let Some(store) = &mut self.store {
            let mut batch = store.batch()?;
            batch.step(|tx| {
                for name in &names {
                    known.insert(name.clone(), tx.task(&name.task)?);
                }
                Ok::<_, StoreError>(())
            })?;
        }
        for name in names {
            let task = known.remove(&name).flatten();
            let is_past = task.is_some_and(|task| task.life.generation >= name.generation)
                || self.handler.is_own_probe(&name);
            let row = if is_past { Row::Past } else { Row::Unknown };
            let recovery = recovery(&name, row, &self.around(machine));
            self.busy.borrow_mut().insert(name.clone());
            self.strays.insert(name, Stray { recovery, at_ms: 0 });
        }
        for task in running {
            if self.bug == Some(Bug::ForgetAdopted) {
                break;
            }
            let attendant = Attendant::adopt(task, &self.around(machine), &self.settings);
            self.attendants.insert(task.attempt(), attendant);
        }
        Ok(())
    }

    /// A notice is to be told, at its time.
    pub fn tell(&mut self, notice: Notice, machine: &Shared) {
        let machine = machine.get();
        self.tellings
            .push(Telling::new(notice, machine.wall_ms, machine.mono_ms));
    }

    /// What its attendants work with.
    #[must_use]
    pub fn around<'a>(&'a self, machine: &'a Shared) -> Surroundings<'a> {
        Surroundings {
            machine,
            ground: &self.ground,
            busy: &self.busy,
            heartbeat_timeout_ms: self.settings.heartbeat_timeout_seconds * 1_000,
            healing: self.healing,
            bug: self.bug,
        }
    }

    /// The timer: time has come that was asked for.
    pub fn look_at_the_clock(&mut self, now: Timestamp) {
        if let Some(at) = self.wake.at
            && at <= now
            && self.woken_at != Some(at)
        {
            self.woken_at = Some(at);
            self.events.push_back(Sent::Timer);
        }
        if self.woken_at.is_some_and(|at| at > now) {
            self.woken_at = None;
        }
    }

    /// Whether a transaction has something to do.
    #[must_use]
    pub fn can_commit(&self, now: Timestamp, mono_ms: u64) -> bool {
        let is_time = self
            .wake
            .at
            .is_some_and(|at| at <= now && self.woken_at != Some(at));
        mono_ms >= self.retry_at_ms && (is_time || !self.events.is_empty())
    }

    /// Whether an attempt is being judged.
    #[must_use]
    pub fn is_settling(&self) -> bool {
        !self.strays.is_empty() || self.attendants.values().any(Attendant::is_settling)
    }
}

/// A launch, again.
#[must_use]
pub fn copy_of_launch(effect: &Effect) -> Option<Effect> {
    let Effect::Launch(launch) = effect else {
        return None;
    };
    Some(Effect::Launch(launch.clone()))
}

/// The tasks that a transaction has touched.
#[must_use]
pub fn touched(handled: &[Handled], claims: &[Effect]) -> BTreeSet<TaskId> {
    let mut ids = BTreeSet::new();
    for done in handled {
        if let Ok(Reply::Submitted { task, .. } | Reply::Acted { task, .. }) = &done.answer {
            ids.insert(task.id.clone());
        }
    }
    let effects = handled.iter().flat_map(|done| &done.effects).chain(claims);
    for effect in effects {
        match effect {
            Effect::Changed(change) => {
                ids.insert(change.id.clone());
            }
            Effect::RemoveFiles(gone) => ids.extend(gone.iter().cloned()),
            Effect::Launch(_)
            | Effect::Stop { .. }
            | Effect::Forget(_)
            | Effect::Log(_)
            | Effect::Tell(_)
            | Effect::Attention(_)
            | Effect::AttentionOver(_) => {}
        }
    }
    ids
}
