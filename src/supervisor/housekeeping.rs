//! Gives memory back once nothing has happened for a while: a daemon waits most of its life.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};

use super::command::Change;
use super::event::SupervisorEvent;
use super::readers::Readers;

/// Quiet for so long: threads that only a burst had needed are gone by then, and their memory is free.
pub(super) const QUIET: Duration = Duration::from_secs(3);

/// Tidies after the start and after each burst of changes; between them it is not woken. Ends with the supervisor.
pub(super) async fn keep(
    mut changes: broadcast::Receiver<Change>,
    events: mpsc::Sender<SupervisorEvent>,
    readers: Arc<Readers>,
    quiet: Duration,
) {
    loop {
        loop {
            tokio::time::sleep(quiet).await;
            if changes.is_empty() {
                break;
            }
            changes = changes.resubscribe();
        }
        readers.close_idle();
        if events.send(SupervisorEvent::Quiet).await.is_err() {
            return;
        }
        // Having missed some is as good a sign of work as having got one.
        if let Err(broadcast::error::RecvError::Closed) = changes.recv().await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::OpenOptions;
    use crate::task::{State, Timestamp};

    #[tokio::test]
    async fn one_quiet_after_the_start_and_one_after_each_burst() {
        let changes = broadcast::Sender::new(4);
        let (events, mut quiets) = mpsc::channel(4);
        let readers = Arc::new(Readers::new(OpenOptions::at("/nonexistent")));
        let pause = Duration::from_millis(10);
        let keeper = tokio::spawn(keep(changes.subscribe(), events, readers, pause));
        assert!(matches!(quiets.recv().await, Some(SupervisorEvent::Quiet)));
        // More than the channel keeps: the keeper lags behind, as it does in a real burst.
        for seq in 0..10 {
            let change = Change {
                id: "task_0000000000000".parse().unwrap(),
                seq,
                state: State::Pending,
                generation: 0,
                at: Timestamp::from_ms(0),
            };
            assert_eq!(changes.send(change).unwrap(), 1);
        }
        assert!(matches!(quiets.recv().await, Some(SupervisorEvent::Quiet)));
        assert!(
            tokio::time::timeout(pause * 20, quiets.recv())
                .await
                .is_err(),
            "nothing happened since"
        );
        drop(changes);
        keeper.await.unwrap();
        assert!(quiets.recv().await.is_none());
    }
}
