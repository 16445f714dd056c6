//! The agent of a worker: what it does while it runs, and how it ends.

use super::{FINISHES, Phase, Plan, RUNS, TIME_IS_UP_PERCENT, Worker};
use crate::attempt::record::{Beat, Read};
use crate::sim::chance::Chance;
use crate::sim::machine::{Kind, Machine, RecordPart, beat};
use crate::sim::server::Server;
use crate::task::{AttemptId, Outcome, OutcomeKind};

pub(super) fn runs(
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
