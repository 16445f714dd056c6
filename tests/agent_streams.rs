//! Every recorded run of the real Claude Code through the driver: outcome, block, until when, cost, denials, session.

use std::collections::BTreeMap;

use auto_claude::agent::{ProcessEnd, Reading};
use auto_claude::task::OutcomeKind;

mod agent_kit;
#[path = "agent_kit/claude_runs.rs"]
mod claude_runs;

use agent_kit::{NOW, claude, names, read, verdict_of};
use claude_runs::{EXPECTED, Expected};

/// The session that the stream names: the first id in it.
fn session_in(stdout: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stdout);
    let start = text.find("\"session_id\":\"")? + "\"session_id\":\"".len();
    Some(text[start..start + 36].to_owned())
}

#[test]
fn every_recorded_run_ends_as_it_truly_did() {
    let expected: BTreeMap<&str, &Expected> = EXPECTED.iter().map(|row| (row.name, row)).collect();
    let names = names();
    assert_eq!(
        names,
        expected
            .keys()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    );
    for name in &names {
        let run = read(name);
        let verdict = verdict_of(&run.stdout, &run);
        let row = expected[name.as_str()];
        let report = &verdict.report;
        assert_eq!(verdict.kind, row.kind, "{name}: {}", verdict.detail);
        assert_eq!(report.block, row.block(), "{name}");
        assert_eq!(report.cost_micro_usd, row.cost, "{name}: cost");
        assert!(!report.cost_estimated, "{name}");
        assert_eq!(report.denials, row.denials, "{name}: denials");
        assert_eq!(
            report.overage,
            *name == "unified_overage",
            "{name}: overage"
        );
        assert_eq!(
            verdict.proven,
            row.cost.is_some(),
            "{name}: a result was seen"
        );
        assert!(
            verdict.detail.len() <= 200 && !verdict.detail.contains('\n'),
            "{name}"
        );
        let silent = verdict.kind == OutcomeKind::Succeeded;
        assert_eq!(
            verdict.detail.is_empty(),
            silent,
            "{name}: {:?}",
            verdict.detail
        );
        // One result alone, without a session that could go on, names a session as well; an error there does not count.
        let json_error = ["e429_max2", "max_turns_json", "unified_json"].contains(&name.as_str());
        let session = session_in(&run.stdout).filter(|_| !json_error);
        assert_eq!(report.session, session, "{name}: session");
    }
}

#[test]
fn facts_beside_the_outcome() {
    let report = |name: &str| {
        let run = read(name);
        verdict_of(&run.stdout, &run).report
    };
    let text = report("text");
    assert_eq!(text.model.as_deref(), Some("claude-opus-5-5"));
    assert_eq!(text.version.as_deref(), Some("2.1.329"));
    assert_eq!((text.turns, text.retries), (1, 0));
    let tokens = text.tokens["claude-opus-5-5"];
    assert_eq!(
        (
            tokens.input,
            tokens.output,
            tokens.cache_read,
            tokens.cache_write
        ),
        (1000, 50, 300, 200)
    );
    assert_eq!(report("tool_use").turns, 2);
    assert_eq!(report("max_turns").turns, 2);
    assert_eq!(report("e429").retries, 10);
    assert_eq!(report("stream_input").tokens["claude-opus-5-5"].input, 2000);
    let windows = |name: &str| -> Vec<(String, u32)> {
        let windows = report(name).windows;
        assert!(windows.iter().all(|window| window.resets_at.is_some()));
        windows
            .into_iter()
            .map(|window| (window.name, window.used_permille))
            .collect()
    };
    let named = |list: &[(&str, u32)]| -> Vec<(String, u32)> {
        list.iter()
            .map(|(name, used)| ((*name).to_owned(), *used))
            .collect()
    };
    assert_eq!(
        windows("unified_warning"),
        named(&[("five_hour", 920), ("seven_day", 400)])
    );
    assert_eq!(
        windows("unified_oauth"),
        named(&[("five_hour", 1020), ("seven_day", 400)])
    );
    assert_eq!(windows("old_unified_oauth"), named(&[("five_hour", 1000)]));
    assert_eq!(windows("e429_oauth"), []);
}

/// The totals of a resumed session hold what earlier runs have cost: only the increment is this run's.
#[test]
fn a_resumed_run_is_never_billed_what_earlier_runs_cost() {
    let run = read("text");
    let cost = |stdout: &str| {
        let mut reading = Reading::new(&claude(true));
        reading.stdout(stdout.as_bytes());
        reading.finish(&run.end).report.cost_micro_usd
    };
    let text = String::from_utf8(run.stdout.clone()).expect("UTF-8");
    let later = text.replace("\"total_cost_usd\":0.00606", "\"total_cost_usd\":9.99");
    assert_ne!(later, text);
    assert_eq!(cost(&later), Some(6060));
    let without = later.replace("model_usage_since_last_result", "something_else");
    assert_eq!(
        cost(&without),
        None,
        "a total of the whole session is not this run's cost"
    );
    let old = String::from_utf8(read("old_text").stdout).expect("UTF-8");
    assert_eq!(
        cost(&old),
        Some(7650),
        "the old version's totals are of one process"
    );
}

#[test]
fn a_resumed_session_that_never_speaks_could_not_be_resumed() {
    let verdict = |stdout: &str, stderr: &str, code: i32, stop_sent: bool| {
        let mut reading = Reading::new(&claude(true));
        reading.stdout(stdout.as_bytes());
        reading.stderr(stderr.as_bytes());
        let now = NOW.parse().expect("a time");
        let end = ProcessEnd {
            exit_code: Some(code),
            signal: None,
            stop_sent,
            now,
        };
        reading.finish(&end).kind
    };
    let unknown = "No conversation found with session ID: 1e0ee16a-a9e2-492e-a1c6-2fc3641dd334";
    let result = format!(
        r#"{{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":0,"session_id":"x","errors":["{unknown}"]}}"#
    );
    assert_eq!(verdict("", unknown, 1, false), OutcomeKind::UnknownSession);
    assert_eq!(verdict(&result, "", 1, false), OutcomeKind::UnknownSession);
    let in_use = "Error: Session ID 1e0ee16a-a9e2-492e-a1c6-2fc3641dd333 is already in use.";
    assert_eq!(verdict("", in_use, 1, false), OutcomeKind::ResumeFailed);
    assert_eq!(verdict("", "", 1, false), OutcomeKind::ResumeFailed);
    assert_eq!(verdict("", "", 0, false), OutcomeKind::ResumeFailed);
    // Ended from outside: nothing is known about the session.
    assert_eq!(verdict("", "", 143, false), OutcomeKind::NoResult);
    assert_eq!(verdict("", "", 1, true), OutcomeKind::NoResult);
    let failed = r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":400,"result":"API Error: 400 tool_use ids"}"#;
    assert_eq!(verdict(failed, "", 1, false), OutcomeKind::ResumeFailed);
    let limited = String::from_utf8(read("unified_oauth").stdout).expect("UTF-8");
    assert_eq!(verdict(&limited, "", 1, false), OutcomeKind::Limited);
}
