//! A worker and its agent, step by step: between any two of them it may die, and everybody else may move.

mod agent;
mod ending;

pub use ending::kill;

use agent::runs;
use ending::{ends, writes_exit};

use super::chance::Chance;
use super::judge::Violation;
use super::machine::{Kind, Machine, Process, RecordPart, started};
use super::money::Spent;
use super::server::Server;
use crate::attempt::record::{ProcessStamp, Read};
use crate::budget::Budget;
use crate::task::{AttemptId, Intent, Outcome, OutcomeKind, Place, Report, Task};

/// How far a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It was started and has done nothing yet.
    Born,
    /// It has the record open: the file with this inode.
    Opened(u64),
    /// It has the record's lock and has read it.
    Locked,
    /// It has written `started`, unsynced.
    WroteStarted,
    /// `started` is on the disk.
    Ready,
    /// Its agent runs.
    Running,
    /// Its agent is over; what it left behind is to be ended.
    Ended,
    /// It has written what its agent said, unsynced.
    WroteReport,
    /// It has written `exit`, unsynced.
    WroteExit,
    /// `exit` is on the disk.
    Synced,
}

/// What the agent does when left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// It does what it was asked.
    Succeed,
    /// It ends like this.
    End(OutcomeKind),
    /// It never ends by itself.
    Hang,
}

/// A worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    /// How far it is.
    pub phase: Phase,
    /// Its handle of the record.
    pub handle: Option<u64>,
    /// Its agent.
    pub agent: Option<ProcessStamp>,
    /// It has said at its pipe that the command runs.
    pub said_started: bool,
    /// It does nothing any more, and answers nobody.
    pub hung: bool,
    /// The wish that was brought to its door.
    pub told: Option<Intent>,
    /// How its agent ended.
    pub outcome: Option<Outcome>,
    /// It holds an end that it cannot write down, and its tree is empty.
    pub unwritten: bool,
    /// The daemon has committed that end.
    pub committed: bool,
    /// What its agent does.
    pub plan: Plan,
    /// What it said so far.
    pub report: Report,
    /// What it may use up.
    share: Budget,
    /// What it has used up.
    spent: Spent,
    /// When its agent started, by the monotonic clock.
    since_ms: u64,
    /// Where its agent is asked.
    place: Option<Place>,
}

/// What an agent that runs does next is drawn from so many numbers; from `FINISHES` on it ends.
const RUNS: u64 = 40;
const FINISHES: u64 = 37;
/// A hanging agent's last steps find that its time is up, in percent.
const TIME_IS_UP_PERCENT: u64 = 6;

/// Ends of agents that have a prompt.
const AGENT_ENDS: [OutcomeKind; 14] = [
    OutcomeKind::AgentError,
    // Exit code 0, and no result: a lie.
    OutcomeKind::NoResult,
    OutcomeKind::NoResult,
    OutcomeKind::ToolsDenied,
    OutcomeKind::ToolDeferred,
    OutcomeKind::MaxTurns,
    OutcomeKind::MaxBudget,
    OutcomeKind::Refused,
    OutcomeKind::PromptTooLong,
    OutcomeKind::UnknownSession,
    OutcomeKind::ResumeFailed,
    OutcomeKind::ModelUnavailable,
    OutcomeKind::Idle,
    OutcomeKind::Signaled,
];
/// Ends of plain commands.
const COMMAND_ENDS: [OutcomeKind; 7] = [
    OutcomeKind::Exited,
    OutcomeKind::Signaled,
    OutcomeKind::OutOfMemory,
    OutcomeKind::TimedOut,
    OutcomeKind::Idle,
    OutcomeKind::Interrupted,
    OutcomeKind::SpawnFailed,
];

impl Worker {
    /// A worker for a claimed task.
    #[must_use]
    pub fn new(task: &Task, share: Budget, chance: &mut Chance) -> Self {
        let prompt = task.prompt_there();
        let failed = task
            .life
            .agent
            .as_ref()
            .is_some_and(|agent| agent.failed_resumes > 0);
        let plan = match chance.below(10) {
            // A session that is gone stays gone.
            0..6 if failed => Plan::End(OutcomeKind::ResumeFailed),
            0..5 => Plan::Succeed,
            5 => Plan::Hang,
            _ if prompt.is_some() => Plan::End(chance.one_of(AGENT_ENDS)),
            _ => Plan::End(chance.one_of(COMMAND_ENDS)),
        };
        let session = task
            .life
            .agent
            .as_ref()
            .and_then(|agent| agent.session.clone());
        Self {
            phase: Phase::Born,
            handle: None,
            agent: None,
            said_started: false,
            hung: false,
            told: None,
            outcome: None,
            unwritten: false,
            committed: false,
            plan,
            report: Report {
                session,
                ..Report::default()
            },
            share,
            spent: Spent::default(),
            since_ms: 0,
            place: prompt.map(|prompt| prompt.place()),
        }
    }
}

/// The next step of any worker that does not hang.
///
/// # Errors
/// When the step breaks a promise.
pub fn any(
    machine: &mut Machine,
    server: &Server,
    chance: &mut Chance,
) -> Result<&'static str, Violation> {
    let can_work = |(pid, it): (&i32, &Process)| it.can_work().then_some(*pid);
    let workers: Vec<i32> = machine.processes.iter().filter_map(can_work).collect();
    match chance.pick(&workers) {
        Some(pid) => step(machine, server, *pid, false, chance),
        None => Ok("no worker"),
    }
}

/// A worker's next step. Returns what it was.
///
/// # Errors
/// When the step breaks a promise.
pub fn step(
    machine: &mut Machine,
    server: &Server,
    pid: i32,
    healing: bool,
    chance: &mut Chance,
) -> Result<&'static str, Violation> {
    let Some(process) = machine.processes.get(&pid) else {
        return Ok("no worker");
    };
    let attempt = process.attempt.clone();
    let Some(worker) = machine.worker_mut(pid) else {
        return Ok("no worker");
    };
    if worker.hung {
        return Ok("worker hangs");
    }
    let phase = worker.phase;
    let stamp = machine.stamp(pid);
    match phase {
        Phase::Born => Ok(opens(machine, pid, &attempt)),
        Phase::Opened(inode) => Ok(locks(machine, pid, &attempt, inode)),
        Phase::Locked => {
            let record = started(machine, stamp, None);
            let written = machine.write_record(&attempt, |it| {
                it.started = Read::Value(record);
                RecordPart::Started
            });
            if written {
                to(machine, pid, Phase::WroteStarted);
                Ok("worker wrote started")
            } else {
                machine.end(pid);
                Ok("worker left: its record cannot be written")
            }
        }
        Phase::WroteStarted => {
            machine.sync_record(&attempt);
            to(machine, pid, Phase::Ready);
            Ok("worker synced started")
        }
        Phase::Ready => spawns(machine, pid, &attempt),
        Phase::Running => Ok(runs(machine, server, pid, healing, chance)),
        Phase::Ended => Ok(ends(machine, pid, &attempt)),
        Phase::WroteReport => Ok(writes_exit(machine, pid, &attempt)),
        Phase::WroteExit => {
            if !machine.exit_sync_lies {
                machine.sync_record(&attempt);
            }
            machine.truths.at(&attempt).durable = true;
            to(machine, pid, Phase::Synced);
            Ok("worker synced exit")
        }
        Phase::Synced => {
            if machine.members(&attempt) == [pid] {
                machine.left_clean.insert(pid);
            }
            machine.end(pid);
            Ok("worker left")
        }
    }
}

fn to(machine: &mut Machine, pid: i32, phase: Phase) {
    if let Some(worker) = machine.worker_mut(pid) {
        worker.phase = phase;
    }
}

/// Opens without creating.
fn opens(machine: &mut Machine, pid: i32, attempt: &AttemptId) -> &'static str {
    match machine.inode(attempt) {
        Some(inode) => {
            to(machine, pid, Phase::Opened(inode));
            "worker opened its record"
        }
        None => {
            machine.end(pid);
            "worker left: no record"
        }
    }
}

/// Locks without waiting, reads: whoever wakes late finds the record closed, replaced or gone.
fn locks(machine: &mut Machine, pid: i32, attempt: &AttemptId, inode: u64) -> &'static str {
    let handle = machine.handle();
    if machine.inode(attempt) != Some(inode) {
        // It has the lock of a file that has no name any more, or another's: it says so to nobody and goes.
        machine.end(pid);
        return "worker left: not to be begun";
    }
    if !machine.skips_record_lock && !machine.lock(attempt, handle) {
        machine.end(pid);
        return "worker left: the record is held";
    }
    let fits = machine.records.get(attempt).is_some_and(|record| {
        let now = &record.now;
        let header = now.header.value();
        header.is_some_and(|header| header.attempt == *attempt)
            && now.started == Read::Blank
            && now.exit == Read::Blank
    });
    if let Some(worker) = machine.worker_mut(pid) {
        worker.handle = Some(handle);
        worker.phase = Phase::Locked;
    }
    if fits {
        "worker locked"
    } else {
        machine.end(pid);
        "worker left: not to be begun"
    }
}

fn spawns(machine: &mut Machine, pid: i32, attempt: &AttemptId) -> Result<&'static str, Violation> {
    let refused = machine
        .worker_mut(pid)
        .is_some_and(|worker| worker.plan == Plan::End(OutcomeKind::SpawnFailed));
    if refused {
        if let Some(worker) = machine.worker_mut(pid) {
            worker.outcome = Some(Outcome::of(OutcomeKind::SpawnFailed));
            worker.phase = Phase::Ended;
        }
        return Ok("worker could not spawn");
    }
    let other = machine
        .processes
        .values()
        .find(|it| it.attempt.task == attempt.task && it.attempt != *attempt);
    if let Some(other) = other {
        return Err(Violation::new(
            "never two live workers for one task",
            format!("{attempt} starts while {} lives", other.attempt),
        ));
    }
    machine.truths.agent_starts(attempt)?;
    let agent = machine.spawn(attempt, Kind::Member);
    let since_ms = machine.mono_ms;
    let record = started(machine, machine.stamp(pid), Some(agent));
    machine.write_record(attempt, |it| {
        it.started = Read::Value(record);
        RecordPart::Started
    });
    if let Some(worker) = machine.worker_mut(pid) {
        worker.agent = Some(agent);
        worker.since_ms = since_ms;
        worker.said_started = true;
        worker.phase = Phase::Running;
    }
    Ok("agent started")
}
