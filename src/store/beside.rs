//! What stands beside the main file, looked at before SQLite sees any of it.
//!
//! SQLite takes an empty main file for a new database, and deletes the log that stands beside it; it takes a log up to
//! its first mistake. Both are a loss without a word when the file was not empty before. So: an empty or missing main file
//! is new only where nothing is left of a former one, and a log is whole or refused.
//!
//! Invariant: only lengths and kinds are asked of the main file, which a connection of this process may have open; the log
//! may be read at any time, SQLite keeps no lock on it.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::copy::with_suffix;
use super::{OpenError, wal};

/// Everything that belongs to a task begins its name with this.
const TASK_NAME: &str = "task_";
/// How often a log that begins anew while it is read is read again; then somebody writes to it, and it is alive.
const READS_MAX: u32 = 10;
/// The beginning of a log, which is written anew with each round.
const LOG_HEADER_BYTES: usize = 32;
/// The log is read in pieces of this size.
const READ_BYTES: usize = 1024 * 1024;

/// Refuses a main file that is missing or empty although something of a database is left: its log, or tasks' files in one
/// of the directories `kin`. Refuses what is no file, and a log that was taken away.
pub(super) fn refuse_bereft(path: &Path, kin: &[PathBuf]) -> Result<(), OpenError> {
    let main = length(path)?;
    let (log_path, index_path) = (with_suffix(path, "-wal"), with_suffix(path, "-shm"));
    let (log, index) = (length(&log_path)?, length(&index_path)?);
    let is_empty = main.is_none_or(|bytes| bytes == 0);
    if is_empty && log.is_some_and(|bytes| bytes > 0) {
        return Err(bereft(path, log_path));
    }
    // SQLite makes the log first and removes it last, so it never leaves the log's index alone.
    if log.is_none() && index.is_some() {
        return Err(OpenError::LogMissing {
            path: path.to_owned(),
            index: index_path,
        });
    }
    if is_empty {
        refuse_kin(path, kin)?;
    }
    Ok(())
}

/// Refuses an empty database where tasks' files are left in one of the directories `kin`.
pub(super) fn refuse_kin(path: &Path, kin: &[PathBuf]) -> Result<(), OpenError> {
    for dir in kin {
        // What cannot be listed cannot be used either, and is told by whoever wants to use it.
        let mut names = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let is_left = |entry: &std::fs::DirEntry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(TASK_NAME.as_bytes())
        };
        if let Some(left) = names.find(is_left) {
            return Err(bereft(path, left.path()));
        }
    }
    Ok(())
}

fn bereft(path: &Path, left: PathBuf) -> OpenError {
    OpenError::Bereft {
        path: path.to_owned(),
        left,
    }
}

/// Refuses a database whose log was damaged. `page_bytes` is the size of its pages, where that is known.
pub(super) fn refuse_damaged_log(path: &Path, page_bytes: Option<u32>) -> Result<(), OpenError> {
    let log = with_suffix(path, "-wal");
    let damage = damage(&log, page_bytes).map_err(|source| OpenError::File {
        path: log.clone(),
        source,
    })?;
    match damage {
        None => Ok(()),
        Some(detail) => Err(OpenError::Corrupt {
            path: path.to_owned(),
            detail: format!("its write-ahead log {}: {detail}", log.display()),
        }),
    }
}

fn damage(log: &Path, page_bytes: Option<u32>) -> io::Result<Option<String>> {
    for _ in 0..READS_MAX {
        let mut file = match File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(log)
        {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let begun = beginning(&mut file)?;
        let whole = begun.as_slice().chain(&file);
        let found = wal::damage(BufReader::with_capacity(READ_BYTES, whole), page_bytes)?;
        // A check beside a running daemon may have read half of one round and half of the next.
        if found.is_none() || File::open(log).and_then(|mut file| beginning(&mut file))? == begun {
            return Ok(found);
        }
    }
    Ok(None)
}

fn beginning(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(LOG_HEADER_BYTES);
    file.take(LOG_HEADER_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The length of a file, `None` when there is none. Refuses everything else that can have a name: opening a pipe or reading
/// a device may never return.
fn length(path: &Path) -> Result<Option<u64>, OpenError> {
    let about = match std::fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(OpenError::File {
                path: path.to_owned(),
                source,
            });
        }
    };
    let kind = about.file_type();
    if kind.is_file() {
        return Ok(Some(about.len()));
    }
    let kind = if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(OpenError::NotAFile {
        path: path.to_owned(),
        kind,
    })
}
