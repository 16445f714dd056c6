//! What handlers take from the head of a request. Whatever is wrong there is answered with our own error body: axum's own
//! rejections are plain text, which no client of ours expects.

use std::collections::BTreeSet;

use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::{ApiError, ApiResult};
use crate::supervisor::command::{Refusal, RefusalCode};

/// The `{id}` of a route, as it was written: an id, a beginning of one, or anything else.
#[derive(Debug)]
pub(super) struct IdText(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for IdText {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(rejection) if rejection.status().is_server_error() => {
                Err(Refusal::new(RefusalCode::Internal, rejection.body_text()).into())
            }
            Err(_) => Err(ApiError::bad(
                "the task id in the path is no text: its escaped bytes are no UTF-8",
            )),
        }
    }
}

/// The names in a route, as they were written.
#[derive(Debug)]
pub(super) struct Names<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Names<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(names)) => Ok(Self(names)),
            Err(rejection) if rejection.status().is_server_error() => {
                Err(Refusal::new(RefusalCode::Internal, rejection.body_text()).into())
            }
            Err(_) => Err(ApiError::bad(
                "a name in the path is no text: its escaped bytes are no UTF-8",
            )),
        }
    }
}

/// The pairs of a query string. Only the names in `repeatable` may come more than once: of two values of another one, either
/// would be ignored in silence.
///
/// # Errors
/// It is no query string, or a name comes twice.
pub(super) fn pairs(query: &str, repeatable: &[&str]) -> ApiResult<Vec<(String, String)>> {
    let uri: http::Uri = format!("/?{query}")
        .parse()
        .map_err(|_| ApiError::bad("the query string is malformed"))?;
    let parsed = Query::<Vec<(String, String)>>::try_from_uri(&uri);
    let pairs = parsed.map_err(|error| ApiError::bad(error.to_string()))?.0;
    let mut seen = BTreeSet::new();
    for (name, _) in &pairs {
        if !repeatable.contains(&name.as_str()) && !seen.insert(name) {
            return Err(ApiError::bad(format!(
                "query parameter {name:?} is given more than once; give it once"
            )));
        }
    }
    Ok(pairs)
}
