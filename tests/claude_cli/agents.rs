//! Subagents: they run beside the main loop, and a run with one ends with two results.

use serde_json::{Value, json};

use crate::claude_kit::{Ended, MODEL, PATIENCE, Run};
use crate::messages_api::account::{Use, Window};
use crate::messages_api::answer::{Answer, Gate};
use crate::{DONE, assert_ended, ground};

/// A call of a subagent, with its model where one is given.
fn subagent(model: Option<&str>) -> Answer {
    let mut input =
        json!({"description": "part", "prompt": "do the part", "subagent_type": "general-purpose"});
    if let Some(model) = model {
        input["model"] = model.into();
    }
    Answer::tool("Task", input)
}

fn end(run: &Run<'_>) -> Ended {
    run.clone().args(["--allowedTools", "Task"]).end()
}

/// Sums an increment over all results of a run.
fn increments(ended: &Ended, field: &str) -> f64 {
    ended
        .of("result")
        .iter()
        .filter_map(|result| result["model_usage_since_last_result"].as_object())
        .flat_map(|models| models.values())
        .filter_map(|usage| usage[field].as_f64())
        .sum()
}

#[test]
fn one_in_the_background_makes_two_results() {
    let Some((place, api, account)) = ground("the CLI with a subagent") else {
        return;
    };
    account.next(subagent(None));
    let ended = end(&place.run(&api, &account));
    let results = ended.of("result");
    assert_eq!(results.len(), 2, "{}", ended.story());
    assert_eq!(ended.of("system/init").len(), 2);
    assert!(results[0]["origin"].is_null());
    assert_eq!(results[1]["origin"]["kind"], "task-notification");
    // The increments of all results are what was served; the totals are no sum, and a result's own usage knows no subagent.
    assert_eq!(account.served().input, 4000);
    assert!((increments(&ended, "inputTokens") - 4000.0).abs() < 0.1);
    assert!((increments(&ended, "costUSD") - 0.02424).abs() < 1e-9);
    assert_eq!(results[1]["total_cost_usd"], 0.02424);
    let report = ended.verdict().report;
    assert_eq!(report.cost_micro_usd, Some(24_240));
    assert_eq!(report.tokens[MODEL].input, 4000);
    let own: i64 = results
        .iter()
        .filter_map(|result| result["usage"]["input_tokens"].as_i64())
        .sum();
    assert_eq!(own, 3000);
}

#[test]
fn a_limit_while_one_runs_comes_after_a_result_that_is_none() {
    let Some((place, api, account)) = ground("the CLI with a subagent") else {
        return;
    };
    let gate = Gate::new();
    account.next(subagent(None));
    account.when(
        "do the part",
        [Answer::text("The part is done.").behind(&gate)],
    );
    let running = place
        .run_subscribed(&api, &account)
        .args(["--allowedTools", "Task"])
        .start();
    // The main loop ends its turn while the subagent works; then comes the limit, which the next turn meets.
    gate.wait_reached(1, PATIENCE);
    api.wait_turns(3, PATIENCE);
    account.limit(Window::FiveHour, Some(3600));
    gate.open();
    let ended = running.wait();
    let results = ended.of("result");
    assert_eq!(results.len(), 2, "{}", ended.story());
    assert_eq!(results[0]["is_error"], false);
    assert_eq!(results[1]["api_error"], "usage_limit_reached");
    assert_eq!(ended.code(), Some(1));
    assert_eq!(ended.judged(), "Limited five_hour");
}

#[test]
fn a_limit_of_the_subagent_alone_is_none_of_the_run() {
    let Some((place, api, account)) = ground("the CLI with a subagent") else {
        return;
    };
    let at = api.now_s() + 3600;
    account.change(|state| {
        state.windows = [(Window::SevenDaySonnet, Use::of(102, Some(at)))].into();
    });
    account.next(subagent(Some("sonnet")));
    let ended = end(&place.run_subscribed(&api, &account));
    let theirs: Vec<&Value> = ended
        .events
        .iter()
        .filter(|event| event["api_error"] == "usage_limit_reached")
        .collect();
    assert!(!theirs.is_empty());
    assert!(theirs.iter().all(|event| event["agent_id"].is_string()));
    assert_ended(&ended, DONE, "Succeeded");
}
