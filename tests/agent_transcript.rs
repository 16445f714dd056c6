//! An agent's stream in words.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};

use auto_claude::agent::Transcript;
use auto_claude::agent::rules::Rules;
use proptest::prelude::*;
use serde_json::json;

fn fixture(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let path = root.join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn described(name: &str) -> Transcript {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/agents");
    let text = std::fs::read_to_string(root.join(format!("{name}.toml"))).unwrap();
    Transcript::of_described(&Rules::from_toml(&text).unwrap())
}

fn words(mut transcript: Transcript, bytes: &[u8]) -> String {
    let mut out = String::new();
    transcript.push(bytes, &mut out);
    transcript.end(&mut out);
    out
}

fn claude(name: &str) -> String {
    let bytes = fixture(&format!("claude-streams/{name}.jsonl"));
    words(Transcript::of_claude(), &bytes)
}

#[test]
fn what_claude_code_says_and_does_and_how_it_ended() {
    let said = claude("tool_use");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("[claude-opus-5-5, session "), "{said}");
    assert!(
        lines.iter().any(|line| line.starts_with("> Bash ")),
        "{said}"
    );
    assert!(lines.iter().any(|line| line.starts_with("| ")), "{said}");
    assert!(
        lines.last().unwrap().starts_with("[done: 2 turns"),
        "{said}"
    );

    let said = claude("mcp_broken");
    assert!(
        said.contains("[the MCP server bad could not be started]"),
        "{said}"
    );

    let said = claude("tool_use_denied");
    assert!(said.contains(" was denied: "), "{said}");
    assert!(said.contains("tool calls denied]"), "{said}");

    let said = claude("e429");
    assert!(
        said.contains("[a request failed (rate_limit 429) and is tried again, 1 of 10, in 0.6 s]"),
        "{said}"
    );
    assert!(
        said.trim_end()
            .lines()
            .last()
            .unwrap()
            .starts_with("[failed: API Error"),
        "{said}"
    );

    let said = claude("unified_midtask");
    assert!(said.contains("[five_hour: rejected"), "{said}");
    assert!(
        said.contains("[failed: You've hit your 5-hour limit"),
        "{said}"
    );
}

/// What one event of Claude Code says.
fn said(event: &serde_json::Value) -> String {
    words(Transcript::of_claude(), event.to_string().as_bytes())
}

#[test]
fn a_tool_call_is_shown_by_the_input_that_says_most_cut_where_it_is_long() {
    let call = |input: serde_json::Value| {
        let content = json!([{"type": "tool_use", "name": "T", "input": input}]);
        said(&json!({"type": "assistant", "message": {"content": content}}))
    };
    assert_eq!(
        call(json!({"description": "d", "command": "ls\n-l"})),
        "> T ls -l\n"
    );
    assert_eq!(call(json!({"odd": 1})), "> T {\"odd\":1}\n");
    let long = |bytes| call(json!({"command": "x".repeat(bytes)}));
    assert_eq!(long(200), format!("> T {}\n", "x".repeat(200)));
    assert_eq!(long(201), format!("> T {}…\n", "x".repeat(200)));
    // What a subagent does stands further in.
    let of_subagent = json!({
        "type": "assistant",
        "parent_tool_use_id": "t",
        "message": {"content": [{"type": "text", "text": "hi"}]},
    });
    assert_eq!(said(&of_subagent), "  hi\n");
    // It is the program's word for a failure, which the result tells as well.
    let failure = json!({
        "type": "assistant",
        "error": "rate_limit",
        "message": {"content": [{"type": "text", "text": "You've hit your limit"}]},
    });
    assert_eq!(said(&failure), "");
    let none = json!({
        "type": "assistant",
        "error": null,
        "message": {"content": [{"type": "text", "text": "hi"}]},
    });
    assert_eq!(said(&none), "hi\n");
}

#[test]
fn a_tools_result_is_shown_by_its_first_lines() {
    let result = |content: serde_json::Value, failed: bool| {
        let block = json!({"type": "tool_result", "content": content, "is_error": failed});
        said(&json!({"type": "user", "message": {"content": [block]}}))
    };
    assert_eq!(result(json!("a\n\n b\nc\n"), false), "| a\n| b\n| c\n");
    assert_eq!(
        result(json!("a\nb\nc\nd\n\ne"), true),
        "! a\n! b\n! c\n! … 2 more lines\n"
    );
    let parts =
        json!([{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]);
    assert_eq!(result(parts, false), "| a\n| b\n");
    assert_eq!(result(json!(7), false), "");
    let text = json!({"type": "user", "message": {"content": [{"type": "text", "content": "a"}]}});
    assert_eq!(said(&text), "");
}

#[test]
fn a_window_is_told_of_when_it_is_used_up_or_nearly() {
    let window = |info: serde_json::Value| {
        said(&json!({"type": "rate_limit_event", "rate_limit_info": info}))
    };
    assert_eq!(window(json!({"status": "allowed", "utilization": 0.1})), "");
    assert_eq!(
        window(
            json!({"status": "allowed_warning", "rateLimitType": "five_hour", "utilization": 0.92})
        ),
        "[five_hour: allowed_warning, 92 % used]\n"
    );
    assert_eq!(window(json!({"status": "rejected"})), "[limit: rejected]\n");
}

#[test]
fn an_end_is_told_with_what_it_lacks() {
    for (result, expected) in [
        (
            json!({"is_error": false, "num_turns": 2, "permission_denials": [{}, {}]}),
            "[done: 2 turns, 2 tool calls denied]\n",
        ),
        (
            json!({"is_error": false, "num_turns": 1, "result": ""}),
            "[done: 1 turn]\n",
        ),
        (
            json!({"is_error": true, "result": "why"}),
            "[failed: why]\n",
        ),
        (
            json!({"is_error": true, "errors": ["a", 7, "b"], "result": ""}),
            "[failed: a; b]\n",
        ),
        (
            json!({"is_error": true, "subtype": "error_max_turns"}),
            "[failed: error_max_turns]\n",
        ),
        (json!({}), "[failed: without a word]\n"),
    ] {
        let mut event = result;
        event["type"] = "result".into();
        assert_eq!(said(&event), expected, "{event}");
    }
}

/// In one stream a session may be asked several times.
#[test]
fn an_answer_is_shown_once_each_time() {
    let answer =
        |text: &str| json!({"type": "result", "is_error": false, "num_turns": 1, "result": text});
    let spoken =
        json!({"type": "assistant", "message": {"content": [{"type": "text", "text": "a"}]}});
    let stream = format!("{spoken}\n{}\n{}\n", answer("a"), answer("b"));
    assert_eq!(
        words(Transcript::of_claude(), stream.as_bytes()),
        "a\n[done: 1 turn]\nb\n[done: 1 turn]\n"
    );
}

#[test]
fn described_agents_say_the_same_thing() {
    for agent in ["codex", "gemini", "opencode", "qwen"] {
        let bytes = fixture(&format!("agent-streams/{agent}/text.jsonl"));
        let said = words(described(agent), &bytes);
        assert_eq!(said, "Hello from the stand-in.\n[done]\n", "{agent}");
        let bytes = fixture(&format!("agent-streams/{agent}/e401.jsonl"));
        let said = words(described(agent), &bytes);
        // Qwen calls it a success; what it says shows that it is none.
        assert!(
            said.contains("[failed: ") || said.contains("API Error"),
            "{agent}: {said}"
        );
    }
}

#[test]
fn what_is_no_event_is_shown_as_it_is_without_control_characters() {
    let said = words(Transcript::of_claude(), b"npm warn\x1b[31m old\n{\"type\":\"result\",\"is_error\":false,\"result\":\"a\\u001b]0;x\\u0007b\"}");
    assert_eq!(said, "npm warn[31m old\na]0;xb\n[done: turns unknown]\n");
}

#[test]
fn of_two_agents_that_took_turns_the_first_that_has_words_for_an_event_says_it() {
    let other = Rules::from_toml(
        r#"
            name = "x"
            program = "x"
            start = ["{prompt}"]
            [[events]]
            when = { "/type" = "result" }
            means = "success"
            [[events]]
            when = { "/type" = "said" }
            means = "turn"
            text = "/text"
        "#,
    )
    .unwrap();
    for (event, said) in [
        (
            r#"{"type":"result","is_error":false,"num_turns":1}"#,
            "[done: 1 turn]\n",
        ),
        (r#"{"type":"said","text":"hi"}"#, "hi\n"),
        (r#"{"type":"of_neither"}"#, ""),
    ] {
        let both = Transcript::of_claude().or(Transcript::of_described(&other));
        assert_eq!(words(both, event.as_bytes()), said, "{event}");
    }
}

/// Every recorded stream of Claude Code.
fn streams() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/claude-streams");
    let entries = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    found.sort();
    found
}

#[test]
fn every_recorded_stream_gives_words_and_they_end_with_its_end() {
    for path in streams() {
        let bytes = std::fs::read(&path).unwrap();
        let said = words(Transcript::of_claude(), &bytes);
        let has_result = String::from_utf8_lossy(&bytes).contains("\"type\":\"result\"");
        let last = said.lines().last().unwrap_or_default();
        assert_eq!(
            last.starts_with("[done") || last.starts_with("[failed"),
            has_result,
            "{}: {said}",
            path.display()
        );
    }
}

proptest! {
    #[test]
    fn the_pieces_do_not_matter_and_nothing_controls_the_terminal(
        which in 0..streams().len(),
        cuts in proptest::collection::vec(0.0..1.0, 0..12),
        noise in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = std::fs::read(&streams()[which]).unwrap();
        let at = |cut: f64, len: usize| (cut * len as f64) as usize;
        let place = cuts.first().map_or(0, |cut| at(*cut, bytes.len()));
        bytes.splice(place..place, noise);
        let whole = words(Transcript::of_claude(), &bytes);
        prop_assert!(whole.chars().all(|letter| !letter.is_control() || "\n\t".contains(letter)));
        let mut places: Vec<usize> = cuts.iter().map(|cut| at(*cut, bytes.len())).collect();
        places.sort_unstable();
        let mut transcript = Transcript::of_claude();
        let (mut said, mut from) = (String::new(), 0);
        for place in places {
            transcript.push(&bytes[from..place], &mut said);
            from = place;
        }
        transcript.push(&bytes[from..], &mut said);
        transcript.end(&mut said);
        prop_assert_eq!(said, whole);
    }
}
