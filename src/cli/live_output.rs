//! One stream of a foreground run's output: copied to our own, byte by byte, without a gap across restarts of the daemon.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Buf as _;

use crate::api::wire::{SystemStatus, TaskView};

use super::conn::Daemon;
use super::error::CliError;
use super::run_words::copy_to_stderr;

/// Between two looks for a daemon that went away.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Copies one stream of the task to ours, as it arrives, across restarts of the daemon.
pub(super) struct Copy {
    pub(super) socket: PathBuf,
    pub(super) route: String,
    pub(super) task: String,
    pub(super) to_stderr: bool,
    /// Bytes copied: passed over when the stream begins anew.
    pub(super) copied: usize,
}

impl Copy {
    pub(super) async fn run(mut self) -> Result<(), CliError> {
        loop {
            match self.once().await {
                Ok(true) => return Ok(()),
                Err(error) if !error.is_away() => return Err(error),
                Ok(false) | Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Copies to the stream's end; whether that is the output's end and not only the daemon's.
    async fn once(&mut self) -> Result<bool, CliError> {
        let mut daemon = Daemon::at(&self.socket).await?;
        let before: SystemStatus = daemon.get("/status").await?;
        let mut from = daemon.stream(&self.route).await?;
        let mut pass_over = self.copied;
        while let Some(mut piece) = from.chunk().await? {
            let known = pass_over.min(piece.len());
            pass_over -= known;
            piece.advance(known);
            // Whoever reads us has gone: the task goes on, its output is kept.
            self.write(&piece)
                .map_err(|error| CliError::output(&error))?;
            self.copied += piece.len();
        }
        let mut daemon = Daemon::at(&self.socket).await?;
        let after: SystemStatus = daemon.get("/status").await?;
        let task: TaskView = daemon.get(&self.task).await?;
        Ok(task.state.is_final() && after.pid == before.pid)
    }

    fn write(&self, piece: &[u8]) -> std::io::Result<()> {
        if self.to_stderr {
            return copy_to_stderr(piece);
        }
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(piece).and_then(|()| stdout.flush())
    }
}
