//! The routes.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::FromRef;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use http::{Method, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::sync::watch;

use super::error::{ApiError, ApiResult};
use super::wire::{API, MAX_BODY_BYTES};
use super::{
    accounts, actions, batch, budgets, events, installed, lease, logs, money, system, tasks,
};
use crate::supervisor::Handle;
use crate::supervisor::command::{Refusal, RefusalCode};

/// A body that is no stream must be complete by then.
const BODY_LIMIT: Duration = Duration::from_secs(30);
/// Errors quote at most this much of a request.
const QUOTED_CHARS: usize = 300;
/// How far a word may be from a known name to be suggested.
const NEAR: f64 = 0.6;

/// What handlers get.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// The supervisor.
    pub handle: Handle,
    /// Turns true when the daemon leaves: streams end then.
    pub shutting: watch::Receiver<bool>,
}

impl FromRef<State> for Handle {
    fn from_ref(state: &State) -> Self {
        state.handle.clone()
    }
}

/// All routes.
pub(super) fn router(handle: Handle, shutting: watch::Receiver<bool>) -> Router {
    let api = Router::new()
        .route("/health", get(system::health))
        .route("/status", get(system::status))
        .route("/workers", get(system::workers))
        .route("/events", get(events::events))
        .route("/tasks", get(tasks::list).post(tasks::create))
        .route("/tasks/estimate", post(budgets::estimate))
        .route("/tasks/batch", post(batch::batch))
        .route("/batches/{batch}", post(batch::close))
        .route("/tasks/actions", post(actions::actions))
        .route("/tasks/{id}", get(tasks::show))
        .route("/tasks/{id}/journal", get(tasks::journal))
        .route("/tasks/{id}/checkpoint", get(tasks::checkpoint))
        .route("/tasks/{id}/wait", get(tasks::wait))
        .route("/tasks/{id}/logs", get(logs::logs))
        .route("/tasks/{id}/lease", post(lease::hold))
        .route("/tasks/{id}/lease", delete(lease::let_go))
        .route("/accounts", get(accounts::list))
        .route(
            "/accounts/{agent}/{account}",
            post(accounts::put).delete(accounts::remove),
        )
        .route("/accounts/{agent}/{account}/hold", post(accounts::hold))
        .route("/agents", post(installed::look))
        .route("/agents/{agent}/contract", post(installed::contract))
        .route("/costs", get(money::costs))
        .route("/budgets", get(budgets::list))
        .route("/system/pause", post(system::pause))
        .route("/system/resume", post(system::resume))
        .route("/system/stop-all", post(system::stop_all))
        .route("/system/cleanup", post(system::cleanup))
        .route("/system/backup", post(system::backup))
        .route("/system/reset", post(system::reset))
        .method_not_allowed_fallback(wrong_method);
    Router::new()
        .nest(API, api)
        .fallback(unknown)
        .with_state(State { handle, shutting })
}

async fn unknown(uri: Uri) -> Response {
    let text = format!("there is no route {}; they begin with {API}", uri.path());
    ApiError(Refusal::new(RefusalCode::NotFound, text)).into_response()
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let error = ApiError::bad(format!("{} does not take {method}", uri.path()));
    (
        http::StatusCode::METHOD_NOT_ALLOWED,
        axum::Json(error.body()),
    )
        .into_response()
}

/// Reads a whole body, bounded in size and time.
///
/// # Errors
/// [`RefusalCode::TooLarge`], [`RefusalCode::RequestTimeout`], or the connection broke.
pub(super) async fn read_body(body: Body) -> ApiResult<bytes::Bytes> {
    // A length that was announced is refused before a byte of it is read.
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(too_large());
    }
    let whole =
        tokio::time::timeout(BODY_LIMIT, Limited::new(body, MAX_BODY_BYTES).collect()).await;
    match whole {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_large()),
        Ok(Err(error)) => Err(ApiError::bad(format!("the body did not arrive: {error}"))),
        Err(_) => {
            let text = format!(
                "the body was not complete within {} s",
                BODY_LIMIT.as_secs()
            );
            Err(Refusal::new(RefusalCode::RequestTimeout, text).into())
        }
    }
}

fn too_large() -> ApiError {
    let text = format!(
        "a body may have {MAX_BODY_BYTES} bytes at most; many tasks go through /tasks/batch, line by line"
    );
    Refusal::new(RefusalCode::TooLarge, text).into()
}

/// Reads a JSON body. An empty one is an empty object.
///
/// # Errors
/// As [`read_body`], or what is wrong with the JSON and where.
pub(super) async fn read_json<T: DeserializeOwned>(body: Body) -> ApiResult<T> {
    let bytes = read_body(body).await?;
    parse_json(if bytes.is_empty() { b"{}" } else { &bytes })
}

/// Parses JSON; errors name the place, and the nearest known name.
///
/// # Errors
/// One clear sentence.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> ApiResult<T> {
    // An array would be taken for the fields in their order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::bad("a JSON object is expected"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = error.path().to_string();
        ApiError::bad(what_is_wrong(&place, error.inner(), bytes))
    })?;
    json.end()
        .map_err(|error| ApiError::bad(error.to_string()))?;
    Ok(value)
}

/// What is wrong with a JSON text, and where, as one sentence.
fn what_is_wrong(place: &str, error: &serde_json::Error, bytes: &[u8]) -> String {
    if let Some(wanted) = wanted_word(&error.to_string(), place, bytes) {
        return format!("{}: {wanted}", clip(place));
    }
    // `?` is where the name of a field was not read to its end.
    let place = match place {
        "." | "?" => String::new(),
        place => format!("{}: ", clip(place)),
    };
    match error.classify() {
        Category::Eof => format!(
            "{place}the JSON ends too early, at line {} column {}: the rest of it is missing",
            error.line(),
            error.column()
        ),
        Category::Syntax | Category::Io => {
            format!("{place}this is no JSON: {}", clip(&error.to_string()))
        }
        Category::Data => {
            let why = error.to_string();
            let near = nearest(&why)
                .map(|name| format!("; did you mean `{name}`?"))
                .unwrap_or_default();
            let why = if why.contains("untagged enum Command") {
                "is neither a string (a line for the shell) nor an array of strings (a program and its arguments)".to_owned()
            } else if let (false, Some((what, _))) =
                (near.is_empty(), why.split_once(", expected "))
            {
                // The name that was meant says more than the list of all.
                clip(what)
            } else {
                // What a client sent comes back only in part.
                clip(&why)
            };
            format!("{place}{why}{near}")
        }
    }
}

/// What belongs in the place of a value of a wrong type, where the parser only says that it expected one: it knows a
/// word's place and not the words. In broken JSON the same complaint is about a value that is missing.
fn wanted_word(why: &str, place: &str, bytes: &[u8]) -> Option<&'static str> {
    if !why.starts_with("expected value at ")
        || serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_err()
    {
        return None;
    }
    Some(if place.starts_with("retry_on") {
        "is no failure; write \"exit\", \"signal\", \"timeout\", \"spawn\" or \"any\", and an exit code as {\"code\":3}"
    } else if place.starts_with("secrets") {
        "is no reference; write {\"file\":\"/abs\"}, {\"credential\":\"name\"} or {\"env\":\"NAME\"}"
    } else {
        "a word in quotes is expected here; docs/api.md has those that are taken"
    })
}

fn clip(text: &str) -> String {
    let mut clipped: String = text
        .chars()
        .take(QUOTED_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(QUOTED_CHARS).is_some() {
        clipped.push('…');
    }
    clipped
}

/// The known name nearest to an unknown one, from serde's own words: `unknown … `x`, expected … `a`, `b``.
fn nearest(why: &str) -> Option<&str> {
    let mut names = why.strip_prefix("unknown ")?.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    names
        .map(|name| (strsim::jaro_winkler(unknown, name), name))
        .filter(|(score, _)| *score > NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::wire::NewTask;

    #[test]
    fn errors_name_the_place_and_the_nearest_name() {
        let error = |text: &str| {
            parse_json::<NewTask>(text.as_bytes())
                .map(|_| ())
                .expect_err(text)
                .0
                .message
        };
        assert!(error(r#"{"name":"n","comand":"true"}"#).contains("did you mean `command`?"));
        assert!(
            error(r#"{"name":"n","command":"true","priority":"hihg"}"#)
                .contains("did you mean `high`?")
        );
        assert_eq!(
            error(r#"{"name":"n","command":"true","priorty":"high"}"#),
            "priorty: unknown field `priorty`; did you mean `priority`?"
        );
        assert!(
            error(r#"{"name":"n","command":"true","retry_on":["exit",3]}"#)
                .starts_with("retry_on[1]: is no failure; write")
        );
        assert!(
            error(r#"{"name":"n","command":"true","priority":3}"#)
                .starts_with("priority: a word in quotes")
        );
        assert!(error(r#"{"name":"n","command":"true","priority":}"#).contains("expected value"));
        assert!(error(r#"{"name":"n","command":"true","at":"soon"}"#).starts_with("at: "));
        assert!(error(r#"{"name":"n","command":"true"} x"#).contains("trailing"));
        assert!(error("").contains("object"));
        for cut in [
            "{",
            r#"{"na"#,
            r#"{"name":"n"#,
            r#"{"name":"n","command":["a""#,
        ] {
            let said = error(cut);
            assert!(
                said.contains("ends too early, at line 1 column") && !said.contains('?'),
                "{cut}: {said}"
            );
        }
        assert!(error(r#"{"name":"n"#).starts_with("name: "));
        assert_eq!(
            error("{nonsense"),
            "this is no JSON: key must be a string at line 1 column 2"
        );
        assert!(
            error(&"[".repeat(100_000)).contains("object"),
            "an array is no task"
        );
        let deep = format!(r#"{{"name":"n","command":{}"#, "[".repeat(100_000));
        assert!(error(&deep).contains("recursion limit") || error(&deep).contains("did not match"));
    }
}
