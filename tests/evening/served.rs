//! That an account is open is known as soon as its probe was served, not when it ends.

use serde_json::json;

use crate::claude_kit::PATIENCE;
use crate::kit::{Evening, SOON_S};
use crate::messages_api::account::Window;
use crate::messages_api::answer::{Answer, Gate};

/// A tool call, and a second answer that does not come before the gate is open.
fn long_work(gate: &Gate) -> [Answer; 2] {
    [
        Answer::bash("echo at work"),
        Answer::text("Done at last.").behind(gate),
    ]
}

#[test]
fn a_slow_probe_opens_the_account_while_it_runs() {
    let settings = "num_workers = 3\nrelease_interval_seconds = 1\n";
    let Some(evening) = Evening::new("a slow probe", settings) else {
        return;
    };
    let account = evening.account("work");
    account.limit(Window::FiveHour, Some(SOON_S));
    let slow = evening.ask(&account, "slow", json!({"priority": "high"}));
    evening.world.wait_state(&slow, "waiting_unban");
    let gate = Gate::new();
    account.when("slow", long_work(&gate));
    let quick = ["one", "two", "three"].map(|name| evening.ask(&account, name, json!({})));
    gate.wait_reached(1, PATIENCE);
    evening.wait_open(&account);
    for id in &quick {
        evening.wait_done(id);
    }
    // All the others are done, and the probe still runs.
    assert_eq!(evening.world.task(&slow)["state"], "processing");
    assert_eq!(gate.reached(), 1);
    gate.open();
    evening.wait_done(&slow);
    assert_eq!(evening.ends(&slow), ["limited", "succeeded"]);
    let sessions = evening.sessions(&slow);
    assert_eq!(sessions[0], sessions[1]);
}

#[test]
fn a_daemon_that_comes_later_hears_it_too_and_windows_are_known_meanwhile() {
    let Some(mut evening) = Evening::new("a slow probe and a killed daemon", "") else {
        return;
    };
    let account = evening.account("work");
    account.limit(Window::SevenDay, Some(5));
    let slow = evening.ask(&account, "slow", json!({}));
    evening.world.wait_state(&slow, "waiting_unban");
    let (first, second) = (Gate::new(), Gate::new());
    let [work, words] = long_work(&second);
    account.when("slow", [work.behind(&first), words]);
    account.meter(Window::FiveHour, 70, 0, 3600);
    first.wait_reached(1, PATIENCE);
    // Nobody is there when the answer comes.
    evening.world.kill_daemon();
    first.open();
    second.wait_reached(1, PATIENCE);
    evening.world.start();
    evening.wait_open(&account);
    let known = evening.known(&account);
    let mut windows = known["windows"].as_array().unwrap().iter();
    let used = windows.find(|window| window["name"] == "five_hour");
    assert_eq!(used.unwrap()["used_percent"], 70.0, "{known}");
    assert_eq!(evening.world.task(&slow)["state"], "processing");
    second.open();
    evening.wait_done(&slow);
    assert_eq!(evening.ends(&slow), ["limited", "succeeded"]);
}
