use super::*;

fn parsed(event: &str) -> Event {
    parse(&RawValue::from_string(event.to_owned()).unwrap())
}

/// The result that these keys make.
fn result(keys: &str) -> ResultEvent {
    let Event::Result(result) = parsed(&format!(r#"{{"type":"result",{keys}}}"#)) else {
        unreachable!("{keys}");
    };
    *result
}

#[test]
fn a_name_is_short() {
    let session = |bytes: usize| {
        let text = "x".repeat(bytes - 2);
        let event = format!(r#"{{"type":"system","subtype":"init","session_id":"{text}"}}"#);
        let Event::Init { session, .. } = parsed(&event) else {
            unreachable!("{event}");
        };
        session
    };
    assert_eq!(session(512).map(|text| text.len()), Some(510));
    assert_eq!(session(513), None);
}

#[test]
fn a_turn_is_the_models_own_and_not_a_subagents() {
    for (keys, is_turn) in [
        (r#""message":{"model":"opus"}"#, true),
        (
            r#""message":{"model":"opus"},"parent_tool_use_id":null"#,
            true,
        ),
        (
            r#""message":{"model":"opus"},"parent_tool_use_id":"t""#,
            false,
        ),
        (r#""message":{"model":"<synthetic>"}"#, false),
        (r#""message":{}"#, false),
        (r#""message":7"#, false),
        (
            r#""message":{"model":"opus"},"error":"server_error""#,
            false,
        ),
    ] {
        let event = parsed(&format!(r#"{{"type":"assistant",{keys}}}"#));
        assert_eq!(matches!(event, Event::Turn { .. }), is_turn, "{keys}");
    }
}

#[test]
fn a_result_says_how_many_turns_and_denials_there_were() {
    let result = |keys: &str| {
        let result = result(keys);
        (result.turns, result.denials)
    };
    assert_eq!(
        result(r#""num_turns":3,"permission_denials":[{},7]"#),
        (Some(3), 2)
    );
    assert_eq!(
        result(r#""num_turns":5000000000,"permission_denials":"x""#),
        (Some(u32::MAX), 0)
    );
}

/// A success's text is the agent's own, which decides nothing.
#[test]
fn only_an_errors_text_is_kept() {
    let text = |keys: &str| result(&format!(r#""result":"a","errors":["b"],{keys}"#)).text;
    assert_eq!(text(r#""is_error":false"#), "");
    assert_eq!(text(r#""is_error":true"#), "a");
    assert_eq!(text(r#""a":0"#), "a");
    // As much as is looked at.
    let long = "x".repeat(TEXT_MAX_BYTES);
    let errors = format!(r#""is_error":true,"errors":["{long}","y"]"#);
    assert_eq!(result(&errors).text, long);
}
