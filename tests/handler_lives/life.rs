//! One life of a state directory: the real handler on the real store, over a simulated machine, through daemons that die.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use auto_claude::config::Settings;
use auto_claude::store::{OpenOptions, Reader, Store};
use auto_claude::supervisor::clock::Moment;
use auto_claude::supervisor::command::{ActEffect, Action, Refusal, Reply, SubmitRequest};
use auto_claude::supervisor::event::{AttemptReport, Effect};
use auto_claude::supervisor::handler::{Handler, Wake};
use auto_claude::supervisor::steps::{self, Handled};
use auto_claude::task::{AttemptId, IntentKind, Outcome, OutcomeKind, Task, TaskId, Timestamp};

use crate::chance::Chance;
use crate::draw::Sent;
use crate::machine::{Record, Sim};
use crate::sometimes::Sometimes;
use crate::watch::{Watch, intent_of};

const EPOCH_MS: i64 = 1_700_000_000_000;

/// What becomes of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Commits,
    /// The store fails somewhere on the way; the daemon lives.
    Lost,
    /// The daemon dies somewhere on the way.
    DiesBefore,
    /// The daemon dies between the commit and everything that follows from it.
    DiesAfter,
}

pub(crate) struct Life {
    pub(crate) chance: Chance,
    dir: tempfile::TempDir,
    store: Option<Store>,
    reader: Reader,
    pub(crate) handler: Handler,
    pub(crate) settings: Arc<Settings>,
    pub(crate) sim: Sim,
    pub(crate) watch: Watch,
    pub(crate) met: Sometimes,
    pub(crate) now: Timestamp,
    pub(crate) wake: Wake,
    /// What carriers have seen and the handler has not taken yet.
    pub(crate) reports: Vec<AttemptReport>,
    /// What was lost with its transaction, and comes first in the next one.
    again: Vec<Sent>,
    /// Everything that was ever reported.
    pub(crate) told: Vec<AttemptReport>,
    pub(crate) sent: Vec<SubmitRequest>,
    keys: BTreeMap<String, (TaskId, u64)>,
    /// Launches work.
    pub(crate) healed: bool,
    pub(crate) steps: u64,
    seed: u64,
    trace: Vec<String>,
}

impl Drop for Life {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let from = self.trace.len().saturating_sub(12);
            eprintln!("{}", self.trace[from..].join("\n"));
            eprintln!("repeat with HANDLER_LIVES_SEED={}", self.seed);
        }
    }
}

pub(crate) fn settings(num_workers: u32) -> Arc<Settings> {
    Arc::new(Settings {
        num_workers,
        retry_base_seconds: 1,
        retry_max_seconds: 5,
        restart_max: 3,
        daemon_restart_max: 2,
        max_queue_length: 14,
        min_disk_space_gb: 1.0,
        ..Settings::default()
    })
}

impl Life {
    pub(crate) fn new(seed: u64) -> Self {
        // In memory where there is such a place: the syncs are not what is tested here.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let dir = dir.unwrap();
        let options = OpenOptions {
            reserve_bytes: 0,
            ..OpenOptions::at(dir.path().join("tasks.db"))
        };
        let now = Timestamp::from_ms(EPOCH_MS);
        let mut store = Store::open(&options, now).unwrap();
        let settings = settings(2);
        let mut batch = store.batch().unwrap();
        let handler = batch.step(|tx| Handler::new(Arc::clone(&settings), false, tx));
        drop(batch);
        Self {
            chance: Chance::new(seed),
            reader: store.reader().unwrap(),
            handler: handler.unwrap(),
            dir,
            store: Some(store),
            settings,
            sim: Sim::default(),
            watch: Watch::default(),
            met: Sometimes::default(),
            now,
            wake: Wake::default(),
            reports: Vec::new(),
            again: Vec::new(),
            told: Vec::new(),
            sent: Vec::new(),
            keys: BTreeMap::new(),
            healed: false,
            steps: 0,
            seed,
            trace: Vec::new(),
        }
    }

    fn note(&mut self, text: String) {
        self.trace.push(text);
    }

    /// One transaction, and what follows from it.
    pub(crate) fn transact(&mut self, events: Vec<Sent>, fate: Fate) {
        let mut sent = std::mem::take(&mut self.again);
        sent.extend(events);
        self.steps += 1;
        self.note(format!("{} {fate:?} {sent:?}", self.now.as_ms() - EPOCH_MS));
        let moment = Moment {
            now: self.now,
            random: self.chance.next(),
        };
        let former = self.handler.clone();
        let whole = matches!(fate, Fate::Commits | Fate::DiesAfter);
        let reached = if whole {
            sent.len() + 1
        } else {
            self.chance.below(sent.len() as u64 + 2) as usize
        };
        let mut store = self.store.take().unwrap();
        let mut batch = store.batch().unwrap();
        let mut handled = Vec::new();
        for event in sent.iter().take(reached) {
            let event = event.event();
            let done = steps::handle(&mut batch, &mut self.handler, &self.sim, moment, event);
            handled.push(done.unwrap());
        }
        let mut claimed = (Vec::new(), Wake::default());
        if reached > sent.len() {
            claimed = steps::claim(&mut batch, &mut self.handler, &self.sim, moment).unwrap();
        }
        if whole {
            batch.commit().unwrap();
        } else {
            drop(batch);
        }
        self.store = Some(store);
        self.met.meet(format!("{fate:?}"));
        match fate {
            Fate::Commits => {
                self.committed(&sent, &handled);
                self.release(handled, claimed.0);
                self.wake = claimed.1;
            }
            Fate::DiesAfter => {
                self.committed(&sent, &handled);
                self.restart();
            }
            Fate::DiesBefore => self.restart(),
            Fate::Lost => {
                self.handler = former;
                self.resync();
                self.again = sent.into_iter().filter(Sent::comes_again).collect();
                // The engine tries again at once.
                self.wake.at_once = true;
            }
        }
        self.check_memory();
    }

    fn resync(&mut self) {
        let store = self.store.as_mut().unwrap();
        let mut batch = store.batch().unwrap();
        batch.step(|tx| self.handler.resync(tx)).unwrap();
    }

    /// The rows are durable: acknowledgements count from here.
    fn committed(&mut self, sent: &[Sent], handled: &[Handled]) {
        let (mut cleaned, mut told) = (BTreeMap::new(), BTreeMap::new());
        for (sent, handled) in sent.iter().zip(handled) {
            for effect in &handled.effects {
                match effect {
                    Effect::Changed(change) => {
                        told.insert(change.id.clone(), change.state);
                    }
                    Effect::RemoveFiles(ids) => {
                        let last = |id: &TaskId| (id.clone(), told.get(id).copied());
                        cleaned.extend(ids.iter().map(last));
                    }
                    _ => {}
                }
            }
            self.keys.retain(|_, (id, _)| !cleaned.contains_key(id));
            match &handled.answer {
                Ok(reply) => self.answered(sent, reply, handled.effects.is_empty()),
                Err(refusal) => self.refused(sent, refusal, handled),
            }
        }
        let workers = self.settings.num_workers;
        let (reader, met) = (&self.reader, &mut self.met);
        self.watch
            .committed(reader, self.now, workers, &cleaned, met);
    }

    fn answered(&mut self, sent: &Sent, reply: &Reply, silent: bool) {
        match (sent, reply) {
            (Sent::Submit(request), Reply::Submitted { task, fresh }) => {
                let mine = (task.id.clone(), request.fingerprint());
                let known = self
                    .keys
                    .entry(request.key.clone())
                    .or_insert_with(|| mine.clone());
                assert_eq!(*known, mine, "one key, two tasks");
                self.watch.acknowledged(task);
                if !fresh {
                    self.met.meet("known key");
                }
            }
            (Sent::Act(request), Reply::Acted { task, effect }) => {
                if request.dry_run {
                    assert!(silent, "a dry run has effects");
                    self.met.meet("dry run");
                    return;
                }
                self.met.meet(format!("{effect:?}"));
                let wish = match &request.action {
                    Action::Cancel { .. } => IntentKind::Cancel,
                    Action::Pause { reason } => intent_of(*reason),
                    _ => return,
                };
                let runs = task.life.state.holds_slot();
                if *effect == ActEffect::Stopping || runs {
                    self.watch.wished(task.attempt(), wish);
                }
            }
            (Sent::StopAll, Reply::Count(count)) if *count > 0 => self.met.meet("stop all"),
            (Sent::Cleanup(_), Reply::Count(count)) if *count > 0 => self.met.meet("clean-up"),
            _ => {}
        }
    }

    fn refused(&mut self, sent: &Sent, refusal: &Refusal, handled: &Handled) {
        assert!(
            handled.effects.is_empty(),
            "{sent:?}: {refusal}, {handled:?}"
        );
        self.met.meet(format!("refused: {:?}", refusal.code));
        if let Sent::Submit(request) = sent
            && let Some((id, fingerprint)) = self.keys.get(&request.key)
        {
            assert_ne!(
                *fingerprint,
                request.fingerprint(),
                "{id} was acknowledged; sent again it is refused: {refusal}"
            );
        }
    }

    fn release(&mut self, handled: Vec<Handled>, claims: Vec<Effect>) {
        let effects = handled.into_iter().flat_map(|done| done.effects);
        for effect in effects.chain(claims) {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Launch(what) => {
                self.watch.launched(&what.task, &self.reader);
                self.launch(&what.task);
            }
            Effect::Stop { attempt, intent } => {
                let row = self.reader.task(&attempt.task).unwrap().unwrap();
                // An end in the same transaction may have been quicker.
                if row.life.state.holds_slot() && row.attempt() == attempt {
                    let kept = row.life.intent.map(|intent| intent.kind);
                    assert!(kept >= Some(intent.kind), "a signal without an intent");
                }
                if let Some(told) = self.sim.0.borrow_mut().workers.get_mut(&attempt) {
                    *told = Some(intent);
                }
            }
            Effect::Log(_) => {}
            Effect::Forget(attempt) => {
                let runs = self.runs(&attempt);
                assert!(!runs, "the record of {attempt} is forgotten while it runs");
                self.sim.0.borrow_mut().records.remove(&attempt);
            }
            Effect::Attention(attention) => {
                let ours = ["report_refused", "claims_refused"].contains(&attention.kind);
                assert!(!ours, "{attention:?}");
                self.met.meet(format!("attention: {}", attention.kind));
            }
            Effect::AttentionOver(kind) => self.met.meet(format!("over: {kind}")),
            Effect::RemoveFiles(_) | Effect::Changed(_) | Effect::Tell(_) => {}
        }
    }

    fn runs(&self, attempt: &AttemptId) -> bool {
        let running = self.watch.running();
        running.values().any(|task| task.attempt() == *attempt)
    }

    fn launch(&mut self, task: &Task) {
        let attempt = task.attempt();
        let kind = match self.chance.below(12) {
            0 if !self.healed => OutcomeKind::SpawnFailed,
            1 if !self.healed => OutcomeKind::NeverRan,
            _ => return self.sim.0.borrow_mut().launch(&attempt),
        };
        let mut report = self.end(&attempt, Outcome::of(kind));
        if let AttemptReport::Closed(closed) = &mut report {
            closed.launch_failed = kind == OutcomeKind::NeverRan;
        }
        self.report(report);
    }

    pub(crate) fn end(&mut self, attempt: &AttemptId, outcome: Outcome) -> AttemptReport {
        self.met.meet(format!("{:?}", outcome.kind));
        self.sim.0.borrow_mut().end(attempt, outcome, self.now)
    }

    pub(crate) fn report(&mut self, report: AttemptReport) {
        self.told.push(report.clone());
        self.reports.push(report);
    }

    /// The daemon is dead; the next one begins. Now and then the whole machine went down.
    pub(crate) fn restart(&mut self) {
        let rebooted = !self.healed && self.chance.percent(25);
        self.note(format!("restart, rebooted: {rebooted}"));
        self.reports.clear();
        self.again.clear();
        let store = self.store.as_mut().unwrap();
        let mut batch = store.batch().unwrap();
        let (settings, mut running) = (Arc::clone(&self.settings), Vec::new());
        let handler = batch.step(|tx| {
            running = tx.running()?;
            Handler::new(settings, false, tx)
        });
        drop(batch);
        self.handler = handler.unwrap();
        if rebooted {
            self.met.meet("reboot");
            self.sim.0.borrow_mut().workers.clear();
        }
        for task in &running {
            let report = self.sim.0.borrow_mut().recover(task, self.now, rebooted);
            match report {
                Some(report) => self.report(report),
                None => self.met.meet("taken back"),
            }
        }
        // What no running attempt needs is ended; its task waits meanwhile.
        let mut machine = self.sim.0.borrow_mut();
        machine.busy.clear();
        let held: BTreeSet<AttemptId> = running.iter().map(Task::attempt).collect();
        let strays: Vec<_> = machine
            .records
            .keys()
            .filter(|one| !held.contains(one))
            .cloned()
            .collect();
        for stray in strays {
            machine.records.remove(&stray);
            machine.busy.insert(stray.task);
        }
        drop(machine);
        self.transact(vec![Sent::Timer], Fate::Commits);
    }

    /// What the handler remembers is what the rows say, and every running row is somebody's.
    fn check_memory(&self) {
        let running = self.watch.running();
        let rows: BTreeMap<u32, AttemptId> = running
            .iter()
            .map(|(slot, task)| (*slot, task.attempt()))
            .collect();
        let held: BTreeMap<u32, AttemptId> = self
            .handler
            .slots()
            .map(|(slot, attempt)| (slot, attempt.clone()))
            .collect();
        assert_eq!(held, rows, "slots as remembered, and as in the rows");
        let machine = self.sim.0.borrow();
        for task in running.values() {
            let attempt = task.attempt();
            let ended = matches!(machine.records.get(&attempt), Some(Record::Ended(_)));
            let lost = self.again.iter().filter_map(|event| match event {
                Sent::Report(report) => Some(report),
                _ => None,
            });
            let told = self.reports.iter().chain(lost).any(|report| {
                matches!(report, AttemptReport::Closed(_)) && *report.attempt() == attempt
            });
            match machine.workers.get(&attempt) {
                Some(intent) => assert_eq!(
                    intent.as_ref().map(|intent| intent.kind),
                    task.life.intent.as_ref().map(|intent| intent.kind),
                    "{attempt}: what its worker was told"
                ),
                None => assert!(
                    ended && told,
                    "{attempt} holds a slot and nobody attends it"
                ),
            }
        }
        for attempt in machine.workers.keys() {
            assert!(
                held.values().any(|one| one == attempt),
                "{attempt} lives without a slot"
            );
        }
    }

    /// Closes the store and checks the whole database.
    pub(crate) fn close(mut self) -> (Sometimes, u64) {
        self.store.take().unwrap().close().unwrap();
        let path = self.dir.path().join("tasks.db");
        let report = auto_claude::store::check(&path, &mut |_| {}).unwrap();
        assert!(report.is_sound(), "{report:?}");
        (self.met.clone(), self.steps)
    }
}
