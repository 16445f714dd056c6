//! The supervisor's one decision maker: an event comes in, rows change in the open transaction, effects come out.
//!
//! The handler is synchronous and knows no process, socket, file or clock: rows come from the store's transaction, time
//! and chance from the [`Moment`], and what it cannot know from rows (has the attempt's record an end already?) it asks a
//! [`World`]. That is what lets a simulation run it whole.
//!
//! Invariants:
//! - The database is the truth. What the handler keeps in memory is either a cache of rows ([`Handler::resync`] rebuilds
//!   it) or a brake that may be forgotten without harm. When a transaction is lost, the engine puts the handler back as it
//!   was before: an event that is handled again must not count twice.
//! - Effects are values; the engine releases them only after the commit.
//! - A step that refuses leaves rows and memory as they were.

mod accounts;
mod act;
mod agents;
mod attach;
mod attempt;
mod budgets;
mod claim;
mod fallback;
mod notices;
mod settle;
mod submit;
mod system;

pub(in crate::supervisor) use agents::was_served;
pub use claim::Wake;

use accounts::Accounts;
use budgets::Budgets;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::clock::Moment;
use super::command::{Change, Command, Refusal, RefusalCode, Reply};
use super::event::{AttemptReport, Attention, Effect, LogLine, SupervisorEvent};
use super::transition::Transition;
use crate::config::Settings;
use crate::schedule::{Intensity, QuietHours};
use crate::store::{ApplyError, StoreError, Tx, in_full};
use crate::task::{Actor, AttemptId, Event, Task, TaskId, Timestamp};

/// Name of the row that keeps a person's stop of all claims; there while they are stopped.
pub const META_CLAIMS_STOPPED: &str = "claims_stopped";

const MS_PER_SECOND: u64 = 1_000;

/// What the handler asks of the world beyond the database.
pub trait World {
    /// Whether the state directory is still the one that this daemon has locked. Where it is not, nothing may be written.
    fn is_in_place(&self) -> bool;
    /// Whether the attempt's record already holds its end: then a wish to stop it comes too late.
    fn has_ended(&self, attempt: &AttemptId) -> bool;
    /// Bytes free where the state directory is; `None` when that cannot be known.
    fn disk_free_bytes(&self) -> Option<u64>;
    /// Makes the record of an attempt that is about to be claimed. Made before the commit, so that a claimed attempt
    /// always has one; a record that no commit follows holds nothing and is discarded or used again.
    ///
    /// # Errors
    /// [`ClaimRefused`]: the attempt is not claimed.
    fn create_record(&self, attempt: &AttemptId) -> Result<(), ClaimRefused>;
}

/// Why an attempt cannot be claimed now.
#[derive(Debug)]
pub enum ClaimRefused {
    /// Something of an earlier attempt of this task is still there.
    Busy,
    /// The record cannot be made.
    Failed(std::io::Error),
}

/// Why a step did not go through. Its rows are rolled back.
#[derive(Debug)]
pub enum StepError {
    /// The store could not take it.
    Store(StoreError),
    /// Refused, with a reason for the client.
    Refused(Refusal),
    /// A dry run: this is what would have been answered.
    DryRun(Reply),
}

impl From<StoreError> for StepError {
    /// One damaged row, or one row that the schema's rules refuse, fails its own step and no other: tried again it would
    /// fail again, for ever, and with it everything that shares a transaction with it.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::BadRow { .. } | StoreError::Refused(_) => {
                Self::Refused(Refusal::new(RefusalCode::StoreFailed, in_full(&error)))
            }
            StoreError::DiskFull(_)
            | StoreError::Io(_)
            | StoreError::Busy(_)
            | StoreError::Corrupt(_)
            | StoreError::Undone
            | StoreError::Other(_) => Self::Store(error),
        }
    }
}

impl From<Refusal> for StepError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ApplyError> for StepError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Store(error) => error.into(),
            ApplyError::Illegal(_) | ApplyError::Stale(_) | ApplyError::UnknownDependency(_) => {
                Self::Refused(Refusal::new(
                    RefusalCode::IllegalTransition,
                    error.to_string(),
                ))
            }
        }
    }
}

/// One step: the open transaction, the moment, and the effects gathered so far.
pub struct Step<'a> {
    /// The open transaction.
    pub tx: &'a Tx<'a>,
    /// Now and chance.
    pub moment: Moment,
    /// What the database does not know.
    pub world: &'a dyn World,
    /// Released after the commit, in this order.
    pub effects: Vec<Effect>,
}

impl Step<'_> {
    /// Applies `event` to `task` and tells watchers.
    fn apply(&mut self, task: &Task, event: &Event, actor: Actor) -> Result<Task, StepError> {
        let next = self.tx.apply(task, event, self.moment.now, actor)?;
        self.changed(&next, event);
        self.note_move(task, &next)?;
        Ok(next)
    }

    /// Tells watchers and the log what `event` made of the task.
    fn changed(&mut self, task: &Task, event: &Event) {
        self.effects
            .push(Effect::Log(Box::new(LogLine::Task(Transition::new(
                task, event,
            )))));
        self.effects.push(Effect::Changed(Change {
            id: task.id.clone(),
            seq: task.seq,
            state: task.life.state,
            generation: task.life.generation,
            at: self.moment.now,
        }));
    }

    fn task(&self, id: &TaskId) -> Result<Task, StepError> {
        let task = self.tx.task(id)?;
        task.ok_or_else(|| {
            Refusal::new(RefusalCode::NotFound, format!("there is no task {id}")).into()
        })
    }
}

/// The decision maker. See the module's page.
#[derive(Debug, Clone)]
pub struct Handler {
    settings: Arc<Settings>,
    quiet_hours: Vec<QuietHours>,
    zone: TimeZone,
    /// Slots that are held, by running attempts of this and of earlier daemons. A cache of rows.
    slots: BTreeMap<u32, AttemptId>,
    /// A foreground run claims nothing but its own task; `None` = everything.
    only: Option<Option<TaskId>>,
    /// What is known of agents' accounts. A cache of rows.
    accounts: Accounts,
    /// What a person was told of budgets. A brake.
    budgets: Budgets,
    /// A person stopped all claims. A cache of a row.
    claims_stopped: bool,
    /// The store said that the disk is full: no submissions until it has space again.
    disk_full: bool,
    /// No worker could be started: no claims before this time. A brake.
    launch_wait_until: Option<Timestamp>,
    /// When claims were looked at last, by the wall clock.
    looked_at: Option<Timestamp>,
    /// Lost and hung attempts of all tasks; a person's `system resume` lifts what it closes. A brake.
    restarts: Intensity,
    /// The losses of the reboot before this daemon's start are counted: they are one.
    reboot_counted: bool,
    /// A person was told that no worker could be started.
    told_launch_failed: bool,
    /// Attempts that a person was told cannot be ended.
    stuck: BTreeSet<AttemptId>,
    /// So many tasks are set aside, as a person was told.
    set_aside: u64,
}

impl Handler {
    /// A handler for the rows of `tx`. With `foreground` nothing is claimed but the task that is submitted as such.
    ///
    /// # Errors
    /// When rows cannot be read.
    pub fn new(settings: Arc<Settings>, foreground: bool, tx: &Tx<'_>) -> Result<Self, StoreError> {
        let (quiet_hours, zone) = quiet(&settings);
        let restarts = Intensity::new(
            settings.daemon_restart_max,
            settings.restart_window_seconds * MS_PER_SECOND,
        );
        let mut handler = Self {
            settings,
            quiet_hours,
            zone,
            slots: BTreeMap::new(),
            only: foreground.then_some(None),
            accounts: Accounts::default(),
            budgets: Budgets::default(),
            claims_stopped: false,
            disk_full: false,
            launch_wait_until: None,
            looked_at: None,
            restarts,
            reboot_counted: false,
            told_launch_failed: false,
            stuck: BTreeSet::new(),
            set_aside: tx.count_set_aside()?,
        };
        handler.resync(tx)?;
        let strays = tx.release_strays()?;
        if strays > 0 {
            tracing::info!(
                strays,
                "reservations of attempts that are no more are released"
            );
        }
        Ok(handler)
    }

    /// Rebuilds every cache of rows, after a step or a transaction was lost.
    ///
    /// # Errors
    /// When rows cannot be read.
    pub fn resync(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        self.slots = tx
            .running()?
            .iter()
            .filter_map(|task| Some((task.slot?, task.attempt())))
            .collect();
        self.accounts = Accounts::load(tx, &self.settings)?;
        self.claims_stopped = tx.meta(META_CLAIMS_STOPPED)?.is_some();
        Ok(())
    }

    /// Tells a person when more tasks are set aside than before, whoever has met them.
    ///
    /// # Errors
    /// When rows cannot be read.
    pub fn mind_the_damaged(&mut self, step: &mut Step<'_>) -> Result<(), StepError> {
        let count = step.tx.count_set_aside()?;
        if count > self.set_aside
            && let Some(first) = step.tx.first_set_aside()?
        {
            step.effects
                .push(Effect::Attention(Attention::set_aside(count, &first)));
        }
        self.set_aside = count;
        Ok(())
    }

    /// The slots that are held, as far as it knows: what the rows say, at any time between two transactions.
    pub fn slots(&self) -> impl Iterator<Item = (u32, &AttemptId)> {
        self.slots.iter().map(|(slot, attempt)| (*slot, attempt))
    }

    /// Takes every slot for free: a seeded bug, which a simulation must find.
    #[cfg(feature = "sim")]
    pub fn forget_slots(&mut self) {
        self.slots.clear();
    }

    /// The store's disk is full (or has space again): submissions are refused meanwhile.
    pub fn set_disk_full(&mut self, full: bool) {
        self.disk_full = full;
    }

    /// Handles one event inside the open transaction. The reply is for commands only.
    ///
    /// # Errors
    /// [`StepError`]: the caller rolls this step back; other steps of the batch stand.
    pub fn handle(
        &mut self,
        step: &mut Step<'_>,
        event: &SupervisorEvent,
    ) -> Result<Reply, StepError> {
        match event {
            SupervisorEvent::Command(command, _) => self.command(step, command),
            SupervisorEvent::Attempt(AttemptReport::Started {
                attempt,
                started_at,
            }) => {
                self.started(step, attempt, *started_at)?;
                Ok(Reply::Done)
            }
            SupervisorEvent::Attempt(AttemptReport::Heard { attempt, report }) => {
                self.heard(step, attempt, report)?;
                Ok(Reply::Done)
            }
            SupervisorEvent::Attempt(AttemptReport::Closed(closed)) => {
                self.closed(step, closed)?;
                Ok(Reply::Done)
            }
            SupervisorEvent::Attempt(AttemptReport::Stuck { attempt, detail }) => {
                self.stuck(step, attempt, detail);
                Ok(Reply::Done)
            }
            SupervisorEvent::Told(told) => {
                self.told(step, told)?;
                Ok(Reply::Done)
            }
            SupervisorEvent::Settings(settings) => {
                self.settings = Arc::clone(settings);
                (self.quiet_hours, self.zone) = quiet(settings);
                self.accounts.set_policy(settings);
                self.budgets.look_again();
                self.restarts.set_limit(
                    settings.daemon_restart_max,
                    settings.restart_window_seconds * MS_PER_SECOND,
                );
                Ok(Reply::Done)
            }
            SupervisorEvent::Timer | SupervisorEvent::Quiet | SupervisorEvent::Leave => {
                Ok(Reply::Done)
            }
        }
    }

    fn command(&mut self, step: &mut Step<'_>, command: &Command) -> Result<Reply, StepError> {
        match command {
            Command::Submit(request) => self.submit(step, request),
            Command::Act(request) => {
                let reply = self.act(step, request)?;
                if request.dry_run {
                    Err(StepError::DryRun(reply))
                } else {
                    Ok(reply)
                }
            }
            Command::SetAside { numbers } => {
                for number in numbers {
                    step.tx.set_aside_unreadable(*number)?;
                }
                Ok(Reply::Done)
            }
            Command::Ping => Ok(Reply::Done),
            Command::SetClaims { enabled } => self.set_claims(step, *enabled),
            Command::CloseBatch { uid, batch, notify } => {
                Self::close_batch(step, *uid, batch, notify)
            }
            Command::Account {
                agent,
                name,
                change,
            } => self.change_account(step, agent, name, change),
            Command::StopAll { actor } => self.stop_all(step, *actor),
            Command::Cleanup { before, dry_run } => Self::cleanup(step, *before, *dry_run),
            Command::Reset { .. } => self.reset(step),
        }
    }
}

/// Until when the quiet hours of `settings` last, if they do at `now`.
#[must_use]
pub fn quiet_until(settings: &Settings, now: Timestamp) -> Option<Timestamp> {
    let (hours, zone) = quiet(settings);
    crate::schedule::quiet_until(now, &hours, &zone)
}

/// The quiet hours and their zone; a zone that the settings name is known, they were checked.
fn quiet(settings: &Settings) -> (Vec<QuietHours>, TimeZone) {
    let zone = match settings.time_zone.as_str() {
        "" => TimeZone::system(),
        name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
    };
    (settings.quiet_hours.clone(), zone)
}
