//! Batches: every line is answered, in order, when it is durable.

use std::io::Write as _;

use crate::daemon::{Daemon, later, until};
use serde_json::{Value, json};

fn batch(daemon: &Daemon, body: &[u8]) -> Vec<Value> {
    let answer = daemon.ask("POST", "/tasks/batch", body);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.lines()
}

#[test]
fn a_batch_answers_every_line_in_order_and_goes_on_after_bad_ones() {
    let daemon = Daemon::start();
    let keyed = |key: &str| {
        let mut task = later(key);
        task["key"] = json!(key);
        task.to_string()
    };
    let too_long = format!("{{\"name\":\"{}", "x".repeat(3 << 20));
    let lines = [
        keyed("a"),
        "{broken".to_owned(),
        String::new(),
        keyed("a"),
        too_long,
        json!({"name": "n", "command": "true", "cwd": "/no/such/directory"}).to_string(),
        "\u{0}".to_owned(),
        keyed("b"),
    ];
    let answers = batch(&daemon, lines.join("\n").as_bytes());
    let seen: Vec<(u64, &str)> = answers
        .iter()
        .map(|answer| match (&answer["task"], &answer["error"]) {
            (Value::Null, error) => (
                error["line"].as_u64().unwrap(),
                error["error"]["code"].as_str().unwrap(),
            ),
            (task, _) => (
                task["line"].as_u64().unwrap(),
                if task["known"] == true {
                    "known"
                } else {
                    "new"
                },
            ),
        })
        .collect();
    let expected = [
        (1, "new"),
        (2, "bad_request"),
        (4, "known"),
        (5, "too_large"),
        (6, "bad_request"),
        (7, "bad_request"),
        (8, "new"),
    ];
    assert_eq!(seen, expected, "the last line counts without its end");
    assert_eq!(
        answers[0]["task"]["id"], answers[2]["task"]["id"],
        "the same key is the same task"
    );
    assert_eq!(
        daemon.get("/tasks").json()["tasks"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn lines_of_a_batch_are_acknowledged_while_it_is_open() {
    let daemon = Daemon::start();
    let mut stream = daemon.connect();
    stream
        .write_all(
            b"POST /api/v1/tasks/batch HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .unwrap();
    let line = format!("{}\n", later("first"));
    write!(stream, "{:x}\r\n{line}\r\n", line.len()).unwrap();
    until("the first line is durable", || {
        (daemon.get("/tasks").json()["tasks"]
            .as_array()
            .unwrap()
            .len()
            == 1)
            .then_some(())
    });
    // The client is gone in the middle of a line: what was whole stays, the half is nothing.
    stream
        .write_all(b"20\r\n{\"name\":\"second\",\"comm")
        .unwrap();
    drop(stream);
    assert_eq!(
        daemon.get("/tasks").json()["tasks"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(daemon.get("/health").status, 200);
}

#[test]
fn a_batch_of_thousands_is_quick_and_whole() {
    let daemon = Daemon::start();
    const COUNT: usize = 3_000;
    let body: String = (0..COUNT)
        .map(|n| format!("{}\n", later(&format!("task {n}"))))
        .collect();
    let answers = batch(&daemon, body.as_bytes());
    assert_eq!(answers.len(), COUNT);
    let lines: Vec<u64> = answers
        .iter()
        .map(|answer| answer["task"]["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, (1..=COUNT as u64).collect::<Vec<_>>());
    assert_eq!(daemon.get("/status").json()["tasks"]["pending"], COUNT);
    // Every page is met once, newest first and oldest first.
    for order in ["newest", "oldest"] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = daemon
                .get(&format!("/tasks?limit=700&order={order}{cursor}"))
                .json();
            seen.extend(
                page["tasks"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|task| task["seq"].as_i64().unwrap()),
            );
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let mut expected: Vec<i64> = (1..=COUNT as i64).collect();
        if order == "newest" {
            expected.reverse();
        }
        assert_eq!(seen, expected, "{order}");
    }
    // And an action over a filter meets every one of them once.
    let dry = daemon
        .post(
            "/tasks/actions",
            &json!({"action": "cancel", "states": ["pending"], "dry_run": true}),
        )
        .json();
    assert_eq!(dry.as_array().unwrap().len(), COUNT);
    assert_eq!(
        daemon.get("/status").json()["tasks"]["pending"],
        COUNT,
        "a dry run changes nothing"
    );
    let done = daemon
        .post(
            "/tasks/actions",
            &json!({"action": "cancel", "states": ["pending"]}),
        )
        .json();
    assert!(
        done.as_array()
            .unwrap()
            .iter()
            .all(|result| result["effect"] == "done"),
        "{}",
        done[0]
    );
    assert_eq!(daemon.get("/status").json()["tasks"]["cancelled"], COUNT);
}

#[test]
fn a_short_id_of_an_earlier_line_is_found() {
    let daemon = Daemon::start();
    let first = daemon.submit(&later("first"));
    let mut second = later("second");
    second["after"] = json!([first[5..12]]);
    let answers = batch(&daemon, second.to_string().as_bytes());
    let id = answers[0]["task"]["id"].as_str().unwrap();
    assert_eq!(
        daemon.get(&format!("/tasks/{id}")).json()["after"],
        json!([first])
    );
}
