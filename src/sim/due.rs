//! What can happen now: a step in which nothing can is drawn again, and not counted.

use super::daemon::Daemon;
use super::disk::{Faults, with_disk};
use super::machine::Kind;
use super::op::OpKind;
use super::world::{EVENTS_MAX, World};

impl World {
    /// Whether a step of this kind can change anything now.
    #[must_use]
    pub fn can(&self, kind: OpKind) -> bool {
        match kind {
            OpKind::Work => self
                .machine
                .get()
                .processes
                .values()
                .any(super::machine::Process::can_work),
            OpKind::Carry => self.daemons().any(|daemon| !daemon.outs.is_empty()),
            OpKind::Attend => self
                .daemons()
                .any(|daemon| daemon.can_attend(&self.machine)),
            OpKind::Batch | OpKind::BatchDies => {
                let machine = self.machine.get();
                let (now, mono_ms) = (machine.now(), machine.mono_ms);
                drop(machine);
                self.daemons().any(|daemon| daemon.can_commit(now, mono_ms))
            }
            OpKind::Submit | OpKind::Act | OpKind::System | OpKind::Account | OpKind::Settings => {
                self.daemon
                    .as_ref()
                    .is_some_and(|daemon| daemon.events.len() < EVENTS_MAX)
            }
            OpKind::Start | OpKind::StartDies => {
                self.daemon.is_none() && self.machine.get().mono_ms >= self.start_at_ms
            }
            OpKind::Tidy | OpKind::Leave | OpKind::Kill | OpKind::Rival => self.daemon.is_some(),
            OpKind::KillWorker | OpKind::HangWorker => {
                let machine = self.machine.get();
                let mut all = machine.processes.values();
                all.any(|it| matches!(it.kind, Kind::Worker(_)))
            }
            OpKind::Stick => !self.machine.get().processes.is_empty(),
            OpKind::Unstick => self.machine.get().processes.values().any(|it| it.stuck),
            OpKind::Damage | OpKind::TakeAway => !self.machine.get().records.is_empty(),
            OpKind::RecordsFail => !self.machine.get().records_fail,
            OpKind::SpaceLow => !self.machine.get().disk_low,
            OpKind::DiskFull => !faults().full,
            OpKind::SyncFails => !faults().sync_fails,
            OpKind::DiskWorks => {
                let machine = self.machine.get();
                let faults = faults();
                machine.disk_low || machine.records_fail || faults.full || faults.sync_fails
            }
            OpKind::Pass
            | OpKind::Leap
            | OpKind::Server
            | OpKind::SetClock
            | OpKind::PowerLoss
            | OpKind::Heal => true,
        }
    }

    fn daemons(&self) -> impl Iterator<Item = &Daemon> {
        self.daemon.iter().chain(&self.rival)
    }
}

fn faults() -> Faults {
    with_disk(|disk| disk.faults)
}
