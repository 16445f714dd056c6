//! `task result`: one screen about how a task ended.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::api::wire::{SystemStatus, TaskView};
use crate::cli::conn::Daemon;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::files::{self, Changed, LOOKED_AT_MAX};
use crate::cli::output::plain;
use crate::cli::render::outcome::{Ending, verdict};
use crate::cli::render::{colour, task as render, time};
use crate::cli::route::task_route;
use crate::cli::{clock, duration, exit};
use crate::task::Timestamp;

use super::show::{last_output, write_output};

/// Arguments of `task result`.
#[derive(Debug, Args)]
pub struct ResultArgs {
    /// Id or short unique prefix
    #[arg(value_name = "ID")]
    pub id: String,
}

/// Lines of output on the screen.
const SHOWN_LINES: u32 = 12;
/// An event of an agent may be a long text: so many of its last lines.
const SHOWN_LINES_OF_WORDS: usize = 40;
/// Files named on the screen.
const SHOWN_FILES: usize = 10;

/// Shows.
///
/// # Errors
/// No daemon, or an id that names no task.
pub async fn run(args: &ResultArgs, context: &Context) -> Result<u8, CliError> {
    let mut daemon = context.daemon().await?;
    let task: TaskView = daemon.get(&task_route(&args.id, "")?).await?;
    let output = if task.attempt > 0 {
        let shown = last_output(&mut daemon, task.id.as_str(), SHOWN_LINES).await?;
        last_lines(shown)
    } else {
        Vec::new()
    };
    let now = clock::now();
    let changed = look(&task, &mut daemon, now, context).await;
    if context.out.json {
        let body = json!({
            "task": task,
            "verdict": verdict(&Ending::of(&task)),
            "last_output": String::from_utf8_lossy(&output),
            "files_changed": changed.as_ref().map(|changed| &changed.files),
            "files_changed_cut": changed.as_ref().is_some_and(|changed| changed.cut),
        });
        context.out.json_line(&body)?;
        return Ok(exit::OK);
    }
    screen(&task, &output, changed.as_ref(), now, context)?;
    Ok(exit::OK)
}

fn last_lines(mut output: Vec<u8>) -> Vec<u8> {
    let body = output.strip_suffix(b"\n").unwrap_or(&output);
    let ends = body
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'\n');
    let from = ends.map(|(at, _)| at + 1).nth(SHOWN_LINES_OF_WORDS - 1);
    output.drain(..from.unwrap_or(0));
    output
}

/// The files that changed, where an attempt has run.
async fn look(
    task: &TaskView,
    daemon: &mut Daemon,
    now: Timestamp,
    context: &Context,
) -> Option<Changed> {
    let from = task.started_at?;
    let to = task.finished_at.unwrap_or(now);
    let root: PathBuf = task.cwd.clone();
    // It may lie below the task's directory. A daemon that does not tell is no reason to show nothing.
    let status: Option<SystemStatus> = daemon.get("/status").await.ok();
    let state_dir = status.map(|status| status.state_dir);
    let walk =
        tokio::task::spawn_blocking(move || files::changed(&root, state_dir.as_deref(), from, to));
    context
        .with_progress("looking for changed files", walk)
        .await
        .ok()
}

fn screen(
    task: &TaskView,
    output: &[u8],
    changed: Option<&Changed>,
    now: Timestamp,
    context: &Context,
) -> Result<(), CliError> {
    let out = &context.out;
    out.line(&format!(
        "{}  {}",
        task.id,
        colour::bold(out.colour, &plain(&task.name))
    ))?;
    out.line(&colour::state(
        out.colour,
        task.state,
        &verdict(&Ending::of(task)),
    ))?;
    if let (Some(started), Some(finished)) = (task.started_at, task.finished_at) {
        let took = u64::try_from(finished.ms_since(started)).unwrap_or_default();
        let tries = if task.attempt > 1 {
            format!(", attempt {}", task.attempt)
        } else {
            String::new()
        };
        out.line(&format!(
            "took {}{tries}, finished {}",
            duration::brief(took),
            time::both(finished, now)
        ))?;
    }
    if task.attempt == 0 {
        return out.line("no attempt has run");
    }
    out.line("\nlast output")?;
    write_output(output, context)?;
    if let Some(changed) = changed {
        out.line(&format!("\n{}", files_title(changed, task)))?;
        for file in changed.files.iter().take(SHOWN_FILES) {
            out.line(&format!("  {}", plain(&file.to_string_lossy())))?;
        }
        if changed.files.len() > SHOWN_FILES {
            out.line(&format!("  and {} more", changed.files.len() - SHOWN_FILES))?;
        }
    }
    out.line(&format!(
        "\nall of it: taskctl task show {0} --journal; taskctl task logs {0}",
        task.id
    ))
}

fn files_title(changed: &Changed, task: &TaskView) -> String {
    let count = changed.files.len();
    let files = if count == 1 {
        "1 file".to_owned()
    } else {
        format!("{count} files")
    };
    let place = render::quote(&plain(&task.cwd.to_string_lossy()));
    if changed.cut {
        format!(
            "{files} changed meanwhile in {place}, or more: at most {LOOKED_AT_MAX} entries were looked at"
        )
    } else {
        format!("{files} changed meanwhile in {place}")
    }
}
