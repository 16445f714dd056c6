//! `task edit`: changes what was asked, while the task does not run.

use std::path::PathBuf;

use clap::Args;

use crate::api::wire::ActionName;
use crate::budget::{self, Budget};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::when;
use crate::cli::{clock, duration, values};
use crate::supervisor::command::SpecPatch;
use crate::task::{Command, Priority};

use super::act::{Which, send};
use super::spec::current_dir;

/// Arguments of `task edit`.
#[derive(Debug, Args)]
pub struct EditArgs {
    /// Which tasks.
    #[command(flatten)]
    pub which: Which,
    /// New name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// New free text
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// New command line for the shell
    #[arg(long, value_name = "LINE")]
    pub command: Option<String>,
    /// New program and arguments
    #[arg(value_name = "ARGV", last = true, conflicts_with = "command")]
    pub argv: Vec<String>,
    /// New priority
    #[arg(short, long, value_name = "PRIORITY", value_parser = values::priorities())]
    pub priority: Option<Priority>,
    /// New working directory
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Not before this time: RFC 3339, 22:00, 'tomorrow 07:00', +2h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub at: Option<String>,
    /// New wall time of one attempt
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration::limit_seconds)]
    pub timeout: Option<u64>,
    /// New number of retries, 0-1000
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub max_retries: Option<u32>,
    /// New budget of an agent's task, in place of the former one: '$5', '200k tokens', 30m, or several; none = no limit
    #[arg(long, value_name = "BUDGET", value_parser = budget_or_none)]
    pub budget: Option<Budget>,
}

/// Reads a budget, or `none`.
fn budget_or_none(text: &str) -> Result<Budget, String> {
    if text == "none" {
        return Ok(Budget::NONE);
    }
    budget::parse(text)
}

/// Changes.
///
/// # Errors
/// Nothing to change, no daemon, or its refusal.
pub async fn run(args: EditArgs, context: &Context) -> Result<u8, CliError> {
    let mut request = args.which.request(ActionName::Edit);
    let patch = patch(args)?;
    if patch == SpecPatch::default() {
        return Err(CliError::usage(
            "nothing to change; name a new value, such as --priority high",
        ));
    }
    request.patch = Some(patch);
    send(&request, context).await
}

fn patch(args: EditArgs) -> Result<SpecPatch, CliError> {
    let at = match &args.at {
        Some(text) => Some(
            when::parse_at(text, &clock::now_local())
                .map(|(at, _)| at)
                .map_err(|error| CliError::usage(format!("--at: {error}")))?,
        ),
        None => None,
    };
    let cwd = match args.cwd {
        Some(dir) if dir.is_relative() => Some(current_dir()?.join(dir).components().collect()),
        other => other,
    };
    let argv = (!args.argv.is_empty()).then_some(Command::Argv(args.argv));
    Ok(SpecPatch {
        name: args.name,
        description: args.description,
        command: args.command.map(Command::Line).or(argv),
        priority: args.priority,
        cwd,
        at,
        timeout_seconds: args.timeout,
        max_retries: args.max_retries,
        budget: args.budget,
        lane: None,
    })
}
