//! The command line by which we start or resume Claude Code.
//!
//! The prompt comes last, behind `--`: measured, nothing else is safe. A prompt that begins with `-` is read as an option
//! elsewhere, one behind `--allowedTools` as a tool, and of two words behind `--` the second is dropped in silence (so a
//! prompt is always one argument). Behind `--` even `update` or `--version` is a prompt.

use serde::{Deserialize, Serialize};

use crate::agent::argument::{
    self, ArgumentError, check_prompt, check_value, is_for_input, no_nul,
};

const MICRO_PER_USD: u64 = 1_000_000;

/// The flags that make the output a stream of events; each group is one wish.
pub(super) const STREAM: [&[&str]; 2] = [&["--output-format", "stream-json"], &["--verbose"]];

/// Options that are ours to give, since sessions, streams, models and budgets are kept by us: the last one given counts, so one
/// among the further arguments would take the place of ours.
const OWNED: [&str; 18] = [
    "--",
    "-p",
    "--print",
    "--output-format",
    "--input-format",
    "--session-id",
    "--resume",
    "-r",
    "--continue",
    "-c",
    "--fork-session",
    "--no-session-persistence",
    "--model",
    "--max-budget-usd",
    "--bg",
    "--background",
    "--cloud",
    "--teleport",
];

/// The arguments by which a person goes on in a session.
///
/// # Errors
/// A session or a model that no command line takes.
pub fn attach_argv(session: &str, model: Option<&str>) -> Result<Vec<String>, ArgumentError> {
    check_value("the session", session)?;
    let mut argv = vec!["--resume".to_owned(), session.to_owned()];
    if let Some(model) = model {
        check_value("the model", model)?;
        argv.extend(["--model".to_owned(), model.to_owned()]);
    }
    Ok(argv)
}

/// What an unattended agent may do without being asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PermissionMode {
    /// Edits in its workspace, and the tools of the allowlist.
    #[default]
    #[serde(rename = "acceptEdits")]
    AcceptEdits,
    /// Only the tools of the allowlist, what else would ask is denied.
    #[serde(rename = "default")]
    Default,
    /// The same, told to the agent.
    #[serde(rename = "dontAsk")]
    DontAsk,
    /// Reads and plans, changes nothing.
    #[serde(rename = "plan")]
    Plan,
    /// A classifier of the agent's maker decides.
    #[serde(rename = "auto")]
    Auto,
    /// Everything. Never a default; the agent refuses it to root outside a sandbox.
    #[serde(rename = "bypassPermissions")]
    BypassPermissions,
}

impl PermissionMode {
    /// All modes.
    pub const ALL: [Self; 6] = [
        Self::AcceptEdits,
        Self::Default,
        Self::DontAsk,
        Self::Plan,
        Self::Auto,
        Self::BypassPermissions,
    ];

    /// The agent's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AcceptEdits => "acceptEdits",
            Self::Default => "default",
            Self::DontAsk => "dontAsk",
            Self::Plan => "plan",
            Self::Auto => "auto",
            Self::BypassPermissions => "bypassPermissions",
        }
    }

    /// The mode of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        // `manual` is what newer versions call `default` in their help.
        let name = if name == "manual" { "default" } else { name };
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// What a start and a resumption have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The model; `None` = the agent's choice, which differs by login. Pin it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What it may do unasked; `None` = what its own settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<PermissionMode>,
    /// Tools that need no question, as the agent writes them: `Edit`, `Bash(cargo test:*)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_tools: Vec<String>,
    /// Most turns of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// Most that this run may cost, in millionths of a US dollar. It is looked at after each answer, so one answer more
    /// may be paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_budget_micro_usd: Option<u64>,
    /// The session is not kept: nothing of it can be resumed, and nothing is left of it on the disk.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ephemeral: bool,
    /// Further arguments, as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_args: Vec<String>,
}

impl Options {
    /// Those of a request that only finds out whether the server answers: no tool, no server of tools, one turn, a short
    /// system prompt (the usual one has some ten thousand tokens), nothing kept.
    #[must_use]
    pub fn probe(model: Option<String>) -> Self {
        let arguments = [
            "--tools",
            "",
            "--strict-mcp-config",
            "--disable-slash-commands",
            "--system-prompt",
            "Answer in one word.",
        ];
        Self {
            model,
            permission_mode: Some(PermissionMode::DontAsk),
            max_turns: Some(1),
            ephemeral: true,
            extra_args: arguments.map(str::to_owned).to_vec(),
            ..Self::default()
        }
    }
}

/// A new agent session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start<'a> {
    /// The session's id, a UUID of our choice.
    pub session: &'a str,
    /// What is asked. One that is longer than an argument may be is left out: it is to be given on standard input.
    pub prompt: &'a str,
    /// The rest.
    pub options: &'a Options,
}

/// An agent session that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume<'a> {
    /// The session's id.
    pub session: &'a str,
    /// What is asked, as at a start; `None` only where the session stopped at a tool call that waits for an answer.
    pub prompt: Option<&'a str>,
    /// The rest.
    pub options: &'a Options,
}

/// A command line that the agent would not take, or would take for something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgvError {
    /// An argument by itself.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// The agent takes only UUIDs.
    #[error(
        "{session:?} is no agent session id: a UUID such as 1e0ee16a-a9e2-492e-a1c6-2fc3641dd333"
    )]
    Session {
        /// What was given.
        session: String,
    },
    /// The agent takes no zero here.
    #[error("{what} is 0: leave it out for no limit, or give at least 1")]
    Zero {
        /// Which limit.
        what: &'static str,
    },
    /// Sessions and streams are kept by us.
    #[error(
        "the argument {flag:?} is given by auto-claude itself: leave it out of the further arguments"
    )]
    Owned {
        /// Which.
        flag: String,
    },
}

impl Start<'_> {
    /// The arguments behind the program.
    ///
    /// # Errors
    /// When the agent would not take them.
    pub fn argv(&self) -> Result<Vec<String>, ArgvError> {
        check_prompt(self.prompt)?;
        build(
            "--session-id",
            self.session,
            Some(self.prompt),
            self.options,
        )
    }
}

impl Resume<'_> {
    /// The arguments behind the program.
    ///
    /// # Errors
    /// When the agent would not take them.
    pub fn argv(&self) -> Result<Vec<String>, ArgvError> {
        if let Some(prompt) = self.prompt {
            check_prompt(prompt)?;
        }
        build("--resume", self.session, self.prompt, self.options)
    }
}

/// Whether the agent takes `session` as a session's id.
#[must_use]
pub fn is_session(session: &str) -> bool {
    session.len() == 36
        && session.char_indices().all(|(index, letter)| match index {
            8 | 13 | 18 | 23 => letter == '-',
            _ => letter.is_ascii_hexdigit(),
        })
}

fn build(
    session_flag: &str,
    session: &str,
    prompt: Option<&str>,
    options: &Options,
) -> Result<Vec<String>, ArgvError> {
    check(session, options)?;
    let mut argv = vec!["-p".to_owned()];
    argv.extend(STREAM.concat().into_iter().map(str::to_owned));
    let mut push = |flag: &str, value: String| argv.extend([flag.to_owned(), value]);
    push(session_flag, session.to_owned());
    if let Some(model) = &options.model {
        push("--model", model.clone());
    }
    if let Some(mode) = options.permission_mode {
        push("--permission-mode", mode.name().to_owned());
    }
    if let Some(turns) = options.max_turns {
        push("--max-turns", turns.to_string());
    }
    if let Some(budget) = options.max_budget_micro_usd {
        push("--max-budget-usd", usd(budget));
    }
    if options.ephemeral {
        argv.push("--no-session-persistence".to_owned());
    }
    argv.extend(options.extra_args.iter().cloned());
    // Takes any number of values: last, so that nothing behind it is taken for a tool.
    if !options.allowed_tools.is_empty() {
        argv.push("--allowedTools".to_owned());
        argv.extend(options.allowed_tools.iter().cloned());
    }
    // A longer one is read from standard input, whatever it begins with.
    if let Some(prompt) = prompt.filter(|prompt| !is_for_input(prompt)) {
        argv.extend(["--".to_owned(), prompt.to_owned()]);
    }
    Ok(argv)
}

fn check(session: &str, options: &Options) -> Result<(), ArgvError> {
    if !is_session(session) {
        return Err(ArgvError::Session {
            session: argument::quoted(session),
        });
    }
    if let Some(model) = &options.model {
        check_value("the model", model)?;
    }
    for tool in &options.allowed_tools {
        check_value("the tool", tool)?;
    }
    if options.max_turns == Some(0) {
        return Err(ArgvError::Zero {
            what: "the limit of turns",
        });
    }
    if options.max_budget_micro_usd == Some(0) {
        return Err(ArgvError::Zero { what: "the budget" });
    }
    for argument in &options.extra_args {
        no_nul("a further argument", argument)?;
        let flag = argument.split('=').next().unwrap_or(argument);
        // `-rSESSION`: a short option may have its value in the same word, or another one behind it.
        let short = argument.get(..2).filter(|_| !argument.starts_with("--"));
        let flag = short.unwrap_or(flag);
        if OWNED.contains(&flag) {
            return Err(ArgvError::Owned {
                flag: flag.to_owned(),
            });
        }
    }
    Ok(())
}

/// Millionths of a dollar as the agent takes them, exactly: `0.01`, `12`.
fn usd(micro: u64) -> String {
    let whole = micro / MICRO_PER_USD;
    let rest = format!("{:06}", micro % MICRO_PER_USD);
    match rest.trim_end_matches('0') {
        "" => whole.to_string(),
        digits => format!("{whole}.{digits}"),
    }
}

#[cfg(test)]
mod tests;
