//! What each hit makes: until when, how a further one lengthens it, strikes.

use super::super::Change;
use super::*;
use crate::task::Trouble;

#[test]
fn what_each_kind_waits_for_when_nothing_is_announced() {
    let table = [
        (BlockKind::FiveHour, Some(HOUR_MS)),
        (BlockKind::Weekly, Some(HOUR_MS)),
        (BlockKind::Model, Some(HOUR_MS)),
        (BlockKind::Overage, Some(HOUR_MS)),
        (BlockKind::Credit, Some(HOUR_MS)),
        (BlockKind::Spend, Some(HOUR_MS)),
        (BlockKind::Throttle, Some(30 * SECOND_MS)),
        (BlockKind::Overload, Some(MINUTE_MS)),
        (BlockKind::Server, Some(30 * SECOND_MS)),
        (BlockKind::Login, None),
        (BlockKind::Network, Some(10 * SECOND_MS)),
    ];
    assert_eq!(table.map(|(kind, _)| kind), BlockKind::ALL);
    for (kind, wait_ms) in table {
        let mut account = Account::default();
        let held = strike(&mut account, &Block::of(kind), t(0));
        assert_eq!(held.change, Change::Began, "{kind:?}");
        assert_eq!(held.hold.until, wait_ms.map(t), "{kind:?}");
        assert!(!held.hold.announced, "{kind:?}");
        assert_eq!((held.hold.strikes, held.hold.since), (1, t(0)), "{kind:?}");
    }
}

#[test]
fn an_announced_end_is_believed_while_it_makes_sense() {
    // Announced after `at`, in ms; what it waits, and whether it counts as announced.
    let table = [
        (1, 1, true),
        (2 * HOUR_MS, 2 * HOUR_MS, true),
        (DAY_MS, DAY_MS, true),
        (8 * DAY_MS, 8 * DAY_MS, true),
        // A month: at most eight days.
        (30 * DAY_MS, 8 * DAY_MS, true),
        (400 * DAY_MS, 8 * DAY_MS, true),
        // Seconds taken for milliseconds, and the like.
        (400 * DAY_MS + 1, HOUR_MS, false),
        // Just passed: the server's clock is behind ours.
        (0, MINUTE_MS, false),
        (-30 * SECOND_MS, MINUTE_MS, false),
        (1 - 5 * MINUTE_MS, MINUTE_MS, false),
        (-5 * MINUTE_MS, HOUR_MS, false),
        (-9000 * DAY_MS, HOUR_MS, false),
    ];
    for (told_ms, wait_ms, announced) in table {
        let mut account = Account::default();
        let block = block_of(BlockKind::Weekly, Some(t(told_ms)));
        let hold = strike(&mut account, &block, t(0)).hold;
        assert_eq!(hold.until, Some(t(wait_ms)), "{told_ms}");
        assert_eq!(hold.announced, announced, "{told_ms}");
    }
}

#[test]
fn trouble_follows_an_announced_end_and_else_backs_off() {
    let mut account = Account::default();
    let retry_after = block_of(BlockKind::Throttle, Some(t(HOUR_MS)));
    assert_eq!(
        strike(&mut account, &retry_after, t(0)).hold.until,
        Some(t(HOUR_MS))
    );

    let mut account = Account::default();
    let mut now = t(0);
    let mut waits = Vec::new();
    for strikes in 1..=8 {
        let held = strike(&mut account, &Block::of(BlockKind::Overload), now);
        assert_eq!(held.hold.strikes, strikes);
        let end = held.hold.until.unwrap();
        waits.push(end.ms_since(now) / MINUTE_MS);
        now = end;
        assert_eq!(begin(&mut account, 1, None, now), Start::Probe);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
}

#[test]
fn the_lowest_draw_still_waits_a_second() {
    let mut account = Account::default();
    let run = run(1);
    let lowest = Hit {
        random: 0,
        ..hit(&run, t(0))
    };
    let held = account.block(&Block::of(BlockKind::Network), &lowest, &Policy::default());
    assert_eq!(held.hold.until, Some(t(SECOND_MS)));
}

#[test]
fn a_reset_that_keeps_just_passing_is_asked_less_and_less_often() {
    let mut account = Account::default();
    let mut now = t(0);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let block = block_of(BlockKind::FiveHour, Some(now.plus_ms(-SECOND_MS)));
        let end = strike(&mut account, &block, now).hold.until.unwrap();
        waits.push(end.ms_since(now) / MINUTE_MS);
        now = end;
        assert_eq!(begin(&mut account, 1, None, now), Start::Probe);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn an_unknown_five_hour_limit_is_looked_at_when_its_window_must_be_over() {
    let policy = Policy {
        default_wait_ms: 2 * 3_600_000,
        ..Policy::default()
    };
    let mut account = Account::default();
    let mut now = t(0);
    let mut looks = Vec::new();
    for _ in 0..4 {
        let block = Block::of(BlockKind::FiveHour);
        let held = account.block(&block, &hit(&run(1), now), &policy);
        now = held.hold.until.unwrap();
        looks.push(now.ms_since(t(0)) / HOUR_MS);
        let ask = ask(None, Priority::Normal, now);
        assert_eq!(account.start(&run(1), &ask, &policy), Start::Probe);
    }
    assert_eq!(looks, [2, 4, 5, 7]);
}

#[test]
fn a_window_that_was_seen_tells_the_end_that_nobody_announces() {
    let told = [
        window("five_hour", 600, Some(t(3 * HOUR_MS))),
        window("seven_day", 300, Some(t(4 * DAY_MS))),
        window("seven_day_opus", 900, Some(t(2 * DAY_MS))),
        window("overage", 10, Some(t(DAY_MS))),
    ];
    let table = [
        (BlockKind::FiveHour, None, 3 * HOUR_MS, true),
        (BlockKind::Weekly, None, 4 * DAY_MS, true),
        (BlockKind::Model, Some("claude-opus-5-5"), 2 * DAY_MS, true),
        (BlockKind::Model, Some("sonnet"), HOUR_MS, false),
        (BlockKind::Model, None, HOUR_MS, false),
        (BlockKind::Credit, None, HOUR_MS, false),
        // Nothing is used up: the first to begin anew is the first chance.
        (BlockKind::Overage, None, 3 * HOUR_MS, true),
    ];
    for (kind, model, wait_ms, announced) in table {
        let mut account = Account::default();
        let run = run(1);
        let nothing = account.observe(&told, false, &hit(&run, t(0)), &Policy::default());
        assert_eq!(nothing, None);
        let block = Block {
            model: model.map(str::to_owned),
            ..Block::of(kind)
        };
        let hold = strike(&mut account, &block, t(0)).hold;
        assert_eq!(hold.until, Some(t(wait_ms)), "{kind:?} {model:?}");
        assert_eq!(hold.announced, announced, "{kind:?} {model:?}");
    }
}

#[test]
fn a_hit_lengthens_and_never_shortens() {
    let mut account = Account::default();
    let hits = [
        (0, 2 * HOUR_MS, Change::Began, 2 * HOUR_MS),
        (SECOND_MS, HOUR_MS, Change::Same, 2 * HOUR_MS),
        (2 * SECOND_MS, 2 * HOUR_MS, Change::Same, 2 * HOUR_MS),
        (3 * SECOND_MS, 3 * HOUR_MS, Change::Lengthened, 3 * HOUR_MS),
    ];
    for (at_ms, told_ms, change, end_ms) in hits {
        let block = block_of(BlockKind::FiveHour, Some(t(told_ms)));
        let held = strike(&mut account, &block, t(at_ms));
        assert_eq!(held.change, change);
        assert_eq!(held.hold.until, Some(t(end_ms)));
        assert_eq!(held.hold.strikes, 1, "none of them was the probe");
        assert_eq!(held.hold.since, t(0));
    }
    assert_eq!(account.holds().len(), 1);
    assert!(!begin_is_allowed(&account, t(3 * HOUR_MS - 1)));
    assert!(begin_is_allowed(&account, t(3 * HOUR_MS)));
}

fn begin_is_allowed(account: &Account, now: Timestamp) -> bool {
    answer(account, None, now).0 == "probe"
}

#[test]
fn two_tasks_that_hit_the_wall_at_once_are_one_strike() {
    let mut account = Account::default();
    let policy = Policy::default();
    for n in 1..=5 {
        let block = Block::of(BlockKind::Throttle);
        let held = account.block(&block, &hit(&run(n), t(i64::from(n))), &policy);
        assert_eq!(held.hold.strikes, 1);
        assert_eq!(
            held.hold.until,
            Some(t(1 + 30 * SECOND_MS)),
            "as the first made it"
        );
    }
}

#[test]
fn a_late_hit_on_a_hold_that_is_due_waits_again_without_a_strike() {
    let mut account = Account::default();
    let _ = strike(&mut account, &Block::of(BlockKind::Weekly), t(0));
    let held = strike(&mut account, &Block::of(BlockKind::Weekly), t(HOUR_MS));
    assert_eq!(held.change, Change::Lengthened);
    assert_eq!(held.hold.until, Some(t(2 * HOUR_MS)));
    assert_eq!(held.hold.strikes, 1);
}

#[test]
fn a_login_that_dies_outlasts_what_a_person_had_set_and_everything_else() {
    let mut account = Account::default();
    let wish = super::super::Wish {
        kind: HoldKind::Block(BlockKind::Login),
        model: None,
        until: Some(t(HOUR_MS)),
        detail: "",
    };
    assert!(account.set(&wish, t(0), &Policy::default()).is_ok());
    let held = strike(&mut account, &Block::of(BlockKind::Login), t(1));
    assert_eq!((held.change, held.hold.until), (Change::Lengthened, None));
    let held = strike(&mut account, &Block::of(BlockKind::Login), t(2));
    assert_eq!(held.change, Change::Same);
    assert_eq!(
        answer(&account, None, t(4000 * DAY_MS)),
        ("closed", "login")
    );
}

#[test]
fn a_time_from_before_the_clock_was_set_back_is_due_and_then_bounded_again() {
    let mut account = Account::default();
    let year_ms = 365 * DAY_MS;
    let block = block_of(BlockKind::FiveHour, Some(t(year_ms + HOUR_MS)));
    let _ = strike(&mut account, &block, t(year_ms));
    assert_eq!(begin(&mut account, 2, None, t(0)), Start::Probe);
    let policy = Policy::default();
    let held = account.block(
        &Block::of(BlockKind::FiveHour),
        &hit(&run(2), t(1)),
        &policy,
    );
    assert_eq!(held.hold.until, Some(t(1 + HOUR_MS)));
    assert_eq!(held.change, Change::Lengthened);
}

#[test]
fn a_login_or_network_has_no_model_and_too_many_models_become_the_account() {
    let mut account = Account::default();
    let policy = Policy::default();
    for kind in [BlockKind::Login, BlockKind::Network, BlockKind::FiveHour] {
        let block = Block {
            model: Some("opus".to_owned()),
            ..Block::of(kind)
        };
        assert_eq!(strike(&mut account, &block, t(0)).hold.model, None);
    }
    for n in 0..100_i64 {
        let block = model_limit(&format!("model-{n}x"), t(n * MINUTE_MS + HOUR_MS));
        let held = account.block(&block, &hit(&run(1), t(n)), &policy);
        assert!(account.holds().len() <= Account::MODEL_HOLDS_MAX + HoldKind::all().count());
        assert!(held.hold.until >= Some(t(n * MINUTE_MS + HOUR_MS)));
    }
    let whole = account
        .holds()
        .iter()
        .find(|hold| hold.kind == BlockKind::Model.into() && hold.model.is_none());
    assert!(whole.is_some_and(|hold| hold.until >= Some(t(HOUR_MS + 15 * MINUTE_MS))));
}

#[test]
fn a_hold_keeps_what_a_person_wants_to_know() {
    let mut account = Account::default();
    let run = run(1);
    let detail = "ECONNREFUSED\u{1b}[31m ".repeat(40);
    let block = Block {
        trouble: Some(Trouble::Refused),
        ..Block::of(BlockKind::Network)
    };
    let told = Hit {
        detail: &detail,
        ..hit(&run, t(0))
    };
    let hold = account.block(&block, &told, &Policy::default()).hold;
    assert!(hold.detail.starts_with("ECONNREFUSED[31m ECONN"));
    assert!(hold.detail.len() <= super::super::Hold::DETAIL_MAX_BYTES);
    let hold = account
        .block(
            &Block::of(BlockKind::Network),
            &hit(&run, t(1)),
            &Policy::default(),
        )
        .hold;
    assert_eq!(
        hold.trouble,
        Some(Trouble::Refused),
        "what is not said stays"
    );
    assert!(!hold.detail.is_empty());
}
