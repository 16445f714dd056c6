//! The descriptions of agents that we ship (`config/agents/*.toml`) over runs of the real programs, which were recorded
//! against a stand-in for their servers: `tests/fixtures/agent-streams/AGENT/NAME.jsonl`, `.stderr` and `.code`.

use std::path::{Path, PathBuf};

use auto_claude::agent::rules::{Ask, Rules};
use auto_claude::agent::{Driver, ProcessEnd, Reading, Verdict};
use auto_claude::task::{OutcomeKind, Trouble};

#[path = "agent_kit/other_runs.rs"]
mod other_runs;

use other_runs::RUNS;

/// When the runs are said to have been recorded.
const NOW: &str = "2026-11-25T15:40:00Z";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn rules(agent: &str) -> Rules {
    let text = std::fs::read_to_string(path(&format!("config/agents/{agent}.toml")))
        .expect("a description");
    Rules::from_toml(&text).unwrap_or_else(|error| unreachable!("{agent}: {error}"))
}

fn verdict(agent: &str, name: &str, resumed: bool) -> Verdict {
    let file = |ending: &str| {
        std::fs::read(path(&format!(
            "tests/fixtures/agent-streams/{agent}/{name}.{ending}"
        )))
        .expect("a recorded run")
    };
    let code: i32 = String::from_utf8(file("code"))
        .expect("a number")
        .trim()
        .parse()
        .expect("a number");
    // 124 is what `timeout` says when it had to end the program.
    let ended = code == 124;
    let mut reading = Reading::new(&Driver::Rules {
        rules: Box::new(rules(agent)),
        resumed,
    });
    reading.stdout(&file("jsonl"));
    reading.stderr(&file("stderr"));
    reading.finish(&ProcessEnd {
        exit_code: (!ended).then_some(code),
        signal: ended.then_some(15),
        stop_sent: ended,
        now: NOW.parse().expect("a time"),
    })
}

#[test]
fn every_recorded_run_ends_as_it_truly_did() {
    for &(agent, name, resumed, kind, block) in RUNS {
        let verdict = verdict(agent, name, resumed);
        assert_eq!(verdict.kind, kind, "{agent} {name}: {}", verdict.detail);
        assert_eq!(
            verdict.report.block.map(|block| block.kind),
            block,
            "{agent} {name}"
        );
        assert_eq!(
            verdict.report.cost_micro_usd, None,
            "{agent} {name}: no price was known"
        );
        let ran = kind == OutcomeKind::Succeeded;
        assert!(!ran || verdict.report.session.is_some(), "{agent} {name}");
        assert_eq!(
            verdict.detail.is_empty(),
            ran,
            "{agent} {name}: {}",
            verdict.detail
        );
    }
    let recorded: usize = ["codex", "qwen", "gemini", "opencode"]
        .iter()
        .map(|agent| {
            std::fs::read_dir(path(&format!("tests/fixtures/agent-streams/{agent}")))
                .expect("a folder")
                .count()
        })
        .sum();
    assert_eq!(
        recorded,
        RUNS.len() * 3,
        "each recorded run stands in the table"
    );
}

#[test]
fn facts_beside_the_outcome() {
    let usage = verdict("codex", "usage", false)
        .report
        .block
        .expect("a block");
    assert_eq!(
        usage.until,
        Some("2033-05-18T03:34:00Z".parse().expect("a time"))
    );
    let refused = verdict("codex", "refused", false)
        .report
        .block
        .expect("a block");
    assert_eq!(refused.trouble, Some(Trouble::Other));
    let text = verdict("codex", "text", false).report;
    let tokens = text.tokens["codex"];
    assert_eq!(
        (tokens.input, tokens.cache_read, tokens.output, text.turns),
        (60, 40, 20, 1)
    );
    assert!(
        verdict("codex", "resume", true).report.tokens.is_empty(),
        "counts of the whole session"
    );
    assert!(
        verdict("qwen", "resume", true).report.tokens.is_empty(),
        "counts of the whole session"
    );
    let qwen = verdict("qwen", "text", false).report;
    assert_eq!(
        (qwen.model.as_deref(), qwen.version.as_deref()),
        (Some("m"), Some("0.15.10"))
    );
    assert_eq!(
        verdict("gemini", "resume", true).report.tokens["gemini-2.5-flash"].input,
        100
    );
    assert_eq!(
        verdict("opencode", "text", false).report.tokens["opencode"].output,
        20
    );
}

#[test]
fn every_description_works_and_takes_any_prompt() {
    let id = "1e0ee16a-a9e2-492e-a1c6-2fc3641dd333";
    for entry in std::fs::read_dir(path("config/agents")).expect("the folder") {
        let name = entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("a name");
        let agent = name.strip_suffix(".toml").expect("only descriptions");
        let rules = rules(agent);
        assert_eq!(rules.name, agent);
        assert!(rules.needs_result && rules.can_resume(), "{agent}");
        for prompt in ["fix the tests", "--version", "-x {model}"] {
            let ask = Ask {
                prompt,
                session: Some(id),
                model: None,
            };
            for argv in [rules.start_argv(&ask), rules.resume_argv(&ask)] {
                let argv = argv.unwrap_or_else(|error| unreachable!("{agent}: {error}"));
                assert_eq!(
                    argv.iter()
                        .filter(|argument| argument.ends_with(prompt))
                        .count(),
                    1,
                    "{agent}"
                );
                assert!(
                    !argv.iter().any(|argument| argument.contains("--model")),
                    "{agent}"
                );
            }
            let with = rules
                .start_argv(&Ask {
                    model: Some("m"),
                    ..ask
                })
                .expect("arguments");
            assert!(
                with.iter().any(|argument| argument.ends_with('m')),
                "{agent}: {with:?}"
            );
        }
        let json = serde_json::to_string(&Driver::Rules {
            rules: Box::new(rules.clone()),
            resumed: true,
        })
        .expect("JSON");
        let back: Driver = serde_json::from_str(&json).expect("a driver");
        assert_eq!(
            back,
            Driver::Rules {
                rules: Box::new(rules),
                resumed: true
            },
            "{agent}"
        );
    }
}

/// What is written instead of what, and a part of the complaint.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "name = \"qwen\"",
        "name = \"Qwen Code\"",
        "name: lower-case",
    ),
    ("name = \"qwen\"", "name = \"claude\"", "built in"),
    ("name = \"qwen\"", "nmae = \"qwen\"", "unknown field `nmae`"),
    (
        "\"--prompt={prompt}\"]\nresume",
        "\"--prompt={promt}\"]\nresume",
        "{promt} is not known",
    ),
    (
        "\"--prompt={prompt}\"]\nresume",
        "\"--prompt\"]\nresume",
        "start: {prompt} is missing",
    ),
    (
        "\"--resume={session}\"",
        "\"--resume\"",
        "resume: {session} is missing",
    ),
    (
        "'^\\[API Error: '",
        "'^[API Error: '",
        "failed_text[0]: \"^[API Error: \" is no regular expression",
    ),
    ("'^\\[API Error: '", "''", "matches every text"),
    (
        "session = \"/session_id\"",
        "session = \"session_id\"",
        "events[0].session: \"session_id\" is no JSON pointer",
    ),
    (
        "means = \"success\"",
        "means = \"error\"",
        "no run could ever succeed",
    ),
    ("53 = \"max_turns\"", "530 = \"max_turns\"", "exit.530"),
    (
        "53 = \"max_turns\"",
        "0 = \"success\"",
        "exit.0: an exit code means an error",
    ),
    (
        "53 = \"max_turns\"",
        "53 = \"tired\"",
        "unknown variant `tired`",
    ),
    ("means = \"credit\"", "means = \"turn\"", "errors[0].means"),
    ("(?<seconds>", "(?<second>", "there are clock, epoch"),
    ("(?<seconds>", "(", "named groups"),
    (
        "when = { \"/type\" = \"assistant\" }",
        "when = {}",
        "events[1].when",
    ),
    ("TZ = \"UTC\"", "\"A=B\" = \"x\"", "environment variable"),
];

#[test]
fn a_bad_description_is_refused_with_all_its_mistakes() {
    let good = std::fs::read_to_string(path("config/agents/qwen.toml")).expect("a description");
    for &(from, to, part) in MISTAKES {
        let bad = good.replace(from, to);
        assert_ne!(bad, good, "{from}");
        let error = Rules::from_toml(&bad).expect_err(part).to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
    let two = good
        .replace("name = \"qwen\"", "name = \"\"")
        .replace("means = \"success\"", "means = \"error\"");
    let error = Rules::from_toml(&two)
        .expect_err("two mistakes")
        .to_string();
    assert_eq!(
        (error.split("; ").count(), error.lines().count()),
        (2, 1),
        "{error}"
    );
    assert!(Rules::from_toml(&" ".repeat(100_000)).is_err());
}

/// What an agent says may look like an error; only an event that is one counts.
#[test]
fn words_of_an_agent_decide_nothing() {
    let limit = "You’ve hit your usage limit. Try again at May 18th, 2033 3:33 AM.";
    let said = serde_json::json!({"type":"item.completed","item":{"type":"agent_message","text":limit,"error":{"message":limit}}});
    let failed =
        serde_json::json!({"type":"item.completed","item":{"type":"error","message":limit}});
    let done = serde_json::json!({"type":"turn.completed","usage":{}});
    let mut reading = Reading::new(&Driver::Rules {
        rules: Box::new(rules("codex")),
        resumed: false,
    });
    reading.stdout(format!("{said}\n{failed}\n{limit}\n{done}\n").as_bytes());
    reading.stderr(format!("{limit}\nplease run codex login\n").as_bytes());
    let now = NOW.parse().expect("a time");
    let end = ProcessEnd {
        exit_code: Some(0),
        signal: None,
        stop_sent: false,
        now,
    };
    let verdict = reading.finish(&end);
    assert_eq!(
        (verdict.kind, verdict.report.block),
        (OutcomeKind::Succeeded, None)
    );
}

#[test]
fn a_plain_agent_is_judged_by_its_exit_code_alone() {
    let plain = Rules::from_toml(
        "name = \"x\"\nprogram = \"x\"\nneeds_result = false\nstart = [\"{prompt}\"]",
    )
    .expect("a description");
    let end = |exit_code, signal| {
        let reading = Reading::new(&Driver::Rules {
            rules: Box::new(plain.clone()),
            resumed: false,
        });
        let now = NOW.parse().expect("a time");
        let verdict = reading.finish(&ProcessEnd {
            exit_code,
            signal,
            stop_sent: false,
            now,
        });
        assert!(!verdict.proven);
        verdict.kind
    };
    assert_eq!(end(Some(0), None), OutcomeKind::Succeeded);
    assert_eq!(end(Some(3), None), OutcomeKind::Exited);
    assert_eq!(end(None, Some(9)), OutcomeKind::Signaled);
}

#[test]
fn waits_are_read_from_words() {
    let rules = Rules::from_toml(
        r#"
name = "x"
program = "x"
start = ["{prompt}"]
[[events]]
when = { "/ok" = true }
means = "success"
[[events]]
when = { "/ok" = false }
means = "error"
text = "/text"
[[errors]]
pattern = "wait"
means = "throttle"
until = 'wait (?:(?<days>\d+)d)?(?:(?<hours>\d+)h)?(?:(?<minutes>\d+)m)?(?:(?<seconds>[\d.]+)s)?(?:until (?<epoch>\d+))?'
"#,
    )
    .expect("a description");
    for (text, until) in [
        ("wait 20s", Some("2026-11-25T15:40:20Z")),
        ("wait 1.5s", Some("2026-11-25T15:40:02Z")),
        ("wait 1d2h3m4s", Some("2026-11-26T17:43:04Z")),
        ("wait until 1795203678", Some("2026-11-20T19:41:18Z")),
        ("wait", None),
        ("wait 99999999999d", None),
        ("wait 99999999999999999999999s", None),
    ] {
        let mut reading = Reading::new(&Driver::Rules {
            rules: Box::new(rules.clone()),
            resumed: false,
        });
        reading.stdout(
            serde_json::json!({"ok": false, "text": text})
                .to_string()
                .as_bytes(),
        );
        let now = NOW.parse().expect("a time");
        let end = ProcessEnd {
            exit_code: Some(1),
            signal: None,
            stop_sent: false,
            now,
        };
        let block = reading.finish(&end).report.block.expect("a block");
        assert_eq!(
            block.until,
            until.map(|until| until.parse().expect("a time")),
            "{text}"
        );
    }
}
