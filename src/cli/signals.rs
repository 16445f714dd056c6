//! The signals that ask a foreground run to leave. From the first moment on none is lost, and none ends the process unheard.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::CliError;
use super::exit;

/// The signals that ask us to leave.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    /// Came while nothing could be done about it: the exit code.
    kept: Option<u8>,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system does not let us.
    pub(super) fn new() -> Result<Self, CliError> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| CliError::failed(format!("failed to listen for signals: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            kept: None,
        })
    }

    /// The exit code for the next signal. May be dropped before it is ready.
    pub(super) async fn next(&mut self) -> u8 {
        match self.kept.take() {
            Some(code) => code,
            None => self.fresh().await,
        }
    }

    async fn fresh(&mut self) -> u8 {
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hang_up.recv() => SignalKind::hangup(),
        };
        exit::SIGNAL_BASE + u8::try_from(kind.as_raw_value()).unwrap_or_default()
    }

    /// Waits for the answer to a submission. The first signal meanwhile is kept, because a task that was taken must be
    /// paused; the second leaves at once, because a daemon that is stopped would be waited for very long.
    ///
    /// # Errors
    /// What `submission` says, or that we left before.
    pub(super) async fn while_submitting<T>(
        &mut self,
        submission: impl Future<Output = Result<T, CliError>>,
    ) -> Result<T, CliError> {
        let mut submission = std::pin::pin!(submission);
        loop {
            let code = tokio::select! {
                biased;
                done = &mut submission => return done,
                code = self.fresh() => code,
            };
            if self.kept.replace(code).is_some() {
                let text = "left before the daemon answered: it may have taken the task; look with: taskctl task list";
                return Err(CliError::said(code, "interrupted", text));
            }
        }
    }
}
