//! What people are shown of tasks: the words of `task show`, `result`, `wait` and `system stop-all`, piped and on a terminal.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the programs themselves"
)]

mod common;

use std::process::{Command, Output, Stdio};

use common::{TASKCTL, World};
use serde_json::Value;

/// A daemon on a directory of its own.
struct Live {
    world: World,
}

impl Live {
    fn start() -> Self {
        let mut world = World::new("");
        world.start();
        Self { world }
    }

    fn taskctl(&self, args: &[&str]) -> Output {
        self.world.taskctl(args)
    }

    /// What a command that must succeed says.
    fn text(&self, args: &[&str]) -> String {
        let output = self.taskctl(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The JSON answer of a command that must succeed.
    fn json(&self, args: &[&str]) -> Value {
        let mut whole = vec!["--json"];
        whole.extend(args);
        serde_json::from_str(&self.text(&whole)).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }

    fn until(&self, what: &str, condition: impl Fn() -> bool) {
        self.world.wait_for(what, |_| condition().then_some(()));
    }

    /// What `taskctl` shows on a terminal of 80 columns; nothing where no terminal can be had.
    fn on_a_terminal(&self, args: &[&str]) -> Option<String> {
        let line = format!(
            "stty cols 80; exec {TASKCTL} --state-dir {} {}",
            self.world.dir().display(),
            args.join(" ")
        );
        let output = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output();
        let output = match output {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                println!("SKIPPED: what a terminal shows: there is no program `script`");
                return None;
            }
            Err(error) => panic!("script: {error}"),
        };
        assert!(output.status.success(), "{output:?}");
        let shown = String::from_utf8(output.stdout).unwrap();
        Some(shown.replace("\r\n", "\n"))
    }
}

#[test]
fn stop_all_pauses_and_says_how_it_is_undone() {
    let live = Live::start();
    let task = live.json(&["task", "create", "long", "--", "sleep", "600"]);
    let id = task["id"].as_str().unwrap();
    live.until("it runs", || {
        live.json(&["task", "show", id])["started_at"].is_string()
    });
    let said = live.text(&["system", "stop-all", "--yes"]);
    for part in [
        "pausing 1 task;",
        "taskctl system resume",
        "taskctl task resume",
    ] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    assert_eq!(
        live.taskctl(&["task", "wait", id]).status.code(),
        Some(9),
        "it waits for a person"
    );
    assert_eq!(live.json(&["task", "show", id])["state"], "paused");
    live.json(&["system", "resume"]);
    live.json(&["task", "resume", id]);
    live.until("it runs again", || {
        live.json(&["task", "show", id])["attempt"] == 2
    });
}

#[test]
fn a_command_that_left_when_told_to_stop_is_not_called_a_success() {
    let live = Live::start();
    let line = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let task = live.json(&["task", "create", "polite", line]);
    let id = task["id"].as_str().unwrap();
    live.until("it can be told", || {
        live.taskctl(&["task", "logs", id]).stdout == b"ready\n"
    });
    live.json(&["task", "pause", id]);
    let waited = live.taskctl(&["task", "wait", id]);
    let words = "left with code 0 when told to stop";
    let shown = live.json(&["task", "show", id]);
    assert_eq!(shown["state"], "paused", "{shown}");
    assert_eq!(
        (&shown["outcome"]["kind"], &shown["outcome"]["stop_sent"]),
        (&Value::from("succeeded"), &Value::from(true))
    );
    let show = live.taskctl(&["task", "show", id]);
    let result = live.taskctl(&["task", "result", id]);
    for output in [waited, show, result] {
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            said.contains(words) && !said.contains("succeeded"),
            "{said}"
        );
    }
}

#[test]
fn a_former_outcome_is_no_part_of_a_running_attempt() {
    let live = Live::start();
    let line = "echo attempt $AUTO_CLAUDE_ATTEMPT; if [ $AUTO_CLAUDE_ATTEMPT = 1 ]; then exit 3; fi; sleep 600";
    let task = live.json(&["task", "create", "twice", line]);
    let id = task["id"].as_str().unwrap();
    assert_eq!(live.taskctl(&["task", "wait", id]).status.code(), Some(8));
    live.json(&["system", "pause"]);
    live.json(&["task", "retry", id]);
    let row = |title: &str| {
        let screen = live.text(&["task", "show", id]);
        screen
            .lines()
            .find_map(|line| Some(line.strip_prefix(title)?.trim().to_owned()))
    };
    assert_eq!(row("state ").as_deref(), Some("pending"));
    assert_eq!(row("last attempt ").as_deref(), Some("exited with code 3"));
    live.json(&["system", "resume"]);
    live.until("the second attempt runs", || {
        live.json(&["task", "show", id])["attempt"] == 2
    });
    assert_eq!(row("state ").as_deref(), Some("processing"));
    assert_eq!(row("last attempt "), None);
    let result = live.text(&["task", "result", id]);
    assert!(!result.contains("code 3"), "{result}");
}

#[test]
fn a_task_shows_its_loss_policy_its_idle_limit_and_the_names_of_its_secrets() {
    let live = Live::start();
    let shown = |args: &[&str]| {
        let mut whole = vec!["task", "create", "n", "true", "--at", "+2h"];
        whole.extend(args);
        let task = live.json(&whole);
        let id = task["id"].as_str().unwrap().to_owned();
        let screen = live.text(&["task", "show", &id]);
        (live.json(&["task", "show", &id]), screen)
    };
    let (task, screen) = shown(&[
        "--if-lost",
        "review",
        "--idle-timeout",
        "90s",
        "--secret",
        "API_KEY=env:HIDDEN_PLACE",
    ]);
    assert_eq!(task["if_lost"], "review");
    assert_eq!(task["if_lost_effective"], "review");
    assert_eq!(task["idle_timeout_seconds"], 90);
    assert_eq!(task["secrets"], Value::from(vec!["API_KEY"]));
    assert!(!task.to_string().contains("HIDDEN_PLACE"), "{task}");
    for part in ["review (as asked)", "1m30s", "API_KEY"] {
        assert!(screen.contains(part), "{part} is missing: {screen}");
    }
    let (task, screen) = shown(&["--type", "heavy_context"]);
    assert_eq!(task["if_lost"], Value::Null);
    assert_eq!(task["if_lost_effective"], "resume");
    assert!(
        screen.contains("resume (default of heavy_context)"),
        "{screen}"
    );
    assert!(shown(&[]).1.contains("rerun (default of lightweight)"));
}

#[test]
fn a_journal_says_in_words_how_each_attempt_ended() {
    let live = Live::start();
    let line = "if [ $AUTO_CLAUDE_ATTEMPT = 1 ]; then exit 3; fi; sleep 600";
    let task = live.json(&[
        "task",
        "create",
        "j",
        line,
        "--retry-on",
        "exit",
        "--max-retries",
        "5",
    ]);
    let id = task["id"].as_str().unwrap();
    live.until("the first attempt has ended", || {
        live.json(&["task", "show", id])["retries"] == 1
    });
    live.json(&["task", "retry", id]);
    live.until("the second attempt runs", || {
        let shown = live.json(&["task", "show", id]);
        shown["attempt"] == 2 && shown["started_at"].is_string()
    });
    live.json(&["task", "pause", id]);
    live.taskctl(&["task", "wait", id]);
    let uid = rustix::process::getuid().as_raw();
    let said = [
        format!("submitted by user {uid}"),
        "claimed attempt 1, slot 1".to_owned(),
        "ended: exited with code 3 → retrying ".to_owned(),
        " (begins anew, spends a retry)".to_owned(),
        format!("intent: pause by user {uid}"),
        " ended by SIGTERM when told to stop → paused".to_owned(),
    ];
    let piped = live.text(&["task", "show", id, "--journal"]);
    for part in &said {
        assert!(piped.contains(part), "{part} is missing: {piped}");
    }
    let Some(terminal) = live.on_a_terminal(&["task", "show", id, "--journal"]) else {
        return;
    };
    let (_, journal) = terminal.split_once("journal\n").unwrap();
    assert!(
        journal.lines().all(|line| line.chars().count() <= 80),
        "{journal}"
    );
    let unwrapped = journal.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in &said {
        assert!(
            unwrapped.contains(part.trim()),
            "{part} is missing: {journal}"
        );
    }
}

#[test]
fn output_of_a_task_cannot_act_on_a_terminal() {
    let live = Live::start();
    let line = "printf 'a\\033]0;owned\\007\\tb\\000c\\r\\nlast\\033[2J'";
    let task = live.json(&["task", "create", "wild", line, "--wait"]);
    let id = task["id"].as_str().unwrap();
    for args in [
        vec!["task", "result", id],
        vec!["task", "show", id, "--show-logs"],
    ] {
        let raw = live.taskctl(&args).stdout;
        assert!(
            raw.windows(9).any(|window| window == b"\x1b]0;owned"),
            "piped it is raw: {raw:?}"
        );
        let Some(shown) = live.on_a_terminal(&args) else {
            continue;
        };
        assert!(
            !shown.contains(|c: char| c.is_control() && c != '\n' && c != '\t'),
            "{shown:?}"
        );
        assert!(
            shown.contains("a\\x1b]0;owned\\x07\tb\\x00c\nlast\\x1b[2J\n"),
            "{shown:?}"
        );
    }
}

#[test]
fn a_result_lists_what_the_task_changed_and_not_what_the_daemon_writes() {
    let live = Live::start();
    let dir = live.world.dir().to_str().unwrap();
    let line = "echo out; echo work >made.txt";
    let task = live.json(&["task", "create", "n", line, "--cwd", dir, "--wait"]);
    let result = live.json(&["task", "result", task["id"].as_str().unwrap()]);
    let files = result["files_changed"].as_array().unwrap();
    assert!(files.contains(&Value::from("made.txt")), "{files:?}");
    for file in files {
        let name = file.as_str().unwrap();
        assert!(
            !name.starts_with("auto-claude.") && !name.contains('/'),
            "{name} is the daemon's: {files:?}"
        );
    }
}
