//! Where nothing waits for an account whose limit may be over, the daemon finds out by itself: once, and for little.

use serde_json::{Value, json};

use crate::claude_kit::PATIENCE;
use crate::common::marked;
use crate::kit::{Evening, SOON_S};
use crate::messages_api::account::{Billing, Window};
use crate::messages_api::answer::{Answer, Gate};
use crate::messages_api::record::Request;
use crate::messages_api::server::Account;

const ASKED: &str = "Is anybody there";
const SETTINGS: &str = "probe_prompt = \"Is anybody there?\"\n";

/// The probes that came.
fn probes(evening: &Evening) -> Vec<Request> {
    let requests = evening.api.requests().into_iter();
    requests
        .filter(|request| request.last_user.contains(ASKED))
        .collect()
}

/// A task runs into this limit and is cancelled: nothing waits any more.
fn limit_alone(evening: &Evening, account: &Account, window: Window, resets_in_s: i64) {
    account.limit(window, Some(resets_in_s));
    let id = evening.ask(account, "given up", json!({}));
    evening.world.wait_state(&id, "waiting_unban");
    evening.world.act("cancel", &[&id]);
    evening.world.wait_state(&id, "cancelled");
}

/// The attempts that have a record.
fn records(evening: &Evening) -> Vec<String> {
    let records = std::fs::read_dir(evening.world.dir().join("records"));
    let names = records.into_iter().flatten().flatten();
    names
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

#[test]
fn where_nothing_waits_a_tiny_request_finds_out() {
    let Some(evening) = Evening::new("a probe of the daemon's own", SETTINGS) else {
        return;
    };
    let account = evening.account("work");
    limit_alone(&evening, &account, Window::FiveHour, 5);
    evening.wait_open(&account);
    let sent = probes(&evening);
    assert_eq!(sent.len(), 1, "{}", evening.world.story());
    let probe = &sent[0];
    assert!(probe.model.contains("haiku"), "{}", probe.model);
    assert!(!probe.main, "it has no tools");
    let bytes = probe.body.to_string().len();
    assert!(bytes < 8 * 1024, "{bytes} bytes: {}", probe.body);
    // It is no task, its cost is in the ledger, and nothing is left of it.
    let tasks = evening.world.ask("GET", "/tasks", None);
    assert_eq!(tasks["tasks"].as_array().unwrap().len(), 1, "{tasks}");
    let costs = evening.world.wait_for("its cost is known", |world| {
        let costs = world.ask("GET", "/costs?by=session", None);
        let mut rows = costs.as_array()?.iter();
        rows.find(|row| row["group"] == "probe").cloned()
    });
    assert!(costs["micro_usd"].as_u64().unwrap() > 0, "{costs}");
    evening.world.wait_for("its record is gone", |_| {
        records(&evening).is_empty().then_some(())
    });
    assert_eq!(evening.known(&account)["probing"], false);
    let status = evening.world.ask("GET", "/status", None);
    assert_eq!(status["attention"], json!([]), "{status}");
}

#[test]
fn a_killed_daemon_leaves_one_probe_and_the_next_takes_it_back() {
    let Some(mut evening) = Evening::new("a probe and a killed daemon", SETTINGS) else {
        return;
    };
    let account = evening.account("work");
    limit_alone(&evening, &account, Window::FiveHour, 5);
    let gate = Gate::new();
    account.change(|state| state.trouble = Some(Answer::text("ok").behind(&gate)));
    gate.wait_reached(1, PATIENCE);
    let attempt = records(&evening).pop().unwrap();
    let tree = marked(&attempt);
    assert!(!tree.is_empty(), "{attempt}");
    evening.world.kill_daemon();
    evening.world.start();
    assert_eq!(evening.known(&account)["probing"], true);
    assert_eq!(marked(&attempt), tree, "the same, and no other");
    assert_eq!(records(&evening), std::slice::from_ref(&attempt));
    // A task that comes meanwhile waits for the verdict.
    let later = evening.ask(&account, "later", json!({}));
    assert_eq!(evening.world.task(&later)["attempt"], 0);
    gate.open();
    evening.wait_open(&account);
    account.change(|state| state.trouble = None);
    evening.wait_done(&later);
    assert_eq!(probes(&evening).len(), 1, "sent once");
    evening.world.wait_for("nothing of it is left", |_| {
        (records(&evening).is_empty() && marked(&attempt).is_empty()).then_some(())
    });
    let status = evening.world.ask("GET", "/status", None);
    assert_eq!(status["attention"], json!([]), "{status}");
}

#[test]
fn what_waits_goes_first_and_where_it_may_be_billed_nobody_is_sent() {
    let settings = format!("{SETTINGS}default_unban_wait = 1\n");
    let Some(evening) = Evening::new("where no probe is sent", &settings) else {
        return;
    };
    let poor = evening.account("poor");
    poor.change(|state| state.billing = Billing::CreditTooLow);
    let id = evening.ask(&poor, "poor", json!({}));
    evening.wait_held(&poor, "credit");
    evening.world.act("cancel", &[&id]);
    evening.world.wait_state(&id, "cancelled");
    let until = |evening: &Evening, account: &Account| -> Value {
        evening.known(account)["holds"][0]["until"].clone()
    };
    let before = until(&evening, &poor);
    // Another account's task waits, and is its probe: no other is sent there either.
    let work = evening.account("work");
    work.limit(Window::FiveHour, Some(SOON_S));
    let waits = evening.ask(&work, "waits", json!({}));
    evening.wait_held(&work, "five_hour");
    evening.wait_done(&waits);
    // The time of the credit's hold has long come; claims were looked at since.
    assert_eq!(until(&evening, &poor), before);
    assert_eq!(evening.known(&poor)["probing"], false);
    assert_eq!(probes(&evening).len(), 0, "{}", evening.world.story());
}

#[test]
fn without_the_setting_only_tasks_are_probes() {
    let off = "probe = \"off\"\n";
    let Some(evening) = Evening::new("no probes at all", &format!("{SETTINGS}{off}")) else {
        return;
    };
    let account = evening.account("work");
    limit_alone(&evening, &account, Window::FiveHour, 4);
    let other = evening.account("other");
    other.limit(Window::FiveHour, Some(8));
    let waits = evening.ask(&other, "waits", json!({}));
    evening.wait_done(&waits);
    assert_eq!(evening.known(&account)["holds"][0]["kind"], "five_hour");
    assert_eq!(probes(&evening).len(), 0);
}
