//! What each of the program's words for a failure means, and which of them counts.

use super::*;

#[test]
fn the_fine_kind_of_an_error_tells() {
    for (fine, expected) in [
        ("no_response", Trouble::TimedOut),
        ("stream_idle_timeout", Trouble::Silent),
        ("tls_cert_signature_failure", Trouble::Tls),
        ("gateway_content_type", Trouble::Proxy),
        ("computer_slept", Trouble::Other),
        ("network_edge_blocked", Trouble::Other),
    ] {
        // The status is a coarser word for it.
        let block = blocked(&format!(r#""api_error":"{fine}","api_error_status":401"#));
        let found = (block.kind, block.trouble);
        assert_eq!(found, (BlockKind::Network, Some(expected)), "{fine}");
    }
    for fine in [
        "stored_login_refused",
        "oauth_refresh_store_refused",
        "gateway_signin_required",
        "gateway_session_expired",
        "api_key_auth_disabled",
        "org_disabled_credential",
        "invalid_credential_header",
        "provider_credentials",
    ] {
        let block = blocked(&format!(r#""api_error":"{fine}","api_error_status":500"#));
        assert_eq!(block.kind, BlockKind::Login, "{fine}");
    }
    for (fine, expected) in [
        (
            "long_context_credits_required",
            OutcomeKind::ModelUnavailable,
        ),
        ("no_allowed_fallback", OutcomeKind::ModelUnavailable),
        ("model_substitution_disabled", OutcomeKind::ModelUnavailable),
        ("message_over_context_limit", OutcomeKind::PromptTooLong),
        ("autocompact_thrashing", OutcomeKind::PromptTooLong),
        ("safety_monitor_blocked", OutcomeKind::Refused),
        ("max_output_tokens", OutcomeKind::AgentError),
        ("dlp_request_denied", OutcomeKind::AgentError),
        ("claude_code_version_too_old", OutcomeKind::AgentError),
        ("hook_denied", OutcomeKind::AgentError),
        ("malformed_tool_use_exhausted", OutcomeKind::AgentError),
    ] {
        let verdict = failed(&format!(r#""api_error":"{fine}","api_error_status":429"#));
        assert_eq!(verdict.kind, expected, "{fine}");
    }
}

#[test]
fn why_a_run_stopped_tells_before_its_error() {
    for (keys, expected) in [
        (
            r#""terminal_reason":"aborted_tools""#,
            OutcomeKind::NoResult,
        ),
        (
            r#""terminal_reason":"background_requested""#,
            OutcomeKind::AgentError,
        ),
        (r#""terminal_reason":"max_turns""#, OutcomeKind::MaxTurns),
        (
            r#""terminal_reason":"budget_exhausted""#,
            OutcomeKind::MaxBudget,
        ),
        (
            r#""terminal_reason":"prompt_too_long""#,
            OutcomeKind::PromptTooLong,
        ),
        (
            r#""terminal_reason":"rapid_refill_breaker""#,
            OutcomeKind::PromptTooLong,
        ),
        (r#""stop_reason":"refusal""#, OutcomeKind::Refused),
        (
            r#""result":"No conversation found with session ID: 1""#,
            OutcomeKind::UnknownSession,
        ),
    ] {
        let verdict = failed(&format!(r#"{keys},"api_error_status":429"#));
        assert_eq!(verdict.kind, expected, "{keys}");
    }
    for (subtype, expected) in [
        ("error_max_turns", OutcomeKind::MaxTurns),
        ("error_max_budget_usd", OutcomeKind::MaxBudget),
        ("error_during_execution", OutcomeKind::AgentError),
    ] {
        let mut facts = Facts::new(false);
        facts.line(&format!(
            r#"{{"type":"result","subtype":"{subtype}","is_error":true}}"#
        ));
        assert_eq!(facts.finish(&[], &end()).kind, expected, "{subtype}");
    }
}

#[test]
fn words_are_the_last_resort() {
    let said = |text: &str| failed(&format!(r#""api_error_status":400,"result":"{text}""#));
    for (text, expected) in [
        ("Not logged in · Please run /login", BlockKind::Login),
        ("Please run /login", BlockKind::Login),
        ("Invalid API key", BlockKind::Login),
        ("Failed to authenticate", BlockKind::Login),
        ("OAuth token has expired", BlockKind::Login),
        ("authentication_error", BlockKind::Login),
        ("Your credit balance is too low", BlockKind::Credit),
        ("JSON Parse error: <", BlockKind::Network),
        ("empty or malformed response", BlockKind::Network),
        ("connect ECONNREFUSED", BlockKind::Network),
    ] {
        let verdict = said(text);
        assert_eq!(verdict.kind, OutcomeKind::Limited, "{text}");
        assert_eq!(verdict.report.block.unwrap().kind, expected, "{text}");
    }
    assert_eq!(said("Prompt is too long").kind, OutcomeKind::PromptTooLong);
    assert_eq!(
        said("There's an issue with the selected model").kind,
        OutcomeKind::ModelUnavailable
    );
    assert_eq!(said("of tomorrow").kind, OutcomeKind::AgentError);
}

/// Status 400 is of many causes, and the coarse kind guesses at one.
#[test]
fn of_a_bad_request_the_words_tell_before_the_coarse_kind() {
    let mut facts = Facts::new(false);
    facts.line(r#"{"type":"assistant","error":"rate_limit"}"#);
    facts.line(
        r#"{"type":"result","is_error":true,"api_error_status":400,"result":"Prompt is too long"}"#,
    );
    let kind = facts.finish(&[], &end()).kind;
    assert_eq!(kind, OutcomeKind::PromptTooLong);
}

#[test]
fn all_words_for_a_kind_of_error() {
    for (error, expected) in [
        ("oauth_org_not_allowed", BlockKind::Login),
        ("verification_required", BlockKind::Login),
        ("cloud_credential_error", BlockKind::Login),
    ] {
        let mut facts = Facts::new(false);
        facts.line(&format!(r#"{{"type":"assistant","error":"{error}"}}"#));
        let verdict = facts.finish(&[], &end());
        // Told before the end, it counts without one.
        assert_eq!(verdict.kind, OutcomeKind::Limited, "{error}");
        assert_eq!(verdict.report.block.unwrap().kind, expected, "{error}");
        assert!(!verdict.proven);
    }
}

/// Either may lack what the other one has; what both have is the result's.
#[test]
fn a_result_and_the_failure_before_it_are_one() {
    let verdict = |failure: &str, result: &str| {
        let mut facts = Facts::new(false);
        facts.line(&format!(
            r#"{{"type":"assistant","error":"unknown",{failure}}}"#
        ));
        facts.line(&format!(
            r#"{{"type":"result","is_error":true,"subtype":"success",{result}}}"#
        ));
        let verdict = facts.finish(&[], &end());
        verdict.report.block.map(|block| block.kind)
    };
    for (failure, result, expected) in [
        (r#""api_error_status":529"#, r#""a":0"#, BlockKind::Overload),
        (r#""a":0"#, r#""api_error_status":529"#, BlockKind::Overload),
        (
            r#""api_error_status":529"#,
            r#""api_error_status":402"#,
            BlockKind::Credit,
        ),
        (
            r#""api_error":"empty_completion""#,
            r#""api_error_status":402"#,
            BlockKind::Server,
        ),
        (
            r#""api_error":"no_response""#,
            r#""api_error":"empty_completion""#,
            BlockKind::Server,
        ),
    ] {
        assert_eq!(
            verdict(failure, result),
            Some(expected),
            "{failure} {result}"
        );
    }
}

#[test]
fn a_tool_that_waits_or_was_denied_makes_no_success() {
    for (keys, expected, detail) in [
        (
            r#""terminal_reason":"tool_deferred""#,
            OutcomeKind::ToolDeferred,
            "a tool call waits for an answer",
        ),
        (
            r#""stop_reason":"tool_deferred""#,
            OutcomeKind::ToolDeferred,
            "a tool call waits for an answer",
        ),
        (
            r#""permission_denials":[{}]"#,
            OutcomeKind::ToolsDenied,
            "one tool call was denied",
        ),
        (
            r#""permission_denials":[{},{}]"#,
            OutcomeKind::ToolsDenied,
            "2 tool calls were denied",
        ),
        (r#""permission_denials":[]"#, OutcomeKind::Succeeded, ""),
    ] {
        let mut facts = Facts::new(false);
        facts.line(&format!(
            r#"{{"type":"result","is_error":false,"result":"Done.",{keys}}}"#
        ));
        let verdict = facts.finish(&["a warning".to_owned()], &end());
        assert_eq!((verdict.kind, verdict.detail.as_str()), (expected, detail));
    }
    // One that names no tool is no denial of one.
    let mut facts = Facts::new(false);
    facts.line(r#"{"type":"system","subtype":"permission_denied"}"#);
    assert_eq!(facts.report().denials, 0);
    facts.line(r#"{"type":"system","subtype":"permission_denied","tool_name":"Bash"}"#);
    assert_eq!(facts.report().denials, 1);
}

#[test]
fn silence_is_told_with_how_the_program_ended() {
    for (exit_code, signal, expected) in [
        (Some(0), None, "exited with code 0 without a result"),
        (None, Some(9), "ended by signal 9 without a result"),
        (None, None, "ended without a result"),
    ] {
        let ended = ProcessEnd {
            exit_code,
            signal,
            ..end()
        };
        assert_eq!(Facts::new(false).finish(&[], &ended).detail, expected);
    }
    let mut facts = Facts::new(false);
    for _ in 0..2 {
        facts.line(r#"{"type":"system","subtype":"api_retry"}"#);
    }
    assert_eq!(
        facts.finish(&[], &end()).detail,
        "ended while a request was tried again (no connection, 2 retries)"
    );
}

/// Of an error in several texts all are told, up to what is looked at.
#[test]
fn the_texts_of_an_error_are_joined() {
    let verdict = failed(r#""errors":["first",7,"second"]"#);
    assert_eq!(verdict.detail, "first second");
    let long = "x".repeat(TEXT_MAX_BYTES);
    let verdict = failed(&format!(
        r#""errors":["{long}","no conversation found with session id"]"#
    ));
    assert_eq!(verdict.kind, OutcomeKind::AgentError);
    let result = failed(r#""result":"said","errors":["other"]"#);
    assert_eq!(result.detail, "said");
}
