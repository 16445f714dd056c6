//! Facts → how the run ended.
//!
//! The order counts: what the program says in fields comes before what it says in words, and the fine kind before the
//! status. Each step answers or passes on.

use super::event::{ApiError, ResultEvent};
use super::facts::Facts;
use super::limits::{self, LimitInfo};
use crate::agent::text::{self, TEXT_MAX_BYTES, holds};
use crate::agent::trouble;
use crate::agent::{ProcessEnd, Verdict, told_to_end};
use crate::task::{Block, BlockKind, Outcome, OutcomeKind, Timestamp, Trouble};

/// What the error output says when a session could not be had. Exit code 1 and nothing else: no result is written for them
/// in every output format.
const ERROR_LINES: [(&str, OutcomeKind); 3] = [
    (
        "no conversation found with session id",
        OutcomeKind::UnknownSession,
    ),
    ("is already in use", OutcomeKind::ResumeFailed),
    (
        "no deferred tool marker found in the resumed session",
        OutcomeKind::ResumeFailed,
    ),
];

/// How it ended: a kind, or a block that makes it [`OutcomeKind::Limited`].
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ended {
    As(OutcomeKind),
    Blocked(Block),
}

/// The verdict on a run.
pub(super) fn verdict(mut facts: Facts, errors: &[String], end: &ProcessEnd) -> Verdict {
    let result = facts.result.take();
    let (ended, said) = match &result {
        Some(result) => (of_result(result, &facts, end.now), result.text.clone()),
        None => (without_result(&facts, errors, end), String::new()),
    };
    let ended = resumed_in_vain(ended, &facts, end);
    let detail = detail(&ended, &said, &facts, errors, end);
    let again = facts.trying_again.map(why_again);
    let mut report = facts.report;
    let kind = match ended {
        // Not known to be why it ended, but what it was busy with when it did.
        Ended::As(OutcomeKind::NoResult) => {
            report.block = again;
            OutcomeKind::NoResult
        }
        Ended::As(kind) => kind,
        Ended::Blocked(block) => {
            report.block = Some(block);
            OutcomeKind::Limited
        }
    };
    Verdict {
        kind,
        detail,
        report,
        proven: result.is_some(),
    }
}

/// A resumed session in which the model never spoke, without a reason that lies outside it, is one that cannot be resumed.
fn resumed_in_vain(ended: Ended, facts: &Facts, end: &ProcessEnd) -> Ended {
    match ended {
        Ended::As(OutcomeKind::AgentError | OutcomeKind::NoResult)
            if facts.resumed
                && !facts.has_spoken
                && !told_to_end(end)
                && facts.trying_again.is_none() =>
        {
            Ended::As(OutcomeKind::ResumeFailed)
        }
        Ended::As(_) | Ended::Blocked(_) => ended,
    }
}

fn without_result(facts: &Facts, errors: &[String], end: &ProcessEnd) -> Ended {
    if let Some(failure) = &facts.failure
        && let Some(blocked) = of_failure(failure, facts.rejected.as_ref(), "", end.now)
    {
        return blocked;
    }
    let said = ERROR_LINES
        .iter()
        .find(|(words, _)| errors.iter().any(|line| holds(line, words)));
    if let Some((_, kind)) = said {
        return Ended::As(*kind);
    }
    // The last that was heard is a limit: it costs no try, whatever kept the program from saying how it ended.
    match facts.rejected.as_ref().filter(|limit| limit.is_limit()) {
        Some(limit) if !told_to_end(end) => Ended::Blocked(limit.block("", end.now)),
        Some(_) | None => Ended::As(OutcomeKind::NoResult),
    }
}

fn of_result(result: &ResultEvent, facts: &Facts, now: Timestamp) -> Ended {
    let reason = result.terminal_reason.as_deref().unwrap_or_default();
    if let Some(kind) = broken_off(reason) {
        return Ended::As(kind);
    }
    if result.is_error == Some(false) {
        return Ended::As(success(result, facts, reason));
    }
    let text = result.text.as_str();
    if holds(text, ERROR_LINES[0].0) {
        return Ended::As(OutcomeKind::UnknownSession);
    }
    if let Some(kind) = by_reason(result.subtype.as_deref().unwrap_or_default(), reason) {
        return Ended::As(kind);
    }
    if result.stop_reason.as_deref() == Some("refusal") {
        return Ended::As(OutcomeKind::Refused);
    }
    let failure = joined(result, facts.failure.as_ref());
    of_failure(&failure, facts.rejected.as_ref(), text, now)
        .unwrap_or(Ended::As(OutcomeKind::AgentError))
}

/// The run was broken off: whatever its result says, it is not at its end.
fn broken_off(reason: &str) -> Option<OutcomeKind> {
    match reason {
        "aborted_streaming" | "aborted_tools" => Some(OutcomeKind::NoResult),
        // It would go on in a daemon of the program's own, which ours switches off.
        "background_requested" => Some(OutcomeKind::AgentError),
        _ => None,
    }
}

fn success(result: &ResultEvent, facts: &Facts, reason: &str) -> OutcomeKind {
    let deferred =
        reason == "tool_deferred" || result.stop_reason.as_deref() == Some("tool_deferred");
    if deferred {
        OutcomeKind::ToolDeferred
    } else if result.stop_reason.as_deref() == Some("refusal") {
        OutcomeKind::Refused
    } else if facts.report.denials > 0 {
        OutcomeKind::ToolsDenied
    } else {
        OutcomeKind::Succeeded
    }
}

fn by_reason(subtype: &str, reason: &str) -> Option<OutcomeKind> {
    match (subtype, reason) {
        ("error_max_turns", _) | (_, "max_turns") => Some(OutcomeKind::MaxTurns),
        ("error_max_budget_usd", _) | (_, "budget_exhausted") => Some(OutcomeKind::MaxBudget),
        (_, "prompt_too_long" | "blocking_limit" | "rapid_refill_breaker") => {
            Some(OutcomeKind::PromptTooLong)
        }
        _ => None,
    }
}

/// What the result and the stand-in for the model's answer in front of it say about the same failure. Either may lack what
/// the other has: by version, and by output format.
fn joined(result: &ResultEvent, failure: Option<&ApiError>) -> ApiError {
    let mut joined = failure.cloned().unwrap_or_default();
    joined.api_error = result.api_error.clone().or(joined.api_error);
    joined.status = result.status.or(joined.status);
    joined
}

/// What a failed request means, if it means more than that the run failed.
fn of_failure(
    failure: &ApiError,
    rejected: Option<&LimitInfo>,
    text: &str,
    now: Timestamp,
) -> Option<Ended> {
    let coarse = failure.error.as_deref().unwrap_or_default();
    let limit = failure.limit.as_ref().or(rejected);
    let fine = failure.api_error.as_deref().unwrap_or_default();
    if fine == "usage_limit_reached" {
        return Some(Ended::Blocked(limit_block(limit, text, now)));
    }
    if let Some(ended) = by_fine_kind(fine, text) {
        return Some(ended);
    }
    // Versions without the fine kind.
    if coarse == "rate_limit"
        && fine.is_empty()
        && let Some(limit) = limit.filter(|limit| limit.is_limit())
    {
        return Some(Ended::Blocked(limit.block(text, now)));
    }
    if let Some(block) = limits::limit_in_words(text, now) {
        return Some(Ended::Blocked(block));
    }
    by_status(failure.status, text)
        .or_else(|| by_coarse_kind(coarse))
        .or_else(|| by_words(text))
        .or_else(|| {
            (coarse == "server_error").then(|| Ended::Blocked(Block::of(BlockKind::Server)))
        })
}

fn limit_block(limit: Option<&LimitInfo>, text: &str, now: Timestamp) -> Block {
    match limit {
        Some(limit) => limit.block(text, now),
        None => limits::limit_in_words(text, now)
            .unwrap_or_else(|| LimitInfo::default().block(text, now)),
    }
}

fn by_fine_kind(fine: &str, text: &str) -> Option<Ended> {
    let network = |trouble| Some(Ended::Blocked(network(trouble)));
    match fine {
        "connection_failed" => network(trouble::in_text(text).unwrap_or(Trouble::Other)),
        "stream_idle_timeout" => network(Trouble::Silent),
        "no_response" => network(Trouble::TimedOut),
        "tls_untrusted_ca" | "tls_cert_signature_failure" => network(Trouble::Tls),
        "gateway_content_type" => network(Trouble::Proxy),
        "computer_slept" | "network_edge_blocked" => network(Trouble::Other),
        "empty_completion" => Some(Ended::Blocked(Block::of(BlockKind::Server))),
        "stored_login_refused"
        | "oauth_refresh_store_refused"
        | "gateway_signin_required"
        | "gateway_session_expired"
        | "api_key_auth_disabled"
        | "org_disabled_credential"
        | "invalid_credential_header"
        | "provider_credentials" => Some(Ended::Blocked(Block::of(BlockKind::Login))),
        "model_requires_usage_credits"
        | "long_context_credits_required"
        | "no_allowed_fallback"
        | "model_substitution_disabled" => Some(Ended::As(OutcomeKind::ModelUnavailable)),
        "message_over_context_limit" | "autocompact_thrashing" => {
            Some(Ended::As(OutcomeKind::PromptTooLong))
        }
        "safety_monitor_blocked" => Some(Ended::As(OutcomeKind::Refused)),
        // No block: the run itself is at fault, or nothing that waiting could mend.
        "max_output_tokens"
        | "dlp_request_denied"
        | "claude_code_version_too_old"
        | "hook_denied"
        | "malformed_tool_use_exhausted" => Some(Ended::As(OutcomeKind::AgentError)),
        _ => None,
    }
}

fn by_status(status: Option<u64>, text: &str) -> Option<Ended> {
    let block = |kind| Some(Ended::Blocked(Block::of(kind)));
    match status? {
        401 | 403 => block(BlockKind::Login),
        402 => block(BlockKind::Credit),
        404 => Some(Ended::As(OutcomeKind::ModelUnavailable)),
        407 => Some(Ended::Blocked(network(Trouble::Proxy))),
        408 => Some(Ended::Blocked(network(Trouble::TimedOut))),
        413 => Some(Ended::As(OutcomeKind::PromptTooLong)),
        429 => block(BlockKind::Throttle),
        529 => block(BlockKind::Overload),
        500..=599 => block(BlockKind::Server),
        400 => by_words(text),
        _ => None,
    }
}

fn by_coarse_kind(coarse: &str) -> Option<Ended> {
    let block = |kind| Some(Ended::Blocked(Block::of(kind)));
    match coarse {
        "authentication_failed"
        | "oauth_org_not_allowed"
        | "account_on_hold"
        | "verification_required"
        | "cloud_credential_error" => block(BlockKind::Login),
        "billing_error" => block(BlockKind::Credit),
        "rate_limit" => block(BlockKind::Throttle),
        "overloaded" => block(BlockKind::Overload),
        "model_not_found" => Some(Ended::As(OutcomeKind::ModelUnavailable)),
        _ => None,
    }
}

/// The last resort: the program's own words for an error without any field that tells.
fn by_words(text: &str) -> Option<Ended> {
    const LOGIN: [&str; 6] = [
        "not logged in",
        "please run /login",
        "invalid api key",
        "failed to authenticate",
        "oauth token",
        "authentication_error",
    ];
    // An answer that is no answer comes from something that stands in between.
    const INTERCEPTED: [&str; 2] = ["json parse error", "empty or malformed response"];
    let any = |list: &[&str]| list.iter().any(|part| holds(text, part));
    if holds(text, "prompt is too long") {
        return Some(Ended::As(OutcomeKind::PromptTooLong));
    }
    if holds(text, "credit balance") {
        return Some(Ended::Blocked(Block::of(BlockKind::Credit)));
    }
    if any(&LOGIN) {
        return Some(Ended::Blocked(Block::of(BlockKind::Login)));
    }
    if holds(text, "issue with the selected model") {
        return Some(Ended::As(OutcomeKind::ModelUnavailable));
    }
    if any(&INTERCEPTED) {
        return Some(Ended::Blocked(network(Trouble::Proxy)));
    }
    trouble::in_text(text).map(|trouble| Ended::Blocked(network(trouble)))
}

fn network(trouble: Trouble) -> Block {
    Block {
        trouble: Some(trouble),
        ..Block::of(BlockKind::Network)
    }
}

/// One line for a person.
fn detail(ended: &Ended, said: &str, facts: &Facts, errors: &[String], end: &ProcessEnd) -> String {
    let line = |text: &str| text::one_line(text, Outcome::DETAIL_MAX_BYTES);
    match ended {
        Ended::As(OutcomeKind::Succeeded) => String::new(),
        Ended::As(OutcomeKind::ToolsDenied) => match facts.report.denials {
            1 => "one tool call was denied".to_owned(),
            denials => format!("{denials} tool calls were denied"),
        },
        Ended::As(OutcomeKind::ToolDeferred) => "a tool call waits for an answer".to_owned(),
        Ended::As(_) | Ended::Blocked(_) if !said.is_empty() => line(said),
        Ended::As(_) | Ended::Blocked(_) => {
            if let Some(status) = facts.trying_again {
                return trying_again(status, facts.report.retries);
            }
            match errors.last() {
                Some(last) => line(last),
                None => silence(end),
            }
        }
    }
}

/// What stands in the way of a request that is tried again: its status, or no connection at all.
fn why_again(status: Option<u64>) -> Block {
    match by_status(status, "") {
        Some(Ended::Blocked(block)) => block,
        Some(Ended::As(_)) | None if status.is_some() => Block::of(BlockKind::Server),
        Some(Ended::As(_)) | None => network(Trouble::Other),
    }
}

fn trying_again(status: Option<u64>, retries: u32) -> String {
    let why = status.map_or_else(
        || "no connection".to_owned(),
        |status| format!("status {status}"),
    );
    format!("ended while a request was tried again ({why}, {retries} retries)")
}

fn silence(end: &ProcessEnd) -> String {
    match (end.exit_code, end.signal) {
        (_, Some(signal)) => format!("ended by signal {signal} without a result"),
        (Some(code), None) => format!("exited with code {code} without a result"),
        (None, None) => "ended without a result".to_owned(),
    }
}

const _: () = assert!(Outcome::DETAIL_MAX_BYTES <= TEXT_MAX_BYTES);

#[cfg(test)]
mod tests;
