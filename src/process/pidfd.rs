//! Signals that reach the process that was meant, or nobody.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::identity::stamp_of;
use crate::attempt::record::ProcessStamp;

/// A descriptor of that very process; readable once it has ended.
///
/// The start time is read after the descriptor was opened: when it matches, the descriptor is either this process or an
/// older one of the same number that is gone, and a signal to that one reaches nobody.
///
/// # Errors
/// `NotFound` when the process is gone (waited for), or the number belongs to another one now.
pub fn open(stamp: ProcessStamp) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(stamp.pid).ok_or(io::ErrorKind::NotFound)?;
    let fd = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| match error {
        rustix::io::Errno::SRCH => io::ErrorKind::NotFound.into(),
        other => io::Error::from(other),
    })?;
    if stamp_of(stamp.pid)? == stamp {
        Ok(fd)
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Sends `signal` to that very process. A process that is gone is no error: `Ok(false)`.
///
/// # Errors
/// When the kernel refuses (another user's process).
pub fn signal(stamp: ProcessStamp, signal: Signal) -> io::Result<bool> {
    let fd = match open(stamp) {
        Ok(fd) => fd,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match pidfd_send_signal(fd, signal) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
