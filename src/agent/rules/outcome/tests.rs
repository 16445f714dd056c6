use super::*;
use crate::agent::rules::Rules;

const NOW: &str = "2026-11-25T15:40:00Z";

/// An agent whose events say in so many words what they mean.
const FILE: &str = r#"
name = "x"
program = "x"
start = ["{prompt}"]
failed_text = ["^broken"]
exit = { 7 = "unknown_session", 41 = "login" }
events = [
    { when = { "/is" = "turn" }, means = "turn" },
    { when = { "/is" = "denied" }, means = "denied" },
    { when = { "/is" = "retry" }, means = "retry", text = "/text" },
    { when = { "/is" = "success" }, means = "success", text = "/text" },
    { when = { "/is" = "error" }, means = "error", text = "/text" },
    { when = { "/is" = "weekly" }, means = "weekly", text = "/text" },
    { when = { "/is" = "max_turns" }, means = "max_turns" },
]
errors = [
    { pattern = "weekly limit", means = "weekly", until = 'again in (?<days>\d+) days' },
    { pattern = "again", means = "throttle", until = 'again in (?<hours>\d+) hours' },
    { pattern = "no such model", means = "model_unavailable" },
]
stderr = [
    { pattern = "^log in", means = "login" },
    { pattern = "^no session", means = "unknown_session" },
]
"#;

fn rules() -> Rules {
    Rules::from_toml(FILE).unwrap()
}

fn end(exit_code: i32) -> ProcessEnd {
    ProcessEnd {
        exit_code: Some(exit_code),
        signal: None,
        stop_sent: false,
        now: NOW.parse().unwrap(),
    }
}

/// Events, each by its kind and its text.
type Said<'a> = &'a [(&'a str, &'a str)];

fn told(rules: &Rules, resumed: bool, said: Said<'_>) -> Facts {
    let mut facts = Facts::new(rules, resumed);
    for (is, text) in said {
        facts.line(&serde_json::json!({"is": is, "text": text}).to_string());
    }
    facts
}

fn ended(said: Said<'_>, errors: &[&str], exit_code: i32) -> Verdict {
    let errors: Vec<String> = errors.iter().map(|line| (*line).to_owned()).collect();
    told(&rules(), false, said).finish(&errors, &end(exit_code))
}

fn blocked(verdict: Verdict) -> (BlockKind, Option<String>) {
    assert_eq!(verdict.kind, OutcomeKind::Limited, "{}", verdict.detail);
    let block = verdict.report.block.unwrap();
    (block.kind, block.until.map(|until| until.to_string()))
}

#[test]
fn a_success_after_tools_were_denied_is_none() {
    let mut by_exit_code = rules();
    by_exit_code.needs_result = false;
    for denied in 0..3 {
        let said = [&[("denied", "")].repeat(denied)[..], &[("success", "")]].concat();
        let by_event = ended(&said, &[], 0);
        let by_exit = told(&by_exit_code, false, &said[..denied]).finish(&[], &end(0));
        let (kind, detail) = match denied {
            0 => (OutcomeKind::Succeeded, ""),
            1 => (OutcomeKind::ToolsDenied, "one tool call was denied"),
            _ => (OutcomeKind::ToolsDenied, "2 tool calls were denied"),
        };
        for verdict in [by_event, by_exit] {
            assert_eq!((verdict.kind, verdict.detail.as_str()), (kind, detail));
        }
    }
}

#[test]
fn the_text_of_an_error_tells_first_and_then_the_exit_code() {
    let kind = |is, text, code| ended(&[(is, text)], &[], code).kind;
    assert_eq!(
        kind("error", "no such model", 41),
        OutcomeKind::ModelUnavailable
    );
    assert_eq!(kind("error", "of tomorrow", 7), OutcomeKind::UnknownSession);
    assert_eq!(kind("error", "of tomorrow", 1), OutcomeKind::AgentError);
    let block = |text| blocked(ended(&[("error", text)], &[], 41));
    assert_eq!(block("of tomorrow"), (BlockKind::Login, None));
    assert_eq!(block("ECONNREFUSED"), (BlockKind::Network, None));
    // What another event means is no matter of texts or codes.
    assert_eq!(
        kind("max_turns", "no such model", 41),
        OutcomeKind::MaxTurns
    );
}

#[test]
fn a_success_is_an_error_only_where_its_text_is_one_that_failed() {
    assert_eq!(
        ended(&[("success", "no such model")], &[], 0).kind,
        OutcomeKind::Succeeded
    );
    assert_eq!(
        ended(&[("success", "broken: no such model")], &[], 0).kind,
        OutcomeKind::ModelUnavailable
    );
    assert_eq!(
        ended(&[("success", "broken")], &[], 0).kind,
        OutcomeKind::AgentError
    );
}

/// Also of an event that names the limit, and by the first rule that finds a time.
#[test]
fn the_text_of_a_limit_tells_until_when() {
    for (is, text, until) in [
        (
            "weekly",
            "weekly limit, again in 2 days",
            Some("2026-11-27T15:40:00.000Z"),
        ),
        (
            "weekly",
            "weekly limit, again in 3 hours",
            Some("2026-11-25T18:40:00.000Z"),
        ),
        ("weekly", "used up", None),
        (
            "error",
            "weekly limit, again in 2 days",
            Some("2026-11-27T15:40:00.000Z"),
        ),
        ("error", "weekly limit, again in 3 hours", None),
    ] {
        assert_eq!(
            blocked(ended(&[(is, text)], &[], 1)),
            (BlockKind::Weekly, until.map(str::to_owned)),
            "{is} {text}"
        );
    }
}

#[test]
fn a_wait_of_a_year_is_believed_and_a_longer_one_is_a_mistake() {
    let wait = |days: u32| {
        let text = format!("weekly limit, again in {days} days");
        blocked(ended(&[("error", &text)], &[], 1)).1
    };
    assert_eq!(wait(366).as_deref(), Some("2027-11-26T15:40:00.000Z"));
    assert_eq!(wait(367), None);
}

#[test]
fn without_an_event_the_newest_telling_line_counts_and_then_the_exit_code() {
    let ended = |errors: &[&str], code| ended(&[("turn", "")], errors, code);
    assert_eq!(
        ended(&["log in", "no session 1", "bye"], 41).kind,
        OutcomeKind::UnknownSession
    );
    assert_eq!(
        blocked(ended(&["no session 1", "log in", "bye"], 7)),
        (BlockKind::Login, None)
    );
    assert_eq!(ended(&["bye"], 7).kind, OutcomeKind::UnknownSession);
    assert_eq!(blocked(ended(&["bye"], 41)), (BlockKind::Login, None));
    // An exit code of 0 proves nothing where a success has to be said.
    assert_eq!(ended(&[], 0).kind, OutcomeKind::NoResult);
}

#[test]
fn a_resumed_session_in_which_nobody_spoke_could_not_be_resumed() {
    let kind = |said, end: ProcessEnd| told(&rules(), true, said).finish(&[], &end).kind;
    assert_eq!(kind(&[], end(0)), OutcomeKind::ResumeFailed);
    assert_eq!(kind(&[("error", "")], end(1)), OutcomeKind::ResumeFailed);
    assert_eq!(kind(&[("turn", "")], end(0)), OutcomeKind::NoResult);
    assert_eq!(
        kind(&[("turn", ""), ("error", "")], end(1)),
        OutcomeKind::AgentError
    );
    assert_eq!(
        kind(&[("success", "broken")], end(1)),
        OutcomeKind::AgentError
    );
    assert_eq!(kind(&[("max_turns", "")], end(1)), OutcomeKind::MaxTurns);
    // Reasons outside of it: a request that was tried again, an end that it was told.
    assert_eq!(kind(&[("retry", "")], end(1)), OutcomeKind::NoResult);
    assert_eq!(kind(&[], end(143)), OutcomeKind::NoResult);
    let stopped = ProcessEnd {
        stop_sent: true,
        ..end(1)
    };
    assert_eq!(kind(&[], stopped), OutcomeKind::NoResult);
    let begun = told(&rules(), false, &[]).finish(&[], &end(1));
    assert_eq!(begun.kind, OutcomeKind::NoResult);
    // One that proves nothing by events is judged by its exit code.
    let mut plain = rules();
    plain.needs_result = false;
    let exited = told(&plain, true, &[]).finish(&[], &end(1));
    assert_eq!(exited.kind, OutcomeKind::Exited);
}

#[test]
fn what_it_was_busy_with_is_told_of_a_run_without_an_end() {
    let tried = [("retry", "weekly limit, again in 2 days")];
    let verdict = ended(&tried, &["bye"], 1);
    assert_eq!(verdict.kind, OutcomeKind::NoResult);
    assert!(!verdict.proven);
    assert_eq!(verdict.report.block.unwrap().kind, BlockKind::Weekly);
    assert_eq!(verdict.detail, "weekly limit, again in 2 days");
    // A text that names an outcome is no block.
    let verdict = ended(&[("retry", "no such model")], &[], 1);
    assert_eq!(
        (verdict.kind, verdict.report.block),
        (OutcomeKind::NoResult, None)
    );
    // Nothing is left to be told once it ended otherwise, or spoke.
    let verdict = ended(&[tried[0], ("turn", "")], &[], 1);
    assert_eq!(verdict.report.block, None);
    let verdict = ended(&tried, &["no session 1"], 1);
    assert_eq!(
        (verdict.kind, verdict.report.block),
        (OutcomeKind::UnknownSession, None)
    );
}

#[test]
fn details_are_for_a_person() {
    for (said, errors, expected) in [
        (&[("error", "it broke")][..], &["bye"][..], "it broke"),
        (&[("error", "")], &["hm", "bye"], "bye"),
        (&[("turn", "")], &[], "ended without a result"),
        (&[("success", "all is well")], &["bye"], ""),
    ] {
        assert_eq!(ended(said, errors, 1).detail, expected, "{said:?}");
    }
}

#[test]
fn a_result_is_a_proof() {
    assert!(ended(&[("success", "")], &[], 0).proven);
    assert!(!ended(&[("turn", "")], &[], 0).proven);
}
