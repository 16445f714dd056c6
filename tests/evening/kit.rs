//! A daemon, the stand-in, and a home for the agent.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::claude_kit::{MODEL, program};
use crate::common::World;
use crate::known::add_account;
use crate::messages_api::server::{Account, Api};

/// A window that is full before a task is asked begins anew after so many seconds: later than the CLI, started on a busy machine,
/// has heard of it. A reset that lies in the past when a run ends at it says nothing, and the account waits for a minute.
pub const SOON_S: i64 = 12;

/// The evening.
pub struct Evening {
    pub api: Api,
    pub world: World,
    home: tempfile::TempDir,
}

impl Evening {
    /// `None`, with the reason printed, where there is no real CLI. `settings` are added to the daemon's.
    pub fn new(what: &str, settings: &str) -> Option<Self> {
        Self::with_program(what, &program(what)?, settings)
    }

    /// The same with another program in the real one's place, which starts that.
    pub fn with_program(what: &str, program: &Path, settings: &str) -> Option<Self> {
        // Where the real one is missing there is nothing to start.
        crate::claude_kit::program(what)?;
        let settings = format!(
            "claude_cli_command = {:?}\nclaude_internal_retries = 0\nclaude_allowed_tools = [\"Bash\"]\n\
             retry_base_seconds = 1\nretry_max_seconds = 1\n{settings}",
            program.to_str().unwrap()
        );
        let mut evening = Self {
            api: Api::start(),
            world: World::new(&settings),
            home: tempfile::tempdir().unwrap(),
        };
        evening.world.start();
        Some(evening)
    }

    /// An account of the stand-in, known to the daemon under its name, with a login as a subscription has it.
    pub fn account(&self, name: &str) -> Account {
        let account = self.api.account(name);
        add_account(&self.world, self.home.path(), &self.api, &account);
        account
    }

    /// A directory to work in.
    pub fn project(&self, name: &str) -> PathBuf {
        let dir = self.home.path().join(format!("project-{name}"));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// Asks on this account, in a directory of its own.
    pub fn ask(&self, account: &Account, name: &str, more: Value) -> String {
        let mut task = json!({
            "name": name,
            "prompt": {"text": name, "account": account.name(), "model": MODEL},
            "cwd": self.project(name),
            "env": self.env(),
        });
        for (field, value) in more.as_object().unwrap() {
            task[field] = value.clone();
        }
        self.world.submit_with(task)
    }

    /// What a submitter's shell has.
    pub fn env(&self) -> Value {
        json!({"PATH": std::env::var("PATH").unwrap(), "HOME": self.home.path()})
    }

    /// What the daemon knows of an account.
    pub fn known(&self, account: &Account) -> Value {
        let all = self.world.ask("GET", "/accounts", None);
        let mut all = all.as_array().unwrap().iter();
        let known = all.find(|known| known["name"] == account.name());
        known.cloned().unwrap_or_default()
    }

    /// Waits until the account is held for this; the hold.
    pub fn wait_held(&self, account: &Account, kind: &str) -> Value {
        self.world.wait_for(&format!("held: {kind}"), |_| {
            let holds = self.known(account)["holds"].clone();
            let mut holds = holds.as_array()?.iter();
            holds.find(|hold| hold["kind"] == kind).cloned()
        })
    }

    /// Waits until nothing holds the account.
    pub fn wait_open(&self, account: &Account) {
        self.world
            .wait_for(&format!("{} is open", account.name()), |_| {
                (self.known(account)["holds"] == json!([])).then_some(())
            });
    }

    /// A person knows that the account is open.
    pub fn clear(&self, account: &Account) {
        let cleared = self.world.taskctl(&["limits", "clear", account.name()]);
        assert!(cleared.status.success(), "{cleared:?}");
    }

    /// Waits until the task is done: without a retry, in this one session.
    pub fn wait_done(&self, id: &str) -> Value {
        let task = self.world.wait_final(id);
        assert_eq!(
            (&task["state"], &task["retries"]),
            (&json!("completed"), &json!(0)),
            "{task}\n{}\n{}",
            self.world.story(),
            self.world.output(id)
        );
        task
    }

    /// The sessions of a task's attempts, in their order.
    pub fn sessions(&self, id: &str) -> Vec<String> {
        self.events(id)
            .iter()
            .filter_map(|event| event["run"]["session"].as_str())
            .map(str::to_owned)
            .collect()
    }

    /// How its attempts ended, in their order.
    pub fn ends(&self, id: &str) -> Vec<String> {
        self.events(id)
            .iter()
            .filter(|event| event["event"] == "ended" || !event["outcome"].is_null())
            .filter_map(|event| event["outcome"]["kind"].as_str())
            .map(str::to_owned)
            .collect()
    }

    /// Events of a task's journal.
    fn events(&self, id: &str) -> Vec<Value> {
        let journal = self.world.ask("GET", &format!("/tasks/{id}/journal"), None);
        let rows = journal.as_array().unwrap().iter();
        rows.map(|row| row["event"].clone()).collect()
    }

    /// Requests of this account that were answered with `answer`.
    pub fn answered(&self, account: &Account, answer: &str) -> usize {
        self.api
            .count(|request| request.account == account.name() && request.answer == answer)
    }
}
