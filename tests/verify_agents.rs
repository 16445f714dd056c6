//! The contract of an installed Claude Code: checked by hand, and by the daemon before it starts a program that is new or
//! was replaced.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, and says where"
)]
#![expect(clippy::disallowed_methods, reason = "tests start real processes")]

#[expect(dead_code, reason = "of the kit, only where the program is")]
mod claude_kit;
mod common;
#[path = "claude_kit/known.rs"]
mod known;
mod messages_api;

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use claude_kit::{MODEL, program};
use common::{AUTO_CLAUDE, World};
use known::add_account;
use messages_api::answer::Answer;
use messages_api::server::Api;
use serde_json::{Value, json};

/// A program that stands for a Claude Code of this version and says nothing in its runs.
fn stub(path: &Path, version: &str) {
    let script =
        format!("#!/bin/sh\n[ \"$1\" = --version ] && echo '{version} (Claude Code)'\nexit 0\n");
    // Written elsewhere and moved: a program that runs cannot be written.
    let part = path.with_extension("part");
    std::fs::write(&part, script).unwrap();
    std::fs::set_permissions(&part, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(part, path).unwrap();
}

/// `auto-claude agent verify claude --json` with this program; what it found, and the exit code.
fn verify(state_dir: &Path, program: &Path) -> (Value, i32) {
    let output = Command::new(AUTO_CLAUDE)
        .args(["agent", "verify", "claude", "--json", "--state-dir"])
        .arg(state_dir)
        .env("CLAUDE_CLI_COMMAND", program)
        .output()
        .unwrap();
    let found = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| unreachable!("{error}: {output:?}"));
    (found, output.status.code().unwrap())
}

fn holds(world: &World, account: &str) -> Value {
    let all = world.ask("GET", "/accounts", None);
    let mut all = all.as_array().unwrap().iter();
    let account = all.find(|known| known["name"] == account);
    account.map_or(json!([]), |account| account["holds"].clone())
}

#[test]
fn the_real_claude_code_keeps_every_clause() {
    let Some(program) = program("the contract of Claude Code") else {
        return;
    };
    let world = World::new("");
    let (found, code) = verify(world.dir(), &program);
    assert_eq!((code, &found["kept"]), (0, &json!(true)), "{found:#}");
    assert_eq!(found["version"], claude_kit::VERSION);
    assert_eq!(found["standing"], "tried");
    let names: Vec<&str> = found["clauses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|clause| clause["name"].as_str().unwrap())
        .collect();
    let all = "version stdin events session permission_mode model success cost resume cost_of_the_run budget unknown_session limit";
    assert_eq!(names, all.split(' ').collect::<Vec<_>>());
    // For a person: a line for each.
    let output = Command::new(AUTO_CLAUDE)
        .args(["agent", "verify", "--state-dir"])
        .arg(world.dir())
        .env("CLAUDE_CLI_COMMAND", &program)
        .output()
        .unwrap();
    let screen = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        screen
            .lines()
            .filter(|line| line.starts_with("ok "))
            .count(),
        names.len(),
        "{screen}"
    );
    assert!(screen.ends_with("the contract is kept\n"), "{screen}");
    // It is remembered, for the daemon and for `agent check`.
    let file = std::fs::read_to_string(world.dir().join("verified-agents.json")).unwrap();
    let known: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(known["claude"]["version"], claude_kit::VERSION);
}

#[test]
fn what_cannot_be_verified_is_told_in_one_line() {
    let world = World::new("");
    let old = world.dir().join("claude");
    stub(&old, "1.0.3");
    let (found, code) = verify(world.dir(), &old);
    assert_eq!(
        (code, &found["standing"]),
        (11, &json!("too_old")),
        "{found}"
    );
    let run = |arguments: &[&str], command: &str| {
        let output = Command::new(AUTO_CLAUDE)
            .args(arguments)
            .arg("--state-dir")
            .arg(world.dir())
            .env("CLAUDE_CLI_COMMAND", command)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr)
            .trim_end()
            .to_owned();
        (said, output.status.code().unwrap())
    };
    let (said, code) = run(&["agent", "verify", "claude"], "/nonexistent/claude");
    assert!(
        code == 11 && said.contains("/nonexistent/claude") && !said.contains('\n'),
        "{said}"
    );
    let (said, code) = run(&["agent", "verify", "codex"], "claude");
    assert!(
        code == 2 && said.contains("only claude has a contract"),
        "{said}"
    );
}

/// A daemon that verifies, the stand-in, and a link to the program, which can be replaced.
struct Bench {
    api: Api,
    home: tempfile::TempDir,
    world: World,
    link: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let link = home.path().join("claude");
        let settings = format!(
            "verify_agents = \"on\"\nclaude_cli_command = {:?}\nclaude_internal_retries = 0\nretry_base_seconds = 1\n\
             retry_max_seconds = 1\nrelease_interval_seconds = 0\n",
            link.to_str().unwrap()
        );
        let mut world = World::new(&settings);
        world.start();
        Self {
            api: Api::start(),
            world,
            link,
            home,
        }
    }

    fn link_to(&self, program: &Path) {
        let part = self.link.with_extension("link");
        std::os::unix::fs::symlink(program, &part).unwrap();
        std::fs::rename(part, &self.link).unwrap();
    }

    fn ask(&self, name: &str, account: &str) -> String {
        let cwd = self.home.path().join(name);
        std::fs::create_dir_all(&cwd).unwrap();
        self.world.submit_with(json!({
            "name": name,
            "prompt": {"text": name, "account": account, "model": MODEL},
            "cwd": cwd,
            "env": {"PATH": std::env::var("PATH").unwrap(), "HOME": self.home.path()},
        }))
    }
}

#[test]
fn a_broken_contract_holds_all_accounts_and_burns_no_task() {
    let bench = Bench::new();
    stub(&bench.link, "2.1.300");
    let account = bench.api.account("work");
    add_account(&bench.world, bench.home.path(), &bench.api, &account);
    let id = bench.ask("one", "work");
    bench.world.wait_for("the accounts are closed", |world| {
        (holds(world, "work")[0]["kind"] == "contract").then_some(())
    });
    let hold = &holds(&bench.world, "default")[0];
    assert_eq!(
        (&hold["kind"], &hold["until"]),
        (&json!("contract"), &Value::Null)
    );
    assert!(
        hold["detail"]
            .as_str()
            .unwrap()
            .starts_with("2.1.300: events: there was no system event"),
        "{hold}"
    );
    let task = bench.world.wait_state(&id, "pending");
    assert_eq!(
        (&task["retries"], &task["outcome"]["kind"]),
        (&json!(0), &json!("never_ran")),
        "{task}"
    );
    assert!(bench.api.requests().is_empty(), "nobody was asked anything");
    // An account that comes later is closed as well.
    let later = bench.api.account("later");
    add_account(&bench.world, bench.home.path(), &bench.api, &later);
    assert_eq!(holds(&bench.world, "later")[0]["kind"], "contract");
    // A person is told, and what `agent check` says has a code of its own.
    let status = bench.world.ask("GET", "/status", None);
    assert!(
        status["attention"].to_string().contains("agent verify"),
        "{status}"
    );
    let checked = bench.world.taskctl(&["agent", "check", "claude"]);
    assert_eq!(checked.status.code(), Some(12), "{checked:?}");
    // One who clears a hold has it tried once more.
    let cleared = bench.world.taskctl(&["limits", "clear", "work"]);
    assert!(cleared.status.success(), "{cleared:?}");
    bench.world.wait_for("it is closed again", |world| {
        (world.task(&id)["attempt"].as_u64() >= Some(2)
            && holds(world, "work")[0]["kind"] == "contract")
            .then_some(())
    });
    let Some(program) = program("a contract that is kept again") else {
        return;
    };
    bench.link_to(&program);
    account.next(Answer::text("Done."));
    let (found, code) = verify(bench.world.dir(), &bench.link);
    assert_eq!(code, 0, "{found:#}");
    for name in ["work", "default", "later"] {
        assert_eq!(holds(&bench.world, name), json!([]), "{name}");
    }
    let task = bench.world.wait_final(&id);
    assert_eq!(
        (&task["state"], &task["retries"]),
        (&json!("completed"), &json!(0)),
        "{}",
        bench.world.story()
    );
}

#[test]
fn a_new_program_is_verified_once_and_a_replaced_one_again() {
    let Some(program) = program("a replaced Claude Code") else {
        return;
    };
    let mut bench = Bench::new();
    bench.link_to(&program);
    let account = bench.api.account("work");
    add_account(&bench.world, bench.home.path(), &bench.api, &account);
    let checks = |bench: &Bench| {
        let log = std::fs::read_to_string(bench.world.dir().join("logs/auto_claude.log")).unwrap();
        log.matches("its contract is checked").count()
    };
    let id = bench.ask("one", "work");
    let task = bench.world.wait_final(&id);
    assert_eq!(task["state"], "completed", "{}", bench.world.story());
    assert_eq!(checks(&bench), 1);
    // Known, also to the next daemon.
    bench.world.kill_daemon();
    bench.world.start();
    let id = bench.ask("two", "work");
    assert_eq!(bench.world.wait_final(&id)["state"], "completed");
    assert_eq!(checks(&bench), 1);
    // While the next one waits, the program is replaced by one that cannot be driven.
    let held = bench.world.taskctl(&["limits", "set", "work"]);
    assert!(held.status.success(), "{held:?}");
    let id = bench.ask("three", "work");
    std::fs::remove_file(&bench.link).unwrap();
    stub(&bench.link, claude_kit::VERSION);
    let before = bench.api.turns().len();
    let cleared = bench.world.taskctl(&["limits", "clear", "work"]);
    assert!(cleared.status.success(), "{cleared:?}");
    bench.world.wait_for("the replacement is noticed", |world| {
        (holds(world, "work")[0]["kind"] == "contract").then_some(())
    });
    assert_eq!(checks(&bench), 2);
    assert_eq!(bench.api.turns().len(), before);
    let task = bench.world.wait_state(&id, "pending");
    assert_eq!(task["retries"], 0);
}

#[test]
fn a_run_in_the_foreground_says_what_it_waits_for() {
    let home = tempfile::tempdir().unwrap();
    let program = home.path().join("claude");
    stub(&program, "2.1.300");
    let world = World::new(&format!(
        "verify_agents = \"on\"\nclaude_cli_command = {program:?}\n"
    ));
    let mut run = Command::new(AUTO_CLAUDE)
        .args(["run", "--prompt", "hi", "--state-dir"])
        .arg(world.dir())
        .current_dir(home.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(run.stderr.take().unwrap()).lines();
    let told = lines
        .map_while(Result::ok)
        .find(|line| line.contains(": waits: "));
    // Two signals: it leaves at once.
    for _ in 0..2 {
        common::signal(i32::try_from(run.id()).unwrap(), "TERM");
    }
    run.wait().unwrap();
    let told = told.expect("the run said why it waits");
    assert!(told.contains("auto-claude agent verify claude"), "{told}");
}

#[test]
fn a_check_talks_to_loopback_and_to_nobody_else() {
    let Some(program) = program("where a check connects to") else {
        return;
    };
    let traces = Command::new("strace").arg("-V").output();
    if !traces.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: where a check connects to: strace is not installed");
        return;
    }
    let world = World::new("");
    let trace = world.dir().join("connects");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=connect", "-o"])
        .arg(&trace)
        .args([AUTO_CLAUDE, "agent", "verify", "claude", "--state-dir"])
        .arg(world.dir())
        .env("CLAUDE_CLI_COMMAND", program)
        .output()
        .unwrap();
    if String::from_utf8_lossy(&output.stderr).contains("ptrace") {
        println!("SKIPPED: where a check connects to: this process may not trace");
        return;
    }
    assert!(output.status.success(), "{output:?}");
    let trace = std::fs::read_to_string(&trace).unwrap();
    let there: Vec<&str> = trace
        .lines()
        .filter(|line| line.contains("AF_INET"))
        .collect();
    assert!(there.len() >= 4, "{trace}");
    for line in there {
        assert!(line.contains("inet_addr(\"127.0.0.1\")"), "{line}");
    }
}

#[test]
fn switched_off_nothing_is_verified() {
    let home = tempfile::tempdir().unwrap();
    let program = home.path().join("claude");
    stub(&program, "2.1.300");
    let mut world = World::new(&format!(
        "verify_agents = \"off\"\nclaude_cli_command = {program:?}\nmax_retries = 0\n"
    ));
    world.start();
    let id = world.submit_with(json!({"name": "n", "cwd": "/tmp", "prompt": {"text": "hi"}}));
    let task = world.wait_final(&id);
    assert_eq!(task["outcome"]["kind"], "no_result", "{task}");
    assert!(!world.dir().join("verified-agents.json").exists());
}
