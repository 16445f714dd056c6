//! The log file: whole lines, set aside by size, alive on a full disk.
//!
//! Invariants: the file holds whole lines only (a line that did not fit on the disk is taken back); no error leaves
//! [`RotatingFile`], because the thread above it would drop the rest of its batch; lines that could not be written are
//! counted, and the count is written as soon as writing works again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of the current log.
pub const LOG_NAME: &str = "auto_claude.log";
/// Lines gathered before they are written, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;
/// Logs are for their owner and its group.
const LOG_MODE: u32 = 0o640;

/// Makes the line that says how many lines were lost and why.
pub type LossNote = Box<dyn Fn(u64, &str) -> String + Send>;

/// When the file is set aside, and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Size at which the file is set aside, in bytes. A single line may be longer.
    pub max_bytes: u64,
    /// Files kept beside the current one, at least 1.
    pub kept: u32,
}

/// A file of lines that is set aside when it is full.
pub struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    file: Option<File>,
    /// Bytes in the file.
    size: u64,
    /// Whole lines that are not in the file yet.
    buffer: Vec<u8>,
    loss_note: LossNote,
    /// Lines lost since writing last worked, and why.
    lost: u64,
    reason: String,
    /// Lines taken care of: written or counted as lost.
    done: Arc<AtomicU64>,
}

impl RotatingFile {
    /// Opens `dir/auto_claude.log`, creating it. `done` counts the lines that were dealt with.
    ///
    /// # Errors
    /// The file cannot be opened or read.
    pub fn open(
        dir: &Path,
        rotation: Rotation,
        loss_note: LossNote,
        done: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let mut log = Self {
            path: dir.join(LOG_NAME),
            rotation,
            file: None,
            size: 0,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            loss_note,
            lost: 0,
            reason: String::new(),
            done,
        };
        log.reopen()?;
        Ok(log)
    }

    /// Opens the current file. A last line without its end (the machine went down) is ended first.
    fn reopen(&mut self) -> io::Result<()> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .mode(LOG_MODE)
            .open(&self.path)?;
        self.size = file.metadata()?.len();
        let mut last = [b'\n'];
        if self.size > 0 {
            file.read_exact_at(&mut last, self.size - 1)?;
        }
        self.file = Some(file);
        if last != [b'\n']
            && self
                .file
                .as_mut()
                .is_some_and(|file| file.write_all(b"\n").is_ok())
        {
            self.size += 1;
        }
        Ok(())
    }

    /// The path of the file that was set aside `number` rotations ago.
    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// Sets the current file aside and begins a new one. When that fails the current one just grows on.
    fn rotate(&mut self) {
        for number in (1..self.rotation.kept).rev() {
            // Most of the time some of them do not exist yet.
            let _ = std::fs::rename(self.aside(number), self.aside(number + 1));
        }
        let moved = std::fs::rename(&self.path, self.aside(1));
        if let Err(error) = moved.and_then(|()| self.reopen()) {
            complain(&format!("cannot rotate {}: {error}", self.path.display()));
        }
    }

    /// Opens the file again when it was removed or moved away under us.
    fn follow_path(&mut self) {
        let ours = self
            .file
            .as_ref()
            .and_then(|file| file.metadata().ok())
            .map(|about| (about.dev(), about.ino()));
        let there = std::fs::metadata(&self.path)
            .ok()
            .map(|about| (about.dev(), about.ino()));
        if ours.is_none() || ours != there {
            // A failure is met again, and counted, by the write that follows.
            let _ = self.reopen();
        }
    }

    /// Writes the gathered lines; what does not fit is counted as lost.
    fn write_buffer(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        self.follow_path();
        let lines = count_lines(&self.buffer);
        // After a loss, the note about it and the lines are written together or not at all: the last free bytes of a
        // full disk are not spent on one note after the other.
        let after_loss = self.lost > 0;
        let note = if after_loss {
            (self.loss_note)(self.lost, &self.reason).into_bytes()
        } else {
            Vec::new()
        };
        let bytes = [note, std::mem::take(&mut self.buffer)].concat();
        match self.append(&bytes, after_loss) {
            Ok(()) => self.lost = 0,
            Err((kept, error)) => self.note_loss(lines - count_lines(&bytes[..kept]), &error),
        }
        self.done.fetch_add(lines, Ordering::Release);
    }

    /// Appends `bytes`, whole lines. On an error, the lines that fit stay (none, with `all_or_nothing`): their length is
    /// returned with it.
    fn append(&mut self, bytes: &[u8], all_or_nothing: bool) -> Result<(), (usize, io::Error)> {
        let Some(file) = self.file.as_mut() else {
            return Err((0, io::Error::from(io::ErrorKind::NotFound)));
        };
        let mut written = 0;
        let error = loop {
            if written == bytes.len() {
                self.size += written as u64;
                return Ok(());
            }
            match file.write(&bytes[written..]) {
                Ok(0) => break io::ErrorKind::WriteZero.into(),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error,
            }
        };
        let whole = bytes[..written]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let kept = if all_or_nothing { 0 } else { whole };
        if written == kept || file.set_len(self.size + kept as u64).is_ok() {
            self.size += kept as u64;
        } else {
            // The torn line stays: opening the file again ends it.
            self.file = None;
        }
        Err((kept, error))
    }

    fn note_loss(&mut self, lines: u64, error: &io::Error) {
        if self.lost == 0 {
            complain(&format!(
                "cannot write {}: {error}; lines are counted until it works again",
                self.path.display()
            ));
        }
        self.lost += lines;
        self.reason = error.to_string();
    }
}

impl Write for RotatingFile {
    /// Takes whole lines: each call ends with a line's end (`write_all` of a line, not `write!`). Never fails.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let ahead = self.size + self.buffer.len() as u64;
        if ahead > 0 && ahead + lines.len() as u64 > self.rotation.max_bytes {
            self.write_buffer();
            // On a full disk a new file would take no more lines than this one.
            if self.lost == 0
                && self.size > 0
                && self.size + lines.len() as u64 > self.rotation.max_bytes
            {
                self.rotate();
            }
        }
        self.buffer.extend_from_slice(lines);
        if self.buffer.len() >= BUFFER_BYTES {
            self.write_buffer();
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_buffer();
        Ok(())
    }
}

impl Drop for RotatingFile {
    fn drop(&mut self) {
        self.write_buffer();
        if self.lost > 0 {
            complain(&format!(
                "{} lines of the log were lost: {}",
                self.lost, self.reason
            ));
        }
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// A word on stderr where the log itself is what fails; nothing can be done when that fails too.
fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "auto-claude: log: {message}");
}
