//! A simulated disk for SQLite: files in memory, of which a power loss takes back what was not synced.
//!
//! The contract of sync, as it is modelled: a write is seen by every process at once; it is on the disk when a sync of its file
//! has returned. At a power loss each sector that was written since is as before, as after, or (of a file that had grown) cut
//! off: in any combination, so a page may be torn at any sector's edge. A sector itself is written whole or not at all. A
//! file that was made or removed since its directory was synced is there or not. A process that dies takes nothing with it.
//!
//! One disk per thread: a simulation runs on one thread, and SQLite's callbacks find it there.

pub mod vfs;

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::chance::Chance;

/// What a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;
/// The largest file: a runaway simulation is stopped before it eats the machine's memory.
const FILE_MAX_BYTES: usize = 256 * 1024 * 1024;

thread_local! {
    static DISK: RefCell<Disk> = RefCell::new(Disk::default());
}

/// Calls `f` with the thread's disk.
pub fn with_disk<T>(f: impl FnOnce(&mut Disk) -> T) -> T {
    DISK.with_borrow_mut(f)
}

/// What a disk does wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// No more bytes fit: files cannot grow.
    pub full: bool,
    /// A sync fails; what it was to write stays unsynced.
    pub sync_fails: bool,
    /// A sync returns and has done nothing (a seeded bug).
    pub sync_lies: bool,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskError {
    /// The process is dead: nothing it asks for happens any more.
    Dead,
    /// No space.
    Full,
    /// The sync failed.
    SyncFailed,
    /// There is no such file.
    Missing,
}

/// One file.
#[derive(Debug, Default)]
pub(super) struct File {
    bytes: Vec<u8>,
    /// Length at the last sync.
    synced_len: usize,
    /// Sectors written since the last sync, as they were before.
    before: BTreeMap<usize, [u8; SECTOR_BYTES]>,
    /// The directory names it durably.
    named: bool,
    /// SQLite's locks, by open handle.
    locks: BTreeMap<u32, i32>,
    /// SQLite's shared index of the log: of processes, not of the disk.
    regions: Vec<Box<[u8]>>,
}

/// The disk of a simulation.
#[derive(Debug, Default)]
pub struct Disk {
    /// Power losses are modelled; without, everything is durable at once.
    modelled: bool,
    pub(super) files: BTreeMap<u32, File>,
    names: BTreeMap<String, u32>,
    /// Removed, and the directory not synced since: a power loss may bring them back.
    unlinked: BTreeMap<String, u32>,
    next_file: u32,
    next_handle: u32,
    /// The process that uses it is dead.
    dead: bool,
    /// So many changing operations until it dies in the midst of one.
    fuse: Option<u64>,
    /// What it does wrong.
    pub faults: Faults,
    /// Changing operations so far.
    pub operations: u64,
    /// Syncs so far.
    pub syncs: u64,
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new(modelled: bool) -> Self {
        Self {
            modelled,
            ..Self::default()
        }
    }

    /// The process dies `after` so many more changing operations; `None` = it does not.
    pub fn set_fuse(&mut self, after: Option<u64>) {
        self.fuse = after;
    }

    /// Whether the process has died in the midst of an operation (or was killed).
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        self.dead
    }

    /// The process is killed: nothing of it reaches the files any more, its locks are gone, and so is the shared index.
    pub fn kill(&mut self) {
        self.dead = true;
        self.fuse = None;
    }

    /// Another process may begin. The former one's handles are closed.
    pub fn revive(&mut self) {
        self.dead = false;
        self.fuse = None;
        let kept: Vec<u32> = self
            .names
            .values()
            .chain(self.unlinked.values())
            .copied()
            .collect();
        self.files.retain(|number, _| kept.contains(number));
        for file in self.files.values_mut() {
            file.locks.clear();
            file.regions.clear();
        }
    }

    /// The power goes: what was not synced is lost, torn or kept, as `chance` has it. Returns how many sectors were taken back.
    pub fn power_loss(&mut self, chance: &mut Chance) -> u64 {
        self.kill();
        if !self.modelled {
            return 0;
        }
        let mut taken_back = 0;
        for (name, number) in std::mem::take(&mut self.unlinked) {
            if !self.names.contains_key(&name) && chance.percent(50) {
                self.names.insert(name, number);
            }
        }
        let lost: Vec<String> = self
            .names
            .iter()
            .filter(|(_, number)| self.files.get(number).is_some_and(|file| !file.named))
            .map(|(name, _)| name.clone())
            .filter(|_| chance.percent(50))
            .collect();
        for name in lost {
            taken_back += 1;
            self.names.remove(&name);
        }
        let named: Vec<u32> = self.names.values().copied().collect();
        self.files.retain(|number, _| named.contains(number));
        // All, none, or any: the first two are what most disks do most of the time, and the more telling ones.
        let mood = chance.below(3);
        for file in self.files.values_mut() {
            taken_back += file.lose(mood, chance);
        }
        taken_back
    }

    /// A change is about to happen: the process may die before it.
    fn change(&mut self) -> Result<(), DiskError> {
        if self.dead {
            return Err(DiskError::Dead);
        }
        self.operations += 1;
        if let Some(fuse) = &mut self.fuse {
            if *fuse == 0 {
                self.dead = true;
                return Err(DiskError::Dead);
            }
            *fuse -= 1;
        }
        Ok(())
    }

    fn exists(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Opens or makes a file; returns file and handle.
    fn open(&mut self, name: &str, create: bool) -> Result<(u32, u32), DiskError> {
        let number = match self.names.get(name) {
            Some(number) => *number,
            None if create => {
                self.change()?;
                self.next_file += 1;
                self.names.insert(name.to_owned(), self.next_file);
                let named = !self.modelled;
                self.files.insert(
                    self.next_file,
                    File {
                        named,
                        ..File::default()
                    },
                );
                self.next_file
            }
            None => return Err(DiskError::Missing),
        };
        self.next_handle += 1;
        Ok((number, self.next_handle))
    }

    fn delete(&mut self, name: &str) -> Result<(), DiskError> {
        self.change()?;
        let number = self.names.remove(name).ok_or(DiskError::Missing)?;
        if self.modelled && self.files.get(&number).is_some_and(|file| file.named) {
            self.unlinked.insert(name.to_owned(), number);
        }
        Ok(())
    }

    fn read(&self, number: u32, at: usize, into: &mut [u8]) -> usize {
        let Some(file) = self.files.get(&number) else {
            return 0;
        };
        let from = file.bytes.get(at..).unwrap_or_default();
        let count = from.len().min(into.len());
        into[..count].copy_from_slice(&from[..count]);
        count
    }

    fn write(&mut self, number: u32, at: usize, bytes: &[u8]) -> Result<(), DiskError> {
        self.change()?;
        let (full, modelled) = (self.faults.full, self.modelled);
        let file = self.files.get_mut(&number).ok_or(DiskError::Missing)?;
        let end = at + bytes.len();
        let grows = end > file.bytes.len();
        if grows && (full || end > FILE_MAX_BYTES) {
            return Err(DiskError::Full);
        }
        if modelled {
            file.remember(at, end);
        }
        if grows {
            file.bytes.resize(at, 0);
            file.bytes.extend_from_slice(bytes);
        } else {
            file.bytes[at..end].copy_from_slice(bytes);
        }
        Ok(())
    }

    fn truncate(&mut self, number: u32, len: usize) -> Result<(), DiskError> {
        self.change()?;
        let modelled = self.modelled;
        let file = self.files.get_mut(&number).ok_or(DiskError::Missing)?;
        if modelled && len < file.bytes.len() {
            let end = file.bytes.len();
            file.remember(len, end);
        }
        file.bytes.truncate(len);
        Ok(())
    }

    fn sync(&mut self, number: u32) -> Result<(), DiskError> {
        self.change()?;
        self.syncs += 1;
        if self.faults.sync_fails {
            return Err(DiskError::SyncFailed);
        }
        if self.faults.sync_lies {
            return Ok(());
        }
        let file = self.files.get_mut(&number).ok_or(DiskError::Missing)?;
        file.before.clear();
        file.synced_len = file.bytes.len();
        if !std::mem::replace(&mut file.named, true) {
            // SQLite's own file layer syncs the directory with the first sync of a file that it has made (of the database itself
            // the store does it).
            self.sync_directory();
        }
        Ok(())
    }

    fn sync_directory(&mut self) {
        self.unlinked.clear();
        for file in self.files.values_mut() {
            file.named = true;
        }
    }
}

impl File {
    /// Keeps what the sectors of `at..end` were, where they were synced.
    fn remember(&mut self, at: usize, end: usize) {
        for sector in at / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            let begin = sector * SECTOR_BYTES;
            if begin >= self.synced_len || self.before.contains_key(&sector) {
                continue;
            }
            let mut kept = [0; SECTOR_BYTES];
            let stop = (begin + SECTOR_BYTES).min(self.bytes.len());
            if begin < stop {
                kept[..stop - begin].copy_from_slice(&self.bytes[begin..stop]);
            }
            self.before.insert(sector, kept);
        }
    }

    /// What a power loss leaves of it.
    fn lose(&mut self, mood: u64, chance: &mut Chance) -> u64 {
        let mut taken_back = 0;
        let is_lost = |chance: &mut Chance| match mood {
            0 => true,
            1 => false,
            _ => chance.percent(50),
        };
        let synced_len = self.synced_len;
        if self.bytes.len() > synced_len {
            // Grown since: any part of the new end may be missing, and what is there may be zeros.
            let sectors = (self.bytes.len() - synced_len).div_ceil(SECTOR_BYTES);
            let kept = if is_lost(chance) {
                chance.below(sectors as u64 + 1)
            } else {
                sectors as u64
            };
            let kept = usize::try_from(kept).unwrap_or(0) * SECTOR_BYTES;
            let len = (synced_len + kept).min(self.bytes.len());
            taken_back += ((self.bytes.len() - len) / SECTOR_BYTES) as u64;
            self.bytes.truncate(len);
            for sector in synced_len.div_ceil(SECTOR_BYTES)..len / SECTOR_BYTES {
                if mood == 2 && chance.percent(20) {
                    taken_back += 1;
                    self.bytes[sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES].fill(0);
                }
            }
        } else if self.bytes.len() < synced_len && is_lost(chance) {
            self.bytes.resize(synced_len, 0);
        }
        for (sector, kept) in std::mem::take(&mut self.before) {
            let begin = sector * SECTOR_BYTES;
            let end = (begin + SECTOR_BYTES).min(self.bytes.len());
            if begin < end && is_lost(chance) {
                taken_back += 1;
                self.bytes[begin..end].copy_from_slice(&kept[..end - begin]);
            }
        }
        self.synced_len = self.bytes.len();
        self.named = true;
        taken_back
    }
}
