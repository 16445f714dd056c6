//! Accounts of agents: how they are reached, and what is known of their limits.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use http::StatusCode;

use super::error::{ApiError, ApiResult};
use super::extract::Names;
use super::looks::look;
use super::peer::Peer;
use super::router::read_json;
use super::wire::{AccountView, AgentView, HoldRequest, HoldView, WindowView};
use crate::holds::{Account, Ask, Gate, HoldKind, Policy};
use crate::store::AccountRow;
use crate::supervisor::account::{AccountChange, AccountSpec};
use crate::supervisor::command::Command;
use crate::supervisor::{Handle, agents, clock};
use crate::task::{Prompt, State as TaskState, Task};

pub(super) async fn list(State(handle): State<Handle>) -> ApiResult<Json<Vec<AccountView>>> {
    let (rows, waiting) = handle
        .query(|reader| Ok((reader.accounts()?, reader.waiting_at_gates()?)))
        .await?;
    let mut views: BTreeMap<(String, String), AccountView> = BTreeMap::new();
    for row in rows {
        let spec: AccountSpec = serde_json::from_str(&row.spec).unwrap_or_default();
        let state: Account = serde_json::from_str(&row.state).unwrap_or_default();
        let view = view_of(row.agent.clone(), row.name.clone(), spec, &state);
        views.insert((row.agent, row.name), view);
    }
    for (gate, state, count) in waiting {
        let key = (gate.agent, gate.account);
        let view = views
            .entry(key.clone())
            .or_insert_with(|| view_of(key.0, key.1, AccountSpec::default(), &Account::default()));
        match state {
            TaskState::Processing | TaskState::Testing => view.running += count,
            TaskState::WaitingUnban => view.held += count,
            TaskState::Pending | TaskState::Retrying => view.queued += count,
            TaskState::Paused
            | TaskState::NeedsHumanReview
            | TaskState::Completed
            | TaskState::Failed
            | TaskState::Cancelled => {}
        }
    }
    Ok(Json(views.into_values().collect()))
}

/// What of its account a task waits for, if anything.
pub(super) fn tell_wait(view: &mut AgentView, task: &Task, rows: &[AccountRow], policy: &Policy) {
    let waits = matches!(
        task.life.state,
        TaskState::Pending | TaskState::Retrying | TaskState::WaitingUnban
    );
    let row = rows
        .iter()
        .find(|row| row.agent == view.agent && row.name == view.account);
    let (true, Some(row)) = (waits, row) else {
        return;
    };
    let state: Account = serde_json::from_str(&row.state).unwrap_or_default();
    let ask = Ask {
        model: view.model.as_deref(),
        priority: task.spec.priority,
        now: clock::now(),
    };
    if let Gate::Closed { until, why } = state.gate(&ask, policy) {
        view.waits_for = Some(why.to_string());
        view.waits_until = until;
    }
}

fn view_of(agent: String, name: String, spec: AccountSpec, state: &Account) -> AccountView {
    let now = clock::now();
    AccountView {
        agent,
        name,
        config_dir: spec.config_dir,
        variables: spec
            .env
            .into_keys()
            .chain(spec.secrets.into_keys())
            .collect(),
        holds: state
            .holds()
            .iter()
            .map(|hold| HoldView {
                kind: hold.kind,
                words: hold.to_string(),
                model: hold.model.clone(),
                since: hold.since,
                until: hold.until,
                strikes: hold.strikes,
                detail: hold.detail.clone(),
                advice: hold.kind.advice().map(str::to_owned),
            })
            .collect(),
        probing: state.probe().is_some(),
        windows: state
            .windows()
            .iter()
            .filter(|seen| seen.window.resets_at.is_none_or(|end| end > now))
            .map(|seen| WindowView {
                name: seen.window.name.clone(),
                used_percent: f64::from(seen.window.used_permille) / 10.0,
                resets_at: seen.window.resets_at,
                seen_at: seen.seen_at,
            })
            .collect(),
        running: 0,
        queued: 0,
        held: 0,
    }
}

pub(super) async fn put(
    State(handle): State<Handle>,
    Extension(peer): Extension<Peer>,
    Names((agent, name)): Names<(String, String)>,
    body: Body,
) -> ApiResult<StatusCode> {
    let spec: AccountSpec = read_json(body).await?;
    check(&agent, &name)?;
    spec.check().map_err(ApiError::bad)?;
    peer.may_operate(&handle).await?;
    let (settings, directory, of) = (handle.settings(), spec.config_dir.clone(), agent.clone());
    let seen = look(move || {
        agents::known(&settings, &of).map_err(|why| format!("agent: {why}"))?;
        match directory.as_deref().map(std::fs::metadata) {
            // One that is not there yet is made by the agent's login.
            Some(Ok(found)) if !found.is_dir() => Err("config_dir: is no directory".to_owned()),
            Some(_) | None => Ok(()),
        }
    });
    let silent = || Err("config_dir: its file system does not answer".to_owned());
    seen.await?.unwrap_or_else(silent).map_err(ApiError::bad)?;
    change(&handle, peer, agent, name, AccountChange::Put(spec)).await
}

pub(super) async fn remove(
    State(handle): State<Handle>,
    Extension(peer): Extension<Peer>,
    Names((agent, name)): Names<(String, String)>,
) -> ApiResult<StatusCode> {
    check(&agent, &name)?;
    change(&handle, peer, agent, name, AccountChange::Remove).await
}

pub(super) async fn hold(
    State(handle): State<Handle>,
    Extension(peer): Extension<Peer>,
    Names((agent, name)): Names<(String, String)>,
    body: Body,
) -> ApiResult<StatusCode> {
    let request: HoldRequest = read_json(body).await?;
    check(&agent, &name)?;
    let wanted = if request.clear {
        AccountChange::Clear(request.kind)
    } else {
        AccountChange::Hold {
            kind: request.kind.unwrap_or(HoldKind::Person),
            until: request.until,
        }
    };
    change(&handle, peer, agent, name, wanted).await
}

async fn change(
    handle: &Handle,
    peer: Peer,
    agent: String,
    name: String,
    change: AccountChange,
) -> ApiResult<StatusCode> {
    peer.may_operate(handle).await?;
    handle
        .command(Command::Account {
            agent,
            name,
            change,
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Both are names that can stand in a key.
fn check(agent: &str, name: &str) -> ApiResult<()> {
    let prompt = Prompt::of("check".to_owned(), agent.to_owned(), name.to_owned());
    prompt
        .check()
        .map_err(|error| ApiError::bad(error.to_string()))
}
