//! The launch of a worker, and what is done when it fails.

use super::{Attendant, Stage, Step, Surroundings, path_of, recovery, watch_of};
use crate::attempt::record::{Exit, Read};
use crate::attempt::recovery::Row;
use crate::budget::Budget;
use crate::sim::bug::Bug;
use crate::sim::chance::Chance;
use crate::sim::machine::Kind;
use crate::sim::met::Met;
use crate::sim::worker::Worker;
use crate::supervisor::event::Closed;
use crate::supervisor::ground::{Ground as _, GroundRecord as _};
use crate::task::{Outcome, OutcomeKind, Task};

impl Attendant {
    pub(super) fn launches(
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
    pub(super) fn not_launched(
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
}
