//! The supervisor as its doors see it: commands go in, changes come out, queries go to readers.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot};

use super::command::{Change, Command, Refusal, RefusalCode, Reply, ReplyTo};
use super::event::SupervisorEvent;
use crate::config::Settings;
use crate::config::paths::Paths;

/// Events that may wait for the supervisor; a full queue makes the doors wait.
pub const EVENTS_WAITING_MAX: usize = 4096;
/// Changes a slow watcher may be behind before it must read the store again.
pub const CHANGES_KEPT: usize = 1024;

/// A cheap, cloneable face of the running supervisor.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) events: mpsc::Sender<SupervisorEvent>,
    pub(super) changes: broadcast::Sender<Change>,
    pub(super) readers: Arc<super::readers::Readers>,
    pub(super) settings: Arc<std::sync::RwLock<Arc<Settings>>>,
    pub(super) paths: Arc<Paths>,
    pub(super) shared: Arc<super::carriers::Shared>,
    pub(super) leases: Arc<super::leases::Leases>,
    pub(super) failing: Arc<std::sync::atomic::AtomicBool>,
    pub(super) started_at: crate::task::Timestamp,
}

impl Handle {
    /// Hands a command over and waits until it is committed (or refused, with nothing changed).
    ///
    /// # Errors
    /// The supervisor's refusal, or [`RefusalCode::ShuttingDown`] when it is leaving.
    pub async fn command(&self, command: Command) -> Result<Reply, Refusal> {
        let (reply_to, reply) = oneshot::channel();
        self.begin(command, reply_to).await?;
        reply.await.map_err(|_| leaving())?
    }

    /// Hands a command over; the reply comes through `reply_to`. For pipelined submissions.
    ///
    /// # Errors
    /// [`RefusalCode::ShuttingDown`] when the supervisor is leaving.
    pub async fn begin(&self, command: Command, reply_to: ReplyTo) -> Result<(), Refusal> {
        self.events
            .send(SupervisorEvent::Command(command, reply_to))
            .await
            .map_err(|_| leaving())
    }

    /// Changes from now on. A receiver that lags must read the store again.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Runs a query on a read-only connection, off the runtime's thread.
    ///
    /// # Errors
    /// [`RefusalCode::StoreFailed`] with the store's words.
    pub async fn query<T, F>(&self, query: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&mut crate::store::Reader) -> Result<T, crate::store::StoreError>
            + Send
            + 'static,
    {
        self.readers.run(query).await
    }

    /// The settings now in force.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        match self.settings.read() {
            Ok(settings) => Arc::clone(&settings),
            // A reader never panics while it holds the lock, and the writer only swaps a pointer.
            Err(poisoned) => Arc::clone(&poisoned.into_inner()),
        }
    }

    /// Which foreground runs hold which tasks.
    #[must_use]
    pub fn leases(&self) -> &super::leases::Leases {
        &self.leases
    }

    /// Whether this is the daemon inside a foreground run, which leaves together with it.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.shared.launch.owner.is_some()
    }

    /// Where things are.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        &self.paths
    }
}

fn leaving() -> Refusal {
    Refusal::new(
        RefusalCode::ShuttingDown,
        "the daemon is leaving; try again in a moment",
    )
}
