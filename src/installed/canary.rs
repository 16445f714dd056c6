//! Whether the installed Claude Code keeps the contract that its driver relies on: a few short runs against an answerer of
//! our own, each read by the driver itself, so that what is checked is what is relied on.

mod runs;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use self::runs::{FIRST_PROMPT, Run, Runs, expect, text};
use super::answerer::Script;
use super::contract::{Clause, Contract};
use super::look;
use super::scratch::session_id;
use crate::agent::claude::{Options, PermissionMode, installed};
use crate::agent::{Standing, Version};
use crate::process::now;
use crate::task::{BlockKind, OutcomeKind};

/// The model that is asked for: an alias that every version knows.
const MODEL: &str = "sonnet";
/// More than a run here can cost, and less than one costs, in millionths of a US dollar.
const AMPLE_MICRO_USD: u64 = 5_000_000;
const TOO_LITTLE_MICRO_USD: u64 = 1;
/// How far ahead the limit's reset is.
const RESET_AFTER_S: i64 = 7_200;
const MS_PER_SECOND: i64 = 1_000;

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
    let failed = |source| CanaryError {
        program: program.to_owned(),
        source,
    };
    let mut checking = Checking {
        runs: Runs::new(program, env).map_err(failed)?,
        version: None,
        clauses: Vec::new(),
    };
    checking.all().map_err(failed)?;
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
    runs: Runs<'a>,
    version: Option<Version>,
    clauses: Vec<Clause>,
}

impl Checking<'_> {
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
        let first = self.runs.start(&session, &options)?;
        self.first_run(&session, &first);
        if first.reply.timed_out {
            // The others would hang as well.
            return Ok(());
        }
        let second = self.runs.resume(&session, &options)?;
        self.second_run(&session, &first, &second);
        let poor = Options {
            max_budget_micro_usd: Some(TOO_LITTLE_MICRO_USD),
            ..options.clone()
        };
        let third = self.runs.start(&session_id()?, &poor)?;
        let kept = third
            .ended_as(OutcomeKind::MaxBudget)
            .and_then(|()| third.exits_with_an_error());
        self.clause(
            "budget",
            "--max-budget-usd ends a run that costs more, and the result says so",
            kept,
        );
        let nobody = session_id()?;
        let fourth = self.runs.resume(&nobody, &options)?;
        let kept = fourth
            .ended_as(OutcomeKind::UnknownSession)
            .and_then(|()| fourth.exits_with_an_error());
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
        let told = look::version(self.runs.program, &args, &self.runs.env);
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
        let events = run.events();
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
        let kept = run.ended_as(OutcomeKind::Succeeded).and_then(|()| {
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
        let kept = run
            .ended_as(OutcomeKind::Succeeded)
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
        self.runs.answerer.say(Script::FiveHourLimit(reset));
        let run = self.runs.start(&session_id()?, options)?;
        let block = run.verdict.report.block.clone();
        let until = block.as_ref().and_then(|block| block.until);
        let kept = run
            .ended_as(OutcomeKind::Limited)
            .and_then(|()| run.exits_with_an_error())
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
}

#[cfg(test)]
mod tests;
