//! The program `auto-claude`, from its arguments to its exit code.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;

use super::answer::say_failure;
use super::error::ExitError;
use super::run::{RunError, run};
use super::{maintenance, serve, setup, verify};
use crate::cli::commands::generate;
use crate::cli::daemon_args::{AgentCommand, DaemonCli, DaemonCommand, Places, RunArgs};
use crate::cli::entry::{print_clap, report};
use crate::cli::output::Output;
use crate::cli::{CliError, RunOptions, exit};

/// Rows of progress are written at most this often per so many steps.
const PROGRESS_STEPS: u64 = 10_000;

/// Runs the program with these arguments, its name first.
#[must_use]
pub fn auto_claude(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Whoever started us may have left something open: a lock of his is not for the programs that we start.
    crate::process::close_inherited();
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match DaemonCli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(print_clap(&error, &args)),
    };
    let out = Output::detect(cli.places.json);
    let code = match dispatch(cli.command, &cli.places, &out) {
        Ok(code) => code,
        Err(RunError::Client(error)) => report("auto-claude", &out, Err(error)),
        Err(RunError::Start(error)) => {
            say_failure(&error, out.json);
            error.code
        }
    };
    ExitCode::from(code)
}

fn dispatch(command: DaemonCommand, places: &Places, out: &Output) -> Result<u8, RunError> {
    let options = places.options();
    match command {
        DaemonCommand::Serve => serve::serve(&options)
            .map(|()| exit::OK)
            .map_err(RunError::from),
        DaemonCommand::Run(args) => foreground(*args, places),
        DaemonCommand::Init => {
            setup::init(&options)?.print(out)?;
            Ok(exit::OK)
        }
        DaemonCommand::CheckConfig => {
            let text = setup::check_config(&options, out.json)?;
            out.line(text.trim_end()).map_err(RunError::Client)?;
            Ok(exit::OK)
        }
        DaemonCommand::Check => {
            let (found, sound) =
                maintenance::check(&options, &mut |at| progress("checked", at.done))?;
            found.print(out)?;
            Ok(if sound { exit::OK } else { ExitError::FAILED })
        }
        DaemonCommand::Restore(args) => {
            let done = maintenance::restore(&options, &args.file, &mut |at| {
                progress("copied pages", at.done)
            })?;
            done.print(out)?;
            Ok(exit::OK)
        }
        DaemonCommand::Agent(AgentCommand::Verify(args)) => {
            let (found, code) = verify::verify(&options, &args.agent)?;
            found.print(out)?;
            Ok(code)
        }
        // The program hands these arguments to the worker before it parses any.
        DaemonCommand::Worker(_) => {
            Err(CliError::usage("a worker is started by the daemon").into())
        }
        DaemonCommand::Completions(args) => Ok(generate::completions::<DaemonCli>(
            "auto-claude",
            &args,
            out,
        )?),
        DaemonCommand::Man(args) => Ok(generate::man::<DaemonCli>(&args, out)?),
    }
}

fn foreground(args: RunArgs, places: &Places) -> Result<u8, RunError> {
    let options = RunOptions {
        detach: args.detach,
        state_dir: places.state_dir.clone(),
        json: places.json,
        embedded: false,
        programs: called_in(std::env::args_os().next()),
    };
    run(&places.options(), args.into_task(places.json)?, &options)
}

/// The directory of a program that was called by a path; `None` when the shell found it.
fn called_in(program: Option<OsString>) -> Option<PathBuf> {
    let program = PathBuf::from(program?);
    let dir = program.parent()?;
    (!dir.as_os_str().is_empty()).then(|| dir.to_owned())
}

/// On a terminal, now and then, how far it is.
fn progress(what: &str, done: u64) {
    let mut stderr = std::io::stderr();
    if done > 0 && done.is_multiple_of(PROGRESS_STEPS) && stderr.is_terminal() {
        // Progress is a courtesy: a terminal that is gone does not stop the work.
        let _ = write!(stderr, "\r\x1b[K{what}: {done}");
        let _ = stderr.flush();
    }
}
