//! Refusals as HTTP: one table of codes and statuses, one body.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::CONNECTION;
use http::{HeaderValue, StatusCode};

use super::wire::ErrorBody;
use crate::supervisor::command::{Refusal, RefusalCode};

/// A refused request.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError(pub Refusal);

/// What every handler answers with.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// The request itself is wrong.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self(Refusal::new(RefusalCode::BadRequest, message))
    }

    /// The body of the answer.
    #[must_use]
    pub(super) fn body(&self) -> ErrorBody {
        ErrorBody {
            code: self.0.code,
            message: self.0.message.clone(),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

/// The status of each code.
#[must_use]
pub(super) fn status(code: RefusalCode) -> StatusCode {
    match code {
        RefusalCode::BadRequest | RefusalCode::AmbiguousId => StatusCode::BAD_REQUEST,
        RefusalCode::NotFound => StatusCode::NOT_FOUND,
        RefusalCode::KeyConflict | RefusalCode::IllegalTransition => StatusCode::CONFLICT,
        RefusalCode::Forbidden => StatusCode::FORBIDDEN,
        RefusalCode::QueueFull => StatusCode::TOO_MANY_REQUESTS,
        RefusalCode::DiskLow => StatusCode::INSUFFICIENT_STORAGE,
        RefusalCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        RefusalCode::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        RefusalCode::ShuttingDown | RefusalCode::StoreFailed => StatusCode::SERVICE_UNAVAILABLE,
        RefusalCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (status(self.0.code), Json(self.body())).into_response();
        if matches!(
            self.0.code,
            RefusalCode::TooLarge | RefusalCode::RequestTimeout
        ) {
            // The rest of the request is on its way, and nobody will read it.
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
