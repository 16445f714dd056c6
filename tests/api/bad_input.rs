//! Whatever a client asks, it gets one clear error, nothing is half done, and the daemon goes on.

use crate::daemon::{Daemon, later};
use serde_json::{Value, json};

fn task() -> Value {
    json!({"name": "n", "command": "true", "cwd": "/"})
}

fn with(field: &str, value: Value) -> Value {
    let mut task = task();
    task[field] = value;
    task
}

/// Each row: the body, and what the message must say.
#[expect(clippy::too_many_lines, reason = "a table")]
fn bad_submissions() -> Vec<(Value, &'static str)> {
    let long = "x".repeat(201);
    let argument = "x".repeat(131_072);
    vec![
        (with("name", json!("")), "name: "),
        (with("name", json!(long)), "name: "),
        (with("name", json!("a\u{1b}[31m")), "name: "),
        (with("name", json!("a\nb")), "name: "),
        (with("name", json!(7)), "name: "),
        (
            with("description", json!("x".repeat(10_001))),
            "description: ",
        ),
        (with("command", json!("")), "command: "),
        (with("command", json!("  ")), "command: "),
        (with("command", json!([])), "command: "),
        (with("command", json!([""])), "command: "),
        (with("command", json!("a\u{0}b")), "command: "),
        (with("command", json!(argument)), "command: "),
        (
            with("command", json!(vec!["x".repeat(100_000); 12])),
            "command: ",
        ),
        (with("command", json!({"line": "true"})), "command: "),
        (with("command", json!(null)), "command: "),
        (with("cwd", json!("relative")), "cwd: "),
        (with("cwd", json!("")), "cwd: "),
        (with("cwd", json!("/no/such/directory")), "cwd: "),
        (with("cwd", json!("/dev/null")), "cwd: "),
        (with("cwd", json!("/a\u{0}b")), "cwd: "),
        (
            with("cwd", json!(format!("/{}", "x".repeat(5000)))),
            "cwd: ",
        ),
        (with("env", json!({"A=B": "x"})), "env: "),
        (with("env", json!({"": "x"})), "env: "),
        (with("env", json!({"A": "x\u{0}"})), "env: "),
        (with("env", json!({"A": 1})), "env"),
        (
            with("secrets", json!({"A": {"file": "relative"}})),
            "secrets",
        ),
        (
            with("secrets", json!({"A": {"credential": "../x"}})),
            "secrets",
        ),
        (with("secrets", json!({"A": {"vault": "x"}})), "secrets"),
        (with("secrets", json!({"A=": {"env": "B"}})), "secrets"),
        (with("key", json!("")), "key: "),
        (with("key", json!("k".repeat(201))), "key: "),
        (with("key", json!("a\tb")), "key: "),
        (with("after", json!(["nonsense!"])), "task id"),
        (with("after", json!(["task_0000000000000"])), "no task"),
        (with("after", json!(["task_zzzz"])), "no task"),
        (with("after_failed", json!("explode")), "after_failed"),
        (with("at", json!("soon")), "at: "),
        (with("at", json!(-5)), "at: "),
        (with("at", json!("9000-01-01T00:00:00Z")), "at: "),
        (with("at", json!("1969-12-31T23:59:59Z")), "at: "),
        (with("at", json!("2026-02-30T00:00:00Z")), "at: "),
        (with("timeout_seconds", json!(0)), "timeout_seconds: "),
        (with("timeout_seconds", json!(-1)), "timeout_seconds: "),
        (
            with("timeout_seconds", json!(31_536_001)),
            "timeout_seconds: ",
        ),
        (with("timeout_seconds", json!(1e30)), "timeout_seconds: "),
        (
            with("idle_timeout_seconds", json!(0)),
            "idle_timeout_seconds: ",
        ),
        (with("max_retries", json!(1001)), "max_retries: "),
        (with("max_retries", json!(-1)), "max_retries: "),
        (with("retry_on", json!(["sometimes"])), "retry_on"),
        (with("retry_on", json!([{"code": 0}])), "retry_on"),
        (with("retry_on", json!([{"code": 256}])), "retry_on"),
        (with("if_lost", json!("cry")), "if_lost"),
        (with("exclusive", json!("")), "exclusive: "),
        (with("priority", json!("hihg")), "did you mean `high`?"),
        (
            with("type", json!("heavy")),
            "did you mean `heavy_context`?",
        ),
        (with("comand", json!("true")), "did you mean `command`?"),
        (json!({"command": "true"}), "missing field `name`"),
        (json!({"name": "n"}), "command: is missing"),
        (json!(["n", "true"]), "JSON object"),
        (json!("x"), "JSON object"),
        (Value::Null, "JSON object"),
    ]
}

#[test]
fn a_bad_submission_gets_one_clear_error_and_leaves_nothing() {
    let daemon = Daemon::start();
    for (body, expected) in bad_submissions() {
        let answer = daemon.post("/tasks", &body);
        let short: String = body.to_string().chars().take(120).collect();
        let (code, message) = answer.refusal();
        assert!((400..500).contains(&answer.status), "{short}: {answer:?}");
        assert!(
            matches!(code.as_str(), "bad_request" | "not_found"),
            "{short}: {code}"
        );
        assert!(
            message.contains(expected),
            "{short}: {message:?} does not say {expected:?}"
        );
        assert!(
            message.chars().count() < 700,
            "{short}: the message is long: {message}"
        );
        assert!(
            !message.chars().any(char::is_control),
            "{short}: {message:?}"
        );
    }
    assert_eq!(
        daemon.get("/tasks").json()["tasks"],
        json!([]),
        "nothing was kept"
    );
    daemon.submit(&task());
}

#[test]
fn a_body_that_is_no_json_gets_one_clear_error() {
    let daemon = Daemon::start();
    let deep = format!("{{\"name\":\"n\",\"command\":{}", "[".repeat(200_000));
    let bodies: [&[u8]; 9] = [
        b"",
        b"{",
        b"\x00\x01\x02",
        b"{\"name\":\"\xff\xfe\",\"command\":\"true\"}",
        b"{\"name\":\"\\ud800\",\"command\":\"true\"}",
        b"{\"name\":\"n\",\"name\":\"m\",\"command\":\"true\"}",
        b"{\"name\":\"n\",\"command\":\"true\"} trailing",
        deep.as_bytes(),
        b"\xef\xbb\xbf{}",
    ];
    for body in bodies {
        let answer = daemon.ask("POST", "/tasks", body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(answer.status, 400, "{shown}: {answer:?}");
        assert_eq!(answer.refusal().0, "bad_request", "{shown}");
    }
    let cut = daemon.ask("POST", "/tasks", b"{\"name\":\"n\",\"comm");
    assert_eq!(
        cut.refusal().1,
        "the JSON ends too early, at line 1 column 17: the rest of it is missing"
    );
    assert_eq!(daemon.get("/health").status, 200);
}

#[test]
fn a_bad_route_or_query_gets_one_clear_error() {
    let daemon = Daemon::start();
    let id = daemon.submit(&with("at", json!("2026-12-31T00:00:00Z")));
    let rows = [
        ("GET", "/nothing", 404, "not_found"),
        ("DELETE", "/tasks", 405, "bad_request"),
        ("GET", "/tasks/task_0000000000000", 404, "not_found"),
        ("GET", "/tasks/zzzz", 404, "not_found"),
        ("GET", "/tasks/ILOU", 400, "bad_request"),
        ("GET", "/tasks/%00", 400, "bad_request"),
        ("GET", "/tasks/..%2f..%2fetc", 400, "bad_request"),
        ("GET", "/tasks?limit=0", 400, "bad_request"),
        ("GET", "/tasks?limit=1001", 400, "bad_request"),
        ("GET", "/tasks?limit=-1", 400, "bad_request"),
        ("GET", "/tasks?state=pendign", 400, "bad_request"),
        ("GET", "/tasks?since=yesterday", 400, "bad_request"),
        ("GET", "/tasks?cursor=x", 400, "bad_request"),
        ("GET", "/tasks?order=up", 400, "bad_request"),
        ("GET", "/tasks?lmit=3", 400, "bad_request"),
        (
            "GET",
            &format!("/tasks/{id}/wait?timeout_seconds=-1"),
            400,
            "bad_request",
        ),
        (
            "GET",
            &format!("/tasks/{id}/logs?format=xml"),
            400,
            "bad_request",
        ),
        (
            "GET",
            &format!("/tasks/{id}/logs?attempt=0"),
            400,
            "bad_request",
        ),
        (
            "GET",
            &format!("/tasks/{id}/logs?tail=100001"),
            400,
            "bad_request",
        ),
        (
            "GET",
            &format!("/tasks/{id}/logs?stream=both"),
            400,
            "bad_request",
        ),
        ("GET", &format!("/tasks/{id}/checkpoint"), 404, "not_found"),
        ("GET", "/events?task=zzzz", 404, "not_found"),
    ];
    for (method, route, status, code) in rows {
        let answer = daemon.ask(method, route, b"");
        assert_eq!(
            (answer.status, answer.refusal().0.as_str()),
            (status, code),
            "{method} {route}: {answer:?}"
        );
    }
}

#[test]
fn an_id_that_is_no_text_and_a_parameter_given_twice_get_one_clear_error() {
    let daemon = Daemon::start();
    let id = daemon.submit(&later("n"));
    for (method, route, expected) in [
        ("GET", "/tasks/%ff", "no UTF-8"),
        ("GET", "/tasks/%ff/logs", "no UTF-8"),
        ("GET", "/tasks/%ff/wait", "no UTF-8"),
        ("DELETE", "/tasks/%ff/lease", "no UTF-8"),
        ("POST", "/batches/%ff", "no UTF-8"),
        ("POST", "/accounts/claude/%ff", "no UTF-8"),
        ("DELETE", "/accounts/%ff/work", "no UTF-8"),
        ("POST", "/accounts/%ff/work/hold", "no UTF-8"),
        ("POST", "/agents/%ff/contract", "no UTF-8"),
        ("GET", "/costs?by=week", "by: \"week\" is none of"),
        ("GET", "/costs?by=day&by=task", "more than once"),
        ("GET", "/costs?since=9e99", "since: "),
        ("GET", "/costs?until=x", "known: by, since, task"),
        ("GET", "/tasks?limit=1&limit=2", "\"limit\""),
        ("GET", "/tasks?order=newest&order=newest", "\"order\""),
        ("GET", "/events?task=a&task=b", "\"task\""),
        (
            "GET",
            &format!("/tasks/{id}/wait?timeout_seconds=0&timeout_seconds=0"),
            "\"timeout_seconds\"",
        ),
        (
            "GET",
            &format!("/tasks/{id}/logs?tail=1&tail=2"),
            "\"tail\"",
        ),
    ] {
        let answer = daemon.ask(method, route, b"");
        assert_eq!(answer.status, 400, "{method} {route}: {answer:?}");
        let (code, message) = answer.refusal();
        assert_eq!(code, "bad_request", "{method} {route}");
        assert!(message.contains(expected), "{method} {route}: {message}");
    }
    let both = daemon.get("/tasks?state=failed&state=pending").json();
    assert_eq!(both["tasks"][0]["id"], json!(id), "states may be repeated");
}

#[test]
fn a_bad_action_gets_one_clear_error() {
    let daemon = Daemon::start();
    let id = daemon.submit(&with("at", json!("2026-12-31T00:00:00Z")));
    for (body, expected) in [
        (
            json!({"action": "cancle", "ids": [id]}),
            "did you mean `cancel`?",
        ),
        (json!({"action": "cancel"}), "ids or by states"),
        (
            json!({"action": "cancel", "ids": [id], "states": ["pending"]}),
            "ids or by states",
        ),
        (
            json!({"action": "cancel", "ids": [id], "grace_ms": 86_400_001}),
            "grace_ms",
        ),
        (
            json!({"action": "pause", "ids": [id], "grace_ms": 5}),
            "grace_ms",
        ),
        (json!({"action": "edit", "ids": [id]}), "patch"),
        (
            json!({"action": "pause", "ids": [id], "patch": {}}),
            "patch",
        ),
        (
            json!({"action": "edit", "ids": [id], "patch": {"nmae": "x"}}),
            "did you mean `name`?",
        ),
        (
            json!({"action": "edit", "ids": [id], "patch": {"cwd": "/no/such/directory"}}),
            "cwd",
        ),
        (
            json!({"action": "edit", "ids": [id], "patch": {"at": "9000-01-01T00:00:00Z"}}),
            "at: ",
        ),
        (
            json!({"action": "pause", "states": ["sleeping"]}),
            "unknown variant",
        ),
    ] {
        let answer = daemon.post("/tasks/actions", &body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(answer.refusal().1.contains(expected), "{body}: {answer:?}");
    }
    // What is wrong with one task is said of that task; the others are done.
    let answer = daemon
        .post(
            "/tasks/actions",
            &json!({"action": "pause", "ids": ["zzzz", "", id]}),
        )
        .json();
    assert_eq!(answer[0]["error"]["code"], "not_found");
    assert_eq!(answer[1]["error"]["code"], "bad_request");
    assert_eq!(answer[2]["effect"], "done");
    let edit = json!({"action": "edit", "ids": [id], "patch": {"name": "x".repeat(201)}});
    let answer = daemon.post("/tasks/actions", &edit).json();
    assert_eq!(answer[0]["error"]["code"], "bad_request", "{answer}");
    assert_eq!(daemon.get(&format!("/tasks/{id}")).json()["name"], "n");
}

#[test]
fn an_answer_that_nobody_asked_for_is_refused_in_words() {
    let daemon = Daemon::start();
    let waits = daemon.submit(&later("waits"));
    let done = daemon.submit(&task());
    daemon.wait(&done);
    let runs = daemon.submit(&with("command", json!("sleep 600")));
    crate::daemon::until("it runs", || {
        let task = daemon.get(&format!("/tasks/{runs}")).json();
        (task["state"] == "processing").then_some(())
    });
    let paused = daemon.submit(&later("paused"));
    daemon.post(
        "/tasks/actions",
        &json!({"action": "pause", "ids": [paused]}),
    );
    for (action, participle) in [("approve", "approved"), ("reject", "rejected")] {
        for (id, state, advice) in [
            (&waits, "pending", "goes on by itself"),
            (&done, "completed", "it is over; retry it"),
            (&runs, "processing", "it runs; cancel it"),
            (&paused, "paused", "it is paused; resume or cancel it"),
        ] {
            let body = json!({"action": action, "ids": [id]});
            let answer = daemon.post("/tasks/actions", &body).json();
            let error = &answer[0]["error"];
            assert_eq!(error["code"], "illegal_transition", "{answer}");
            let message = error["message"].as_str().unwrap_or_default();
            let begin = format!("{id} is {state} and cannot be {participle}: ");
            assert!(
                message.starts_with(&begin) && message.contains(advice),
                "{message}"
            );
        }
    }
}

#[test]
fn a_kind_of_hold_that_is_none_is_told_those_that_are() {
    let daemon = Daemon::start();
    let answer = daemon.post("/accounts/claude/default/hold", &json!({"kind": "hourly"}));
    let body = answer.json();
    let message = body["message"].as_str().unwrap_or_default();
    assert_eq!(body["code"], "bad_request", "{body}");
    assert!(
        message.starts_with("kind: not a kind of hold: expected one of five_hour, weekly"),
        "{message}"
    );
}
