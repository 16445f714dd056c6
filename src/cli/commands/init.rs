//! `taskctl init`: hands over to `auto-claude init`, which does it without a daemon.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::CliError;

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The configuration file to write [default: at its usual place]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Becomes `auto-claude init`.
///
/// # Errors
/// There is no such program beside this one nor on `PATH`.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing is spawned: this process becomes the other program"
)]
pub fn run(args: &InitArgs, context: &Context) -> Result<u8, CliError> {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|own| Some(own.parent()?.join("auto-claude")));
    let program = beside
        .filter(|path| path.is_file())
        .unwrap_or_else(|| PathBuf::from("auto-claude"));
    let mut command = std::process::Command::new(&program);
    command.arg("init");
    if let Some(dir) = &context.places.state_dir {
        command.arg("--state-dir").arg(dir);
    }
    if let Some(config) = &args.config {
        command.arg("--config").arg(config);
    }
    if context.out.json {
        command.arg("--json");
    }
    let error = command.exec();
    Err(CliError::failed(format!(
        "failed to run {}: {error}; install it beside taskctl",
        program.display()
    )))
}
