//! What an attendant listens to: its worker's start and end, and the way of an intent to the worker's door.

use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::unix::AsyncFd;

use crate::attempt::protocol::StartLine;
use crate::process::{WorkerEnd, reap, watchable};
use crate::task::Intent;

/// Time between two tries to reach a worker's door.
const DOOR_RETRY: Duration = Duration::from_millis(100);

/// An intent on its way to the worker's door.
#[derive(Debug, Default)]
pub(super) struct Door {
    pub(super) intent: Option<Intent>,
    open: bool,
    pub(super) tries: u32,
}

impl Door {
    /// A new intent takes the place of one that is still on its way: the row has it stronger.
    pub(super) fn wish(&mut self, intent: Option<Intent>) {
        if !self.open {
            self.tries = 0;
        }
        self.open = intent.is_some();
        self.intent = intent;
    }

    pub(super) fn told(&mut self, told: bool) {
        self.open = !told;
        self.tries += 1;
    }

    /// When to try next; never, when nothing is on its way.
    pub(super) async fn due(&self) {
        if !self.open {
            std::future::pending::<()>().await;
        }
        if self.tries > 0 {
            tokio::time::sleep(DOOR_RETRY).await;
        }
    }
}

/// Runs `job` off the runtime's thread. A job is cancelled only by a runtime that shuts down: then nobody waits any more.
pub(super) async fn blocking<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(job).await {
        Ok(value) => value,
        Err(_) => std::future::pending().await,
    }
}

/// Until the worker is gone.
pub(super) async fn ended(pidfd: &AsyncFd<OwnedFd>) -> WorkerEnd {
    loop {
        let Ok(mut ready) = pidfd.readable().await else {
            return WorkerEnd::Unknown;
        };
        match reap(pidfd.get_ref()) {
            Ok(Some(end)) => return end,
            Ok(None) => ready.clear_ready(),
            Err(error) => {
                tracing::error!(%error, "a worker's end cannot be read");
                return WorkerEnd::Unknown;
            }
        }
    }
}

/// Takes the status of a worker that is to be ended and that nobody watches any more: it is a child of this daemon, and
/// would stay a zombie until the daemon leaves.
pub(super) fn reap_later(pidfd: AsyncFd<OwnedFd>) {
    drop(tokio::spawn(async move { ended(&pidfd).await }));
}

/// The worker's one line; `None` when it left without one.
pub(super) async fn read_start(pipe: OwnedFd) -> Option<StartLine> {
    rustix::io::ioctl_fionbio(&pipe, true).ok()?;
    let pipe = watchable(pipe).ok()?;
    let mut line = Vec::new();
    loop {
        let mut ready = pipe.readable().await.ok()?;
        let mut chunk = [0u8; StartLine::MAX_BYTES];
        match rustix::io::read(pipe.get_ref(), &mut chunk) {
            Ok(0) => break,
            Ok(read) => {
                line.extend_from_slice(&chunk[..read]);
                if line.contains(&b'\n') || line.len() > StartLine::MAX_BYTES {
                    break;
                }
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => ready.clear_ready(),
            Err(_) => break,
        }
    }
    StartLine::parse(std::str::from_utf8(&line).ok()?.lines().next()?)
}
