//! A network that breaks in the midst of an answer.

use std::time::Instant;

use serde_json::json;

use crate::kit::Evening;
use crate::messages_api::answer::{Answer, Cut};

/// The shortest silence that the agent lets itself be bounded to.
const SILENCE_S: u64 = 10;

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how long a silence was borne is what is tested"
)]
fn a_silent_stream_is_given_up_within_its_bound_and_told_as_the_networks_fault() {
    let settings = format!(
        "claude_stream_idle_seconds = {SILENCE_S}\nclaude_api_timeout_seconds = 5\nmax_retries = 0\n"
    );
    let Some(evening) = Evening::new("a silent stream", &settings) else {
        return;
    };
    let account = evening.account("work");
    account.change(|state| state.trouble = Some(Answer::cut(Cut::Silence)));
    let mut env = evening.env();
    // Asked again without a stream, it would only be silent in another way.
    env["CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK"] = json!("1");
    let begun = Instant::now();
    let id = evening.ask(&account, "silence", json!({"env": env}));
    let hold = evening.wait_held(&account, "network");
    let took = begun.elapsed();
    assert!(took.as_secs() < SILENCE_S * 4, "{took:?}");
    let text = hold.to_string();
    assert!(text.contains("answers stop in their middle"), "{text}");
    evening.world.wait_state(&id, "waiting_unban");
    account.change(|state| state.trouble = None);
    evening.clear(&account);
    evening.wait_done(&id);
}
