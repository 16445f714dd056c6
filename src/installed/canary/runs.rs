//! The runs of a check: in directories and an environment of its own, against an answerer on loopback, read by the driver.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde_json::Value;

use crate::agent::claude::{Bounds, Options, Resume, Start, environment};
use crate::agent::{Driver, ProcessEnd, Reading, Verdict};
use crate::installed::answerer::{Answerer, Script};
use crate::installed::look;
use crate::installed::scratch::Scratch;
use crate::process::{Question, Reply, ask, now};
use crate::task::OutcomeKind;

/// Longest time of one run: they take about a second each, and much longer on a machine that is overloaded.
const RUN_LIMIT_MS: u64 = 120_000;
/// As much of a run's output is read.
const OUTPUT_MAX_BYTES: usize = 4 * 1024 * 1024;
/// How long a request may wait for its answer to begin.
const API_TIMEOUT_MS: u64 = 20_000;
/// What the first run is asked; the second one must bring it along.
pub(super) const FIRST_PROMPT: &str = "Say the word ready. This is a contract check.";
const SECOND_PROMPT: &str = "Say it again.";
/// A credential that no server knows, in the form that a subscription has it.
const CREDENTIAL: &str = "contract-check-no-credential";

/// Beginnings of variables that would lead the program to a login, a server or settings of its user's.
const OF_THE_USER: [&str; 4] = ["ANTHROPIC_", "CLAUDE", "AWS_", "GOOGLE_"];
/// Ends of variables that would lead requests away from loopback, in any case.
const PROXY: &str = "_PROXY";

/// What the runs have in common.
pub(super) struct Runs<'a> {
    pub(super) program: &'a Path,
    pub(super) answerer: Answerer,
    scratch: Scratch,
    pub(super) env: BTreeMap<String, String>,
}

/// One run, and what the driver makes of it.
pub(super) struct Run {
    pub(super) reply: Reply,
    pub(super) verdict: Verdict,
    pub(super) requests: Vec<Value>,
}

impl<'a> Runs<'a> {
    /// Nothing runs yet.
    pub(super) fn new(program: &'a Path, env: &BTreeMap<String, String>) -> io::Result<Self> {
        let answerer = Answerer::start(Script::Say("ready"))?;
        let scratch = Scratch::new()?;
        let bounds = Bounds {
            max_retries: 0,
            api_timeout_ms: API_TIMEOUT_MS,
            ..Bounds::default()
        };
        let config = scratch.text("config");
        let changes = environment(bounds, Some(&config));
        let stays = |name: &str| {
            let is_of_the_user = OF_THE_USER.iter().any(|begin| name.starts_with(begin));
            let is_proxy = name.to_ascii_uppercase().ends_with(PROXY);
            !is_of_the_user && !is_proxy && !changes.unset.contains(&name)
        };
        let mut env = env.clone();
        env.retain(|name, _| stays(name));
        env.entry("HOME".to_owned())
            .or_insert_with(|| scratch.text("home"));
        let set = changes.set.into_iter();
        env.extend(set.map(|(name, value)| (name.to_owned(), value)));
        for (name, value) in [
            ("ANTHROPIC_BASE_URL", answerer.url()),
            ("CLAUDE_CODE_OAUTH_TOKEN", CREDENTIAL.to_owned()),
            ("NO_PROXY", "127.0.0.1".to_owned()),
        ] {
            env.insert(name.to_owned(), value);
        }
        Ok(Self {
            program,
            answerer,
            scratch,
            env,
        })
    }

    /// A new session.
    pub(super) fn start(&self, session: &str, options: &Options) -> io::Result<Run> {
        let start = Start {
            session,
            prompt: FIRST_PROMPT,
            options,
        };
        let argv = start.argv().map_err(io::Error::other)?;
        self.run(&argv, session, false)
    }

    /// A session that goes on, or is to be unknown.
    pub(super) fn resume(&self, session: &str, options: &Options) -> io::Result<Run> {
        let resume = Resume {
            session,
            prompt: Some(SECOND_PROMPT),
            options,
        };
        let argv = resume.argv().map_err(io::Error::other)?;
        self.run(&argv, session, true)
    }

    fn run(&self, argv: &[String], session: &str, resumed: bool) -> io::Result<Run> {
        drop(self.answerer.take_requests());
        let reply = ask(&Question {
            program: self.program,
            args: argv,
            env: &self.env,
            cwd: &self.scratch.dir("work"),
            limit_ms: RUN_LIMIT_MS,
            output_max_bytes: OUTPUT_MAX_BYTES,
        })?;
        let mut reading = Reading::new(&Driver::Claude {
            session: session.to_owned(),
            resumed,
        });
        reading.stdout(&reply.stdout);
        reading.stderr(&reply.stderr);
        let verdict = reading.finish(&ProcessEnd {
            exit_code: reply.exit_code,
            signal: reply.signal,
            stop_sent: reply.timed_out,
            now: now(),
        });
        Ok(Run {
            reply,
            verdict,
            requests: self.answerer.take_requests(),
        })
    }
}

impl Run {
    /// Whether the driver calls its end this.
    pub(super) fn ended_as(&self, wanted: OutcomeKind) -> Result<(), String> {
        let Verdict { kind, detail, .. } = &self.verdict;
        expect(*kind == wanted, || {
            let how = look::what_happened(&self.reply);
            format!("a run ended as {kind:?} ({detail}) where {wanted:?} was due; {how}")
        })
    }

    /// Whether its exit code tells of an error.
    pub(super) fn exits_with_an_error(&self) -> Result<(), String> {
        expect(self.reply.exit_code.is_some_and(|code| code != 0), || {
            look::what_happened(&self.reply)
        })
    }

    /// The events of its output.
    pub(super) fn events(&self) -> Result<Vec<Value>, String> {
        let lines = self.reply.stdout.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.trim_ascii().is_empty());
        lines
            .map(|line| match serde_json::from_slice(line) {
                Ok(event @ Value::Object(_)) => Ok(event),
                Ok(_) | Err(_) => {
                    let line: String = String::from_utf8_lossy(line).chars().take(80).collect();
                    Err(format!("a line is no JSON object: {line:?}"))
                }
            })
            .collect()
    }
}

/// Kept, or what was found instead.
pub(super) fn expect(kept: bool, found: impl FnOnce() -> String) -> Result<(), String> {
    if kept { Ok(()) } else { Err(found()) }
}

/// A text of an event; empty = there is none.
pub(super) fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event.get(key).and_then(Value::as_str).unwrap_or_default()
}
