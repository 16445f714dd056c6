//! `taskctl account login`: the agent's own login on a terminal, and the end of the wait for it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, and says where"
)]
#![expect(clippy::disallowed_methods, reason = "tests start real processes")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::{TASKCTL, World};
use serde_json::{Value, json};

/// Gives a command a terminal of its own.
const SCRIPT: &str = "/usr/bin/script";

/// A program whose login makes a file in its configuration directory, unless the person gives up.
const CLAUDE: &str = r#"#!/bin/sh
case "$1 $2" in
"--version ") echo '2.1.329 (Claude Code)' ;;
"auth login") [ -t 0 ] && [ -t 1 ] || exit 3; [ -e "$0.gives-up" ] && exit 1
    [ -e "$0.forgets" ] || : > "$CLAUDE_CONFIG_DIR/login"; echo 'welcome' ;;
"auth status") [ -e "$CLAUDE_CONFIG_DIR/login" ] && echo '{"loggedIn": true}' && exit 0; echo '{"loggedIn": false}'; exit 1 ;;
*) exit 9 ;;
esac
"#;

struct Bench {
    dir: tempfile::TempDir,
    world: World,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["bin", "work"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let program = dir.path().join("bin/claude");
        std::fs::write(&program, CLAUDE).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut world = World::new("");
        world.start();
        let bench = Self { dir, world };
        let config = bench.config();
        let added = bench.world.taskctl(&[
            "account",
            "add",
            "work",
            "--config-dir",
            config.to_str().unwrap(),
        ]);
        assert!(added.status.success(), "{added:?}");
        bench
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn set(&self, what: &str, is: bool) {
        let path = self.dir.path().join(format!("bin/claude.{what}"));
        if is {
            std::fs::write(path, "").unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.dir.path().join("bin").display()),
            )
            .stdin(Stdio::null());
        command
    }

    /// `taskctl` on a terminal; what stood there, and the exit code.
    fn on_terminal(&self, arguments: &str) -> (String, i32) {
        let line = format!(
            "{TASKCTL} --state-dir {} {arguments}",
            self.world.dir().display()
        );
        let output = self
            .command(SCRIPT)
            .args(["-qec", &line, "/dev/null"])
            .output()
            .unwrap();
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            output.status.code().unwrap(),
        )
    }

    fn close_for_login(&self) {
        let closed = self
            .world
            .taskctl(&["limits", "set", "work", "--kind", "login"]);
        assert!(closed.status.success(), "{closed:?}");
    }

    fn holds(&self) -> Value {
        let all = self.world.ask("GET", "/accounts", None);
        let mut all = all.as_array().unwrap().iter();
        all.find(|known| known["name"] == "work").unwrap()["holds"].clone()
    }
}

#[test]
fn a_login_on_a_terminal_opens_the_account_once_it_is_there() {
    if !std::path::Path::new(SCRIPT).exists() {
        println!("SKIPPED: a login on a terminal: {SCRIPT} is not installed");
        return;
    }
    let bench = Bench::new();
    bench.close_for_login();
    // The person gives up: nothing changes.
    bench.set("gives-up", true);
    let (screen, code) = bench.on_terminal("account login work");
    assert_eq!(code, 13, "{screen}");
    assert!(
        screen.contains("ended with 1: nothing was changed"),
        "{screen}"
    );
    assert_eq!(bench.holds()[0]["kind"], "login");
    bench.set("gives-up", false);
    // It ends well and there is no login all the same.
    bench.set("forgets", true);
    let (screen, code) = bench.on_terminal("account login work");
    assert_eq!(code, 13, "{screen}");
    assert!(screen.contains("no login is there"), "{screen}");
    assert_eq!(bench.holds()[0]["kind"], "login");
    bench.set("forgets", false);
    let (screen, code) = bench.on_terminal("account login work");
    assert_eq!(code, 0, "{screen}");
    assert!(
        screen.contains("claude auth login, CLAUDE_CONFIG_DIR=")
            && screen.contains("welcome")
            && screen.contains("logged in: the account work of claude is open again"),
        "{screen}"
    );
    assert_eq!(bench.holds(), json!([]));
    assert!(bench.config().join("login").exists());
    // Only that hold ends.
    let closed = bench.world.taskctl(&["limits", "set", "work"]);
    assert!(closed.status.success(), "{closed:?}");
    let (screen, code) = bench.on_terminal("account login work");
    assert_eq!(code, 0, "{screen}");
    assert_eq!(bench.holds()[0]["kind"], "person");
    // An account that nobody has added.
    let (screen, code) = bench.on_terminal("account login other");
    assert_eq!(code, 2, "{screen}");
    assert!(screen.contains("no account named \"other\""), "{screen}");
}

#[test]
fn without_a_terminal_a_login_is_refused_in_one_line() {
    let bench = Bench::new();
    bench.close_for_login();
    let output = bench
        .command(TASKCTL)
        .arg("--state-dir")
        .arg(bench.world.dir())
        .args(["account", "login", "work"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr)
        .trim_end()
        .to_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("a login needs a terminal") && !said.contains('\n'),
        "{said}"
    );
    assert_eq!(bench.holds()[0]["kind"], "login");
}
