//! A key stands for one request: the same again is the same task, anything else is refused and says in what it differs.

use crate::daemon::{Daemon, later};
use serde_json::{Value, json};

fn keyed() -> Value {
    let mut task = later("n");
    task["key"] = json!("k");
    task
}

fn with(field: &str, value: Value) -> Value {
    let mut task = keyed();
    task[field] = value;
    task
}

#[test]
fn a_known_key_with_anything_else_behind_it_is_refused() {
    let daemon = Daemon::start();
    let other = daemon.submit(&later("other"));
    let id = daemon.submit(&keyed());
    for (field, value) in [
        ("name", json!("m")),
        ("command", json!(["true"])),
        ("description", json!("d")),
        ("type", json!("heavy_context")),
        ("priority", json!("high")),
        ("cwd", json!("/tmp")),
        ("secrets", json!({"A": {"env": "B"}})),
        ("after", json!([other])),
        ("after_failed", json!("run")),
        ("at", json!("2027-12-31T00:00:01Z")),
        ("timeout_seconds", json!(60)),
        ("idle_timeout_seconds", json!(60)),
        ("max_retries", json!(1)),
        ("retry_on", json!(["exit"])),
        ("if_lost", json!("review")),
        ("exclusive", json!("e")),
        ("foreground", json!(true)),
    ] {
        let answer = daemon.post("/tasks", &with(field, value));
        assert_eq!(answer.status, 409, "{field}: {answer:?}");
        let (code, message) = answer.refusal();
        assert_eq!(code, "key_conflict", "{field}");
        let wanted =
            format!("this key belongs to {id}, which asks for something else ({field}); take");
        assert!(message.starts_with(&wanted), "{message}");
    }
    for same in [
        keyed(),
        with("env", json!({"FROM": "another shell"})),
        with("priority", json!("normal")),
    ] {
        let answer = daemon.post("/tasks", &same);
        assert_eq!(answer.status, 200, "{same}: {answer:?}");
        assert_eq!(answer.json()["id"], id);
    }
    let tasks = daemon.get("/tasks").json();
    assert_eq!(tasks["tasks"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_key_is_known_by_the_words_of_its_time_and_after_an_edit() {
    let daemon = Daemon::start();
    let at = |at: &str, written: &str| {
        let mut task = with("at", json!(at));
        task["at_written"] = json!(written);
        daemon.post("/tasks", &task)
    };
    let first = at("2027-12-31T00:00:00Z", "+2h");
    assert_eq!(first.status, 201, "{first:?}");
    let id = first.json()["id"].clone();
    let edit = json!({"action": "edit", "ids": [id], "patch": {"priority": "urgent"}});
    assert_eq!(
        daemon.post("/tasks/actions", &edit).json()[0]["effect"],
        "done"
    );
    let again = at("2027-12-31T00:00:07Z", "+2h");
    assert_eq!(
        (again.status, &again.json()["id"]),
        (200, &id),
        "the same words, seven seconds later"
    );
    assert_eq!(again.json()["not_before"], "2027-12-31T00:00:00.000Z");
    assert_eq!(at("2027-12-31T00:00:07Z", "+3h").status, 409);
    assert_eq!(daemon.post("/tasks", &keyed()).status, 409);
    for (body, expected) in [
        (
            json!({"name": "n", "command": "true", "at_written": "+2h"}),
            "goes with at",
        ),
        (with("at_written", json!("x".repeat(101))), "at_written: "),
        (with("at_written", json!("")), "at_written: "),
    ] {
        let answer = daemon.post("/tasks", &body);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.refusal().1.contains(expected), "{answer:?}");
    }
}
