//! What an attendant asks and tells at its worker's door.

use super::{Attendant, DOOR_TRIES};
use crate::attempt::protocol::{Reply as DoorReply, Request, Status};
use crate::attempt::record::ProcessStamp;
use crate::supervisor::launch::door_path;
use crate::supervisor::listen::{Door, blocking};
use crate::worker::client;

impl Attendant {
    /// Tells the worker what to carry out. A door that never answers is gone round by a signal.
    pub(super) async fn tell_door(
        &self,
        door: &Door,
        worker: ProcessStamp,
        timeout_ms: u64,
    ) -> bool {
        let Some(intent) = door.intent.clone() else {
            return true;
        };
        let path = door_path(&self.shared.paths, &self.attempt);
        let by_signal = door.tries >= DOOR_TRIES;
        let result = blocking(move || {
            if by_signal {
                return crate::process::signal(worker, rustix::process::Signal::TERM).map(|_| ());
            }
            match client::request_within(&path, &Request::Stop { intent }, timeout_ms)? {
                DoorReply::Ok | DoorReply::Status(_) => Ok(()),
                DoorReply::Error(text) => Err(std::io::Error::other(text)),
            }
        })
        .await;
        if let Err(error) = &result {
            tracing::debug!(task_id = %self.attempt.task, %error, "the worker's door does not answer yet");
        }
        crate::crash::point("attend.door_told");
        result.is_ok()
    }

    /// What the worker says of itself; `None` when it says nothing within `timeout_ms`.
    pub(super) async fn ask_door(&self, timeout_ms: u64) -> Option<Status> {
        let path = door_path(&self.shared.paths, &self.attempt);
        match blocking(move || client::request_within(&path, &Request::Status, timeout_ms)).await {
            Ok(DoorReply::Status(status)) => Some(status),
            Ok(DoorReply::Ok | DoorReply::Error(_)) | Err(_) => None,
        }
    }
}
