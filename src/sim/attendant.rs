//! Attendants, as `supervisor::attend` has them, one step at a time: launch, watch, bring intents, judge silence, settle by the
//! real recovery.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use super::bug::Bug;
use super::chance::Chance;
use super::machine::{Kind, Machine, Shared, SimGround};
use super::met::Met;
use super::worker::{Phase, Worker};
use crate::attempt::record::{Exit, ProcessStamp, Read};
use crate::attempt::recovery::{Heartbeat, Row};
use crate::budget::Budget;
use crate::config::Settings;
use crate::supervisor::budgets;
use crate::supervisor::event::{AttemptReport, Closed, Launch};
use crate::supervisor::ground::{Ground as _, GroundRecord as _};
use crate::supervisor::notice::Notice;
use crate::supervisor::pulse::Pulse;
use crate::supervisor::recover::{Recovery, Round};
use crate::task::{AttemptId, Intent, Outcome, OutcomeKind, Report, Task, Timestamp};

/// A worker that has not said that its command runs by then is looked after.
const START_WAIT_MS: u64 = 30_000;
/// Looks at the proof of life per allowed age.
const LOOKS_PER_TIMEOUT: u64 = 4;
/// Time between tries when recovery cannot read or write something.
const RECOVERY_RETRY_MS: u64 = 1_000;
/// A timeout that never comes.
const NEVER_MS: u64 = u64::MAX / 4;

/// Tasks of which something earlier is still being ended.
pub type Busy = RefCell<BTreeSet<AttemptId>>;

/// What an attendant works with.
pub struct Surroundings<'a> {
    /// The machine.
    pub machine: &'a Shared,
    /// Where recovery stands.
    pub ground: &'a SimGround,
    /// What is still being ended.
    pub busy: &'a Busy,
    /// A proof of life may be that old.
    pub heartbeat_timeout_ms: u64,
    /// No faults.
    pub healing: bool,
    /// A mistake that is built in.
    pub bug: Option<Bug>,
}

/// What came of a step.
#[derive(Debug, Default)]
pub struct Step {
    /// What it was.
    pub what: &'static str,
    /// To be reported.
    pub reports: Vec<AttemptReport>,
    /// Somebody has heard a notice.
    pub heard: Option<Box<Notice>>,
    /// Something may be claimed now.
    pub timer: bool,
    /// It is over.
    pub is_over: bool,
}

impl Step {
    fn of(what: &'static str) -> Self {
        Self {
            what,
            ..Self::default()
        }
    }
}

/// What it is doing.
#[derive(Debug)]
enum Stage {
    /// The worker is to be launched.
    Launch(Box<Task>, Budget),
    /// It could not be: its end is to be written down.
    NotLaunched(Outcome, bool),
    /// The worker is watched.
    Watch(Watch),
    /// Rounds of recovery; the next at this time.
    Settle(Box<Recovery<SimGround>>, u64),
    /// An end that the worker cannot write down is being committed.
    Unwritten(ProcessStamp),
    /// It is committed: the worker may go.
    LetGo(ProcessStamp),
    /// Its end is reported.
    Reported,
}

#[derive(Debug)]
struct Watch {
    worker: ProcessStamp,
    launched: bool,
    since_ms: u64,
    next_look_ms: u64,
    pulse: Pulse,
    door_told: Option<Intent>,
}

/// One attempt's attendant.
#[derive(Debug)]
pub struct Attendant {
    attempt: AttemptId,
    is_agent: bool,
    counts_tokens: bool,
    /// What is to be brought to the worker.
    pub wish: Option<Intent>,
    stage: Stage,
    started_at: Option<Timestamp>,
    told_started: bool,
    launched_here: bool,
    told: Report,
    told_stuck: bool,
}

impl Attendant {
    /// One that will launch the worker of a claimed task.
    #[must_use]
    pub fn launch(launch: &Launch, settings: &Settings) -> Self {
        let task = &launch.task;
        let stage = Stage::Launch(Box::new(task.clone()), launch.share);
        Self::new(task, stage, true, settings)
    }

    /// One that takes an attempt of an earlier daemon back.
    #[must_use]
    pub fn adopt(task: &Task, around: &Surroundings<'_>, settings: &Settings) -> Self {
        let stage = Stage::Settle(Box::new(recovery(&task.attempt(), Row::Open, around)), 0);
        Self::new(task, stage, false, settings)
    }

    fn new(task: &Task, stage: Stage, launched_here: bool, settings: &Settings) -> Self {
        Self {
            attempt: task.attempt(),
            is_agent: task.spec.command.prompt().is_some(),
            counts_tokens: budgets::counts_tokens(settings, task),
            wish: task.life.intent.clone(),
            stage,
            started_at: None,
            told_started: false,
            launched_here,
            told: Report::default(),
            told_stuck: false,
        }
    }

    /// When it has something to do by itself, by the monotonic clock.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        match &self.stage {
            Stage::Launch(..) | Stage::NotLaunched(..) | Stage::LetGo(_) => Some(0),
            Stage::Watch(watch) => Some(watch.next_look_ms),
            Stage::Settle(_, at_ms) => Some(*at_ms),
            Stage::Unwritten(_) | Stage::Reported => None,
        }
    }

    /// Whether a step of it can do anything now.
    #[must_use]
    pub fn can_act(&self, machine: &Machine) -> bool {
        match &self.stage {
            Stage::Launch(..) | Stage::NotLaunched(..) => true,
            Stage::Unwritten(_) | Stage::Reported => false,
            Stage::Settle(_, at_ms) => *at_ms <= machine.mono_ms,
            Stage::LetGo(stamp) => machine
                .worker(*stamp)
                .is_none_or(|worker| worker.hung || !worker.committed),
            Stage::Watch(watch) => {
                watch.next_look_ms <= machine.mono_ms
                    || machine.worker(watch.worker).is_none_or(|worker| {
                        let answers = !worker.hung && worker.phase != Phase::Born;
                        let has_started = worker.said_started;
                        let wish_waits = answers && watch.door_told != self.wish;
                        has_started && (wish_waits || !self.told_started)
                    })
                    || self.unheard(machine).is_some()
            }
        }
    }

    /// Recovery is under way.
    #[must_use]
    pub const fn is_settling(&self) -> bool {
        matches!(self.stage, Stage::Settle(..))
    }

    /// Its outcome is committed. True when the record may be forgotten at once.
    pub fn committed(&mut self) -> bool {
        if let Stage::Unwritten(worker) = self.stage {
            self.stage = Stage::LetGo(worker);
            return false;
        }
        true
    }

    /// The next step.
    pub fn step(&mut self, around: &Surroundings<'_>, chance: &mut Chance, met: &mut Met) -> Step {
        let stage = std::mem::replace(&mut self.stage, Stage::Reported);
        match stage {
            Stage::Launch(task, share) => self.launches(&task, share, around, chance, met),
            Stage::NotLaunched(outcome, is_machine) => {
                self.not_launched(outcome, is_machine, around)
            }
            Stage::Watch(watch) => self.watches(watch, around, chance, met),
            Stage::Settle(recovery, at_ms) => {
                if around.machine.get().mono_ms < at_ms {
                    self.stage = Stage::Settle(recovery, at_ms);
                    return Step::of("attendant waits");
                }
                self.settles(recovery, around, met)
            }
            Stage::Unwritten(worker) => {
                self.stage = Stage::Unwritten(worker);
                Step::of("attendant waits for the commit")
            }
            Stage::LetGo(worker) => self.lets_go(worker, around, met),
            Stage::Reported => Step::of("attendant has reported"),
        }
    }

    fn launches(
        &mut self,
        task: &Task,
        share: Budget,
        around: &Surroundings<'_>,
        chance: &mut Chance,
        met: &mut Met,
    ) -> Step {
        let fails = if around.healing { 9 } else { chance.below(25) };
        if fails < 2 {
            let is_machine = fails == 0;
            let kind = if is_machine {
                met.meet("launch failed: the machine");
                OutcomeKind::NeverRan
            } else {
                met.meet("launch failed: the task");
                OutcomeKind::SpawnFailed
            };
            self.stage = Stage::NotLaunched(Outcome::of(kind), is_machine);
            return Step::of("launch failed");
        }
        let mut machine = around.machine.get();
        if around.bug == Some(Bug::RecordAfterClaim) {
            drop(machine.create_record(&self.attempt));
        }
        let worker = Worker::new(task, share, chance);
        let stamp = machine.spawn(&self.attempt, Kind::Worker(Box::new(worker)));
        self.stage = Stage::Watch(watch_of(stamp, true, &machine));
        Step::of("worker launched")
    }

    /// As `supervisor::unlaunched`.
    fn not_launched(
        &mut self,
        outcome: Outcome,
        is_machine: bool,
        around: &Surroundings<'_>,
    ) -> Step {
        let ended_at = around.ground.now();
        let exit = Exit {
            outcome: outcome.clone(),
            ended_at,
            output_bytes: 0,
        };
        let closed = || -> std::io::Result<bool> {
            let mut file = match around.ground.open(&path_of(&self.attempt)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
                opened => opened?,
            };
            if !file.try_lock()? {
                return Ok(false);
            }
            let found = file.read()?;
            if found.started != Read::Blank || found.exit != Read::Blank {
                return Ok(false);
            }
            file.write_synced_afresh(&exit)?;
            Ok(true)
        };
        match closed() {
            Ok(true) => {}
            Ok(false) => {
                let recovery = recovery(&self.attempt, Row::Open, around);
                self.stage = Stage::Settle(Box::new(recovery), 0);
                return Step::of("launch failed, somebody has the record");
            }
            Err(_) => {
                self.stage = Stage::NotLaunched(outcome, is_machine);
                return Step::of("launch failed, and its end cannot be written");
            }
        }
        self.report(
            "launch failed: closed",
            Closed {
                attempt: self.attempt.clone(),
                outcome,
                ended_at,
                started_at: None,
                report: None,
                launch_failed: is_machine,
                machine_went_down: false,
            },
        )
    }

    fn report(&self, what: &'static str, closed: Closed) -> Step {
        Step {
            what,
            reports: vec![AttemptReport::Closed(closed)],
            ..Step::default()
        }
    }

    /// Recovery takes over.
    fn settle(&mut self, recovery: Recovery<SimGround>, what: &'static str) -> Step {
        self.stage = Stage::Settle(Box::new(recovery), 0);
        Step::of(what)
    }

    fn watches(
        &mut self,
        mut watch: Watch,
        around: &Surroundings<'_>,
        chance: &mut Chance,
        met: &mut Met,
    ) -> Step {
        let mut machine = around.machine.get();
        let now_ms = machine.mono_ms;
        if !machine.lives(watch.worker) {
            let left_clean = machine.left_clean.remove(&watch.worker.pid);
            drop(machine);
            let mut recovery = recovery(&self.attempt, Row::Open, around);
            if watch.launched && left_clean {
                recovery.tree_is_empty();
            }
            return self.settle(recovery, "worker is gone");
        }
        let Some(worker) = machine.worker_mut(watch.worker.pid) else {
            drop(machine);
            return self.settle(recovery(&self.attempt, Row::Open, around), "no worker");
        };
        let answers = !worker.hung && worker.phase != Phase::Born;
        let has_started = worker.said_started;
        let drops = around.bug == Some(Bug::DropIntent);
        if watch.door_told != self.wish && answers && has_started && !drops {
            worker.told.clone_from(&self.wish);
            watch.door_told.clone_from(&self.wish);
            drop(machine);
            self.stage = Stage::Watch(watch);
            return Step::of("worker was told");
        }
        let unwritten = worker.unwritten && answers;
        let outcome = worker.outcome.clone();
        let said = worker.report.clone();
        if !has_started && watch.launched && now_ms.saturating_sub(watch.since_ms) >= START_WAIT_MS
        {
            drop(machine);
            let mut recovery = recovery(&self.attempt, Row::Open, around);
            recovery.waited_enough();
            return self.settle(recovery, "worker does not start");
        }
        if has_started && !self.told_started && chance.percent(50) {
            self.told_started = true;
            let record = machine.records.get(&self.attempt);
            let started = record.and_then(|record| record.now.started.value());
            self.started_at = started.map(|started| started.started_at);
            drop(machine);
            self.stage = Stage::Watch(watch);
            return self.tells_started();
        }
        if let Some(report) = self.news(&machine) {
            drop(machine);
            met.meet("heard of a run");
            self.stage = Stage::Watch(watch);
            let attempt = self.attempt.clone();
            return Step {
                what: "heard of a run",
                reports: vec![AttemptReport::Heard { attempt, report }],
                ..Step::default()
            };
        }
        drop(machine);
        if now_ms < watch.next_look_ms {
            self.stage = Stage::Watch(watch);
            return Step::of("attendant watches");
        }
        let end = outcome.filter(|_| unwritten).map(|outcome| (outcome, said));
        self.looks(watch, answers, end, around, met)
    }

    /// A look at the proof of life. `end`: what the worker holds at its door and cannot write down.
    fn looks(
        &mut self,
        mut watch: Watch,
        answers: bool,
        end: Option<(Outcome, Report)>,
        around: &Surroundings<'_>,
        met: &mut Met,
    ) -> Step {
        let machine = around.machine.get();
        let now_ms = machine.mono_ms;
        let timeout_ms = if around.bug == Some(Bug::WaitForSilent) {
            NEVER_MS
        } else {
            around.heartbeat_timeout_ms
        };
        let interval_ms = around.heartbeat_timeout_ms / LOOKS_PER_TIMEOUT;
        watch.next_look_ms = now_ms + interval_ms;
        let beat = machine
            .records
            .get(&self.attempt)
            .and_then(|record| record.now.beat.value().cloned());
        drop(machine);
        let seen = watch
            .pulse
            .look(beat.as_ref(), now_ms, interval_ms, timeout_ms);
        if let Some((outcome, said)) = end {
            return self.commits_unwritten(&watch, outcome, said, around, met);
        }
        if answers {
            watch.pulse.answered(now_ms);
        } else if seen == Heartbeat::Stale {
            let mut recovery = recovery(&self.attempt, Row::Open, around);
            recovery.silent(Some(timeout_ms));
            return self.settle(recovery, "worker is silent");
        }
        self.stage = Stage::Watch(watch);
        Step::of("attendant looked")
    }

    fn tells_started(&self) -> Step {
        let reports = self.started_at.map(|started_at| AttemptReport::Started {
            attempt: self.attempt.clone(),
            started_at,
        });
        Step {
            what: "started is told",
            reports: reports.into_iter().collect(),
            ..Step::default()
        }
    }

    /// As `supervisor::news`.
    fn news(&mut self, machine: &Machine) -> Option<Box<Report>> {
        let report = self.unheard(machine)?;
        self.told.clone_from(report);
        Some(Box::new(report.clone()))
    }

    fn unheard<'m>(&self, machine: &'m Machine) -> Option<&'m Report> {
        let record = &machine.records.get(&self.attempt)?.now;
        let report = record.report.value().filter(|_| self.is_agent)?;
        let is_known = report.served == self.told.served
            && report.overage == self.told.overage
            && report.windows == self.told.windows
            && (!self.counts_tokens || report.tokens == self.told.tokens);
        if is_known || record.exit.value().is_some() {
            return None;
        }
        Some(report)
    }

    /// As `supervisor::unwritten`: the task is marked busy, the outcome is committed, then the worker may go.
    fn commits_unwritten(
        &mut self,
        watch: &Watch,
        outcome: Outcome,
        said: Report,
        around: &Surroundings<'_>,
        met: &mut Met,
    ) -> Step {
        around.busy.borrow_mut().insert(self.attempt.clone());
        met.meet("an end is taken from the worker's door");
        self.stage = Stage::Unwritten(watch.worker);
        let ended_at = around.ground.now();
        self.report(
            "an end is taken from the door",
            Closed {
                attempt: self.attempt.clone(),
                outcome,
                ended_at,
                started_at: self.started_at,
                report: self.is_agent.then(|| Box::new(said)),
                launch_failed: false,
                machine_went_down: false,
            },
        )
    }

    fn lets_go(&mut self, worker: ProcessStamp, around: &Surroundings<'_>, met: &mut Met) -> Step {
        let mut machine = around.machine.get();
        if machine.lives(worker) {
            match machine.worker_mut(worker.pid) {
                Some(held) if !held.hung => held.committed = true,
                // Its end is committed and its tree is empty.
                Some(_) | None => machine.end(worker.pid),
            }
            drop(machine);
            self.stage = Stage::LetGo(worker);
            return Step::of("worker may go");
        }
        drop(machine);
        forget(&self.attempt, around);
        around.busy.borrow_mut().remove(&self.attempt);
        met.meet("a worker was let go");
        Step {
            what: "worker was let go",
            timer: true,
            is_over: true,
            ..Step::default()
        }
    }

    fn settles(
        &mut self,
        mut recovery: Box<Recovery<SimGround>>,
        around: &Surroundings<'_>,
        met: &mut Met,
    ) -> Step {
        let round = recovery.round();
        if let Some((facts, plan)) = recovery.last() {
            met.recovery(&facts, plan);
        }
        let now_ms = around.machine.get().mono_ms;
        match round {
            Ok(Round::Watch(worker)) => {
                recovery.watched();
                met.meet("taken back");
                self.stage = Stage::Watch(watch_of(worker, false, &around.machine.get()));
                Step::of("attempt is watched")
            }
            Ok(Round::Again(after_ms)) => {
                self.stage = Stage::Settle(recovery, now_ms + after_ms);
                Step::of("recovery goes on")
            }
            Ok(Round::Closed(mut closed)) => {
                drop(recovery);
                closed.started_at = closed.started_at.or(self.started_at);
                closed.launch_failed |=
                    self.launched_here && closed.outcome.kind == OutcomeKind::NeverRan;
                if around.bug == Some(Bug::ForgetRecordEarly) {
                    around.machine.get().records.remove(&self.attempt);
                }
                self.report("attempt is closed", closed)
            }
            Ok(Round::Stuck(detail, after_ms)) => {
                self.stage = Stage::Settle(recovery, now_ms + after_ms);
                let first = !std::mem::replace(&mut self.told_stuck, true);
                let attempt = self.attempt.clone();
                let report = first.then_some(AttemptReport::Stuck { attempt, detail });
                Step {
                    what: "tree is stuck",
                    reports: report.into_iter().collect(),
                    ..Step::default()
                }
            }
            Ok(Round::Gone(_)) => Step::of("nothing is left"),
            Err(_) => {
                self.stage = Stage::Settle(recovery, now_ms + RECOVERY_RETRY_MS);
                Step::of("recovery failed")
            }
        }
    }
}

fn watch_of(worker: ProcessStamp, launched: bool, machine: &Machine) -> Watch {
    Watch {
        worker,
        launched,
        since_ms: machine.mono_ms,
        next_look_ms: machine.mono_ms + 1,
        pulse: Pulse::new(machine.mono_ms),
        door_told: None,
    }
}

/// The path of a record: its attempt's name.
#[must_use]
pub fn path_of(attempt: &AttemptId) -> PathBuf {
    PathBuf::from(attempt.to_string())
}

/// Recovery of an attempt.
#[must_use]
pub fn recovery(attempt: &AttemptId, row: Row, around: &Surroundings<'_>) -> Recovery<SimGround> {
    let timeout_ms = if around.bug == Some(Bug::WaitForUnreadable) {
        NEVER_MS
    } else {
        around.heartbeat_timeout_ms
    };
    Recovery::on(
        around.ground.clone(),
        attempt.clone(),
        path_of(attempt),
        row,
        timeout_ms,
    )
}

/// As `supervisor::forget`: the record goes, under its lock; one that stays held is the next start's.
pub fn forget(attempt: &AttemptId, around: &Surroundings<'_>) {
    if let Ok(mut file) = around.ground.open(&path_of(attempt))
        && file.try_lock().is_ok_and(|got| got)
    {
        drop(file.unlink_locked());
    }
}
