//! The daemon's side: starts workers, learns how they ended.
//!
//! A worker is exec'ed from the executable that was opened when the daemon started (an upgrade on disk changes nothing for
//! it), by way of `posix_spawn`: the daemon has many threads and much memory, it never forks. It inherits four things: its
//! hand-over (a sealed memfd as standard input), the pipe for its start line, its log as standard error, its marker.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use super::identity::stamp_of;
use crate::attempt::record::ProcessStamp;
use crate::attempt::spec::{Handover, MARKER_VAR};

/// The daemon's own executable, held open.
#[derive(Debug)]
pub struct OpenExe(File);

impl OpenExe {
    /// Opens the running program.
    ///
    /// # Errors
    /// When `/proc` is not there.
    pub fn current() -> io::Result<Self> {
        Self::open(Path::new("/proc/self/exe"))
    }

    /// Opens the program at `path`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }
}

/// How workers are started. Transient systemd units will be another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Launcher {
    /// As children of the daemon.
    #[default]
    Direct,
}

/// A worker that was just started.
#[derive(Debug)]
pub struct Launched {
    /// Who it is.
    pub worker: ProcessStamp,
    /// Readable once it has ended; then [`reap`] it.
    pub pidfd: OwnedFd,
    /// Gives the one start line, then end of file. Blocking; close-on-exec.
    pub started: OwnedFd,
}

/// How a worker process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerEnd {
    /// It left with this exit code (the codes are in `worker`).
    Left(i32),
    /// A signal ended it.
    Signaled(i32),
    /// It is no child of this daemon (taken back after a restart): only its end is known.
    Unknown,
}

impl Launcher {
    /// Starts a worker. `stderr` is its log, opened in append mode.
    ///
    /// # Errors
    /// When a descriptor, memory or a process is not to be had; then nothing was started.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that starts workers"
    )]
    pub fn launch(self, exe: &OpenExe, handover: &Handover, stderr: File) -> io::Result<Launched> {
        let Self::Direct = self;
        let memfd = sealed(handover)?;
        let (started, writer) = io::pipe()?;
        let mut command = Command::new(format!("/proc/self/fd/{}", exe.0.as_raw_fd()));
        command
            .arg0("auto-claude")
            .arg("worker")
            .env_clear()
            .env(MARKER_VAR, handover.spec.attempt.to_string())
            .stdin(memfd)
            .stdout(Stdio::from(writer))
            .stderr(stderr);
        #[cfg(feature = "crashpoints")]
        for name in ["AUTO_CLAUDE_CRASH", "AUTO_CLAUDE_CRASH_LOG"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let child = command.spawn()?;
        // The child cannot have been waited for by anybody else: its number is its own until `reap`.
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let pidfd = pidfd_open(
            Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?,
            PidfdFlags::empty(),
        )?;
        Ok(Launched {
            worker: stamp_of(pid)?,
            pidfd,
            started: started.into(),
        })
    }
}

/// The hand-over in memory that nobody can change any more; read from its beginning.
fn sealed(handover: &Handover) -> io::Result<File> {
    let bytes = serde_json::to_vec(handover)?;
    let fd = memfd_create(
        "auto-claude-handover",
        MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
    )?;
    let mut file = File::from(fd);
    file.write_all(&bytes)?;
    fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(file)
}

/// Takes the status of an ended worker, by its own descriptor and never by "any child". `None` while it still runs.
///
/// # Errors
/// When the descriptor is none of a process.
pub fn reap(pidfd: impl AsFd) -> io::Result<Option<WorkerEnd>> {
    match waitid(
        WaitId::PidFd(pidfd.as_fd()),
        WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
    ) {
        Ok(None) => Ok(None),
        Ok(Some(status)) => Ok(Some(
            match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => WorkerEnd::Left(code),
                (None, Some(signal)) => WorkerEnd::Signaled(signal),
                (None, None) => WorkerEnd::Unknown,
            },
        )),
        Err(rustix::io::Errno::CHILD) => Ok(has_ended(&pidfd)?.then_some(WorkerEnd::Unknown)),
        Err(error) => Err(error.into()),
    }
}

fn has_ended(pidfd: &impl AsFd) -> io::Result<bool> {
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    Ok(poll(&mut fds, Some(&Timespec::default()))? > 0)
}
