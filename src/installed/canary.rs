//! Whether the installed Claude Code keeps the contract that its driver relies on: a few short runs against an answerer of
//! our own, each read by the driver itself, so that what is checked is what is relied on.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::answerer::{Answerer, Script};
use super::contract::{Clause, Contract};
use super::look;
use super::scratch::{Scratch, session_id};
use crate::agent::claude::{
    Bounds, Options, PermissionMode, Resume, Start, environment, installed,
};
use crate::agent::{Driver, ProcessEnd, Reading, Standing, Verdict, Version};
use crate::process::{Question, Reply, ask, now};
use crate::task::{BlockKind, OutcomeKind};

/// Longest time of one run: they take about a second each, and much longer on a machine that is overloaded.
const RUN_LIMIT_MS: u64 = 120_000;
/// As much of a run's output is read.
const OUTPUT_MAX_BYTES: usize = 4 * 1024 * 1024;
/// How long a request may wait for its answer to begin.
const API_TIMEOUT_MS: u64 = 20_000;
/// The model that is asked for: an alias that every version knows.
const MODEL: &str = "sonnet";
/// What the first run is asked; the second one must bring it along.
const FIRST_PROMPT: &str = "Say the word ready. This is a contract check.";
const SECOND_PROMPT: &str = "Say it again.";
/// More than a run here can cost, and less than one costs, in millionths of a US dollar.
const AMPLE_MICRO_USD: u64 = 5_000_000;
const TOO_LITTLE_MICRO_USD: u64 = 1;
/// How far ahead the limit's reset is.
const RESET_AFTER_S: i64 = 7_200;
const MS_PER_SECOND: i64 = 1_000;
/// A credential that no server knows, in the form that a subscription has it.
const CREDENTIAL: &str = "contract-check-no-credential";

/// Beginnings of variables that would lead the program to a login, a server or settings of its user's.
const OF_THE_USER: [&str; 4] = ["ANTHROPIC_", "CLAUDE", "AWS_", "GOOGLE_"];
/// Ends of variables that would lead requests away from loopback, in any case.
const PROXY: &str = "_PROXY";

/// The check could not be made: the machine's fault, which says nothing about the program.
#[derive(Debug, thiserror::Error)]
#[error("the contract of {} cannot be checked: {source}", program.display())]
pub struct CanaryError {
    /// The program.
    pub program: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Checks the program in the environment of a task, without what leads to its user's login: a program that is a small script
/// needs it to find the one that it starts. Takes some seconds, and at most ten minutes. Blocking.
///
/// # Errors
/// [`CanaryError`] when nothing is known because the machine did not let us look.
pub fn check(program: &Path, env: &BTreeMap<String, String>) -> Result<Contract, CanaryError> {
    let mut checking = Checking::new(program, env).map_err(|source| CanaryError {
        program: program.to_owned(),
        source,
    })?;
    checking.all().map_err(|source| CanaryError {
        program: program.to_owned(),
        source,
    })?;
    let Checking {
        version, clauses, ..
    } = checking;
    Ok(Contract {
        version,
        standing: Standing::of(version, Some(installed::TRIED)),
        clauses,
    })
}

struct Checking<'a> {
    program: &'a Path,
    answerer: Answerer,
    scratch: Scratch,
    env: BTreeMap<String, String>,
    version: Option<Version>,
    clauses: Vec<Clause>,
}

/// One run, and what the driver makes of it.
struct Run {
    reply: Reply,
    verdict: Verdict,
    requests: Vec<Value>,
}

impl<'a> Checking<'a> {
    fn new(program: &'a Path, env: &BTreeMap<String, String>) -> io::Result<Self> {
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
            version: None,
            clauses: Vec::new(),
        })
    }

    fn clause(&mut self, name: &str, what: &str, found: Result<(), String>) {
        self.clauses.push(Clause {
            name: name.to_owned(),
            what: what.to_owned(),
            kept: found.is_ok(),
            found: found.err().unwrap_or_default(),
        });
    }

    fn all(&mut self) -> io::Result<()> {
        if !self.version_is_told() {
            return Ok(());
        }
        let session = session_id()?;
        let options = Options {
            model: Some(MODEL.to_owned()),
            permission_mode: Some(PermissionMode::AcceptEdits),
            allowed_tools: vec!["Read".to_owned()],
            max_turns: Some(3),
            max_budget_micro_usd: Some(AMPLE_MICRO_USD),
            ..Options::default()
        };
        let first = self.start(&session, &options)?;
        self.first_run(&session, &first);
        if first.reply.timed_out {
            // The others would hang as well.
            return Ok(());
        }
        let argv = resume(&session, &options);
        let second = self.run(&argv, &session, true)?;
        self.second_run(&session, &first, &second);
        let poor = Options {
            max_budget_micro_usd: Some(TOO_LITTLE_MICRO_USD),
            ..options.clone()
        };
        let third = self.start(&session_id()?, &poor)?;
        let kept =
            ended_as(&third, OutcomeKind::MaxBudget).and_then(|()| exits_with_an_error(&third));
        self.clause(
            "budget",
            "--max-budget-usd ends a run that costs more, and the result says so",
            kept,
        );
        let nobody = session_id()?;
        let fourth = self.run(&resume(&nobody, &options), &nobody, true)?;
        let kept = ended_as(&fourth, OutcomeKind::UnknownSession)
            .and_then(|()| exits_with_an_error(&fourth));
        self.clause(
            "unknown_session",
            "a session that does not exist is told as such",
            kept,
        );
        self.limit(&options)
    }

    /// `false` = nothing more is worth a try.
    fn version_is_told(&mut self) -> bool {
        let args = installed::VERSION_ARGS.map(str::to_owned);
        let told = look::version(self.program, &args, &self.env);
        self.version = told.as_ref().ok().copied();
        let standing = Standing::of(self.version, Some(installed::TRIED));
        let oldest = installed::TRIED.oldest;
        let found = told.and_then(|version| match standing {
            Standing::TooOld => Err(format!("{version} is too old: install {oldest} or newer")),
            Standing::Tried | Standing::Newer | Standing::Unknown => Ok(()),
        });
        let goes_on = found.is_ok();
        self.clause(
            "version",
            &format!("--version tells a version, {oldest} or newer"),
            found,
        );
        goes_on
    }

    fn first_run(&mut self, session: &str, run: &Run) {
        let ended = if run.reply.timed_out {
            Err("with nothing on its standard input it did not end".to_owned())
        } else {
            Ok(())
        };
        self.clause(
            "stdin",
            "a run without standard input begins and ends",
            ended,
        );
        let events = events(&run.reply.stdout);
        let found = |kind: &str| {
            let (kind, subtype) = kind.split_once('/').unwrap_or((kind, ""));
            let events = events.as_ref().map_err(Clone::clone)?;
            let event = events.iter().find(|event| {
                text(event, "type") == kind
                    && (subtype.is_empty() || text(event, "subtype") == subtype)
            });
            event.ok_or_else(|| {
                let how = look::what_happened(&run.reply);
                format!("there was no {kind} event ({how})")
            })
        };
        let init = found("system/init");
        let both = init.clone().and_then(|_| found("result")).map(drop);
        self.clause(
            "events",
            "-p --output-format stream-json --verbose prints JSON objects, with system/init and result",
            both,
        );
        for (name, what, key, wanted) in [
            ("session", "--session-id is taken", "session_id", session),
            (
                "permission_mode",
                "--permission-mode is taken",
                "permissionMode",
                PermissionMode::AcceptEdits.name(),
            ),
        ] {
            let kept = init.clone().and_then(|init| {
                let said = text(init, key);
                expect(said == wanted, || {
                    format!("{key} is {said:?}, not {wanted:?}")
                })
            });
            self.clause(name, what, kept);
        }
        let asked = run
            .requests
            .iter()
            .any(|body| text(body, "model").contains(MODEL));
        self.clause(
            "model",
            "--model is asked for",
            expect(asked, || format!("no request asked for {MODEL}")),
        );
        self.first_end(run);
    }

    fn first_end(&mut self, run: &Run) {
        let kept = ended_as(run, OutcomeKind::Succeeded).and_then(|()| {
            expect(run.reply.exit_code == Some(0), || {
                look::what_happened(&run.reply)
            })
        });
        self.clause(
            "success",
            "a result without an error, and exit code 0",
            kept,
        );
        let cost = run.verdict.report.cost_micro_usd;
        self.clause(
            "cost",
            "the result tells what the run has cost",
            expect(cost.is_some_and(|cost| cost > 0), || {
                format!("the cost is {cost:?}")
            }),
        );
    }

    fn second_run(&mut self, session: &str, first: &Run, run: &Run) {
        let said = run.verdict.report.session.clone().unwrap_or_default();
        let remembers = run
            .requests
            .iter()
            .any(|body| body.to_string().contains(FIRST_PROMPT));
        let kept = ended_as(run, OutcomeKind::Succeeded)
            .and_then(|()| {
                expect(said == session, || {
                    format!("the session is {said:?}, not {session:?}")
                })
            })
            .and_then(|()| {
                expect(remembers, || {
                    "the conversation did not go on: what was asked before is gone".to_owned()
                })
            });
        self.clause("resume", "--resume goes on in the same session", kept);
        let cost = |run: &Run| run.verdict.report.cost_micro_usd.unwrap_or(0);
        // The answers are alike: twice as much would be the session's total.
        let (before, after) = (cost(first), cost(run));
        let kept = after > 0 && after < before.saturating_mul(2);
        self.clause(
            "cost_of_the_run",
            "the cost of a resumed run is its own, not the session's",
            expect(kept, || {
                format!("like runs cost {before} and {after} millionths of a dollar")
            }),
        );
    }

    fn limit(&mut self, options: &Options) -> io::Result<()> {
        let reset = now().as_ms() / MS_PER_SECOND + RESET_AFTER_S;
        self.answerer.say(Script::FiveHourLimit(reset));
        let run = self.start(&session_id()?, options)?;
        let block = run.verdict.report.block.clone();
        let until = block.as_ref().and_then(|block| block.until);
        let kept = ended_as(&run, OutcomeKind::Limited)
            .and_then(|()| exits_with_an_error(&run))
            .and_then(|()| {
                let kind = block.map(|block| block.kind);
                expect(kind == Some(BlockKind::FiveHour), || {
                    format!("it was taken for {kind:?}")
                })
            })
            .and_then(|()| {
                let told = until.map(|until| until.as_ms() / MS_PER_SECOND);
                expect(told == Some(reset), || {
                    format!("its reset was read as {told:?}, not {reset}")
                })
            });
        self.clause(
            "limit",
            "a usage limit ends the run at once, and says which one and until when",
            kept,
        );
        Ok(())
    }

    fn start(&mut self, session: &str, options: &Options) -> io::Result<Run> {
        let start = Start {
            session,
            prompt: FIRST_PROMPT,
            options,
        };
        let argv = start.argv().map_err(io::Error::other)?;
        self.run(&Ok(argv), session, false)
    }

    fn run(
        &self,
        argv: &Result<Vec<String>, String>,
        session: &str,
        resumed: bool,
    ) -> io::Result<Run> {
        let argv = argv.as_ref().map_err(|why| io::Error::other(why.clone()))?;
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

fn resume(session: &str, options: &Options) -> Result<Vec<String>, String> {
    let resume = Resume {
        session,
        prompt: Some(SECOND_PROMPT),
        options,
    };
    resume.argv().map_err(|error| error.to_string())
}

fn expect(kept: bool, found: impl FnOnce() -> String) -> Result<(), String> {
    if kept { Ok(()) } else { Err(found()) }
}

fn ended_as(run: &Run, wanted: OutcomeKind) -> Result<(), String> {
    let Verdict { kind, detail, .. } = &run.verdict;
    expect(*kind == wanted, || {
        let how = look::what_happened(&run.reply);
        format!("a run ended as {kind:?} ({detail}) where {wanted:?} was due; {how}")
    })
}

fn exits_with_an_error(run: &Run) -> Result<(), String> {
    expect(run.reply.exit_code.is_some_and(|code| code != 0), || {
        look::what_happened(&run.reply)
    })
}

fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The events of an output.
fn events(stdout: &[u8]) -> Result<Vec<Value>, String> {
    let lines = stdout.split(|byte| *byte == b'\n');
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

#[cfg(test)]
mod tests {
    use super::*;

    fn program(dir: &Path, script: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = dir.join("claude");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn broken(script: &str) -> (String, usize) {
        let dir = tempfile::tempdir().unwrap();
        let path = std::env::var("PATH").unwrap();
        let env = BTreeMap::from([("PATH".to_owned(), path)]);
        let contract = check(&program(dir.path(), script), &env).unwrap();
        assert!(!contract.is_kept());
        (contract.broken(), contract.clauses.len())
    }

    #[test]
    fn an_old_program_and_one_without_a_version_are_told_before_any_run() {
        let (line, clauses) = broken("echo '2.1.100 (Claude Code)'");
        assert!(
            line.contains("2.1.100 is too old: install 2.1.197 or newer"),
            "{line}"
        );
        assert_eq!(clauses, 1);
        let (line, clauses) = broken("echo hello");
        assert!(line.contains("tells no version"), "{line}");
        assert_eq!(clauses, 1);
    }

    #[test]
    fn a_check_has_its_tasks_environment_and_nothing_of_a_login() {
        let dir = tempfile::tempdir().unwrap();
        let said = dir.path().join("said");
        let script = format!(
            "[ \"$1\" = --version ] && echo 2.1.329 && exit; env >> {}",
            said.display()
        );
        let env = [
            ("PATH", std::env::var("PATH").unwrap().as_str()),
            ("HOME", "/home/somebody"),
            ("VOLTA_HOME", "/opt/volta"),
            ("ANTHROPIC_API_KEY", "secret-key"),
            ("CLAUDE_CODE_USE_BEDROCK", "1"),
            ("AWS_PROFILE", "secret-profile"),
            ("https_proxy", "http://secret-proxy"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        check(&program(dir.path(), &script), &env.into()).unwrap();
        let said = std::fs::read_to_string(said).unwrap();
        for line in ["HOME=/home/somebody", "VOLTA_HOME=/opt/volta"] {
            assert!(said.lines().any(|there| there == line), "{said}");
        }
        assert!(
            !said.contains("secret") && !said.contains("BEDROCK"),
            "{said}"
        );
        let bases = said
            .lines()
            .filter(|line| line.starts_with("ANTHROPIC_BASE_URL="));
        assert!(bases.clone().count() > 3, "{said}");
        assert!(
            bases.clone().all(|line| line.contains("http://127.0.0.1:")),
            "{said}"
        );
    }

    #[test]
    fn a_program_that_says_nothing_breaks_the_contract_in_words() {
        let script = r#"[ "$1" = --version ] && echo '2.1.329 (Claude Code)'; exit 0"#;
        let (line, clauses) = broken(script);
        assert!(
            line.starts_with("2.1.329: events: there was no system event") && !line.contains('\n'),
            "{line}"
        );
        assert!(clauses > 8);
    }
}
