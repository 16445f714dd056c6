//! Who may start, and when to look again.

use super::super::{Change, SetError, Wish};
use super::*;

#[test]
fn an_account_that_nothing_is_known_of_is_open() {
    let account = Account::default();
    assert_eq!(answer(&account, None, t(0)), ("open", ""));
    assert_eq!(account.next_look(t(0), &Policy::default()), None);
    assert_eq!(account.own_probe(t(0), &Policy::default()), None);
}

#[test]
fn nothing_starts_under_a_hold_but_one_probe_when_its_time_has_come() {
    let mut account = Account::default();
    let _ = strike(
        &mut account,
        &block_of(BlockKind::FiveHour, Some(t(HOUR_MS))),
        t(0),
    );
    assert_eq!(
        answer(&account, None, t(HOUR_MS - 1)),
        ("closed", "five_hour")
    );
    assert_eq!(begin(&mut account, 2, None, t(HOUR_MS - 1)), Start::Refused);
    assert_eq!(begin(&mut account, 2, None, t(HOUR_MS)), Start::Probe);
    assert_eq!(answer(&account, None, t(HOUR_MS)), ("probing", "five_hour"));
    assert_eq!(begin(&mut account, 3, None, t(2 * HOUR_MS)), Start::Refused);
    assert_eq!(account.probe().map(|probe| &probe.run), Some(&run(2)));

    // Another one's end says nothing about the probe; its own lets the next be chosen.
    account.ended(&run(3));
    assert_eq!(answer(&account, None, t(2 * HOUR_MS)).0, "probing");
    account.ended(&run(2));
    account.ended(&run(2));
    assert_eq!(answer(&account, None, t(2 * HOUR_MS)).0, "probe");
}

#[test]
fn of_two_holds_both_must_be_due() {
    let mut account = Account::default();
    let _ = strike(
        &mut account,
        &block_of(BlockKind::FiveHour, Some(t(HOUR_MS))),
        t(0),
    );
    let _ = strike(
        &mut account,
        &block_of(BlockKind::Weekly, Some(t(DAY_MS))),
        t(0),
    );
    assert_eq!(answer(&account, None, t(HOUR_MS)), ("closed", "weekly"));
    let gate = account.gate(&ask(None, Priority::Urgent, t(0)), &Policy::default());
    assert!(matches!(gate, Gate::Closed { until: Some(end), .. } if end == t(DAY_MS)));
    assert_eq!(answer(&account, None, t(DAY_MS)).0, "probe");

    let _ = strike(&mut account, &Block::of(BlockKind::Login), t(HOUR_MS));
    let gate = account.gate(&ask(None, Priority::Urgent, t(DAY_MS)), &Policy::default());
    assert!(matches!(
        gate,
        Gate::Closed {
            until: None,
            why: Why::Hold(_)
        }
    ));
}

#[test]
fn a_model_hold_leaves_other_models_open() {
    let mut account = Account::default();
    let _ = strike(&mut account, &model_limit("opus", t(HOUR_MS)), t(0));
    assert_eq!(
        answer(&account, Some("claude-sonnet-5-5"), t(0)),
        ("open", "")
    );
    assert_eq!(
        answer(&account, Some("claude-opus-5-5"), t(0)),
        ("closed", "model")
    );
    assert_eq!(
        answer(&account, None, t(0)),
        ("closed", "model"),
        "it may use opus"
    );
    assert_eq!(
        begin(&mut account, 2, Some("opus"), t(HOUR_MS)),
        Start::Probe
    );
    assert_eq!(
        begin(&mut account, 3, Some("sonnet"), t(HOUR_MS)),
        Start::Free
    );
}

#[test]
fn a_probe_that_hits_something_else_leaves_the_hold_to_the_next() {
    let mut account = Account::default();
    let policy = Policy::default();
    let _ = strike(
        &mut account,
        &block_of(BlockKind::FiveHour, Some(t(HOUR_MS))),
        t(0),
    );
    assert_eq!(begin(&mut account, 2, None, t(HOUR_MS)), Start::Probe);
    let block = Block::of(BlockKind::Overload);
    let _ = account.block(&block, &hit(&run(2), t(HOUR_MS)), &policy);
    assert_eq!(account.probe(), None);
    assert_eq!(answer(&account, None, t(HOUR_MS)), ("closed", "overload"));
    assert_eq!(
        begin(&mut account, 3, None, t(HOUR_MS + MINUTE_MS)),
        Start::Probe
    );
    assert_eq!(account.served(&run(3), t(HOUR_MS), t(2 * HOUR_MS)).len(), 2);
}

#[test]
fn a_look_is_worth_it_when_time_alone_changes_an_answer() {
    let mut account = Account::default();
    let policy = Policy::default();
    let look = |account: &Account, ms| account.next_look(t(ms), &policy);
    let _ = strike(
        &mut account,
        &block_of(BlockKind::Weekly, Some(t(DAY_MS))),
        t(0),
    );
    let _ = strike(&mut account, &model_limit("opus", t(HOUR_MS)), t(0));
    let _ = strike(&mut account, &Block::of(BlockKind::Login), t(0));
    assert_eq!(look(&account, 0), Some(t(HOUR_MS)));
    assert_eq!(look(&account, HOUR_MS), Some(t(DAY_MS)));
    assert_eq!(look(&account, DAY_MS), None, "a person must act");
}

#[test]
fn the_daemons_own_probe_tests_what_is_due_and_never_what_may_bill() {
    let mut account = Account::default();
    let policy = Policy::default();
    let _ = strike(&mut account, &model_limit("opus", t(HOUR_MS)), t(0));
    assert_eq!(account.own_probe(t(0), &policy), None);
    let hold = account.own_probe(t(HOUR_MS), &policy).expect("due");
    assert_eq!(hold.model.as_deref(), Some("opus"));

    let _ = strike(
        &mut account,
        &block_of(BlockKind::Overage, Some(t(HOUR_MS))),
        t(0),
    );
    assert_eq!(account.own_probe(t(HOUR_MS), &policy), None);
    let urgent = ask(Some("opus"), Priority::Urgent, t(HOUR_MS));
    assert_eq!(
        account.start(&Run::OwnProbe, &urgent, &policy),
        Start::Refused
    );
    assert_eq!(
        begin(&mut account, 2, Some("opus"), t(HOUR_MS)),
        Start::Probe
    );
}

#[test]
fn a_person_sets_what_nobody_announced() {
    let mut account = Account::default();
    let policy = Policy::default();
    let _ = strike(
        &mut account,
        &block_of(BlockKind::Weekly, Some(t(DAY_MS))),
        t(0),
    );
    let wish = |until: Option<Timestamp>| Wish {
        kind: BlockKind::Weekly.into(),
        model: None,
        until,
        detail: "the page says noon",
    };
    let held = account
        .set(&wish(Some(t(HOUR_MS))), t(1), &policy)
        .expect("it fits");
    assert_eq!(held.change, Change::Replaced);
    assert_eq!(until(&account, BlockKind::Weekly), Some(t(HOUR_MS)));
    assert_eq!(account.holds().len(), 1);

    let past = account.set(&wish(Some(t(1))), t(1), &policy);
    assert!(past.unwrap_err().to_string().ends_with("has passed"));
    let far = account.set(&wish(Some(t(9 * DAY_MS))), t(0), &policy);
    let told = far.unwrap_err().to_string();
    assert!(
        told.contains("at most until 2026-12-03T01:00:00.000Z"),
        "{told}"
    );
    assert_eq!(
        until(&account, BlockKind::Weekly),
        Some(t(HOUR_MS)),
        "untouched"
    );

    let held = account.set(&wish(None), t(1), &policy).expect("it fits");
    assert_eq!(held.hold.until, None);
    assert_eq!(answer(&account, None, t(DAY_MS)), ("closed", "weekly"));
}

#[test]
fn a_hold_that_a_person_set_anew_is_not_what_the_probe_tests() {
    let mut account = Account::default();
    let policy = Policy::default();
    let _ = strike(
        &mut account,
        &block_of(BlockKind::Weekly, Some(t(HOUR_MS))),
        t(0),
    );
    assert_eq!(begin(&mut account, 2, None, t(HOUR_MS)), Start::Probe);
    let wish = Wish {
        kind: BlockKind::Weekly.into(),
        model: None,
        until: Some(t(DAY_MS)),
        detail: "",
    };
    assert!(account.set(&wish, t(HOUR_MS), &policy).is_ok());
    assert_eq!(account.probe(), None);
    assert!(
        account
            .served(&run(2), t(HOUR_MS), t(2 * HOUR_MS))
            .is_empty()
    );
    assert_eq!(answer(&account, None, t(2 * HOUR_MS)), ("closed", "weekly"));
}

fn closes<'a>(kind: HoldKind, model: Option<&'a str>, until: Option<Timestamp>) -> Wish<'a> {
    Wish {
        kind,
        model,
        until,
        detail: "",
    }
}

#[test]
fn a_person_closes_an_account_up_to_the_longest_hold() {
    let mut account = Account::default();
    let policy = Policy::default();
    let latest = t(8 * DAY_MS);
    let wish = |until| closes(HoldKind::Person, None, Some(until));
    assert!(
        account
            .set(&wish(latest.plus_ms(1)), t(0), &policy)
            .is_err()
    );
    assert!(account.set(&wish(latest), t(0), &policy).is_ok());
}

#[test]
fn a_person_closes_only_so_many_models_and_always_the_account() {
    let mut account = Account::default();
    let policy = Policy::default();
    let mut set = |model: Option<&str>| {
        let wish = closes(HoldKind::Person, model, None);
        account.set(&wish, t(0), &policy).map(|held| held.change)
    };
    for n in 0..Account::MODEL_HOLDS_MAX {
        assert_eq!(set(Some(&format!("model-{n}x"))), Ok(Change::Began));
    }
    assert_eq!(set(Some("one-more")), Err(SetError::TooMany));
    assert_eq!(set(Some("model-0x")), Ok(Change::Replaced));
    assert_eq!(set(None), Ok(Change::Began));
}

#[test]
fn too_many_models_become_the_account_until_the_last_of_them() {
    let (hour, day) = (t(HOUR_MS), t(DAY_MS));
    for (others, last, wanted) in [(day, hour, day), (hour, day, day), (hour, hour, hour)] {
        let mut account = Account::default();
        // A person's word: not announced.
        for n in 0..Account::MODEL_HOLDS_MAX {
            let model = format!("model-{n}x");
            let wish = closes(BlockKind::Model.into(), Some(&model), Some(others));
            assert!(account.set(&wish, t(0), &Policy::default()).is_ok());
        }
        let hold = strike(&mut account, &model_limit("one-more", last), t(1)).hold;
        assert_eq!((hold.model, hold.since), (None, t(0)));
        assert_eq!(hold.until, Some(wanted));
        assert_eq!(hold.announced, last == wanted, "who said that time");
        assert_eq!(account.holds().len(), 1);
    }
}
