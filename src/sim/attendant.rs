//! Attendants, as `supervisor::attend` has them, one step at a time: launch, watch, bring intents, judge silence, settle by the
//! real recovery.

mod launching;
mod watching;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use super::bug::Bug;
use super::chance::Chance;
use super::machine::{Machine, Shared, SimGround};
use super::met::Met;
use super::worker::Phase;
use crate::attempt::record::ProcessStamp;
use crate::attempt::recovery::Row;
use crate::budget::Budget;
use crate::config::Settings;
use crate::supervisor::budgets;
use crate::supervisor::event::{AttemptReport, Closed, Launch};
use crate::supervisor::ground::{Ground as _, GroundRecord as _};
use crate::supervisor::notice::Notice;
use crate::supervisor::pulse::Pulse;
use crate::supervisor::recover::{Recovery, Round};
use crate::task::{AttemptId, Intent, Outcome, OutcomeKind, Report, Task, Timestamp};

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
