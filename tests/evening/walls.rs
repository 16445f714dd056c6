//! Limits and what is none, alone and at once with something else.

use serde_json::json;

use crate::claude_kit::PATIENCE;
use crate::kit::{Evening, SOON_S};
use crate::messages_api::account::{Billing, Window};
use crate::messages_api::answer::{Answer, Gate};

/// Each on an account of its own: a throttle is no limit, an overload no failure, and money is somebody else's matter.
#[test]
fn each_has_a_hold_of_its_own_kind_and_costs_no_retry() {
    let settings = "num_workers = 4\nmax_retries = 0\nrelease_interval_seconds = 0\n";
    let Some(evening) = Evening::new("limits of every kind", settings) else {
        return;
    };
    let names = ["throttle", "overload", "spend", "credit"];
    let accounts = names.map(|name| evening.account(name));
    let [throttled, overloaded, spent, poor] = &accounts;
    let throttle = Answer::throttled().header("retry-after", 2);
    throttled.change(|state| state.trouble = Some(throttle));
    overloaded.change(|state| state.trouble = Some(Answer::overloaded()));
    spent.change(|state| state.billing = Billing::SpendLimit(None));
    poor.change(|state| state.billing = Billing::CreditTooLow);
    let ids = accounts
        .each_ref()
        .map(|account| evening.ask(account, account.name(), json!({})));
    for ((account, id), kind) in accounts.iter().zip(&ids).zip(names) {
        let hold = evening.wait_held(account, kind);
        assert!(!hold["until"].is_null(), "a probe will come: {hold}");
        evening.world.wait_for("its task waits", |world| {
            let state = world.task(id)["state"].clone();
            (state == "waiting_unban").then_some(())
        });
        account.change(|state| {
            state.trouble = None;
            state.billing = Billing::Good;
        });
        evening.clear(account);
    }
    for id in &ids {
        evening.wait_done(id);
        let sessions = evening.sessions(id);
        assert!(sessions.iter().all(|one| *one == sessions[0]));
    }
}

#[test]
fn two_tasks_at_the_wall_at_once_are_one_hit_and_one_probe() {
    let settings = "num_workers = 2\nrelease_interval_seconds = 0\n";
    let Some(evening) = Evening::new("two at the wall", settings) else {
        return;
    };
    let account = evening.account("work");
    let gate = Gate::new();
    for name in ["left", "right"] {
        account.when(name, [Answer::bash("echo on").behind(&gate)]);
    }
    let ids = ["left", "right"].map(|name| evening.ask(&account, name, json!({})));
    gate.wait_reached(2, PATIENCE);
    // Both are served once more, and both come back with a tool's result to a window that is full.
    account.limit(Window::FiveHour, Some(6));
    gate.open();
    for id in &ids {
        evening.world.wait_state(id, "waiting_unban");
    }
    let known = evening.known(&account);
    let holds = known["holds"].as_array().unwrap();
    assert_eq!(holds.len(), 1, "{known}");
    let refused = evening.answered(&account, "limit five_hour");
    assert_eq!(refused, 2, "nobody tried again");
    let probe = Gate::new();
    account.change(|state| state.gate = Some(probe.clone()));
    probe.wait_reached(1, PATIENCE);
    evening.world.wait_for("the probe is known", |_| {
        (evening.known(&account)["probing"] == true).then_some(())
    });
    assert_eq!(probe.reached(), 1, "one, and the other waits");
    account.change(|state| state.gate = None);
    probe.open();
    for id in &ids {
        evening.wait_done(id);
        assert_eq!(evening.ends(id), ["limited", "succeeded"]);
        let sessions = evening.sessions(id);
        assert_eq!(sessions[0], sessions[1]);
    }
}

#[test]
fn a_persons_pause_and_a_limit_at_once_and_the_pause_outlasts_the_limit() {
    let Some(evening) = Evening::new("a pause at the wall", "") else {
        return;
    };
    let account = evening.account("work");
    let gate = Gate::new();
    account.when("paused", [Answer::bash("echo on").behind(&gate)]);
    let id = evening.ask(&account, "paused", json!({}));
    gate.wait_reached(1, PATIENCE);
    account.limit(Window::FiveHour, Some(SOON_S));
    gate.open();
    evening.world.act("pause", &[&id]);
    evening.world.wait_state(&id, "paused");
    // The window begins anew, and others run: who is paused by a person is left alone.
    let other = evening.ask(&account, "other", json!({}));
    evening.wait_done(&other);
    let task = evening.world.task(&id);
    assert_eq!(
        (&task["state"], &task["retries"]),
        (&json!("paused"), &json!(0))
    );
    evening.world.act("resume", &[&id]);
    evening.wait_done(&id);
    let sessions = evening.sessions(&id);
    assert!(sessions.len() > 1 && sessions.iter().all(|one| *one == sessions[0]));
}

#[test]
fn who_ended_at_95_percent_is_asked_once_whether_anything_remains() {
    let settings = "release_interval_seconds = 0\n";
    let Some(evening) = Evening::new("a run that wraps up", settings) else {
        return;
    };
    let account = evening.account("work");
    account.meter(Window::FiveHour, 96, 0, 5);
    account.when(
        "wrap",
        [Answer::text("So far."), Answer::text("Nothing remains.")],
    );
    let id = evening.ask(&account, "wrap", json!({}));
    evening.wait_done(&id);
    assert_eq!(evening.ends(&id), ["succeeded", "succeeded"]);
    let sessions = evening.sessions(&id);
    assert_eq!(sessions[0], sessions[1]);
    let turns = evening.api.turns();
    assert_eq!(turns.len(), 2);
    assert!(
        turns[1]
            .last_user
            .contains("Does anything of the task remain"),
        "{}",
        turns[1].last_user
    );
    let reset = turns[1].at_ms - turns[0].at_ms;
    assert!(reset > 1_000, "after the reset, not at once: {reset} ms");
}
