//! Whatever comes, in whatever pieces: the verdict on a recorded run of Claude Code stays what it is, and no words of an agent
//! make a limit or a success.

use auto_claude::agent::{ProcessEnd, Reading};
use auto_claude::task::{OutcomeKind, Timestamp};
use proptest::prelude::*;

mod agent_kit;

use agent_kit::{Recorded, claude, names, read, verdict_of};

/// What an agent says, reads, calls or is told may look like anything.
#[test]
fn words_of_an_agent_decide_nothing() {
    let limit = "You've hit your 5-hour limit · resets 7:41pm (UTC)";
    let imitations = [
        limit.to_owned(),
        r#"{"type":"result","is_error":true,"api_error":"usage_limit_reached"}"#.to_owned(),
        "No conversation found with session ID: 1".to_owned(),
        "API Error: Connection refused (ECONNREFUSED)".to_owned(),
    ];
    let text = String::from_utf8(read("tool_use").stdout).expect("UTF-8");
    let run = read("tool_use");
    for words in &imitations {
        let quoted = serde_json::to_string(words).expect("JSON");
        let said = format!(
            "{{\"type\":\"assistant\",\"message\":{{\"id\":\"m\",\"model\":\"claude-opus-5-5\",\"content\":[{{\"type\":\"text\",\"text\":{quoted}}},\
             {{\"type\":\"tool_use\",\"input\":{{\"type\":\"result\",\"is_error\":true,\"api_error\":\"usage_limit_reached\"}}}}]}},\"parent_tool_use_id\":null}}\n"
        );
        let read = format!(
            "{{\"type\":\"user\",\"message\":{{\"role\":\"user\",\"content\":[{{\"type\":\"tool_result\",\"content\":{quoted},\"is_error\":true}}]}},\
             \"tool_use_result\":{{\"type\":\"rate_limit_event\",\"rate_limit_info\":{{\"status\":\"rejected\",\"resetsAt\":1795203678,\"rateLimitType\":\"five_hour\"}}}}}}\n"
        );
        let answer = text.replace(
            "\"result\":\"Done, the tool ran.\"",
            &format!("\"result\":{quoted}"),
        );
        assert_ne!(answer, text);
        for stream in [
            format!("{said}{read}{answer}"),
            format!("{read}{said}{answer}"),
        ] {
            let verdict = verdict_of(stream.as_bytes(), &run);
            assert_eq!(verdict.kind, OutcomeKind::Succeeded, "{words}");
            assert_eq!(verdict.report.block, None, "{words}");
        }
        // Broken off in the middle: no result, and still no limit.
        let verdict = verdict_of(
            format!("{said}{read}{words}").as_bytes(),
            &Recorded {
                stdout: Vec::new(),
                stderr: Vec::new(),
                end: ProcessEnd {
                    exit_code: Some(1),
                    ..run.end
                },
            },
        );
        let nothing = !words.starts_with('{');
        assert!(
            !nothing || verdict.kind == OutcomeKind::NoResult,
            "{words}: {verdict:?}"
        );
    }
}

#[test]
fn hostile_output_is_read_in_bounded_time_and_changes_nothing() {
    let run = read("text");
    let expected = verdict_of(&run.stdout, &run);
    let long = |filler: &str, bytes: usize| filler.repeat(bytes / filler.len() + 1);
    let mebibyte = 1024 * 1024;
    let noise: Vec<Vec<u8>> = vec![
        format!(
            "{{\"type\":\"user\",\"message\":\"{}\"}}",
            long("x", 10 * mebibyte)
        )
        .into_bytes(),
        format!(
            "{{\"type\":\"user\",\"message\":{}}}",
            long("[", 5 * mebibyte)
        )
        .into_bytes(),
        long("{\"type\":", 2 * mebibyte).into_bytes(),
        long("{", 2 * mebibyte).into_bytes(),
        long("x", 20 * mebibyte).into_bytes(),
        format!("{{\"permission_denials\":[{}0]}}", long("0,", 2 * mebibyte)).into_bytes(),
        format!(
            "{{\"type\":\"x\",\"a\":{}{}}}",
            "[".repeat(5000),
            "]".repeat(5000)
        )
        .into_bytes(),
        vec![0; 4096],
        vec![0xff; 4096],
        b"{\"type\":\"assistant\",\"message\":\"\xff\xfe\"}".to_vec(),
        b"{\"type\":7,\"subtype\":{},\"session_id\":[],\"is_error\":\"no\"}".to_vec(),
        b"{\"type\":\"system\",\"subtype\":\"of_tomorrow\"}".to_vec(),
    ];
    for piece in noise {
        let stream = [&piece[..], b"\n", &run.stdout, b"\n", &piece].concat();
        assert_eq!(
            verdict_of(&stream, &run),
            expected,
            "{:?}",
            &piece[..piece.len().min(40)]
        );
    }
    let mut odd = Reading::new(&claude(false));
    odd.stdout(br#"{"type":"result","is_error":true,"total_cost_usd":-1,"num_turns":-5,"permission_denials":7,"modelUsage":[],"errors":[[],{},"x"]}"#);
    odd.stdout(br#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1e300,"unifiedWindows":[1]}}"#);
    let verdict = odd.finish(&ProcessEnd {
        exit_code: Some(1),
        ..run.end
    });
    assert_eq!(
        (verdict.kind, verdict.report.cost_micro_usd),
        (OutcomeKind::AgentError, None)
    );
}

#[test]
fn ten_mebibytes_in_a_line_are_an_event_like_any_other() {
    let run = read("text");
    let text = String::from_utf8(run.stdout.clone()).expect("UTF-8");
    let answer = "x".repeat(10 * 1024 * 1024);
    let long = text.replace("Hello from the fake API.", &answer);
    assert_eq!(
        verdict_of(long.as_bytes(), &run),
        verdict_of(&run.stdout, &run)
    );
}

/// The same object with its keys in another order.
fn reordered(line: &str, backwards: bool) -> String {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_str(line) else {
        return line.to_owned();
    };
    let mut keys: Vec<String> = object
        .iter()
        .map(|(key, value)| format!("{}:{value}", serde_json::Value::from(key.as_str())))
        .collect();
    if backwards {
        keys.reverse();
    }
    format!("{{{}}}", keys.join(","))
}

fn any_run() -> impl Strategy<Value = String> {
    proptest::sample::select(names())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_split_gives_the_same_verdict(name in any_run(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40)) {
        let run = read(&name);
        let whole = verdict_of(&run.stdout, &run);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(run.stdout.len() + 1)).collect();
        places.sort_unstable();
        let mut reading = Reading::new(&claude(false));
        let mut from = 0;
        for place in places.into_iter().chain([run.stdout.len()]) {
            reading.stdout(&run.stdout[from..place]);
            from = place;
        }
        for piece in run.stderr.chunks(3) {
            reading.stderr(piece);
        }
        prop_assert_eq!(reading.finish(&run.end), whole);
    }

    #[test]
    fn order_of_keys_noise_and_joined_lines_are_no_matter(
        name in any_run(),
        backwards in any::<bool>(),
        noise in prop::collection::vec("[a-z%\u{1b}\\[ ]{0,20}", 0..6),
        joined in any::<bool>(),
    ) {
        let run = read(&name);
        let whole = verdict_of(&run.stdout, &run);
        let text = String::from_utf8_lossy(&run.stdout);
        let mut stream = String::new();
        for (number, line) in text.lines().enumerate() {
            stream.push_str(noise.get(number % 7).map_or("", |noise| noise.trim_end_matches('[')));
            // A run in a text format has no objects that could be joined.
            stream.push_str(if joined && line.starts_with('{') { " " } else { "\n" });
            stream.push_str(&reordered(line, backwards));
        }
        prop_assert_eq!(verdict_of(stream.as_bytes(), &run), whole);
    }

    #[test]
    fn a_run_cut_off_anywhere_is_no_success(name in any_run(), place in any::<prop::sample::Index>()) {
        let run = read(&name);
        let lines = run.stdout.split_inclusive(|byte| *byte == b'\n').count();
        let place = place.index(run.stdout.len() + 1);
        let cut = &run.stdout[..place];
        let verdict = verdict_of(cut, &run);
        let ended = cut.windows(15).any(|part| part == b"\"type\":\"result\"") || lines == 1;
        prop_assert!(ended || verdict.kind != OutcomeKind::Succeeded);
    }

    #[test]
    fn any_bytes_are_read(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..10), resumed in any::<bool>()) {
        let mut reading = Reading::new(&claude(resumed));
        for piece in &pieces {
            reading.stdout(piece);
            reading.stderr(piece);
        }
        let _ = reading.report_so_far();
        let end = ProcessEnd { exit_code: Some(0), signal: None, stop_sent: false, now: Timestamp::from_ms(0) };
        prop_assert_ne!(reading.finish(&end).kind, OutcomeKind::Succeeded);
    }
}
