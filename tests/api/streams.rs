//! What goes on for longer than one answer: waits, followed output, events, leases.

#![expect(
    clippy::disallowed_methods,
    reason = "tests measure real time and look for a real program"
)]

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use crate::daemon::{Answer, Daemon, later, until};
use serde_json::json;

#[test]
fn a_wait_ends_with_the_task_and_not_before() {
    let daemon = Daemon::start();
    let id = daemon.submit(&json!({"name": "n", "command": "sleep 0.3; exit 3", "cwd": "/"}));
    let early = daemon.get(&format!("/tasks/{id}/wait?timeout_seconds=0"));
    assert_eq!(early.status, 202);
    let task = daemon.wait(&id);
    assert_eq!(
        (
            task["state"].as_str(),
            task["outcome"]["exit_code"].as_i64()
        ),
        (Some("failed"), Some(3)),
        "{task}"
    );
    let begun = Instant::now();
    assert_eq!(daemon.wait(&id)["state"], "failed");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "what is over is answered at once"
    );
}

#[test]
fn followed_output_comes_while_it_is_written_and_ends_with_the_task() {
    let daemon = Daemon::start();
    let gate = daemon.dir.path().join("gate");
    let command = format!(
        "echo one; echo two >&2; while [ ! -e {} ]; do sleep 0.02; done; printf 'three'; printf '\\377'",
        gate.display()
    );
    let id = daemon.submit(&json!({"name": "n", "command": command, "cwd": "/"}));
    let mut followed = daemon.open("GET", &format!("/tasks/{id}/logs?follow=true"));
    let mut seen = Vec::new();
    while !seen.ends_with(b"two\n") && !seen.ends_with(b"one\n") || seen.len() < 8 {
        seen.extend(followed.chunk().expect("more output"));
    }
    assert_eq!(seen.len(), 8, "{}", String::from_utf8_lossy(&seen));
    std::fs::write(&gate, "").unwrap();
    while let Some(chunk) = followed.chunk() {
        seen.extend(chunk);
    }
    assert!(seen.ends_with(b"three\xff"), "{seen:?}");
    assert_eq!(daemon.wait(&id)["state"], "completed");

    let get = |query: &str| daemon.get(&format!("/tasks/{id}/logs?{query}"));
    assert_eq!(get("").body, seen, "read afterwards it is the same");
    assert_eq!(get("stream=stderr").body, b"two\n");
    assert_eq!(get("stream=stdout").body, b"one\nthree\xff");
    assert_eq!(get("tail=1&stream=stdout").body, b"three\xff");
    assert_eq!(get("tail=0").body, b"");
    assert_eq!(
        get("follow=true").body,
        seen,
        "a finished task is not waited for"
    );
    let lines = get("format=json").lines();
    let said = |stream: &str| -> Vec<&str> {
        lines
            .iter()
            .filter(|line| line["stream"] == stream)
            .map(|line| line["text"].as_str().unwrap())
            .collect()
    };
    assert_eq!(said("stdout"), ["one", "three\u{fffd}"]);
    assert_eq!(said("stderr"), ["two"]);
    assert!(
        lines
            .iter()
            .all(|line| line["attempt"] == 1 && line["at"].as_str().unwrap().ends_with('Z')),
        "{lines:?}"
    );
}

#[test]
fn an_answer_says_where_in_the_log_it_begins() {
    let daemon = Daemon::start();
    let id = daemon.submit(&json!({"name": "n", "command": "echo one; printf three", "cwd": "/"}));
    daemon.wait(&id);
    let get = |query: &str| daemon.get(&format!("/tasks/{id}/logs?{query}"));
    let never = get("attempt=2");
    assert_eq!(
        (never.status, never.refusal().0.as_str()),
        (404, "not_found")
    );
    assert!(never.refusal().1.contains("has had 1 attempt"), "{never:?}");
    let from = |query: &str, offset: &str| {
        let mut answer = daemon.open("GET", &format!("/tasks/{id}/logs?{query}"));
        assert_eq!(answer.offset(), offset, "{query}");
        answer.chunk()
    };
    let log = std::fs::read(
        daemon
            .state_dir()
            .join("tasks")
            .join(&id)
            .join("output.log"),
    )
    .unwrap();
    let three = log.len() - b"three".len();
    let (all, last) = ("0", three.to_string());
    assert_eq!(from("", all).as_deref(), Some(b"one\nthree".as_slice()));
    assert_eq!(
        from("tail=1&stream=stdout", &last).as_deref(),
        Some(b"three".as_slice())
    );
    assert_eq!(
        from(&format!("offset={last}"), &last).as_deref(),
        Some(b"three".as_slice())
    );
    assert_eq!(get("offset=1&tail=1").status, 400);
}

#[test]
fn output_of_a_task_that_has_not_begun_can_be_followed() {
    let daemon = Daemon::start();
    let id = daemon.submit(&later("n"));
    let mut followed = daemon.open("GET", &format!("/tasks/{id}/logs?follow=true"));
    let edit = json!({"action": "edit", "ids": [id], "patch": {"at": "2026-01-01T00:00:00Z", "command": "echo begun"}});
    assert_eq!(
        daemon.post("/tasks/actions", &edit).json()[0]["effect"],
        "done"
    );
    assert_eq!(followed.chunk().as_deref(), Some(b"begun\n".as_slice()));
    assert_eq!(followed.chunk(), None);
}

#[test]
fn events_tell_every_state_of_a_task() {
    let daemon = Daemon::start();
    let id = daemon.submit(&later("n"));
    let mut events = daemon.open("GET", &format!("/events?task={id}"));
    assert_eq!(
        events.line().unwrap()["task"]["state"],
        "pending",
        "the task as it stands comes first"
    );
    daemon.post("/tasks/actions", &json!({"action": "pause", "ids": [id]}));
    assert_eq!(events.line().unwrap()["task"]["state"], "paused");
    daemon.post("/tasks/actions", &json!({"action": "cancel", "ids": [id]}));
    assert_eq!(events.line().unwrap()["task"]["state"], "cancelled");
}

#[test]
fn a_foreground_run_that_is_killed_leaves_its_task_paused() {
    let daemon = Daemon::start();
    let mut task = json!({"name": "n", "command": "sleep 300", "cwd": "/", "foreground": true});
    let held = daemon.submit(&task);
    let lease = daemon.open("POST", &format!("/tasks/{held}/lease"));
    task["name"] = json!("detached");
    let detached = daemon.submit(&task);
    let other = daemon.open("POST", &format!("/tasks/{detached}/lease"));
    let state = |id: &str| {
        daemon.get(&format!("/tasks/{id}")).json()["state"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    until("both run", || {
        (state(&held) == "processing" && state(&detached) == "processing").then_some(())
    });
    assert_eq!(
        daemon
            .ask("DELETE", &format!("/tasks/{detached}/lease"), b"")
            .status,
        204
    );
    drop(other);
    drop(lease);
    until("the task is paused", || {
        (state(&held) == "paused").then_some(())
    });
    assert_eq!(
        state(&detached),
        "processing",
        "the one that was let go runs on"
    );
}

#[test]
fn streams_are_cut_when_the_daemon_leaves() {
    let mut daemon = Daemon::start();
    let over = daemon.submit(&json!({"name": "n", "command": "echo x", "cwd": "/"}));
    daemon.wait(&over);
    let mut complete = daemon.open("GET", &format!("/tasks/{over}/logs?follow=true"));
    // The connection stays open after a complete answer, until the daemon leaves.
    assert_eq!(complete.chunk().as_deref(), Some(b"x\n".as_slice()));
    let id = daemon.submit(&later("n"));
    let mut events = daemon.open("GET", "/events");
    let mut followed = daemon.open("GET", &format!("/tasks/{id}/logs?follow=true"));
    let mut lease = daemon.open("POST", &format!("/tasks/{id}/lease"));
    let mut batch = daemon.connect();
    write!(
        batch,
        "POST /api/v1/tasks/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{}\n",
        later("batch")
    )
    .unwrap();
    until("the line is durable", || {
        let listed = daemon.get("/tasks").text();
        listed.contains("\"batch\"").then_some(())
    });
    let mut waiting = daemon.connect();
    write!(
        waiting,
        "GET /api/v1/tasks/{id}/wait HTTP/1.1\r\nhost: x\r\n\r\n"
    )
    .unwrap();
    // Answered after the request above was read: from then on it is under way.
    assert_eq!(daemon.get("/health").status, 200);
    let begun = Instant::now();
    daemon.leave();
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    assert!(!complete.is_cut());
    assert!(events.is_cut());
    assert!(followed.is_cut());
    assert!(lease.is_cut());
    let mut answer = String::new();
    batch.read_to_string(&mut answer).unwrap();
    assert!(
        answer.contains("\"task\":{\"line\":1"),
        "what was read is answered: {answer}"
    );
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
    let answer = Answer::read(&mut waiting);
    assert_eq!(
        (answer.status, answer.refusal().0.as_str()),
        (503, "shutting_down")
    );
}

#[test]
fn the_system_is_administered() {
    let daemon = Daemon::start();
    let claims = daemon.post("/system/pause", &json!({})).json();
    assert!(
        claims["enabled"] == false && claims["why_not"].is_string(),
        "{claims}"
    );
    let waits = daemon.submit(&json!({"name": "n", "command": "true", "cwd": "/"}));
    assert_eq!(
        daemon
            .get(&format!("/tasks/{waits}/wait?timeout_seconds=0"))
            .json()["state"],
        "pending"
    );
    assert_eq!(
        daemon.post("/system/resume", &json!({})).json()["enabled"],
        true
    );
    assert_eq!(daemon.wait(&waits)["state"], "completed");
    let runs = daemon.submit(&json!({"name": "n", "command": "sleep 300", "cwd": "/"}));
    until("it runs", || {
        (daemon.get(&format!("/tasks/{runs}")).json()["state"] == "processing").then_some(())
    });
    assert_eq!(daemon.get("/workers").json()[0]["task"], json!(runs));
    assert_eq!(
        daemon.post("/system/reset", &json!({})).refusal().0,
        "illegal_transition"
    );
    assert_eq!(
        daemon.post("/system/stop-all", &json!({})).json()["count"],
        1
    );
    until("nothing runs", || {
        daemon
            .get("/workers")
            .json()
            .as_array()
            .unwrap()
            .is_empty()
            .then_some(())
    });
}

#[test]
fn backups_are_made_and_what_is_over_is_removed() {
    let daemon = Daemon::start();
    let over = daemon.submit(&json!({"name": "n", "command": "true", "cwd": "/"}));
    daemon.wait(&over);
    daemon.submit(&later("kept"));
    let backup = daemon.dir.path().join("backup.db");
    let made = daemon
        .post("/system/backup", &json!({"path": backup}))
        .json();
    assert_eq!(made["bytes"], backup.metadata().unwrap().len());
    assert!(
        (400..500).contains(
            &daemon
                .post("/system/backup", &json!({"path": backup}))
                .status
        ),
        "an existing file is kept"
    );
    assert_eq!(
        daemon
            .post("/system/backup", &json!({"path": "relative"}))
            .status,
        400
    );
    assert_eq!(
        daemon.post("/system/cleanup", &json!({"days": 1})).json()["count"],
        0
    );
    assert_eq!(
        daemon
            .post("/system/cleanup", &json!({"days": 0, "dry_run": true}))
            .json()["count"],
        1
    );
    assert_eq!(
        daemon.post("/system/cleanup", &json!({"days": 0})).json()["count"],
        1
    );
    for body in [
        json!({}),
        json!({"days": -1}),
        json!({"days": 36_501}),
        json!({"days": 1, "dryrun": true}),
    ] {
        assert_eq!(daemon.post("/system/cleanup", &body).status, 400, "{body}");
    }
    assert_eq!(daemon.post("/system/reset", &json!({})).json()["count"], 1);
    assert_eq!(daemon.get("/tasks").json()["tasks"], json!([]));
}

#[test]
fn a_task_may_read_and_submit_but_not_answer_for_a_person() {
    if std::process::Command::new("curl")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("skipped: curl is not installed");
        return;
    }
    let daemon = Daemon::start();
    let other = daemon.submit(&later("other"));
    let base = format!(
        "curl -s --unix-socket {} http://x/api/v1",
        daemon.socket().display()
    );
    let ask = |rest: &str| format!("{base}{rest}; echo");
    let command = [
        ask(&format!("/tasks/{other}")),
        ask(&format!(r#"/tasks -d '{}'"#, later("by a task"))),
        ask(&format!(
            r#"/tasks/actions -d '{{"action":"approve","ids":["{other}"]}}'"#
        )),
        // Neither a session of its own nor an orphan's parent changes where it comes from.
        format!("setsid sh -c \"{base}/system/stop-all -X POST; echo\""),
        ask("/system/reset -X POST"),
    ]
    .join("\n");
    let id = daemon.submit(
        &json!({"name": "n", "command": command, "cwd": "/", "env": {"PATH": "/usr/bin:/bin"}}),
    );
    assert_eq!(daemon.wait(&id)["state"], "completed");
    let said = daemon
        .get(&format!("/tasks/{id}/logs?stream=stdout"))
        .lines();
    assert_eq!(said[0]["name"], "other", "{said:?}");
    assert_eq!(said[1]["name"], "by a task", "{said:?}");
    assert!(
        said[2..].iter().all(|line| line["code"] == "forbidden"),
        "{said:?}"
    );
    assert_eq!(said.len(), 5);
}
