//! `task create --from` against a real daemon: flags and lines together, errors by line, and what stderr says of it.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests start the programs")]

mod common;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use common::{TASKCTL, World};
use serde_json::{Value, json};

fn world() -> World {
    let mut world = World::new("");
    world.start();
    // Nothing here has to run.
    world.ask("POST", "/system/pause", None);
    world
}

/// `task create --from -` with these lines.
fn from(world: &World, lines: &str, flags: &[&str]) -> Output {
    let mut child = Command::new(TASKCTL)
        .arg("--state-dir")
        .arg(world.dir())
        .args(["task", "create", "--from", "-"])
        .args(flags)
        .env_clear()
        .env("FROM_THE_SHELL", "yes")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn ids(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// That the task behind this key asks for exactly this: anything else would be refused.
fn assert_known(world: &World, task: Value, id: &str) {
    let known = world.request("POST", "/tasks", Some(&task)).unwrap();
    assert_eq!(
        (known.0, &known.1["id"]),
        (200, &json!(id)),
        "{task}: {known:?}"
    );
}

const FLAGS: [&str; 28] = [
    "--description",
    "d",
    "--type",
    "heavy_context",
    "--priority",
    "high",
    "--cwd",
    "/tmp",
    "--secret",
    "A=file:/f",
    "--secret",
    "B=env:C",
    "--after-failed",
    "run",
    "--at",
    "2027-12-31T00:00:00Z",
    "--timeout",
    "1h",
    "--idle-timeout",
    "10m",
    "--max-retries",
    "7",
    "--retry-on",
    "exit,3",
    "--if-lost",
    "review",
    "--exclusive",
    "e",
];

#[test]
fn flags_are_the_defaults_of_every_line_and_a_line_overrules_them() {
    let world = world();
    let mut first = json!({"key": "first", "name": "n", "command": "true"});
    let mut second = json!({"key": "second", "name": "n", "command": ["true"], "description": "mine", "type": "lightweight",
        "priority": "low", "cwd": "/", "secrets": {"A": {"env": "X"}}, "after": [], "after_failed": "fail",
        "at": "2027-12-30T00:00:00Z", "timeout_seconds": 1, "idle_timeout_seconds": 2, "max_retries": 0, "retry_on": [],
        "if_lost": "fail", "exclusive": "mine"});
    let other = world.submit("other", "true");
    let mut flags = FLAGS.to_vec();
    flags.extend(["--after", &other]);
    // `null` says nothing, as everywhere.
    let lines = format!(
        "{}\n{second}\n",
        json!({"key": "first", "name": "n", "command": "true", "max_retries": null})
    );
    let ids = ids(&from(&world, &lines, &flags));
    let given = json!({"description": "d", "type": "heavy_context", "priority": "high", "cwd": "/tmp",
        "secrets": {"A": {"file": "/f"}, "B": {"env": "C"}}, "after": [other], "after_failed": "run",
        "at": "2027-12-31T00:00:00Z", "timeout_seconds": 3600, "idle_timeout_seconds": 600, "max_retries": 7,
        "retry_on": ["exit", {"code": 3}], "if_lost": "review", "exclusive": "e"});
    for (field, value) in given.as_object().unwrap() {
        first[field] = value.clone();
    }
    assert_known(&world, first, &ids[0]);
    // Secrets are joined by name.
    second["secrets"]["B"] = json!({"env": "C"});
    assert_known(&world, second, &ids[1]);
}

#[test]
fn a_time_in_words_is_compared_by_its_words() {
    let world = world();
    let line = r#"{"key":"k","name":"n","command":"true"}"#;
    let first = ids(&from(&world, line, &["--at", "+2h"]));
    // The words are the request, whatever instant they mean by now.
    let again = json!({"key": "k", "name": "n", "command": "true", "cwd": "/", "at": "2027-12-31T00:00:00Z", "at_written": "+2h"});
    assert_known(&world, again, &first[0]);
    let one = |at: &str| {
        world.taskctl(&[
            "task", "create", "n", "true", "--key", "one", "--cwd", "/", "--at", at,
        ])
    };
    assert_eq!(one("+2h").status.code(), Some(0));
    let task = json!({"key": "one", "name": "n", "command": "true", "cwd": "/", "at": "2027-12-31T00:00:00Z", "at_written": "+2h"});
    assert_eq!(world.request("POST", "/tasks", Some(&task)).unwrap().0, 200);
    let refused = one("+3h");
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    // A line's own time is not compared by the words of the flag's.
    let own = r#"{"key":"own","name":"n","command":"true","at":"2027-12-31T00:00:00Z"}"#;
    let own_id = ids(&from(&world, own, &["--at", "+2h"]));
    let task = json!({"key": "own", "name": "n", "command": "true", "cwd": "/", "at": "2027-12-31T00:00:00Z"});
    assert_known(&world, task, &own_id[0]);
}

#[test]
fn variables_of_flags_join_the_environment_of_a_line() {
    let mut world = World::new("");
    world.start();
    let lines = [
        json!({"name": "n", "command": "/usr/bin/env"}),
        json!({"name": "n", "command": "/usr/bin/env", "env": {"B": "line", "S": "plain"}}),
    ];
    let lines = lines.map(|line| format!("{line}\n")).concat();
    let empty = world.dir().join("empty");
    std::fs::write(&empty, "").unwrap();
    let flags = [
        "--env",
        "A=flag",
        "--env",
        "B=flag",
        "--secret",
        &format!("S=file:{}", empty.display()),
    ];
    let ids = ids(&from(&world, &lines, &flags));
    let env = |id: &str| {
        assert_eq!(
            world.wait_final(id)["state"],
            "completed",
            "{}",
            world.output(id)
        );
        let text = world.output(id);
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let has = |env: &[String], line: &str| env.iter().any(|known| known == line);
    let (plain, own) = (env(&ids[0]), env(&ids[1]));
    for line in ["A=flag", "B=flag", "S=", "FROM_THE_SHELL=yes"] {
        assert!(has(&plain, line), "{line}: {plain:?}");
    }
    for line in ["A=flag", "B=line", "S=plain"] {
        assert!(has(&own, line), "{line}: {own:?}");
    }
    assert!(
        !has(&own, "FROM_THE_SHELL=yes"),
        "a line's environment is whole: {own:?}"
    );
}

#[test]
fn an_error_speaks_of_the_line_as_it_was_written() {
    let world = world();
    let long = "x".repeat(2000);
    for (line, said) in [
        (
            r#"{"name":"n","command":"true","priorty":"high"}"#,
            "priorty: unknown field `priorty`; did you mean `priority`?",
        ),
        (
            r#"{"name":"n","command":"true","name":"m"}"#,
            "duplicate field `name` at column 35",
        ),
        (
            r#"{"name":"n","command":"true","retry_on":["exit",3]}"#,
            "retry_on[1]: is no failure; write \"exit\", \"signal\", \"timeout\", \"spawn\" or \"any\", and an exit code as {\"code\":3}",
        ),
        (r#"{"name":"n"}"#, "command: is missing"),
        (
            r#"{"name":"n","command":"true","timeout_seconds":0}"#,
            "timeout_seconds: is 0",
        ),
        (r#"["n","true"]"#, "a JSON object is expected"),
        (
            r#"{"name":"n","command":}"#,
            "command: this is no JSON: expected value at column 23",
        ),
    ] {
        let good = r#"{"name":"n","command":"true"}"#;
        // The flag makes the line that is sent longer than any place that is told.
        let output = from(
            &world,
            &format!("{good}\n\n{line}\n"),
            &["--env", &format!("LONG={long}")],
        );
        assert_eq!(output.status.code(), Some(2), "{line}: {output:?}");
        let text = stderr(&output);
        let first = text.lines().next().unwrap();
        assert!(
            first.starts_with(&format!("line 3: {said}")),
            "{line}: {first}"
        );
        assert_eq!(text.lines().last(), Some("1 created, 1 refused"), "{text}");
    }
}

#[test]
fn json_has_the_counts_as_its_last_line_and_a_cursor_where_there_is_more() {
    let world = world();
    let lines = [
        json!({"key": "a", "name": "n", "command": "true"}).to_string(),
        json!({"key": "a", "name": "n", "command": "true"}).to_string(),
        json!({"key": "b", "name": "n", "command": "true"}).to_string(),
        "nonsense".to_owned(),
    ];
    let output = from(
        &world,
        &lines.join("\n"),
        &["--json", "--env", "MY_TOKEN=x"],
    );
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(
        stderr(&output),
        "{\"created\":2,\"known\":1,\"refused\":1}\n"
    );
    let page = world.taskctl(&["--json", "task", "list", "--limit", "1"]);
    assert_eq!(
        serde_json::from_slice::<Vec<Value>>(&page.stdout)
            .unwrap()
            .len(),
        1
    );
    let last: Value = serde_json::from_slice(&page.stderr).unwrap();
    let cursor = last["next_cursor"].as_str().unwrap();
    let page = world.taskctl(&["--json", "task", "list", "--cursor", cursor]);
    assert_eq!(
        serde_json::from_slice::<Vec<Value>>(&page.stdout)
            .unwrap()
            .len(),
        1
    );
    assert_eq!(stderr(&page), "", "the end has no cursor");
    // What is left out of the environment is told as JSON too.
    let output = Command::new(TASKCTL)
        .args(["--json", "task", "create", "n", "true", "--state-dir"])
        .arg(world.dir())
        .env("MY_TOKEN", "hunter2")
        .output()
        .unwrap();
    let notice: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(
        notice["notice"].as_str().unwrap().contains("MY_TOKEN"),
        "{notice}"
    );
}
