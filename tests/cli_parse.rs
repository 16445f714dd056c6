//! What the command line reads: durations, times, references, environments; and what it makes of outcomes.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use auto_claude::api::wire::OutcomeView;
use auto_claude::cli::render::outcome::Ending;
use auto_claude::cli::values::{EnvArg, env_arg, retry_on, secret_arg};
use auto_claude::cli::when::{self, Toward};
use auto_claude::cli::{daemon_args, duration, environment, exit, output};
use auto_claude::task::{Command, OutcomeKind, RetryOn, SecretRef, State, Timestamp};
use proptest::prelude::*;

fn now() -> jiff::Zoned {
    "2026-03-28T20:00:00+01:00[Europe/Berlin]".parse().unwrap()
}

fn time(text: &str, toward: Toward) -> Result<String, String> {
    when::parse(text, toward, &now()).map(|time| time.to_string())
}

#[test]
fn durations_are_read_with_and_without_units() {
    for (text, ms) in [
        ("90", 90_000),
        ("90s", 90_000),
        ("10m", 600_000),
        ("2h30m", 9_000_000),
        ("1d", 86_400_000),
        ("500ms", 500),
        ("1m1ms", 60_001),
        ("0", 0),
        (" 5 ", 5000),
    ] {
        assert_eq!(duration::parse(text), Ok(ms), "{text}");
    }
    for text in [
        "",
        "s",
        "-5",
        "1.5h",
        "5x",
        "5m2h",
        "5s5s",
        "1h 2m",
        "99999999999999999999",
        "3000000000000w",
        "５s",
    ] {
        assert!(duration::parse(text).is_err(), "{text}");
    }
    assert!(duration::limit_seconds("0").is_err() && duration::limit_seconds("500ms").is_err());
    assert!(duration::limit_seconds("400d").is_err() && duration::limit_seconds("365d").is_ok());
    assert_eq!(duration::brief(3_661_000), "1h1m");
    assert_eq!(duration::brief(1500), "1.5s");
}

#[test]
fn times_are_read_as_people_write_them() {
    let future = |text| time(text, Toward::Future).unwrap();
    assert_eq!(future("2026-01-31T22:00:00Z"), "2026-01-31T22:00:00.000Z");
    assert_eq!(future("22:00"), "2026-03-28T21:00:00.000Z");
    assert_eq!(future("+2h"), "2026-03-28T21:00:00.000Z");
    assert_eq!(future("2026-05-01 07:00"), "2026-05-01T05:00:00.000Z");
    // The clock is set forward in that night: 07:00 is an hour earlier in UTC.
    assert_eq!(future("tomorrow 07:00"), "2026-03-29T05:00:00.000Z");
    assert_eq!(future("7:00"), "2026-03-29T05:00:00.000Z");
    // 02:30 does not exist in that night; it is moved on.
    assert_eq!(future("tomorrow 02:30"), "2026-03-29T01:30:00.000Z");
    let past = |text| time(text, Toward::Past).unwrap();
    assert_eq!(past("22:00"), "2026-03-27T21:00:00.000Z");
    assert_eq!(past("2h"), "2026-03-28T17:00:00.000Z");
    assert_eq!(past("2h ago"), "2026-03-28T17:00:00.000Z");
    assert_eq!(past("yesterday"), "2026-03-26T23:00:00.000Z");
    for text in [
        "",
        "soon",
        "25:00",
        "7",
        "07:0",
        "07:00:61",
        "tomorrow",
        "+",
        "+2x",
        "2026-02-30 07:00",
        "next 07:00",
    ] {
        let read = time(text, Toward::Future);
        assert!(read.is_err() || text == "tomorrow", "{text}: {read:?}");
    }
}

#[test]
fn a_time_to_start_points_ahead_and_keeps_its_words() {
    let read = |text| when::parse_at(text, &now()).map(|(at, words)| (at.to_string(), words));
    for (text, at) in [
        ("+2h", "2026-03-28T21:00:00.000Z"),
        ("22:00", "2026-03-28T21:00:00.000Z"),
        ("tomorrow 07:00", "2026-03-29T05:00:00.000Z"),
        ("today 07:00", "2026-03-28T06:00:00.000Z"),
    ] {
        assert_eq!(read(text), Ok((at.to_owned(), Some(text.to_owned()))));
    }
    // A date means the same whenever it is read, and may be past: a repeated submission keeps it.
    for text in [
        "2026-01-31T22:00:00Z",
        "2026-01-31 23:00",
        "20260131T220000Z",
    ] {
        assert_eq!(
            read(text),
            Ok(("2026-01-31T22:00:00.000Z".to_owned(), None))
        );
    }
    for text in ["-1h", "1h ago", "yesterday", "yesterday 07:00"] {
        assert!(
            read(text).unwrap_err().contains("is a time that is past"),
            "{text}"
        );
    }
    for text in ["soon", "-", "yesterdays", "1x ago"] {
        assert!(read(text).unwrap_err().contains("is no time"), "{text}");
    }
}

proptest! {
    #[test]
    fn a_written_duration_is_read_back(ms in 0..=duration::MAX_MS) {
        prop_assert_eq!(duration::parse(&duration::format(ms)), Ok(ms));
    }

    #[test]
    fn no_text_breaks_the_parsers(text in "\\PC{0,24}|[0-9+:a-z -]{0,24}") {
        let _ = duration::parse(&text);
        let _ = time(&text, Toward::Future);
        let _ = time(&text, Toward::Past);
        let _ = env_arg(&text);
        let _ = secret_arg(&text);
        let _ = retry_on(&text);
        prop_assert!(!output::plain(&text).chars().any(char::is_control));
    }

    #[test]
    fn a_time_of_day_is_at_most_25_hours_away_and_on_its_side(hour in 0..24, minute in 0..60) {
        let text = format!("{hour:02}:{minute:02}");
        let base = Timestamp::from_ms(now().timestamp().as_millisecond());
        let next = when::parse(&text, Toward::Future, &now()).unwrap();
        let last = when::parse(&text, Toward::Past, &now()).unwrap();
        prop_assert!(next > base && next.ms_since(base) <= 25 * 3_600_000);
        prop_assert!(last <= base && base.ms_since(last) <= 25 * 3_600_000);
    }

    #[test]
    fn an_rfc_3339_time_is_read_back(ms in 0_i64..4_000_000_000_000) {
        let wanted = Timestamp::from_ms(ms);
        prop_assert_eq!(when::parse(&wanted.to_string(), Toward::Future, &now()), Ok(wanted));
    }
}

#[test]
fn what_is_retried_is_a_name_or_a_code() {
    assert_eq!(retry_on("any"), Ok(RetryOn::Any));
    assert_eq!(retry_on("75"), Ok(RetryOn::Code(75)));
    assert!(retry_on("0").is_err() && retry_on("256").is_err());
    assert!(
        retry_on("timeuot")
            .unwrap_err()
            .contains("did you mean timeout?")
    );
}

#[test]
fn a_secret_is_a_reference_and_is_never_repeated() {
    assert_eq!(
        secret_arg("A=file:/x").unwrap().from,
        SecretRef::File("/x".into())
    );
    assert_eq!(
        secret_arg("A=env:B").unwrap().from,
        SecretRef::Env("B".into())
    );
    let refused = secret_arg("A=hunter2").unwrap_err();
    assert!(!refused.contains("hunter2"), "{refused}");
}

#[test]
fn names_like_credentials_stay_behind_unless_named() {
    let vars = [
        ("PATH", "/bin"),
        ("ANTHROPIC_API_KEY", "k"),
        ("GH_TOKEN", "t"),
        ("db_password", "p"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "c"),
        ("AUTO_CLAUDE_TOKEN", "x"),
        ("AUTO_CLAUDE_TASK_ID", "x"),
        ("PWD", "/elsewhere"),
        ("KEYBOARD", "de"),
    ];
    let mut vars: Vec<(OsString, OsString)> = vars
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    vars.push(("BINARY".into(), OsString::from_vec(vec![0xff])));
    let captured = environment::capture(vars);
    assert_eq!(
        captured.credentials,
        [
            "ANTHROPIC_API_KEY",
            "GH_TOKEN",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "db_password"
        ]
    );
    assert_eq!(captured.not_text, ["BINARY"]);
    let given = [EnvArg::Set("GH_TOKEN".into(), "mine".into())];
    let captured = captured.with(&given, Path::new("/work")).unwrap();
    let env: Vec<(&str, &str)> = captured
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        env,
        [
            ("GH_TOKEN", "mine"),
            ("KEYBOARD", "de"),
            ("PATH", "/bin"),
            ("PWD", "/work")
        ]
    );
    let notice = captured.notice(&["ANTHROPIC_API_KEY"]).unwrap();
    assert!(
        !notice.contains("GH_TOKEN") && !notice.contains("ANTHROPIC"),
        "{notice}"
    );
    assert!(
        notice.contains("--secret GOOGLE_APPLICATION_CREDENTIALS=file:PATH"),
        "{notice}"
    );
}

fn outcome(kind: OutcomeKind, exit_code: Option<i32>, signal: Option<i32>) -> OutcomeView {
    OutcomeView {
        kind,
        exit_code,
        signal,
        core_dumped: false,
        descendant_held_pipe: false,
        stop_sent: false,
        detail: String::new(),
    }
}

#[test]
fn a_foreground_run_ends_as_its_task() {
    for (state, outcome, code) in [
        (
            State::Completed,
            outcome(OutcomeKind::Succeeded, Some(0), None),
            0,
        ),
        (
            State::Failed,
            outcome(OutcomeKind::Exited, Some(3), None),
            3,
        ),
        (
            State::Failed,
            outcome(OutcomeKind::Signaled, None, Some(9)),
            137,
        ),
        (
            State::Failed,
            outcome(OutcomeKind::OutOfMemory, None, Some(9)),
            137,
        ),
        (
            State::Failed,
            outcome(OutcomeKind::TimedOut, None, Some(15)),
            exit::TASK_TIMED_OUT,
        ),
        (
            State::Failed,
            outcome(OutcomeKind::Lost, None, None),
            exit::TASK_LOST,
        ),
        (
            State::Failed,
            outcome(OutcomeKind::SpawnFailed, None, None),
            exit::CANNOT_START,
        ),
        (
            State::Cancelled,
            outcome(OutcomeKind::Exited, Some(0), None),
            exit::CANCELLED,
        ),
        (
            State::Cancelled,
            outcome(OutcomeKind::NeverRan, None, None),
            exit::CANCELLED,
        ),
    ] {
        let ending = Ending {
            state,
            outcome: Some(&outcome),
        };
        assert_eq!(exit::for_run(&ending), code, "{state:?} {outcome:?}");
    }
    for kind in OutcomeKind::ALL {
        let outcome = outcome(kind, None, None);
        let code = exit::for_run(&Ending {
            state: State::Failed,
            outcome: Some(&outcome),
        });
        assert_ne!(
            code,
            exit::OK,
            "a failed task ends its run with 0: {kind:?}"
        );
    }
}

#[test]
fn several_waited_for_tasks_give_the_heaviest_code() {
    assert_eq!(exit::worst([]), exit::OK);
    assert_eq!(
        exit::worst([
            exit::OK,
            exit::WAIT_TIMED_OUT,
            exit::CANCELLED,
            exit::TASK_FAILED
        ]),
        exit::TASK_FAILED
    );
    assert_eq!(
        exit::worst([exit::NEEDS_PERSON, exit::CANCELLED]),
        exit::CANCELLED
    );
}

#[test]
fn a_run_is_named_after_its_command() {
    let argv =
        |words: &[&str]| Command::Argv(words.iter().map(|word| (*word).to_owned()).collect());
    assert_eq!(
        daemon_args::name_of(&argv(&["/bin/sh", "-c", "\n  echo hi\nsleep 1"])),
        "echo hi"
    );
    assert_eq!(daemon_args::name_of(&argv(&["make", "test"])), "make test");
    assert_eq!(
        daemon_args::name_of(&Command::Line("a".repeat(200)))
            .chars()
            .count(),
        60
    );
    assert_eq!(
        daemon_args::name_of(&Command::Line(" \n".into())),
        "command"
    );
}
