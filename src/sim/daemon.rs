//! A daemon: the real store and the real handler between simulated clients, attendants and disk. It does what
//! `supervisor::start`, `supervisor::engine` and `supervisor::carriers` do, one step at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::attendant::{Attendant, Busy, Step, Surroundings, recovery};
use super::bug::Bug;
use super::client::{self, Sent};
use super::disk::vfs;
use super::judge::Observation;
use super::machine::{Shared, SimGround};
use super::met::Met;
use super::mistakes;
use super::notices::{self, Telling};
use crate::attempt::record::Read;
use crate::attempt::recovery::Row;
use crate::config::Settings;
use crate::store::{OpenError, OpenOptions, Store, StoreError, Tx};
use crate::supervisor::clock::Moment;
use crate::supervisor::command::{Refusal, Reply};
use crate::supervisor::event::{AttemptReport, Effect, SupervisorEvent};
use crate::supervisor::handler::{ClaimRefused, Handler, Wake, World};
use crate::supervisor::notice::Notice;
use crate::supervisor::recover::{Recovery, Round};
use crate::supervisor::steps::{self, Handled};
use crate::task::{AttemptId, OutcomeKind, Task, TaskId, Timestamp};

/// The database.
pub const DATABASE: &str = "/tasks.db";
/// Waits between tries while a stray cannot be dealt with.
const STRAY_RETRY_MS: u64 = 5_000;
/// As the engine's wait after a transaction that was lost.
const STORE_RETRY_MS: u64 = 500;

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

/// The handler's view of the machine.
pub struct SimWorld<'a> {
    machine: &'a Shared,
    busy: &'a Busy,
    bug: Option<Bug>,
}

impl World for SimWorld<'_> {
    fn is_in_place(&self) -> bool {
        true
    }

    fn has_ended(&self, attempt: &AttemptId) -> bool {
        let machine = self.machine.get();
        let record = machine.records.get(attempt);
        record.is_some_and(|record| matches!(record.now.exit, Read::Value(_)))
    }

    fn disk_free_bytes(&self) -> Option<u64> {
        let is_low = self.machine.get().disk_low;
        Some(if is_low { 1 } else { u64::MAX })
    }

    /// As the real one: a record of a claim that was never committed may be made anew.
    fn create_record(&self, attempt: &AttemptId) -> Result<(), ClaimRefused> {
        let ignores = self.bug == Some(Bug::IgnoreBusy);
        let is_busy = |stray: &AttemptId| stray.task == attempt.task;
        if !ignores && self.busy.borrow().iter().any(is_busy) {
            return Err(ClaimRefused::Busy);
        }
        let mut machine = self.machine.get();
        if self.bug == Some(Bug::RecordAfterClaim) {
            machine.truths.at(attempt);
            return Ok(());
        }
        if let Some(former) = machine.records.get(attempt) {
            let has_begun =
                former.now.started.value().is_some() || former.now.exit.value().is_some();
            if former.holder.is_some() || has_begun {
                return Err(ClaimRefused::Busy);
            }
            let is_blank = former.now.started == Read::Blank && former.now.exit == Read::Blank;
            if is_blank && former.now.header.value() == Some(&machine.header(attempt)) {
                return Ok(());
            }
            machine.records.remove(attempt);
        }
        machine.create_record(attempt).map_err(ClaimRefused::Failed)
    }
}

/// What a transaction came to.
#[derive(Debug)]
pub enum Fate {
    /// Committed: this is what it leaves.
    Committed(Box<Observation>),
    /// The store failed; nothing of it happened, the daemon lives. A commit whose sync failed may come back whole when the
    /// daemon dies before the next one.
    Lost(Option<Box<Observation>>),
    /// The daemon died in the midst of it; perhaps it is committed.
    Died(Option<Box<Observation>>),
}

/// Reads what a transaction leaves, inside it.
pub type Observe<'a> =
    &'a mut dyn FnMut(&Tx<'_>, &[Handled], &[Effect]) -> Result<Observation, StoreError>;

/// Hears of each part of a transaction, right after it: others may move before the next.
pub type Between<'a> = &'a mut dyn FnMut(&'static str);

/// What is called around the parts of a transaction.
pub struct Around<'a> {
    /// Reads what it leaves, inside it.
    pub observe: Observe<'a>,
    /// Between its parts.
    pub between: Between<'a>,
}

/// What was handled, the claims, when to look again, and what all that leaves.
type Transacted = (Vec<Handled>, Vec<Effect>, Wake, Observation);
/// Why not, and what would have been left.
type NotTransacted = Box<(StoreError, Option<Observation>)>;

/// What has something to do: by key, and notices by place.
struct Due {
    attended: Vec<AttemptId>,
    strays: Vec<AttemptId>,
    tellings: Vec<usize>,
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

    /// A step of telling one of the notices.
    fn tell_one(
        &mut self,
        place: usize,
        machine: &Shared,
        chance: &mut super::chance::Chance,
        met: &mut Met,
    ) -> Step {
        let Some(telling) = self.tellings.get_mut(place) else {
            return Step::default();
        };
        let mono_ms = machine.get().mono_ms;
        let step = telling.step(mono_ms, self.healing, self.bug, chance, met);
        if let Some(event) = step.event {
            self.tellings.remove(place);
            self.events.push_back(event);
        }
        Step {
            what: step.what,
            heard: step.heard.map(Box::new),
            ..Step::default()
        }
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

    /// The next event, changed by a seeded bug.
    fn taken(&self, sent: &Sent) -> SupervisorEvent {
        let (Some(bug), Sent::Report(AttemptReport::Closed(closed))) = (self.bug, sent) else {
            return sent.event();
        };
        let mut closed = closed.clone();
        let kind = closed.outcome.kind;
        match bug {
            Bug::CountLimitAsRetry if kind == OutcomeKind::Limited => {
                closed.outcome.kind = OutcomeKind::AgentError;
            }
            Bug::LostIsSuccess if kind == OutcomeKind::Lost => {
                closed.outcome.kind = OutcomeKind::Succeeded;
            }
            Bug::ExitCodeIsSuccess if kind == OutcomeKind::NoResult => {
                closed.outcome.kind = OutcomeKind::Succeeded;
            }
            Bug::ShortenHold => {
                if let Some(block) = closed.report.as_mut().and_then(|it| it.block.as_mut())
                    && let Some(until) = &mut block.until
                {
                    let ahead_ms = until.ms_since(closed.ended_at);
                    *until = until.plus_ms(-ahead_ms / 2);
                }
            }
            Bug::UnknownIsNothing => {
                if let Some(report) = &mut closed.report {
                    report.cost_micro_usd.get_or_insert(0);
                }
            }
            Bug::IgnoreClosedAccount => {
                if let Some(report) = &mut closed.report {
                    report.block = None;
                    report.windows.clear();
                }
            }
            _ => {}
        }
        SupervisorEvent::Attempt(AttemptReport::Closed(closed))
    }

    /// One transaction for up to `limit` events, and what follows from it.
    pub fn batch(
        &mut self,
        limit: usize,
        machine: &Shared,
        random: u64,
        around: Around<'_>,
    ) -> Fate {
        let Some(mut store) = self.store.take() else {
            return Fate::Lost(None);
        };
        let count = limit.min(self.events.len());
        let sent: Vec<Sent> = self.events.drain(..count).collect();
        let moment = Moment {
            now: machine.get().now(),
            random,
        };
        let former = self.handler.clone();
        let mut early = Vec::new();
        let result = self.transact(&mut store, &sent, machine, moment, around, &mut early);
        let died = super::disk::with_disk(|disk| disk.is_dead());
        self.store = Some(store);
        match result {
            Ok((handled, claims, wake, observed)) if !died => {
                self.release(sent, handled, claims);
                self.handler.set_disk_full(false);
                self.wake = wake;
                if wake.at_once {
                    self.events.push_back(Sent::Timer);
                }
                Fate::Committed(Box::new(observed))
            }
            Ok((_, _, _, observed)) => Fate::Died(Some(Box::new(observed))),
            Err(failed) if died => Fate::Died(failed.1.map(Box::new)),
            Err(failed) => {
                let (error, observed) = *failed;
                self.outs.extend(early);
                self.retry_at_ms = machine.get().mono_ms + STORE_RETRY_MS;
                self.lost(&error, former, sent);
                Fate::Lost(observed.map(Box::new))
            }
        }
    }

    /// Handles, claims, commits.
    fn transact(
        &mut self,
        store: &mut Store,
        sent: &[Sent],
        machine: &Shared,
        moment: Moment,
        around: Around<'_>,
        early: &mut Vec<Out>,
    ) -> Result<Transacted, NotTransacted> {
        let world = SimWorld {
            machine,
            busy: &self.busy,
            bug: self.bug,
        };
        let alone = |error| Box::new((error, None));
        let mut batch = store.batch().map_err(alone)?;
        let mut handled = Vec::with_capacity(sent.len());
        for sent in sent {
            if self.bug.is_some() {
                let spoilt = batch.step(|tx| mistakes::before(self.bug, tx, sent, moment.now));
                spoilt.map_err(alone)?;
            }
            let event = self.taken(sent);
            let done = steps::handle(&mut batch, &mut self.handler, &world, moment, event);
            let done = done.map_err(|broken| alone(broken.0))?;
            if !matches!(done.event, SupervisorEvent::Timer) {
                (around.between)("an event is handled");
            }
            handled.push(done);
        }
        let hidden = match self.bug {
            Some(_) => batch.step(|tx| mistakes::hide(self.bug, tx, moment.now)),
            None => Ok(Vec::new()),
        };
        let hidden = hidden.map_err(alone)?;
        let (claims, wake) =
            steps::claim(&mut batch, &mut self.handler, &world, moment).map_err(alone)?;
        if !claims.is_empty() {
            (around.between)("claims are made");
        }
        if self.bug.is_some() {
            batch
                .step(|tx| mistakes::show(tx, &hidden))
                .map_err(alone)?;
            let spoilt =
                batch.step(|tx| mistakes::after(self.bug, tx, &handled, &claims, moment.now));
            spoilt.map_err(alone)?;
        }
        let observed = batch
            .step(|tx| (around.observe)(tx, &handled, &claims))
            .map_err(alone)?;
        if self.bug == Some(Bug::SpawnBeforeCommit) {
            early.extend(claims.iter().filter_map(copy_of_launch).map(Out::Effect));
            self.outs.extend(std::mem::take(early));
        }
        if self.bug == Some(Bug::ReplyBeforeCommit) {
            let replies = sent.iter().zip(&handled);
            self.outs
                .extend(replies.map(|(sent, done)| Out::Reply(sent.clone(), done.answer.clone())));
        }
        let before = super::disk::with_disk(|disk| disk.operations);
        let committed = batch.commit();
        // A commit of nothing writes nothing: what was lost before it may still come back.
        let after = super::disk::with_disk(|disk| disk.operations);
        let observed = Observation {
            is_written: after > before,
            ..observed
        };
        match committed {
            Ok(()) => Ok((handled, claims, wake, observed)),
            Err(error) => Err(Box::new((error, Some(observed)))),
        }
    }

    /// In the order of the engine: what follows from each event, its reply, then the claims.
    fn release(&mut self, sent: Vec<Sent>, handled: Vec<Handled>, claims: Vec<Effect>) {
        for (sent, done) in sent.into_iter().zip(handled) {
            if let Sent::Settings(settings) = &sent {
                self.settings = Arc::clone(settings);
            }
            self.outs.extend(done.effects.into_iter().map(Out::Effect));
            if self.bug != Some(Bug::ReplyBeforeCommit) && !sent.comes_again() {
                self.outs.push_back(Out::Reply(sent, done.answer));
            }
        }
        if self.bug != Some(Bug::SpawnBeforeCommit) {
            self.outs.extend(claims.into_iter().map(Out::Effect));
        }
        // Watchers and the log are told at once; nothing follows from that.
        self.outs.retain(|out| {
            !matches!(
                out,
                Out::Effect(
                    Effect::Changed(_)
                        | Effect::Log(_)
                        | Effect::Attention(_)
                        | Effect::AttentionOver(_)
                )
            )
        });
    }

    /// As the engine does it: nothing of the batch happened.
    fn lost(&mut self, error: &StoreError, former: Handler, sent: Vec<Sent>) {
        self.handler = former;
        if error.is_disk_full() {
            self.handler.set_disk_full(true);
        }
        if let Some(store) = &mut self.store {
            let handler = &mut self.handler;
            let read = store
                .batch()
                .and_then(|mut batch| batch.step(|tx| handler.resync(tx)));
            drop(read);
        }
        // Commands are refused with the store's words: their clients may send them again.
        let kept = sent.into_iter().filter(Sent::comes_again).rev();
        for sent in kept {
            self.events.push_front(sent);
        }
        self.events.push_back(Sent::Timer);
    }

    /// A step of one of those that attend something. Returns what it was.
    pub fn attend(
        &mut self,
        machine: &Shared,
        chance: &mut super::chance::Chance,
        met: &mut Met,
    ) -> Step {
        let due = self.due(machine);
        let place = chance.index(due.attended.len() + due.strays.len() + due.tellings.len());
        if let Some(key) = due.attended.get(place) {
            return self.attend_one(key, machine, chance, met);
        }
        let place = place - due.attended.len();
        if let Some(key) = due.strays.get(place) {
            return self.end_stray(key, machine, met);
        }
        match due.tellings.get(place - due.strays.len()) {
            Some(telling) => self.tell_one(*telling, machine, chance, met),
            None => Step {
                what: "nobody attends",
                ..Step::default()
            },
        }
    }

    /// What has something to do now.
    fn due(&self, machine: &Shared) -> Due {
        let machine = machine.get();
        let now_ms = machine.mono_ms;
        let attended = self.attendants.iter();
        let attended = attended.filter(|(_, it)| it.can_act(&machine));
        let strays = self.strays.iter().filter(|(_, it)| it.at_ms <= now_ms);
        let tellings = self.tellings.iter().enumerate();
        let tellings = tellings.filter(|(_, it)| it.due_ms() <= now_ms);
        Due {
            attended: attended.map(|(key, _)| key.clone()).collect(),
            strays: strays.map(|(key, _)| key.clone()).collect(),
            tellings: tellings.map(|(place, _)| place).collect(),
        }
    }

    /// Whether anybody has something to do now.
    #[must_use]
    pub fn can_attend(&self, machine: &Shared) -> bool {
        let machine = machine.get();
        let now_ms = machine.mono_ms;
        self.attendants.values().any(|it| it.can_act(&machine))
            || self.strays.values().any(|it| it.at_ms <= now_ms)
            || self.tellings.iter().any(|it| it.due_ms() <= now_ms)
    }

    /// Everything that is due attends once.
    pub fn attend_all(
        &mut self,
        machine: &Shared,
        chance: &mut super::chance::Chance,
        met: &mut Met,
    ) -> Vec<Step> {
        let due = self.due(machine);
        let mut steps = Vec::new();
        for key in due.attended {
            steps.push(self.attend_one(&key, machine, chance, met));
        }
        for key in due.strays {
            steps.push(self.end_stray(&key, machine, met));
        }
        for place in due.tellings.into_iter().rev() {
            steps.push(self.tell_one(place, machine, chance, met));
        }
        steps
    }

    fn attend_one(
        &mut self,
        key: &AttemptId,
        machine: &Shared,
        chance: &mut super::chance::Chance,
        met: &mut Met,
    ) -> Step {
        let Some(mut attendant) = self.attendants.remove(key) else {
            return Step::default();
        };
        let step = attendant.step(&self.around(machine), chance, met);
        if !step.is_over {
            self.attendants.insert(key.clone(), attendant);
        }
        if step.timer {
            self.events.push_back(Sent::Timer);
        }
        self.events
            .extend(step.reports.iter().cloned().map(Sent::Report));
        step
    }

    fn end_stray(&mut self, key: &AttemptId, machine: &Shared, met: &mut Met) -> Step {
        let now_ms = machine.get().mono_ms;
        let Some(stray) = self.strays.get_mut(key).filter(|it| it.at_ms <= now_ms) else {
            return Step {
                what: "stray waits",
                ..Step::default()
            };
        };
        let round = stray.recovery.round();
        if let Some((facts, plan)) = stray.recovery.last() {
            met.recovery(&facts, plan);
        }
        match round {
            Ok(Round::Gone(_) | Round::Closed(_) | Round::Watch(_)) => {
                self.strays.remove(key);
                self.busy.borrow_mut().remove(key);
                self.events.push_back(Sent::Timer);
                Step {
                    what: "stray ended",
                    ..Step::default()
                }
            }
            Ok(Round::Again(after_ms) | Round::Stuck(_, after_ms)) => {
                stray.at_ms = now_ms + after_ms;
                Step {
                    what: "stray goes on",
                    ..Step::default()
                }
            }
            Err(_) => {
                stray.at_ms = now_ms + STRAY_RETRY_MS;
                Step {
                    what: "stray cannot be dealt with",
                    ..Step::default()
                }
            }
        }
    }

    /// When something is due next by the monotonic clock.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let strays = self.strays.values().map(|stray| stray.at_ms);
        let attendants = self.attendants.values().filter_map(Attendant::due_ms);
        let tellings = self.tellings.iter().map(Telling::due_ms);
        attendants.chain(strays).chain(tellings).min()
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
