//! A worker is watched: told of intents, heard, looked after, let go.

use super::{Attendant, NEVER_MS, Stage, Step, Surroundings, Watch, forget, recovery};
use crate::attempt::record::ProcessStamp;
use crate::attempt::recovery::{Heartbeat, Row};
use crate::sim::bug::Bug;
use crate::sim::chance::Chance;
use crate::sim::machine::Machine;
use crate::sim::met::Met;
use crate::sim::worker::Phase;
use crate::supervisor::event::{AttemptReport, Closed};
use crate::supervisor::ground::Ground as _;
use crate::task::{Outcome, Report};

/// A worker that has not said that its command runs by then is looked after.
const START_WAIT_MS: u64 = 30_000;

/// Looks at the proof of life per allowed age.
const LOOKS_PER_TIMEOUT: u64 = 4;

impl Attendant {
    pub(super) fn watches(
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

    pub(super) fn unheard<'m>(&self, machine: &'m Machine) -> Option<&'m Report> {
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

    pub(super) fn lets_go(
        &mut self,
        worker: ProcessStamp,
        around: &Surroundings<'_>,
        met: &mut Met,
    ) -> Step {
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
}
