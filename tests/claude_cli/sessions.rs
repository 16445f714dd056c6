//! Sessions: their ids, going on with one, what an unknown one says, costs that add up.

use crate::claude_kit::PATIENCE;
use crate::messages_api::answer::{Answer, Gate};
use crate::{DONE, assert_ended, ground};

const SESSION: &str = "0a0a0a0a-0000-4000-8000-00000000000a";

#[test]
fn an_id_of_ours_and_the_way_on() {
    let Some((place, api, account)) = ground("sessions of the CLI") else {
        return;
    };
    let ended = place
        .run(&api, &account)
        .args(["--session-id", SESSION])
        .end();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(ended.session(), SESSION);
    assert!(place.transcript(SESSION).unwrap().contains("say hi"));

    // The id is taken: nothing runs.
    let before = api.requests().len();
    let ended = place
        .run(&api, &account)
        .args(["--session-id", SESSION])
        .end();
    assert_ended(&ended, "exit 1: no result", "ResumeFailed");
    assert!(ended.stdout.is_empty());
    assert_eq!(
        ended.stderr.trim(),
        format!("Error: Session ID {SESSION} is already in use.")
    );
    assert_eq!(api.requests().len(), before);

    // The total goes on from where it was; the increment is this run's.
    let ended = place
        .run(&api, &account)
        .args(["--resume", SESSION])
        .prompt("and now?")
        .end();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(ended.session(), SESSION);
    assert_eq!(ended.field("total_cost_usd"), 0.01212);
    let increment = &ended.field("model_usage_since_last_result")[crate::claude_kit::MODEL];
    assert_eq!(increment["costUSD"], 0.00606);
    assert_eq!(ended.verdict().report.cost_micro_usd, Some(6060));
    assert_eq!(increment["inputTokens"], 1000);
    assert_eq!(ended.field("usage")["input_tokens"], 1000);
    let last = api.turns().pop().unwrap();
    assert_eq!(
        (last.first_user.as_str(), last.last_user.as_str()),
        ("say hi", "and now?")
    );
}

#[test]
fn ids_that_are_none() {
    let Some((place, api, account)) = ground("sessions of the CLI") else {
        return;
    };
    let ended = place.run(&api, &account).args(["--resume", SESSION]).end();
    assert_ended(
        &ended,
        "exit 1: is error_during_execution, is_error true, retries 0",
        "UnknownSession",
    );
    let words = format!("No conversation found with session ID: {SESSION}");
    assert_eq!(ended.field("errors")[0], words.as_str());
    assert_eq!(ended.stderr.trim(), words);
    assert_eq!(ended.field("num_turns"), 0);
    assert!(ended.of("system/init").is_empty());
    let ended = place
        .run(&api, &account)
        .args(["--session-id", "not-an-id"])
        .end();
    assert_ended(&ended, "exit 1: no result", "NoResult");
    assert_eq!(
        ended.stderr.trim(),
        "Error: Invalid session ID. Must be a valid UUID."
    );
    assert!(api.requests().is_empty());
}

#[test]
fn signals_while_the_api_is_asked() {
    let Some((place, api, account)) = ground("sessions of the CLI") else {
        return;
    };
    let gate = Gate::new();
    account.next(Answer::text("late").behind(&gate));
    let running = place.run(&api, &account).start();
    gate.wait_reached(1, PATIENCE);
    running.signal("INT");
    let ended = running.wait();
    // Both were seen; in no case does it look like success.
    let facts = ended.facts();
    assert!(
        [
            "exit 0: no result",
            "exit 0: is error_during_execution, is_error true, terminal aborted_streaming, retries 0"
        ]
        .contains(&facts.as_str()),
        "{facts}"
    );
    let interrupted = ended.of("user").pop().unwrap().to_string();
    assert!(
        interrupted.contains("[Request interrupted by user]"),
        "{interrupted}"
    );
    // SIGTERM there as well: no result, and the session can go on.
    account.next(Answer::text("late").behind(&gate));
    let running = place
        .run(&api, &account)
        .args(["--session-id", SESSION])
        .start();
    gate.wait_reached(2, PATIENCE);
    running.signal("TERM");
    assert_ended(&running.wait(), "exit 143: no result", "NoResult");
    let ended = place
        .run(&api, &account)
        .args(["--resume", SESSION])
        .prompt("go on")
        .end();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(api.turns().pop().unwrap().first_user, "say hi");
}
