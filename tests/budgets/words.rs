//! Bad budgets get one clear line, and nothing is half done. No agent runs here.

use serde_json::{Value, json};

use crate::common::World;

fn world() -> World {
    let mut world = World::new("claude_cli_command = \"/bin/true\"\nnum_workers = 1\n");
    world.start();
    world
}

#[test]
fn a_bad_budget_is_refused_with_one_line() {
    let world = world();
    for (given, part) in [
        ("", "empty budget"),
        ("lots", "is no budget; give money"),
        ("0", "allowed is $0.01 to"),
        ("-3", "is no budget"),
        ("$5 5usd", "names money twice"),
        ("0 tokens", "allowed is 1 to"),
        ("400d", "allowed is 1s to 365d"),
        ("99999999999999999999999", "too large"),
    ] {
        let flag = format!("--budget={given}");
        let output = world.taskctl(&["task", "create", "n", "--prompt", "hi", &flag]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{given}: {said}");
        assert!(
            said.contains(part) && said.contains("--budget"),
            "{given}: {said}"
        );
    }
    for (prompt, part) in [
        (json!({"text": "hi", "budget_micro_usd": 1}), "budget: "),
        (json!({"text": "hi", "budget_tokens": 0}), "budget: "),
        (json!({"text": "hi", "budget_run_ms": 10}), "budget: "),
    ] {
        let task = json!({"name": "n", "cwd": "/tmp", "prompt": prompt});
        let (status, body) = world.request("POST", "/tasks", Some(&task)).unwrap();
        let message = body["message"].as_str().unwrap_or_default().to_owned();
        assert!(status == 400 && message.starts_with(part), "{task}: {body}");
        assert!(!message.contains('\n'), "{message}");
    }
    assert_eq!(world.ask("GET", "/tasks", None)["tasks"], json!([]));
}

#[test]
fn only_tasks_of_agents_have_budgets() {
    let world = world();
    let output = world.taskctl(&["task", "create", "n", "true", "--budget", "5"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    world.submit("first", "sleep 60");
    let id = world.submit("second", "true");
    let output = world.taskctl(&["task", "edit", &id, "--budget", "5"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && said.contains("no task of an agent"),
        "{said}"
    );
    assert_eq!(world.ask("GET", "/budgets", None), json!([]));
}

#[test]
fn bad_budgets_in_settings_are_refused_as_a_whole() {
    let settings = "budget_day = \"lots\"\nbudget_sessions = [\"srv = $5\", \"/a = $1\", \"/a/ = $2\"]\n\
                    budget_accounts = [\"a/b/c = $5\", \"work $5\"]\nspend_alarm_usd_per_hour = -1\n";
    let world = World::new(settings);
    let output = world.auto_claude("check-config", &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    for part in [
        "budget_day",
        "is no budget",
        "budget_sessions[0]",
        "no absolute path",
        "budget_sessions[2]",
        "each name stands once",
        "budget_accounts[0]",
        "budget_accounts[1]",
        "NAME = BUDGET",
        "spend_alarm_usd_per_hour",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let good = World::new(
        "budget_day = 50\nbudget_session = \"$5, 2h\"\nbudget_accounts = [\"work = 2M tokens\"]\n",
    );
    let output = good.auto_claude("check-config", &[]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    for part in ["\"$50.00\"", "\"$5.00, 2h\"", "\"claude/work = 2M tokens\""] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_batch_line_and_the_flags_name_budgets_in_the_words_of_the_api() {
    let world = world();
    let output = world.taskctl(&[
        "--json",
        "task",
        "create",
        "n",
        "--prompt",
        "hi",
        "--budget",
        "5usd 200k tokens 30m",
        "--cwd",
        "/tmp",
    ]);
    assert!(output.status.success(), "{output:?}");
    let task: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        task["agent"]["budget"],
        json!({"micro_usd": 5_000_000, "tokens": 200_000, "run_ms": 1_800_000}),
        "{task}"
    );
    let id = task["id"].as_str().unwrap();
    world.act("cancel", &[id]);
    world.wait_final(id);
}
