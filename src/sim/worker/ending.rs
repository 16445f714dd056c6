//! How a worker writes an end down and goes, or is killed.

use super::{Phase, to};
use crate::attempt::record::{Exit, Read};
use crate::sim::chance::Chance;
use crate::sim::machine::{Machine, RecordPart};
use crate::task::{AttemptId, Outcome, OutcomeKind};

/// Ends what is left of the tree, one after the other, then writes down what the agent said.
pub(super) fn ends(machine: &mut Machine, pid: i32, attempt: &AttemptId) -> &'static str {
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
pub(super) fn writes_exit(machine: &mut Machine, pid: i32, attempt: &AttemptId) -> &'static str {
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
