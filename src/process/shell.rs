//! Command lines that a person or a setting gave, run by the shell: no attempts, so without record, marker and limits.

use std::io;
use std::process::{Child, Command, ExitStatus};

use rustix::process::Signal;

use super::identity::stamp_of;
use super::pidfd;
use crate::attempt::record::ProcessStamp;

const SHELL: &str = "/bin/sh";

/// A line that runs in our terminal.
#[derive(Debug)]
pub struct InTerminal {
    child: Child,
    /// The shell that runs it.
    pub stamp: ProcessStamp,
}

/// Starts a line in the foreground of our terminal, with our environment.
///
/// # Errors
/// When it cannot be started.
#[expect(
    clippy::disallowed_methods,
    reason = "the person at this terminal runs it; it is no attempt"
)]
pub fn in_terminal(line: &str) -> io::Result<InTerminal> {
    let child = Command::new(SHELL).arg("-c").arg(line).spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    // Not waited for yet: its number is its own.
    let stamp = stamp_of(pid)?;
    Ok(InTerminal { child, stamp })
}

impl InTerminal {
    /// Waits for its end. Blocking.
    ///
    /// # Errors
    /// When somebody else has taken its status.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}

/// Asks that very process to end. One that is gone is no error.
///
/// # Errors
/// When the kernel refuses.
pub fn terminate(stamp: ProcessStamp) -> io::Result<()> {
    pidfd::signal(stamp, Signal::TERM).map(drop)
}
