//! Read-only connections for queries, used off the runtime's thread.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::command::{Refusal, RefusalCode};
use crate::store::{OpenOptions, Reader, StoreError, in_full};

/// Queries that run at once: a reader costs a connection with its cache.
const READERS_MAX: usize = 3;

/// A small pool. A connection never holds a snapshot between queries, so the log of the database can be truncated.
#[derive(Debug)]
pub struct Readers {
    options: OpenOptions,
    idle: Mutex<Vec<Reader>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    /// A pool over the database of `options`; connections are opened when first needed.
    #[must_use]
    pub fn new(options: OpenOptions) -> Self {
        Self {
            options,
            idle: Mutex::new(Vec::new()),
            turns: Arc::new(Semaphore::new(READERS_MAX)),
        }
    }

    /// Runs `query` on a connection of the pool, on a blocking thread.
    ///
    /// # Errors
    /// [`RefusalCode::StoreFailed`] with the store's words.
    pub async fn run<T, F>(self: &Arc<Self>, query: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    {
        let failed = |error: &dyn std::error::Error| {
            Refusal::new(
                RefusalCode::StoreFailed,
                format!("the database cannot be read: {}", in_full(error)),
            )
        };
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|error| failed(&error))?;
        let readers = Arc::clone(self);
        let job = tokio::task::spawn_blocking(move || {
            // Held by the job, not by who waits for it: a disk that hangs must not hold more threads than there are turns.
            let _turn = turn;
            let mut reader = match readers.take() {
                Some(reader) => reader,
                None => Reader::open(&readers.options)?,
            };
            let result = query(&mut reader);
            // A connection that failed may be of a file that is no more: the next query opens anew.
            if result.is_ok() {
                readers
                    .idle
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(reader);
            }
            result
        });
        job.await.map_err(|error| failed(&error))?.map_err(|error| {
            if let StoreError::BadRow { id, reason } = &error {
                let text = format!(
                    "{id} is damaged, and left out of everything until it is repaired: {reason}"
                );
                return Refusal::new(RefusalCode::StoreFailed, text);
            }
            failed(&error)
        })
    }

    /// Closes the connections that nobody uses now: each keeps a cache.
    pub(super) fn close_idle(&self) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn take(&self) -> Option<Reader> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }
}
