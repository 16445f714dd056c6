//! The machine as recovery stands on it.

use std::io;
use std::path::Path;

use super::{Machine, RecordPart, Shared};
use crate::attempt::record::{Exit, ProcessStamp, Read, Record};
use crate::process::SweepResult;
use crate::supervisor::ground::{Ground, GroundRecord, Tree};
use crate::task::{AttemptId, Timestamp};

/// The machine as recovery stands on it.
#[derive(Debug, Clone)]
pub struct SimGround {
    /// The machine.
    pub machine: Shared,
    /// The name of the boot in which the daemon began.
    pub boot_id: String,
}

impl SimGround {
    /// Of the present boot.
    #[must_use]
    pub fn of(machine: &Shared) -> Self {
        let boot_id = machine.get().boot_id.clone();
        Self {
            machine: machine.clone(),
            boot_id,
        }
    }
}

/// An open record.
#[derive(Debug)]
pub struct SimFile {
    machine: Shared,
    attempt: AttemptId,
    inode: u64,
    handle: u64,
    locked: bool,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if self.locked {
            self.machine.get().close(self.handle);
        }
    }
}

/// The path of a record: its attempt's name, and nothing else.
fn attempt_at(path: &Path) -> io::Result<AttemptId> {
    let name = path.to_str().and_then(|name| name.parse().ok());
    name.ok_or_else(|| io::Error::other("a path that is no record's"))
}

impl SimFile {
    fn is_named(&self, machine: &Machine) -> bool {
        machine.inode(&self.attempt) == Some(self.inode)
    }
}

impl GroundRecord for SimFile {
    fn try_lock(&mut self) -> io::Result<bool> {
        let mut machine = self.machine.get();
        if !self.is_named(&machine) {
            return Err(io::Error::other("the path names another file by now"));
        }
        let got = machine.lock(&self.attempt, self.handle);
        drop(machine);
        self.locked |= got;
        Ok(got)
    }

    fn read(&self) -> io::Result<Record> {
        let machine = self.machine.get();
        let record = machine.records.get(&self.attempt);
        record
            .map(|record| record.now.clone())
            .ok_or_else(|| io::Error::other("the record is gone"))
    }

    fn write_synced_afresh(&self, exit: &Exit) -> io::Result<()> {
        let mut machine = self.machine.get();
        if !self.is_named(&machine) {
            return Err(io::Error::other("the path names another file by now"));
        }
        let written = machine.write_record(&self.attempt, |record| {
            record.exit = Read::Value(exit.clone());
            RecordPart::Exit
        });
        if !written {
            return Err(io::Error::other("the record cannot be written"));
        }
        machine.sync_record(&self.attempt);
        machine.truths.closed_by_daemon(&self.attempt);
        Ok(())
    }

    fn unlink_locked(self) -> io::Result<()> {
        let mut machine = self.machine.get();
        if !self.locked || !self.is_named(&machine) {
            return Err(io::Error::other("not ours to unlink"));
        }
        machine.records.remove(&self.attempt);
        Ok(())
    }
}

impl Ground for SimGround {
    type File = SimFile;

    fn open(&self, path: &Path) -> io::Result<SimFile> {
        let attempt = attempt_at(path)?;
        let mut machine = self.machine.get();
        let inode = machine
            .inode(&attempt)
            .ok_or(io::Error::from(io::ErrorKind::NotFound))?;
        let handle = machine.handle();
        drop(machine);
        Ok(SimFile {
            machine: self.machine.clone(),
            attempt,
            inode,
            handle,
            locked: false,
        })
    }

    fn rename(&self, path: &Path, to: &Path) -> io::Result<()> {
        let attempt = attempt_at(path)?;
        let mut machine = self.machine.get();
        machine.records.remove(&attempt);
        machine.set_aside.insert(to.to_string_lossy().into_owned());
        Ok(())
    }

    fn is_alive(&self, process: ProcessStamp) -> bool {
        self.machine.get().lives(process)
    }

    fn sweep(&self, tree: &Tree<'_>, _grace_ms: u64, _limit_ms: u64) -> io::Result<SweepResult> {
        let mut machine = self.machine.get();
        if machine.blind_sweeps {
            return Ok(SweepResult::Empty);
        }
        for pid in machine.members(tree.attempt) {
            if machine.is_at_work(pid) {
                machine.truths.ended_at_work(tree.attempt);
            }
            machine.truths.at(tree.attempt).worker_killed = true;
            machine.end(pid);
        }
        let left = machine.members(tree.attempt);
        if left.is_empty() {
            return Ok(SweepResult::Empty);
        }
        let left = left.into_iter().map(|pid| machine.stamp(pid)).collect();
        Ok(SweepResult::Stuck(left))
    }

    fn boot_id(&self) -> &str {
        &self.boot_id
    }

    fn monotonic_ms(&self) -> u64 {
        self.machine.get().mono_ms
    }

    fn now(&self) -> Timestamp {
        self.machine.get().now()
    }
}
