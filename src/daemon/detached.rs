//! `auto-claude run --detach`: the task goes on without this process.
//!
//! Under a daemon that runs already it does so by the daemon's care. Without one, its worker needs nobody once the command
//! runs, but nothing would ever start a task that has to wait: that is refused before it is submitted.

use std::time::Duration;

use super::run::RunError;
use crate::api::wire::{NewTask, TaskView};
use crate::cli::{CliError, Daemon, RunOptions, Words, exit, submit_detached};
use crate::supervisor::{Supervisor, clock};
use crate::task::{State, Task, TaskId};

/// The command runs by then, or something is wrong.
const START_LIMIT: Duration = Duration::from_secs(10);
/// A start that takes longer is announced: silence looks like a hang.
const ANNOUNCE_AFTER: Duration = Duration::from_secs(1);
/// Between two looks whether it runs, when nothing is heard of it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Under a daemon that runs already.
pub(super) async fn under_a_daemon(
    daemon: &mut Daemon,
    task: &NewTask,
    run: &RunOptions,
) -> Result<u8, RunError> {
    submit_detached(daemon, task, run).await?;
    Ok(exit::OK)
}

/// Under the daemon of this process, which ends as soon as the command runs.
pub(super) async fn without_a_daemon(
    supervisor: &Supervisor,
    daemon: &mut Daemon,
    task: &NewTask,
    run: &RunOptions,
) -> Result<u8, RunError> {
    let words = Words(run);
    if let Some(why) = why_it_would_wait(supervisor, daemon, task).await? {
        let text = format!(
            "no daemon runs, so nobody would start the task later: {why}; nothing was submitted; start one with: {}",
            words.serve()
        );
        return Err(CliError::no_daemon(text).into());
    }
    let id = submit_detached(daemon, task, run).await?.id;
    let Some(begun) = wait_until_it_runs(supervisor, &id, words).await else {
        let text = format!(
            "{id} is queued, but its command has not started within {} s; the next daemon starts it: {}",
            START_LIMIT.as_secs(),
            words.serve()
        );
        return Err(CliError::no_daemon(text).into());
    };
    if begun.life.state.is_final() {
        words.note(&id, &format!("is over: {}", begun.life.state.name()));
    } else {
        let retried = if task.retry_on.is_empty() {
            ""
        } else {
            ", and its retries wait for it"
        };
        let text = format!(
            "goes on by itself; no daemon runs: how it ends is taken down by the next one{retried}: {}",
            words.serve()
        );
        words.note(&id, &text);
    }
    Ok(exit::OK)
}

/// Why the task could not start at once; `None` when nothing is in its way. What is wrong with it is for the submission to say.
async fn why_it_would_wait(
    supervisor: &Supervisor,
    daemon: &mut Daemon,
    task: &NewTask,
) -> Result<Option<String>, CliError> {
    if let Some(at) = task.at.filter(|at| at.ms_since(clock::now()) > 0) {
        return Ok(Some(format!("its time is {at}")));
    }
    for id in &task.after {
        let found = daemon.get::<TaskView>(&format!("/tasks/{id}")).await;
        if let Some(first) = found.ok().filter(|first| !first.state.is_final()) {
            return Ok(Some(format!("it is to run after {}", first.id)));
        }
    }
    let handle = &supervisor.handle;
    let overview = handle.overview().await;
    if let Some(why) = overview.why_not {
        return Ok(Some(format!("new attempts are off: {why}")));
    }
    let slots = handle.settings().num_workers;
    if overview.running >= slots {
        return Ok(Some(format!("every slot is busy (num_workers = {slots})")));
    }
    let Some(key) = task.exclusive.clone() else {
        return Ok(None);
    };
    let lane = handle.query({
        let key = key.clone();
        move |reader| reader.in_lane(&key)
    });
    let first = lane.await.map_err(refused)?;
    Ok(first.map(|first| format!("{first} has the exclusive key {key:?} before it")))
}

fn refused(refusal: crate::supervisor::command::Refusal) -> CliError {
    CliError::failed(refusal.message)
}

/// The task once its command runs or has run: then it needs nobody until the next daemon.
async fn wait_until_it_runs(
    supervisor: &Supervisor,
    id: &TaskId,
    words: Words<'_>,
) -> Option<Task> {
    let mut changes = supervisor.handle.changes();
    let waiting = async {
        loop {
            if let Some(task) = begun(supervisor, id).await {
                return task;
            }
            // Lagging or not, something changed; and a start that is not journaled yet is looked for again.
            let _ = tokio::time::timeout(LOOK_EVERY, changes.recv()).await;
        }
    };
    let mut waiting = std::pin::pin!(waiting);
    if let Ok(task) = tokio::time::timeout(ANNOUNCE_AFTER, &mut waiting).await {
        return Some(task);
    }
    words.note(id, "waiting until its command runs");
    tokio::time::timeout(START_LIMIT.saturating_sub(ANNOUNCE_AFTER), waiting)
        .await
        .ok()
}

async fn begun(supervisor: &Supervisor, id: &TaskId) -> Option<Task> {
    let handle = &supervisor.handle;
    let wanted = id.clone();
    let task = handle.query(move |reader| reader.task(&wanted)).await;
    let task = task.ok().flatten()?;
    match task.life.state {
        State::Pending => None,
        State::Processing | State::Testing => {
            let running = handle.workers().await.unwrap_or_default();
            // The worker's record says it before the journal does.
            let begun = running
                .iter()
                .any(|line| line.task == *id && line.started_at.is_some());
            (begun || task.life.started_at.is_some()).then_some(task)
        }
        State::Paused
        | State::WaitingUnban
        | State::Retrying
        | State::NeedsHumanReview
        | State::Completed
        | State::Failed
        | State::Cancelled => Some(task),
    }
}
