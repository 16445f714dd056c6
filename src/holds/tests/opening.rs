//! How holds end, and how tasks go on.

use super::*;

/// A 5-hour limit until three o'clock, whose probe, run 2, began then.
fn probed() -> Account {
    let mut account = Account::default();
    let block = block_of(BlockKind::FiveHour, Some(t(2 * HOUR_MS)));
    let _ = strike(&mut account, &block, t(0));
    assert_eq!(
        begin(&mut account, 2, Some("opus"), t(2 * HOUR_MS)),
        Start::Probe
    );
    account
}

#[test]
fn time_alone_ends_nothing_and_only_the_probe_proves() {
    let mut account = probed();
    assert!(
        account
            .served(&run(7), t(-HOUR_MS), t(3 * HOUR_MS))
            .is_empty()
    );
    // Also when the clock of a run that began before reads as after.
    assert!(
        account
            .served(&run(7), t(3 * HOUR_MS), t(3 * HOUR_MS))
            .is_empty()
    );
    assert_eq!(answer(&account, None, t(300 * DAY_MS)).0, "probing");
    let ended = account.served(&run(2), t(2 * HOUR_MS), t(2 * HOUR_MS + 1));
    assert_eq!(ended.len(), 1);
    assert!(account.holds().is_empty());
    assert_eq!(account.probe(), None);
}

#[test]
fn a_hold_that_was_lengthened_while_the_probe_ran_stays() {
    let mut account = probed();
    let block = block_of(BlockKind::FiveHour, Some(t(7 * HOUR_MS)));
    let _ = account.block(
        &block,
        &hit(&run(9), t(2 * HOUR_MS + 1)),
        &Policy::default(),
    );
    assert!(
        account
            .served(&run(2), t(2 * HOUR_MS), t(3 * HOUR_MS))
            .is_empty()
    );
    assert_eq!(
        answer(&account, None, t(3 * HOUR_MS)),
        ("closed", "five_hour")
    );
}

#[test]
fn a_success_ends_the_holds_over_its_model_only() {
    let mut account = Account::default();
    let due = t(HOUR_MS);
    for model in ["opus", "sonnet"] {
        let _ = strike(&mut account, &model_limit(model, due), t(0));
    }
    let _ = strike(
        &mut account,
        &block_of(BlockKind::FiveHour, Some(due)),
        t(0),
    );
    assert_eq!(
        begin(&mut account, 2, Some("claude-opus-5-5"), due),
        Start::Probe
    );
    let ended = account.served(&run(2), due, due);
    let names: Vec<String> = ended.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["limit of model opus", "5-hour limit"]);
    assert_eq!(answer(&account, Some("sonnet"), due), ("probe", "model"));
}

#[test]
fn tasks_go_on_one_after_the_other_until_a_further_one_is_served() {
    let mut account = probed();
    let opened = t(2 * HOUR_MS + MINUTE_MS);
    let _ = account.served(&run(2), t(2 * HOUR_MS), opened);
    let at = |seconds: i64| opened.plus_ms(seconds * SECOND_MS);
    assert_eq!(begin(&mut account, 3, None, at(0)), Start::Free);
    assert_eq!(begin(&mut account, 4, None, at(0)), Start::Refused);
    assert_eq!(answer(&account, None, at(29)), ("release", ""));
    assert_eq!(account.next_look(at(29), &Policy::default()), Some(at(30)));
    assert_eq!(begin(&mut account, 4, None, at(30)), Start::Free);
    assert_eq!(begin(&mut account, 5, None, at(31)), Start::Refused);
    // What ran all the time proves nothing, nor does the probe once more.
    let _ = account.served(&run(8), t(-HOUR_MS), at(32));
    let _ = account.served(&run(2), t(2 * HOUR_MS), at(32));
    assert_eq!(answer(&account, None, at(32)).0, "release");
    let _ = account.served(&run(3), at(0), at(33));
    assert_eq!(account.release(), None);
    for n in 5..50 {
        assert_eq!(begin(&mut account, n, None, at(33)), Start::Free);
    }
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody_waiting_when_an_account_opens() {
    let mut account = probed();
    let _ = account.served(&run(2), t(2 * HOUR_MS), t(2 * HOUR_MS));
    assert_eq!(begin(&mut account, 3, None, t(2 * HOUR_MS)), Start::Free);
    assert_eq!(begin(&mut account, 4, None, t(-DAY_MS)), Start::Free);
    assert_eq!(begin(&mut account, 5, None, t(-DAY_MS)), Start::Refused);
    let _ = account.served(&run(4), t(-DAY_MS), t(-DAY_MS + 1));
    assert_eq!(account.release(), None);
}

#[test]
fn only_the_model_that_was_closed_is_released_slowly() {
    let mut account = Account::default();
    let _ = strike(&mut account, &model_limit("opus", t(HOUR_MS)), t(0));
    assert_eq!(
        begin(&mut account, 2, Some("opus"), t(HOUR_MS)),
        Start::Probe
    );
    let _ = account.served(&run(2), t(HOUR_MS), t(HOUR_MS));
    assert_eq!(
        begin(&mut account, 3, Some("opus"), t(HOUR_MS)),
        Start::Free
    );
    assert_eq!(
        begin(&mut account, 4, Some("opus"), t(HOUR_MS)),
        Start::Refused
    );
    assert_eq!(
        begin(&mut account, 5, Some("sonnet"), t(HOUR_MS)),
        Start::Free
    );
    assert_eq!(
        begin(&mut account, 6, Some("sonnet"), t(HOUR_MS)),
        Start::Free
    );
}

#[test]
fn an_answer_that_was_paid_for_ends_nothing() {
    let mut account = probed();
    let at = t(2 * HOUR_MS + 1);
    let told = [window("five_hour", 1000, Some(t(7 * HOUR_MS)))];
    let run = run(2);
    let held = account.observe(&told, true, &hit(&run, at), &Policy::default());
    assert_eq!(held.expect("a hold").hold.until, Some(t(7 * HOUR_MS)));
    assert!(account.served(&run, t(2 * HOUR_MS), at).is_empty());
    assert_eq!(answer(&account, None, at), ("closed", "overage"));
}

#[test]
fn a_person_clears_one_kind_one_model_or_all_and_tasks_start_one_by_one() {
    let make = || {
        let mut account = Account::default();
        for model in ["opus", "sonnet"] {
            let _ = strike(&mut account, &model_limit(model, t(DAY_MS)), t(0));
        }
        let _ = strike(&mut account, &Block::of(BlockKind::Login), t(0));
        account
    };
    let table = [
        (None, None, 3),
        (Some(BlockKind::Login), None, 1),
        (Some(BlockKind::Model), None, 2),
        (Some(BlockKind::Model), Some("opus"), 1),
        (None, Some("sonnet"), 1),
        (Some(BlockKind::Weekly), None, 0),
        (None, Some("op"), 0),
    ];
    for (kind, model, count) in table {
        let mut account = make();
        let ended = account.clear(kind.map(HoldKind::Block), model, t(1));
        assert_eq!(ended.len(), count, "{kind:?} {model:?}");
        assert_eq!(account.holds().len(), 3 - count);
        assert_eq!(account.release().is_some(), count > 0);
    }
    let mut account = make();
    let _ = account.clear(None, None, t(1));
    assert_eq!(begin(&mut account, 2, None, t(1)), Start::Free);
    assert_eq!(begin(&mut account, 3, None, t(1)), Start::Refused);
}

#[test]
fn strikes_are_forgotten_with_the_hold() {
    let mut account = Account::default();
    let throttle = Block::of(BlockKind::Throttle);
    let _ = strike(&mut account, &throttle, t(0));
    assert_eq!(begin(&mut account, 1, None, t(MINUTE_MS)), Start::Probe);
    let end = strike(&mut account, &throttle, t(MINUTE_MS)).hold;
    assert_eq!((end.strikes, end.until), (2, Some(t(2 * MINUTE_MS))));
    assert_eq!(begin(&mut account, 1, None, t(2 * MINUTE_MS)), Start::Probe);
    let _ = account.served(&run(1), t(2 * MINUTE_MS), t(2 * MINUTE_MS));
    let anew = strike(&mut account, &throttle, t(3 * MINUTE_MS)).hold;
    assert_eq!(anew.strikes, 1);
}

#[test]
fn an_account_that_has_opened_is_as_one_that_was_never_closed() {
    let mut account = probed();
    let opened = t(2 * HOUR_MS + 1);
    assert_eq!(account.served(&run(2), t(2 * HOUR_MS), opened).len(), 1);
    assert_eq!(begin(&mut account, 3, None, opened), Start::Free);
    let _ = account.served(&run(3), opened, opened);
    assert_eq!(account, Account::default());
}

#[test]
fn what_opens_beside_a_model_that_is_released_slowly_frees_none_of_them() {
    let limited = |account: &mut Account, model: &str| {
        let _ = strike(account, &model_limit(model, t(DAY_MS)), t(0));
    };
    let opens = |account: &mut Account, model: &str| {
        let kind = Some(BlockKind::Model.into());
        assert_eq!(account.clear(kind, Some(model), t(1)).len(), 1);
    };
    let words =
        |account: &Account| ["opus", "sonnet"].map(|model| answer(account, Some(model), t(1)).0);
    let mut account = Account::default();
    limited(&mut account, "opus");
    opens(&mut account, "opus");
    assert_eq!(begin(&mut account, 2, Some("opus"), t(1)), Start::Free);
    limited(&mut account, "opus");
    opens(&mut account, "opus");
    assert_eq!(words(&account), ["release", "open"], "the same once more");
    limited(&mut account, "sonnet");
    opens(&mut account, "sonnet");
    assert_eq!(words(&account), ["release", "release"]);
}
