//! A worker and its agent, step by step: between any two of them it may die, and everybody else may move.

use super::chance::Chance;
use super::judge::Violation;
use super::machine::{Kind, Machine, Process, RecordPart, beat, started};
use super::money::Spent;
use super::server::Server;
use crate::attempt::record::{Beat, Exit, ProcessStamp, Read};
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
    if !machine.lock(attempt, handle) {
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

fn runs(
    machine: &mut Machine,
    server: &Server,
    pid: i32,
    healing: bool,
    chance: &mut Chance,
) -> &'static str {
    let (now_ms, mono_ms) = (machine.wall_ms, machine.mono_ms);
    let proof = beat(machine);
    let Some(process) = machine.processes.get_mut(&pid) else {
        return "no worker";
    };
    let attempt = process.attempt.clone();
    let Kind::Worker(worker) = &mut process.kind else {
        return "no worker";
    };
    if let Some(what) = ended_by_us(worker, mono_ms, chance) {
        tells_cost(machine, pid, chance.percent(20));
        return what;
    }
    let hangs = worker.plan == Plan::Hang;
    match if healing {
        FINISHES
    } else {
        chance.below(RUNS)
    } {
        0..4 => {
            let Some(place) = worker.place.clone() else {
                return beats(machine, &attempt, proof);
            };
            if server.block(&place, now_ms, chance).is_some() {
                return "agent tries";
            }
            if worker.plan == Plan::End(OutcomeKind::UnknownSession) {
                return "agent looks for its session";
            }
            worker
                .spent
                .request(&mut worker.report, place.model.as_deref(), chance);
            let spent = worker.spent;
            worker.report.served = true;
            worker.report.windows = server.windows(&place, now_ms, chance);
            worker.report.overage = chance.percent(3);
            let report = worker.report.clone();
            machine.write_record(&attempt, |it| {
                it.report = Read::Value(report);
                RecordPart::Hint
            });
            machine.truths.at(&attempt).spent = spent;
            keeps_to_its_share(machine, pid)
        }
        4..8 => {
            // What it starts may outlive it.
            machine.spawn(&attempt, Kind::Member);
            "agent starts a child"
        }
        8..11 => {
            let agent = worker.agent.map(|agent| agent.pid);
            let members = machine.members(&attempt);
            let child = members.iter().find(|it| **it != pid && Some(**it) != agent);
            let Some(child) = child else {
                return beats(machine, &attempt, proof);
            };
            machine.end(*child);
            "a child of the agent ends"
        }
        FINISHES.. if hangs && !healing && !chance.percent(TIME_IS_UP_PERCENT) => {
            beats(machine, &attempt, proof)
        }
        FINISHES.. => finishes(machine, server, pid, healing, chance),
        _ => beats(machine, &attempt, proof),
    }
}

/// It was asked to stop, or its time is used up.
fn ended_by_us(worker: &mut Worker, mono_ms: u64, chance: &mut Chance) -> Option<&'static str> {
    let ran_ms = mono_ms.saturating_sub(worker.since_ms);
    let (kind, what) = if worker.told.is_some() {
        // A well-behaved program ends with exit code 0, and is not done for that.
        let kind = chance.one_of([
            OutcomeKind::Signaled,
            OutcomeKind::Exited,
            OutcomeKind::Succeeded,
        ]);
        (kind, "agent was stopped")
    } else if worker.share.run_ms.is_some_and(|most| ran_ms > most) {
        (OutcomeKind::TimedOut, "agent's time is used up")
    } else {
        return None;
    };
    let mut outcome = Outcome::of(kind);
    outcome.stop_sent = true;
    worker.outcome = Some(outcome);
    worker.phase = Phase::Ended;
    Some(what)
}

/// A proof of life.
fn beats(machine: &mut Machine, attempt: &AttemptId, proof: Beat) -> &'static str {
    machine.write_record(attempt, |it| {
        it.beat = Read::Value(proof);
        RecordPart::Beat
    });
    "worker beats"
}

/// The agent ends by itself.
fn finishes(
    machine: &mut Machine,
    server: &Server,
    pid: i32,
    healing: bool,
    chance: &mut Chance,
) -> &'static str {
    let now_ms = machine.wall_ms;
    let Some(process) = machine.processes.get_mut(&pid) else {
        return "no worker";
    };
    let attempt = process.attempt.clone();
    let Kind::Worker(worker) = &mut process.kind else {
        return "no worker";
    };
    let block = worker
        .place
        .as_ref()
        .and_then(|place| server.block(place, now_ms, chance));
    let kind = match (worker.plan, block) {
        (_, Some(block)) => {
            worker.report.block = Some(block);
            OutcomeKind::Limited
        }
        (_, None) if healing => OutcomeKind::Succeeded,
        // It never ends by itself: its worker ends it.
        (Plan::Hang, None) => OutcomeKind::Idle,
        (Plan::Succeed, None) => OutcomeKind::Succeeded,
        (Plan::End(kind), None) => kind,
    };
    let is_told = chance.percent(if has_result(kind) { 95 } else { 30 });
    if kind == OutcomeKind::Succeeded {
        worker.report.served = worker.place.is_some();
    }
    worker.outcome = Some(Outcome::of(kind));
    worker.phase = Phase::Ended;
    let block = worker.report.block.clone();
    tells_cost(machine, pid, is_told);
    let truth = machine.truths.at(&attempt);
    truth.succeeded = kind == OutcomeKind::Succeeded;
    truth.block = block;
    "agent ended"
}

/// Whether such an end comes with a result, in which the agent says what the run has cost.
const fn has_result(kind: OutcomeKind) -> bool {
    matches!(
        kind,
        OutcomeKind::Succeeded
            | OutcomeKind::ToolsDenied
            | OutcomeKind::ToolDeferred
            | OutcomeKind::MaxTurns
            | OutcomeKind::MaxBudget
            | OutcomeKind::Refused
            | OutcomeKind::AgentError
    )
}

/// The agent says at its end what the run has cost, or does not.
fn tells_cost(machine: &mut Machine, pid: i32, tells: bool) {
    let Some(process) = machine.processes.get_mut(&pid) else {
        return;
    };
    let attempt = process.attempt.clone();
    let Kind::Worker(worker) = &mut process.kind else {
        return;
    };
    if worker.place.is_none() {
        return;
    }
    worker.report.cost_micro_usd = tells.then(|| worker.spent.micro_usd());
    machine.truths.at(&attempt).told_micro_usd = worker.report.cost_micro_usd;
}

/// After each answer the agent looks whether its share of money is used up.
fn keeps_to_its_share(machine: &mut Machine, pid: i32) -> &'static str {
    let Some(worker) = machine.worker_mut(pid) else {
        return "no worker";
    };
    let spent = worker.spent.micro_usd();
    if worker.share.micro_usd.is_none_or(|most| spent < most) {
        return "agent was served";
    }
    worker.outcome = Some(Outcome::of(OutcomeKind::MaxBudget));
    worker.phase = Phase::Ended;
    tells_cost(machine, pid, true);
    "agent's money is used up"
}

/// Ends what is left of the tree, one after the other, then writes down what the agent said.
fn ends(machine: &mut Machine, pid: i32, attempt: &AttemptId) -> &'static str {
    let left = machine.members(attempt);
    let left = left.into_iter().filter(|member| *member != pid);
    let can_end = |member: &i32| machine.processes.get(member).is_some_and(|it| !it.stuck);
    let next = left.into_iter().find(can_end);
    if let Some(member) = next {
        machine.end(member);
        return "worker ends what is left";
    }
    let Some(worker) = machine.worker_mut(pid) else {
        return "no worker";
    };
    if worker.committed {
        machine.end(pid);
        return "worker left: its end is committed";
    }
    if worker.place.is_none() {
        return writes_exit(machine, pid, attempt);
    }
    let report = worker.report.clone();
    let written = machine.write_record(attempt, |it| {
        it.report = Read::Value(report);
        RecordPart::Hint
    });
    if written {
        to(machine, pid, Phase::WroteReport);
        return "worker wrote its report";
    }
    holds_its_end(machine, pid, attempt);
    "worker cannot write its report"
}

/// Its end cannot be written down: whoever asks at its door is told it.
fn holds_its_end(machine: &mut Machine, pid: i32, attempt: &AttemptId) {
    let is_alone = machine.members(attempt) == [pid];
    let Some(worker) = machine.worker_mut(pid) else {
        return;
    };
    worker.unwritten = is_alone;
    let outcome = worker.outcome.clone();
    machine.truths.at(attempt).written = outcome;
}

/// Writes the end down.
fn writes_exit(machine: &mut Machine, pid: i32, attempt: &AttemptId) -> &'static str {
    let ended_at = machine.now();
    let Some(worker) = machine.worker_mut(pid) else {
        return "no worker";
    };
    if worker.committed {
        machine.end(pid);
        return "worker left: its end is committed";
    }
    let known = worker.outcome.clone();
    let outcome = known.unwrap_or_else(|| Outcome::of(OutcomeKind::Exited));
    worker.outcome = Some(outcome.clone());
    let exit = Exit {
        outcome: outcome.clone(),
        ended_at,
        output_bytes: 0,
    };
    let written = machine.write_record(attempt, |it| {
        it.exit = Read::Value(exit);
        RecordPart::Exit
    });
    if !written {
        // Tried again, what the agent said is written again, too.
        to(machine, pid, Phase::Ended);
        holds_its_end(machine, pid, attempt);
        return "worker cannot write its exit";
    }
    machine.truths.at(attempt).written = Some(outcome);
    if let Some(worker) = machine.worker_mut(pid) {
        worker.unwritten = false;
        worker.phase = Phase::WroteExit;
    }
    "worker wrote exit"
}

/// A worker is killed. Its agent gets SIGTERM for that, and may go on all the same; a child between fork and exec may still
/// hold the record's lock.
pub fn kill(machine: &mut Machine, pid: i32, chance: &mut Chance) {
    let Some(process) = machine.processes.get(&pid) else {
        return;
    };
    let attempt = process.attempt.clone();
    machine.truths.at(&attempt).worker_killed = true;
    let members: Vec<i32> = machine
        .members(&attempt)
        .into_iter()
        .filter(|member| *member != pid)
        .collect();
    let handle = machine.worker_mut(pid).and_then(|worker| worker.handle);
    for member in &members {
        if chance.percent(60) {
            machine.end(*member);
        }
    }
    let heir = members.iter().find(|it| machine.processes.contains_key(it));
    if let (Some(heir), Some(handle)) = (heir, handle)
        && chance.percent(25)
        && let Some(child) = machine.processes.get_mut(heir)
    {
        child.handle = Some(handle);
        if let Some(worker) = machine.worker_mut(pid) {
            worker.handle = None;
        }
    }
    machine.end(pid);
}
