use super::*;
use crate::agent::claude::Facts;
use crate::agent::{ProcessEnd, Verdict};
use crate::task::OutcomeKind;

mod windows;

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

/// Text, kind, model, until.
type Said = (
    &'static str,
    BlockKind,
    Option<&'static str>,
    Option<&'static str>,
);

const LIMITS_IN_WORDS: &[Said] = &[
    (
        "You've hit your 5-hour limit · resets 7:41pm (UTC)",
        BlockKind::FiveHour,
        None,
        Some("2026-11-20T19:42:00Z"),
    ),
    (
        "You've hit your session limit · resets 8:13pm (UTC)",
        BlockKind::FiveHour,
        None,
        Some("2026-11-20T20:14:00Z"),
    ),
    (
        "You've hit your weekly limit · resets Nov 23, 1:29am (UTC)",
        BlockKind::Weekly,
        None,
        Some("2026-11-23T01:30:00Z"),
    ),
    (
        "You've hit your Opus limit · resets Nov 23, 1am (UTC)",
        BlockKind::Model,
        Some("opus"),
        Some("2026-11-23T01:01:00Z"),
    ),
    (
        "You've hit your Sonnet limit",
        BlockKind::Model,
        Some("sonnet"),
        None,
    ),
    (
        "You've hit your 5-hour limit · resets 7:41pm (UTC) · out of usage credits",
        BlockKind::FiveHour,
        None,
        Some("2026-11-20T19:42:00Z"),
    ),
    (
        "You've hit your limit · resets 8pm (UTC)",
        BlockKind::FiveHour,
        None,
        Some("2026-11-20T20:01:00Z"),
    ),
    (
        "You've hit your limit · resets Nov 23, 1am (UTC)",
        BlockKind::Weekly,
        None,
        Some("2026-11-23T01:01:00Z"),
    ),
    (
        "You've hit your usage limit · contact your admin to increase it",
        BlockKind::Spend,
        None,
        None,
    ),
    (
        "You've hit your org's monthly spend limit · ask your admin",
        BlockKind::Spend,
        None,
        None,
    ),
    (
        "You've hit your team's pooled group budget",
        BlockKind::Spend,
        None,
        None,
    ),
    (
        "You've hit your org's monthly usage limit",
        BlockKind::Spend,
        None,
        None,
    ),
    (
        "Usage is paused for your organization. For help, please contact support.",
        BlockKind::Spend,
        None,
        None,
    ),
    (
        "Your group's usage limit is set to $0",
        BlockKind::Spend,
        None,
        None,
    ),
    (
        "You're out of usage credits · resets May 18, 2033, 3:33am (UTC)",
        BlockKind::Credit,
        None,
        Some("2033-05-18T03:34:00Z"),
    ),
    (
        "Your org is out of usage · add funds to continue",
        BlockKind::Credit,
        None,
        None,
    ),
    (
        "Your seat type doesn't include usage credits",
        BlockKind::Credit,
        None,
        None,
    ),
    (
        "This service is disabled for your org",
        BlockKind::Login,
        None,
        None,
    ),
    (
        "Claude AI usage limit reached|1795203678",
        BlockKind::FiveHour,
        None,
        Some("2026-11-20T19:41:18Z"),
    ),
];

#[test]
fn limits_by_words_alone() {
    for &(text, kind, model, end) in LIMITS_IN_WORDS {
        let end = end.map(|end| end.parse().unwrap());
        // Fields or no fields: the same.
        for fine in [
            "",
            r#""api_error":"usage_limit_reached","api_error_status":429,"#,
        ] {
            let block = blocked(&format!(r#"{fine}"result":"{text}""#));
            assert_eq!(block.kind, kind, "{text}");
            assert_eq!(
                (block.model.as_deref(), block.until),
                (model, end),
                "{text}"
            );
        }
    }
}

#[test]
fn a_limit_by_words_must_begin_as_one() {
    for text in [
        "API Error: Request rejected (429) · You've hit your 5-hour limit · resets 7:41pm (UTC)",
        "API Error: 400 the text \\\"You're out of usage credits\\\" is not allowed",
    ] {
        let verdict = failed(&format!(r#""api_error_status":429,"result":"{text}""#));
        assert_eq!(
            verdict.report.block.unwrap().kind,
            BlockKind::Throttle,
            "{text}"
        );
    }
    let warned = failed(r#""result":"You've used 92% of your 5-hour limit · resets 7:41pm (UTC)""#);
    assert_eq!(warned.kind, OutcomeKind::AgentError);
}

/// Fields, text, kind, model.
type Told = (&'static str, &'static str, BlockKind, Option<&'static str>);

const LIMITS_IN_FIELDS: &[Told] = &[
    (
        r#""rateLimitType":"five_hour","resetsAt":1795203678"#,
        "",
        BlockKind::FiveHour,
        None,
    ),
    (
        r#""rateLimitType":"seven_day","resetsAt":1795203678"#,
        "",
        BlockKind::Weekly,
        None,
    ),
    (
        r#""rateLimitType":"seven_day_opus","resetsAt":1795203678"#,
        "",
        BlockKind::Model,
        Some("opus"),
    ),
    (
        r#""rateLimitType":"seven_day_sonnet","resetsAt":1795203678"#,
        "You've hit your Sonnet limit",
        BlockKind::Model,
        Some("sonnet"),
    ),
    (
        r#""rateLimitType":"seven_day_sonnet","resetsAt":1795203678"#,
        "You've hit your weekly limit",
        BlockKind::Weekly,
        None,
    ),
    (
        r#""rateLimitType":"seven_day_overage_included","resetsAt":1795203678"#,
        "You've hit your Fable limit",
        BlockKind::Model,
        Some("fable"),
    ),
    (
        r#""overageDisabledReason":"out_of_credits","resetsAt":1795203678"#,
        "",
        BlockKind::Credit,
        None,
    ),
    (
        r#""overageDisabledReason":"org_spend_cap_reached","resetsAt":1795203678"#,
        "",
        BlockKind::Spend,
        None,
    ),
    (
        r#""rateLimitType":"ten_minutes","resetsAt":1795203678"#,
        "",
        BlockKind::FiveHour,
        None,
    ),
];

#[test]
fn windows_in_fields() {
    for &(info, text, kind, model) in LIMITS_IN_FIELDS {
        let mut facts = Facts::new(false);
        facts.line(&format!(
            r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected",{info}}}}}"#
        ));
        facts.line(&format!(
            r#"{{"type":"result","is_error":true,"api_error":"usage_limit_reached","result":"{text}"}}"#
        ));
        let block = facts.finish(&[], &end()).report.block.unwrap();
        assert_eq!(
            (block.kind, block.model.as_deref()),
            (kind, model),
            "{info}"
        );
        assert_eq!(
            block.until,
            Some("2026-11-20T19:41:18Z".parse().unwrap()),
            "{info}"
        );
    }
}

#[test]
fn a_daily_cap_is_a_spend_limit_that_no_window_ends() {
    let mut facts = Facts::new(false);
    facts.line(r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","dailyCapPaused":true,"resetsAt":1795203678,"overageResetsAt":1795290078}}"#);
    facts.line(r#"{"type":"result","is_error":true,"api_error":"usage_limit_reached","result":"Usage is paused for your organization."}"#);
    let block = facts.finish(&[], &end()).report.block.unwrap();
    assert_eq!(block.kind, BlockKind::Spend);
    assert_eq!(block.until, Some("2026-11-21T19:41:18Z".parse().unwrap()));
}

#[test]
fn a_reset_may_have_a_fraction_and_nonsense_is_no_trouble() {
    let reset = |given: &str| {
        let info = format!(r#"{{"status":"rejected","resetsAt":{given}}}"#);
        LimitInfo::parse(&serde_json::value::RawValue::from_string(info).unwrap()).resets_at
    };
    let at = |text: &str| Some(text.parse().unwrap());
    assert_eq!(reset("1795203678"), at("2026-11-20T19:41:18Z"));
    assert_eq!(reset("1795203677.25"), at("2026-11-20T19:41:17.250Z"));
    for none in [
        "0",
        "-5",
        "-1e300",
        "null",
        "\"1795203678\"",
        "[]",
        "1e999",
        "true",
    ] {
        assert_eq!(reset(none), None, "{none}");
    }
    let last = crate::task::Timestamp::from_ms(i64::MAX);
    for far in ["1795203678000000", "1e300", "9223372036854775807"] {
        assert_eq!(reset(far), Some(last), "{far}");
    }
}

#[test]
fn blocks_of_a_model_concern_its_family() {
    for (blocked, model, expected) in [
        ("opus", Some("claude-opus-5-5"), true),
        ("opus", Some("opus"), true),
        ("opus", Some("claude-sonnet-5-5"), false),
        ("opus", None, true),
        ("x-1", Some("x-1"), true),
        ("x-1", Some("x-2"), false),
    ] {
        assert_eq!(
            concerns_model(blocked, model),
            expected,
            "{blocked} {model:?}"
        );
    }
}
