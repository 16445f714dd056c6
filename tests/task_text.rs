//! Texts from outside: ids, times and submissions, parsed and refused.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use auto_claude::task::spec_check::{
    AFTER_MAX, ARG_MAX_BYTES, DESCRIPTION_MAX_CHARS, NAME_MAX_CHARS, TIMEOUT_MAX_SECONDS,
};
use auto_claude::task::{
    AttemptId, Command, Outcome, OutcomeKind, RetryOn, SecretRef, TaskId, TaskSpec, Timestamp,
};
use proptest::prelude::*;

fn spec() -> TaskSpec {
    serde_json::from_str(r#"{"name":"build","command":"make","cwd":"/srv/project"}"#).unwrap()
}

/// The field that is refused after this change.
fn refused(change: impl FnOnce(&mut TaskSpec)) -> &'static str {
    let mut spec = spec();
    change(&mut spec);
    let error = spec.check().expect_err("out of range");
    let text = error.to_string();
    assert!(
        text.len() < 600,
        "an error quotes no megabyte: {}",
        text.len()
    );
    assert!(!text.chars().any(char::is_control), "{text:?}");
    error.field
}

#[test]
fn a_plain_submission_passes_and_so_do_all_upper_bounds() {
    spec().check().unwrap();
    let mut spec = spec();
    spec.name = "ä".repeat(NAME_MAX_CHARS);
    spec.description = "line\n".repeat(DESCRIPTION_MAX_CHARS / 5);
    spec.command = Command::Line("x".repeat(ARG_MAX_BYTES));
    spec.env = BTreeMap::from([("AUTO_CLAUDE_TASK_ID".to_owned(), "nested".to_owned())]);
    spec.secrets = BTreeMap::from([("KEY".to_owned(), SecretRef::File("/run/key".into()))]);
    spec.timeout_seconds = Some(TIMEOUT_MAX_SECONDS);
    spec.max_retries = Some(1000);
    spec.retry_on = vec![RetryOn::Any, RetryOn::Code(255)];
    spec.exclusive = Some("/srv/project".to_owned());
    spec.check().unwrap();
}

#[test]
fn names_and_texts_out_of_range_are_refused() {
    for name in [
        "",
        "a\nb",
        "a\u{1b}[31m",
        "a\0",
        &"x".repeat(NAME_MAX_CHARS + 1),
    ] {
        assert_eq!(refused(|spec| name.clone_into(&mut spec.name)), "name");
        assert_eq!(
            refused(|spec| spec.exclusive = Some(name.to_owned())),
            "exclusive"
        );
    }
    let long = "x".repeat(DESCRIPTION_MAX_CHARS + 1);
    assert_eq!(refused(|spec| spec.description = long), "description");
    assert_eq!(
        refused(|spec| spec.description = "\0".to_owned()),
        "description"
    );
}

#[test]
fn commands_that_cannot_run_are_refused() {
    let line = |text: &str| Command::Line(text.to_owned());
    let argv = |args: &[&str]| Command::Argv(args.iter().map(|&arg| arg.to_owned()).collect());
    let huge = "x".repeat(ARG_MAX_BYTES + 1);
    let half = "x".repeat(ARG_MAX_BYTES);
    let many = vec![half.as_str(); 9];
    let commands = [
        line(""),
        line(" \t\n"),
        line("a\0b"),
        line(&huge),
        argv(&[]),
        argv(&[""]),
        argv(&["a", "b\0"]),
        argv(&["a", &huge]),
        argv(&many),
    ];
    for command in commands {
        assert_eq!(refused(|spec| spec.command = command), "command");
    }
    argv(&["a", ""]).check().unwrap();
}

#[test]
fn places_and_variables_out_of_range_are_refused() {
    for cwd in ["", "relative", "/a\0b", &format!("/{}", "x".repeat(4095))] {
        assert_eq!(refused(|spec| spec.cwd = PathBuf::from(cwd)), "cwd");
    }
    let pair = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let huge = "x".repeat(ARG_MAX_BYTES);
    for (name, value) in [
        ("", "v"),
        ("A=B", "v"),
        ("A\0", "v"),
        ("A", "\0"),
        ("A", &huge),
    ] {
        assert_eq!(refused(|spec| spec.env = pair(name, value)), "env");
    }
    let secrets = [
        SecretRef::File("relative".into()),
        SecretRef::Env(String::new()),
        SecretRef::Credential("../key".to_owned()),
        SecretRef::Credential("..".to_owned()),
        SecretRef::Credential(String::new()),
    ];
    for secret in secrets {
        let named = BTreeMap::from([("KEY".to_owned(), secret)]);
        assert_eq!(refused(|spec| spec.secrets = named), "secrets");
    }
    let twice = |spec: &mut TaskSpec| {
        spec.env = pair("KEY", "plain");
        spec.secrets = BTreeMap::from([("KEY".to_owned(), SecretRef::Env("KEY".to_owned()))]);
    };
    assert_eq!(refused(twice), "secrets");
}

#[test]
fn numbers_out_of_range_are_refused() {
    for value in [0, TIMEOUT_MAX_SECONDS + 1, u64::MAX] {
        assert_eq!(
            refused(|spec| spec.timeout_seconds = Some(value)),
            "timeout_seconds"
        );
        assert_eq!(
            refused(|spec| spec.idle_timeout_seconds = Some(value)),
            "idle_timeout_seconds"
        );
    }
    assert_eq!(refused(|spec| spec.max_retries = Some(1001)), "max_retries");
    assert_eq!(
        refused(|spec| spec.retry_on = vec![RetryOn::Code(0)]),
        "retry_on"
    );
    assert_eq!(
        refused(|spec| spec.retry_on = vec![RetryOn::Any; 1000]),
        "retry_on"
    );
    let after = vec![TaskId::from_random(1); AFTER_MAX + 1];
    assert_eq!(refused(|spec| spec.after = after), "after");
}

#[test]
fn unknown_fields_of_a_submission_are_refused() {
    let text = r#"{"name":"build","command":"make","cwd":"/srv","timeout":5}"#;
    let error = serde_json::from_str::<TaskSpec>(text).expect_err("unknown");
    assert!(error.to_string().contains("timeout"), "{error}");
}

#[test]
fn an_empty_prefix_names_no_task() {
    for text in [
        "",
        "task_",
        "task_I",
        "K3",
        "task_k3 ",
        "task_00000000000000",
        "task_task_",
    ] {
        assert!(TaskId::parse_prefix(text).is_err(), "{text:?}");
    }
    assert_eq!(TaskId::parse_prefix("k3").unwrap(), "task_k3");
    assert_eq!(TaskId::parse_prefix("task_k3").unwrap(), "task_k3");
}

#[test]
fn an_id_has_its_prefix_its_length_and_its_letters() {
    for text in ["task_0", "task_000000000000l", "0000000000000", ""] {
        let error = text.parse::<TaskId>().expect_err(text).to_string();
        assert_eq!(error, format!("{text:?} is not a task id"));
    }
    let long = "ä".repeat(41);
    let error = long.parse::<TaskId>().expect_err("no id").to_string();
    assert_eq!(error, format!("{:?} is not a task id", "ä".repeat(40)));
}

#[test]
fn every_bit_of_chance_makes_another_id() {
    let bits = 5 * TaskId::RANDOM_CHARS;
    let ids = (0..bits).map(|bit| TaskId::from_random(1 << bit));
    let ids: BTreeSet<_> = ids.chain([TaskId::from_random(0)]).collect();
    assert_eq!(ids.len(), bits + 1);
}

#[test]
fn attempts_have_one_spelling() {
    let task = TaskId::from_random(0);
    let attempt: AttemptId = format!("{task}.12").parse().unwrap();
    assert_eq!((attempt.generation, &attempt.task), (12, &task));
    assert_eq!(
        serde_json::to_value(&attempt).unwrap(),
        format!("{task}.12")
    );
    for tail in [
        "",
        ".",
        ".0",
        ".01",
        ".+1",
        ".-1",
        ".1.2",
        ".4294967296",
        ". 1",
        ".1 ",
        ".1a",
    ] {
        assert!(
            format!("{task}{tail}").parse::<AttemptId>().is_err(),
            "{tail:?}"
        );
    }
}

#[test]
fn times_are_rfc_3339_with_a_zone() {
    let time: Timestamp = "2026-01-31T23:00:00.5+01:00".parse().unwrap();
    assert_eq!(time.to_string(), "2026-01-31T22:00:00.500Z");
    for text in [
        "",
        "now",
        "2026-01-31",
        "2026-01-31T22:00:00",
        "1800000000",
        "2026-02-30T00:00:00Z",
    ] {
        assert!(text.parse::<Timestamp>().is_err(), "{text:?}");
    }
    let error = "x"
        .repeat(1_000_000)
        .parse::<Timestamp>()
        .expect_err("no time")
        .to_string();
    assert!(error.len() < 200, "{}", error.len());
}

#[test]
fn a_time_is_its_milliseconds_since_the_epoch() {
    let second: Timestamp = "1970-01-01T00:00:01Z".parse().unwrap();
    assert_eq!(
        (second.as_ms(), second.plus_ms(5).ms_since(second)),
        (1_000, 5)
    );
}

#[test]
fn the_first_and_the_last_time_can_be_written_and_read() {
    for ms in [
        i64::MIN,
        Timestamp::MIN_MS,
        -1,
        0,
        Timestamp::MAX_MS,
        i64::MAX,
    ] {
        let time = Timestamp::from_ms(ms);
        assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time), "{ms}");
    }
    let last = Timestamp::from_ms(i64::MAX);
    assert_eq!(last.plus_ms(i64::MAX), last);
    assert_eq!(last.to_string(), "9999-12-30T22:00:00.000Z");
    assert!(last.ms_since(Timestamp::from_ms(i64::MIN)) > 0);
}

#[test]
fn a_detail_is_cut_at_a_character() {
    let outcome = Outcome::of(OutcomeKind::SpawnFailed).with_detail("ä".repeat(500));
    assert_eq!(outcome.detail, "ä".repeat(Outcome::DETAIL_MAX_BYTES / 2));
    let odd = Outcome::of(OutcomeKind::SpawnFailed).with_detail(format!("x{}", "ä".repeat(500)));
    assert_eq!(odd.detail.len(), Outcome::DETAIL_MAX_BYTES - 1);
}

#[test]
fn a_second_detail_is_kept_whole_at_the_cost_of_the_first() {
    let first = Outcome::of(OutcomeKind::Lost).and_detail("no exit");
    assert_eq!(first.detail, "no exit");
    assert_eq!(first.and_detail("swept").detail, "no exit; swept");
    let full = Outcome::of(OutcomeKind::Lost).with_detail("a".repeat(Outcome::DETAIL_MAX_BYTES));
    let kept = "a".repeat(Outcome::DETAIL_MAX_BYTES - "; swept".len());
    assert_eq!(full.and_detail("swept").detail, format!("{kept}; swept"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ids_come_back_from_their_text(bits: u128, generation in 1_u32..) {
        let task = TaskId::from_random(bits);
        prop_assert_eq!(task.to_string().parse::<TaskId>(), Ok(task.clone()));
        let json = serde_json::to_string(&task).unwrap();
        prop_assert_eq!(serde_json::from_str::<TaskId>(&json).unwrap(), task.clone());
        let attempt = AttemptId { task, generation };
        prop_assert_eq!(attempt.to_string().parse::<AttemptId>(), Ok(attempt));
    }

    #[test]
    fn every_prefix_of_an_id_finds_it(bits: u128, len in 1_usize..=TaskId::RANDOM_CHARS) {
        let task = TaskId::from_random(bits);
        let whole = &task.as_str()[..TaskId::PREFIX.len() + len];
        let bare = &whole[TaskId::PREFIX.len()..];
        prop_assert_eq!(TaskId::parse_prefix(whole).unwrap(), whole);
        prop_assert_eq!(TaskId::parse_prefix(bare).unwrap(), whole);
    }

    #[test]
    fn whatever_parses_is_written_the_same(text in "(task_)?[0-9a-zA-Z_.+ -]{0,24}|\\PC{0,40}") {
        if let Ok(task) = text.parse::<TaskId>() {
            prop_assert_eq!(task.as_str(), text.as_str());
        }
        if let Ok(attempt) = text.parse::<AttemptId>() {
            prop_assert_eq!(attempt.to_string(), text.clone());
        }
        if let Ok(prefix) = TaskId::parse_prefix(&text) {
            prop_assert!(prefix.ends_with(&text) && prefix.starts_with(TaskId::PREFIX));
        }
    }

    #[test]
    fn times_come_back_from_their_text(ms: i64) {
        let time = Timestamp::from_ms(ms);
        prop_assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time));
        let json = serde_json::to_string(&time).unwrap();
        prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), time);
    }

    #[test]
    fn any_text_is_a_time_or_a_short_error(text in "\\PC{0,60}|-?[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,14}(Z|[+-][0-9]{2}:[0-9]{2})") {
        match text.parse::<Timestamp>() {
            Ok(time) => prop_assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time)),
            Err(error) => prop_assert!(error.to_string().len() < 1000),
        }
    }

    #[test]
    fn later_times_sort_later_as_text(a: i64, b: i64) {
        let (a, b) = (Timestamp::from_ms(a), Timestamp::from_ms(b));
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
    }

    #[test]
    fn any_submission_is_checked_without_a_panic(name in "\\PC{0,300}|.*", cwd in ".*", line in ".*", code: u8) {
        let mut spec = spec();
        spec.name = name;
        spec.cwd = PathBuf::from(cwd);
        spec.command = Command::Line(line);
        spec.retry_on = vec![RetryOn::Code(code)];
        if spec.check().is_ok() {
            let json = serde_json::to_string(&spec).unwrap();
            prop_assert_eq!(serde_json::from_str::<TaskSpec>(&json).unwrap(), spec);
        }
    }
}
