//! Runs the real Claude Code CLI against the stand-in for its API: one run, what it printed, how it ended.
//!
//! A test file that uses a part of it says `#[expect(dead_code, reason = "…")]` where it names the module.
//! The program is looked for where `scripts/install-agents.sh` puts it; [`program`] says SKIPPED where it is missing.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start real processes and bound their waits by a clock"
)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod running;
mod verdict;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use auto_claude::agent::claude::Environment;

use crate::messages_api::server::{Account, Api};

pub use running::{Ended, Running};

/// The version that the tests know; `scripts/lib.sh` installs the same.
pub const VERSION: &str = "2.1.329";
/// A run that takes longer has failed. Retries and time-outs are set far below it.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The model of runs that name none: pinned, for the CLI's own choice differs between kinds of login.
pub const MODEL: &str = "claude-opus-5-5";

/// The real CLI, or none after a line that says so.
pub fn program(what: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let path = set("AUTO_CLAUDE_TEST_CLAUDE")
        .map(PathBuf::from)
        .or_else(|| {
            let cache = set("TEST_AGENTS_DIR").map(PathBuf::from).or_else(|| {
                let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
                cache
                    .or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))
                    .map(|cache| cache.join("auto-claude-test"))
            })?;
            Some(cache.join(format!("claude-code-{VERSION}/claude")))
        });
    let Some(path) = path else {
        println!("SKIPPED: {what}: neither HOME nor AUTO_CLAUDE_TEST_CLAUDE is set");
        return None;
    };
    if !path.exists() {
        println!(
            "SKIPPED: {what}: the real Claude Code CLI is not at {} (scripts/install-agents.sh installs it)",
            path.display()
        );
        return None;
    }
    Some(path)
}

/// A user's home with a workspace of its own, gone with the test.
#[derive(Debug)]
pub struct Place {
    dir: tempfile::TempDir,
    program: PathBuf,
}

impl Place {
    /// A fresh one, when the CLI is there.
    pub fn new(what: &str) -> Option<Self> {
        let program = program(what)?;
        let dir = tempfile::Builder::new()
            .prefix("ac-cli-")
            .tempdir()
            .unwrap();
        for name in ["home", "config", "work", "tmp"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        Some(Self { dir, program })
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the agent works.
    pub fn work(&self) -> PathBuf {
        self.dir().join("work")
    }

    /// `CLAUDE_CONFIG_DIR`.
    pub fn config(&self) -> PathBuf {
        self.dir().join("config")
    }

    /// The CLI.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A run as this account, with its key, that prints events.
    pub fn run(&self, api: &Api, account: &Account) -> Run<'_> {
        self.bare(api).env("ANTHROPIC_API_KEY", account.key())
    }

    /// The same with the token of a subscription.
    pub fn run_subscribed(&self, api: &Api, account: &Account) -> Run<'_> {
        self.bare(api)
            .env("CLAUDE_CODE_OAUTH_TOKEN", account.token())
    }

    /// A run without a credential.
    pub fn bare(&self, api: &Api) -> Run<'_> {
        let dir = |name: &str| self.dir().join(name).display().to_string();
        Run {
            place: self,
            program: self.program.clone(),
            wrapper: vec![],
            whole: None,
            arguments: vec![],
            prompt: Some("say hi".to_owned()),
            env: vec![],
            model: MODEL.to_owned(),
        }
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("HOME", dir("home"))
        .env("CLAUDE_CONFIG_DIR", dir("config"))
        .env("TMPDIR", dir("tmp"))
        .env("SHELL", "/bin/bash")
        .env("TZ", "UTC")
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("DISABLE_AUTOUPDATER", "1")
        .env("ANTHROPIC_BASE_URL", api.url())
        .env("CLAUDE_CODE_MAX_RETRIES", "1")
        .env("API_TIMEOUT_MS", "30000")
    }

    /// Lines of a session's transcript, wherever the CLI keeps it.
    pub fn transcript(&self, session: &str) -> Option<String> {
        let projects = std::fs::read_dir(self.config().join("projects")).ok()?;
        projects
            .flatten()
            .map(|project| project.path().join(format!("{session}.jsonl")))
            .find_map(|path| std::fs::read_to_string(path).ok())
    }
}

/// A run that is being put together.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    place: &'a Place,
    program: PathBuf,
    wrapper: Vec<String>,
    whole: Option<Vec<String>>,
    arguments: Vec<String>,
    prompt: Option<String>,
    env: Vec<(String, String)>,
    model: String,
}

impl Run<'_> {
    /// With these arguments and nothing else.
    #[must_use]
    pub fn argv(mut self, argv: Vec<String>) -> Self {
        self.whole = Some(argv);
        self
    }

    /// In an environment that is changed like this.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.env
            .retain(|(name, _)| !environment.unset.contains(&name.as_str()));
        for (name, value) in &environment.set {
            self = self.env(name, value.clone());
        }
        self
    }

    /// With another prompt than `say hi`, given as an argument after `--`.
    #[must_use]
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = Some(prompt.into());
        self
    }

    /// Without a prompt among the arguments.
    #[must_use]
    pub fn no_prompt(mut self) -> Self {
        self.prompt = None;
        self
    }

    /// With these arguments too.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// With this variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// With another model.
    #[must_use]
    pub fn model(mut self, model: &str) -> Self {
        model.clone_into(&mut self.model);
        self
    }

    /// With a copy of the CLI.
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        program.clone_into(&mut self.program);
        self
    }

    /// Started by another program that becomes it (`setpriv …`).
    #[must_use]
    pub fn through<S: Into<String>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
        self
    }

    fn usual(&self) -> Vec<String> {
        let mut words = vec!["-p".to_owned()];
        words.extend(["--output-format", "stream-json", "--verbose"].map(str::to_owned));
        words.extend(["--model".to_owned(), self.model.clone()]);
        words.extend(self.arguments.iter().cloned());
        if let Some(prompt) = &self.prompt {
            words.extend(["--".to_owned(), prompt.clone()]);
        }
        words
    }

    /// The command as it stands.
    pub fn command(&self) -> Command {
        let mut words = self.wrapper.clone();
        words.push(self.program.display().to_string());
        words.extend(self.whole.clone().unwrap_or_else(|| self.usual()));
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.place.work());
        command
    }

    /// Starts it with nothing on its standard input.
    pub fn start(&self) -> Running {
        Running::start(self.command(), None)
    }

    /// Starts it with this text on its standard input, closed behind it.
    pub fn start_with(&self, input: &str) -> Running {
        Running::start(self.command(), Some(input.to_owned()))
    }

    /// Runs it to its end.
    pub fn end(&self) -> Ended {
        self.start().wait()
    }
}

/// Waits until a condition holds.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
