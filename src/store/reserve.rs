//! The reserve: a preallocated file beside the database that is given up when the disk is full, so that the last
//! transitions (how running attempts ended) can still be written.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// Where the reserve of the database at `path` is.
fn reserve_path(path: &Path) -> PathBuf {
    super::copy::with_suffix(path, ".reserve")
}

/// Gives the space back. True when there was a reserve to give up.
pub(super) fn release(path: &Path) -> io::Result<bool> {
    match std::fs::remove_file(reserve_path(path)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives the reserve to the write-ahead log of the database at `path`: its blocks become the log's, behind the log's present
/// end. Only giving it up would give it to whoever fills the disk (a task's output) before the next commit needs it.
pub(super) fn hand_to_log(path: &Path, bytes: u64) -> io::Result<bool> {
    // No lock is lost by closing this file: SQLite keeps its locks on the database and on the log's index.
    let log = OpenOptions::new()
        .write(true)
        .open(super::copy::with_suffix(path, "-wal"));
    if !release(path)? {
        return Ok(false);
    }
    let Ok(log) = log else { return Ok(true) };
    let mut end = log.metadata()?.len();
    let (mut left, mut chunk) = (bytes, bytes);
    // In ever smaller pieces: somebody may have been quicker with a part of it.
    while left > 0 && chunk >= HANDED_MIN_BYTES {
        match rustix::fs::fallocate(&log, FallocateFlags::KEEP_SIZE, end, chunk.min(left)) {
            Ok(()) => {
                end += chunk.min(left);
                left -= chunk.min(left);
            }
            Err(Errno::NOSPC | Errno::DQUOT) => chunk /= 2,
            // The file system cannot preallocate: the space is free, which is the second best.
            Err(_) => break,
        }
    }
    Ok(true)
}

/// Makes the reserve `bytes` large unless it is so already. On failure (still no space) nothing is kept, because half a
/// reserve would take away the space that came back.
pub(super) fn restore(path: &Path, bytes: u64) -> io::Result<()> {
    let reserve = reserve_path(path);
    if bytes == 0 {
        return release(path).map(drop);
    }
    if let Ok(found) = std::fs::metadata(&reserve)
        && found.len() == bytes
        && found.blocks() * BLOCK_BYTES >= bytes
    {
        return Ok(());
    }
    release(path)?;
    crate::crash::point("reserve.released");
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&reserve)?;
    allocate(&file, bytes).inspect_err(|_| {
        // Best effort: the error that matters is the one reported.
        let _ = std::fs::remove_file(&reserve);
    })
}

/// Smallest piece of the reserve that is worth a try.
const HANDED_MIN_BYTES: u64 = 16 * 1024;
/// The unit of `st_blocks`, whatever the file system's own is.
const BLOCK_BYTES: u64 = 512;
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        // The file system cannot preallocate: writing takes the space as well.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let mut file = file;
            let mut left = bytes;
            while left > 0 {
                let chunk = left.min(ZEROS.len() as u64);
                file.write_all(&ZEROS[..usize::try_from(chunk).unwrap_or(ZEROS.len())])?;
                left -= chunk;
            }
            file.sync_all()
        }
        Err(error) => Err(error.into()),
    }
}
