//! `completions` and `man`: generated from the command line's own definition, for both programs.

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::Output;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: KnownShell,
}

/// Shells whose completions are tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KnownShell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// An existing directory, for example /usr/local/share/man/man1
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// Prints the completions of `C`, which is the program of this name.
///
/// # Errors
/// A failed write.
pub fn completions<C: CommandFactory>(
    program: &'static str,
    args: &CompletionsArgs,
    out: &Output,
) -> Result<u8, CliError> {
    let shell = match args.shell {
        KnownShell::Bash => Shell::Bash,
        KnownShell::Zsh => Shell::Zsh,
        KnownShell::Fish => Shell::Fish,
    };
    let mut command = visible(program, &C::command());
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, program, &mut script);
    let script = String::from_utf8(script)
        .map_err(|error| CliError::failed(format!("failed to write completions: {error}")))?;
    out.bytes(mended(program, script).as_bytes())?;
    Ok(exit::OK)
}

/// The command without its hidden commands: the generators of completions would offer them.
fn visible(program: &'static str, command: &Command) -> Command {
    Command::new(program)
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .groups(command.get_groups().cloned())
        .args(command.get_arguments().cloned())
        .subcommands(
            command
                .get_subcommands()
                .filter(|below| !below.is_hide_set())
                .cloned(),
        )
}

/// Gives the places of the bash script the names by which it looks for them: in those names `clap_complete` writes a hyphen
/// of the program's name as if a subcommand began there, so that a program with a hyphen completes nothing.
fn mended(program: &str, script: String) -> String {
    script.replace(
        &program.replace('-', "__subcmd__"),
        &program.replace('-', "__"),
    )
}

/// Writes the manual pages of `C`, one for each command.
///
/// # Errors
/// The directory cannot be written to.
pub fn man<C: CommandFactory>(args: &ManArgs, out: &Output) -> Result<u8, CliError> {
    let dir = args.dir.display();
    if !args.dir.is_dir() {
        return Err(CliError::usage(format!(
            "{dir} is not a directory; make it first"
        )));
    }
    clap_mangen::generate_to(C::command(), &args.dir).map_err(|error| {
        CliError::failed(format!("failed to write manual pages to {dir}: {error}"))
    })?;
    if out.json {
        out.json_line(&serde_json::json!({ "dir": args.dir }))?;
    }
    Ok(exit::OK)
}
