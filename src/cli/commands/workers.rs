//! `worker list`.

use clap::Args;

use crate::api::wire::WorkerView;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::{plain, say};
use crate::cli::render::table::{Column, cut, droppable, keep, render};
use crate::cli::render::{bytes, task as render_task};
use crate::cli::{clock, duration, exit};
use crate::task::Timestamp;

/// Arguments of `worker list`.
#[derive(Debug, Args)]
pub struct WorkersArgs {}

const COLUMNS: [Column; 9] = [
    keep("SLOT"),
    keep("TASK"),
    cut("NAME"),
    droppable("TRY", 3),
    droppable("SINCE", 2),
    keep("HEARTBEAT"),
    droppable("OUTPUT", 4),
    droppable("WORKER/AGENT", 5),
    droppable("NOTE", 1),
];

/// Lists.
///
/// # Errors
/// No daemon, or its refusal.
pub async fn run(context: &Context) -> Result<u8, CliError> {
    let mut daemon = context.daemon().await?;
    let (workers, warning): (Vec<WorkerView>, _) = daemon.get_warned("/workers").await?;
    if let Some(warning) = &warning {
        say(&format!(
            "only what the daemon knows without its database: {}",
            plain(warning)
        ));
    }
    if context.out.json {
        context.out.json_array(&workers)?;
        return Ok(exit::OK);
    }
    if workers.is_empty() {
        say("nothing runs");
        return Ok(exit::OK);
    }
    let now = clock::now();
    let rows: Vec<Vec<String>> = workers.iter().map(|worker| row(worker, now)).collect();
    for line in render(&COLUMNS, &rows, context.out.columns) {
        context.out.line(&line)?;
    }
    Ok(exit::OK)
}

fn row(worker: &WorkerView, now: Timestamp) -> Vec<String> {
    let pid = |pid: Option<i32>| pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    let since = worker
        .started_at
        .and_then(|at| u64::try_from(now.ms_since(at)).ok());
    let mut notes = Vec::new();
    if let Some(intent) = &worker.intent {
        notes.push(format!(
            "stopping ({})",
            render_task::json_name(&intent.kind)
        ));
    }
    if worker.adopted {
        notes.push("taken back".to_owned());
    }
    vec![
        worker.slot.to_string(),
        worker.task.to_string(),
        plain(&worker.name),
        worker.attempt.to_string(),
        since.map_or_else(|| "starting".to_owned(), duration::brief),
        worker.heartbeat_age_ms.map_or_else(
            || "-".to_owned(),
            |age| format!("{} ago", duration::brief(age)),
        ),
        bytes::brief(worker.output_bytes),
        format!("{}/{}", pid(worker.worker_pid), pid(worker.agent_pid)),
        notes.join(", "),
    ]
}
