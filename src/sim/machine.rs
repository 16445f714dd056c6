//! The simulated machine: clocks, processes, record files. It outlives every daemon; a power loss ends every process.

mod ground;
mod record;

pub use ground::{SimFile, SimGround};
pub use record::{RecordFile, RecordPart};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chance::Chance;
use super::truth::Truths;
use super::worker::{Phase, Worker};
use crate::attempt::record::{Beat, ProcessStamp, Started};
use crate::task::{AttemptId, Timestamp};

/// When the simulated time begins.
pub const EPOCH_MS: i64 = 1_700_000_000_000;

/// What a process is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A worker, and how far it is.
    Worker(Box<Worker>),
    /// The agent, or what it has started.
    Member,
}

/// A process.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    /// Of which attempt.
    pub attempt: AttemptId,
    /// What it is.
    pub kind: Kind,
    /// It waits in the kernel and takes no signal.
    pub stuck: bool,
    /// A handle of the record that it holds open with the lock (a child between fork and exec).
    pub handle: Option<u64>,
}

impl Process {
    /// It is a worker that does not hang.
    #[must_use]
    pub fn can_work(&self) -> bool {
        matches!(&self.kind, Kind::Worker(worker) if !worker.hung)
    }
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    boot: u32,
    boot_id: String,
    /// The wall clock, in milliseconds.
    pub wall_ms: i64,
    /// The monotonic clock.
    pub mono_ms: u64,
    /// Record files by attempt.
    pub records: BTreeMap<AttemptId, RecordFile>,
    /// Records that were moved out of the way.
    pub set_aside: BTreeSet<String>,
    /// Processes that live, by pid.
    pub processes: BTreeMap<i32, Process>,
    next_pid: i32,
    next_inode: u64,
    next_handle: u64,
    /// Little space is left.
    pub disk_low: bool,
    /// No record can be made or written.
    pub records_fail: bool,
    /// What truly happened.
    pub truths: Truths,
    /// A sweep finds nothing (a seeded bug).
    pub blind_sweeps: bool,
    /// A worker does not sync its `exit` (a seeded bug).
    pub exit_sync_lies: bool,
    /// A worker begins without its record's lock (a seeded bug).
    pub skips_record_lock: bool,
    /// How workers left that have left: their tree was empty.
    pub left_clean: BTreeSet<i32>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            boot: 1,
            boot_id: "boot 1".to_owned(),
            wall_ms: EPOCH_MS,
            mono_ms: 1_000,
            records: BTreeMap::new(),
            set_aside: BTreeSet::new(),
            processes: BTreeMap::new(),
            next_pid: 100,
            next_inode: 1,
            next_handle: 1,
            disk_low: false,
            records_fail: false,
            truths: Truths::default(),
            blind_sweeps: false,
            exit_sync_lies: false,
            skips_record_lock: false,
            left_clean: BTreeSet::new(),
        }
    }
}

impl Machine {
    /// The wall clock.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.wall_ms)
    }

    /// Time passes.
    pub fn pass(&mut self, ms: u64) {
        self.mono_ms += ms;
        self.wall_ms += i64::try_from(ms).unwrap_or(0);
    }

    /// A new handle of a file.
    pub fn handle(&mut self) -> u64 {
        self.next_handle += 1;
        self.next_handle
    }

    /// Starts a process; returns who it is.
    pub fn spawn(&mut self, attempt: &AttemptId, kind: Kind) -> ProcessStamp {
        self.next_pid += 1;
        self.processes.insert(
            self.next_pid,
            Process {
                attempt: attempt.clone(),
                kind,
                stuck: false,
                handle: None,
            },
        );
        self.stamp(self.next_pid)
    }

    /// Who the process with this pid is: pids are not used again within a boot here, so that its start is its number.
    #[must_use]
    pub fn stamp(&self, pid: i32) -> ProcessStamp {
        ProcessStamp {
            pid,
            start_ticks: u64::from(self.boot),
        }
    }

    /// Whether it lives.
    #[must_use]
    pub fn lives(&self, stamp: ProcessStamp) -> bool {
        stamp.start_ticks == u64::from(self.boot) && self.processes.contains_key(&stamp.pid)
    }

    /// Ends a process, unless the kernel holds it. Its handles are closed.
    pub fn end(&mut self, pid: i32) {
        if self.processes.get(&pid).is_some_and(|it| it.stuck) {
            return;
        }
        if let Some(gone) = self.processes.remove(&pid) {
            let of_worker = match &gone.kind {
                Kind::Worker(worker) => worker.handle,
                Kind::Member => None,
            };
            for handle in [gone.handle, of_worker].into_iter().flatten() {
                self.close(handle);
            }
        }
    }

    /// Closes a handle: its lock is free.
    pub fn close(&mut self, handle: u64) {
        for record in self.records.values_mut() {
            if record.holder == Some(handle) {
                record.holder = None;
            }
        }
    }

    /// The pids of an attempt's processes.
    #[must_use]
    pub fn members(&self, attempt: &AttemptId) -> Vec<i32> {
        let of_it = |(pid, it): (&i32, &Process)| (it.attempt == *attempt).then_some(*pid);
        self.processes.iter().filter_map(of_it).collect()
    }

    /// The worker of an attempt that runs, if one does.
    #[must_use]
    pub fn worker_of(&self, attempt: &AttemptId) -> Option<(i32, &Worker)> {
        self.processes.iter().find_map(|(pid, it)| match &it.kind {
            Kind::Worker(worker) if it.attempt == *attempt => Some((*pid, worker.as_ref())),
            Kind::Worker(_) | Kind::Member => None,
        })
    }

    /// The worker with this stamp, if it lives.
    #[must_use]
    pub fn worker(&self, stamp: ProcessStamp) -> Option<&Worker> {
        let process = self.processes.get(&stamp.pid);
        match &process.filter(|_| self.lives(stamp))?.kind {
            Kind::Worker(worker) => Some(worker),
            Kind::Member => None,
        }
    }

    /// Whether it is a worker whose agent runs and that answers at its door.
    #[must_use]
    pub fn is_at_work(&self, pid: i32) -> bool {
        match self.processes.get(&pid).map(|it| &it.kind) {
            Some(Kind::Worker(worker)) => worker.phase == Phase::Running && !worker.hung,
            Some(Kind::Member) | None => false,
        }
    }

    /// The worker with this pid.
    pub fn worker_mut(&mut self, pid: i32) -> Option<&mut Worker> {
        match &mut self.processes.get_mut(&pid)?.kind {
            Kind::Worker(worker) => Some(worker),
            Kind::Member => None,
        }
    }

    /// The power goes: every process ends, of each record remains what was synced and what chance lets remain.
    pub fn power_loss(&mut self, chance: &mut Chance) {
        self.processes.clear();
        self.left_clean.clear();
        self.boot += 1;
        self.boot_id = format!("boot {}", self.boot);
        self.mono_ms = 1_000 + chance.below(20_000);
        self.wall_ms += chance.ms(600_000);
        self.records.retain(|_, record| record.survives(chance));
        self.truths.power_loss();
    }
}

/// The machine as everybody on it shares it. One thread uses it; the lock is what [`Ground`] asks for.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<Machine>>);

impl Shared {
    /// The machine, for a moment.
    pub fn get(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A beat of now.
#[must_use]
pub fn beat(machine: &Machine) -> Beat {
    Beat {
        monotonic_ms: machine.mono_ms,
        output_bytes: 0,
    }
}

/// A start of now.
#[must_use]
pub fn started(machine: &Machine, worker: ProcessStamp, agent: Option<ProcessStamp>) -> Started {
    Started {
        boot_id: machine.boot_id.clone(),
        worker,
        agent,
        started_at: machine.now(),
    }
}
