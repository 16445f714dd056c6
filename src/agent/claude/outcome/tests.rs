use super::*;
use crate::agent::{Driver, Reading};

mod kinds;

const NOW: &str = "2026-11-20T17:41:18Z";

fn end() -> ProcessEnd {
    ProcessEnd {
        exit_code: Some(1),
        signal: None,
        stop_sent: false,
        now: NOW.parse().unwrap(),
    }
}

/// The verdict on a run whose only line is an error result with these keys.
fn failed(keys: &str) -> Verdict {
    let mut facts = Facts::new(false);
    facts.line(&format!(
        r#"{{"type":"result","subtype":"success","is_error":true,{keys}}}"#
    ));
    facts.finish(&[], &end())
}

fn blocked(keys: &str) -> Block {
    let verdict = failed(keys);
    assert_eq!(verdict.kind, OutcomeKind::Limited, "{keys}");
    verdict.report.block.unwrap()
}

#[test]
fn troubles_of_the_network_are_told_apart() {
    for (fine, text, expected) in [
        (
            "connection_failed",
            "API Error: Can't reach the API server (ENOTFOUND)",
            Trouble::Dns,
        ),
        (
            "connection_failed",
            "API Error: Couldn't connect through your proxy (ERR_PROXY_TUNNEL)",
            Trouble::Proxy,
        ),
        (
            "connection_failed",
            "API Error: Connection to the API was lost (ECONNRESET).",
            Trouble::Reset,
        ),
        (
            "connection_failed",
            "API Error: No internet route (ENETUNREACH)",
            Trouble::Other,
        ),
        ("connection_failed", "", Trouble::Other),
        (
            "tls_untrusted_ca",
            "API Error: Unable to connect to API: Self-signed certificate",
            Trouble::Tls,
        ),
        (
            "stream_idle_timeout",
            "API Error: Connection lost",
            Trouble::Silent,
        ),
        ("no_response", "Request timed out", Trouble::TimedOut),
        (
            "",
            "API Error: Unable to connect to API: SSL certificate has expired",
            Trouble::Tls,
        ),
        (
            "",
            "Request timed out. If the API is slow to answer, …",
            Trouble::TimedOut,
        ),
    ] {
        let block = blocked(&format!(r#""api_error":"{fine}","result":"{text}""#));
        assert_eq!(
            (block.kind, block.trouble),
            (BlockKind::Network, Some(expected)),
            "{fine} {text}"
        );
    }
}

#[test]
fn statuses() {
    for (status, expected) in [
        (401, BlockKind::Login),
        (402, BlockKind::Credit),
        (403, BlockKind::Login),
        (407, BlockKind::Network),
        (408, BlockKind::Network),
        (429, BlockKind::Throttle),
        (500, BlockKind::Server),
        (503, BlockKind::Server),
        (529, BlockKind::Overload),
    ] {
        let block = blocked(&format!(
            r#""api_error_status":{status},"result":"API Error""#
        ));
        assert_eq!(block.kind, expected, "{status}");
    }
    for (status, expected) in [
        (400, OutcomeKind::AgentError),
        (404, OutcomeKind::ModelUnavailable),
        (413, OutcomeKind::PromptTooLong),
        (418, OutcomeKind::AgentError),
    ] {
        assert_eq!(
            failed(&format!(r#""api_error_status":{status}"#)).kind,
            expected,
            "{status}"
        );
    }
}

#[test]
fn endings_that_are_no_block() {
    for (keys, expected) in [
        (
            r#""terminal_reason":"aborted_streaming""#,
            OutcomeKind::NoResult,
        ),
        (
            r#""terminal_reason":"blocking_limit""#,
            OutcomeKind::PromptTooLong,
        ),
        (
            r#""terminal_reason":"turn_setup_failed""#,
            OutcomeKind::AgentError,
        ),
        (r#""stop_reason":"refusal""#, OutcomeKind::Refused),
        (
            r#""api_error":"model_requires_usage_credits""#,
            OutcomeKind::ModelUnavailable,
        ),
        (r#""api_error":"of_tomorrow""#, OutcomeKind::AgentError),
        (
            r#""result":"There's an issue with the selected model (x).""#,
            OutcomeKind::ModelUnavailable,
        ),
    ] {
        assert_eq!(failed(keys).kind, expected, "{keys}");
    }
}

#[test]
fn a_success_must_be_said() {
    for (line, expected) in [
        (
            r#"{"type":"result","is_error":false,"stop_reason":"refusal"}"#,
            OutcomeKind::Refused,
        ),
        (
            r#"{"type":"result","is_error":false}"#,
            OutcomeKind::Succeeded,
        ),
        (
            r#"{"type":"result","subtype":"success"}"#,
            OutcomeKind::AgentError,
        ),
        (
            r#"{"type":"result","is_error":"false"}"#,
            OutcomeKind::AgentError,
        ),
        (
            r#"{"type":"result","is_error":false,"terminal_reason":"aborted_tools"}"#,
            OutcomeKind::NoResult,
        ),
        (
            r#"{"type":"result","is_error":false,"terminal_reason":"background_requested"}"#,
            OutcomeKind::AgentError,
        ),
        (r#"{"type":"assistant"}"#, OutcomeKind::NoResult),
    ] {
        let mut facts = Facts::new(false);
        facts.line(line);
        assert_eq!(facts.finish(&[], &end()).kind, expected, "{line}");
    }
}

#[test]
fn details_are_for_a_person() {
    let mut facts = Facts::new(false);
    facts.line(r#"{"type":"system","subtype":"api_retry","error_status":529}"#);
    assert_eq!(
        facts.finish(&[], &end()).detail,
        "ended while a request was tried again (status 529, 1 retries)"
    );
    let errors = ["first".to_owned(), "error: unknown option '--x'".to_owned()];
    assert_eq!(Facts::new(false).finish(&errors, &end()).detail, errors[1]);
    assert_eq!(
        Facts::new(false).finish(&[], &end()).detail,
        "exited with code 1 without a result"
    );
}

/// The program's own word for a kind of error, where neither a finer one nor a status is told.
#[test]
fn words_for_a_kind_of_error_alone() {
    let failed = |error: &str| {
        let mut facts = Facts::new(false);
        facts.line(&format!(r#"{{"type":"assistant","error":"{error}"}}"#));
        facts.line(r#"{"type":"result","is_error":true}"#);
        facts.finish(&[], &end())
    };
    for (error, expected) in [
        ("authentication_failed", BlockKind::Login),
        ("account_on_hold", BlockKind::Login),
        ("billing_error", BlockKind::Credit),
        ("rate_limit", BlockKind::Throttle),
        ("overloaded", BlockKind::Overload),
        ("server_error", BlockKind::Server),
    ] {
        let block = failed(error).report.block.expect(error);
        assert_eq!(block.kind, expected, "{error}");
    }
    assert_eq!(
        failed("model_not_found").kind,
        OutcomeKind::ModelUnavailable
    );
    assert_eq!(failed("of_tomorrow").kind, OutcomeKind::AgentError);
    let empty = blocked(r#""api_error":"empty_completion""#);
    assert_eq!(empty.kind, BlockKind::Server);
}

/// A run that ends while it tries a request again was stopped by what it tried against.
#[test]
fn what_a_request_is_tried_again_for() {
    for (status, expected) in [
        ("529", BlockKind::Overload),
        ("500", BlockKind::Server),
        // Nothing that waiting could mend, and yet it is tried again: the server fails.
        ("404", BlockKind::Server),
        ("418", BlockKind::Server),
        ("null", BlockKind::Network),
    ] {
        let block = why_again(status.parse().ok());
        assert_eq!(block.kind, expected, "{status}");
    }
}

const ANSWER: &str = r#"{"type":"assistant","message":{"id":"m","model":"opus"}}"#;

#[test]
fn an_answer_is_served_once_what_follows_it_is_told() {
    let mut facts = Facts::new(false);
    facts.line(r#"{"type":"user"}"#);
    assert!(!facts.report().served, "nothing was said yet");
    facts.line(ANSWER);
    facts.line(r#"{"type":"user","parent_tool_use_id":"of a subagent"}"#);
    assert!(!facts.report().served, "it may not be whole");
    facts.line(r#"{"type":"user"}"#);
    assert!(facts.report().served);
}

#[test]
fn a_window_that_still_allows_is_no_reason_for_a_refusal() {
    let window = |status: &str| {
        let mut facts = Facts::new(false);
        facts.line(&format!(
            r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"{status}","resetsAt":1795203678,"rateLimitType":"five_hour"}}}}"#
        ));
        facts.line(r#"{"type":"assistant","error":"rate_limit"}"#);
        facts.line(r#"{"type":"result","is_error":true}"#);
        facts
            .finish(&[], &end())
            .report
            .block
            .map(|block| block.kind)
    };
    assert_eq!(window("allowed"), Some(BlockKind::Throttle));
    assert_eq!(window("rejected"), Some(BlockKind::FiveHour));
}

/// The program tells only the beginning of what was written; its length tells more.
#[test]
fn what_was_written_is_reckoned_from_its_length() {
    let mut facts = Facts::new(false);
    let text = "x".repeat(8_000);
    facts.line(&format!(
        r#"{{"type":"assistant","message":{{"id":"m","model":"opus","usage":{{"output_tokens":1}},"content":"{text}"}}}}"#
    ));
    let written = facts.report().tokens["opus"].output;
    assert!((1_000..8_000).contains(&written), "{written}");
}

/// Each block of an answer comes as an event of its own, and each repeats what was read for the whole.
#[test]
fn what_was_read_for_an_answer_of_several_blocks_counts_once() {
    let mut facts = Facts::new(false);
    for message in ["m", "m", "n"] {
        facts.line(&format!(
            r#"{{"type":"assistant","message":{{"id":"{message}","model":"opus","usage":{{"input_tokens":5,"output_tokens":7,"cache_read_input_tokens":11,"cache_creation_input_tokens":13}}}}}}"#
        ));
    }
    let tokens = facts.report().tokens["opus"];
    let read = (tokens.input, tokens.cache_read, tokens.cache_write);
    assert_eq!((read, tokens.output), ((10, 22, 26), 21));
}

#[test]
fn a_request_is_tried_again_until_it_is_answered() {
    let mut reading = Reading::new(&Driver::Claude {
        session: String::new(),
        resumed: false,
    });
    let mut after = |line: &str| {
        reading.stdout(line.as_bytes());
        reading.stdout(b"\n");
        reading.is_trying_again()
    };
    assert!(!after(r#"{"type":"system","subtype":"init"}"#));
    assert!(after(
        r#"{"type":"system","subtype":"api_retry","error_status":529}"#
    ));
    assert!(!after(ANSWER));
}

#[test]
fn a_run_that_ends_at_a_limit_without_a_word_has_met_the_limit() {
    let rejected = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","rateLimitType":"five_hour","resetsAt":1795203678}}"#;
    let throttled = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected"}}"#;
    let paid = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","rateLimitType":"five_hour","resetsAt":1795203678,"isUsingOverage":true}}"#;
    let told = ProcessEnd {
        stop_sent: true,
        ..end()
    };
    for (lines, end, expected) in [
        (&[rejected][..], end(), OutcomeKind::Limited),
        (&[ANSWER, rejected], end(), OutcomeKind::Limited),
        // It went on behind it.
        (&[rejected, ANSWER], end(), OutcomeKind::NoResult),
        (&[throttled], end(), OutcomeKind::NoResult),
        (&[paid], end(), OutcomeKind::NoResult),
        // Ours.
        (&[rejected], told, OutcomeKind::NoResult),
    ] {
        let mut facts = Facts::new(false);
        for line in lines {
            facts.line(line);
        }
        let verdict = facts.finish(&[], &end);
        assert_eq!(verdict.kind, expected, "{lines:?}");
        let until = verdict.report.block.and_then(|block| block.until);
        let is_told = until == Some(Timestamp::from_ms(1_795_203_678_000));
        assert_eq!(is_told, expected == OutcomeKind::Limited, "{lines:?}");
    }
}
