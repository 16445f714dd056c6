//! Budgets with real Claude Code under the real daemon, against the stand-in for its API: what is reserved, what is cut and
//! how far it goes beyond, what pauses, what a person is told, and what survives a kill.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, and says where"
)]

#[expect(dead_code, reason = "of the kit, only where the program is")]
#[path = "../claude_kit/mod.rs"]
mod claude_kit;
#[path = "../common/mod.rs"]
mod common;
#[expect(dead_code, reason = "a part of the evening's kit")]
#[path = "../evening/kit.rs"]
mod kit;
#[path = "../claude_kit/known.rs"]
mod known;
#[path = "../messages_api/mod.rs"]
mod messages_api;

mod estimates;
mod pauses;
mod shared;
mod words;

use kit::Evening;
use messages_api::answer::{Answer, Usage};
use serde_json::{Value, json};

/// Tokens that make a request worth some cents: fifty times what is served usually.
const DEAR: Usage = Usage {
    input: 50_000,
    output: 2_500,
    cache_read: 15_000,
    cache_creation: 10_000,
};
/// What a request with [`DEAR`] costs, in millionths of a dollar, by the CLI's own list: 50 times 0.00606 dollars.
const REQUEST_MICRO_USD: u64 = 303_000;

/// A tool call that changes nothing; the agent asks again after it.
fn busy() -> Answer {
    Answer::bash("true").using(DEAR)
}

/// The end of a turn.
fn done() -> Answer {
    Answer::text("Done.").using(DEAR)
}

/// The budgets that the daemon tells.
fn budgets(evening: &Evening) -> Vec<Value> {
    let all = evening.world.ask("GET", "/budgets", None);
    all.as_array().unwrap().clone()
}

/// The one budget of this scope.
fn budget(evening: &Evening, scope: &str) -> Value {
    let mut all = budgets(evening).into_iter();
    all.find(|budget| budget["scope"] == scope)
        .unwrap_or_default()
}

/// What a person is told.
fn attention(evening: &Evening) -> String {
    evening.world.ask("GET", "/status", None)["attention"].to_string()
}

/// Changes a setting of the running daemon.
fn reload(evening: &Evening, from: &str, to: &str) {
    let path = evening.world.dir().join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replace(from, to)).unwrap();
    common::signal(evening.world.daemon_pid(), "HUP");
}

/// Runs `taskctl`, which must succeed; what it prints.
fn taskctl(evening: &Evening, arguments: &[&str]) -> String {
    let output = evening.world.taskctl(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A prompt with a budget, in the words of the API.
fn prompt(evening: &Evening, account: &str, text: &str, budget: Value) -> Value {
    let mut prompt = json!({"text": text, "account": account, "model": claude_kit::MODEL});
    for (field, value) in budget.as_object().unwrap() {
        prompt[field] = value.clone();
    }
    json!({"prompt": prompt, "env": evening.env()})
}
