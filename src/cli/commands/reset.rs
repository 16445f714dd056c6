//! `system reset`.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit;

use super::backup::absolute;
use super::confirm::{confirm, tasks};

/// Arguments of `system reset`.
#[derive(Debug, Args)]
pub struct ResetArgs {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Where the backup goes that is made first [default: backups/TIME.db in the state directory]
    #[arg(long, value_name = "PATH")]
    pub backup: Option<PathBuf>,
}

/// What was removed, and where the daemon put the backup.
#[derive(Debug, Serialize, Deserialize)]
struct Removed {
    count: u64,
    backup: PathBuf,
}

/// Removes all tasks.
///
/// # Errors
/// Not confirmed, no daemon, or its refusal.
pub async fn run(args: &ResetArgs, context: &Context) -> Result<u8, CliError> {
    confirm(
        args.yes,
        "This removes all tasks and their output; only a backup of the database is kept.",
        context,
    )?;
    // Without a path the daemon chooses one, and makes the directory.
    let body = match &args.backup {
        Some(path) => json!({ "backup": absolute(path)? }),
        None => json!({}),
    };
    let mut daemon = context.daemon().await?;
    let removed: Removed = context
        .with_progress("resetting", daemon.post("/system/reset", &body))
        .await?;
    if context.out.json {
        context.out.json_line(&removed)?;
    } else {
        context.out.line(&format!(
            "{} removed; the backup is {}",
            tasks(removed.count),
            removed.backup.display()
        ))?;
    }
    Ok(exit::OK)
}
