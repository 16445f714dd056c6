//! The simulated machine: clocks, processes, record files. It outlives every daemon; a power loss ends every process.

mod ground;

pub use ground::{SimFile, SimGround};

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chance::Chance;
use super::truth::Truths;
use super::worker::{Phase, Worker};
use crate::attempt::record::{Beat, Header, ProcessStamp, Read, Record, Started};
use crate::attempt::spec::PROTOCOL_VERSION;
use crate::task::{AttemptId, Report, Timestamp};

/// When the simulated time begins.
pub const EPOCH_MS: i64 = 1_700_000_000_000;

/// What of a record is not synced yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Unsynced {
    header: bool,
    started: bool,
    exit: bool,
    report: bool,
}

/// A record file: what every process sees, and what the disk has.
#[derive(Debug, Clone)]
pub struct RecordFile {
    inode: u64,
    /// What is read.
    pub now: Record,
    synced: Record,
    unsynced: Unsynced,
    /// The directory names it durably.
    named: bool,
    /// The open handle that has its lock.
    pub holder: Option<u64>,
}

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

fn blank() -> Record {
    Record {
        header: Read::Blank,
        started: Read::Blank,
        beat: Read::Blank,
        exit: Read::Blank,
        report: Read::Blank,
    }
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

    /// What stands in a record that is made now.
    #[must_use]
    pub fn header(&self, attempt: &AttemptId) -> Header {
        Header {
            attempt: attempt.clone(),
            boot_id: self.boot_id.clone(),
            version: PROTOCOL_VERSION,
        }
    }

    /// Makes a record: header written, nothing synced.
    ///
    /// # Errors
    /// When records cannot be made, or there is one.
    pub fn create_record(&mut self, attempt: &AttemptId) -> io::Result<()> {
        if self.records_fail {
            return Err(io::Error::other("no space for a record"));
        }
        if self.records.contains_key(attempt) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.next_inode += 1;
        let header = self.header(attempt);
        let record = RecordFile {
            inode: self.next_inode,
            now: Record {
                header: Read::Value(header),
                ..blank()
            },
            synced: blank(),
            unsynced: Unsynced {
                header: true,
                ..Unsynced::default()
            },
            named: false,
            holder: None,
        };
        self.records.insert(attempt.clone(), record);
        // From here on what happens to it is noted.
        self.truths.at(attempt);
        Ok(())
    }

    /// The handle takes the record's lock, if it is free.
    pub fn lock(&mut self, attempt: &AttemptId, handle: u64) -> bool {
        let record = self.records.get_mut(attempt);
        record.is_some_and(|record| match record.holder {
            None => {
                record.holder = Some(handle);
                true
            }
            Some(holder) => holder == handle,
        })
    }

    /// The inode of a record.
    #[must_use]
    pub fn inode(&self, attempt: &AttemptId) -> Option<u64> {
        self.records.get(attempt).map(|record| record.inode)
    }

    /// Writes into a record, unsynced. False when it cannot be written, or is gone.
    pub fn write_record(
        &mut self,
        attempt: &AttemptId,
        write: impl FnOnce(&mut Record) -> RecordPart,
    ) -> bool {
        if self.records_fail {
            return false;
        }
        let Some(record) = self.records.get_mut(attempt) else {
            return false;
        };
        match write(&mut record.now) {
            RecordPart::Started => record.unsynced.started = true,
            RecordPart::Exit => record.unsynced.exit = true,
            RecordPart::Hint => record.unsynced.report = true,
            RecordPart::Beat => {}
        }
        true
    }

    /// Syncs a record and the directory that names it.
    pub fn sync_record(&mut self, attempt: &AttemptId) {
        if let Some(record) = self.records.get_mut(attempt) {
            record.synced = record.now.clone();
            record.unsynced = Unsynced::default();
            record.named = true;
        }
    }

    /// A record's sectors are damaged: by the disk, or by somebody.
    pub fn damage(&mut self, attempt: &AttemptId, chance: &mut Chance) {
        if let Some(record) = self.records.get_mut(attempt) {
            let (started, exit) = (chance.percent(60), chance.percent(30));
            for one in [&mut record.now, &mut record.synced] {
                if started {
                    one.started = Read::Damaged;
                } else {
                    one.header = Read::Damaged;
                }
                if exit && one.exit != Read::Blank {
                    one.exit = Read::Damaged;
                }
            }
            self.truths.tampered(attempt);
        }
    }

    /// Somebody takes a record away.
    pub fn take_away(&mut self, attempt: &AttemptId) {
        self.records.remove(attempt);
        self.truths.tampered(attempt);
    }

    /// The power goes: every process ends, of each record remains what was synced and what chance lets remain.
    pub fn power_loss(&mut self, chance: &mut Chance) {
        self.processes.clear();
        self.left_clean.clear();
        self.boot += 1;
        self.boot_id = format!("boot {}", self.boot);
        self.mono_ms = 1_000 + chance.below(20_000);
        self.wall_ms += chance.ms(600_000);
        for record in self.records.values_mut() {
            record.holder = None;
            let mut keep = |unsynced: bool| !unsynced || chance.percent(50);
            if !keep(!record.named) {
                record.inode = 0;
            }
            let kept = [
                keep(record.unsynced.header),
                keep(record.unsynced.started),
                keep(record.unsynced.exit),
                keep(record.unsynced.report),
            ];
            let (now, synced) = (&mut record.now, &record.synced);
            if !kept[0] {
                now.header = synced.header.clone();
            }
            if !kept[1] {
                now.started = synced.started.clone();
            }
            if !kept[2] {
                now.exit = synced.exit.clone();
            }
            if !kept[3] {
                now.report = torn(&synced.report, chance);
            }
            now.beat = Read::Blank;
            record.synced = record.now.clone();
            record.unsynced = Unsynced::default();
            record.named = true;
        }
        self.records.retain(|_, record| record.inode != 0);
        self.truths.power_loss();
    }
}

/// A report is longer than what a disk writes at once.
fn torn(before: &Read<Report>, chance: &mut Chance) -> Read<Report> {
    if chance.percent(30) {
        Read::Damaged
    } else {
        before.clone()
    }
}

/// Which part of a record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordPart {
    /// `started`.
    Started,
    /// `exit`.
    Exit,
    /// The report, as a hint while the agent runs, and whole before `exit`.
    Hint,
    /// A proof of life.
    Beat,
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
