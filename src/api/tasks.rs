//! `/tasks`: one submission, listings, one task.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use tokio::sync::broadcast::error::RecvError;

use super::error::{ApiError, ApiResult};
use super::extract::{IdText, pairs};
use super::lease::pause_unless_held;
use super::peer::Peer;
use super::router::{self, read_json};
use super::server::told;
use super::submit::{resolve, submission};
use super::wire::{DEFAULT_PAGE, JournalView, MAX_PAGE, NewTask, Page, TaskView, UnreadableView};
use crate::store::ListFilter;
use crate::supervisor::account;
use crate::supervisor::command::{Command, Refusal, RefusalCode, Reply};
use crate::supervisor::{Handle, clock};
use crate::task::{self, Task, TaskId, Timestamp};

/// Longest wait of one request; the client asks again.
const WAIT_MAX_SECONDS: u64 = 3_600;

pub(super) async fn create(
    State(handle): State<Handle>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> ApiResult<Response> {
    let new: NewTask = read_json(body).await?;
    let request = submission(&handle, peer, new).await?;
    match handle.command(Command::Submit(Box::new(request))).await? {
        Reply::Submitted { task, fresh } => {
            if fresh && task.spec.foreground {
                tokio::spawn(pause_unless_held(handle, task.id.clone()));
            }
            let status = if fresh {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            };
            Ok((status, Json(TaskView::from(&*task))).into_response())
        }
        Reply::Acted { .. } | Reply::Done | Reply::Count(_) => Err(unexpected()),
    }
}

/// A reply of another command: a bug of ours.
pub(super) fn unexpected() -> ApiError {
    Refusal::new(
        RefusalCode::Internal,
        "the supervisor gave the reply of another command",
    )
    .into()
}

/// The words of a listing's query.
#[derive(Debug, Default)]
struct ListQuery {
    filter: ListFilter,
}

impl ListQuery {
    fn parse(query: &str) -> ApiResult<Self> {
        let mut filter = ListFilter {
            limit: DEFAULT_PAGE,
            ..ListFilter::default()
        };
        for (name, value) in pairs(query, &["state"])? {
            match name.as_str() {
                "state" => {
                    let state = task::State::from_name(&value).ok_or_else(|| {
                        ApiError::bad(format!(
                            "state: {value:?} is none; {}",
                            known_states(&value)
                        ))
                    })?;
                    filter.states.push(state);
                }
                "limit" => {
                    let range = format!("limit: {value:?} is not a number from 1 to {MAX_PAGE}");
                    filter.limit = value
                        .parse()
                        .ok()
                        .filter(|limit| (1..=MAX_PAGE).contains(limit))
                        .ok_or_else(|| ApiError::bad(range))?;
                }
                "since" => {
                    let since = value
                        .parse::<Timestamp>()
                        .map_err(|error| ApiError::bad(format!("since: {error}")))?;
                    filter.since = Some(since);
                }
                "cursor" => {
                    filter.cursor = Some(
                        value
                            .parse()
                            .map_err(|_| ApiError::bad("cursor: not one that a page gave"))?,
                    )
                }
                "order" => {
                    filter.oldest_first = match value.as_str() {
                        "newest" => false,
                        "oldest" => true,
                        _ => return Err(ApiError::bad("order: must be newest or oldest")),
                    };
                }
                other => {
                    return Err(ApiError::bad(format!(
                        "unknown query parameter {other:?}; known: state, since, limit, cursor, order"
                    )));
                }
            }
        }
        Ok(Self { filter })
    }
}

fn known_states(given: &str) -> String {
    let names = task::State::ALL.map(task::State::name);
    let near = names
        .into_iter()
        .max_by(|a, b| strsim::jaro_winkler(given, a).total_cmp(&strsim::jaro_winkler(given, b)));
    format!(
        "did you mean {}? known: {}",
        near.unwrap_or("pending"),
        names.join(", ")
    )
}

pub(super) async fn list(
    State(handle): State<Handle>,
    RawQuery(query): RawQuery,
) -> ApiResult<Json<Page>> {
    let ListQuery { filter } = ListQuery::parse(&query.unwrap_or_default())?;
    let mut page = handle.query(move |reader| reader.list(&filter)).await?;
    mark(&handle, std::mem::take(&mut page.unmarked)).await;
    let view = |task: &Task| TaskView {
        set_aside: page.set_aside.get(&task.seq).cloned(),
        ..TaskView::from(task)
    };
    let unreadable = page.unreadable.into_iter().map(|bad| UnreadableView {
        id: bad.id,
        reason: bad.reason,
    });
    Ok(Json(Page {
        tasks: page.tasks.iter().map(view).collect(),
        unreadable: unreadable.collect(),
        next_cursor: page.next_cursor.map(|cursor| cursor.to_string()),
    }))
}

/// Has damaged tasks set aside that a page has met. Nobody waits for it: the list is true without.
pub(super) async fn mark(handle: &Handle, numbers: Vec<i64>) {
    if !numbers.is_empty() {
        let (reply_to, _) = tokio::sync::oneshot::channel();
        // A daemon that is leaving leaves it to the next one.
        drop(handle.begin(Command::SetAside { numbers }, reply_to).await);
    }
}

/// The task that `text` names.
///
/// # Errors
/// Malformed, unknown or ambiguous.
pub(super) async fn find(handle: &Handle, text: &str) -> ApiResult<Task> {
    let id = resolve(handle, text).await?;
    read(handle, id).await
}

async fn read(handle: &Handle, id: TaskId) -> ApiResult<Task> {
    let text = format!("there is no task {id}");
    let task = handle.query(move |reader| reader.task(&id)).await?;
    task.ok_or_else(|| Refusal::new(RefusalCode::NotFound, text).into())
}

pub(super) async fn show(
    State(handle): State<Handle>,
    IdText(id): IdText,
) -> ApiResult<Json<TaskView>> {
    let task = find(&handle, &id).await?;
    let settings = handle.settings();
    let view = handle
        .query(move |reader| {
            let mut view = TaskView {
                set_aside: reader.why_set_aside(&task.id)?,
                ..TaskView::from(&task)
            };
            if let Some(agent) = &mut view.agent {
                let accounts = reader.accounts()?;
                let policy = account::policy(&settings);
                super::accounts::tell_wait(agent, &task, &accounts, &policy);
                agent.attached = super::by_hand::attached(&settings, &task, &accounts);
                super::budgets::tell(agent, &settings, reader, &task, clock::now())?;
            }
            Ok(view)
        })
        .await?;
    Ok(Json(view))
}

pub(super) async fn journal(
    State(handle): State<Handle>,
    IdText(id): IdText,
) -> ApiResult<Json<Vec<JournalView>>> {
    let id = find(&handle, &id).await?.id;
    let rows = handle.query(move |reader| reader.journal(&id)).await?;
    Ok(Json(rows.into_iter().map(JournalView::from).collect()))
}

pub(super) async fn checkpoint(
    State(handle): State<Handle>,
    IdText(id): IdText,
) -> ApiResult<Response> {
    let task = find(&handle, &id).await?;
    let dir = handle.paths().tasks_dir.join(task.id.as_str());
    let newest =
        tokio::task::spawn_blocking(move || crate::checkpoint::Checkpoints::of(&dir).newest())
            .await
            .map_err(|error| Refusal::new(RefusalCode::Internal, error.to_string()))?;
    match newest {
        Ok(Some(checkpoint)) => Ok(Json(checkpoint).into_response()),
        Ok(None) => Err(Refusal::new(
            RefusalCode::NotFound,
            format!("{} has no checkpoint", task.id),
        )
        .into()),
        Err(error) => Err(Refusal::new(
            RefusalCode::Internal,
            format!("cannot read the checkpoint: {error}"),
        )
        .into()),
    }
}

pub(super) async fn wait(
    State(state): State<router::State>,
    IdText(id): IdText,
    RawQuery(query): RawQuery,
) -> ApiResult<Response> {
    let mut timeout = WAIT_MAX_SECONDS;
    for (name, value) in pairs(&query.unwrap_or_default(), &[])? {
        let wanted = (name == "timeout_seconds")
            .then(|| value.parse::<u64>().ok())
            .flatten();
        let text = || format!("wait takes timeout_seconds=0 to {WAIT_MAX_SECONDS} only");
        timeout = wanted
            .filter(|seconds| *seconds <= WAIT_MAX_SECONDS)
            .ok_or_else(|| ApiError::bad(text()))?;
    }
    let handle = &state.handle;
    // First listen, then look: a change between the two is not missed.
    let mut changes = handle.changes();
    let task = find(handle, &id).await?;
    if settled(&task) {
        return Ok(Json(TaskView::from(&task)).into_response());
    }
    let mut shutting = state.shutting.clone();
    let id = task.id.clone();
    let waiting = async {
        loop {
            let look = match changes.recv().await {
                Ok(change) => change.id == id,
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => return read(handle, id.clone()).await,
            };
            if look {
                let task = read(handle, id.clone()).await?;
                if settled(&task) {
                    return Ok(task);
                }
            }
        }
    };
    tokio::select! {
        task = waiting => Ok(Json(TaskView::from(&task?)).into_response()),
        () = tokio::time::sleep(Duration::from_secs(timeout)) => {
            Ok((StatusCode::ACCEPTED, Json(TaskView::from(&read(handle, id.clone()).await?))).into_response())
        }
        () = told(&mut shutting) => Err(Refusal::new(RefusalCode::ShuttingDown, "the daemon is leaving; ask again").into()),
    }
}

/// It is over, or a person must do something first.
fn settled(task: &Task) -> bool {
    let state = task.life.state;
    state.is_final() || state == task::State::NeedsHumanReview || state == task::State::Paused
}
