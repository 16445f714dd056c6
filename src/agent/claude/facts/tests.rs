use super::*;

fn told(lines: &[&str]) -> Facts {
    let mut facts = Facts::new(false);
    for line in lines {
        facts.line(line);
    }
    facts
}

/// An answer's event; `usage` stands in its message.
fn answer(id: Option<&str>) -> String {
    let id = id.map_or(String::new(), |id| format!(r#""id":"{id}","#));
    format!(
        r#"{{"type":"assistant","session_id":"of an answer","message":{{{id}"model":"opus","usage":{{"input_tokens":5}}}}}}"#
    )
}

/// Several events share one answer, and one without a name is an answer of its own.
#[test]
fn an_answer_is_one_turn_in_whatever_events_it_comes() {
    let (m, n, none) = (answer(Some("m")), answer(Some("n")), answer(None));
    for (lines, turns, input, served) in [
        (&[&*m, &*m][..], 1, 5, false),
        (&[&*m, &*n], 2, 10, true),
        (&[&*m, &*n, &*n], 2, 10, true),
        (&[&*none, &*none], 2, 10, false),
        (&[&*m], 1, 5, false),
    ] {
        let facts = told(lines);
        let report = facts.report();
        let found = (report.turns, report.tokens["opus"].input, report.served);
        assert_eq!(found, (turns, input, served), "{lines:?}");
    }
}

#[test]
fn a_result_tells_what_no_event_before_it_has_told() {
    let result = r#"{"type":"result","is_error":false,"num_turns":3,"session_id":"of a result"}"#;
    let report = told(&[result]).report;
    assert_eq!(
        (report.turns, report.session.as_deref()),
        (3, Some("of a result"))
    );
    assert!(report.served);
    let report = told(&[&answer(Some("m")), result]).report;
    assert_eq!(
        (report.turns, report.session.as_deref()),
        (1, Some("of an answer"))
    );
    // One that failed tells of no session that could go on, and of no answer.
    let failed = r#"{"type":"result","is_error":true,"num_turns":3,"session_id":"x"}"#;
    let report = told(&[failed]).report;
    assert_eq!(
        (report.turns, report.session, report.served),
        (0, None, false)
    );
}

#[test]
fn a_session_that_was_told_at_the_start_stays() {
    let init = r#"{"type":"system","subtype":"init","session_id":"s","model":"m","claude_code_version":"1.2.3"}"#;
    let report = told(&[init, &answer(Some("m"))]).report;
    assert_eq!(report.session.as_deref(), Some("s"));
    assert_eq!(report.model.as_deref(), Some("m"));
    assert_eq!(report.version.as_deref(), Some("1.2.3"));
    let again = r#"{"type":"system","subtype":"init","model":"n"}"#;
    let report = told(&[init, again]).report;
    assert_eq!(report.session.as_deref(), Some("s"));
    assert_eq!(report.model.as_deref(), Some("n"));
}

/// Until the model speaks again; what failed before it is over then.
#[test]
fn an_answer_ends_what_went_wrong_before_it() {
    let failure = r#"{"type":"assistant","error":"rate_limit"}"#;
    let retry = r#"{"type":"system","subtype":"api_retry","error_status":529}"#;
    let window = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","rateLimitType":"five_hour"}}"#;
    let facts = told(&[failure, window, retry]);
    assert!(facts.failure.is_some() && facts.rejected.is_some());
    assert_eq!(facts.trying_again, Some(Some(529)));
    let facts = told(&[failure, window, retry, &answer(Some("m"))]);
    assert!(facts.failure.is_none() && facts.rejected.is_none());
    assert_eq!(facts.trying_again, None);
    assert_eq!(facts.report().retries, 1);
    // A failure is what the requests that were tried again came to.
    assert_eq!(told(&[retry, failure]).trying_again, None);
    let allowed =
        r#"{"type":"rate_limit_event","rate_limit_info":{"status":"allowed","utilization":0.5}}"#;
    assert!(told(&[window, allowed]).rejected.is_some());
    assert!(told(&[allowed]).rejected.is_none());
}
