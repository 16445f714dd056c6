//! Descriptors that the daemon's runtime watches.

#![expect(
    unsafe_code,
    reason = "the runtime wants a promise about the descriptor that only its owner can give"
)]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// Has the runtime watch `fd` until the value is dropped.
///
/// # Errors
/// When the runtime cannot take it.
pub fn watchable<F: Into<OwnedFd>>(fd: F) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` names the same open descriptor for as long as it lives, and it lives inside the `AsyncFd`,
    // which takes it off the runtime before it closes it.
    unsafe { AsyncFd::register(fd.into()) }.map_err(|error| error.into_parts().1)
}
