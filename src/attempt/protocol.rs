//! The worker's door: one JSON object per line, one reply line per request, over a Unix stream socket.
//!
//! Two kinds of peer: the daemon (any process of the worker's user that does not descend from the worker) may stop and ask;
//! a process of the task presents the task's token and may only record progress.
//!
//! Beside the door there is the start line: the one line that a worker writes to the pipe it was launched with.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::record::Exit;
use crate::task::{Intent, Report, Timestamp};

/// Longest request or reply line.
pub const MAX_LINE_BYTES: usize = 128 * 1024;
/// Longest `data` of a checkpoint, as JSON text.
pub const MAX_CHECKPOINT_DATA_BYTES: usize = 64 * 1024;
/// Longest `note` of a checkpoint.
pub const MAX_NOTE_BYTES: usize = 1000;

/// A request at the door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The daemon: carry out a committed intent. Repeating it, or sending a stronger one, is fine.
    Stop {
        /// The intent.
        intent: Intent,
    },
    /// The daemon or a person: how is it going?
    Status,
    /// The daemon: it has committed the outcome that [`Status::exit`] showed; a worker that cannot write it down may leave.
    Committed,
    /// The task: record progress as a checkpoint.
    Checkpoint {
        /// The task's token.
        token: String,
        /// The progress.
        progress: Progress,
    },
}

/// What a task records of its progress.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Chunks finished; the next attempt begins with this one (counting from 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<u64>,
    /// Chunks in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<u64>,
    /// A line for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Anything the task wants back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

/// The reply line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Done (for a checkpoint: it is on disk).
    Ok,
    /// The status.
    Status(Status),
    /// Refused: one clear sentence.
    Error(String),
}

/// How an attempt is going.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The worker's protocol version.
    pub version: u32,
    /// The command's pid, once started.
    pub agent_pid: Option<i32>,
    /// Bytes of output seen.
    pub output_bytes: u64,
    /// Milliseconds since the last sign of work.
    pub quiet_ms: u64,
    /// The intent being carried out.
    pub stopping: Option<Intent>,
    /// How it ended, once it has: shown while the worker cannot write it to its record, or waits for its tree to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// What an agent said about its run, once it has ended.
    #[serde(default)]
    pub report: Option<Box<Report>>,
}

/// The one line that a worker writes to its standard output before it closes it. No line at all means that it died first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartLine {
    /// `started <ms>`: the agent runs since that time (milliseconds since the epoch).
    Started(Timestamp),
    /// `refused <reason>`: the worker left without an agent. What the record says decides what that means.
    Refused(String),
}

impl StartLine {
    /// Longest line, its end included.
    pub const MAX_BYTES: usize = 512;

    /// What a line (with or without its end) says; `None` when it is none.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.trim_end_matches('\n').split_once(' ')?;
        match word {
            "started" => rest
                .parse()
                .ok()
                .map(|ms| Self::Started(Timestamp::from_ms(ms))),
            "refused" => Some(Self::Refused(rest.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for StartLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started(at) => write!(f, "started {}", at.as_ms()),
            Self::Refused(reason) => write!(f, "refused {}", reason.replace('\n', " ")),
        }
    }
}

impl Progress {
    /// Whether the sizes are inside their limits.
    ///
    /// # Errors
    /// One clear sentence that names the field and its limit.
    pub fn check(&self) -> Result<(), String> {
        if self
            .note
            .as_ref()
            .is_some_and(|note| note.len() > MAX_NOTE_BYTES)
        {
            return Err(format!("note is longer than {MAX_NOTE_BYTES} bytes"));
        }
        let data_bytes = self.data.as_ref().map_or(0, |data| data.to_string().len());
        if data_bytes > MAX_CHECKPOINT_DATA_BYTES {
            return Err(format!(
                "data is {data_bytes} bytes of JSON, the limit is {MAX_CHECKPOINT_DATA_BYTES}"
            ));
        }
        match (self.chunk, self.chunks) {
            (Some(chunk), Some(chunks)) if chunk > chunks => {
                Err(format!("chunk {chunk} is beyond chunks {chunks}"))
            }
            _ => Ok(()),
        }
    }
}
