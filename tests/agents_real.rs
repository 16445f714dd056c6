//! The real Codex, Qwen Code, Gemini and OpenCode under the real daemon, against a stand-in for their servers, as their descriptions
//! in `config/agents/` say: a prompt, a session that goes on, limits that hold the account, and errors that an exit code of 0
//! hides.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, and says where"
)]

mod common;
mod openai_api;

use std::path::{Path, PathBuf};

use common::World;
use openai_api::{Answer, OpenAi};
use serde_json::{Value, json};

/// The versions that `scripts/lib.sh` pins.
const CODEX: &str = "codex-0.169.0";
const QWEN: &str = "qwen-code-0.15.10";
const GEMINI: &str = "gemini-cli-0.61.0";
const OPENCODE: &str = "opencode-1.18.33";

/// The directory of an installed agent, or none after a line that says so.
fn installed(package: &str, program: &str, what: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let agents = set("TEST_AGENTS_DIR").map(PathBuf::from).or_else(|| {
        let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))?;
        Some(cache.join("auto-claude-test"))
    });
    let dir = agents
        .map(|agents| agents.join(package))
        .unwrap_or_default();
    if dir.join(program).exists() {
        return Some(dir);
    }
    println!(
        "SKIPPED: {what}: {package} is not at {} (scripts/install-agents.sh installs it)",
        dir.display()
    );
    None
}

/// A daemon, the stand-in, and an account of the agent, known as `work`.
struct Night {
    agent: &'static str,
    api: OpenAi,
    home: tempfile::TempDir,
    world: World,
    path: String,
}

impl Night {
    fn new(agent: &'static str, bin: &Path) -> Self {
        let api = OpenAi::start();
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("config");
        for dir in [&config, &home.path().join("work")] {
            std::fs::create_dir(dir).unwrap();
        }
        let mut world =
            World::new("max_retries = 0\nrelease_interval_seconds = 0\nprobe = \"off\"\n");
        world.start();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let night = Self {
            agent,
            api,
            home,
            world,
            path,
        };
        night.add_account(&config);
        night
    }

    fn add_account(&self, config: &Path) {
        let key = self.home.path().join("key");
        std::fs::write(&key, "sk-standin").unwrap();
        let file = |name: &str| format!("{name}=file:{}", key.display());
        let mut arguments = [
            "account",
            "add",
            "work",
            "--agent",
            self.agent,
            "--config-dir",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.push(config.display().to_string());
        let url = self.api.url();
        let write = |name: &str, text: String| {
            let file = config.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, text).unwrap();
            file.display().to_string()
        };
        match self.agent {
            "codex" => {
                let settings = format!(
                    "model = \"gpt-standin\"\nmodel_provider = \"standin\"\n[model_providers.standin]\n\
                     name = \"standin\"\nbase_url = {url:?}\nenv_key = \"STANDIN_KEY\"\nwire_api = \"responses\"\n\
                     request_max_retries = 0\nstream_max_retries = 0\n"
                );
                write("config.toml", settings);
                arguments.extend(["--secret".to_owned(), file("STANDIN_KEY")]);
            }
            "qwen" => {
                // Its own tries of a failed request, which it makes in silence.
                let settings = json!({"model": {"generationConfig": {"maxRetries": 0}}});
                write("settings.json", settings.to_string());
                arguments.extend(["--secret".to_owned(), file("OPENAI_API_KEY")]);
                for (name, value) in [("OPENAI_BASE_URL", url.as_str()), ("OPENAI_MODEL", "m")] {
                    arguments.extend(["--env".to_owned(), format!("{name}={value}")]);
                }
            }
            "gemini" => {
                let settings = json!({"security": {"auth": {"selectedType": "gemini-api-key"}}});
                write(".gemini/settings.json", settings.to_string());
                arguments.extend(["--secret".to_owned(), file("GEMINI_API_KEY")]);
                let base = url.trim_end_matches("/v1");
                let base = format!("GOOGLE_GEMINI_BASE_URL={base}");
                arguments.extend(["--env".to_owned(), base]);
            }
            _ => {
                let options = json!({"baseURL": url, "apiKey": "{env:STANDIN_KEY}"});
                let provider = json!({"npm": "@ai-sdk/openai-compatible", "name": "standin", "options": options,
                    "models": {"m": {"name": "m"}}});
                let settings = json!({"provider": {"standin": provider}, "model": "standin/m",
                    "small_model": "standin/m"});
                let settings = write("opencode.json", settings.to_string());
                arguments.extend(["--secret".to_owned(), file("STANDIN_KEY")]);
                arguments.extend(["--env".to_owned(), format!("OPENCODE_CONFIG={settings}")]);
            }
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let added = self.world.taskctl(&arguments);
        assert!(added.status.success(), "{added:?}");
    }

    fn ask(&self, name: &str) -> String {
        self.world.submit_with(json!({
            "name": name,
            "prompt": {"text": format!("say {name}"), "agent": self.agent, "account": "work"},
            "cwd": self.home.path().join("work"),
            "env": {"PATH": self.path, "HOME": self.home.path()},
        }))
    }

    fn holds(&self) -> Value {
        let all = self.world.ask("GET", "/accounts", None);
        let mut all = all.as_array().unwrap().iter();
        let known = all.find(|known| known["name"] == "work").unwrap();
        known["holds"].clone()
    }

    fn clear(&self) {
        let cleared = self
            .world
            .taskctl(&["limits", "clear", "work", "--agent", self.agent]);
        assert!(cleared.status.success(), "{cleared:?}");
    }

    fn sessions(&self, id: &str) -> Vec<String> {
        let journal = self.world.ask("GET", &format!("/tasks/{id}/journal"), None);
        let rows = journal.as_array().unwrap().iter();
        rows.filter_map(|row| row["event"]["run"]["session"].as_str())
            .map(str::to_owned)
            .collect()
    }

    /// A prompt that is answered.
    fn plain(&self) {
        let id = self.ask("plain");
        let task = self.world.wait_final(&id);
        assert_eq!(
            (&task["state"], &task["outcome"]["kind"]),
            (&json!("completed"), &json!("succeeded")),
            "{task}\n{}\n{}",
            self.world.output(&id),
            self.world.story()
        );
        let report = &task["agent"]["report"];
        assert!(report["session"].is_string(), "{report}");
        let asked = self.api.asked();
        assert_eq!(
            asked[0].credential.trim_start_matches("Bearer "),
            "sk-standin"
        );
        assert!(asked[0].body.to_string().contains("say plain"));
        let costs = self.world.ask("GET", &format!("/costs?task={id}"), None);
        assert!(costs[0]["tokens"]["output"].as_u64() >= Some(20), "{costs}");
        // It is shown in words, and its events are kept.
        let words = self.world.taskctl(&["task", "logs", &id]);
        let words = String::from_utf8(words.stdout).unwrap();
        assert!(
            words.contains("Hello.") && !words.contains("{\"type\""),
            "{words}"
        );
    }

    /// A limit that holds the account: `refusal` is the server's, `kind` the hold's. Then the same session goes on.
    fn limited_and_resumed(&self, refusal: Answer, kind: &str) -> Value {
        self.api.answer(refusal);
        let id = self.ask("limited");
        let task = self.world.wait_state(&id, "waiting_unban");
        assert_eq!(
            (&task["outcome"]["kind"], &task["retries"]),
            (&json!("limited"), &json!(0)),
            "{task}\n{}",
            self.world.output(&id)
        );
        let hold = self.holds()[0].clone();
        assert_eq!(hold["kind"], kind, "{hold}\n{}", self.world.output(&id));
        self.api.answer(Answer::Say("Hello."));
        let before = self.api.asked().len();
        self.clear();
        let task = self.world.wait_final(&id);
        assert_eq!(
            (&task["state"], &task["retries"]),
            (&json!("completed"), &json!(0)),
            "{task}\n{}",
            self.world.output(&id)
        );
        let said = task["agent"]["report"]["session"]
            .as_str()
            .unwrap()
            .to_owned();
        let sessions = self.sessions(&id);
        // Gemini keeps nothing of a session whose first request was refused: it gets a new one.
        let tries = if self.agent == "gemini" { 3 } else { 2 };
        assert_eq!(sessions.len(), tries, "{sessions:?}");
        assert_eq!(
            sessions.last(),
            Some(&said),
            "the session that it had named went on"
        );
        let asked = self.api.asked();
        let text = asked[before].body.to_string();
        assert!(
            text.contains("say limited"),
            "what was asked before is known: {text}"
        );
        hold
    }

    /// An error that has an outcome of its own.
    fn fails(&self, name: &str, refusal: Answer, outcome: &str) {
        self.api.answer(refusal);
        let id = self.ask(name);
        let task = self.world.wait_final(&id);
        assert_eq!(
            (&task["state"], &task["outcome"]["kind"]),
            (&json!("failed"), &json!(outcome)),
            "{task}\n{}",
            self.world.output(&id)
        );
    }
}

#[test]
#[ignore = "machine: installs a large agent more"]
fn the_real_gemini_runs_and_waits_out_its_daily_quota() {
    let Some(bin) = installed(GEMINI, "gemini", "the real Gemini CLI") else {
        return;
    };
    let night = Night::new("gemini", &bin);
    night.plain();
    let violation = json!({"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"});
    let details = json!([{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}]);
    let more = json!({"code": 429, "status": "RESOURCE_EXHAUSTED", "details": details});
    let limit = Answer::Error(429, "quota", "Quota exceeded", more);
    night.limited_and_resumed(limit, "five_hour");
    night.fails(
        "model",
        Answer::error(404, "NOT_FOUND", "models/m is not found"),
        "model_unavailable",
    );
    night
        .api
        .answer(Answer::error(401, "UNAUTHENTICATED", "API key not valid"));
    let id = night.ask("login");
    night.world.wait_state(&id, "waiting_unban");
    assert_eq!(night.holds()[0]["kind"], "login");
}

#[test]
#[ignore = "machine: installs a large agent more"]
fn the_real_opencode_runs_and_waits_for_credit() {
    let Some(bin) = installed(OPENCODE, "opencode", "the real OpenCode") else {
        return;
    };
    let night = Night::new("opencode", &bin);
    night.plain();
    let limit = Answer::error(402, "insufficient_credits", "Credit is used up");
    night.limited_and_resumed(limit, "credit");
    night.fails(
        "model",
        Answer::error(404, "model_not_found", "The model m does not exist"),
        "model_unavailable",
    );
    night.api.answer(Answer::error(
        401,
        "invalid_api_key",
        "Incorrect API key provided",
    ));
    let id = night.ask("login");
    night.world.wait_state(&id, "waiting_unban");
    assert_eq!(night.holds()[0]["kind"], "login");
}

fn soon() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec + 7_200
}

#[test]
fn the_real_codex_runs_waits_out_limits_and_resumes() {
    let Some(bin) = installed(CODEX, "codex", "the real Codex") else {
        return;
    };
    let night = Night::new("codex", &bin);
    night.plain();
    let reset = soon();
    let limit = Answer::Error(
        429,
        "usage_limit_reached",
        "The usage limit has been reached",
        json!({"plan_type": "pro", "resets_at": reset}),
    );
    let hold = night.limited_and_resumed(limit, "weekly");
    // Codex tells the reset in words, to the minute.
    let until = hold["until"].as_str().unwrap();
    let until: auto_claude::task::Timestamp = until.parse().unwrap();
    let off = until.as_ms() / 1000 - reset;
    assert!((-60..=60).contains(&off), "{hold}: {off} s off");
    night.fails(
        "model",
        Answer::error(
            404,
            "model_not_found",
            "The model does not exist or you do not have access to it",
        ),
        "model_unavailable",
    );
    night.api.answer(Answer::error(
        429,
        "rate_limit_exceeded",
        "Rate limit reached for m",
    ));
    let id = night.ask("throttled");
    night.world.wait_state(&id, "waiting_unban");
    assert_eq!(night.holds()[0]["kind"], "throttle");
    night.api.answer(Answer::error(
        401,
        "invalid_api_key",
        "Incorrect API key provided",
    ));
    night.clear();
    night.world.wait_for("the dead login is known", |_| {
        (night.holds()[0]["kind"] == "login").then_some(())
    });
}

#[test]
fn the_real_qwen_runs_resumes_and_its_errors_are_no_success() {
    let Some(bin) = installed(QWEN, "qwen", "the real Qwen Code") else {
        return;
    };
    let night = Night::new("qwen", &bin);
    night.plain();
    let limit = Answer::error(403, "AllocationQuota", "Free allocated quota exceeded.");
    night.limited_and_resumed(limit, "five_hour");
    // All of these exit with 0 and say `is_error: false`.
    night.fails(
        "model",
        Answer::error(404, "model_not_found", "The model m does not exist"),
        "model_unavailable",
    );
    night.fails(
        "long",
        Answer::error(
            400,
            "context_length_exceeded",
            "This model's maximum context length is 10 tokens",
        ),
        "prompt_too_long",
    );
    night.fails(
        "odd",
        Answer::error(418, "teapot", "I am a teapot"),
        "agent_error",
    );
    night.api.answer(Answer::error(
        401,
        "invalid_api_key",
        "Incorrect API key provided",
    ));
    let id = night.ask("login");
    night.world.wait_state(&id, "waiting_unban");
    assert_eq!(night.holds()[0]["kind"], "login");
}
