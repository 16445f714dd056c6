//! Tools: allowed, denied, deferred; bounds on turns and money; signals while one runs.

use serde_json::json;

use crate::claude_kit::{Place, Run, Running};
use crate::messages_api::answer::Answer;
use crate::{DONE, assert_ended, ground};

#[test]
fn allowed_and_denied() {
    let Some((place, api, account)) = ground("the CLI and its tools") else {
        return;
    };
    account.usually(Answer::work(
        "Bash",
        json!({"command": "echo hello > x.txt", "description": "test"}),
        "The tool ran.",
    ));
    let ended = place.run(&api, &account).end();
    assert_ended(&ended, DONE, "ToolsDenied");
    assert!(!place.work().join("x.txt").exists());
    assert_eq!(ended.of("system/permission_denied").len(), 1);
    let denials = ended.field("permission_denials").as_array().unwrap();
    assert_eq!(denials.len(), 1);
    assert_eq!(denials[0]["tool_name"], "Bash");
    assert_eq!(denials[0]["tool_input"]["command"], "echo hello > x.txt");

    let ended = place
        .run(&api, &account)
        .args(["--allowedTools", "Bash"])
        .end();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(ended.text(), "The tool ran.");
    assert_eq!(
        std::fs::read_to_string(place.work().join("x.txt")).unwrap(),
        "hello\n"
    );
    assert_eq!(ended.field("num_turns"), 2);
    assert_eq!(ended.field("permission_denials"), &json!([]));
    let kinds: Vec<_> = ended
        .of("assistant")
        .iter()
        .map(|event| event["message"]["content"][0]["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["text", "tool_use", "text"],
        "one event for each block"
    );

    let ended = place
        .run(&api, &account)
        .args(["--permission-mode", "acceptEdits"])
        .end();
    assert_ended(&ended, DONE, "Succeeded");
    assert_eq!(ended.field("permission_denials"), &json!([]));
    assert_eq!(ended.of("system/init")[0]["permissionMode"], "acceptEdits");
}

#[test]
fn bounds_on_turns_and_money() {
    let Some((place, api, account)) = ground("the CLI and its tools") else {
        return;
    };
    account.usually(Answer::bash("true"));
    let run = |option: &str, value: &str| {
        place
            .run(&api, &account)
            .args(["--allowedTools", "Bash", option, value])
            .end()
    };
    let ended = run("--max-turns", "2");
    assert_ended(
        &ended,
        "exit 1: is error_max_turns, is_error true, terminal max_turns, retries 0",
        "MaxTurns",
    );
    assert!(ended.field("result").is_null());
    assert_eq!(
        ended.field("errors"),
        &json!(["Reached maximum number of turns (2)"])
    );
    let ended = run("--max-budget-usd", "0.01");
    assert_ended(
        &ended,
        "exit 1: is error_max_budget_usd, is_error true, terminal budget_exhausted, retries 0",
        "MaxBudget",
    );
    assert_eq!(ended.field("total_cost_usd"), 0.01212);
}

#[test]
fn a_hook_defers_a_call() {
    let Some((place, api, account)) = ground("the CLI and its tools") else {
        return;
    };
    account.next(Answer::bash("echo hello > x.txt"));
    let hook = place.dir().join("hook.sh");
    let decide = |decision: &str| {
        let answer = json!({"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": decision}});
        std::fs::write(&hook, format!("cat >/dev/null\necho '{answer}'\n")).unwrap();
    };
    decide("defer");
    let settings = json!({"hooks": {"PreToolUse": [{"matcher": "Bash", "hooks": [
        {"type": "command", "command": format!("sh {}", hook.display())}]}]}});
    let file = place.dir().join("settings.json");
    std::fs::write(&file, settings.to_string()).unwrap();
    let run = place
        .run(&api, &account)
        .args(["--settings", &file.display().to_string()]);
    let ended = run.end();
    assert_ended(
        &ended,
        "exit 0: is success, is_error false, terminal tool_deferred, retries 0",
        "ToolDeferred",
    );
    assert_eq!(ended.field("stop_reason"), "tool_deferred");
    assert_eq!(ended.field("deferred_tool_use")["name"], "Bash");
    let file = place.work().join("x.txt");
    assert!(!file.exists());
    let session = ended.session();
    let resume = || run.clone().args(["--resume", &session]);

    // Without a prompt, a resumed session asks the hook again; the model is not asked. Put off again, the result says so in
    // two fields only.
    let ended = resume().no_prompt().end();
    assert_ended(
        &ended,
        "exit 0: is success, is_error false, retries 0",
        "ToolDeferred",
    );
    assert_eq!(ended.field("stop_reason"), "tool_deferred");
    assert_eq!(ended.field("deferred_tool_use")["name"], "Bash");
    assert_eq!(api.turns().len(), 1);

    // Allowed, the call is made and the turn goes on.
    decide("allow");
    let ended = resume().no_prompt().end();
    assert_ended(&ended, DONE, "Succeeded");
    assert!(file.exists());
    assert_eq!(api.turns().len(), 2);
    assert!(api.turns()[1].brings_result);

    // With a prompt the call is lost: the model is told of an error, and nothing is left to go on with.
    decide("defer");
    account.next(Answer::bash("echo again > x.txt"));
    let deferred = run.end();
    assert_eq!(deferred.field("stop_reason"), "tool_deferred");
    let resume = run.clone().args(["--resume", &deferred.session()]);
    let ended = resume.clone().prompt("go on").end();
    assert_ended(&ended, DONE, "Succeeded");
    let sent = api.turns().pop().unwrap().body["messages"].to_string();
    assert!(sent.contains("Tool result missing"), "{sent}");
    let ended = resume.no_prompt().end();
    assert_ended(&ended, "exit 1: no result", "ResumeFailed");
    assert!(
        ended.stderr.contains("No deferred tool marker found"),
        "{}",
        ended.stderr
    );
}

/// Starts a run of `session` whose tool works as long as the file `on` is there, and waits until it does and the CLI has
/// written the call down: it does so a moment after the tool began, and who is killed before leaves no session.
fn tool_at_work(place: &Place, run: &Run<'_>, session: &str) -> Running {
    std::fs::write(place.work().join("on"), "").unwrap();
    let running = run.clone().args(["--allowedTools", "Bash"]).start();
    running.wait_event("a tool call", |event| {
        event["message"]["content"][0]["type"] == "tool_use"
    });
    crate::wait_for_file(&place.work().join("pid"));
    crate::claude_kit::wait_until("the tool call is in the transcript", || {
        place
            .transcript(session)
            .is_some_and(|text| text.contains("\"tool_use\""))
    });
    running
}

/// The tool of [`tool_at_work`]: says its pid, and ends by itself when its place is gone.
const WORK: &str =
    "echo $$ > pid.new; mv pid.new pid; while [ -e on ]; do sleep 0.05; done; echo end > end";

fn tool_is_alive(place: &Place) -> bool {
    let pid = std::fs::read_to_string(place.work().join("pid")).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap()
            .trim_start()
            .starts_with('Z')
    })
}

#[test]
fn signals_while_a_tool_runs() {
    for (signal, wanted, lives) in [
        ("TERM", "exit 143: no result", false),
        (
            "INT",
            "exit 0: is error_during_execution, is_error true, terminal aborted_tools, retries 0",
            false,
        ),
        ("KILL", "signal 9: no result", true),
    ] {
        let Some((place, api, account)) = ground("the CLI and its tools") else {
            return;
        };
        account.next(Answer::bash(WORK));
        let session = "0b0b0b0b-0000-4000-8000-00000000000b";
        let run = place.run(&api, &account).args(["--session-id", session]);
        let running = tool_at_work(&place, &run, session);
        running.signal(signal);
        let ended = running.wait();
        assert_ended(&ended, wanted, "NoResult");
        assert_eq!(ended.session(), session);
        assert_eq!(tool_is_alive(&place), lives, "after {signal}");
        std::fs::remove_file(place.work().join("on")).unwrap();

        // The session goes on, and the model is told that the call was cut off.
        let resumed = place
            .run(&api, &account)
            .args(["--resume", session])
            .prompt("go on")
            .end();
        assert_ended(&resumed, DONE, "Succeeded");
        assert_eq!(resumed.session(), session);
        let last = api.turns().pop().unwrap();
        assert_eq!(last.last_user, "go on");
        let sent = last.body["messages"].to_string();
        assert!(sent.contains("tool_result"), "{sent}");
        if signal == "KILL" {
            assert!(sent.contains("Tool call interrupted"), "{sent}");
        }
    }
}
