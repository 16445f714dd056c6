//! The file that describes an agent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::Problem;
use crate::agent::login::Login;
use crate::agent::version::Tried;
use crate::task::{BlockKind, OutcomeKind};

/// Largest file that is read.
pub const FILE_MAX_BYTES: usize = 64 * 1024;

/// An agent, described.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// What users call it: `codex`.
    pub name: String,
    /// The program, a name or a path.
    pub program: String,
    /// How it tells its version.
    #[serde(default)]
    pub version_args: Vec<String>,
    /// The versions that this description was tried with; `None` = nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<Tried>,
    /// The variable that names its configuration directory, which an account may set; `None` = it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_dir: Option<String>,
    /// How its login is looked at and made; `None` = nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
    /// The arguments of a start. `{prompt}`, `{session}` (an id of our choice) and `{model}` are filled in; a part in
    /// brackets is left out when one of its values is not known.
    pub start: Vec<Part>,
    /// The arguments of a resumption; empty = its sessions cannot be resumed.
    #[serde(default)]
    pub resume: Vec<Part>,
    /// The arguments by which a person goes on in a session; empty = there is no such way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attach: Vec<Part>,
    /// What stands for `{prompt}` when the prompt is longer than an argument may be, and is given on standard input; `None` =
    /// it takes no such prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_by_input: Option<String>,
    /// Ended when it shows no sign of work for so many seconds, where neither its task nor the settings name an idle time: for
    /// an agent that tries for ever in silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<u64>,
    /// Set in its environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Taken out of its environment.
    #[serde(default)]
    pub unset: Vec<String>,
    /// A success needs an event that says so. Without that, exit code 0 is a success: only for agents that never exit with
    /// 0 after an error.
    #[serde(default = "yes")]
    pub needs_result: bool,
    /// What its token counts and costs cover.
    #[serde(default)]
    pub totals_of: TotalsOf,
    /// It writes a cost of 0 also where it knows no price.
    #[serde(default)]
    pub zero_cost_is_unknown: bool,
    /// What its events mean, in order: all that match count.
    #[serde(default)]
    pub events: Vec<EventRule>,
    /// A success whose text matches one of these is an error all the same.
    #[serde(default)]
    pub failed_text: Vec<String>,
    /// What the text of an error means: the first that matches.
    #[serde(default)]
    pub errors: Vec<ErrorRule>,
    /// What a line of the error output means, when no event tells how the run ended.
    #[serde(default)]
    pub stderr: Vec<ErrorRule>,
    /// What an exit code means, where neither event nor text tells.
    #[serde(default)]
    pub exit: BTreeMap<String, Meaning>,
}

const fn yes() -> bool {
    true
}

/// One argument, or some that belong together and are left out together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Part {
    /// Always there.
    One(String),
    /// Left out when one of its values is not known.
    Some(Vec<String>),
}

/// What counts of tokens and costs cover.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TotalsOf {
    /// This run.
    #[default]
    Run,
    /// The whole session: of a resumed one they are not this run's, so they are not taken.
    Session,
}

/// What an event means.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRule {
    /// JSON pointers and the values that must be there.
    pub when: BTreeMap<String, Scalar>,
    /// What it means; `None` = it only tells facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub means: Option<Meaning>,
    /// Its server must have answered for it to be there: the account is open, although the run goes on. Not for what such
    /// an agent also writes after a failed request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub served: bool,
    /// Where the session's id is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Where the model's name is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Where the program's version is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where the text of the error, or of the result, is. On any other event: what is shown to people of it, and nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Where the cost in US dollars is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<String>,
    /// Where the counts of tokens are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenPointers>,
    /// Costs and tokens of several such events are added; else the last one counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub add: bool,
}

/// Where counts of tokens are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenPointers {
    /// Read by the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Written by the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Read from its cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<String>,
    /// Written to its cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<String>,
    /// `input` holds what was read from the cache as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub input_includes_cache_read: bool,
}

/// What a text means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorRule {
    /// A regular expression, looked for anywhere in the text.
    pub pattern: String,
    /// What it means.
    pub means: Meaning,
    /// Where the text says until when: a regular expression with named groups, either `clock` (`7:41pm`,
    /// `May 18th, 2033 3:33 AM`, in UTC), `epoch` (seconds), or any of `days`, `hours`, `minutes`, `seconds` from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// A value in an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

/// What an event, a text or an exit code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// The model has spoken. (Events only, as are `denied` and `retry`.)
    Turn,
    /// A tool call was denied.
    Denied,
    /// The agent tries a request again; its text says why.
    Retry,
    /// The run is done.
    Success,
    /// The run failed; the text of the error may say more.
    Error,
    /// The turn ended at a tool call that waits for an answer.
    ToolDeferred,
    /// Its turns are used up.
    MaxTurns,
    /// Its budget is used up.
    MaxBudget,
    /// The model refused.
    Refused,
    /// What it had to read was too long.
    PromptTooLong,
    /// It does not know the session.
    UnknownSession,
    /// The session cannot be resumed.
    ResumeFailed,
    /// The model does not exist, or the account may not use it.
    ModelUnavailable,
    /// The window of some hours is used up.
    FiveHour,
    /// The weekly window is used up.
    Weekly,
    /// The credit is used up.
    Credit,
    /// A spend limit is reached.
    Spend,
    /// Too many requests at once.
    Throttle,
    /// The server has no capacity.
    Overload,
    /// The server fails.
    Server,
    /// The login is dead.
    Login,
    /// The server cannot be reached.
    Network,
}

/// What a meaning makes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Makes {
    /// Nothing: the run goes on.
    Nothing,
    /// This end.
    End(OutcomeKind),
    /// This block.
    Block(BlockKind),
}

impl Meaning {
    pub(super) const fn makes(self) -> Makes {
        match self {
            Self::Turn | Self::Denied | Self::Retry => Makes::Nothing,
            Self::Success => Makes::End(OutcomeKind::Succeeded),
            Self::Error => Makes::End(OutcomeKind::AgentError),
            Self::ToolDeferred => Makes::End(OutcomeKind::ToolDeferred),
            Self::MaxTurns => Makes::End(OutcomeKind::MaxTurns),
            Self::MaxBudget => Makes::End(OutcomeKind::MaxBudget),
            Self::Refused => Makes::End(OutcomeKind::Refused),
            Self::PromptTooLong => Makes::End(OutcomeKind::PromptTooLong),
            Self::UnknownSession => Makes::End(OutcomeKind::UnknownSession),
            Self::ResumeFailed => Makes::End(OutcomeKind::ResumeFailed),
            Self::ModelUnavailable => Makes::End(OutcomeKind::ModelUnavailable),
            Self::FiveHour => Makes::Block(BlockKind::FiveHour),
            Self::Weekly => Makes::Block(BlockKind::Weekly),
            Self::Credit => Makes::Block(BlockKind::Credit),
            Self::Spend => Makes::Block(BlockKind::Spend),
            Self::Throttle => Makes::Block(BlockKind::Throttle),
            Self::Overload => Makes::Block(BlockKind::Overload),
            Self::Server => Makes::Block(BlockKind::Server),
            Self::Login => Makes::Block(BlockKind::Login),
            Self::Network => Makes::Block(BlockKind::Network),
        }
    }
}

/// A file that describes no agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Larger than any description.
    #[error("the file has {bytes} bytes; {FILE_MAX_BYTES} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// No TOML, an unknown key, a missing key, a value of the wrong kind.
    #[error("line {line}: {why}")]
    Toml {
        /// From 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// It reads well, but cannot work.
    #[error("{}", list(.0))]
    Problems(Vec<Problem>),
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

impl Rules {
    /// Reads a file, and checks it.
    ///
    /// # Errors
    /// In one line, with every problem that it has.
    pub fn from_toml(text: &str) -> Result<Self, FileError> {
        if text.len() > FILE_MAX_BYTES {
            return Err(FileError::TooLarge { bytes: text.len() });
        }
        let rules: Self = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or_default();
            FileError::Toml {
                line: before.matches('\n').count() + 1,
                why: error.message().trim_end().to_owned(),
            }
        })?;
        let problems = rules.check();
        if problems.is_empty() {
            Ok(rules)
        } else {
            Err(FileError::Problems(problems))
        }
    }

    /// Whether its sessions can be resumed.
    #[must_use]
    pub fn can_resume(&self) -> bool {
        !self.resume.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: &str =
        "name = \"x\"\nprogram = \"x\"\nneeds_result = false\nstart = [\"{prompt}\"]\n";

    /// docs/agent-files.md names it.
    #[test]
    fn a_file_of_65536_bytes_is_read_and_a_longer_one_refused() {
        let of = |bytes: usize| {
            let rest = " ".repeat(bytes - NEEDED.len());
            Rules::from_toml(&format!("{NEEDED}{rest}"))
        };
        assert!(of(65_536).is_ok());
        assert_eq!(of(65_537), Err(FileError::TooLarge { bytes: 65_537 }));
        assert!(matches!(of(100_000), Err(FileError::TooLarge { .. })));
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (text, line) in [
            ("nmae = 1", 1),
            ("name = \"x\"\n\nprogram = 7", 3),
            ("name = \"x\"\nprogram = \"x\"\nstart = [", 3),
        ] {
            let error = Rules::from_toml(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("line {line}: ")), "{error}");
        }
    }
}
