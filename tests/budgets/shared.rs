//! Budgets that several tasks share: a session's, a day's, an account's; and the alarm on money per hour.

use serde_json::json;

use crate::claude_kit::PATIENCE;
use crate::kit::Evening;
use crate::messages_api::answer::{Answer, Gate};
use crate::{
    DEAR, REQUEST_MICRO_USD, attention, budget, budgets, busy, done, prompt, reload, taskctl,
};

#[test]
fn parallel_tasks_go_beyond_a_session_budget_by_one_request_each_and_go_on_when_it_is_raised() {
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().canonicalize().unwrap();
    let settings = format!(
        "num_workers = 3\nbudget_sessions = [\"{} = $2.50\"]\n",
        project.display()
    );
    let Some(evening) = Evening::new("a session budget", &settings) else {
        return;
    };
    let account = evening.account("work");
    // They would go on for ever.
    account.usually(busy());
    let ask = |name: &str| evening.ask(&account, name, json!({"cwd": project, "exclusive": name}));
    let ids: Vec<String> = ["a", "b", "c"].map(ask).to_vec();
    let cut: Vec<_> = ids
        .iter()
        .map(|id| evening.world.wait_state(id, "paused"))
        .collect();
    for task in &cut {
        assert_eq!(
            (&task["pause_reasons"], &task["outcome"]["kind"]),
            (&json!(["budget"]), &json!("max_budget")),
            "{task}\n{}",
            evening.world.story()
        );
    }
    let session = budget(&evening, "session");
    let (used, limit) = (session["used"]["micro_usd"].as_u64().unwrap(), 2_500_000);
    assert_eq!(session["level"], "used_up", "{session}");
    assert_eq!(session["reserved"]["micro_usd"], 0, "{session}");
    assert!(
        used <= limit + 3 * REQUEST_MICRO_USD,
        "beyond by more than one request each: {session}"
    );
    assert!(attention(&evening).contains("is used up"));
    // Nobody else starts, and it says why.
    let waits = ask("d");
    evening.world.wait_for("it says why it waits", |world| {
        let task = world.task(&waits);
        let why = task["agent"]["waits_for_budget"].as_str()?.to_owned();
        (task["attempt"] == 0 && why.contains("is used up")).then_some(())
    });
    let refused = evening.world.taskctl(&["task", "resume", &ids[0]]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("is used up") && said.contains("budget_session"),
        "{said}"
    );
    assert_eq!(evening.world.task(&ids[0])["state"], "paused");
    // Raised, those that were cut go on in their sessions when a person says so; who has only waited goes on by itself.
    account.usually(done());
    reload(&evening, " = $2.50", " = $50");
    evening.wait_done(&waits);
    evening.world.wait_for("a person is asked", |_| {
        let told = attention(&evening);
        let asked = |id: &String| told.contains(&format!("taskctl task resume {id}"));
        ids.iter().all(asked).then_some(())
    });
    for id in &ids {
        taskctl(&evening, &["task", "resume", id]);
        evening.wait_done(id);
        let sessions = evening.sessions(id);
        assert!(
            sessions.len() >= 2 && sessions.iter().all(|session| *session == sessions[0]),
            "{sessions:?}"
        );
    }
    evening.world.wait_for("nobody is told any more", |_| {
        let told = attention(&evening);
        (!told.contains("is used") && !told.contains("room again")).then_some(())
    });
}

#[test]
fn a_cut_at_a_share_goes_on_by_itself_while_the_budget_has_more() {
    // Two slots: the first share is the half, and the run needs more than that.
    let settings = "num_workers = 2\nbudget_day = \"$4\"\n";
    let Some(evening) = Evening::new("a share", settings) else {
        return;
    };
    let account = evening.account("work");
    account.when("long", std::iter::repeat_with(busy).take(7).chain([done()]));
    let id = evening.ask(&account, "long", json!({}));
    let task = evening.wait_done(&id);
    let ends = evening.ends(&id);
    assert_eq!(
        ends.first().map(String::as_str),
        Some("max_budget"),
        "{task}"
    );
    assert_eq!(ends.last().map(String::as_str), Some("succeeded"), "{task}");
    let sessions = evening.sessions(&id);
    assert!(sessions.iter().all(|session| *session == sessions[0]));
    let day = budget(&evening, "day");
    assert_eq!(day["used"]["micro_usd"], task["agent"]["spent_micro_usd"]);
    assert_eq!(day["level"], "open", "{day}");
}

#[test]
fn a_daily_budget_of_an_account_keeps_others_going_and_says_until_when() {
    let settings = "num_workers = 2\nbudget_accounts = [\"claude/work = $1\"]\n";
    let Some(evening) = Evening::new("an account's day", settings) else {
        return;
    };
    let (work, other) = (evening.account("work"), evening.account("other"));
    work.usually(busy());
    let cut = evening.ask(&work, "cut", json!({}));
    let task = evening.world.wait_state(&cut, "paused");
    assert_eq!(task["pause_reasons"], json!(["budget"]), "{task}");
    assert!(
        task["outcome"]["detail"]
            .as_str()
            .unwrap()
            .contains("the account work of claude"),
        "{task}"
    );
    let waits = evening.ask(&work, "waits", json!({}));
    let goes = evening.ask(&other, "goes", json!({}));
    evening.wait_done(&goes);
    assert_eq!(evening.world.task(&waits)["attempt"], 0);
    let day = budgets(&evening);
    let day = day
        .iter()
        .find(|budget| budget["name"] == "claude/work")
        .unwrap();
    assert!(
        day["resets_at"]
            .as_str()
            .unwrap()
            .ends_with("T00:00:00.000Z"),
        "{day}"
    );
    let shown = taskctl(&evening, &["cost"]);
    assert!(
        shown.contains("account, today")
            && shown.contains("claude/work")
            && shown.contains("used up until"),
        "{shown}"
    );
    let shown = taskctl(&evening, &["task", "show", &waits]);
    assert!(
        shown.contains("waits for money") && shown.contains("used up"),
        "{shown}"
    );
}

#[test]
fn what_is_reserved_survives_a_kill_and_is_released_with_the_outcome() {
    let settings = "num_workers = 2\nbudget_day = \"$10\"\n";
    let Some(mut evening) = Evening::new("a reservation", settings) else {
        return;
    };
    let account = evening.account("work");
    let gate = Gate::new();
    account.when("held", [done().behind(&gate)]);
    let id = evening.ask(&account, "held", json!({}));
    gate.wait_reached(1, PATIENCE);
    let before = budget(&evening, "day");
    assert_eq!(before["reserved"]["micro_usd"], 5_000_000, "{before}");
    assert_eq!(
        evening.world.task(&id)["agent"]["share"]["micro_usd"],
        5_000_000
    );
    evening.world.kill_daemon();
    evening.world.start();
    assert_eq!(budget(&evening, "day"), before);
    gate.open();
    let task = evening.wait_done(&id);
    let after = budget(&evening, "day");
    assert_eq!(after["reserved"]["micro_usd"], 0, "{after}");
    assert_eq!(after["used"]["micro_usd"], task["agent"]["spent_micro_usd"]);
    assert!(after["used"]["micro_usd"].as_u64().unwrap() > 0);
}

#[test]
fn much_money_in_an_hour_is_told_once() {
    let settings = "spend_alarm_usd_per_hour = 0.5\n";
    let Some(evening) = Evening::new("the alarm", settings) else {
        return;
    };
    let account = evening.account("work");
    account.usually(Answer::text("Done.").using(DEAR));
    let one = evening.ask(&account, "one", json!({}));
    evening.wait_done(&one);
    assert!(!attention(&evening).contains("in the last hour"));
    for name in ["two", "three"] {
        let id = evening.ask(&account, name, json!({}));
        evening.wait_done(&id);
        evening.world.wait_for("it is told", |_| {
            attention(&evening)
                .contains("were spent in the last hour")
                .then_some(())
        });
    }
    let log = evening.world.story();
    assert_eq!(
        log.matches("were spent in the last hour").count(),
        1,
        "{log}"
    );
    reload(
        &evening,
        "spend_alarm_usd_per_hour = 0.5",
        "spend_alarm_usd_per_hour = 100.0",
    );
    evening.world.wait_for("it is over", |_| {
        (!attention(&evening).contains("in the last hour")).then_some(())
    });
}

#[test]
fn a_killed_run_has_an_estimated_cost_that_budgets_count() {
    let settings = "num_workers = 1\nbudget_day = \"$50\"\n";
    let Some(evening) = Evening::new("a killed run", settings) else {
        return;
    };
    let account = evening.account("work");
    let known = evening.ask(
        &account,
        "known",
        prompt(&evening, "work", "known", json!({})),
    );
    evening.wait_done(&known);
    let gate = Gate::new();
    account.when("killed", [busy(), done().behind(&gate)]);
    let id = evening.ask(&account, "killed", json!({}));
    gate.wait_reached(1, PATIENCE);
    taskctl(&evening, &["task", "pause", &id]);
    let task = evening.world.wait_state(&id, "paused");
    assert_eq!(task["outcome"]["kind"], "no_result", "{task}");
    let report = &task["agent"]["report"];
    assert_eq!(report["cost_estimated"], true, "{report}");
    // One answer was served to its end; what its one token of output told is less than what was served.
    let cost = report["cost_micro_usd"].as_u64().unwrap();
    assert!(
        (REQUEST_MICRO_USD / 3..=REQUEST_MICRO_USD * 2).contains(&cost),
        "{report}"
    );
    let costs = evening.world.ask("GET", &format!("/costs?task={id}"), None);
    assert_eq!(
        (&costs[0]["estimated_runs"], &costs[0]["unknown_runs"]),
        (&json!(1), &json!(0)),
        "{costs}"
    );
    assert!(taskctl(&evening, &["cost", &id]).contains("about $"));
    gate.open();
    taskctl(&evening, &["task", "resume", &id]);
    evening.wait_done(&id);
}
