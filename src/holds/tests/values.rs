//! Names, words, order, and what is stored.

use super::super::{Hold, Waiting, goes_first, same_model};
use super::*;
use crate::task::Trouble;

#[test]
fn names_of_a_model() {
    for (one, other) in [
        ("opus", "claude-opus-5-5"),
        ("Opus 5.5", "claude-opus-5-5"),
        ("claude-opus-5-5", "claude-opus-5-5-20260101"),
        ("claude-opus-5-5[1m]", "claude-opus-5-5"),
        ("anthropic.claude-opus-5-5@20260101", "opus"),
        ("OPUS", "opus"),
        ("", "anything"),
        ("--", "anything"),
        ("gpt-5", "gpt-5-codex"),
    ] {
        assert!(
            same_model(one, other) && same_model(other, one),
            "{one} {other}"
        );
    }
    for (one, other) in [
        ("opus", "sonnet"),
        ("opus", "opusplan"),
        ("claude-opus-5-5", "claude-opus-4-1"),
        ("claude-opus", "claude-x-opus"),
        ("claude-opus-5-5", "claude-sonnet-5-5"),
    ] {
        assert!(
            !same_model(one, other) && !same_model(other, one),
            "{one} {other}"
        );
    }
}

#[test]
fn kinds_have_one_name_each_in_json_and_on_the_command_line() {
    let mut names: Vec<&str> = HoldKind::all().map(HoldKind::name).collect();
    for kind in HoldKind::all() {
        let json = serde_json::to_string(&kind).unwrap();
        assert_eq!(json, format!("\"{}\"", kind.name()));
        assert_eq!(serde_json::from_str::<HoldKind>(&json).unwrap(), kind);
        assert_eq!(kind.name().parse(), Ok(kind));
        let refusal = "x".parse::<HoldKind>().unwrap_err().to_string();
        assert!(refusal.contains(kind.name()), "{refusal}");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), HoldKind::all().count());
}

#[test]
fn holds_in_words() {
    let words = |kind: BlockKind, model: Option<&str>, trouble| {
        let mut account = Account::default();
        let block = Block {
            model: model.map(str::to_owned),
            trouble,
            ..Block::of(kind)
        };
        strike(&mut account, &block, t(0)).hold.to_string()
    };
    let table = [
        (BlockKind::FiveHour, None, "5-hour limit"),
        (BlockKind::Weekly, None, "weekly limit"),
        (BlockKind::Model, Some("opus"), "limit of model opus"),
        (BlockKind::Model, None, "limit of a model"),
        (BlockKind::Overage, None, "extra usage would be paid for"),
        (BlockKind::Credit, None, "credit used up"),
        (BlockKind::Spend, None, "spend limit reached"),
        (BlockKind::Throttle, None, "throttled"),
        (BlockKind::Throttle, Some("opus"), "throttled (model opus)"),
        (BlockKind::Overload, None, "server overloaded"),
        (BlockKind::Server, None, "server fails"),
        (
            BlockKind::Login,
            None,
            "login needed: taskctl account login",
        ),
        (BlockKind::Network, None, "network"),
    ];
    for (kind, model, expected) in table {
        assert_eq!(words(kind, model, None), expected);
    }
    assert_eq!(
        words(BlockKind::Network, None, Some(Trouble::Dns)),
        "network: the server's name cannot be resolved"
    );
}

#[test]
fn reasons_in_words() {
    let mut account = Account::default();
    let _ = strike(&mut account, &Block::of(BlockKind::Weekly), t(0));
    let policy = Policy {
        reserve_permille: 100,
        ..Policy::default()
    };
    let why = |account: &Account, ms| match account.gate(&ask(None, Priority::Low, t(ms)), &policy)
    {
        Gate::Closed { why, .. } => why.to_string(),
        Gate::Open | Gate::Probe { .. } => String::new(),
    };
    assert_eq!(why(&account, 0), "weekly limit");
    let due = t(HOUR_MS);
    let own = account.start(&Run::OwnProbe, &ask(None, Priority::Urgent, due), &policy);
    assert_eq!(own, Start::Probe);
    assert_eq!(
        why(&account, HOUR_MS),
        "weekly limit: a probe is under way (a probe of the daemon)"
    );
    let _ = account.served(&Run::OwnProbe, due, due);
    assert_eq!(begin(&mut account, 2, None, due), Start::Free);
    assert_eq!(
        why(&account, HOUR_MS),
        "the account has just opened; tasks start one by one"
    );
    let told = [window("five_hour", 923, Some(t(2 * HOUR_MS)))];
    let run = run(3);
    assert_eq!(
        account.observe(&told, false, &hit(&run, due), &policy),
        None
    );
    assert_eq!(
        why(&account, HOUR_MS),
        "five_hour is used to 92 %; the rest is kept for high priority"
    );
}

#[test]
fn what_waits_goes_by_priority_then_what_is_begun_then_in_order() {
    let waiting = |priority, begun, seq| Waiting {
        priority,
        begun,
        seq,
    };
    let mut queue = [
        waiting(Priority::Low, true, 1),
        waiting(Priority::Normal, false, 2),
        waiting(Priority::Normal, true, 4),
        waiting(Priority::Normal, true, 3),
        waiting(Priority::Urgent, false, 9),
        waiting(Priority::High, false, 8),
    ];
    queue.sort_by(goes_first);
    assert_eq!(queue.map(|task| task.seq), [9, 8, 3, 4, 2, 1]);
}

#[test]
fn an_account_reads_as_it_was_written_and_forgives_what_it_does_not_know() {
    assert_eq!(serde_json::to_string(&Account::default()).unwrap(), "{}");
    let mut account = Account::default();
    let _ = strike(&mut account, &model_limit("opus", t(HOUR_MS)), t(0));
    let _ = begin(&mut account, 2, Some("opus"), t(HOUR_MS));
    let told = [window("five_hour", 500, Some(t(HOUR_MS)))];
    let run = run(3);
    let _ = account.observe(&told, false, &hit(&run, t(0)), &Policy::default());
    let json = serde_json::to_value(&account).unwrap();
    assert_eq!(serde_json::from_value::<Account>(json).unwrap(), account);

    let text = r#"{"holds":[{"kind":"contract","since":"2026-11-25T01:00:00Z","later":1}],
        "windows":[{"name":"five_hour","used_permille":1,"seen_at":"2026-11-25T01:00:00Z","later":1}],
        "later":{}}"#;
    let account: Account = serde_json::from_str(text).unwrap();
    let hold: &Hold = &account.holds()[0];
    assert_eq!(
        (hold.kind, hold.until, hold.strikes),
        (HoldKind::Contract, None, 0)
    );
    assert_eq!(
        hold.to_string(),
        "the agent does not behave as its driver expects: auto-claude agent verify claude, or taskctl limits clear"
    );
}

#[test]
fn a_probe_that_tests_nothing_does_not_keep_an_account_closed() {
    let text = format!(
        r#"{{"holds":[{{"kind":"weekly","since":"{0}","until":"{0}"}}],"probe":{{"run":"own_probe","since":"{0}"}}}}"#,
        t(0)
    );
    let account: Account = serde_json::from_str(&text).unwrap();
    assert_eq!(account.probe(), None);
    assert_eq!(answer(&account, None, t(1)), ("probe", "weekly"));
}
