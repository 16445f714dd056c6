//! A task's own budget: warned of, used up, raised, gone on with.

use serde_json::{Value, json};

use crate::claude_kit::PATIENCE;
use crate::kit::Evening;
use crate::messages_api::answer::{Answer, Gate};
use crate::messages_api::server::Account;
use crate::{REQUEST_MICRO_USD, attention, busy, done, prompt, taskctl};

/// Asks for `text` with a budget in the words of the API.
fn ask(evening: &Evening, account: &Account, text: &str, budget: Value) -> String {
    let work = prompt(evening, account.name(), text, budget);
    evening.ask(account, text, work)
}

#[test]
fn a_task_pauses_when_its_money_is_used_up_and_goes_on_in_its_session_when_it_is_raised() {
    let Some(evening) = Evening::new("a task's budget", "") else {
        return;
    };
    let account = evening.account("work");
    account.when("dear", [busy(), busy(), busy(), busy(), done()]);
    let id = ask(
        &evening,
        &account,
        "dear",
        json!({"budget_micro_usd": 1_000_000}),
    );
    let task = evening.world.wait_state(&id, "paused");
    assert_eq!(
        (
            &task["pause_reasons"],
            &task["outcome"]["kind"],
            &task["retries"]
        ),
        (&json!(["budget"]), &json!("max_budget"), &json!(0)),
        "{task}"
    );
    let own = &task["agent"]["budgets"][0];
    assert_eq!(
        (&own["scope"], &own["level"]),
        (&json!("task"), &json!("used_up"))
    );
    assert!(own["used"]["micro_usd"].as_u64().unwrap() <= 1_000_000 + REQUEST_MICRO_USD);
    let told = attention(&evening);
    assert!(told.contains("is used up") && told.contains(&id), "{told}");
    let shown = taskctl(&evening, &["task", "show", &id]);
    assert!(
        shown.contains("its own: $1.2")
            && shown.contains("of $1.00 used")
            && shown.contains("used up"),
        "{shown}"
    );
    // A resume alone is refused, and says what to do; nothing has moved.
    let refused = evening.world.taskctl(&["task", "resume", &id]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("task edit") && said.lines().count() == 1,
        "{said}"
    );
    taskctl(&evening, &["task", "edit", &id, "--budget", "$5, 2h"]);
    taskctl(&evening, &["task", "resume", &id]);
    let task = evening.wait_done(&id);
    assert_eq!(
        task["agent"]["budget"],
        json!({"micro_usd": 5_000_000, "run_ms": 7_200_000})
    );
    let sessions = evening.sessions(&id);
    assert!(
        sessions.len() == 2 && sessions[0] == sessions[1],
        "{sessions:?}"
    );
    evening.world.wait_for("nobody is told any more", |_| {
        (!attention(&evening).contains(&id)).then_some(())
    });
}

#[test]
fn a_person_is_warned_at_four_fifths() {
    let Some(evening) = Evening::new("a warning", "") else {
        return;
    };
    let account = evening.account("work");
    let gate = Gate::new();
    account.when("chunk one", [done()]);
    account.when("chunk two", [done().behind(&gate)]);
    let limit = REQUEST_MICRO_USD * 10 / 9;
    let id = ask(
        &evening,
        &account,
        "chunk {chunk}",
        json!({"chunks": ["one", "two"], "budget_micro_usd": limit}),
    );
    gate.wait_reached(1, PATIENCE);
    let task = evening.world.task(&id);
    assert_eq!(task["agent"]["budgets"][0]["level"], "warned", "{task}");
    evening.world.wait_for("a person is warned", |_| {
        attention(&evening)
            .contains("is used to 90 %")
            .then_some(())
    });
    let log = evening.world.story();
    assert_eq!(
        log.matches("is used to 90 %").count(),
        1,
        "told once: {log}"
    );
    gate.open();
    evening.world.wait_for("the second has ended", |world| {
        let task = world.task(&id);
        (task["state"] == "paused" || task["state"] == "completed").then_some(())
    });
}

#[test]
fn time_that_is_used_up_pauses_a_task_and_does_not_fail_it() {
    let Some(evening) = Evening::new("a budget of time", "") else {
        return;
    };
    let account = evening.account("work");
    let gate = Gate::new();
    account.when("slow", [Answer::text("Never told.").behind(&gate), done()]);
    let id = ask(&evening, &account, "slow", json!({"budget_run_ms": 3_000}));
    let task = evening.world.wait_state(&id, "paused");
    assert_eq!(
        (
            &task["pause_reasons"],
            &task["outcome"]["kind"],
            &task["retries"]
        ),
        (&json!(["budget"]), &json!("max_budget"), &json!(0)),
        "{task}"
    );
    assert!(
        task["outcome"]["detail"]
            .as_str()
            .unwrap()
            .contains("is used up"),
        "{task}"
    );
    gate.open();
    taskctl(&evening, &["task", "edit", &id, "--budget", "30m"]);
    taskctl(&evening, &["task", "resume", &id]);
    evening.wait_done(&id);
}

#[test]
fn tokens_that_are_used_up_stop_a_run_in_its_midst() {
    let Some(evening) = Evening::new("a budget of tokens", "") else {
        return;
    };
    let account = evening.account("work");
    // Each request brings some 1,550 tokens, and is followed by a tool that takes its time.
    account.usually(Answer::bash("for i in 1 2 3 4; do sleep 1; done"));
    let id = ask(
        &evening,
        &account,
        "tokens",
        json!({"budget_tokens": 2_500}),
    );
    let task = evening.world.wait_state(&id, "paused");
    assert_eq!(
        (&task["pause_reasons"], &task["outcome"]["kind"]),
        (&json!(["budget"]), &json!("max_budget")),
        "{task}\n{}",
        evening.world.output(&id)
    );
    let used = task["agent"]["budgets"][0]["used"]["tokens"]
        .as_u64()
        .unwrap();
    assert!((2_500..=2_500 + 2 * 1_600).contains(&used), "{task}");
    account.usually(done());
    taskctl(&evening, &["task", "edit", &id, "--budget", "2M tokens"]);
    taskctl(&evening, &["task", "resume", &id]);
    evening.wait_done(&id);
    let sessions = evening.sessions(&id);
    assert_eq!(sessions[0], sessions[1]);
}
