//! `taskctl` and `auto-claude run` against a real daemon: each test starts `auto-claude serve` on a directory of its own.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the programs and read the clock"
)]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Nothing here takes longer on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon on a directory of its own; killed at the end, after its tasks.
struct Live {
    dir: tempfile::TempDir,
    daemon: Child,
}

impl Live {
    fn start() -> Self {
        // Short: a socket's path holds 107 bytes.
        let dir = tempfile::Builder::new()
            .prefix("ac")
            .tempdir_in("/tmp")
            .unwrap();
        let daemon = serve(dir.path());
        let live = Self { dir, daemon };
        live.wait_ready();
        live
    }

    fn wait_ready(&self) {
        until("the daemon answers", || {
            self.taskctl(&["system", "status", "--json"])
                .status
                .success()
        });
    }

    fn command(&self, args: &[&str]) -> Command {
        // `--state-dir` first: words after `--` would swallow it.
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskctl"));
        command
            .arg("--state-dir")
            .arg(self.dir.path())
            .args(args)
            .env_remove("AUTO_CLAUDE_SOCKET")
            .stdin(Stdio::null());
        command
    }

    fn taskctl(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The answer of a command that must succeed.
    fn json(&self, args: &[&str]) -> Value {
        let mut whole = vec!["--json"];
        whole.extend(args);
        let output = self.taskctl(&whole);
        assert!(output.status.success(), "{args:?}: {output:?}");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {output:?}"))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.taskctl(&["system", "stop-all", "--yes"]);
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn serve(dir: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_auto-claude"))
        .args(["serve", "--state-dir"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_task_goes_its_way_and_every_view_tells_of_it() {
    let live = Live::start();
    let task = live.json(&["task", "create", "hello", "echo out; echo err >&2; exit 3"]);
    let id = task["id"].as_str().unwrap();
    for key in [
        "id",
        "name",
        "state",
        "type",
        "priority",
        "attempt",
        "created_at",
        "started_at",
        "finished_at",
        "not_before",
        "retries",
        "outcome",
    ] {
        assert!(task.get(key).is_some(), "{key} is missing: {task}");
    }
    let waited = live.taskctl(&["task", "wait", id]);
    assert_eq!(waited.status.code(), Some(8), "{waited:?}");
    let shown = live.json(&["task", "show", id, "--journal", "--show-logs"]);
    assert_eq!(shown["state"], "failed");
    assert_eq!(shown["outcome"]["kind"], "exited");
    assert_eq!(shown["outcome"]["exit_code"], 3);
    assert_eq!(shown["journal"][0]["event"]["event"], "submitted");
    let prefix = &id[..id.len() - 4];
    assert_eq!(
        live.taskctl(&["task", "logs", prefix, "--stream", "stderr"])
            .stdout,
        b"err\n"
    );
    assert_eq!(
        live.json(&["task", "list", "--state", "failed"])[0]["id"],
        id
    );
    assert_eq!(
        live.json(&["task", "list", "--state", "completed"]),
        Value::Array(Vec::new())
    );
    let screen = String::from_utf8(live.taskctl(&["task", "result", id]).stdout).unwrap();
    assert!(
        screen.contains("failed: exited with code 3") && screen.contains("out"),
        "{screen}"
    );
}

#[test]
fn exit_codes_name_what_happened() {
    let live = Live::start();
    let code = |args: &[&str]| live.taskctl(args).status.code();
    assert_eq!(code(&["task", "show", "task_zzzzzzzzzzzzz"]), Some(4));
    assert_eq!(code(&["task", "create", "ok", "--wait", "true"]), Some(0));
    let long = live.json(&["task", "create", "long", "--", "sleep", "600"]);
    let id = long["id"].as_str().unwrap();
    assert_eq!(code(&["task", "wait", id, "--timeout", "1s"]), Some(6));
    assert_eq!(code(&["task", "cancel", id, "--grace", "1s"]), Some(0));
    assert_eq!(code(&["task", "wait", id]), Some(7));
    assert_eq!(code(&["task", "approve", id]), Some(5));
    assert_eq!(
        code(&["task", "create", "one", "true", "--key", "k"]),
        Some(0)
    );
    assert_eq!(
        code(&["task", "create", "another", "false", "--key", "k"]),
        Some(5)
    );
    assert_eq!(code(&["system", "reset"]), Some(2));
}

#[test]
fn a_dry_run_changes_nothing_and_edit_changes() {
    let live = Live::start();
    let task = live.json(&["task", "create", "later", "true", "--at", "+2h"]);
    let id = task["id"].as_str().unwrap();
    live.json(&["task", "cancel", id, "--dry-run"]);
    assert_eq!(live.json(&["task", "show", id])["state"], "pending");
    live.json(&[
        "task",
        "edit",
        id,
        "--priority",
        "urgent",
        "--name",
        "sooner",
    ]);
    let shown = live.json(&["task", "show", id]);
    assert_eq!(
        (shown["priority"].as_str(), shown["name"].as_str()),
        (Some("urgent"), Some("sooner"))
    );
    live.json(&["task", "pause", "--all"]);
    assert_eq!(live.json(&["task", "show", id])["state"], "paused");
    live.json(&["task", "resume", "--state", "paused"]);
    assert_eq!(live.json(&["task", "show", id])["state"], "pending");
}

#[test]
fn a_batch_survives_kill_9_of_the_daemon_without_a_task_twice() {
    let mut live = Live::start();
    live.json(&["system", "pause"]);
    let lines: String = (0..3000)
        .map(|n| format!("{{\"name\":\"n{n}\",\"command\":\"true\"}}\n"))
        .collect();
    let file = live.dir.path().join("tasks.jsonl");
    std::fs::write(&file, lines).unwrap();
    let mut command = live.command(&["--json", "task", "create", "--from", file.to_str().unwrap()]);
    let client = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("some lines are there", || {
        live.json(&["task", "list"])
            .as_array()
            .is_some_and(|tasks| tasks.len() >= 10)
    });
    live.daemon.kill().unwrap();
    live.daemon.wait().unwrap();
    live.daemon = serve(live.dir.path());
    let output = client.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    let answers: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let numbers: Vec<u64> = answers
        .iter()
        .filter_map(|answer| answer["task"]["line"].as_u64())
        .collect();
    assert!(
        numbers.iter().copied().eq(1..=3000),
        "lines are missing or out of order: {} answers",
        numbers.len()
    );
    assert_eq!(
        live.json(&["task", "list", "--all"])
            .as_array()
            .unwrap()
            .len(),
        3000
    );
}

#[test]
fn what_looks_like_a_credential_is_not_stored() {
    let live = Live::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskctl"));
    command
        .arg("--state-dir")
        .arg(live.dir.path())
        .args(["task", "create", "env", "--wait", "env"]);
    command
        .env_remove("AUTO_CLAUDE_SOCKET")
        .env("MY_API_KEY", "hunter2")
        .env("HARMLESS", "yes")
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("MY_API_KEY") && !said.contains("hunter2"),
        "{said}"
    );
    let id = live.json(&["task", "list"])[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let env = String::from_utf8(live.taskctl(&["task", "logs", &id]).stdout).unwrap();
    assert!(
        env.contains("HARMLESS=yes") && !env.contains("hunter2"),
        "{env}"
    );
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let live = Live::start();
    let task = live.json(&["task", "create", "much", "--wait", "seq 200000"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskctl"));
    command.arg("--state-dir").arg(live.dir.path()).args([
        "task",
        "logs",
        task["id"].as_str().unwrap(),
    ]);
    let mut child = command
        .env_remove("AUTO_CLAUDE_SOCKET")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), b"".as_slice()),
        "{output:?}"
    );
}

#[test]
fn a_foreground_run_ends_as_its_task_with_its_bytes() {
    let live = Live::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_auto-claude"));
    command
        .args(["run", "--state-dir"])
        .arg(live.dir.path())
        .arg("printf 'a\\377b'; printf oops >&2; exit 7");
    let output = command
        .env_remove("AUTO_CLAUDE_SOCKET")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(output.stdout, b"a\xffb");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("oops"),
        "{output:?}"
    );
}

#[test]
fn ctrl_c_pauses_a_foreground_run_and_says_how_to_go_on() {
    let live = Live::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_auto-claude"));
    command
        .args(["run", "--state-dir"])
        .arg(live.dir.path())
        .args(["--", "sleep", "600"]);
    let run = command
        .env_remove("AUTO_CLAUDE_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("it runs", || {
        live.json(&["task", "list", "--state", "processing"])
            .as_array()
            .is_some_and(|tasks| tasks.len() == 1)
    });
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    let id = live.json(&["task", "list", "--state", "paused"])[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(said.contains(&format!("task resume {id}")), "{said}");
}

#[test]
fn a_foreground_run_outlives_kill_9_of_the_daemon_without_a_gap_in_its_output() {
    let mut live = Live::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_auto-claude"));
    command.args(["run", "--state-dir"]).arg(live.dir.path());
    command.arg("n=0; while [ $n -lt 40 ]; do n=$((n+1)); echo $n; sleep 0.05; done; exit 9");
    command
        .env_remove("AUTO_CLAUDE_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let run = command.spawn().unwrap();
    until("it runs", || {
        live.json(&["task", "list", "--state", "processing"])
            .as_array()
            .is_some_and(|tasks| tasks.len() == 1)
    });
    live.daemon.kill().unwrap();
    live.daemon.wait().unwrap();
    live.daemon = serve(live.dir.path());
    let output = run.wait_with_output().unwrap();
    let wanted: String = (1..=40).map(|n| format!("{n}\n")).collect();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        wanted,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        output.status.code(),
        Some(9),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_checkpoint_is_recorded_from_inside_a_task() {
    let live = Live::start();
    let line = format!(
        "{} checkpoint --chunk 3 --of 9 --note half --data '{{\"a\":1}}'",
        env!("CARGO_BIN_EXE_taskctl")
    );
    let task = live.json(&[
        "task",
        "create",
        "steps",
        "--type",
        "heavy_context",
        "--wait",
        &line,
    ]);
    assert_eq!(task["state"], "completed", "{task}");
}
