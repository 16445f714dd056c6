//! What the night is made of: a daemon, the stand-in with two accounts, fifty prompts, and a diary.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::claude_kit::{self, MODEL};
use crate::common::World;
use crate::known::add_account;
use crate::messages_api::answer::Answer;
use crate::messages_api::server::{Account, Api};

/// Prompts of the night.
pub const PROMPTS: usize = 50;
/// So many of them are there from the beginning. The late ones share directories, two each, so that one waits for the other.
pub const EARLY: usize = 40;
/// Attempts that run at a time.
pub const SLOTS: usize = 4;
/// Stands in every prompt that is answered without a tool.
const PLAIN: &str = "Say a word";
/// Stands in every prompt that is answered with a tool.
const TOOL: &str = "Leave a mark";
/// Every third prompt is a plain one.
const PLAIN_EVERY: usize = 3;
/// They take turns.
const PRIORITIES: [&str; 5] = ["normal", "low", "high", "normal", "urgent"];
/// Longest wait for one thing. Only a failure reaches it.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// A task that was asked for.
pub struct Asked {
    pub id: String,
    pub account: String,
    pub uses_tool: bool,
}

/// The night.
pub struct Night {
    pub api: Api,
    pub world: World,
    pub work: Account,
    pub spare: Account,
    pub tasks: Vec<Asked>,
    home: tempfile::TempDir,
    begun: Instant,
    diary: Vec<(Duration, String)>,
}

impl Night {
    /// `None`, with the reason printed, where there is no real CLI.
    pub fn new() -> Option<Self> {
        let program = claude_kit::program("a night in fast motion")?;
        let settings = format!(
            "claude_cli_command = {:?}\nclaude_internal_retries = 0\nclaude_api_timeout_seconds = 120\n\
             claude_allowed_tools = [\"Bash\"]\nnum_workers = {SLOTS}\nretry_base_seconds = 1\nretry_max_seconds = 1\n\
             release_interval_seconds = 1\ndefault_unban_wait = 2\n",
            program.to_str().unwrap()
        );
        let api = Api::start();
        let (work, spare) = (api.account("work"), api.account("spare"));
        Some(Self {
            api,
            world: World::new(&settings),
            work,
            spare,
            tasks: Vec::new(),
            home: tempfile::tempdir().unwrap(),
            begun: Instant::now(),
            diary: Vec::new(),
        })
    }

    /// Both accounts, in the order in which prompts are shared out.
    pub fn accounts(&self) -> [&Account; 2] {
        [&self.work, &self.spare]
    }

    /// Writes into the diary.
    pub fn note(&mut self, what: impl Into<String>) {
        let (at, what) = (self.begun.elapsed(), what.into());
        println!("{:6.1} s  {what}", at.as_secs_f64());
        self.diary.push((at, what));
    }

    /// What was noted, and how long after the beginning.
    pub fn diary(&self) -> &[(Duration, String)] {
        &self.diary
    }

    /// The file in which tools leave the name of their attempt.
    pub fn witness(&self) -> PathBuf {
        self.home.path().join("witness")
    }

    /// A tool call that leaves a mark, and then some words.
    pub fn tool_and_words(&self) -> Answer {
        let command = format!(
            "echo $AUTO_CLAUDE_ATTEMPT_ID >> {}",
            self.witness().display()
        );
        let input = json!({"command": command, "description": "leave a mark"});
        Answer::work("Bash", input, "All done.")
    }

    /// Makes both accounts known, and tells the stand-in how they answer.
    pub fn add_accounts(&self) {
        for account in self.accounts() {
            account.usually(self.tool_and_words());
            let words = std::iter::repeat_with(|| Answer::text("A word."));
            account.when(PLAIN, words.take(PROMPTS * 4));
            add_account(&self.world, self.home.path(), &self.api, account);
        }
    }

    /// Queues these prompts.
    pub fn ask(&mut self, prompts: Range<usize>) {
        for n in prompts {
            let uses_tool = n % PLAIN_EVERY != 0;
            let words = if uses_tool { TOOL } else { PLAIN };
            let place = if n < EARLY {
                n
            } else {
                EARLY + (n - EARLY) / 2
            };
            // Who shares a directory shares the account: else a held account would keep the other from its probe.
            let account = self.accounts()[place % 2].name().to_owned();
            let dir = self.home.path().join(format!("project-{place:02}"));
            std::fs::create_dir_all(&dir).unwrap();
            let env = json!({"PATH": std::env::var("PATH").unwrap(), "HOME": self.home.path()});
            let id = self.world.submit_with(json!({
                "name": format!("prompt-{n:02}"),
                "prompt": {"text": format!("{words}, number {n:02}."), "account": account, "model": MODEL},
                "cwd": dir,
                "env": env,
                "priority": PRIORITIES[n % PRIORITIES.len()],
            }));
            self.tasks.push(Asked {
                id,
                account,
                uses_tool,
            });
        }
    }

    /// What the daemon knows of an account.
    pub fn known(&self, account: &Account) -> Value {
        let all = self.world.ask("GET", "/accounts", None);
        let mut all = all.as_array().unwrap().iter();
        let known = all.find(|known| known["name"] == account.name());
        known.cloned().unwrap_or_default()
    }

    /// Waits until the account is held for this, alone or among others; the hold.
    pub fn wait_held(&self, account: &Account, kind: &str) -> Value {
        self.wait(&format!("{} is held: {kind}", account.name()), |night| {
            let holds = night.known(account)["holds"].clone();
            let mut holds = holds.as_array()?.iter();
            holds.find(|hold| hold["kind"] == kind).cloned()
        })
    }

    /// Waits until nothing holds the account.
    pub fn wait_open(&self, account: &Account) {
        self.wait(&format!("{} is open", account.name()), |night| {
            (night.known(account)["holds"] == json!([])).then_some(())
        });
    }

    /// Ids of tasks in this state.
    pub fn in_state(&self, state: &str) -> BTreeSet<String> {
        let page = self
            .world
            .ask("GET", &format!("/tasks?limit=1000&state={state}"), None);
        let tasks = page["tasks"].as_array().unwrap().iter();
        tasks
            .map(|task| task["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits until at least so many tasks are completed.
    pub fn wait_completed(&self, count: usize) {
        // One after the other: each has the whole patience.
        for wanted in 1..=count {
            self.wait(&format!("{wanted} tasks are completed"), |night| {
                (night.in_state("completed").len() >= wanted).then_some(())
            });
        }
    }

    /// Waits for a condition.
    pub fn wait<T>(&self, what: &str, condition: impl Fn(&Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(value) = condition(self) {
                return value;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "waited in vain until {what}\n{}\n{}",
                self.world.ask("GET", "/accounts", None),
                self.world.story()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// From now on whoever asks gets this answer, which does not end and is recorded as `label`; waits until all slots wait.
    pub fn silence(&self, answer: Answer, label: &str) {
        self.api.trouble(Some(answer));
        self.wait("all that runs waits for an answer", |night| {
            let waiting = night
                .api
                .count(|request| request.main && request.answer == label);
            (waiting >= SLOTS).then_some(())
        });
    }

    /// The events of a task's journal.
    pub fn journal(&self, id: &str) -> Vec<Value> {
        let journal = self.world.ask("GET", &format!("/tasks/{id}/journal"), None);
        journal.as_array().unwrap().clone()
    }
}
