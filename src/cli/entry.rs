//! `taskctl` from its arguments to its exit code.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use super::args::{Cli, SystemCommand, TaskCommand, Top, WorkerCommand};
use super::commands::{
    account, act, agent, attach, backup, checkpoint, claims, cleanup, cost, create, edit, generate,
    init, limits, list, logs, reset, result, show, status, stop_all, wait, workers,
};
use super::context::Context;
use super::error::CliError;
use super::exit;
use super::output::{Output, say};
use crate::api::wire::ActionName;

/// Runs `taskctl` with these arguments, the program's name first.
#[must_use]
pub fn taskctl(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(print_clap(&error, &args)),
    };
    let context = Context {
        out: Output::detect(cli.global.json),
        places: cli.global.places(),
    };
    let result = run(cli.command, &context);
    ExitCode::from(report("taskctl", &context.out, result))
}

/// Prints clap's help, version or complaint about `args`, and gives the exit code.
pub fn print_clap(error: &clap::Error, args: &[OsString]) -> u8 {
    if error.use_stderr() && asks_for_json(args) {
        let complaint = CliError::usage(one_line(error));
        if let Some(line) = complaint.to_json() {
            say(&line);
        }
        return exit::USAGE;
    }
    // Help goes to a closed pipe as quietly as everything else.
    let _ = error.print();
    let _ = std::io::stdout().flush();
    if error.use_stderr() {
        exit::USAGE
    } else {
        exit::OK
    }
}

/// Whether `--json` stands anywhere among the arguments of ours: a command line that cannot be read says no more.
fn asks_for_json(args: &[OsString]) -> bool {
    args.iter()
        .take_while(|arg| *arg != "--")
        .any(|arg| arg == "--json")
}

/// clap's complaint without the usage and the pointers below it, on one line.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // A whole help text: its usage says what is missing.
        let usage = text
            .lines()
            .find_map(|line| line.trim_start().strip_prefix("Usage: "));
        return format!("a command is missing: {}", usage.unwrap_or("see --help"));
    }
    let mut said = String::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        if !said.is_empty() && !line.is_empty() {
            said.push_str(if line.starts_with("tip:") { "; " } else { " " });
        }
        said.push_str(line.strip_prefix("error: ").unwrap_or(line));
    }
    said
}

/// Says on stderr why a command failed, in the form that was asked for, and gives the exit code.
pub fn report(program: &str, out: &Output, result: Result<u8, CliError>) -> u8 {
    let error = match result {
        Ok(code) => return code,
        Err(error) => error,
    };
    match (&error, out.json) {
        (CliError::OutputClosed, _) => {}
        (_, true) => {
            if let Some(line) = error.to_json() {
                say(&line);
            }
        }
        (_, false) => say(&format!("{program}: {error}")),
    }
    error.exit()
}

fn run(command: Top, context: &Context) -> Result<u8, CliError> {
    match command {
        Top::Init(args) => init::run(&args, context),
        Top::Completions(args) => generate::completions::<Cli>("taskctl", &args, &context.out),
        Top::Man(args) => generate::man::<Cli>(&args, &context.out),
        Top::Checkpoint(args) => checkpoint::run(&args, context),
        Top::Task(command) => runtime()?.block_on(task(command, context)),
        Top::Worker(WorkerCommand::List(_)) => runtime()?.block_on(workers::run(context)),
        Top::System(command) => runtime()?.block_on(system(command, context)),
        Top::Account(command) => runtime()?.block_on(account::run(command, context)),
        Top::Agent(command) => runtime()?.block_on(agent::run(command, context)),
        Top::Limits(args) => runtime()?.block_on(limits::run(args, context)),
        Top::Cost(args) => runtime()?.block_on(cost::run(args, context)),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::failed(format!("failed to start: {error}")))
}

async fn task(command: TaskCommand, context: &Context) -> Result<u8, CliError> {
    match command {
        TaskCommand::Create(args) => create::run(*args, context).await,
        TaskCommand::List(args) => list::run(&args, context).await,
        TaskCommand::Show(args) => show::run(&args, context).await,
        TaskCommand::Result(args) => result::run(&args, context).await,
        TaskCommand::Logs(args) => logs::run(&args, context).await,
        TaskCommand::Wait(args) => wait::run(&args, context).await,
        TaskCommand::Cancel(args) => act::cancel(&args, context).await,
        TaskCommand::Retry(args) => act::run(ActionName::Retry, &args, context).await,
        TaskCommand::Pause(args) => act::run(ActionName::Pause, &args, context).await,
        TaskCommand::Resume(args) => act::run(ActionName::Resume, &args, context).await,
        TaskCommand::Attach(args) => attach::run(&args, context).await,
        TaskCommand::Detach(args) => attach::detach(&args, context).await,
        TaskCommand::Edit(args) => edit::run(*args, context).await,
        TaskCommand::Approve(args) => act::run(ActionName::Approve, &args, context).await,
        TaskCommand::Reject(args) => act::run(ActionName::Reject, &args, context).await,
    }
}

async fn system(command: SystemCommand, context: &Context) -> Result<u8, CliError> {
    match command {
        SystemCommand::Status(_) => status::run(context).await,
        SystemCommand::Cleanup(args) => cleanup::run(&args, context).await,
        SystemCommand::Backup(args) => backup::run(&args, context).await,
        SystemCommand::Pause(_) => claims::run(false, context).await,
        SystemCommand::Resume(_) => claims::run(true, context).await,
        SystemCommand::StopAll(args) => stop_all::run(&args, context).await,
        SystemCommand::Reset(args) => reset::run(&args, context).await,
    }
}
