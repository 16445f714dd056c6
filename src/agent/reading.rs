//! Bytes in, a verdict out, whatever the agent.

use serde::{Deserialize, Serialize};

use super::lines::Lines;
use super::tail::Tail;
use super::{claude, rules};
use crate::task::{OutcomeKind, Report, Timestamp};

/// Which driver reads the agent's output: a part of what a worker is handed, so a snapshot of the rules it goes by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "snake_case")]
pub enum Driver {
    /// Claude Code.
    Claude {
        /// The agent session that was asked for.
        session: String,
        /// It was begun by an earlier run.
        resumed: bool,
    },
    /// An agent that is described by a file.
    Rules {
        /// What the file says.
        rules: Box<rules::Rules>,
        /// The agent session was begun by an earlier run.
        resumed: bool,
    },
}

/// How the agent's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessEnd {
    /// Its exit code, when it exited.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// We had told it to stop.
    pub stop_sent: bool,
    /// The present, against which times in words are read.
    pub now: Timestamp,
}

/// Exit codes from here on are a shell's, or a program's own, way to say "ended by a signal".
const SIGNAL_BASE: i32 = 128;

/// Whether the process ended from outside, so that its silence tells nothing about its session.
pub(super) fn told_to_end(end: &ProcessEnd) -> bool {
    end.stop_sent || end.signal.is_some() || end.exit_code.is_some_and(|code| code >= SIGNAL_BASE)
}

/// How a run ended, by what its agent said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What happened.
    pub kind: OutcomeKind,
    /// One line for a person, at most 200 bytes; may be empty.
    pub detail: String,
    /// The facts of the run.
    pub report: Report,
    /// The agent itself said how the run ended: such a success needs no exit code, and no exit code makes it one.
    pub proven: bool,
}

/// An agent's output as it is read. Its memory is bounded by one line, whatever comes.
#[derive(Debug)]
pub struct Reading {
    lines: Lines,
    errors: Tail,
    facts: Facts,
}

#[derive(Debug)]
enum Facts {
    Claude(Box<claude::Facts>),
    Rules(Box<rules::Facts>),
}

impl Facts {
    fn line(&mut self, line: &str) {
        match self {
            Self::Claude(facts) => facts.line(line),
            Self::Rules(facts) => facts.line(line),
        }
    }
}

impl Reading {
    /// Nothing read yet.
    #[must_use]
    pub fn new(driver: &Driver) -> Self {
        let facts = match driver {
            Driver::Claude {
                session: _,
                resumed,
            } => Facts::Claude(Box::new(claude::Facts::new(*resumed))),
            Driver::Rules { rules, resumed } => {
                Facts::Rules(Box::new(rules::Facts::new(rules, *resumed)))
            }
        };
        Self {
            lines: Lines::default(),
            errors: Tail::default(),
            facts,
        }
    }

    /// Takes a piece of the output.
    pub fn stdout(&mut self, bytes: &[u8]) {
        let facts = &mut self.facts;
        self.lines.push(bytes, |line| facts.line(line));
    }

    /// Takes a piece of the error output.
    pub fn stderr(&mut self, bytes: &[u8]) {
        self.errors.push(bytes);
    }

    /// What is known so far.
    #[must_use]
    pub fn report_so_far(&self) -> &Report {
        match &self.facts {
            Facts::Claude(facts) => facts.report(),
            Facts::Rules(facts) => facts.report(),
        }
    }

    /// Whether the last thing it told is that it tries a failed request again.
    #[must_use]
    pub fn is_trying_again(&self) -> bool {
        match &self.facts {
            Facts::Claude(facts) => facts.is_trying_again(),
            Facts::Rules(facts) => facts.is_trying_again(),
        }
    }

    /// The process has ended and both streams are read.
    #[must_use]
    pub fn finish(mut self, end: &ProcessEnd) -> Verdict {
        let facts = &mut self.facts;
        self.lines.end(|line| facts.line(line));
        let errors = self.errors.finish();
        let mut verdict = match self.facts {
            Facts::Claude(facts) => facts.finish(&errors, end),
            Facts::Rules(facts) => facts.finish(&errors, end),
        };
        verdict.report = verdict.report.bounded();
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run may die with its worker: what it told until then is committed as it comes.
    #[test]
    fn what_is_known_is_told_while_the_agent_runs() {
        let described = r#"
            name = "x"
            program = "x"
            needs_result = false
            start = ["{prompt}"]
            [[events]]
            when = { "/type" = "system" }
            session = "/session_id"
        "#;
        for driver in [
            Driver::Claude {
                session: String::new(),
                resumed: false,
            },
            Driver::Rules {
                rules: Box::new(rules::Rules::from_toml(described).unwrap()),
                resumed: false,
            },
        ] {
            let mut reading = Reading::new(&driver);
            assert_eq!(reading.report_so_far(), &Report::default());
            let line = b"{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s\"}\n";
            reading.stdout(line);
            let known = reading.report_so_far().session.as_deref();
            assert_eq!(known, Some("s"), "{driver:?}");
        }
    }
}
