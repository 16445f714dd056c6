//! What runs of agents cost.

use axum::Json;
use axum::extract::{RawQuery, State};

use super::error::{ApiError, ApiResult};
use super::extract::pairs;
use super::submit::resolve;
use super::wire::CostView;
use crate::store::{CostBy, CostSum};
use crate::supervisor::Handle;
use crate::task::Timestamp;

/// Which costs.
struct Which {
    by: CostBy,
    since: Timestamp,
    task: Option<String>,
}

impl Which {
    fn parse(query: &str) -> ApiResult<Self> {
        let mut which = Self {
            by: CostBy::Task,
            since: Timestamp::from_ms(0),
            task: None,
        };
        for (name, value) in pairs(query, &[])? {
            match name.as_str() {
                "by" => which.by = by(&value)?,
                "since" => {
                    let since = value.parse();
                    which.since =
                        since.map_err(|error| ApiError::bad(format!("since: {error}")))?;
                }
                "task" => which.task = Some(value),
                other => {
                    return Err(ApiError::bad(format!(
                        "unknown query parameter {other:?}; known: by, since, task"
                    )));
                }
            }
        }
        Ok(which)
    }
}

fn by(name: &str) -> ApiResult<CostBy> {
    Ok(match name {
        "task" => CostBy::Task,
        "session" => CostBy::Project,
        "user" => CostBy::User,
        "account" => CostBy::Account,
        "model" => CostBy::Model,
        "day" => CostBy::Day,
        other => {
            return Err(ApiError::bad(format!(
                "by: {other:?} is none of task, session, user, account, model, day"
            )));
        }
    })
}

pub(super) async fn costs(
    State(handle): State<Handle>,
    RawQuery(query): RawQuery,
) -> ApiResult<Json<Vec<CostView>>> {
    let Which { by, since, task } = Which::parse(query.as_deref().unwrap_or_default())?;
    let task = match task {
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
