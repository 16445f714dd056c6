//! A foreground run holds its task by a connection: when the run is killed, the connection breaks, and the task is paused.
//!
//! A connection that ends because the daemon leaves says nothing about the run: the task goes on, and the next daemon pauses
//! it only when the run does not come back.

use std::time::Duration;

use axum::extract::{Extension, State};
use axum::response::Response;
use http::StatusCode;
use tokio::sync::watch;

use super::error::ApiResult;
use super::events::{Events, stream_of};
use super::extract::IdText;
use super::peer::Peer;
use super::router;
use super::tasks::find;
use crate::crash;
use crate::supervisor::Handle;
use crate::supervisor::command::{ActRequest, Action, Command};
use crate::task::{Actor, PauseReason, TaskId};

/// A foreground run has this long to hold its task: after its submission, and again after a restart of the daemon.
const ORPHAN_WAIT: Duration = Duration::from_secs(20);

pub(super) async fn hold(
    State(state): State<router::State>,
    Extension(peer): Extension<Peer>,
    IdText(id): IdText,
) -> ApiResult<Response> {
    let task = find(&state.handle, &id).await?;
    peer.may_act_on(&task)?;
    state.handle.leases().add(&task.id);
    let lease = Lease {
        handle: state.handle.clone(),
        id: task.id.clone(),
        actor: peer.actor(),
        shutting: state.shutting.clone(),
    };
    Ok(stream_of(
        Events::new(&state, Some(task.id)).with_guard(lease),
    ))
}

pub(super) async fn let_go(
    State(handle): State<Handle>,
    Extension(peer): Extension<Peer>,
    IdText(id): IdText,
) -> ApiResult<StatusCode> {
    let task = find(&handle, &id).await?;
    peer.may_act_on(&task)?;
    handle.leases().let_go(&task.id);
    Ok(StatusCode::NO_CONTENT)
}

/// One holder. Its end without [`let_go`] pauses the task, unless another one holds it, too, or it was the daemon that
/// ended the connection.
struct Lease {
    handle: Handle,
    id: TaskId,
    actor: Actor,
    shutting: watch::Receiver<bool>,
}

impl Lease {
    /// The daemon cuts every connection when it leaves, so no end says that a client has gone. An embedded daemon leaves
    /// with its only client: there it does.
    fn was_cut_by_us(&self) -> bool {
        *self.shutting.borrow() && !self.handle.is_embedded()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.handle.leases().remove(&self.id) && !self.was_cut_by_us() {
            tokio::spawn(pause(self.handle.clone(), self.id.clone(), self.actor));
        }
    }
}

async fn pause(handle: Handle, id: TaskId, actor: Actor) {
    let action = Action::Pause {
        reason: PauseReason::Person,
    };
    let request = ActRequest {
        id: id.clone(),
        action,
        actor,
        dry_run: false,
    };
    match handle.command(Command::Act(request)).await {
        Ok(_) => tracing::info!(task_id = %id, "its foreground run went away: the task is paused"),
        // It was over, or the daemon leaves: then the next one looks after it.
        Err(refusal) => tracing::debug!(task_id = %id, %refusal, "its foreground run went away"),
    }
}

/// Foreground runs that ended while no daemon was there to see it: their tasks are paused, unless their run comes back, or
/// somebody let the task go on without it meanwhile.
pub async fn end_orphaned_runs(handle: Handle) {
    let before = orphans(&handle).await;
    if before.is_empty() {
        return;
    }
    tokio::time::sleep(crash::patience(ORPHAN_WAIT)).await;
    pause_orphans_among(&handle, &before).await;
}

/// A foreground run that was killed between its submission and its lease: its task was submitted to this daemon, so no start
/// looks for it.
pub(super) async fn pause_unless_held(handle: Handle, id: TaskId) {
    tokio::time::sleep(crash::patience(ORPHAN_WAIT)).await;
    // Nearly always one of these holds, and the search through the queue is saved.
    let is_over = || async {
        let task = find(&handle, id.as_str()).await;
        task.is_ok_and(|task| task.life.state.is_final())
    };
    if !handle.leases().is_held(&id) && !is_over().await {
        pause_orphans_among(&handle, &[id]).await;
    }
}

async fn pause_orphans_among(handle: &Handle, tasks: &[TaskId]) {
    for id in orphans(handle).await {
        if tasks.contains(&id) && !handle.leases().is_held(&id) {
            pause(handle.clone(), id, Actor::Daemon).await;
        }
    }
}

async fn orphans(handle: &Handle) -> Vec<TaskId> {
    let found = handle.query(move |reader| reader.foreground()).await;
    found.unwrap_or_else(|error| {
        tracing::warn!(%error, "it cannot be read which tasks belong to foreground runs");
        Vec::new()
    })
}
