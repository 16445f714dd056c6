//! Prompts that cannot be asked are refused with one clear line before anything starts.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, and says where"
)]

mod common;

use common::World;
use serde_json::{Value, json};

/// A program that is there, to stand for an agent's that is never started.
const SOME_PROGRAM: &str = "/bin/true";

fn world() -> World {
    let mut world = World::new(&format!("claude_cli_command = {SOME_PROGRAM:?}"));
    world.start();
    world
}

/// Submits, and must be refused; the message.
fn refused(world: &World, task: Value) -> String {
    let mut whole = json!({"name": "n", "cwd": "/tmp"});
    for (field, value) in task.as_object().unwrap() {
        whole[field] = value.clone();
    }
    let (status, body) = world.request("POST", "/tasks", Some(&whole)).unwrap();
    assert_eq!(
        (status, &body["code"]),
        (400, &json!("bad_request")),
        "{body}"
    );
    body["message"].as_str().unwrap().to_owned()
}

#[test]
fn what_an_agent_cannot_be_asked_is_refused() {
    let world = world();
    let long = "x".repeat(1024 * 1024 + 1);
    let cases = [
        (json!({}), "command: is missing"),
        (
            json!({"command": "true", "prompt": {"text": "hi"}}),
            "give one of them",
        ),
        (json!({"prompt": {"text": "  "}}), "prompt: is empty"),
        (json!({"prompt": {"text": long}}), "1048577"),
        (json!({"prompt": {"text": "a\u{0}b"}}), "NUL"),
        (
            json!({"prompt": {"text": "hi", "agent": "clude"}}),
            "there is no agent named",
        ),
        (
            json!({"prompt": {"text": "hi", "agent": "../x"}}),
            "agent: ",
        ),
        (
            json!({"prompt": {"text": "hi", "account": "work"}}),
            "no account named",
        ),
        (
            json!({"prompt": {"text": "hi", "account": "a/b"}}),
            "account: ",
        ),
        (
            json!({"prompt": {"text": "hi", "model": "--help"}}),
            "model: ",
        ),
        (
            json!({"prompt": {"text": "hi", "args": ["--resume", "x"]}}),
            "--resume",
        ),
        (
            json!({"prompt": {"text": "hi", "chunks": ["a"]}}),
            "{chunk}",
        ),
        (
            json!({"prompt": {"text": "{chunk}", "chunks": ["a"]}, "type": "lightweight"}),
            "heavy_context",
        ),
        (json!({"prompt": {"text": "hi", "budget": 3}}), "budget"),
        (json!({"command": "claude -p"}), "command: "),
        (
            json!({"command": ["claude", "-p", "hi", "--resume", "1e0ee16a-a9e2-492e-a1c6-2fc3641dd333"]}),
            "sessions",
        ),
    ];
    all_refused(&world, &cases);
}

#[test]
fn what_does_not_go_with_a_command_line_is_refused() {
    let world = world();
    let cases = [
        (json!({"prompt": {}}), "prompt.text: is missing"),
        (
            json!({"command": "make", "prompt": {"account": "work"}}),
            "not driven as an agent",
        ),
        (
            json!({"command": "claude -p hi | tee log", "prompt": {"budget_tokens": 5}}),
            "'|' is for a shell",
        ),
        (
            json!({"command": "claude -p hi", "prompt": {"text": "hi"}}),
            "give one of them",
        ),
        (
            json!({"command": "claude -p hi", "prompt": {"chunks": ["a"]}}),
            "go with a prompt",
        ),
        (
            json!({"command": "claude -p hi", "prompt": {"agent": "codex"}}),
            "go with a prompt",
        ),
        (
            json!({"command": "claude -p hi", "prompt": {"account": "work"}}),
            "no account named",
        ),
        (
            json!({"command": "claude -p hi --model opus", "prompt": {"model": "haiku"}}),
            "model: the command line says it too",
        ),
        (
            json!({"command": "claude -p hi --max-budget-usd 2", "prompt": {"budget_micro_usd": 20_000}}),
            "budget: the command line says it too",
        ),
    ];
    all_refused(&world, &cases);
}

#[test]
fn where_a_task_cannot_go_on_is_refused() {
    let world = world();
    let cases = [
        (
            json!({"prompt": {"text": "hi", "fallback": ["clude"]}}),
            "fallback clude/default: agent: there is no agent named",
        ),
        (
            json!({"prompt": {"text": "hi", "fallback": ["claude:work"]}}),
            "no account named",
        ),
        (
            json!({"prompt": {"text": "hi", "fallback": ["claude"]}}),
            "is where the task begins",
        ),
        (
            json!({"prompt": {"text": "hi", "fallback": ["codex", "codex:default"]}}),
            "named twice",
        ),
        (
            json!({"prompt": {"text": "hi", "fallback": ["claude:a/b"]}}),
            "fallback: ",
        ),
        (
            json!({"prompt": {"text": "hi", "fallback": vec!["codex"; 9]}}),
            "names 9 places; at most 8",
        ),
    ];
    all_refused(&world, &cases);
}

fn all_refused(world: &World, cases: &[(Value, &str)]) {
    for (task, part) in cases {
        let message = refused(world, task.clone());
        assert!(message.contains(part), "{task}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
    assert_eq!(
        world.ask("GET", "/tasks", None)["tasks"],
        json!([]),
        "nothing was half done"
    );
}

#[test]
fn an_agent_that_is_not_installed_is_told_at_the_submission() {
    let mut world = World::new("claude_cli_command = \"/nonexistent/claude\"");
    world.start();
    let message = refused(&world, json!({"prompt": {"text": "hi"}}));
    assert!(
        message.contains("/nonexistent/claude") && message.contains("does not exist"),
        "{message}"
    );
}

#[test]
fn prompt_files_are_read_whole_or_not_at_all() {
    let world = world();
    let file = world.dir().join("prompt.md");
    let create = |text: &[u8]| {
        std::fs::write(&file, text).unwrap();
        let given = format!("@{}", file.display());
        world.taskctl(&["task", "create", "p", "--json", "--prompt", &given])
    };
    for (text, part) in [
        (vec![b'x'; 1024 * 1024 + 1], "longer than 1048576 bytes"),
        (vec![b'a', 0xff], "not UTF-8 (from byte 1 on)"),
    ] {
        let output = create(&text);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(2) && said.contains(part),
            "{output:?}"
        );
    }
    let output = create(b" \n");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && said.contains("prompt: is empty"),
        "{output:?}"
    );
    let output = create(b"do this\n");
    assert!(output.status.success(), "{output:?}");
    let task: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(task["command"]["prompt"], "do this");
    assert_eq!(
        (&task["type"], &task["agent"]["model_from"]),
        (&json!("medium_context"), &json!("agent"))
    );
    assert!(
        task["exclusive"].as_str().unwrap().starts_with("dir:/"),
        "{task}"
    );
}

#[test]
fn a_command_line_of_the_agent_has_an_account_and_a_budget_and_says_what_was_added() {
    let world = world();
    let run = |arguments: &[&str]| {
        let output = world.taskctl(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    run(&["account", "add", "work", "--config-dir", "/srv/work"]);
    run(&["limits", "set", "work", "--until", "+2h"]);
    let submit = ["task", "create", "line", "--account", "work", "--budget"];
    let line = ["claude", "code", "--query", "hi", "--output-format", "json"];
    let of_it = [&submit[..], &["5usd, 1h", "--json", "--"], &line[..]].concat();
    let (task, said) = run(&of_it);
    let task: Value = serde_json::from_str(&task).unwrap();
    assert_eq!(
        (
            &task["agent"]["account"],
            &task["agent"]["budget"]["micro_usd"]
        ),
        (&json!("work"), &json!(5_000_000)),
        "{task}"
    );
    let added = "added: -p, --output-format stream-json, --verbose; left out: --output-format json";
    assert!(said.contains(added), "{said}");
    let id = task["id"].as_str().unwrap();
    let (shown, _) = run(&["task", "show", id]);
    let row = |title: &str| {
        let row = shown.lines().find(|line| line.starts_with(title));
        row.unwrap_or_else(|| panic!("no {title} in {shown}"))
            .to_owned()
    };
    assert!(row("added").ends_with("-p, --output-format stream-json, --verbose"));
    assert!(row("left out").ends_with("--output-format json"));

    let (_, said) = run(&["task", "create", "plain", "claude --version | cat"]);
    assert!(
        said.contains("runs as a plain command") && said.contains("for a shell"),
        "{said}"
    );
    let file = world.dir().join("tasks.jsonl");
    std::fs::write(&file, "{}\n").unwrap();
    let from = file.to_str().unwrap();
    let refused = world.taskctl(&["task", "create", "--from", from, "--budget", "5usd"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.status.code() == Some(2) && said.contains("--budget: with --from"),
        "{refused:?}"
    );
}

#[test]
fn limits_and_accounts_can_be_steered_by_hand() {
    let world = world();
    let run = |arguments: &[&str]| {
        let output = world.taskctl(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["account", "add", "work", "--config-dir", "/srv/work"]);
    run(&["limits", "set", "work", "--until", "+2h"]);
    let shown = run(&["limits"]);
    assert!(
        shown.contains("claude/work  closed") && shown.contains("closed by a person"),
        "{shown}"
    );
    // Nothing starts on it meanwhile.
    let held = json!({"name": "held", "cwd": "/tmp", "prompt": {"text": "hi", "account": "work"}});
    let id = world.submit_with(held);
    let free = world.submit("free", "true");
    world.wait_final(&free);
    assert_eq!(world.task(&id)["attempt"], 0);
    let refused = world.taskctl(&["account", "remove", "work"]);
    assert!(
        !refused.status.success(),
        "an account that a task needs stays"
    );
    run(&["limits", "clear", "work"]);
    // The stand-in for the agent says nothing, so it ends without a result: no success, whatever its exit code.
    let task = world.wait_for("it has run", |world| {
        let task = world.task(&id);
        (task["outcome"]["kind"] == "no_result").then_some(task)
    });
    assert_ne!(task["state"], "completed");
    world.act("cancel", &[&id]);
    world.wait_final(&id);
    run(&["account", "remove", "work"]);
    assert!(run(&["account", "list", "--json"]).trim() == "[]");
}
