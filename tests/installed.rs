//! `taskctl agent list` and `agent check`: what is installed, in which version, with which login; and bad input about agents.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, and says where"
)]
#![expect(clippy::disallowed_methods, reason = "tests start real processes")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::{TASKCTL, World};
use serde_json::{Value, json};

/// A directory with programs that stand for installed agents.
struct Bench {
    dir: tempfile::TempDir,
    world: World,
}

impl Bench {
    fn new(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        let mut world = World::new(settings);
        world.start();
        Self { dir, world }
    }

    /// Installs a program that tells this version and whose login check does this.
    fn install(&self, name: &str, version: &str, login: &str) -> PathBuf {
        let script = format!("[ \"$1\" = --version ] && {{ echo '{version}'; exit 0; }}\n{login}");
        program(&self.dir.path().join("bin"), name, &script)
    }

    /// `taskctl` for a user whose programs are those of the bench.
    fn taskctl(&self, arguments: &[&str]) -> Output {
        Command::new(TASKCTL)
            .arg("--state-dir")
            .arg(self.world.dir())
            .args(arguments)
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.dir.path().join("bin").display()),
            )
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What an agent is, by `agent check NAME --json`, and the exit code.
    fn check(&self, arguments: &[&str]) -> (Value, i32) {
        let words = [&["agent", "check", "--json"], arguments].concat();
        let output = self.taskctl(&words);
        let found: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| unreachable!("{error}: {output:?}"));
        (found, output.status.code().unwrap())
    }
}

fn program(dir: &Path, name: &str, script: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr)
        .trim_end()
        .to_owned()
}

const LOGGED_IN: &str =
    r#"[ "$1 $2" = "auth status" ] && { echo '{"loggedIn": true}'; exit 0; }; exit 9"#;

#[test]
fn the_list_names_every_known_agent_with_path_and_version() {
    let bench = Bench::new("");
    let claude = bench.install("claude", "2.1.329 (Claude Code)", "exit 9");
    bench.install("codex", "codex-cli 99.0.0", "exit 9");
    bench.install("qwen", "no idea", "exit 9");
    let output = bench.taskctl(&["agent", "list", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let all: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let of = |name: &str| all.iter().find(|agent| agent["agent"] == name).unwrap();
    assert_eq!(of("claude")["path"], claude.to_str().unwrap());
    assert_eq!(
        (&of("claude")["version"], &of("claude")["standing"]),
        (&json!("2.1.329"), &json!("tried"))
    );
    assert_eq!(
        (&of("codex")["version"], &of("codex")["standing"]),
        (&json!("99.0.0"), &json!("newer"))
    );
    assert_eq!(of("qwen")["standing"], "unknown");
    assert!(
        of("qwen")["problem"]
            .as_str()
            .unwrap()
            .contains("tells no version: it exited with 0: no idea")
    );
    let cursor = of("cursor");
    assert_eq!(
        (&cursor["path"], &cursor["standing"]),
        (&Value::Null, &Value::Null)
    );
    assert!(cursor["problem"].as_str().unwrap().contains("cursor-agent"));
    // The same for a person.
    let output = bench.taskctl(&["agent", "list"]);
    let screen = String::from_utf8(output.stdout).unwrap();
    assert!(
        screen.contains("2.1.329") && screen.contains("no, newer than 0.169.0"),
        "{screen}"
    );
}

#[test]
fn a_check_has_an_exit_code_for_each_thing_that_is_wrong() {
    let bench = Bench::new("");
    let (found, code) = bench.check(&["claude"]);
    assert_eq!(code, 11, "{found}");
    assert!(
        found[0]["problem"]
            .as_str()
            .unwrap()
            .contains("is not in the task's PATH"),
        "{found}"
    );
    bench.install("claude", "1.0.3 (Claude Code)", LOGGED_IN);
    let (found, code) = bench.check(&["claude"]);
    assert_eq!(code, 11, "{found}");
    assert_eq!(
        found[0]["problem"],
        "version 1.0.3 is too old: install 2.1.197 or newer"
    );
    // An old program could take the words of the question for a prompt: it is not asked.
    assert_eq!(found[0]["accounts"][0]["login"], "unknown");
    bench.install("claude", "2.1.250 (Claude Code)", LOGGED_IN);
    let (found, code) = bench.check(&["claude"]);
    assert_eq!(code, 0, "{found}");
    assert_eq!(
        found[0]["accounts"],
        json!([{"account": "default", "login": "there", "detail": ""}])
    );
    bench.install(
        "claude",
        "2.1.250 (Claude Code)",
        r#"echo '{"loggedIn": false}'; exit 1"#,
    );
    let (found, code) = bench.check(&["claude"]);
    assert_eq!(
        (&found[0]["accounts"][0]["login"], code),
        (&json!("none"), 13)
    );
    // One line each for a person.
    let output = bench.taskctl(&["agent", "check", "claude"]);
    let screen = String::from_utf8(output.stdout).unwrap();
    assert!(screen.contains("account default: no login"), "{screen}");
    // What there is not is told in one line, and starts nothing.
    for (arguments, part) in [
        (
            vec!["agent", "check", "clude"],
            "agent: there is no agent named \"clude\"; known are claude",
        ),
        (
            vec!["agent", "check", "claude", "--account", "work"],
            "account: there is no account named \"work\"",
        ),
    ] {
        let output = bench.taskctl(&arguments);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(part) && !said.contains('\n'), "{said}");
    }
}

#[test]
fn each_account_is_looked_at_with_its_own_directory_and_credential() {
    let bench = Bench::new("");
    // Logged in where the directory holds a login, or by a token.
    bench.install(
        "claude",
        "2.1.250 (Claude Code)",
        r#"[ -e "$CLAUDE_CONFIG_DIR/login" ] || [ "$CLAUDE_CODE_OAUTH_TOKEN" = good ] || { echo '{"loggedIn": false}'; exit 1; }
           echo '{"loggedIn": true}'"#,
    );
    let home = bench.dir.path().join("work");
    std::fs::create_dir(&home).unwrap();
    let token = bench.dir.path().join("token");
    std::fs::write(&token, "good\n").unwrap();
    let secret = format!("CLAUDE_CODE_OAUTH_TOKEN=file:{}", token.display());
    for arguments in [
        vec![
            "account",
            "add",
            "work",
            "--config-dir",
            home.to_str().unwrap(),
        ],
        vec!["account", "add", "ci", "--secret", &secret],
    ] {
        let output = bench.taskctl(&arguments);
        assert!(output.status.success(), "{output:?}");
    }
    let logins = || {
        let (found, code) = bench.check(&["claude"]);
        let accounts = found[0]["accounts"].as_array().unwrap().clone();
        let words: Vec<String> = accounts
            .iter()
            .map(|account| format!("{}={}", account["account"], account["login"]).replace('"', ""))
            .collect();
        (words.join(" "), code)
    };
    assert_eq!(logins(), ("ci=there default=none work=none".to_owned(), 13));
    std::fs::write(home.join("login"), "").unwrap();
    assert_eq!(logins(), ("ci=there default=none work=there".to_owned(), 0));
    std::fs::remove_file(&token).unwrap();
    let (found, _) = bench.check(&["claude", "--account", "ci"]);
    let ci = &found[0]["accounts"][0];
    assert_eq!(ci["login"], "unknown");
    assert!(
        ci["detail"]
            .as_str()
            .unwrap()
            .contains("secret CLAUDE_CODE_OAUTH_TOKEN: cannot read"),
        "{ci}"
    );
}

#[test]
fn only_who_asks_for_it_has_the_server_asked() {
    let bench = Bench::new("");
    let asked = bench.dir.path().join("asked");
    let script = format!(
        r#"[ "$1 $2" = "auth status" ] && {{ echo '{{"loggedIn": true}}'; exit 0; }}
        echo "$@" >> {}
        cat "$0.says"; exit 1"#,
        asked.display()
    );
    let claude = bench.install("claude", "2.1.250 (Claude Code)", &script);
    let says = |result: &str| std::fs::write(claude.with_extension("says"), result).unwrap();
    says(
        r#"{"type":"result","subtype":"success","is_error":false,"result":"ok","session_id":"x","num_turns":1}"#,
    );
    bench.check(&["claude"]);
    assert!(!asked.exists(), "nothing was spent");
    let login = |bench: &Bench| {
        let (found, code) = bench.check(&["claude", "--ask-server"]);
        (
            found[0]["accounts"][0]["login"]
                .as_str()
                .unwrap()
                .to_owned(),
            code,
        )
    };
    assert_eq!(login(&bench), ("works".to_owned(), 0));
    let words = std::fs::read_to_string(&asked).unwrap();
    assert!(
        words.contains("--no-session-persistence") && words.contains("--max-turns 1"),
        "{words}"
    );
    says(
        r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":401,"result":"Not logged in · Please run /login","session_id":"x","num_turns":1}"#,
    );
    assert_eq!(login(&bench), ("refused".to_owned(), 13));
}

#[test]
fn a_file_that_is_no_program_is_told_in_one_line() {
    let bench = Bench::new("");
    let file = bench.dir.path().join("bin/claude");
    std::fs::write(&file, "no program").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (found, code) = bench.check(&["claude"]);
    let problem = found[0]["problem"].as_str().unwrap();
    assert!(code == 11 && problem.contains("cannot start"), "{found}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (found, code) = bench.check(&["claude"]);
    assert_eq!(code, 11, "{found}");
}

#[test]
fn a_description_that_cannot_work_is_told_at_the_list_and_at_the_submission() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine.toml");
    std::fs::write(
        &file,
        "name = \"mine\"\nprogram = \"true\"\nstart = [\"{prompt}\"]\nneeds_result = false\nfailed_text = [\"(\"]\n",
    )
    .unwrap();
    let bench = Bench::new(&format!("agent_files = [{file:?}]\n"));
    let output = bench.taskctl(&["agent", "check"]);
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(11), "{screen}");
    assert!(
        screen.contains("mine.toml: failed_text[0]: \"(\" is no regular expression"),
        "{screen}"
    );
    let output = bench.taskctl(&["task", "create", "t", "--prompt", "hi", "--agent", "mine"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("mine.toml: failed_text[0]") && !said.contains('\n'),
        "{said}"
    );
    let listed = bench.world.ask("GET", "/tasks", None);
    assert_eq!(listed["tasks"], json!([]), "nothing was half done");
}

#[test]
fn what_a_prompt_names_and_is_not_there_is_told_before_anything_starts() {
    let bench = Bench::new("");
    bench.install("claude", "2.1.250 (Claude Code)", "exit 9");
    let missing = format!("@{}", bench.dir.path().join("gone.md").display());
    let servers = bench.dir.path().join("servers.json");
    std::fs::write(&servers, r#"{"mcpServers": {"db": {"args": []}}}"#).unwrap();
    let servers = servers.to_str().unwrap();
    for (arguments, part) in [
        (vec!["--prompt", missing.as_str()], "gone.md"),
        (
            vec!["--prompt", "hi", "--agent", "clod"],
            "there is no agent named \"clod\"",
        ),
        (
            vec!["--prompt", "hi", "--account", "work"],
            "no account named \"work\"",
        ),
        (vec!["--prompt", "hi", "--model", ""], "model"),
        (
            vec![
                "--prompt",
                "hi",
                "--agent-arg=--mcp-config",
                "--agent-arg",
                "gone.json",
            ],
            "args: --mcp-config",
        ),
        (
            vec![
                "--prompt",
                "hi",
                "--agent-arg=--mcp-config",
                "--agent-arg",
                servers,
            ],
            "the server \"db\" has neither a \"command\" nor a \"url\"",
        ),
        (
            vec!["--prompt", "hi", "--agent", "codex"],
            "the program of codex (codex) is not in the task's PATH",
        ),
    ] {
        let words = [&["task", "create", "t"], arguments.as_slice()].concat();
        let output = bench.taskctl(&words);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
        // What of the environment stays behind is a line of its own.
        let lines = said
            .lines()
            .filter(|line| !line.starts_with("not passed on"));
        assert_eq!(lines.count(), 1, "{said}");
    }
    let listed = bench.world.ask("GET", "/tasks", None);
    assert_eq!(listed["tasks"], json!([]), "nothing was half done");
}

#[test]
fn the_routes_refuse_what_they_cannot_use_and_change_nothing() {
    let bench = Bench::new("");
    let refused = |route: &str, body: Value| {
        let (status, body) = bench.world.request("POST", route, Some(&body)).unwrap();
        assert_eq!(status, 400, "{route}: {body}");
        body["message"].as_str().unwrap().to_owned()
    };
    let said = refused("/agents", json!({"agnet": "claude"}));
    assert!(said.contains("did you mean `agent`?"), "{said}");
    let said = refused("/agents", json!({"env": {"PATH": "a\u{0}b"}}));
    assert!(said.starts_with("env: "), "{said}");
    let said = refused("/agents", json!({"agent": "clod"}));
    assert!(said.starts_with("agent: there is no agent"), "{said}");
    for broken in ["two\nlines".to_owned(), "x".repeat(1_001)] {
        let said = refused("/agents/claude/contract", json!({"broken": broken}));
        assert!(said.starts_with("broken: one line"), "{said}");
    }
    let said = refused("/agents/cl%20aude/contract", json!({"broken": "x"}));
    assert!(said.starts_with("agent: "), "{said}");
    assert_eq!(bench.world.ask("GET", "/accounts", None), json!([]));
    // What a check has found closes the account, and opens it; what a person has closed stays closed.
    let found = |broken: &str| {
        let body = json!({"broken": broken});
        bench
            .world
            .ask("POST", "/agents/claude/contract", Some(&body));
        bench.world.ask("GET", "/accounts", None)[0]["holds"].clone()
    };
    assert_eq!(found("no events")[0]["detail"], "no events");
    assert_eq!(found(""), json!([]));
    let closed = bench.taskctl(&["limits", "set", "default", "--kind", "contract"]);
    assert!(closed.status.success(), "{closed:?}");
    assert_eq!(found("")[0]["detail"], "set by a person");
}
