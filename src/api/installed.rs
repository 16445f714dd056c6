//! What is installed of agents.

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use http::StatusCode;

use super::error::{ApiError, ApiResult};
use super::extract::Names;
use super::peer::Peer;
use super::router::read_json;
use super::wire::ContractFound;
use crate::supervisor::Handle;
use crate::supervisor::account::AccountChange;
use crate::supervisor::command::{Command, Refusal, RefusalCode};
use crate::supervisor::installed::{Installed, Look, look as look_at};
use crate::task::Prompt;

/// Longest reason that is taken.
const BROKEN_MAX_CHARS: usize = 1_000;

/// Starts the programs of agents with the credentials of accounts: so only for who may add accounts.
pub(super) async fn look(
    State(handle): State<Handle>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> ApiResult<Json<Vec<Installed>>> {
    let asked: Look = read_json(body).await?;
    peer.may_operate(&handle).await?;
    if asked
        .env
        .iter()
        .any(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0'))
    {
        return Err(ApiError::bad(
            "env: names without \"=\", and no NUL characters",
        ));
    }
    let rows = handle.query(|reader| reader.accounts()).await?;
    // A thread of its own, and none of the runtime's: a daemon that leaves does not wait for it.
    let (done, found) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("installed".to_owned())
        .spawn(move || drop(done.send(look_at(&handle.settings(), handle.paths(), &rows, &asked))))
        .map_err(|error| internal(&error))?;
    let found = found.await.map_err(|error| internal(&error))?;
    Ok(Json(found.map_err(ApiError::bad)?))
}

fn internal(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(RefusalCode::Internal, format!("the look failed: {error}"))
}

/// What a person's check has found of an agent's contract.
pub(super) async fn contract(
    State(handle): State<Handle>,
    Extension(peer): Extension<Peer>,
    Names(agent): Names<String>,
    body: Body,
) -> ApiResult<StatusCode> {
    let ContractFound { broken } = read_json(body).await?;
    let prompt = Prompt::of(
        "check".to_owned(),
        agent.clone(),
        Prompt::DEFAULT_ACCOUNT.to_owned(),
    );
    prompt
        .check()
        .map_err(|error| ApiError::bad(error.to_string()))?;
    if broken.chars().count() > BROKEN_MAX_CHARS || broken.chars().any(char::is_control) {
        return Err(ApiError::bad(format!(
            "broken: one line of at most {BROKEN_MAX_CHARS} characters"
        )));
    }
    peer.may_operate(&handle).await?;
    let change = if broken.is_empty() {
        AccountChange::Sound
    } else {
        AccountChange::Broken(broken)
    };
    handle
        .command(Command::Account {
            agent,
            name: Prompt::DEFAULT_ACCOUNT.to_owned(),
            change,
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
