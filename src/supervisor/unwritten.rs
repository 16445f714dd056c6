//! An end that its worker cannot write down (a disk that takes no writes): committed from the worker's word at its door.
//!
//! The worker holds the end and its record's lock until the record has the end or the daemon says `Committed`. The order
//! here keeps every promise: the task is marked busy (no second attempt beside the old worker), the outcome is committed,
//! only then the worker is told, and only when it is gone the record is unlinked and the task may be claimed again. A
//! daemon that dies in between leaves a held record of a past attempt, which the next start deals with.

use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};

use super::carriers::Shared;
use super::event::{AttemptReport, Closed, SupervisorEvent};
use super::forget;
use super::launch::door_path;
use super::listen::{blocking, ended};
use crate::attempt::protocol::Request;
use crate::attempt::record::{Exit, ProcessStamp};
use crate::process::{Snapshot, Target, marker_of};
use crate::task::{AttemptId, Intent, Report, Timestamp};
use crate::worker::client;

/// Time between two tries to tell the worker that it may leave.
const TELL_AGAIN: Duration = Duration::from_millis(500);
/// Tries after which a worker that does not hear is ended: its outcome is committed and its tree is empty.
const TELL_TRIES: u32 = 20;

/// The attempt whose end is not on the disk.
pub(super) struct Unwritten<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) attempt: &'a AttemptId,
    pub(super) started_at: Option<Timestamp>,
    pub(super) report: Option<Box<Report>>,
    pub(super) intents: &'a mut watch::Receiver<Option<Intent>>,
    pub(super) events: &'a mpsc::Sender<SupervisorEvent>,
}

impl Unwritten<'_> {
    /// Commits `exit` and lets the worker go. `false` when the attempt's tree is not empty yet, or this daemon leaves: then
    /// nothing has changed.
    pub(super) async fn commit(
        self,
        exit: &Exit,
        pidfd: &AsyncFd<OwnedFd>,
        worker: ProcessStamp,
    ) -> bool {
        if !self.is_alone(worker).await {
            return false;
        }
        tracing::warn!(task_id = %self.attempt.task, "the worker cannot write the end of its attempt down; committing it from its door");
        self.set_busy(true);
        let closed = Closed {
            attempt: self.attempt.clone(),
            outcome: exit.outcome.clone(),
            ended_at: exit.ended_at,
            started_at: self.started_at,
            report: self.report.clone(),
            launch_failed: false,
            machine_went_down: false,
        };
        drop(
            self.events
                .send(SupervisorEvent::Attempt(AttemptReport::Closed(closed)))
                .await,
        );
        // The wishes end when the outcome is committed, or when this daemon leaves.
        while self.intents.changed().await.is_ok() {}
        if self.shared.worker(self.attempt).worker.is_some() {
            return false;
        }
        self.let_go(pidfd, worker).await;
        let (shared, attempt) = (Arc::clone(self.shared), self.attempt.clone());
        if let Err(error) = blocking(move || forget::forget(&shared.paths, &attempt)).await {
            tracing::warn!(task_id = %self.attempt.task, %error, "a record that is not needed any more stays");
        }
        self.set_busy(false);
        drop(self.events.send(SupervisorEvent::Timer).await);
        true
    }

    /// Whether nothing of the attempt's tree is left but the worker. What cannot be found out is a no.
    async fn is_alone(&self, worker: ProcessStamp) -> bool {
        let target = Target {
            roots: vec![worker],
            marker: vec![marker_of(self.attempt)],
            ..Target::default()
        };
        let members =
            blocking(move || Snapshot::take().map(|snapshot| snapshot.members(&target))).await;
        members.is_ok_and(|members| members.iter().all(|member| member.stamp == worker))
    }

    fn set_busy(&self, is_busy: bool) {
        let mut busy = self
            .shared
            .busy
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if is_busy {
            busy.insert(self.attempt.clone());
        } else {
            busy.remove(self.attempt);
        }
    }

    /// Tells the worker that its end is committed, until it is gone.
    async fn let_go(&self, pidfd: &AsyncFd<OwnedFd>, worker: ProcessStamp) {
        for tries in 0_u32.. {
            let path = door_path(&self.shared.paths, self.attempt);
            let result = blocking(move || {
                if tries < TELL_TRIES {
                    client::request(&path, &Request::Committed).map(drop)
                } else {
                    crate::process::signal(worker, rustix::process::Signal::KILL).map(drop)
                }
            })
            .await;
            if let Err(error) = result {
                tracing::debug!(task_id = %self.attempt.task, %error, "the worker was not told that its end is committed");
            }
            tokio::select! {
                _ = ended(pidfd) => return,
                () = tokio::time::sleep(TELL_AGAIN) => {}
            }
        }
    }
}
