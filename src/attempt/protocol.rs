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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_any_length_is_the_same_when_it_is_read_again() {
        // Without the parser's exact reading its last digit changes.
        let number = "25555555555555555555555555555555555555555555555555555550522222222222222";
        let line = format!(
            r#"{{"op":"checkpoint","token":"t","progress":{{"chunks":3,"note":"n","data":[{number}]}}}}"#
        );
        let request: Request = serde_json::from_str(&line).unwrap();
        let written = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&written).unwrap(), request);
    }

    #[test]
    fn a_start_line_reads_as_it_was_written() {
        let lines = [
            (StartLine::Started(Timestamp::from_ms(5)), "started 5"),
            (
                StartLine::Refused("no lock: busy".to_owned()),
                "refused no lock: busy",
            ),
        ];
        for (line, text) in lines {
            assert_eq!(line.to_string(), text);
            assert_eq!(StartLine::parse(&format!("{text}\n")), Some(line));
        }
        for text in ["", "started", "started soon", "ended 5"] {
            assert_eq!(StartLine::parse(text), None, "{text:?}");
        }
        let two_lines = StartLine::Refused("one\ntwo".to_owned());
        assert_eq!(two_lines.to_string(), "refused one two");
    }

    #[test]
    fn progress_passes_at_its_bounds_and_is_refused_beyond_them() {
        // A text of JSON has its two quotes.
        let data = |bytes: usize| Some(serde_json::Value::from("x".repeat(bytes - 2)));
        let of = |note: usize, bytes: usize, chunk: u64| Progress {
            chunk: Some(chunk),
            chunks: Some(3),
            note: Some("n".repeat(note)),
            data: data(bytes),
        };
        let (note, bytes) = (1_000, 65_536);
        assert_eq!(of(note, bytes, 3).check(), Ok(()));
        assert_eq!(Progress::default().check(), Ok(()));
        for (progress, part) in [
            (of(note + 1, bytes, 3), "note is longer than 1000 bytes"),
            (
                of(note, bytes + 1, 3),
                "data is 65537 bytes of JSON, the limit is 65536",
            ),
            (of(note, bytes, 4), "chunk 4 is beyond chunks 3"),
        ] {
            assert_eq!(progress.check(), Err(part.to_owned()));
        }
        // The largest checkpoint fits the door's line.
        let token = "t".repeat(64);
        let progress = of(note, bytes, 3);
        let line = serde_json::to_string(&Request::Checkpoint { token, progress });
        assert!(line.is_ok_and(|line| line.len() < MAX_LINE_BYTES));
    }
}
