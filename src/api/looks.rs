//! Looks at what a submitter has named: a directory, a program, a file. Beside the runtime's thread, and few at a time: a file
//! system that does not answer keeps a thread for as long as it is silent, and must not come to keep them all.

use std::time::Duration;

use tokio::sync::Semaphore;

use super::error::ApiResult;
use crate::supervisor::command::{Refusal, RefusalCode};

/// So many at once, of the threads that there are for all that blocks.
const LOOKS_AT_ONCE: usize = 8;
/// A file system that does not answer by then is one that no command should be started on.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

static PLACES: Semaphore = Semaphore::const_new(LOOKS_AT_ONCE);

/// Looks; `None` when the answer does not come in time.
///
/// # Errors
/// When the look itself fails, by a bug of ours.
pub(super) async fn look<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> ApiResult<Option<T>> {
    within(LIMIT, job).await
}

async fn within<T: Send + 'static>(
    limit: Duration,
    job: impl FnOnce() -> T + Send + 'static,
) -> ApiResult<Option<T>> {
    let looked = async {
        // Never closed.
        let place = PLACES.acquire().await.ok();
        tokio::task::spawn_blocking(move || {
            let seen = job();
            // Who has gone away meanwhile leaves the thread behind, and with it the place.
            drop(place);
            seen
        })
        .await
    };
    match tokio::time::timeout(limit, looked).await {
        Ok(Ok(seen)) => Ok(Some(seen)),
        Ok(Err(error)) => Err(Refusal::new(RefusalCode::Internal, error.to_string()).into()),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier, mpsc::sync_channel};

    use super::*;

    #[tokio::test]
    async fn what_never_answers_keeps_a_few_threads_and_no_more() {
        let short = Duration::from_millis(200);
        let hold = Arc::new(Barrier::new(LOOKS_AT_ONCE + 1));
        let (begun, begins) = sync_channel(2 * LOOKS_AT_ONCE);
        let silent = || {
            let (hold, begun) = (hold.clone(), begun.clone());
            let job = move || {
                begun.send(()).unwrap();
                hold.wait();
            };
            tokio::spawn(within(short, job))
        };
        let looks: Vec<_> = (0..2 * LOOKS_AT_ONCE).map(|_| silent()).collect();
        for look in looks {
            assert!(matches!(look.await, Ok(Ok(None))));
        }
        assert_eq!(begins.try_iter().count(), LOOKS_AT_ONCE);
        hold.wait();
        assert!(matches!(look(|| ()).await, Ok(Some(()))));
    }
}
