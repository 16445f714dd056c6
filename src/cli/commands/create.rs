//! `task create`: submits one task, or many from a file.

use std::path::PathBuf;

use clap::Args;

use crate::api::wire::{EstimateView, TaskView};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::plain;
use crate::cli::render::budget;

use super::spec::{self, SpecArgs};
use super::{batch, wait};

/// Arguments of `task create`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  taskctl task create build 'make && make test' --timeout 1h
  taskctl task create sort --priority high -- sort -o out.txt in.txt
  taskctl task create fix --prompt @prompt.md --model sonnet --budget '$5, 2h'
  taskctl task create docs --prompt 'Document {chunk}' --chunk-files 'src/*.rs'
  taskctl task create report ./report.sh --after task_k3 --at 'tomorrow 07:00'
  taskctl task create --from tasks.jsonl

Each line of --from is a JSON object with at least \"name\" and \"command\" (a string is a line for the shell, an array a
program and its arguments); docs/cli.md lists the other keys. Flags are the defaults of every line: what a line says itself counts. Lines without
\"cwd\" or \"env\" get the current ones; lines without \"key\" get a drawn one, so that a connection that breaks is taken up
again without a task twice.")]
pub struct CreateArgs {
    /// The task's name
    #[arg(value_name = "NAME", required_unless_present = "from")]
    pub name: Option<String>,
    /// A command line for the shell
    #[arg(value_name = "COMMAND")]
    pub line: Vec<String>,
    /// A program and its arguments, instead of a command line
    #[arg(value_name = "ARGV", last = true)]
    pub argv: Vec<String>,
    /// What the task is.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Submit each line of this file (- is stdin) as a task, over one connection
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "line", "argv", "key", "prompt"])]
    pub from: Option<PathBuf>,
    /// Run this command line when the task is over or waits for a person (with --from: once, when all of its tasks are
    /// over); what it is told stands in docs/tasks.md; '' = nobody is told [default: the setting]
    #[arg(long, value_name = "COMMAND")]
    pub notify: Option<String>,
    /// Wait until it is over; the exit code tells how it ended
    #[arg(long)]
    pub wait: bool,
    /// Say what a prompt will use, told from finished tasks that are like it; create and spend nothing
    #[arg(long, conflicts_with_all = ["from", "wait"])]
    pub estimate: bool,
}

/// Submits.
///
/// # Errors
/// Bad arguments, no daemon, or its refusal.
pub async fn run(args: CreateArgs, context: &Context) -> Result<u8, CliError> {
    if let Some(file) = &args.from {
        if args.wait {
            return Err(CliError::usage(
                "--wait is for one task; with --from give the ids that it prints to taskctl task wait",
            ));
        }
        if let Some(flag) = args.spec.prompt.of_a_run() {
            return Err(CliError::usage(format!(
                "{flag}: with --from it belongs into the lines, as a key of \"prompt\""
            )));
        }
        return batch::run(file, &args.spec, args.notify.as_deref(), context).await;
    }
    let command = spec::command(args.line, args.argv, args.spec.prompt.prompt.as_deref())?;
    let mut task = args
        .spec
        .into_task(args.name.unwrap_or_default(), command, context.out.json)?;
    task.notify = args.notify;
    let mut daemon = context.daemon().await?;
    if args.estimate {
        let estimate: EstimateView = daemon.post("/tasks/estimate", &task).await?;
        return show_estimate(&estimate, context);
    }
    let view: TaskView = context
        .with_progress("submitting", daemon.post_again("/tasks", &task))
        .await?;
    if !args.wait {
        show(&view, context)?;
        return Ok(exit::OK);
    }
    if !context.out.json {
        show(&view, context)?;
    }
    let waited = wait::until_over(&mut daemon, view.id.as_str(), None, context).await?;
    if context.out.json {
        context.out.json_line(&waited.task)?;
    } else {
        context.out.line(&wait::line(&waited))?;
    }
    Ok(waited.code())
}

fn show_estimate(estimate: &EstimateView, context: &Context) -> Result<u8, CliError> {
    if context.out.json {
        context.out.json_line(estimate)?;
        return Ok(exit::OK);
    }
    for line in budget::estimate(estimate) {
        context.out.line(&line)?;
    }
    Ok(exit::OK)
}

fn show(view: &TaskView, context: &Context) -> Result<(), CliError> {
    if context.out.json {
        context.out.json_line(view)
    } else {
        context.out.line(&format!(
            "{}  {}  {}",
            view.id,
            view.state.name(),
            plain(&view.name)
        ))
    }
}
