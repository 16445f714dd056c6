//! What recovery stands on: record files, processes and clocks. The real ones are [`RealGround`]; a simulation brings its own,
//! so that the code that judges attempts is the same in both.

use std::io;
use std::path::Path;

use super::clock;
use crate::attempt::record::{Exit, ProcessStamp, Record};
use crate::process::{AttemptCgroup, SweepResult, Target, boot_id, is_alive, marker_of, sweep};
use crate::record::RecordFile;
use crate::task::{AttemptId, Timestamp};

/// An attempt's record file, open. Dropping it gives the lock back.
pub trait GroundRecord: Sized + Send + 'static {
    /// Tries to take the lock: `Ok(false)` when another process holds it.
    ///
    /// # Errors
    /// When it cannot be asked, or the path names another file by now.
    fn try_lock(&mut self) -> io::Result<bool>;

    /// Reads all sectors. Damage is an answer, no error.
    ///
    /// # Errors
    /// When the disk cannot be read.
    fn read(&self) -> io::Result<Record>;

    /// Writes the end, through a descriptor of its own; on return it is on the disk.
    ///
    /// # Errors
    /// When it cannot be written or synced.
    fn write_synced_afresh(&self, exit: &Exit) -> io::Result<()>;

    /// Removes the file, whose lock this handle holds.
    ///
    /// # Errors
    /// Without the lock, or when the file system refuses.
    fn unlink_locked(self) -> io::Result<()>;
}

/// Processes of an attempt, by all that is known of them.
#[derive(Debug)]
pub struct Tree<'a> {
    /// Whose.
    pub attempt: &'a AttemptId,
    /// The worker and the agent, of this boot, as the record names them.
    pub roots: Vec<ProcessStamp>,
    /// The agent: its session is the attempt's.
    pub agent: Option<ProcessStamp>,
}

/// Records, processes and clocks.
pub trait Ground: Send + 'static {
    /// An open record.
    type File: GroundRecord;

    /// Opens an existing record; never creates.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is none; otherwise when it cannot be opened.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Gives a record another name in its directory.
    ///
    /// # Errors
    /// When the file system refuses.
    fn rename(&self, path: &Path, to: &Path) -> io::Result<()>;

    /// Whether that very process lives.
    fn is_alive(&self, process: ProcessStamp) -> bool;

    /// Ends a tree: SIGTERM, `grace_ms`, SIGKILL for up to `limit_ms`. 0 = no SIGTERM.
    ///
    /// # Errors
    /// When processes cannot be listed.
    fn sweep(&self, tree: &Tree<'_>, grace_ms: u64, limit_ms: u64) -> io::Result<SweepResult>;

    /// The name of this boot.
    fn boot_id(&self) -> &str;

    /// The monotonic clock of this boot, in milliseconds.
    fn monotonic_ms(&self) -> u64;

    /// The wall clock.
    fn now(&self) -> Timestamp;
}

/// This machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealGround;

impl GroundRecord for RecordFile {
    fn try_lock(&mut self) -> io::Result<bool> {
        Ok(Self::try_lock(self)?)
    }

    fn read(&self) -> io::Result<Record> {
        Ok(Self::read(self)?)
    }

    fn write_synced_afresh(&self, exit: &Exit) -> io::Result<()> {
        Ok(Self::write_synced_afresh(self, exit)?)
    }

    fn unlink_locked(self) -> io::Result<()> {
        Ok(Self::unlink_locked(self)?)
    }
}

impl Ground for RealGround {
    type File = RecordFile;

    fn open(&self, path: &Path) -> io::Result<RecordFile> {
        Ok(RecordFile::open_existing(path)?)
    }

    fn rename(&self, path: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(path, to)
    }

    fn is_alive(&self, process: ProcessStamp) -> bool {
        is_alive(process)
    }

    fn sweep(&self, tree: &Tree<'_>, grace_ms: u64, limit_ms: u64) -> io::Result<SweepResult> {
        let target = Target {
            roots: tree.roots.clone(),
            session: tree.agent,
            marker: vec![marker_of(tree.attempt)],
            cgroup: Some(AttemptCgroup::existing(tree.attempt)),
        };
        let result = sweep(&target, grace_ms, limit_ms)?;
        if let (SweepResult::Empty, Some(cgroup)) = (&result, &target.cgroup) {
            // A worker that died could not.
            cgroup.remove();
        }
        Ok(result)
    }

    fn boot_id(&self) -> &str {
        boot_id()
    }

    fn monotonic_ms(&self) -> u64 {
        clock::monotonic_ms()
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }
}
