//! `docs/agent-files.md`: its worked example, run as it stands there, and whether it names every key that a file may have.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on stops; it starts taskctl"
)]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use auto_claude::agent::rules::Rules;
use common::World;
use serde_json::{Value, json};

const PAGE: &str = include_str!("../docs/agent-files.md");

/// The first fenced text of this kind.
fn fenced(kind: &str) -> &'static str {
    let (_, after) = PAGE.split_once(&format!("```{kind}\n")).unwrap();
    after.split_once("```\n").unwrap().0
}

/// The page's agent, installed, described, and with an account of its own.
struct Parrot {
    world: World,
    home: PathBuf,
    env: Value,
    /// Program and description lie here.
    _kept: tempfile::TempDir,
}

impl Parrot {
    fn new() -> Self {
        Self::beside(&[])
    }

    /// With further files before its own.
    fn beside(others: &[&str]) -> Self {
        let kept = tempfile::tempdir().unwrap();
        let place = kept.path();
        let program = place.join("parrot");
        std::fs::write(&program, fenced("sh")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let file = place.join("parrot.toml");
        std::fs::write(&file, fenced("toml")).unwrap();
        let files = [others, &[file.to_str().unwrap()]].concat();
        let mut world = World::new(&format!("agent_files = {files:?}"));
        world.start();
        let home = world.dir().join("parrot-home");
        std::fs::create_dir(&home).unwrap();
        let parrot = Self {
            env: json!({"PATH": format!("{}:/usr/bin:/bin", place.display())}),
            world,
            home,
            _kept: kept,
        };
        let dir = parrot.home.to_str().unwrap();
        parrot.run(&[
            "account",
            "add",
            "own",
            "--agent",
            "parrot",
            "--config-dir",
            dir,
        ]);
        parrot
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.world.taskctl(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn ask(&self, text: &str) -> String {
        self.world.submit_with(json!({
            "name": "hello",
            "prompt": {"text": text, "agent": "parrot", "account": "own"},
            "cwd": self.world.dir(),
            "env": self.env,
        }))
    }

    /// Asks it something that runs into its limit. Returns the task and its session's file.
    fn limited(&self) -> (String, PathBuf) {
        std::fs::write(self.home.join("limit"), "").unwrap();
        let id = self.ask("Say hello");
        let task = self.world.wait_for("it waits for its account", |world| {
            let task = world.task(&id);
            (task["state"] == "waiting_unban").then_some(task)
        });
        assert_eq!(task["outcome"]["kind"], "limited", "{task}");
        assert_eq!(task["agent"]["model"], Value::Null, "none was chosen");
        let session = self.home.join(task["agent"]["session"].as_str().unwrap());
        assert_eq!(std::fs::read_to_string(&session).unwrap(), "Say hello\n");
        let limits = self.run(&["limits"]);
        assert!(limits.contains("parrot/own  closed"), "{limits}");
        (id, session)
    }

    fn completed(&self, id: &str) -> Value {
        let task = self.world.wait_final(id);
        assert_eq!(task["state"], "completed", "{}", self.world.story());
        assert_eq!(task["retries"], 0, "{task}");
        task
    }
}

#[test]
fn the_agent_of_the_page_waits_out_its_limit_and_goes_on_in_its_session() {
    let parrot = Parrot::new();
    let (id, session) = parrot.limited();
    std::fs::remove_file(parrot.home.join("limit")).unwrap();
    let task = parrot.completed(&id);
    assert_eq!(
        std::fs::read_to_string(&session).unwrap().lines().count(),
        2,
        "the same session: {task}"
    );
    assert_eq!(task["agent"]["spent_micro_usd"], 2_000, "{task}");
    let cost = parrot.run(&["cost", "--by", "model"]);
    assert!(
        cost.lines()
            .any(|line| line.starts_with("grey") && line.contains("$0.002")),
        "{cost}"
    );
    let said = parrot.run(&["task", "logs", &id]);
    assert!(said.contains("line 2"), "{said}");
}

#[test]
fn a_session_that_it_does_not_know_any_more_costs_no_retry() {
    let parrot = Parrot::new();
    let (id, session) = parrot.limited();
    std::fs::remove_file(&session).unwrap();
    std::fs::remove_file(parrot.home.join("limit")).unwrap();
    let task = parrot.completed(&id);
    let now = task["agent"]["session"].as_str().unwrap();
    assert_ne!(session, parrot.home.join(now), "{task}");
}

#[test]
fn a_file_that_cannot_be_read_stops_no_other_agent_and_no_daemon() {
    let place = tempfile::tempdir().unwrap();
    let pipe = place.path().join("pipe.toml");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
    let parrot = Parrot::beside(&[pipe.to_str().unwrap(), "/nonexistent/agent.toml"]);
    let id = parrot.ask("hi");
    parrot.completed(&id);
    let claude = parrot.run(&["agent", "list"]);
    assert!(
        claude.lines().any(|line| line.starts_with("claude")),
        "{claude}"
    );
    let refused = |agent: &str| {
        let task = json!({"name": "n", "cwd": "/", "prompt": {"text": "hi", "agent": agent}});
        let (status, body) = parrot.world.request("POST", "/tasks", Some(&task)).unwrap();
        assert_eq!(status, 400, "{body}");
        body["message"].as_str().unwrap().to_owned()
    };
    // It might be another description of this one.
    assert!(refused("codex").contains("no regular file"));
    let account = parrot
        .world
        .taskctl(&["account", "add", "own", "--agent", "claude"]);
    assert!(account.status.success(), "{account:?}");
}

#[test]
fn its_version_is_looked_at() {
    let parrot = Parrot::new();
    let place = parrot.env["PATH"].as_str().unwrap();
    let program = Path::new(place.split(':').next().unwrap()).join("parrot");
    let id = parrot.ask("hi");
    parrot.completed(&id);
    let older = fenced("sh").replace("parrot 1.4.2", "parrot 1.3.9");
    std::fs::write(&program, older).unwrap();
    let checked = std::process::Command::new(common::TASKCTL)
        .arg("--state-dir")
        .arg(parrot.world.dir())
        .args(["agent", "check", "parrot"])
        .env("PATH", place)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        checked.status.code() == Some(11) && said.contains("1.3.9"),
        "{checked:?}"
    );
}

/// What a complaint about `text` says that would be right.
fn expected(text: &str) -> Vec<String> {
    let error = Rules::from_toml(text).unwrap_err().to_string();
    let (_, names) = error.split_once("expected ").unwrap();
    let names = names.split('`').skip(1).step_by(2).map(str::to_owned);
    names.collect()
}

#[test]
fn the_page_names_every_key_and_every_meaning() {
    let start = "name = \"x\"\nprogram = \"x\"\nstart = []\n";
    let mut seen = 0;
    for text in [
        "nokey = 1",
        "[[events]]\nnokey = 1",
        "[[events]]\nwhen = {}\ntokens = { nokey = 1 }",
        "[[events]]\nwhen = {}\nmeans = \"nothing\"",
        "[[errors]]\nnokey = 1",
        "login = { nokey = 1 }",
        "tried = { nokey = 1 }",
        "totals_of = \"nothing\"",
    ] {
        for name in expected(&format!("{start}{text}")) {
            seen += 1;
            assert!(PAGE.contains(&format!("`{name}`")), "{name} of {text}");
        }
    }
    assert!(seen > 60, "{seen} names were looked for");
}
