//! `GET /events`: changes as they are committed, one JSON line each.
//!
//! An answer that the daemon cannot bring to its end, because it leaves, ends as a broken connection ([`Cut`]): a reader must
//! be able to tell it from one that is complete.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::error::{ApiError, ApiResult};
use super::extract::pairs;
use super::router;
use super::server::told;
use super::submit::resolve;
use super::wire::{EventLine, TaskView};
use crate::supervisor::Handle;
use crate::supervisor::command::Change;
use crate::task::TaskId;

/// A silent stream says this often that it lives, so that both sides notice a broken connection.
const ALIVE_EVERY: Duration = Duration::from_secs(30);
/// Media type of lines of JSON.
pub(super) const NDJSON: &str = "application/x-ndjson";

pub(super) async fn events(
    State(state): State<router::State>,
    RawQuery(query): RawQuery,
) -> ApiResult<Response> {
    let mut only = None;
    for (name, value) in pairs(&query.unwrap_or_default(), &[])? {
        if name != "task" {
            return Err(ApiError::bad(format!(
                "unknown query parameter {name:?}; known: task"
            )));
        }
        only = Some(resolve(&state.handle, &value).await?);
    }
    Ok(stream_of(Events::new(&state, only)))
}

/// Ends an answer's body without the end that a complete one has.
#[derive(Debug, thiserror::Error)]
#[error("the daemon leaves before the answer is complete")]
pub(super) struct Cut;

impl Cut {
    /// A cut after what was given so far: hyper sends that when the body has nothing more to give, and not when it fails.
    pub(super) async fn after_the_rest() -> Self {
        tokio::task::yield_now().await;
        Self
    }
}

/// The stream as a response.
pub(super) fn stream_of(events: Events) -> Response {
    let lines = stream::unfold(events, |mut events| async move {
        Some((events.next().await, events))
    });
    ([(CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response()
}

/// Changes, for as long as somebody listens.
pub(super) struct Events {
    handle: Handle,
    changes: broadcast::Receiver<Change>,
    shutting: watch::Receiver<bool>,
    only: Option<TaskId>,
    /// The task's present state comes first, so that nothing between a look and the first change is missed.
    first: bool,
    /// Dropped with the stream: what a lease does when its client goes away.
    _guard: Option<Box<dyn Send + Sync>>,
}

impl Events {
    /// All changes from now on, or those of one task, which comes first as it stands.
    #[must_use]
    pub(super) fn new(state: &router::State, only: Option<TaskId>) -> Self {
        Self {
            handle: state.handle.clone(),
            changes: state.handle.changes(),
            shutting: state.shutting.clone(),
            first: only.is_some(),
            only,
            _guard: None,
        }
    }

    /// The same, with something that is dropped when the client goes away.
    #[must_use]
    pub(super) fn with_guard(mut self, guard: impl Send + Sync + 'static) -> Self {
        self._guard = Some(Box::new(guard));
        self
    }

    /// The next line. There is always one more, until the daemon leaves.
    async fn next(&mut self) -> Result<Bytes, Cut> {
        if std::mem::take(&mut self.first)
            && let Some(id) = self.only.clone()
        {
            return self.task(id).await.ok_or(Cut);
        }
        loop {
            let change = tokio::select! {
                change = self.changes.recv() => change,
                () = tokio::time::sleep(ALIVE_EVERY) => return line(&EventLine::Alive).ok_or(Cut),
                () = told(&mut self.shutting) => return Err(Cut::after_the_rest().await),
            };
            match change {
                Ok(change) if self.only.as_ref().is_none_or(|only| *only == change.id) => {
                    if let Some(line) = self.task(change.id).await {
                        return Ok(line);
                    }
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return line(&EventLine::Lagged).ok_or(Cut),
                Err(RecvError::Closed) => return Err(Cut::after_the_rest().await),
            }
        }
    }

    async fn task(&self, id: TaskId) -> Option<Bytes> {
        let task = self
            .handle
            .query(move |reader| reader.task(&id))
            .await
            .ok()??;
        line(&EventLine::Task(Box::new(TaskView::from(&task))))
    }
}

/// One line of JSON; `None` cannot happen for our own types.
pub(super) fn line(value: &impl serde::Serialize) -> Option<Bytes> {
    let mut text = serde_json::to_vec(value).ok()?;
    text.push(b'\n');
    Some(text.into())
}
