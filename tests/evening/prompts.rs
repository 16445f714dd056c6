//! Prompts that no argument can hold.

use serde_json::json;

use crate::claude_kit::{MODEL, PATIENCE};
use crate::kit::{Evening, SOON_S};
use crate::messages_api::account::Window;
use crate::messages_api::answer::{Answer, Gate};

#[test]
fn a_prompt_that_no_argument_can_hold_reaches_the_model_and_survives_a_limit_and_a_new_session() {
    let settings = "release_interval_seconds = 0\ncontinue_prompt = \"Go on, please.\"\n";
    let Some(evening) = Evening::new("a long prompt", settings) else {
        return;
    };
    let account = evening.account("work");
    account.limit(Window::FiveHour, Some(SOON_S));
    // It begins as an option would, and is none.
    let long = format!("--help {}", "äöü€ and so on.\n".repeat(1024 * 1024 / 24));
    let prompt = json!({"text": long, "account": "work", "model": MODEL});
    let id = evening.ask(&account, "long", json!({"prompt": prompt}));
    evening.world.wait_state(&id, "waiting_unban");
    evening.wait_done(&id);
    let resumed = evening.api.turns().pop().unwrap();
    assert!(resumed.first_user.trim() == long.trim(), "the first turn");
    // A session that cannot be resumed: the whole prompt is asked again.
    let gate = Gate::new();
    account.when("--help", [Answer::bash("echo so far").behind(&gate)]);
    let broken = || Answer::status(400, "invalid_request_error", "messages.1: cannot be read");
    account.when("Go on, please.", std::iter::repeat_with(broken).take(50));
    let prompt = json!({"text": long, "account": "work", "model": MODEL});
    let id = evening.ask(&account, "again", json!({"prompt": prompt}));
    gate.wait_reached(1, PATIENCE);
    account.limit(Window::FiveHour, Some(4));
    gate.open();
    evening.wait_done(&id);
    let last = evening.api.turns().pop().unwrap();
    assert!(last.first_user.starts_with(long.trim()), "asked anew");
    assert!(last.first_user.contains("session that is gone"));
}
