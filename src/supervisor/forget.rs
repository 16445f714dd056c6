//! Removes what is left of attempts whose end is committed: records and doors.

use std::time::Duration;

use super::clock;
use super::launch::{DOOR_SUFFIX, door_path, record_path};
use crate::config::paths::Paths;
use crate::record::RecordFile;
use crate::store::{StoreError, Tx};
use crate::task::{AttemptId, Task};

/// How long the record of an attempt that is over is waited for.
const FORGET_WAIT_MS: u64 = 2_000;
const FORGET_PAUSE: Duration = Duration::from_millis(5);

/// Removes what is left of an attempt whose outcome is committed: the door that a dead worker could not remove, and then,
/// under its lock, the record. Blocks for a moment while somebody holds that: whoever closed the attempt lets go of it only
/// after the commit was asked for, and a worker that woke late looks into the record before it leaves. One that stays held
/// is the next start's.
///
/// # Errors
/// When it cannot be removed.
pub fn forget(paths: &Paths, attempt: &AttemptId) -> std::io::Result<()> {
    remove_door(paths, attempt);
    let mut record = match RecordFile::open_existing(&record_path(paths, attempt)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let begun_ms = clock::monotonic_ms();
    while !record.try_lock()? {
        if clock::monotonic_ms().saturating_sub(begun_ms) > FORGET_WAIT_MS {
            return Ok(());
        }
        std::thread::sleep(FORGET_PAUSE);
    }
    Ok(record.unlink_locked()?)
}

/// Removes the door of an attempt that is over. One that stays costs a name in a directory, and nobody is behind it.
pub fn remove_door(paths: &Paths, attempt: &AttemptId) {
    drop(std::fs::remove_file(door_path(paths, attempt)));
}

/// Removes the doors of attempts that neither run nor have a record. A daemon that dies between the commit of a lost attempt
/// and [`forget`] leaves one when the record was damaged and so moved away: no stray leads to it.
///
/// # Errors
/// When rows cannot be read.
pub fn remove_lone_doors(paths: &Paths, running: &[Task], tx: &Tx<'_>) -> Result<(), StoreError> {
    // A directory that cannot be listed is told by the first attempt that needs a door in it.
    let entries = std::fs::read_dir(&paths.run_dir)
        .into_iter()
        .flatten()
        .flatten();
    for entry in entries {
        let name = entry.file_name();
        let Some(attempt) = name
            .to_str()
            .and_then(|name| name.strip_suffix(DOOR_SUFFIX))
            .and_then(|name| name.parse::<AttemptId>().ok())
        else {
            continue;
        };
        // What cannot be asked about counts as there. A damaged task keeps all that belongs to it.
        let has_record = record_path(paths, &attempt).try_exists().unwrap_or(true);
        if has_record
            || running.iter().any(|task| task.attempt() == attempt)
            || tx.is_set_aside(&attempt.task)?
        {
            continue;
        }
        remove_door(paths, &attempt);
    }
    Ok(())
}
