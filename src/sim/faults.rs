//! What goes wrong on the machine, and at the server.

use super::chance::Chance;
use super::disk::with_disk;
use super::machine::Kind;
use super::op::OpKind;
use super::worker::{self, Phase};
use super::world::World;
use crate::task::AttemptId;

/// How far the wall clock is set at most, in milliseconds.
const CLOCK_JUMP_MS: u64 = 6 * 3_600 * 1_000;
/// The usual adjustment.
const CLOCK_SLEW_MS: u64 = 90_000;

impl World {
    pub(super) fn fault(&mut self, kind: OpKind, chance: &mut Chance) -> &'static str {
        match kind {
            OpKind::Server => self.server_moves(chance),
            OpKind::SetClock => self.set_clock(chance),
            OpKind::KillWorker => self.kill_worker(chance),
            OpKind::HangWorker => self.hang_worker(chance),
            OpKind::Damage | OpKind::TakeAway => self.spoil_record(kind, chance),
            OpKind::Stick => self.stick(chance),
            OpKind::Unstick => {
                for process in self.machine.get().processes.values_mut() {
                    process.stuck = false;
                }
                "processes come back"
            }
            OpKind::RecordsFail => {
                self.machine.get().records_fail = true;
                "records cannot be written"
            }
            OpKind::SpaceLow => {
                self.machine.get().disk_low = true;
                "little space is left"
            }
            OpKind::DiskFull => {
                with_disk(|disk| disk.faults.full = true);
                self.met.meet("disk full");
                "the disk is full"
            }
            OpKind::SyncFails => {
                with_disk(|disk| disk.faults.sync_fails = true);
                self.met.meet("syncs fail");
                "syncs fail"
            }
            _ => {
                self.repair_disk();
                "the disk works"
            }
        }
    }

    fn repair_disk(&mut self) {
        with_disk(|disk| {
            disk.faults.full = false;
            disk.faults.sync_fails = false;
        });
        let mut machine = self.machine.get();
        (machine.disk_low, machine.records_fail) = (false, false);
    }

    fn server_moves(&mut self, chance: &mut Chance) -> &'static str {
        let now_ms = self.machine.get().wall_ms;
        match chance.below(4) {
            0 => {
                self.server.move_reset(chance);
                "a reset moves"
            }
            1 => {
                self.server.open();
                "the server opens"
            }
            _ => {
                self.server.limit(chance, now_ms);
                "an account is used up"
            }
        }
    }

    fn set_clock(&mut self, chance: &mut Chance) -> &'static str {
        let most = if chance.percent(20) {
            CLOCK_JUMP_MS
        } else {
            CLOCK_SLEW_MS
        };
        let ms = chance.ms(most);
        let mut machine = self.machine.get();
        if chance.percent(50) {
            machine.wall_ms -= ms;
            drop(machine);
            self.met.meet("clock set back");
            "the clock is set back"
        } else {
            machine.wall_ms += ms;
            drop(machine);
            self.met.meet("clock set forward");
            "the clock is set forward"
        }
    }

    fn any_worker(&self, chance: &mut Chance) -> Option<(i32, Phase)> {
        let machine = self.machine.get();
        let workers: Vec<(i32, Phase)> = machine
            .processes
            .iter()
            .filter_map(|(pid, it)| match &it.kind {
                Kind::Worker(worker) => Some((*pid, worker.phase)),
                Kind::Member => None,
            })
            .collect();
        chance.pick(&workers).copied()
    }

    fn kill_worker(&mut self, chance: &mut Chance) -> &'static str {
        let Some((pid, phase)) = self.any_worker(chance) else {
            return "no worker";
        };
        self.met.meet(match phase {
            Phase::Born => "worker dies: Born",
            Phase::Opened(_) => "worker dies: Opened",
            Phase::Locked => "worker dies: Locked",
            Phase::WroteStarted => "worker dies: WroteStarted",
            Phase::Ready => "worker dies: Ready",
            Phase::Running => "worker dies: Running",
            Phase::Ended => "worker dies: Ended",
            Phase::WroteReport => "worker dies: WroteReport",
            Phase::WroteExit => "worker dies: WroteExit",
            Phase::Synced => "worker dies: Synced",
        });
        worker::kill(&mut self.machine.get(), pid, chance);
        "a worker is killed"
    }

    fn hang_worker(&mut self, chance: &mut Chance) -> &'static str {
        let Some((pid, _)) = self.any_worker(chance) else {
            return "no worker";
        };
        if let Some(worker) = self.machine.get().worker_mut(pid) {
            worker.hung = true;
        }
        "a worker hangs"
    }

    fn spoil_record(&mut self, kind: OpKind, chance: &mut Chance) -> &'static str {
        let mut machine = self.machine.get();
        let names: Vec<AttemptId> = machine.records.keys().cloned().collect();
        let Some(name) = chance.pick(&names) else {
            return "no record";
        };
        if kind == OpKind::TakeAway {
            // Under a worker that has it open, the file lives on without a name: nobody can find its lock. That is beyond
            // what is promised, so only what nobody has is taken away.
            if machine
                .records
                .get(name)
                .is_some_and(|record| record.holder.is_some())
                || machine.worker_of(name).is_some()
            {
                return "a record is in use";
            }
            machine.take_away(name);
            "a record is taken away"
        } else {
            machine.damage(name, chance);
            "a record is damaged"
        }
    }

    fn stick(&mut self, chance: &mut Chance) -> &'static str {
        let mut machine = self.machine.get();
        let pids: Vec<i32> = machine.processes.keys().copied().collect();
        let Some(process) = chance
            .pick(&pids)
            .and_then(|pid| machine.processes.get_mut(pid))
        else {
            return "no process";
        };
        process.stuck = true;
        if let Kind::Worker(worker) = &mut process.kind {
            worker.hung = true;
        }
        "a process falls into D state"
    }
}
