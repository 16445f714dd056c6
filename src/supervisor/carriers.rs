//! Carries effects out: one loop takes the engine's orders and starts a small task of the runtime for whatever takes time.
//!
//! The loop itself never waits for anything but the next order, so the engine, which waits for a place in the queue of
//! orders, cannot be held up by it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::attend::Attendant;
use super::clock;
use super::engine::Order;
use super::event::{Attention, Effect, SupervisorEvent, Tell};
use super::forget;
use super::launch::LaunchContext;
use super::place::LockPlace;
use super::tell;
use super::timer::WallTimer;
use super::world::Busy;
use crate::attempt::record::ProcessStamp;
use crate::config::Settings;
use crate::config::paths::Paths;
use crate::task::{AttemptId, Intent, Task, TaskId, Timestamp};

/// What carriers, attendants and doors share.
#[derive(Debug)]
pub struct Shared {
    /// Where things are.
    pub paths: Arc<Paths>,
    /// Where the daemon's lock was taken.
    pub place: LockPlace,
    /// The settings now in force.
    pub settings: Arc<RwLock<Arc<Settings>>>,
    /// How workers are started.
    pub launch: LaunchContext,
    /// Tasks of which something earlier is still being ended: not claimed meanwhile.
    pub busy: Busy,
    workers: Mutex<BTreeMap<AttemptId, WorkerSeen>>,
    attention: Mutex<BTreeMap<&'static str, String>>,
    /// Held while an installed agent is checked: one check at a time, for all who wait for it.
    pub(super) checking: tokio::sync::Mutex<()>,
}

/// What this daemon knows of a worker beyond the database.
#[derive(Debug, Clone, Default)]
pub struct WorkerSeen {
    /// The slot.
    pub slot: u32,
    /// The task's name.
    pub name: String,
    /// Who it is.
    pub worker: Option<ProcessStamp>,
    /// It was taken over from an earlier daemon.
    pub adopted: bool,
}

impl Shared {
    /// The shared part.
    #[must_use]
    pub fn new(
        paths: Arc<Paths>,
        place: LockPlace,
        settings: Arc<RwLock<Arc<Settings>>>,
        launch: LaunchContext,
    ) -> Self {
        Self {
            paths,
            place,
            settings,
            launch,
            busy: Busy::default(),
            workers: Mutex::default(),
            attention: Mutex::default(),
            checking: tokio::sync::Mutex::default(),
        }
    }

    /// The settings now in force.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is known of the worker of `attempt`.
    #[must_use]
    pub fn worker(&self, attempt: &AttemptId) -> WorkerSeen {
        lock(&self.workers)
            .get(attempt)
            .cloned()
            .unwrap_or_default()
    }

    /// All attempts that are attended now: what the database says as well, while it can be read.
    #[must_use]
    pub fn workers(&self) -> Vec<(AttemptId, WorkerSeen)> {
        lock(&self.workers)
            .iter()
            .map(|(attempt, seen)| (attempt.clone(), seen.clone()))
            .collect()
    }

    /// What a person should look at, one sentence each.
    #[must_use]
    pub fn attention(&self) -> Vec<String> {
        lock(&self.attention).values().cloned().collect()
    }

    /// The sentence of one kind, while it holds.
    #[must_use]
    pub fn attention_of(&self, kind: &str) -> Option<String> {
        lock(&self.attention).get(kind).cloned()
    }

    fn attended(&self, task: &Task) {
        let mut workers = lock(&self.workers);
        let seen = workers.entry(task.attempt()).or_default();
        seen.slot = task.slot.unwrap_or(0);
        seen.name.clone_from(&task.spec.name);
    }

    pub(super) fn launched(&self, attempt: &AttemptId, worker: ProcessStamp) {
        lock(&self.workers)
            .entry(attempt.clone())
            .or_default()
            .worker = Some(worker);
    }

    pub(super) fn adopted(&self, attempt: &AttemptId) {
        lock(&self.workers)
            .entry(attempt.clone())
            .or_default()
            .adopted = true;
    }

    /// Notes something for a person, and logs it.
    pub fn attend_to(&self, attention: Attention) {
        tracing::warn!(kind = attention.kind, "{}", attention.text);
        lock(&self.attention).insert(attention.kind, attention.text);
    }

    pub(super) fn attention_over(&self, kind: &str) {
        if lock(&self.attention).remove(kind).is_some() {
            tracing::info!(kind, "over");
        }
    }

    fn forget(&self, attempt: &AttemptId) {
        lock(&self.workers).remove(attempt);
    }
}

/// Short critical sections that cannot panic: a poisoned lock holds a whole value all the same.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The loop that takes orders.
pub struct Carriers {
    shared: Arc<Shared>,
    orders: mpsc::Receiver<Order>,
    events: mpsc::Sender<SupervisorEvent>,
    intents: HashMap<AttemptId, watch::Sender<Option<Intent>>>,
    wake_at: watch::Sender<Option<Timestamp>>,
    /// Notices that are being told; a daemon that leaves leaves them to the next one.
    telling: JoinSet<()>,
    /// Places for those that are told now.
    telling_at_once: Arc<Semaphore>,
    /// Attendants end with the carriers: a daemon that leaves touches no worker any more.
    attendants: JoinSet<()>,
}

impl Carriers {
    /// Carriers for the orders of an engine.
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        orders: mpsc::Receiver<Order>,
        events: mpsc::Sender<SupervisorEvent>,
    ) -> Self {
        Self {
            shared,
            orders,
            events,
            intents: HashMap::new(),
            wake_at: watch::Sender::new(None),
            telling: JoinSet::new(),
            telling_at_once: Arc::new(Semaphore::new(tell::TOLD_AT_ONCE)),
            attendants: JoinSet::new(),
        }
    }

    /// Takes running attempts of an earlier daemon back (or closes what is left of them), tells what that has left to be
    /// told, then carries out orders until the engine is gone.
    pub async fn run(mut self, running: Vec<Task>, notices: Vec<Tell>) {
        let events = self.events.clone();
        let wake_at = self.wake_at.subscribe();
        let timer = tokio::spawn(async move {
            if let Err(error) = tell_time(wake_at, events).await {
                tracing::error!(%error, "the timer failed; waiting tasks start late");
            }
        });
        for task in running {
            let attendant = self.attendant(&task);
            self.attendants.spawn(attendant.adopt());
        }
        for notice in notices {
            self.tell(Box::new(notice));
        }
        loop {
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(Order::WakeAt(at)) => drop(self.wake_at.send_replace(at)),
                    Some(Order::Effect(effect)) => self.carry_out(effect),
                    None => break,
                },
                Some(_) = self.telling.join_next() => {}
                // One that panicked leaves its attempt to the next daemon.
                Some(ended) = self.attendants.join_next() => if let Err(error) = ended {
                    tracing::error!(%error, "an attempt is not attended any more");
                },
            }
        }
        timer.abort();
    }

    fn attendant(&mut self, task: &Task) -> Attendant {
        let attempt = task.attempt();
        self.shared.attended(task);
        let (wish, wishes) = watch::channel(task.life.intent.clone());
        self.intents.insert(attempt, wish);
        Attendant::new(Arc::clone(&self.shared), task, wishes, self.events.clone())
    }

    fn tell(&mut self, notice: Box<Tell>) {
        let (shared, events) = (Arc::clone(&self.shared), self.events.clone());
        let places = Arc::clone(&self.telling_at_once);
        self.telling
            .spawn(tell::tell(shared, places, events, notice));
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Launch(launch) => {
                let attendant = self.attendant(&launch.task);
                self.attendants.spawn(attendant.launch(launch));
            }
            Effect::Stop { attempt, intent } => {
                if let Some(wish) = self.intents.get(&attempt) {
                    wish.send_replace(Some(intent));
                }
            }
            Effect::Forget(attempt) => {
                // In this order: an attendant that finds its wishes ended tells by the other whether it was committed.
                self.shared.forget(&attempt);
                self.intents.remove(&attempt);
                let shared = Arc::clone(&self.shared);
                tokio::task::spawn_blocking(move || {
                    if let Err(error) = forget::forget(&shared.paths, &attempt) {
                        tracing::warn!(%error, %attempt, "a record that is not needed any more stays");
                    }
                });
            }
            Effect::RemoveFiles(ids) => {
                let shared = Arc::clone(&self.shared);
                tokio::task::spawn_blocking(move || remove_files(&shared.paths, &ids));
            }
            Effect::Tell(notice) => self.tell(notice),
            Effect::Attention(attention) => self.shared.attend_to(attention),
            Effect::AttentionOver(kind) => self.shared.attention_over(kind),
            // The engine tells watchers itself.
            Effect::Changed(_) | Effect::Log(_) => {}
        }
    }
}

/// Sends a timer event when the time has come that was last asked for, and when the wall clock was set.
async fn tell_time(
    mut wake_at: watch::Receiver<Option<Timestamp>>,
    events: mpsc::Sender<SupervisorEvent>,
) -> std::io::Result<()> {
    let timer = WallTimer::new()?;
    // A time that was told is not told again, unless the clock is set back before it.
    let mut told = None;
    loop {
        let at = *wake_at.borrow_and_update();
        let now = clock::now();
        timer.arm(at.filter(|time| at != told || *time > now), now)?;
        tokio::select! {
            changed = wake_at.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
            }
            fired = timer.fired() => {
                fired?;
                told = at.filter(|at| *at <= clock::now());
                if events.send(SupervisorEvent::Timer).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

fn remove_files(paths: &Paths, ids: &[TaskId]) {
    for id in ids {
        crate::crash::point("cleanup.files");
        let dir = paths.tasks_dir.join(id.as_str());
        match std::fs::remove_dir_all(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(%error, dir = %dir.display(), "files of a removed task stay")
            }
        }
    }
}
