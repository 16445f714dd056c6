//! `system stop-all`.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit;

use super::confirm::{Count, confirm, tasks};

/// Arguments of `system stop-all`.
#[derive(Debug, Args)]
pub struct StopAllArgs {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// What is asked before. The tasks are paused and not cancelled (docs/decisions/0006), and whoever presses this in a panic has
/// to know that, and the way back, before the answer.
const QUESTION: &str = "This ends every running attempt (SIGTERM, SIGKILL after 2s), pauses its task and starts no new \
                        attempts. To undo it: taskctl system resume, then taskctl task resume ID (--all: every paused task).";

/// Stops.
///
/// # Errors
/// Not confirmed, no daemon, or its refusal.
pub async fn run(args: &StopAllArgs, context: &Context) -> Result<u8, CliError> {
    confirm(args.yes, QUESTION, context)?;
    let mut daemon = context.daemon().await?;
    let body = serde_json::json!({});
    let stopped: Count = context
        .with_progress("stopping", daemon.post("/system/stop-all", &body))
        .await?;
    if context.out.json {
        context.out.json_line(&stopped)?;
    } else {
        let text = format!(
            "pausing {}; no new attempts are started. To undo it: taskctl system resume, then taskctl task resume ID \
             (--all: every paused task)",
            tasks(stopped.count)
        );
        context.out.line(&text)?;
    }
    Ok(exit::OK)
}
