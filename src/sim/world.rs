//! The simulated world, and what happens in it: one [`Op`] after the other, each judged.

mod carrying;
mod committing;
mod daemons;

use std::fmt::Write as _;
use std::sync::Arc;

use super::attendant::Step;
use super::bug::Bug;
use super::chance::Chance;
use super::client::{self, Sent};
use super::daemon::Daemon;
use super::disk::{Disk, with_disk};
use super::judge::{Judge, Judged, Violation};
use super::machine::Shared;
use super::met::Met;
use super::money;
use super::op::{Op, OpKind};
use super::server::Server;
use super::worker;
use crate::config::Settings;
use crate::supervisor::command::SubmitRequest;
use crate::task::TaskId;

/// Events that wait at most: clients are told to come again.
pub(super) const EVENTS_MAX: usize = 64;
/// Slots before anybody has changed the settings.
const FIRST_SLOTS: u32 = 4;
/// Submissions that clients remember.
const SENT_MAX: usize = 40;
/// Events that one transaction takes at most.
const BATCH_MAX: u64 = 8;
/// Changing operations within which a commit dies.
const COMMIT_OPERATIONS: u64 = 40;
/// Changing operations within which an opening dies.
const OPEN_OPERATIONS: u64 = 120;
/// A daemon that could not start is started again after this.
const START_RETRY_MS: u64 = 1_000;
/// Replies that get lost, in percent.
const REPLY_LOST_PERCENT: u64 = 8;
/// Beginning and factor of the trace's hash (FNV-1a).
const FNV: (u64, u64) = (0xcbf2_9ce4_8422_2325, 0x0000_0100_0000_01b3);

/// What a world is made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setup {
    /// Power losses take back what was not synced.
    pub disk: bool,
    /// A mistake that is built in.
    pub bug: Option<Bug>,
    /// Every step is written down.
    pub trace: bool,
}

/// The world.
pub struct World {
    pub(super) setup: Setup,
    pub(super) machine: Shared,
    pub(super) server: Server,
    pub(super) daemon: Option<Daemon>,
    /// A second daemon: only a bug lets it live.
    pub(super) rival: Option<Daemon>,
    pub(super) judge: Judge,
    /// What was met.
    pub met: Met,
    /// The next start that is tried, by the monotonic clock.
    pub(super) start_at_ms: u64,
    pub(super) settings: Arc<Settings>,
    sent: Vec<SubmitRequest>,
    /// Steps so far.
    pub steps: u64,
    hash: u64,
    /// The trace, where it is wanted.
    pub trace: String,
    pub(super) healing: bool,
}

/// The daemon, or its rival.
fn one_of<'d>(
    daemon: &'d mut Option<Daemon>,
    rival: &'d mut Option<Daemon>,
    is_rival: bool,
) -> Option<&'d mut Daemon> {
    if is_rival {
        rival.as_mut()
    } else {
        daemon.as_mut()
    }
}

impl World {
    /// A new world, with an empty disk.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        with_disk(|disk| {
            *disk = Disk::new(setup.disk);
            disk.faults.sync_lies = setup.bug == Some(Bug::SkipSync);
        });
        let machine = Shared::default();
        {
            let mut machine = machine.get();
            machine.blind_sweeps = setup.bug == Some(Bug::SkipSweep);
            machine.exit_sync_lies = setup.bug == Some(Bug::SkipExitSync);
            machine.skips_record_lock = setup.bug == Some(Bug::SkipRecordLock);
        }
        Self {
            setup,
            machine,
            server: Server::default(),
            daemon: None,
            rival: None,
            start_at_ms: 0,
            judge: Judge::default(),
            met: Met::default(),
            settings: Arc::new(client::settings(FIRST_SLOTS)),
            sent: Vec::new(),
            steps: 0,
            hash: FNV.0,
            trace: String::new(),
            healing: false,
        }
    }

    /// A number for all that has happened: two runs of a seed have the same.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// One step.
    ///
    /// # Errors
    /// The promise that it breaks.
    pub fn apply(&mut self, op: Op) -> Judged {
        let mut chance = Chance::new(op.roll);
        self.machine.get().pass(chance.below(40));
        let what = self.happen(op.kind, &mut chance)?;
        self.note(op, what);
        self.machine.get().truths.judge()
    }

    pub(super) fn note(&mut self, op: Op, what: &str) {
        self.steps += 1;
        let now_ms = self.machine.get().wall_ms;
        for byte in what.bytes().chain(now_ms.to_le_bytes()) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(FNV.1);
        }
        if self.setup.trace {
            let step = self.steps;
            let ms = now_ms - super::machine::EPOCH_MS;
            let written = writeln!(self.trace, "{step:>7} {ms:>12} ms  {op}  {what}");
            written.unwrap_or_default();
        }
    }

    fn detail(&mut self, text: impl FnOnce() -> String) {
        if self.setup.trace {
            let text = text();
            for line in text.lines() {
                self.trace.push_str("                            | ");
                self.trace.push_str(line);
                self.trace.push('\n');
            }
        }
    }

    fn happen(&mut self, kind: OpKind, chance: &mut Chance) -> Result<&'static str, Violation> {
        match kind {
            OpKind::Work => self.work(chance),
            OpKind::Carry => self.carry(chance),
            OpKind::Attend => self.attend(chance),
            OpKind::Batch => self.batch(chance, false),
            OpKind::BatchDies => self.batch(chance, true),
            OpKind::Submit | OpKind::Act | OpKind::System | OpKind::Account | OpKind::Settings => {
                Ok(self.ask(kind, chance))
            }
            OpKind::Pass => {
                self.machine.get().pass(chance.below(3_000));
                Ok("time passes")
            }
            OpKind::Leap => Ok(self.leap(chance)),
            OpKind::Start => self.start(None),
            OpKind::StartDies => self.start(Some(chance.below(OPEN_OPERATIONS))),
            OpKind::Tidy => Ok(self.tidy()),
            OpKind::Leave => Ok(self.leave()),
            OpKind::Kill => Ok(self.kill()),
            OpKind::PowerLoss => Ok(self.power_loss(chance)),
            OpKind::Rival => self.rival_comes(),
            OpKind::Heal => self.heal(chance),
            OpKind::Server
            | OpKind::SetClock
            | OpKind::KillWorker
            | OpKind::HangWorker
            | OpKind::Damage
            | OpKind::TakeAway
            | OpKind::Stick
            | OpKind::Unstick
            | OpKind::RecordsFail
            | OpKind::SpaceLow
            | OpKind::DiskFull
            | OpKind::SyncFails
            | OpKind::DiskWorks => Ok(self.fault(kind, chance)),
        }
    }

    fn work(&mut self, chance: &mut Chance) -> Result<&'static str, Violation> {
        let mut machine = self.machine.get();
        let what = worker::any(&mut machine, &self.server, chance)?;
        drop(machine);
        self.met.meet(what);
        Ok(what)
    }

    fn attend(&mut self, chance: &mut Chance) -> Result<&'static str, Violation> {
        let is_rival = self.rival.is_some() && chance.percent(50);
        let Some(daemon) = one_of(&mut self.daemon, &mut self.rival, is_rival) else {
            return Ok("no daemon");
        };
        let step = daemon.attend(&self.machine, chance, &mut self.met);
        self.attended(&step)?;
        if !step.reports.is_empty() {
            self.detail(|| format!("{:?}", step.reports));
        }
        Ok(step.what)
    }

    /// What an attendant has reported, and what a person has heard.
    pub(super) fn attended(&mut self, step: &Step) -> Judged {
        let machine = self.machine.get();
        for report in &step.reports {
            self.judge.reported(report, &machine.truths)?;
        }
        drop(machine);
        let heard = step.heard.as_deref();
        heard.map_or(Ok(()), |notice| self.judge.heard(notice))
    }

    /// A client sends something.
    fn ask(&mut self, kind: OpKind, chance: &mut Chance) -> &'static str {
        let now = self.machine.get().now();
        let Some(daemon) = self
            .daemon
            .as_mut()
            .filter(|daemon| daemon.events.len() < EVENTS_MAX)
        else {
            return "a client finds no daemon";
        };
        let (sent, what) = match kind {
            OpKind::Submit if chance.percent(15) && !self.sent.is_empty() => {
                let former = &self.sent[chance.index(self.sent.len())];
                let request = client::again(former, chance);
                (Sent::Submit(Box::new(request)), "submitted again")
            }
            OpKind::Submit => {
                let ids: Vec<&TaskId> = self.judge.ids().collect();
                let request = client::submission(chance, &ids, now);
                if self.sent.len() >= SENT_MAX {
                    let place = chance.index(SENT_MAX);
                    self.sent[place] = request.clone();
                } else {
                    self.sent.push(request.clone());
                }
                (Sent::Submit(Box::new(request)), "submitted")
            }
            OpKind::Act => {
                let mut ids: Vec<&TaskId> = Vec::new();
                if chance.percent(45) {
                    ids.extend(self.judge.running().map(|task| &task.id));
                }
                if ids.is_empty() {
                    ids.extend(self.judge.ids());
                }
                (Sent::Act(client::act(chance, &ids, now)), "wished")
            }
            OpKind::System => (client::system(chance, now), "wished of the system"),
            OpKind::Account => (client::account(chance, now), "wished of an account"),
            _ => {
                let workers = u32::try_from(1 + chance.below(6)).unwrap_or(1);
                let mut settings = client::settings(workers);
                money::settle(&mut settings, chance);
                self.settings = Arc::new(settings);
                (Sent::Settings(Arc::clone(&self.settings)), "new settings")
            }
        };
        daemon.events.push_back(sent);
        what
    }

    /// Time passes until something is due.
    fn leap(&mut self, chance: &mut Chance) -> &'static str {
        let mut machine = self.machine.get();
        let far = chance.below(4);
        let wake = self
            .daemon
            .as_ref()
            .and_then(|daemon| daemon.wake.at)
            .map(|at| at.as_ms() - machine.wall_ms)
            .and_then(|ms| u64::try_from(ms).ok());
        let due = self
            .daemon
            .as_ref()
            .and_then(Daemon::due_ms)
            .and_then(|at| at.checked_sub(machine.mono_ms));
        let ms = match (far, wake, due) {
            (0, Some(wake), _) => wake,
            (1, _, Some(due)) => due,
            (2, ..) => chance.below(120_000),
            _ => chance.below(20_000),
        };
        machine.pass(ms + chance.below(10));
        "time leaps"
    }
}
