//! What is told of an account's windows while a run goes on, and how far a limit in words lies ahead.

use super::*;

/// The report after events with these `rate_limit_info`.
fn report(infos: &[&str]) -> Report {
    let mut report = Report::default();
    for info in infos {
        let info = serde_json::value::RawValue::from_string(format!("{{{info}}}")).unwrap();
        LimitInfo::parse(&info).tell(&mut report);
    }
    report
}

/// The names of the windows, and how far each is used.
fn windows(infos: &[&str]) -> Vec<(String, u32)> {
    let windows = report(infos).windows.into_iter();
    windows
        .map(|window| (window.name, window.used_permille))
        .collect()
}

const FIGURE: &str = r#""status":"rejected","rateLimitType":"five_hour","utilization":1.02"#;
const USED_UP: &str = r#""status":"rejected","rateLimitType":"five_hour""#;

#[test]
fn a_window_is_as_far_used_as_was_said_last() {
    for (infos, expected) in [
        (&[USED_UP][..], Some(1000)),
        (&[FIGURE], Some(1020)),
        // "Used up" says less than a figure beyond it, and more than one below it.
        (&[FIGURE, USED_UP], Some(1020)),
        (
            &[r#""rateLimitType":"five_hour","utilization":0.5"#, USED_UP],
            Some(1000),
        ),
        (
            &[FIGURE, r#""rateLimitType":"five_hour","utilization":0.5"#],
            Some(500),
        ),
        (
            &[
                FIGURE,
                r#""unifiedWindows":{"five_hour":{"utilization":0.5}}"#,
            ],
            Some(500),
        ),
        // A name alone says nothing about it.
        (&[r#""rateLimitType":"five_hour""#], None),
        (&[FIGURE, r#""rateLimitType":"five_hour""#], Some(1020)),
    ] {
        let expected: Vec<_> = expected
            .map(|used| ("five_hour".to_owned(), used))
            .into_iter()
            .collect();
        assert_eq!(windows(infos), expected, "{infos:?}");
    }
}

#[test]
fn windows_that_are_not_named_keep_what_was_known() {
    let week = r#""rateLimitType":"seven_day","utilization":0.4"#;
    let expected = [
        ("five_hour".to_owned(), 1020),
        ("seven_day".to_owned(), 400),
    ];
    assert_eq!(windows(&[FIGURE, week]), expected);
    assert_eq!(windows(&[week, FIGURE]), expected);
    // Those that say no figure, or nonsense, say nothing.
    let odd = r#""unifiedWindows":{"a":{"resetsAt":1},"b":7,"c":{"utilization":-1},"d":{"utilization":1e7},"e":{"utilization":0}}"#;
    assert_eq!(windows(&[odd]), [("e".to_owned(), 0)]);
}

#[test]
fn so_many_windows_are_kept() {
    let all: Vec<String> = (0..=Report::ENTRIES_MAX)
        .map(|n| format!(r#""w{n}":{{"utilization":0.{n}}}"#))
        .collect();
    let together = format!(r#""unifiedWindows":{{{}}}"#, all.join(","));
    let found = windows(&[&together]);
    assert_eq!(found.len(), Report::ENTRIES_MAX);
    let last = found.last().unwrap();
    assert_eq!(last.0, format!("w{}", Report::ENTRIES_MAX - 1));
    // The first ones that are told, whatever their names.
    let backwards: Vec<String> = all.into_iter().rev().collect();
    let together = format!(r#""unifiedWindows":{{{}}}"#, backwards.join(","));
    assert_eq!(windows(&[&together]).first().unwrap().0, "w1");
    let one_by_one: Vec<String> = (0..=Report::ENTRIES_MAX)
        .map(|n| format!(r#""rateLimitType":"w{n}","utilization":0.5"#))
        .collect();
    let infos: Vec<&str> = one_by_one.iter().map(String::as_str).collect();
    assert_eq!(windows(&infos).len(), Report::ENTRIES_MAX);
}

#[test]
fn extra_usage_is_not_forgotten() {
    for overage in [r#""isUsingOverage":true"#, r#""overageInUse":true"#] {
        assert!(report(&[overage]).overage);
        assert!(report(&[overage, overage]).overage);
        assert!(report(&[overage, USED_UP]).overage);
    }
    assert!(!report(&[USED_UP]).overage);
}

fn info(keys: &str) -> LimitInfo {
    LimitInfo::parse(&serde_json::value::RawValue::from_string(format!("{{{keys}}}")).unwrap())
}

#[test]
fn a_rejection_is_a_limit_where_a_window_or_a_time_is_named() {
    for (keys, rejected, limit) in [
        (USED_UP, true, true),
        (r#""status":"rejected","resetsAt":1795203678"#, true, true),
        (r#""status":"rejected""#, true, false),
        (
            r#""status":"rejected","rateLimitType":"five_hour","isUsingOverage":true"#,
            false,
            false,
        ),
        (
            r#""status":"allowed","rateLimitType":"five_hour""#,
            false,
            false,
        ),
    ] {
        let info = info(keys);
        assert_eq!((info.is_rejected(), info.is_limit()), (rejected, limit));
    }
}

#[test]
fn a_block_is_of_the_window_that_is_named_and_ends_with_it() {
    let now = NOW.parse().unwrap();
    let at = |text: &str| Some(text.parse().unwrap());
    let spend = "You've hit your org's monthly spend limit";
    for (keys, words, kind, until) in [
        // Work goes on with the window, whatever becomes of the spend limit.
        (
            r#""rateLimitType":"five_hour","resetsAt":1795203678,"overageResetsAt":1795290078"#,
            spend,
            BlockKind::Spend,
            at("2026-11-20T19:41:18Z"),
        ),
        (
            r#""resetsAt":1795203678,"overageResetsAt":1795290078"#,
            spend,
            BlockKind::Spend,
            at("2026-11-21T19:41:18Z"),
        ),
        // The fields' time goes before the one in words.
        (
            r#""rateLimitType":"five_hour","resetsAt":1795203678"#,
            "You've hit your limit · resets 8pm (UTC)",
            BlockKind::FiveHour,
            at("2026-11-20T19:41:18Z"),
        ),
        (
            r#""rateLimitType":"five_hour""#,
            "You've hit your limit · resets 8pm (UTC)",
            BlockKind::FiveHour,
            at("2026-11-20T20:01:00Z"),
        ),
        (
            r#""overageDisabledReason":"org_level_disabled_until""#,
            "",
            BlockKind::Spend,
            None,
        ),
        (
            r#""overageDisabledReason":"group_zero_credit_limit""#,
            "",
            BlockKind::Spend,
            None,
        ),
        (
            r#""rateLimitType":"seven_day_of_tomorrow","overageDisabledReason":"out_of_credits""#,
            "",
            BlockKind::Credit,
            None,
        ),
    ] {
        let block = info(keys).block(words, now);
        assert_eq!((block.kind, block.until), (kind, until), "{keys} {words}");
    }
}

/// What ends within five hours is the short window, whatever it is called; further ahead lies a longer one.
#[test]
fn a_limit_without_a_name_is_told_by_how_far_it_lies_ahead() {
    let now: Timestamp = NOW.parse().unwrap();
    let seconds = now.as_ms() / 1000;
    for (ahead, expected) in [
        (5 * 60 * 60, BlockKind::FiveHour),
        (5 * 60 * 60 + 1, BlockKind::Weekly),
        (4 * 60 * 60, BlockKind::FiveHour),
    ] {
        let words = format!("Claude AI usage limit reached|{}", seconds + ahead);
        let block = limit_in_words(&words, now).unwrap();
        assert_eq!(block.kind, expected, "{ahead}");
    }
    for words in [
        "You've hit your 5-hour limit|1895203678",
        "Session limit reached|1895203678",
    ] {
        let block = limit_in_words(words, now).unwrap();
        assert_eq!(block.kind, BlockKind::FiveHour, "{words}");
        assert!(block.until.is_some(), "{words}");
    }
}

#[test]
fn a_reset_has_no_shorter_time_than_it_says() {
    let reset = |given: &str| info(&format!(r#""resetsAt":{given}"#)).resets_at;
    assert_eq!(reset("0.0001"), Some(Timestamp::from_ms(1)));
    assert_eq!(reset("1.0001"), Some(Timestamp::from_ms(1001)));
}

/// What the error names is what was hit, whatever was told of other windows before.
#[test]
fn a_limit_in_the_error_itself_goes_before_an_earlier_one() {
    let mut facts = Facts::new(false);
    facts.line(&format!(
        r#"{{"type":"rate_limit_event","rate_limit_info":{{{USED_UP}}}}}"#
    ));
    facts.line(r#"{"type":"assistant","error":"rate_limit","api_error_params":{"rate_limit_info":{"status":"rejected","rateLimitType":"seven_day","resetsAt":1795203678}}}"#);
    let known = facts.report().windows.len();
    assert_eq!(known, 2);
    facts.line(r#"{"type":"result","is_error":true}"#);
    let block = facts.finish(&[], &end()).report.block.unwrap();
    assert_eq!(block.kind, BlockKind::Weekly);
    assert_eq!(block.until, Some("2026-11-20T19:41:18Z".parse().unwrap()));
}
