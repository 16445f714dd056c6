//! `checkpoint`: records progress from inside a task, through the door of its worker. Works without a daemon.

use std::io::Read as _;
use std::path::Path;

use clap::Args;

use crate::attempt::protocol::{
    MAX_CHECKPOINT_DATA_BYTES, MAX_NOTE_BYTES, Progress, Reply, Request,
};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::worker::client;

/// Arguments of `checkpoint`.
#[derive(Debug, Args)]
pub struct CheckpointArgs {
    /// Chunks finished: the next attempt begins with this one, counting from 0
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub chunk: Option<u64>,
    /// Chunks in all
    #[arg(
        long,
        value_name = "M",
        allow_negative_numbers = true,
        requires = "chunk"
    )]
    pub of: Option<u64>,
    /// A line for a person, at most 1000 bytes
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Anything the next attempt wants back: JSON of at most 64 KiB, or @FILE with such JSON
    #[arg(long, value_name = "JSON|@FILE")]
    pub data: Option<String>,
}

/// Records.
///
/// # Errors
/// Outside a task, too much data, or the worker's refusal.
pub fn run(args: &CheckpointArgs, context: &Context) -> Result<u8, CliError> {
    let door = std::env::var_os("AUTO_CLAUDE_DOOR").filter(|door| !door.is_empty());
    let token = std::env::var("AUTO_CLAUDE_TOKEN")
        .ok()
        .filter(|token| !token.is_empty());
    let (Some(door), Some(token)) = (door, token) else {
        return Err(CliError::usage(
            "not inside a task: AUTO_CLAUDE_DOOR and AUTO_CLAUDE_TOKEN are not set; taskctl checkpoint is for a task's own command",
        ));
    };
    let progress = progress(args)?;
    match ask(Path::new(&door), &Request::Checkpoint { token, progress })? {
        Reply::Ok => {}
        Reply::Error(message) => return Err(CliError::refused(message)),
        Reply::Status(_) => {
            return Err(CliError::failed(
                "the worker answered something else; is it of another version?",
            ));
        }
    }
    if context.out.json {
        context.out.json_line(&serde_json::json!({ "ok": true }))?;
    }
    Ok(exit::OK)
}

fn progress(args: &CheckpointArgs) -> Result<Progress, CliError> {
    if args.chunk.is_none() && args.note.is_none() && args.data.is_none() {
        return Err(CliError::usage(
            "nothing to record: give --chunk, --note or --data",
        ));
    }
    if let Some(bytes) = args
        .note
        .as_ref()
        .map(String::len)
        .filter(|bytes| *bytes > MAX_NOTE_BYTES)
    {
        return Err(CliError::usage(format!(
            "--note has {bytes} bytes; at most {MAX_NOTE_BYTES} are kept"
        )));
    }
    if let (Some(chunk), Some(of)) = (args.chunk, args.of)
        && chunk > of
    {
        return Err(CliError::usage(format!(
            "--chunk {chunk} is beyond --of {of}"
        )));
    }
    Ok(Progress {
        chunk: args.chunk,
        chunks: args.of,
        note: args.note.clone(),
        data: data(args.data.as_deref())?,
    })
}

fn data(given: Option<&str>) -> Result<Option<serde_json::Value>, CliError> {
    let Some(given) = given else { return Ok(None) };
    let text = match given.strip_prefix('@') {
        Some(path) => read_bounded(path)?,
        None => given.to_owned(),
    };
    if text.len() > MAX_CHECKPOINT_DATA_BYTES {
        return Err(CliError::usage(format!(
            "--data is longer than {MAX_CHECKPOINT_DATA_BYTES} bytes; keep it in a file and record its name"
        )));
    }
    let value = serde_json::from_str(&text)
        .map_err(|error| CliError::usage(format!("--data is not JSON: {error}")))?;
    Ok(Some(value))
}

fn read_bounded(path: &str) -> Result<String, CliError> {
    let wrong = |error: std::io::Error| CliError::usage(format!("--data @{path}: {error}"));
    let file = std::fs::File::open(path).map_err(wrong)?;
    let mut text = String::new();
    file.take(MAX_CHECKPOINT_DATA_BYTES as u64 + 1)
        .read_to_string(&mut text)
        .map_err(wrong)?;
    Ok(text)
}

/// One request, one reply.
fn ask(door: &Path, request: &Request) -> Result<Reply, CliError> {
    client::request(door, request).map_err(|error| {
        CliError::failed(format!(
            "failed to reach the task's worker at {}: {error}",
            door.display()
        ))
    })
}
