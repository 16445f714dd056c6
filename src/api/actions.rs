//! `POST /tasks/actions`: the same wish for several tasks, each with its own answer.
//!
//! Wishes are handed over without waiting for the one before, so that those that wait together share one commit; answers
//! come in the order of the tasks. Neither the tasks nor the answers are ever held all at once.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::future::Either;
use futures_util::stream::{self, Stream, StreamExt as _};
use http::header::CONTENT_TYPE;

use super::agents::lane_of;
use super::error::{ApiError, ApiResult};
use super::peer::Peer;
use super::router::read_json;
use super::submit::{check_directory, checked_time, plain_path};
use super::tasks::{find, mark, unexpected};
use super::wire::{ActionName, ActionResult, ActionsRequest, MAX_PAGE, TaskView};
use crate::store::{self, ListFilter};
use crate::supervisor::Handle;
use crate::supervisor::command::{ActRequest, Action, Command, Reply, SpecPatch};
use crate::task::{self, PauseReason, State as TaskState, Task, TaskSpec};

/// Tasks that one request may name.
const IDS_MAX: usize = 10_000;
/// Longest grace: a day.
const GRACE_MAX_MS: u64 = 24 * 3_600 * 1_000;
/// Wishes under way at once.
const UNDER_WAY: usize = 128;

/// What is to be done, and for whom.
struct Wish {
    handle: Handle,
    peer: Peer,
    action: Action,
    dry_run: bool,
}

/// A task as it was named, or as it was found.
enum Target {
    Named(String),
    Found(Box<Task>),
    Unreadable(String, ApiError),
}

pub(super) async fn actions(
    State(handle): State<Handle>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> ApiResult<Response> {
    let request: ActionsRequest = read_json(body).await?;
    if request.ids.is_empty() == request.states.is_empty() {
        return Err(ApiError::bad("name the tasks either by ids or by states"));
    }
    if request.ids.len() > IDS_MAX {
        return Err(ApiError::bad(format!("ids: at most {IDS_MAX} at once")));
    }
    let action = action(&request, peer).await?;
    if matches!(
        action,
        Action::Approve | Action::Reject | Action::Attach { .. } | Action::Detach
    ) {
        peer.may_answer_for_a_person(&handle).await?;
    }
    let targets = if request.states.is_empty() {
        Either::Left(stream::iter(request.ids.into_iter().map(Target::Named)))
    } else {
        Either::Right(in_states(handle.clone(), peer, request.states))
    };
    let wish = Arc::new(Wish {
        handle,
        peer,
        action,
        dry_run: request.dry_run,
    });
    let results = targets
        .map(move |target| one(Arc::clone(&wish), target))
        .buffered(UNDER_WAY);
    Ok((
        [(CONTENT_TYPE, "application/json")],
        Body::from_stream(array(results)),
    )
        .into_response())
}

/// The results as one JSON array, piece by piece.
fn array(
    results: impl Stream<Item = ActionResult> + Send,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    let items = results.enumerate().map(|(place, result)| {
        let mut piece = if place == 0 {
            Vec::new()
        } else {
            b",".to_vec()
        };
        if let Err(error) = serde_json::to_writer(&mut piece, &result) {
            // Our own types always serialize.
            tracing::error!(%error, "a result could not be written as JSON");
        }
        Bytes::from(piece)
    });
    let fixed = |text: &'static [u8]| stream::iter([Bytes::from_static(text)]);
    fixed(b"[").chain(items).chain(fixed(b"]")).map(Ok)
}

/// Every task in these states that the peer may act on, newest first: each is met once, however it moves meanwhile, and
/// one that is submitted meanwhile is not met at all.
fn in_states(
    handle: Handle,
    peer: Peer,
    states: Vec<TaskState>,
) -> impl Stream<Item = Target> + Send {
    let uid = (!peer.is_operator()).then_some(peer.uid);
    let filter = ListFilter {
        states,
        uid,
        limit: MAX_PAGE,
        ..ListFilter::default()
    };
    let pages = stream::unfold(Some(filter), move |filter| {
        let handle = handle.clone();
        async move {
            let mut filter = filter?;
            let asked = filter.clone();
            match handle.query(move |reader| reader.list(&asked)).await {
                Ok(store::Page {
                    tasks,
                    unreadable,
                    unmarked,
                    next_cursor,
                    set_aside: _,
                }) => {
                    mark(&handle, unmarked).await;
                    filter.cursor = next_cursor;
                    let bad = |id| ApiError::bad(format!("{id} cannot be read; it was set aside"));
                    let unreadable = unreadable
                        .into_iter()
                        .map(move |aside| Target::Unreadable(aside.id.clone(), bad(aside.id)));
                    let targets: Vec<Target> = tasks
                        .into_iter()
                        .map(|task| Target::Found(Box::new(task)))
                        .chain(unreadable)
                        .collect();
                    Some((targets, next_cursor.map(|_| filter)))
                }
                Err(refusal) => Some((
                    vec![Target::Unreadable(String::new(), refusal.into())],
                    None,
                )),
            }
        }
    });
    pages.flat_map(stream::iter)
}

async fn one(wish: Arc<Wish>, target: Target) -> ActionResult {
    let (id, task) = match target {
        Target::Named(id) => {
            let task = find(&wish.handle, &id).await;
            (id, task)
        }
        Target::Found(task) => (task.id.to_string(), Ok(*task)),
        Target::Unreadable(id, error) => (id, Err(error)),
    };
    match act(&wish, task).await {
        Ok(Reply::Acted { task, effect }) => ActionResult {
            id,
            task: Some(TaskView::from(&*task)),
            effect: Some(effect),
            error: None,
        },
        Ok(Reply::Submitted { .. } | Reply::Done | Reply::Count(_)) => ActionResult {
            id,
            task: None,
            effect: None,
            error: Some(unexpected().body()),
        },
        Err(error) => ActionResult {
            id,
            task: None,
            effect: None,
            error: Some(error.body()),
        },
    }
}

async fn act(wish: &Wish, task: ApiResult<Task>) -> ApiResult<Reply> {
    let task = task?;
    wish.peer.may_act_on(&task)?;
    if let Action::Edit(patch) = &wish.action {
        patched(&task.spec, patch)
            .check()
            .map_err(|error| ApiError::bad(error.to_string()))?;
    }
    if matches!(wish.action, Action::Attach { .. }) {
        super::by_hand::check(&wish.handle, &task)?;
    }
    let request = ActRequest {
        id: task.id,
        action: wish.action.clone(),
        actor: wish.peer.actor(),
        dry_run: wish.dry_run,
    };
    Ok(wish.handle.command(Command::Act(request)).await?)
}

/// What the task would ask for: its limits are those of a submission.
fn patched(spec: &TaskSpec, patch: &SpecPatch) -> TaskSpec {
    let SpecPatch {
        name,
        description,
        command,
        priority,
        cwd,
        at,
        timeout_seconds,
        max_retries,
        budget,
        lane: _,
    } = patch.clone();
    let former = spec.clone();
    let mut patched = TaskSpec {
        name: name.unwrap_or(former.name),
        description: description.unwrap_or(former.description),
        command: command.unwrap_or(former.command),
        priority: priority.unwrap_or(former.priority),
        cwd: cwd.unwrap_or(former.cwd),
        at: at.or(former.at),
        timeout_seconds: timeout_seconds.or(former.timeout_seconds),
        max_retries: max_retries.or(former.max_retries),
        ..former
    };
    if let (Some(budget), task::Command::Prompt(prompt)) = (budget, &mut patched.command) {
        prompt.set_budget(budget);
    }
    patched
}

async fn action(request: &ActionsRequest, peer: Peer) -> ApiResult<Action> {
    if let Some(grace) = request.grace_ms.filter(|grace| *grace > GRACE_MAX_MS) {
        return Err(ApiError::bad(format!(
            "grace_ms: {grace} is more than a day ({GRACE_MAX_MS})"
        )));
    }
    if request.grace_ms.is_some() && request.action != ActionName::Cancel {
        return Err(ApiError::bad("grace_ms: goes with the action cancel only"));
    }
    if request.patch.is_some() != (request.action == ActionName::Edit) {
        return Err(ApiError::bad(
            "patch: goes with the action edit, and edit with a patch",
        ));
    }
    Ok(match request.action {
        ActionName::Cancel => Action::Cancel {
            grace_ms: request.grace_ms,
        },
        ActionName::Pause => Action::Pause {
            reason: PauseReason::Person,
        },
        ActionName::Resume => Action::Resume {
            reason: PauseReason::Person,
        },
        ActionName::Retry => Action::Retry,
        ActionName::Attach => Action::Attach { by: peer.uid },
        ActionName::Detach => Action::Detach,
        ActionName::Approve => Action::Approve,
        ActionName::Reject => Action::Reject,
        ActionName::Edit => Action::Edit(Box::new(
            patch(request.patch.clone().unwrap_or_default()).await?,
        )),
    })
}

/// What a new value needs of the world around; its range is checked with the task's other values.
async fn patch(mut patch: SpecPatch) -> ApiResult<SpecPatch> {
    if let Some(at) = patch.at {
        checked_time(at)?;
    }
    if let Some(cwd) = &mut patch.cwd {
        *cwd = plain_path(cwd);
        patch.lane = Some(lane_of(&check_directory(cwd).await?));
    }
    Ok(patch)
}
