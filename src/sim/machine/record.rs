//! Record files on the simulated machine: what is read, and what the disk has of it.

use std::io;

use super::Machine;
use crate::attempt::record::{Header, Read, Record};
use crate::attempt::spec::PROTOCOL_VERSION;
use crate::sim::chance::Chance;
use crate::task::{AttemptId, Report};

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

fn blank() -> Record {
    Record {
        header: Read::Blank,
        started: Read::Blank,
        beat: Read::Blank,
        exit: Read::Blank,
        report: Read::Blank,
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

impl RecordFile {
    /// The power goes: what is left is what was synced, and what chance lets remain. Whether the file is left.
    pub(super) fn survives(&mut self, chance: &mut Chance) -> bool {
        self.holder = None;
        let mut keep = |unsynced: bool| !unsynced || chance.percent(50);
        let is_named = keep(!self.named);
        let kept = [
            keep(self.unsynced.header),
            keep(self.unsynced.started),
            keep(self.unsynced.exit),
            keep(self.unsynced.report),
        ];
        let (now, synced) = (&mut self.now, &self.synced);
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
        self.synced = self.now.clone();
        self.unsynced = Unsynced::default();
        self.named = true;
        is_named
    }
}

impl Machine {
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
}
