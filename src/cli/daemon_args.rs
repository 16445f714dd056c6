//! The command line of `auto-claude`; what its commands do stands in the `daemon` room.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::api::wire::NewTask;
use crate::config::PathOptions;
use crate::task::Command;

use super::args::HELP_COLUMNS;
use super::commands::generate::{CompletionsArgs, ManArgs};
use super::commands::spec::{self, SpecArgs};
use super::error::CliError;
use super::render::task::shorten;

/// Runs AI coding agents, and any other command, unattended: a supervisor that cannot lose a task.
#[derive(Debug, Parser)]
#[command(name = "auto-claude", version, max_term_width = HELP_COLUMNS, propagate_version = true)]
pub struct DaemonCli {
    /// Where things are.
    #[command(flatten)]
    pub places: Places,
    /// What to do.
    #[command(subcommand)]
    pub command: DaemonCommand,
}

/// Flags that every command takes, before or after it.
#[derive(Debug, Clone, Default, Args)]
pub struct Places {
    /// The state directory [default: the user's or the service's own]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        help_heading = "Global options"
    )]
    pub state_dir: Option<PathBuf>,
    /// The configuration file [default: at its usual place]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub config: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
}

impl Places {
    /// As the config room takes them.
    #[must_use]
    pub fn options(&self) -> PathOptions {
        PathOptions {
            state_dir: self.state_dir.clone(),
            config: self.config.clone(),
            socket: None,
        }
    }
}

/// `auto-claude …`.
#[derive(Debug, Subcommand)]
pub enum DaemonCommand {
    /// Run the daemon of a state directory
    Serve,
    /// Run one task in the foreground, to its end; ends with the task's exit status
    Run(Box<RunArgs>),
    /// Make the state directory, the database and a commented configuration; what is there stays
    Init,
    /// Check the configuration and print what is in force and where it comes from
    CheckConfig,
    /// Check the database: integrity, and every journal folded
    Check,
    /// Put a backup in the database's place; what was there is kept beside it
    Restore(RestoreArgs),
    /// Look at an installed agent
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Run one attempt; started by the daemon
    #[command(hide = true)]
    Worker(WorkerArgs),
    /// Print a shell's completions
    #[command(hide = true)]
    Completions(CompletionsArgs),
    /// Write the manual pages
    #[command(hide = true)]
    Man(ManArgs),
}

/// `auto-claude agent …`.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Check whether the installed agent keeps what its driver relies on; spends nothing
    Verify(VerifyArgs),
}

/// Arguments of `agent verify`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The agent's program is run a few times against an answerer on loopback, in directories and with a credential of the check's own:
no request leaves this machine, nothing is spent, and no login is touched. It takes some seconds.

Each line is one thing that the driver relies on. What was found is remembered in the state directory, and a running daemon is
told: a broken contract closes all accounts of the agent, a kept one opens those that were closed for it. The daemon does the
same by itself before it starts a program that it has not seen, or that was replaced (setting verify_agents).

Exit status: 0 when all is kept, 11 when the program is missing or too old, 12 when something is broken. A version newer than
those that were tried is a warning.

Examples:
  auto-claude agent verify claude
  CLAUDE_CLI_COMMAND=/opt/claude/bin/claude auto-claude agent verify claude --json")]
pub struct VerifyArgs {
    /// Which agent
    #[arg(value_name = "NAME", default_value = "claude")]
    pub agent: String,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// A backup, as `taskctl system backup` made it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Arguments of `worker`: the worker room's matter.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// As the daemon wrote them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<OsString>,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The task runs under the daemon of the state directory, or under an embedded one when none runs. Its output and the changes
of its state are shown live. Ctrl-C pauses it and prints how to go on; a second Ctrl-C leaves at once, and the daemon goes
on pausing it. Exit status: the task's exit code, 128 and the signal's number, 124 when its time was over, 125 when nobody
saw how it ended, 127 when it could not be started, 130 after Ctrl-C.

With --json the lines of auto-claude on stderr are JSON objects, one per line: {\"task\":…} for each state of the task,
{\"note\":{\"id\":…,\"text\":…}}, {\"error\":…}. The task's own output stays as it is, its stderr beside these lines.

Examples:
  auto-claude run -- make test
  auto-claude run --timeout 1h 'make && make test'
  auto-claude run --prompt 'Make the tests pass'
  auto-claude run --detach ./nightly.sh")]
pub struct RunArgs {
    /// A command line for the shell
    #[arg(value_name = "COMMAND")]
    pub line: Vec<String>,
    /// A program and its arguments, instead of a command line
    #[arg(value_name = "ARGV", last = true)]
    pub argv: Vec<String>,
    /// The task's name [default: from the command]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Submit it, print its id and leave; it goes on by itself. Without a daemon it is refused unless it can start at once
    #[arg(short, long)]
    pub detach: bool,
    /// What the task is.
    #[command(flatten)]
    pub spec: SpecArgs,
}

/// Names made from a command have at most this many characters.
const NAME_CHARS: usize = 60;

impl RunArgs {
    /// The submission.
    ///
    /// # Errors
    /// No command, or what [`SpecArgs::into_task`] refuses.
    pub fn into_task(self, json: bool) -> Result<NewTask, CliError> {
        let prompt = self.spec.prompt.prompt.clone();
        let command = spec::command(self.line, self.argv, prompt.as_deref())?;
        let name = self.name.unwrap_or_else(|| match &command {
            Some(command) => name_of(&command.clone().into()),
            None => first_line(prompt.as_deref().unwrap_or_default()),
        });
        self.spec.into_task(name, command, json)
    }
}

/// A name for a command: its first line, without the shell that runs it.
#[must_use]
pub fn name_of(command: &Command) -> String {
    let text = match command {
        Command::Line(line) => line.clone(),
        Command::Argv(argv) => match argv.as_slice() {
            [shell, flag, line, ..] if flag == "-c" && is_shell(shell) => line.clone(),
            argv => argv.join(" "),
        },
        Command::Prompt(prompt) => prompt.prompt.clone(),
    };
    first_line(&text)
}

fn first_line(text: &str) -> String {
    let first = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("command");
    let printable: String = first
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    shorten(printable.trim(), NAME_CHARS)
}

fn is_shell(program: &str) -> bool {
    matches!(
        program.rsplit('/').next(),
        Some("sh" | "bash" | "dash" | "zsh" | "ksh")
    )
}
