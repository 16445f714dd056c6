//! Health, status, workers, and what concerns the whole system.

use std::path::PathBuf;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::convert;
use super::error::{ApiError, ApiResult};
use super::peer::Peer;
use super::router::read_json;
use super::tasks::unexpected;
use super::wire::{ClaimsView, SystemStatus, WARNING_HEADER, WorkerView};
use crate::store::{self, CopyError};
use crate::supervisor::command::{Command, Refusal, RefusalCode, Reply};
use crate::supervisor::start::open_options;
use crate::supervisor::{Handle, clock};

/// More days than this are a slip.
const DAYS_MAX: u32 = 36_500;

/// How many were concerned.
#[derive(Debug, Serialize)]
pub(super) struct Counted {
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<PathBuf>,
}

pub(super) async fn health(State(handle): State<Handle>) -> Response {
    let healthy = handle.is_healthy();
    let status = if healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(serde_json::json!({ "ok": healthy }))).into_response()
}

pub(super) async fn status(State(handle): State<Handle>) -> Json<SystemStatus> {
    let overview = handle.overview().await;
    Json(convert::status(overview, &handle.settings()))
}

pub(super) async fn workers(State(handle): State<Handle>) -> Response {
    let (lines, warning) = handle.workers_known().await;
    let lines: Vec<_> = lines.into_iter().map(WorkerView::from).collect();
    let mut response = Json(lines).into_response();
    // The answer is an array, which has no room for a word of its own.
    let words = warning.map(|text| text.replace(|c: char| !c.is_ascii() || c.is_control(), "?"));
    if let Some(value) = words.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(WARNING_HEADER, value);
    }
    response
}

pub(super) async fn pause(
    State(handle): State<Handle>,
    Extension(peer): Extension<Peer>,
) -> ApiResult<Json<ClaimsView>> {
    set_claims(&handle, peer, false).await
}

pub(super) async fn resume(
    State(handle): State<Handle>,
    Extension(peer): Extension<Peer>,
) -> ApiResult<Json<ClaimsView>> {
    set_claims(&handle, peer, true).await
}

async fn set_claims(handle: &Handle, peer: Peer, enabled: bool) -> ApiResult<Json<ClaimsView>> {
    peer.may_operate(handle).await?;
    handle.command(Command::SetClaims { enabled }).await?;
    let overview = handle.overview().await;
    Ok(Json(ClaimsView {
        enabled: overview.claims_enabled,
        why_not: overview.why_not,
    }))
}

pub(super) async fn stop_all(
    State(handle): State<Handle>,
    Extension(peer): Extension<Peer>,
) -> ApiResult<Json<Counted>> {
    peer.may_operate(&handle).await?;
    counted(
        handle
            .command(Command::StopAll {
                actor: peer.actor(),
            })
            .await?,
    )
}

fn counted(reply: Reply) -> ApiResult<Json<Counted>> {
    match reply {
        Reply::Count(count) => Ok(Json(Counted {
            count,
            backup: None,
        })),
        Reply::Submitted { .. } | Reply::Acted { .. } | Reply::Done => Err(unexpected()),
    }
}

/// The body of `/system/cleanup`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CleanupRequest {
    days: u32,
    #[serde(default)]
    dry_run: bool,
}

pub(super) async fn cleanup(
    State(handle): State<Handle>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> ApiResult<Json<Counted>> {
    peer.may_operate(&handle).await?;
    let CleanupRequest { days, dry_run } = read_json(body).await?;
    if days > DAYS_MAX {
        return Err(ApiError::bad(format!(
            "days: {days} is more than {DAYS_MAX}"
        )));
    }
    let count = handle.remove_finished(days, dry_run).await?;
    Ok(Json(Counted {
        count,
        backup: None,
    }))
}

/// The body of `/system/backup` and `/system/reset`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupRequest {
    #[serde(default, alias = "backup")]
    path: Option<PathBuf>,
}

/// What a backup came to.
#[derive(Debug, Serialize)]
pub(super) struct BackupMade {
    path: PathBuf,
    bytes: u64,
}

pub(super) async fn backup(
    State(handle): State<Handle>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> ApiResult<Json<BackupMade>> {
    peer.may_operate(&handle).await?;
    let BackupRequest { path } = read_json(body).await?;
    Ok(Json(make_backup(&handle, path).await?))
}

pub(super) async fn reset(
    State(handle): State<Handle>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> ApiResult<Json<Counted>> {
    peer.may_operate(&handle).await?;
    let BackupRequest { path } = read_json(body).await?;
    if let Some(line) = handle.workers().await?.first() {
        let text = format!(
            "{} still runs; `taskctl system stop-all` first, then reset",
            line.task
        );
        return Err(Refusal::new(RefusalCode::IllegalTransition, text).into());
    }
    let made = make_backup(&handle, path).await?;
    let mut total = 0;
    loop {
        let Json(Counted { count, .. }) = counted(
            handle
                .command(Command::Reset {
                    backup: made.path.clone(),
                })
                .await?,
        )?;
        if count == 0 {
            break;
        }
        total += count;
    }
    Ok(Json(Counted {
        count: total,
        backup: Some(made.path),
    }))
}

/// Backs the database up while it is used. Without a path: below the state directory, named by the time.
async fn make_backup(handle: &Handle, path: Option<PathBuf>) -> ApiResult<BackupMade> {
    let made_here = path.is_none();
    let path = match path {
        Some(path) if path.is_absolute() => path,
        Some(path) => {
            return Err(ApiError::bad(format!(
                "path: {} is not absolute",
                path.display()
            )));
        }
        None => {
            let stamp = clock::now().to_string().replace([':', '.'], "-");
            handle
                .paths()
                .state_dir
                .join("backups")
                .join(format!("{stamp}.db"))
        }
    };
    let options = open_options(handle.paths(), &handle.settings());
    let to = path.clone();
    let job = tokio::task::spawn_blocking(move || {
        if made_here && let Some(dir) = to.parent() {
            std::fs::create_dir_all(dir).map_err(|error| {
                not_made(&CopyError::File {
                    action: "make",
                    path: dir.into(),
                    source: error,
                })
            })?;
        }
        store::backup(&options, &to, &mut |_| {}).map_err(|error| not_made(&error))?;
        let looked = std::fs::metadata(&to).map(|made| made.len());
        looked.map_err(|source| {
            not_made(&CopyError::File {
                action: "look at",
                path: to,
                source,
            })
        })
    });
    let bytes = job
        .await
        .map_err(|error| Refusal::new(RefusalCode::Internal, error.to_string()))??;
    Ok(BackupMade { path, bytes })
}

fn not_made(error: &CopyError) -> Refusal {
    let full = |source: &std::io::Error| source.kind() == std::io::ErrorKind::StorageFull;
    let code = match error {
        CopyError::File { source, .. } if full(source) => RefusalCode::DiskLow,
        CopyError::Store(error) if error.is_disk_full() => RefusalCode::DiskLow,
        // The path is the client's choice, and what is wrong with it the client's to mend.
        CopyError::Exists(_) | CopyError::File { .. } => RefusalCode::BadRequest,
        CopyError::Unsound { .. } | CopyError::Open(_) | CopyError::Store(_) => {
            RefusalCode::StoreFailed
        }
    };
    let why = store::in_full(error);
    Refusal::new(code, format!("the backup was not made: failed to {why}"))
}
