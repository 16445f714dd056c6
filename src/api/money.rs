//! What runs of agents cost.

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;

use super::error::{ApiError, ApiResult};
use super::submit::resolve;
use super::wire::CostView;
use crate::store::{CostBy, CostSum};
use crate::supervisor::Handle;
use crate::task::Timestamp;

/// Which costs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    by: Option<String>,
    since: Option<Timestamp>,
    task: Option<String>,
}

pub(super) async fn costs(
    State(handle): State<Handle>,
    Query(which): Query<Which>,
) -> ApiResult<Json<Vec<CostView>>> {
    let by = match which.by.as_deref() {
        None | Some("task") => CostBy::Task,
        Some("session") => CostBy::Project,
        Some("user") => CostBy::User,
        Some("account") => CostBy::Account,
        Some("model") => CostBy::Model,
        Some("day") => CostBy::Day,
        Some(other) => {
            return Err(ApiError::bad(format!(
                "by: {other:?} is none of task, session, user, account, model, day"
            )));
        }
    };
    let since = which.since.unwrap_or(Timestamp::from_ms(0));
    let task = match which.task {
        Some(text) => Some(resolve(&handle, &text).await?.to_string()),
        None => None,
    };
    let sums = handle
        .query(move |reader| reader.costs(by, since, task.as_deref()))
        .await?;
    Ok(Json(sums.into_iter().map(CostView::from).collect()))
}

impl From<CostSum> for CostView {
    fn from(sum: CostSum) -> Self {
        Self {
            group: sum.group,
            runs: sum.runs,
            unknown_runs: sum.unknown,
            estimated_runs: sum.estimated,
            micro_usd: sum.micro_usd,
            tokens: sum.tokens,
            run_ms: sum.run_ms,
        }
    }
}
