//! What a task will use, told from finished ones.

use serde_json::{Value, json};

use crate::claude_kit::MODEL;
use crate::kit::Evening;
use crate::{done, taskctl};

#[test]
fn an_estimate_comes_from_like_tasks_and_is_unknown_without_any() {
    let Some(evening) = Evening::new("an estimate", "") else {
        return;
    };
    let account = evening.account("work");
    account.usually(done());
    let project = evening.project("p");
    let estimate = |more: &[&str]| {
        let mut arguments = vec![
            "task",
            "create",
            "n",
            "--prompt",
            "Do it",
            "--account",
            "work",
            "--session",
        ];
        arguments.extend([project.to_str().unwrap(), "--estimate"]);
        arguments.extend(more);
        taskctl(&evening, &arguments)
    };
    assert!(estimate(&[]).contains("unknown"), "{}", estimate(&[]));
    let unknown: Value = serde_json::from_str(&estimate(&["--json"])).unwrap();
    assert_eq!(
        (&unknown["known"], &unknown["micro_usd"]),
        (&json!(false), &Value::Null),
        "unknown, not 0"
    );
    let mut spent = Vec::new();
    for name in ["one", "two", "three"] {
        let id = evening.ask(&account, name, json!({"cwd": project}));
        let task = evening.wait_done(&id);
        spent.push(task["agent"]["spent_micro_usd"].as_u64().unwrap());
    }
    spent.sort_unstable();
    let (tasks, turns) = (
        evening.world.ask("GET", "/tasks", None),
        evening.api.turns().len(),
    );
    let known: Value = serde_json::from_str(&estimate(&["--json", "--model", MODEL])).unwrap();
    assert_eq!(
        (&known["known"], &known["tasks"], &known["likeness"]),
        (&json!(true), &json!(3), &json!("project")),
        "{known}"
    );
    assert_eq!(
        known["micro_usd"],
        json!({"p10": spent[0], "p50": spent[1], "p90": spent[2]})
    );
    // Three chunks cost three times as much; another model's tasks say nothing.
    let chunks = ["--json", "--chunk", "a", "--chunk", "b", "--type", "medium"];
    let refused = evening.world.taskctl(
        &[
            &["task", "create", "n", "--prompt", "{chunk}", "--estimate"][..],
            &chunks,
        ]
        .concat(),
    );
    assert!(!refused.status.success(), "checked as a submission is");
    let other: Value =
        serde_json::from_str(&estimate(&["--json", "--model", "claude-haiku-9"])).unwrap();
    assert_eq!(other["known"], false, "{other}");
    let words = estimate(&["--model", MODEL]);
    assert!(
        words.contains("cost      $")
            && words.contains("3 finished tasks (same model, type and directory)"),
        "{words}"
    );
    // Nothing was created, and nothing asked.
    assert_eq!(evening.world.ask("GET", "/tasks", None), tasks);
    assert_eq!(evening.api.turns().len(), turns);
}
