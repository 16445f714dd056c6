//! Budgets, where they stand, and what a task will use.

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};

use super::error::ApiResult;
use super::peer::Peer;
use super::router::read_json;
use super::submit::submission;
use super::wire::{AgentView, BudgetView, EstimateView, NewTask, SpreadView};
use crate::budget::{Forecast, Room, Scope, Spread, forecast, share};
use crate::config::Settings;
use crate::store::{Like, Reader, StoreError};
use crate::supervisor::budgets::{self, Line};
use crate::supervisor::{Handle, clock};
use crate::task::{State as TaskState, Task, Timestamp};

impl From<&Line> for BudgetView {
    fn from(line: &Line) -> Self {
        Self {
            scope: line.of.scope.kind().to_owned(),
            name: line.of.scope.name(),
            limit: line.of.limit,
            used: line.standing.used,
            reserved: line.standing.reserved,
            unknown_runs: line.unknown_runs,
            level: line.standing.level().name().to_owned(),
            resets_at: budgets::resets_at(&line.of),
        }
    }
}

/// All budgets: those of the settings, and those of tasks that run or are paused for money.
pub(super) async fn list(State(handle): State<Handle>) -> ApiResult<Json<Vec<BudgetView>>> {
    let (settings, now) = (handle.settings(), clock::now());
    let lines = handle
        .query(move |reader| everywhere(&settings, reader, now))
        .await?;
    Ok(Json(lines.iter().map(BudgetView::from).collect()))
}

fn everywhere(
    settings: &Settings,
    reader: &Reader,
    now: Timestamp,
) -> Result<Vec<Line>, StoreError> {
    let kept = reader.accounts()?;
    let kept = kept.into_iter().map(|row| (row.agent, row.name));
    let accounts = budgets::accounts(settings, kept);
    let ledger = reader.ledger();
    let mut lines = budgets::of_settings(settings, ledger, accounts, now)?;
    for id in ledger.tasks_with_budgets()? {
        for task in reader.task(&id)?.iter() {
            let of_task = budgets::lines_of(settings, ledger, task, 1, now)?;
            let is_own = |line: &Line| matches!(line.of.scope, Scope::Task { .. });
            lines.extend(of_task.into_iter().filter(is_own));
        }
    }
    Ok(lines)
}

/// Adds to a task's view where its budgets stand, and what it waits for on their account.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) fn tell(
    view: &mut AgentView,
    settings: &Settings,
    reader: &Reader,
    task: &Task,
    now: Timestamp,
) -> Result<(), StoreError> {
    let ledger = reader.ledger();
    let lines = budgets::lines_of(settings, ledger, task, 1, now)?;
    view.budgets = lines.iter().map(BudgetView::from).collect();
    view.share = ledger.reservation(&task.attempt())?;
    let standings: Vec<_> = lines.iter().map(|line| line.standing).collect();
    let state = task.life.state;
    view.waits_for_budget = match share(&standings) {
        Room::Wait(place) if matches!(state, TaskState::Pending | TaskState::Retrying) => {
            lines.get(place).map(|line| {
                format!(
                    "{}: what is left of it is reserved by running attempts",
                    line.words()
                )
            })
        }
        Room::UsedUp(place) if !state.is_final() && !state.holds_slot() => {
            lines.get(place).map(Line::words)
        }
        Room::Wait(_) | Room::UsedUp(_) | Room::Share(_) => None,
    };
    Ok(())
}

/// What a task would use, told from finished ones that are like it. Checks what a submission checks, and creates nothing.
pub(super) async fn estimate(
    State(handle): State<Handle>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> ApiResult<Json<EstimateView>> {
    let new: NewTask = read_json(body).await?;
    let spec = submission(&handle, peer, new).await?.spec;
    let Some(prompt) = spec.command.prompt().cloned() else {
        return Ok(Json(view(None, 1)));
    };
    let chunks = u32::try_from(prompt.chunks.len())
        .unwrap_or(u32::MAX)
        .max(1);
    let like = Like {
        agent: prompt.agent,
        model: prompt.model,
        task_type: spec.task_type,
        project: spec.cwd.to_string_lossy().into_owned(),
    };
    let samples = handle
        .query(move |reader| reader.ledger().samples(&like))
        .await?;
    Ok(Json(view(forecast(&samples, chunks), chunks)))
}

fn view(forecast: Option<Forecast>, chunks: u32) -> EstimateView {
    let spread = |of: fn(&Forecast) -> Spread| {
        forecast.as_ref().map(|known| {
            let Spread { p10, p50, p90 } = of(known);
            SpreadView { p10, p50, p90 }
        })
    };
    EstimateView {
        known: forecast.is_some(),
        likeness: forecast.map(|known| known.likeness.name().to_owned()),
        words: forecast.map(|known| known.likeness.words().to_owned()),
        tasks: forecast.map_or(0, |known| known.tasks as u64),
        chunks,
        micro_usd: spread(|known| known.micro_usd),
        tokens: spread(|known| known.tokens),
        run_ms: spread(|known| known.run_ms),
    }
}
