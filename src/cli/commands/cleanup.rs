//! `system cleanup`.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit;

use super::confirm::{Count, tasks};

/// Arguments of `system cleanup`.
#[derive(Debug, Args)]
pub struct CleanupArgs {
    /// Remove tasks that finished more than this many days ago
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(0..=36_500))]
    pub days: u32,
    /// Only count them
    #[arg(long)]
    pub dry_run: bool,
}

/// Removes.
///
/// # Errors
/// No daemon, or its refusal.
pub async fn run(args: &CleanupArgs, context: &Context) -> Result<u8, CliError> {
    let body = serde_json::json!({ "days": args.days, "dry_run": args.dry_run });
    let mut daemon = context.daemon().await?;
    let removed: Count = context
        .with_progress("cleaning up", daemon.post("/system/cleanup", &body))
        .await?;
    if context.out.json {
        context.out.json_line(&removed)?;
    } else {
        let verb = if args.dry_run {
            "would be removed"
        } else {
            "removed"
        };
        context
            .out
            .line(&format!("{} {verb}", tasks(removed.count)))?;
    }
    Ok(exit::OK)
}
