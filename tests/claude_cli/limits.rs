//! Usage limits of a subscription: each window, with and without a reset, and what looks like a limit and is none.

use auto_claude::task::Timestamp;
use serde_json::Value;

use crate::claude_kit::Ended;
use crate::messages_api::account::{Billing, Overage, Use, Window};
use crate::messages_api::answer::Answer;
use crate::{DONE, assert_ended, ground};

/// What the driver knows a usage limit by.
const LIMITED: &str = "exit 1: is success, is_error true, terminal api_error, said rate_limit, api_error usage_limit_reached, status 429, retries 0";

#[track_caller]
fn assert_limited(
    ended: &Ended,
    kind: Option<&str>,
    resets_at: Option<i64>,
    words: &str,
    verdict: &str,
) {
    assert_ended(ended, LIMITED, verdict);
    let until = ended.verdict().report.block.unwrap().until;
    assert_eq!(until.map(Timestamp::as_ms), resets_at.map(|s| s * 1000));
    let info = ended.limit();
    assert_eq!(info["status"], "rejected", "{info}");
    assert_eq!(info["isUsingOverage"], false, "{info}");
    assert_eq!(info["rateLimitType"], Value::from(kind), "{info}");
    assert_eq!(info["resetsAt"], Value::from(resets_at), "{info}");
    assert!(ended.text().starts_with(words), "{}", ended.text());
}

#[test]
fn every_window() {
    let Some((place, api, account)) = ground("the CLI at a usage limit") else {
        return;
    };
    for (window, kind, words, verdict) in [
        (
            Window::FiveHour,
            "five_hour",
            "You've hit your 5-hour limit · resets ",
            "Limited five_hour",
        ),
        (
            Window::SevenDay,
            "seven_day",
            "You've hit your weekly limit · resets ",
            "Limited weekly",
        ),
        (
            Window::SevenDayOpus,
            "seven_day_opus",
            "You've hit your Opus limit · resets ",
            "Limited model opus",
        ),
    ] {
        let at = api.now_s() + 200_000;
        account.change(|state| {
            state.windows = [(window, Use::of(102, Some(at)))].into();
        });
        let before = api.turns().len();
        let ended = place.run_subscribed(&api, &account).end();
        assert_limited(&ended, Some(kind), Some(at), words, verdict);
        assert_eq!(api.turns().len() - before, 1, "no retry of its own");
    }
    // The limit of one model does not hold another.
    let ended = place
        .run_subscribed(&api, &account)
        .model("claude-sonnet-5-5")
        .end();
    assert_ended(&ended, DONE, "Succeeded");
}

#[test]
fn without_a_reset() {
    let Some((place, api, account)) = ground("the CLI at a usage limit") else {
        return;
    };
    account.limit(Window::FiveHour, None);
    let ended = place.run_subscribed(&api, &account).end();
    assert_limited(
        &ended,
        Some("five_hour"),
        None,
        "You've hit your 5-hour limit",
        "Limited five_hour",
    );
}

#[test]
fn money_of_a_subscription() {
    let Some((place, api, account)) = ground("the CLI at a usage limit") else {
        return;
    };
    let at = api.now_s() + 7200;
    account.change(|state| state.billing = Billing::SpendLimit(Some(at)));
    let ended = place.run_subscribed(&api, &account).end();
    assert_limited(
        &ended,
        Some("five_hour"),
        Some(at),
        "You've hit your org's monthly spend limit",
        "Limited spend",
    );
    assert_eq!(
        ended.limit()["overageDisabledReason"],
        "org_level_disabled_until"
    );
    account.change(|state| state.billing = Billing::OutOfCredits(Some(at)));
    let ended = place.run_subscribed(&api, &account).end();
    assert_limited(
        &ended,
        None,
        Some(at),
        "You're out of usage credits",
        "Limited credit",
    );
    assert_eq!(ended.limit()["overageDisabledReason"], "out_of_credits");
}

#[test]
fn what_is_no_limit() {
    let Some((place, api, account)) = ground("the CLI at a usage limit") else {
        return;
    };
    let at = api.now_s() + 7200;
    let used = |percent| {
        account.change(|state| {
            state.windows = [
                (Window::FiveHour, Use::of(percent, Some(at))),
                (Window::SevenDay, Use::of(40, Some(at + 1))),
            ]
            .into();
        });
    };
    used(30);
    let ended = place.run_subscribed(&api, &account).end();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(ended.limit()["status"], "allowed");
    let windows = &ended.limit()["unifiedWindows"];
    assert_eq!(windows["five_hour"]["utilization"], 0.3);
    assert_eq!(windows["five_hour"]["resetsAt"], at);
    assert_eq!(windows["seven_day"]["utilization"], 0.4);

    used(92);
    let ended = place.run_subscribed(&api, &account).end();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(ended.limit()["status"], "allowed_warning");
    assert_eq!(ended.limit()["utilization"], 0.92);
    assert_eq!(ended.limit()["surpassedThreshold"], 0.9);

    // Extra usage: rejected, and yet the work goes on, for money.
    used(102);
    account.change(|state| state.overage = Overage::InUse);
    let ended = place.run_subscribed(&api, &account).end();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(ended.limit()["status"], "rejected");
    assert_eq!(ended.limit()["isUsingOverage"], true);

    // A key does not read these headers.
    account.change(|state| state.overage = Overage::Disabled("org_level_disabled".to_owned()));
    let ended = place.run(&api, &account).end();
    assert_ended(
        &ended,
        "exit 1: is success, is_error true, terminal api_error, said rate_limit, status 429, retries 0",
        "Limited throttle",
    );
    assert!(ended.of("rate_limit_event").is_empty());
}

#[test]
fn a_limit_in_the_midst_of_a_task_and_the_way_on() {
    let Some((place, api, account)) = ground("the CLI at a usage limit") else {
        return;
    };
    account.meter(Window::FiveHour, 50, 50, 3600);
    account.next(Answer::bash("echo ran > ran"));
    let ended = place
        .run_subscribed(&api, &account)
        .args(["--allowedTools", "Bash"])
        .end();
    let at = ended.limit()["resetsAt"].as_i64();
    assert!(at.is_some(), "{}", ended.story());
    assert_limited(
        &ended,
        Some("five_hour"),
        at,
        "You've hit your 5-hour limit",
        "Limited five_hour",
    );
    assert_eq!(ended.field("num_turns"), 2);
    assert!(place.work().join("ran").exists());
    api.shift_clock_s(3601);
    let session = ended.session();
    let resumed = place
        .run_subscribed(&api, &account)
        .args(["--resume", &session])
        .prompt("continue")
        .end();
    assert_ended(&resumed, DONE, "Succeeded");
    assert_eq!(resumed.session(), session);
    let last = api.turns().pop().unwrap();
    assert_eq!(last.first_user, "say hi");
    assert_eq!(last.last_user, "continue");
    let sent = last.body.to_string();
    assert!(
        !sent.contains("hit your 5-hour limit"),
        "the CLI's own words are not sent"
    );
}
