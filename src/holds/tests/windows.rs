//! What is known of windows, the reserve, extra usage.

use super::super::{Change, Overage};
use super::*;

fn hear(account: &mut Account, told: &[Window], at: Timestamp) {
    let run = run(1);
    let held = account.observe(told, false, &hit(&run, at), &Policy::default());
    assert_eq!(held, None);
}

fn used(account: &Account, name: &str) -> Option<u32> {
    let seen = account
        .windows()
        .iter()
        .find(|seen| seen.window.name == name)?;
    Some(seen.window.used_permille)
}

#[test]
fn within_a_window_use_only_grows_and_the_next_begins_anew() {
    let mut account = Account::default();
    let end = t(3 * HOUR_MS);
    let next = t(8 * HOUR_MS);
    // At, used, end of the window; what is known then.
    let table = [
        (0, 500, Some(end), 500),
        // Heard earlier by a run that ended later; the server rounds.
        (1, 300, Some(end.plus_ms(900)), 500),
        (1, 400, Some(end.plus_ms(MINUTE_MS)), 500),
        // A whole minute apart it is another one.
        (2, 450, Some(end), 450),
        (2, 700, Some(end), 700),
        (4 * HOUR_MS, 20, Some(next), 20),
        (4 * HOUR_MS + 1, 700, Some(end), 20),
        // The reset moved.
        (4 * HOUR_MS + 2, 10, Some(next.plus_ms(HOUR_MS)), 10),
        (4 * HOUR_MS + 3, 15, None, 15),
    ];
    for (at_ms, now_used, resets_at, known) in table {
        hear(
            &mut account,
            &[window("five_hour", now_used, resets_at)],
            t(at_ms),
        );
        assert_eq!(used(&account, "five_hour"), Some(known), "at {at_ms}");
    }
}

#[test]
fn what_is_kept_of_windows_is_bounded() {
    let mut account = Account::default();
    for n in 0..200 {
        let name = format!("w{n}\u{7}{}", "x".repeat(200));
        hear(&mut account, &[window(&name, 1, None)], t(n));
    }
    assert_eq!(account.windows().len(), super::super::window::WINDOWS_MAX);
    assert!(
        account
            .windows()
            .iter()
            .all(|seen| seen.window.name.len() <= 80)
    );
    assert!(
        account
            .windows()
            .iter()
            .all(|seen| !seen.window.name.contains('\u{7}'))
    );
    assert!(
        account
            .windows()
            .iter()
            .any(|seen| seen.window.name.starts_with("w199"))
    );
}

#[test]
fn the_reserve_is_for_high_priority_until_the_window_begins_anew() {
    let policy = Policy {
        reserve_permille: 200,
        ..Policy::default()
    };
    let open = |account: &Account, model, priority, ms| {
        matches!(
            account.gate(&ask(model, priority, t(ms)), &policy),
            Gate::Open
        )
    };
    let mut account = Account::default();
    hear(
        &mut account,
        &[window("five_hour", 799, Some(t(HOUR_MS)))],
        t(0),
    );
    assert!(open(&account, None, Priority::Low, 0));
    hear(
        &mut account,
        &[window("five_hour", 800, Some(t(HOUR_MS)))],
        t(1),
    );
    for (priority, may) in [
        (Priority::Low, false),
        (Priority::Normal, false),
        (Priority::High, true),
        (Priority::Urgent, true),
    ] {
        assert_eq!(open(&account, None, priority, 2), may, "{priority:?}");
    }
    assert_eq!(account.next_look(t(2), &policy), Some(t(HOUR_MS)));
    assert!(!open(&account, None, Priority::Normal, HOUR_MS - 1));
    assert!(
        open(&account, None, Priority::Normal, HOUR_MS),
        "it has begun anew"
    );
    assert_eq!(account.next_look(t(HOUR_MS), &policy), None);
    assert_eq!(
        answer(&account, None, t(2)),
        ("open", ""),
        "without a reserve"
    );
}

#[test]
fn the_reserve_of_a_model_and_what_is_no_window_and_what_makes_no_sense() {
    let policy = Policy {
        reserve_permille: 100,
        ..Policy::default()
    };
    let day = Some(t(DAY_MS));
    // The window; whether opus and sonnet may start.
    let table = [
        (window("seven_day", 950, day), false, false),
        (window("seven_day_opus", 950, day), false, true),
        (window("overage", 999, day), true, true),
        (window("seven_day_overage_included", 999, day), true, true),
        (window("five_hour", 950, Some(t(9 * DAY_MS))), true, true),
        (window("five_hour", 950, Some(t(-1))), true, true),
        (window("primary", u32::MAX, day), false, false),
    ];
    for (told, opus, sonnet) in table {
        let mut account = Account::default();
        hear(&mut account, std::slice::from_ref(&told), t(0));
        for (model, may) in [("claude-opus-5-5", opus), ("sonnet", sonnet)] {
            let gate = account.gate(&ask(Some(model), Priority::Normal, t(1)), &policy);
            assert_eq!(gate == Gate::Open, may, "{told:?} {model}");
        }
    }
}

#[test]
fn a_window_without_an_end_is_believed_for_the_default_wait() {
    let policy = Policy {
        reserve_permille: 100,
        ..Policy::default()
    };
    let mut account = Account::default();
    hear(&mut account, &[window("five_hour", 950, None)], t(0));
    for (ms, open) in [
        (0, false),
        (HOUR_MS - 1, false),
        (HOUR_MS, true),
        (-1, true),
    ] {
        let gate = account.gate(&ask(None, Priority::Normal, t(ms)), &policy);
        assert_eq!(gate == Gate::Open, open, "{ms}");
    }
}

#[test]
fn to_clear_everything_also_forgets_the_windows() {
    let policy = Policy {
        reserve_permille: 100,
        ..Policy::default()
    };
    let mut account = Account::default();
    hear(
        &mut account,
        &[window("seven_day", 990, Some(t(DAY_MS)))],
        t(0),
    );
    let _ = account.clear(Some(BlockKind::Login.into()), None, t(1));
    assert_eq!(account.windows().len(), 1);
    let _ = account.clear(None, None, t(1));
    assert_eq!(
        account.gate(&ask(None, Priority::Low, t(1)), &policy),
        Gate::Open
    );
}

#[test]
fn extra_usage_closes_the_account_until_what_is_used_up_begins_anew() {
    let run = run(1);
    let used_up = |five: u32, seven: u32| {
        [
            window("five_hour", five, Some(t(2 * HOUR_MS))),
            window("seven_day", seven, Some(t(3 * DAY_MS))),
        ]
    };
    // Used of each, when a probe may look.
    for (five, seven, wait_ms) in [
        (1000, 400, 2 * HOUR_MS),
        (1020, 1000, 3 * DAY_MS),
        (400, 1000, 3 * DAY_MS),
        (500, 400, 2 * HOUR_MS),
    ] {
        let mut account = Account::default();
        let told = used_up(five, seven);
        let held = account.observe(&told, true, &hit(&run, t(0)), &Policy::default());
        let held = held.expect("a hold");
        assert_eq!(held.change, Change::Began);
        assert_eq!(held.hold.until, Some(t(wait_ms)), "{five} {seven}");
        assert_eq!(answer(&account, Some("any"), t(0)), ("closed", "overage"));
    }
    let mut account = Account::default();
    let held = account.observe(&[], true, &hit(&run, t(0)), &Policy::default());
    assert_eq!(
        held.expect("a hold").hold.until,
        Some(t(HOUR_MS)),
        "nothing is known"
    );

    // Allowed meanwhile: the hold does not count, and goes with the next that is heard.
    let allow = Policy {
        overage: Overage::Allow,
        ..Policy::default()
    };
    assert_eq!(
        account.gate(&ask(None, Priority::Low, t(1)), &allow),
        Gate::Open
    );
    assert_eq!(account.next_look(t(1), &allow), None);
    assert_eq!(account.observe(&[], true, &hit(&run, t(1)), &allow), None);
    assert!(account.holds().is_empty());
}
