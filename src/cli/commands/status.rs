//! `system status`.

use clap::Args;

use crate::api::wire::SystemStatus;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::plain;
use crate::cli::render::{bytes, task as render_task, time};
use crate::cli::{clock, exit};

/// Arguments of `system status`.
#[derive(Debug, Args)]
pub struct StatusArgs {}

/// Shows.
///
/// # Errors
/// No daemon, or its refusal.
pub async fn run(context: &Context) -> Result<u8, CliError> {
    let mut daemon = context.daemon().await?;
    let status: SystemStatus = daemon.get("/status").await?;
    if context.out.json {
        context.out.json_line(&status)?;
        return Ok(exit::OK);
    }
    for line in render_task::aligned(&fields(&status, &daemon.socket().display().to_string())) {
        context.out.line(&line)?;
    }
    for note in &status.attention {
        context.out.line(&format!("attention: {}", plain(note)))?;
    }
    Ok(exit::OK)
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn fields(status: &SystemStatus, socket: &str) -> Vec<(&'static str, String)> {
    let tasks: Vec<String> = status
        .tasks
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(state, count)| format!("{count} {}", state.name()))
        .collect();
    let claims = match (&status.claims.enabled, &status.claims.why_not) {
        (true, _) => "on".to_owned(),
        (false, Some(why)) => format!("off: {}", plain(why)),
        (false, None) => "off".to_owned(),
    };
    vec![
        (
            "daemon",
            format!(
                "{} (pid {}) on {}",
                status.version,
                status.pid,
                plain(&status.machine_id)
            ),
        ),
        ("running since", time::both(status.started_at, clock::now())),
        ("state directory", status.state_dir.display().to_string()),
        ("socket", socket.to_owned()),
        (
            "slots",
            format!("{} of {} in use", status.running, status.num_workers),
        ),
        ("new attempts", claims),
        (
            "tasks",
            if status.tasks.is_empty() {
                unknown()
            } else if tasks.is_empty() {
                "none".to_owned()
            } else {
                tasks.join(", ")
            },
        ),
        ("disk free", bytes::brief(status.disk_free_bytes)),
        (
            "memory available",
            status
                .memory_available_bytes
                .map_or_else(unknown, bytes::brief),
        ),
        (
            "load",
            status
                .load_average_1m
                .map_or_else(unknown, |load| format!("{load:.2} over the last minute")),
        ),
    ]
}
