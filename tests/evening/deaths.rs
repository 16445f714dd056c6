//! Who dies in the midst of work, and sessions that cannot be resumed.

use serde_json::json;

use crate::claude_kit::PATIENCE;
use crate::common::{alive, marked, signal};
use crate::kit::Evening;
use crate::messages_api::account::Window;
use crate::messages_api::answer::{Answer, Gate};

/// A tool that says its pid and works as long as the file `on` is there.
const WORK: &str =
    "echo $$ > pid.new; mv pid.new pid; while [ -e on ]; do sleep 0.05; done; echo end > end";

/// The worker is ended by this signal while the agent's tool works; the task goes on in its session.
fn worker_dies(by: &str, first_end: &str) {
    let Some(evening) = Evening::new("a worker that dies", "claude_api_timeout_seconds = 60\n")
    else {
        return;
    };
    let account = evening.account("work");
    account.when("tool", [Answer::bash(WORK), Answer::text("Done.")]);
    let project = evening.project("tool");
    std::fs::write(project.join("on"), "").unwrap();
    let id = evening.ask(&account, "tool", json!({}));
    let tool: i32 = evening.world.wait_for("the tool works", |_| {
        let text = std::fs::read_to_string(project.join("pid")).ok()?;
        text.trim().parse().ok()
    });
    evening.world.wait_for("the session is on the disk", |_| {
        let session = evening.sessions(&id).pop()?;
        let found = find(&evening.project("tool"), &session);
        found.then_some(())
    });
    let workers = evening.world.workers();
    assert_eq!(workers.len(), 1, "{workers:?}");
    signal(workers[0], by);
    evening.wait_done(&id);
    assert_eq!(evening.ends(&id), [first_end, "succeeded"], "by {by}");
    let sessions = evening.sessions(&id);
    assert_eq!(sessions[0], sessions[1], "the same session");
    assert!(!alive(tool), "the tool was ended with its attempt");
    assert!(!project.join("end").exists(), "and did not end its work");
    assert!(marked(&format!("{id}.1")).is_empty());
    let last = evening.api.turns().pop().unwrap();
    assert!(last.body["messages"].to_string().contains("tool_result"));
}

/// Whether the agent has written the tool call down: killed before, it would leave no session.
fn find(project: &std::path::Path, session: &str) -> bool {
    let home = project.parent().unwrap().join("work/projects");
    let projects = std::fs::read_dir(home).into_iter().flatten().flatten();
    let mut texts = projects.filter_map(|dir| {
        std::fs::read_to_string(dir.path().join(format!("{session}.jsonl"))).ok()
    });
    texts.any(|text| text.contains("\"tool_use\""))
}

#[test]
fn a_worker_killed_inside_a_tool() {
    worker_dies("KILL", "lost");
}

#[test]
fn a_worker_told_to_end_inside_a_tool() {
    worker_dies("TERM", "interrupted");
}

/// It fails to resume twice; then the task goes on in another session, with what it had printed.
#[test]
fn a_poisoned_session_is_given_up_for_a_new_one() {
    let settings = "release_interval_seconds = 0\ncontinue_prompt = \"Go on, please.\"\n";
    let Some(evening) = Evening::new("a poisoned session", settings) else {
        return;
    };
    let account = evening.account("work");
    let gate = Gate::new();
    account.when("poison", [Answer::bash("echo so far").behind(&gate)]);
    // Whoever goes on in the old session is refused, however often it is repaired.
    let broken = || Answer::status(400, "invalid_request_error", "messages.1: cannot be read");
    account.when("Go on, please.", std::iter::repeat_with(broken).take(50));
    let id = evening.ask(&account, "poison", json!({}));
    gate.wait_reached(1, PATIENCE);
    account.limit(Window::FiveHour, Some(4));
    gate.open();
    evening.wait_done(&id);
    let mut ends = evening.ends(&id);
    // The window may begin anew a moment after the time that was told.
    ends.dedup();
    assert_eq!(
        ends,
        ["limited", "resume_failed", "poisoned_session", "succeeded"]
    );
    let sessions = evening.sessions(&id);
    let (last, before) = sessions.split_last().unwrap();
    assert!(before.iter().all(|one| *one == before[0]), "{sessions:?}");
    assert_ne!(*last, before[0], "a new one");
    let asked = evening.api.turns().pop().unwrap().last_user;
    assert!(asked.contains("session that is gone"), "{asked}");
}
