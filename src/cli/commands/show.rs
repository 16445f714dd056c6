//! `task show`.

use clap::Args;
use serde_json::{Value, json};

use crate::api::wire::{JournalView, TaskView};
use crate::cli::conn::Daemon;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::render::journal::lines as journal_lines;
use crate::cli::render::task as render;
use crate::cli::route::task_route;
use crate::cli::{clock, exit};

/// Arguments of `task show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Ids or short unique prefixes
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,
    /// The last 100 lines of output as well
    #[arg(long)]
    pub show_logs: bool,
    /// Everything that happened to it as well
    #[arg(long)]
    pub journal: bool,
}

/// Lines of output that `--show-logs` shows.
const SHOWN_LINES: u32 = 100;

/// Shows.
///
/// # Errors
/// No daemon, or an id that names no task.
pub async fn run(args: &ShowArgs, context: &Context) -> Result<u8, CliError> {
    let mut daemon = context.daemon().await?;
    let mut shown = Vec::new();
    for (place, id) in args.ids.iter().enumerate() {
        let task: TaskView = daemon.get(&task_route(id, "")?).await?;
        let journal: Option<Vec<JournalView>> = match args.journal {
            true => Some(
                daemon
                    .get(&task_route(task.id.as_str(), "journal")?)
                    .await?,
            ),
            false => None,
        };
        let logs = match args.show_logs {
            true => Some(last_output(&mut daemon, task.id.as_str(), SHOWN_LINES).await?),
            false => None,
        };
        if context.out.json {
            shown.push(as_json(&task, journal, logs.as_deref())?);
            continue;
        }
        if place > 0 {
            context.out.line("")?;
        }
        screen(&task, journal.as_deref(), logs.as_deref(), context)?;
    }
    if context.out.json {
        match shown.as_slice() {
            [only] => context.out.json_line(only)?,
            several => context.out.json_array(several)?,
        }
    }
    Ok(exit::OK)
}

/// The last lines of a task's output, both streams: a command's as they were written, an agent's in words.
///
/// # Errors
/// No daemon, or its refusal.
pub async fn last_output(daemon: &mut Daemon, id: &str, lines: u32) -> Result<Vec<u8>, CliError> {
    let route = task_route(id, &format!("logs?format=text&tail={lines}"))?;
    let mut body = daemon.stream(&route).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn as_json(
    task: &TaskView,
    journal: Option<Vec<JournalView>>,
    logs: Option<&[u8]>,
) -> Result<Value, CliError> {
    let wrong =
        |error: serde_json::Error| CliError::failed(format!("failed to write JSON: {error}"));
    let mut value = serde_json::to_value(task).map_err(wrong)?;
    if let Some(journal) = journal {
        value["journal"] = serde_json::to_value(journal).map_err(wrong)?;
    }
    if let Some(logs) = logs {
        value["logs"] = json!(String::from_utf8_lossy(logs));
    }
    Ok(value)
}

fn screen(
    task: &TaskView,
    journal: Option<&[JournalView]>,
    logs: Option<&[u8]>,
    context: &Context,
) -> Result<(), CliError> {
    let out = &context.out;
    for line in render::aligned(&render::fields(task, clock::now(), out.colour)) {
        out.line(&line)?;
    }
    if let Some(journal) = journal {
        out.line("\njournal")?;
        // Elsewhere than on a terminal an entry is one line, whatever its length.
        let columns = out.stdout_is_terminal.then_some(out.columns);
        for line in journal_lines(journal, columns) {
            out.line(&line)?;
        }
    }
    if let Some(logs) = logs {
        out.line("\nlast output")?;
        write_output(logs, context)?;
    }
    Ok(())
}

/// Writes output that may lack its last line end: made harmless on a terminal, as it is elsewhere.
///
/// # Errors
/// A failed write.
pub fn write_output(bytes: &[u8], context: &Context) -> Result<(), CliError> {
    if bytes.is_empty() {
        return context.out.line("(none)");
    }
    context.out.task_output(bytes)?;
    if bytes.ends_with(b"\n") {
        Ok(())
    } else {
        context.out.line("")
    }
}
