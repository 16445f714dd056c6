//! The real Claude Code CLI against the stand-in: the facts that our driver relies on, each seen again with the installed
//! version. A new version is tried by `AUTO_CLAUDE_TEST_CLAUDE=PROGRAM cargo test --test claude_cli`.
//!
//! Within a test the runs follow one another: each takes a second of a processor.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "../claude_kit/mod.rs"]
mod claude_kit;
#[path = "../messages_api/mod.rs"]
mod messages_api;

mod agents;
mod contract;
mod failures;
mod limits;
mod prompts;
mod sessions;
mod streams;
mod tools;

use claude_kit::{Ended, Place, VERSION};
use messages_api::answer::Usage;
use messages_api::server::{Account, Api};

/// A run that did its work, without a retry.
const DONE: &str = "exit 0: is success, is_error false, terminal completed, retries 0";

/// A user's place, the stand-in, and an account there; none where the CLI is missing, after a line that says so.
fn ground(what: &str) -> Option<(Place, Api, Account)> {
    let place = Place::new(what)?;
    let api = Api::start();
    let account = api.account("a");
    Some((place, api, account))
}

/// Waits until the file is there.
fn wait_for_file(path: &std::path::Path) {
    claude_kit::wait_until(&format!("{} is there", path.display()), || path.exists());
}

/// Compares the facts of the run with those that are known, and what the driver makes of them.
#[track_caller]
fn assert_ended(ended: &Ended, facts: &str, verdict: &str) {
    assert_eq!(ended.facts(), facts, "{}", ended.story());
    assert_eq!(ended.judged(), verdict, "{}", ended.story());
}

#[test]
fn the_cli_is_the_version_that_is_known() {
    let Some((place, api, account)) = ground("the version of the Claude Code CLI") else {
        return;
    };
    let ended = place.run(&api, &account).end();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(ended.text(), "Hello from the stand-in.");
    assert_eq!(ended.stderr, "");
    let init = ended.of("system/init")[0];
    assert_eq!(init["claude_code_version"], VERSION);
    assert_eq!(init["model"], claude_kit::MODEL);
    assert_eq!(init["cwd"], place.work().display().to_string());
    assert_eq!(init["permissionMode"], "default");
    let turns = api.turns();
    assert_eq!(turns.len(), 1, "{turns:?}");
    assert_eq!(turns[0].last_user, "say hi");
    assert_eq!(turns[0].session, Some(ended.session()));
    assert_eq!(account.served(), Usage::USUAL);
    // What was served is what the result says was used, and what it says it cost.
    let used = &ended.field("modelUsage")[claude_kit::MODEL];
    assert_eq!(used["inputTokens"], 1000);
    assert_eq!(used["outputTokens"], 50);
    assert_eq!(ended.field("total_cost_usd"), 0.00606);
    assert_eq!(
        ended.field("model_usage_since_last_result"),
        ended.field("modelUsage")
    );
}
