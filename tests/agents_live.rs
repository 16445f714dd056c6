//! Real Claude Code under the real daemon, against the stand-in for its API: prompts run to their end, limits are waited out
//! in the same agent session and cost no retry, and the ledger says what was served.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, and says where"
)]

#[expect(dead_code, reason = "of the kit, only where the program is")]
mod claude_kit;
mod common;
#[path = "claude_kit/known.rs"]
mod known;
mod messages_api;

use std::path::PathBuf;

use claude_kit::{MODEL, program};
use common::World;
use known::add_account;
use messages_api::account::{Billing, Login, Window};
use messages_api::answer::Answer;
use messages_api::server::{Account, Api};
use serde_json::{Value, json};

/// A daemon, the stand-in, and a home for the agent.
struct Night {
    api: Api,
    home: tempfile::TempDir,
    world: World,
}

impl Night {
    /// `None`, with the reason printed, where there is no real CLI. `settings` are added to the daemon's.
    fn new(what: &str, settings: &str) -> Option<Self> {
        let program = program(what)?;
        let settings = format!(
            "claude_cli_command = {:?}\nclaude_internal_retries = 0\nclaude_api_timeout_seconds = 20\n\
             retry_base_seconds = 1\nretry_max_seconds = 1\nrelease_interval_seconds = 0\n{settings}",
            program.to_str().unwrap()
        );
        let night = Self {
            api: Api::start(),
            home: tempfile::tempdir().unwrap(),
            world: World::new(&settings),
        };
        Some(night)
    }

    /// An account of the stand-in, known to the daemon under its name, with a login as a subscription has it.
    fn account(&self, name: &str) -> Account {
        let account = self.api.account(name);
        add_account(&self.world, self.home.path(), &self.api, &account);
        account
    }

    /// A directory to work in.
    fn project(&self, name: &str) -> PathBuf {
        let dir = self.home.path().join(format!("project-{name}"));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// Asks on this account, in a directory of its own.
    fn ask(&self, account: &Account, name: &str, prompt: Value) -> String {
        let mut asked = json!({"text": name, "account": account.name(), "model": MODEL});
        for (field, value) in prompt.as_object().unwrap() {
            asked[field] = value.clone();
        }
        let env = json!({"PATH": std::env::var("PATH").unwrap(), "HOME": self.home.path()});
        self.world.submit_with(json!({
            "name": name,
            "prompt": asked,
            "cwd": self.project(name),
            "env": env,
        }))
    }

    /// What the daemon knows of an account.
    fn known(&self, account: &Account) -> Value {
        let all = self.world.ask("GET", "/accounts", None);
        let mut all = all.as_array().unwrap().iter();
        all.find(|known| known["name"] == account.name())
            .cloned()
            .unwrap_or_default()
    }

    fn journal(&self, id: &str) -> Vec<Value> {
        let journal = self.world.ask("GET", &format!("/tasks/{id}/journal"), None);
        journal.as_array().unwrap().clone()
    }

    /// The sessions of a task's attempts, in their order.
    fn sessions(&self, id: &str) -> Vec<String> {
        self.journal(id)
            .iter()
            .filter_map(|row| row["event"]["run"]["session"].as_str())
            .map(str::to_owned)
            .collect()
    }
}

fn kind(task: &Value) -> &str {
    task["outcome"]["kind"].as_str().unwrap_or_default()
}

#[test]
fn a_prompt_runs_to_its_end_with_its_session_and_its_cost() {
    let Some(mut night) = Night::new("a prompt", "") else {
        return;
    };
    night.world.start();
    let account = night.account("work");
    account.next(Answer::text("All done."));
    let id = night.ask(&account, "plain", json!({}));
    let task = night.world.wait_final(&id);
    assert_eq!(
        (task["state"].as_str(), kind(&task)),
        (Some("completed"), "succeeded"),
        "{}",
        night.world.story()
    );
    let agent = &task["agent"];
    assert_eq!(
        agent["session"].as_str(),
        night.sessions(&id).first().map(String::as_str)
    );
    assert_eq!(agent["model_from"], "submitter");
    assert_eq!(agent["report"]["version"], claude_kit::VERSION);
    let spent = agent["spent_micro_usd"].as_u64().unwrap();
    assert!(spent > 0, "{agent}");
    let costs = night.world.ask("GET", &format!("/costs?task={id}"), None);
    assert_eq!(costs[0]["micro_usd"], spent, "{costs}");
    let served = account.served();
    assert_eq!(
        costs[0]["tokens"]["output"], served.output,
        "{costs} {served:?}"
    );
}

#[test]
fn people_read_words_and_the_events_are_kept() {
    let Some(mut night) = Night::new("words", "") else {
        return;
    };
    night.world.start();
    let account = night.account("work");
    account.next(Answer::text("All done.\nReally."));
    let id = night.ask(&account, "words", json!({}));
    night.world.wait_final(&id);
    let said = |arguments: &[&str]| {
        let output = night.world.taskctl(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let session = &night.sessions(&id)[0];
    let words = format!("[{MODEL}, session {session}]\nAll done.\nReally.\n[done: 1 turn]\n");
    assert_eq!(said(&["task", "logs", &id]), words);
    assert_eq!(said(&["task", "logs", "-f", &id]), words);
    for screen in [
        &["task", "result", &id][..],
        &["task", "show", "--show-logs", &id],
    ] {
        let shown = said(screen);
        assert!(
            shown.contains("\nAll done.\nReally.\n[done: 1 turn]\n"),
            "{shown}"
        );
        assert!(!shown.contains("{\"type\""), "{shown}");
    }
    for line in said(&["task", "logs", "--raw", &id]).lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(event["type"].is_string(), "{line}");
    }
}

#[test]
fn a_limit_is_waited_out_in_the_same_session_through_a_killed_daemon_and_costs_no_retry() {
    let Some(mut night) = Night::new("a limit", "") else {
        return;
    };
    night.world.start();
    let account = night.account("work");
    account.limit(Window::FiveHour, Some(7));
    let id = night.ask(&account, "limited", json!({}));
    let task = night.world.wait_state(&id, "waiting_unban");
    assert_eq!(kind(&task), "limited");
    let hold = &night.known(&account)["holds"][0];
    assert_eq!(hold["kind"], "five_hour", "{}", night.world.story());
    assert!(!hold["until"].is_null());
    // Nobody starts beside it, not even who was submitted later.
    let later = night.ask(&account, "later", json!({}));
    night.world.kill_daemon();
    night.world.start();
    assert_eq!(night.known(&account)["holds"][0]["until"], hold["until"]);
    assert_eq!(night.world.task(&later)["attempt"], 0);
    let task = night.world.wait_final(&id);
    assert_eq!(task["state"], "completed", "{}", night.world.story());
    assert_eq!(task["retries"], 0);
    let sessions = night.sessions(&id);
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    assert_eq!(sessions[0], sessions[1], "the same agent session");
    assert_eq!(night.world.wait_final(&later)["state"], "completed");
    assert_eq!(night.known(&account)["holds"], json!([]));
}

#[test]
fn under_a_hold_one_probe_starts_and_a_reset_that_moves_is_followed() {
    let Some(mut night) = Night::new("a probe", "num_workers = 4\n") else {
        return;
    };
    night.world.start();
    let account = night.account("work");
    // Long enough for four slow starts: a reset that has passed when it is heard of closes nothing.
    account.limit(Window::SevenDay, Some(10));
    let ids: Vec<String> = (0..4)
        .map(|n| night.ask(&account, &format!("t{n}"), json!({})))
        .collect();
    night.world.wait_for("the limit is known", |_| {
        (night.known(&account)["holds"][0]["kind"] == "weekly").then_some(())
    });
    // The wall moves: the probe runs into it again, alone.
    account.limit(Window::SevenDay, Some(16));
    let before = night.api.turns().len();
    night.world.wait_for("a probe was refused", |_| {
        let holds = night.known(&account)["holds"].clone();
        (night.api.turns().len() > before
            && holds[0]["kind"] == "weekly"
            && night.known(&account)["probing"] == false)
            .then_some(())
    });
    assert_eq!(
        night.api.turns().len(),
        before + 1,
        "one probe, and nothing else"
    );
    for id in &ids {
        let task = night.world.wait_final(id);
        assert_eq!(
            (task["state"].as_str(), &task["retries"]),
            (Some("completed"), &json!(0)),
            "{}",
            night.world.story()
        );
    }
}

#[test]
fn what_only_a_person_can_mend_closes_the_account_until_a_person_acts() {
    let Some(mut night) = Night::new("a dead login", "") else {
        return;
    };
    night.world.start();
    let account = night.account("work");
    account.change(|state| state.login = Login::Invalid);
    let id = night.ask(&account, "dead", json!({}));
    night.world.wait_state(&id, "waiting_unban");
    let hold = &night.known(&account)["holds"][0];
    assert_eq!(
        (hold["kind"].as_str(), &hold["until"]),
        (Some("login"), &Value::Null)
    );
    let attention = |night: &Night| {
        let status = night.world.ask("GET", "/status", None);
        status["attention"].to_string()
    };
    assert!(attention(&night).contains("login"), "{}", attention(&night));
    // Another account has the same trouble. A person is told of both, also by the next daemon, and of the one that is left.
    let other = night.account("other");
    let closed = night
        .world
        .taskctl(&["limits", "set", "other", "--kind", "login"]);
    assert!(closed.status.success(), "{closed:?}");
    night.world.kill_daemon();
    night.world.start();
    for name in ["work", "other"] {
        night
            .world
            .wait_for(&format!("a person is told of {name}"), |_| {
                attention(&night)
                    .contains(&format!("account {name} "))
                    .then_some(())
            });
    }
    let cleared = night.world.taskctl(&["limits", "clear", other.name()]);
    assert!(cleared.status.success(), "{cleared:?}");
    let left = attention(&night);
    assert!(left.contains("work") && !left.contains("other"), "{left}");
    account.change(|state| state.login = Login::Good);
    let cleared = night.world.taskctl(&["limits", "clear", "work"]);
    assert!(cleared.status.success(), "{cleared:?}");
    let task = night.world.wait_final(&id);
    assert_eq!(
        (task["state"].as_str(), &task["retries"]),
        (Some("completed"), &json!(0))
    );
}

#[test]
fn a_cut_of_the_network_burns_no_retries() {
    let Some(mut night) = Night::new("a network cut", "") else {
        return;
    };
    night.world.start();
    let account = night.account("work");
    night.api.refuse();
    let id = night.ask(&account, "cut", json!({}));
    night.world.wait_for("the cut is known", |_| {
        (night.known(&account)["holds"][0]["kind"] == "network").then_some(())
    });
    night.api.accept_again();
    let cleared = night.world.taskctl(&["limits", "clear", "work"]);
    assert!(cleared.status.success());
    let task = night.world.wait_final(&id);
    assert_eq!(
        (task["state"].as_str(), &task["retries"]),
        (Some("completed"), &json!(0)),
        "{}",
        night.world.story()
    );
}

#[test]
fn ends_of_their_own_are_told_apart() {
    let Some(mut night) = Night::new("ends", "num_workers = 4\nmax_retries = 0\n") else {
        return;
    };
    night.world.start();
    let account = night.account("work");
    account.when(
        "denied",
        [
            Answer::bash("wget http://127.0.0.1:9/"),
            Answer::text("I could not."),
        ],
    );
    account.when("refusal", [Answer::refusal(), Answer::refusal()]);
    account.when("long", [Answer::context_too_long()]);
    account.when("turns", (0..4).map(|n| Answer::bash(format!("ls -{n}"))));
    let wanted = [
        ("denied", json!({}), "tools_denied", "needs_human_review"),
        ("refusal", json!({}), "refused", "failed"),
        ("long", json!({}), "prompt_too_long", "failed"),
        (
            "turns",
            json!({"args": ["--max-turns", "2"]}),
            "max_turns",
            "failed",
        ),
    ];
    let ids: Vec<String> = wanted
        .iter()
        .map(|(name, prompt, _, _)| night.ask(&account, name, prompt.clone()))
        .collect();
    for (id, (name, _, outcome, state)) in ids.iter().zip(&wanted) {
        let task = night.world.wait_state(id, state);
        assert_eq!(
            kind(&task),
            *outcome,
            "{name}: {task}\n{}",
            night.world.output(id)
        );
    }
    account.change(|state| state.billing = Billing::CreditTooLow);
    let id = night.ask(&account, "credit", json!({}));
    night.world.wait_state(&id, "waiting_unban");
    assert_eq!(night.known(&account)["holds"][0]["kind"], "credit");
}

#[test]
fn chunks_are_asked_one_after_the_other_and_a_pause_goes_on_at_its_chunk() {
    let Some(mut night) = Night::new("chunks", "") else {
        return;
    };
    night.world.start();
    let account = night.account("work");
    let id = night.ask(
        &account,
        "chunks",
        json!({"text": "Document {chunk}", "chunks": ["one.rs", "two.rs", "three.rs"]}),
    );
    let task = night.world.wait_final(&id);
    assert_eq!(task["state"], "completed", "{}", night.world.story());
    assert_eq!(
        (&task["agent"]["chunk"], &task["retries"]),
        (&json!(2), &json!(0))
    );
    let asked: Vec<String> = night
        .api
        .turns()
        .iter()
        .map(|turn| turn.last_user.clone())
        .collect();
    for (turn, name) in asked.iter().zip(["one.rs", "two.rs", "three.rs"]) {
        assert!(turn.contains(&format!("Document {name}")), "{asked:?}");
    }
    assert_eq!(night.sessions(&id).len(), 3);
}

#[test]
fn a_command_line_of_the_agent_is_driven_and_says_what_was_added() {
    let Some(mut night) = Night::new("a command line", "") else {
        return;
    };
    night.world.start();
    let account = night.api.account("own");
    account.next(Answer::text("Hello."));
    let env = json!({
        "PATH": std::env::var("PATH").unwrap(),
        "HOME": night.home.path(),
        "ANTHROPIC_BASE_URL": night.api.url(),
        "ANTHROPIC_API_KEY": account.key(),
    });
    let id = night.world.submit_with(json!({
        "name": "line",
        "command": format!("claude -p 'say hello' --model {MODEL} --max-turns 3"),
        "cwd": night.project("line"),
        "env": env,
    }));
    let task = night.world.wait_final(&id);
    assert_eq!(task["state"], "completed", "{}", night.world.story());
    let command = &task["command"];
    assert_eq!(
        (&command["prompt"], &command["model"]),
        (&json!("say hello"), &json!(MODEL))
    );
    assert!(
        command["added"].to_string().contains("stream-json"),
        "{command}"
    );
    assert_eq!(task["agent"]["model_from"], "submitter");
    assert_eq!(night.api.turns()[0].last_user.trim(), "say hello");
}
