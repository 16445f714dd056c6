//! The end of an attempt that was never launched: needs no look at processes.

use std::io::{Error, ErrorKind};
use std::path::Path;

use crate::attempt::record::{Exit, Read};
use crate::record::RecordFile;

/// Writes the end of an attempt for which no worker was started. False when somebody holds the record or has written into
/// it: then a worker was started all the same, and recovery must look.
///
/// # Errors
/// When the record cannot be read, locked or written.
pub fn close(path: &Path, exit: &Exit) -> std::io::Result<bool> {
    let mut record = match RecordFile::open_existing(path) {
        // Somebody took it away. Nobody can start without it, and recovery would call that lost.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        opened => opened?,
    };
    if !record.try_lock()? {
        return Ok(false);
    }
    let found = record.read()?;
    if found.started != Read::Blank || found.exit != Read::Blank {
        return Ok(false);
    }
    record.write_synced(exit).map_err(Error::from)?;
    Ok(true)
}
