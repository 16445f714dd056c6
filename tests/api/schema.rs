//! The shape of every response, as a snapshot: a field is added, never renamed or removed.

use std::collections::BTreeMap;

use crate::daemon::{Daemon, until};
use serde_json::{Value, json};

/// The names and types of a value; what differs from run to run is gone.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("bool"),
        Value::Number(number) if number.is_f64() => json!("float"),
        Value::Number(_) => json!("integer"),
        Value::String(text) if text.starts_with("task_") && text.len() == 18 => json!("task id"),
        Value::String(text) if text.len() == 24 && text.ends_with('Z') => json!("time"),
        Value::String(_) => json!("string"),
        Value::Array(items) => items
            .first()
            .map_or_else(|| json!([]), |first| json!([shape(first)])),
        Value::Object(fields) => {
            json!(
                fields
                    .iter()
                    .map(|(name, value)| (name.clone(), shape(value)))
                    .collect::<BTreeMap<_, _>>()
            )
        }
    }
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one response after the other, of one daemon"
)]
fn responses_have_their_documented_shape() {
    let daemon = Daemon::start();
    let done =
        daemon.submit(&json!({"name": "n", "command": ["sh", "-c", "echo out"], "cwd": "/"}));
    let task = daemon.wait(&done);
    let later = json!({"name": "n", "command": "true", "cwd": "/", "at": "2027-12-31T00:00:00Z", "after": [done]});
    let waiting = daemon.submit(&later);
    let runs = daemon.submit(&json!({"name": "n", "command": "sleep 300", "cwd": "/"}));
    let worker = until("the command has started and shown a sign of life", || {
        let workers = daemon.get("/workers").json();
        (workers[0]["agent_pid"].is_number() && workers[0]["heartbeat_age_ms"].is_number())
            .then_some(workers)
    });
    let batch = daemon
        .ask(
            "POST",
            "/tasks/batch",
            format!("{later}\nnonsense").as_bytes(),
        )
        .lines();
    let act = |body: Value| daemon.post("/tasks/actions", &body).json();
    let mut events = daemon.open("GET", &format!("/events?task={waiting}"));
    insta::assert_json_snapshot!("health", daemon.get("/health").json());
    insta::assert_json_snapshot!("status", shape(&daemon.get("/status").json()));
    insta::assert_json_snapshot!("task_done", shape(&task));
    insta::assert_json_snapshot!(
        "task_waiting",
        shape(&daemon.get(&format!("/tasks/{waiting}")).json())
    );
    insta::assert_json_snapshot!(
        "task_runs",
        shape(&daemon.get(&format!("/tasks/{runs}")).json())
    );
    insta::assert_json_snapshot!("page", shape(&daemon.get("/tasks?limit=1").json()));
    insta::assert_json_snapshot!(
        "journal",
        journal(&daemon.get(&format!("/tasks/{done}/journal")).json())
    );
    insta::assert_json_snapshot!(
        "log_line",
        shape(
            &daemon
                .get(&format!("/tasks/{done}/logs?format=json"))
                .lines()[0]
        )
    );
    insta::assert_json_snapshot!("workers", shape(&worker));
    insta::assert_json_snapshot!("batch_task", shape(&batch[0]));
    insta::assert_json_snapshot!("batch_error", shape(&batch[1]));
    insta::assert_json_snapshot!("event", shape(&events.line().unwrap()));
    insta::assert_json_snapshot!(
        "action_done",
        shape(&act(json!({"action": "pause", "ids": [waiting]})))
    );
    insta::assert_json_snapshot!(
        "action_refused",
        shape(&act(json!({"action": "resume", "ids": [done]})))
    );
    insta::assert_json_snapshot!(
        "claims_on",
        shape(&daemon.post("/system/resume", &json!({})).json())
    );
    insta::assert_json_snapshot!(
        "claims_off",
        shape(&daemon.post("/system/pause", &json!({})).json())
    );
    insta::assert_json_snapshot!(
        "stop_all",
        shape(&daemon.post("/system/stop-all", &json!({})).json())
    );
    insta::assert_json_snapshot!(
        "cleanup",
        shape(&daemon.post("/system/cleanup", &json!({"days": 1})).json())
    );
    insta::assert_json_snapshot!(
        "backup",
        shape(&daemon.post("/system/backup", &json!({})).json())
    );
    insta::assert_json_snapshot!("refusal", daemon.get("/tasks/task_0000000000000").json());
}

/// Every kind of row that a plain task has, by its event.
fn journal(rows: &Value) -> Value {
    let rows = rows.as_array().expect("a journal");
    json!(
        rows.iter()
            .map(|row| (
                row["event"]["event"].as_str().expect("an event"),
                shape(row)
            ))
            .collect::<BTreeMap<_, _>>()
    )
}
