//! The checkpoints of one task.
//!
//! A file is one line `auto-claude-checkpoint <format> <crc32 hex> <bytes>` and the checkpoint as JSON.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use rustix::io::Errno;

use super::FOLDER;
use crate::attempt::protocol::Progress;
use crate::task::{AttemptId, Timestamp};

/// Checkpoints kept of a task.
pub const KEPT: usize = 3;

const MAGIC: &str = "auto-claude-checkpoint";
const FORMAT: u32 = 1;
const SUFFIX: &str = ".checkpoint";
const DAMAGED_SUFFIX: &str = ".damaged";
const TEMPORARY: &str = "new.tmp";
/// Longest file that is read: well above what the door lets in.
const MAX_BYTES: u64 = 1024 * 1024;

/// What the next attempt needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The attempt that wrote it.
    pub attempt: AttemptId,
    /// Its number among the task's checkpoints, from 1.
    pub seq: u64,
    /// When.
    pub time: Timestamp,
    /// Why.
    pub reason: Reason,
    /// What the task said of its progress last, in this or an earlier attempt.
    pub progress: Option<Progress>,
    /// Bytes of output the attempt had written.
    pub output_bytes: u64,
}

/// Why a checkpoint was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The task recorded progress.
    Progress,
    /// Some time had passed.
    Periodic,
    /// We stopped the attempt.
    Stop,
    /// The attempt ended by itself, unfinished.
    Exit,
}

/// A checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{action} a checkpoint in {dir:?}: {source}")]
pub struct CheckpointError {
    action: &'static str,
    dir: PathBuf,
    source: io::Error,
}

/// The folder of one task's checkpoints.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    dir: PathBuf,
}

/// The chunk a heavy task goes on with: what its last progress said, 0 without any.
#[must_use]
pub fn next_chunk(checkpoint: Option<&Checkpoint>) -> u64 {
    checkpoint
        .and_then(|checkpoint| checkpoint.progress.as_ref()?.chunk)
        .unwrap_or(0)
}

impl Checkpoints {
    /// Those of the task with directory `task_dir`. Touches nothing.
    #[must_use]
    pub fn of(task_dir: &Path) -> Self {
        Self {
            dir: task_dir.join(FOLDER),
        }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the folder when it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_dir(&self) -> Result<(), CheckpointError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(self.failed("make the folder for"))
    }

    /// Writes the next checkpoint (its number is given here); on return it survives a power loss. Older ones beyond [`KEPT`]
    /// are removed.
    ///
    /// # Errors
    /// When it cannot be written; those before are untouched then.
    pub fn write(&self, mut checkpoint: Checkpoint) -> Result<Checkpoint, CheckpointError> {
        self.make_dir()?;
        let numbers = self.numbers().map_err(self.failed("list"))?;
        let highest = numbers.iter().map(|(seq, _)| *seq).max().unwrap_or(0);
        checkpoint.seq = highest.saturating_add(1);
        self.put(&checkpoint).map_err(self.failed("write"))?;
        crate::crash::point("checkpoint.written");
        self.prune(newest_first(numbers));
        Ok(checkpoint)
    }

    /// Removes what is beyond [`KEPT`], the one just written included. One counts only if it can be read: otherwise what is
    /// damaged, and could not be renamed, would push out the one that the next attempt needs.
    fn prune(&self, before: Vec<u64>) {
        let mut kept = 1;
        for seq in before {
            if kept >= KEPT {
                // One that stays costs a little space, and is removed next time.
                let _ = fs::remove_file(self.path(seq));
            } else if self.read(seq).is_ok() {
                kept += 1;
            }
        }
    }

    fn put(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let body = serde_json::to_vec(checkpoint)?;
        let head = format!(
            "{MAGIC} {FORMAT} {:08x} {}\n",
            crate::crc::crc32(&body),
            body.len()
        );
        let temporary = self.dir.join(TEMPORARY);
        // Whatever has this name (the folder is the command's, too) is not written through: a FIFO would never let go of us.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&[head.as_bytes(), &body].concat())?;
        file.sync_all()?;
        crate::crash::point("checkpoint.synced");
        fs::rename(&temporary, self.path(checkpoint.seq))?;
        crate::crash::point("checkpoint.renamed");
        File::open(&self.dir)?.sync_all()
    }

    /// The newest one that can be read; damaged ones found on the way are set aside.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn newest(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        self.newest_telling(&mut Vec::new())
    }

    /// As [`Self::newest`]; what was found damaged on the way goes to `problems`, in words.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn newest_telling(
        &self,
        problems: &mut Vec<String>,
    ) -> Result<Option<Checkpoint>, CheckpointError> {
        let numbers = match self.numbers() {
            Ok(numbers) => numbers,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("list")(error)),
        };
        for seq in newest_first(numbers) {
            match self.read(seq) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(error) => problems.push(self.set_aside(seq, &error)),
            }
        }
        Ok(None)
    }

    /// Keeps what cannot be read for a person, out of the way; where it cannot be renamed it is passed over each time. Says
    /// what was done.
    fn set_aside(&self, seq: u64, error: &io::Error) -> String {
        let path = self.path(seq);
        let done = if is_own_trouble(error) {
            Ok("passed over")
        } else {
            let damaged = format!("{seq:08}{SUFFIX}{DAMAGED_SUFFIX}");
            fs::rename(&path, self.dir.join(damaged)).map(|()| "set aside")
        };
        let done = done.unwrap_or("passed over");
        format!(
            "the checkpoint {} cannot be used and is {done}: {error}",
            path.display()
        )
    }

    /// Every failure is one of this file alone: the one before it may be whole.
    fn read(&self, seq: u64) -> io::Result<Checkpoint> {
        let file = OpenOptions::new()
            .read(true)
            // A FIFO or a device under this name must not keep us.
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
            .open(self.path(seq))?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        parse(&bytes)
            .filter(|checkpoint| checkpoint.seq == seq)
            .ok_or_else(|| io::Error::other("it is damaged"))
    }

    fn path(&self, seq: u64) -> PathBuf {
        self.dir.join(format!("{seq:08}{SUFFIX}"))
    }

    /// Numbers in use, and whether that one is damaged. Other files (a task may keep its own here) are left alone.
    fn numbers(&self) -> io::Result<Vec<(u64, bool)>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            let (name, damaged) = name
                .strip_suffix(DAMAGED_SUFFIX)
                .map_or((name, false), |name| (name, true));
            if let Some(seq) = name
                .strip_suffix(SUFFIX)
                .and_then(|number| Some((number, number.parse().ok()?)))
                .and_then(|(number, seq)| (format!("{seq:08}") == number).then_some(seq))
            {
                numbers.push((seq, damaged));
            }
        }
        Ok(numbers)
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> CheckpointError {
        let dir = self.dir.clone();
        move |source| CheckpointError {
            action,
            dir,
            source,
        }
    }
}

/// The numbers of those that are not set aside.
fn newest_first(numbers: Vec<(u64, bool)>) -> Vec<u64> {
    let mut whole: Vec<u64> = numbers
        .into_iter()
        .filter(|(_, damaged)| !damaged)
        .map(|(seq, _)| seq)
        .collect();
    whole.sort_unstable_by(|one, other| other.cmp(one));
    whole
}

/// Whether we lacked something ourselves, or the disk did not answer: that says nothing about what is in the file.
fn is_own_trouble(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::IO]
        .iter()
        .any(|own| error.raw_os_error() == Some(own.raw_os_error()))
}

impl Checkpoint {
    /// The checkpoint in the bytes of a file; `None` when they hold none. Total.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        parse(bytes)
    }
}

fn parse(bytes: &[u8]) -> Option<Checkpoint> {
    let line_end = bytes.iter().position(|byte| *byte == b'\n')?;
    let mut words = std::str::from_utf8(&bytes[..line_end]).ok()?.split(' ');
    let body = &bytes[line_end + 1..];
    let known = words.next() == Some(MAGIC) && words.next()?.parse() == Ok(FORMAT);
    let crc = u32::from_str_radix(words.next()?, 16).ok()?;
    let whole = words.next()?.parse() == Ok(body.len()) && crc == crate::crc::crc32(body);
    if known && whole {
        serde_json::from_slice(body).ok()
    } else {
        None
    }
}
