//! `task logs`: a task's output, as it was written or line by line with its time; an agent's in words.

use std::time::Duration;

use bytes::Buf as _;
use clap::{Args, ValueEnum};

use crate::cli::conn::Daemon;
use crate::cli::context::{Context, restart_patience};
use crate::cli::error::CliError;
use crate::cli::route::{query, task_route};
use crate::cli::{clock, exit};

/// Arguments of `task logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Id or short unique prefix
    #[arg(value_name = "ID")]
    pub id: String,
    /// Go on as the output grows, until the task is over; also across a restart of the daemon
    #[arg(short, long)]
    pub follow: bool,
    /// Only this attempt, from 1 [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub attempt: Option<u32>,
    /// Only this stream [default: both, in the order they were written]
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<Stream>,
    /// Only the last lines
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true)]
    pub tail: Option<u32>,
    /// Each line with its time and stream, as it was written
    #[arg(short, long)]
    pub timestamps: bool,
    /// An agent's events as they were written [default: in words; a command's output always is as it was written]
    #[arg(long, conflicts_with = "timestamps")]
    pub raw: bool,
}

/// A stream of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stream {
    /// Standard output
    Stdout,
    /// Standard error
    Stderr,
}

impl Stream {
    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A connection that stood this long is no sign of a daemon that always fails at the same place.
const STEADY_AFTER: Duration = Duration::from_secs(5);
/// Connections that may break one after the other without bringing anything, unless they stood for a while.
const IN_VAIN_MAX: u32 = 10;

/// Prints, across restarts of the daemon.
///
/// # Errors
/// No daemon, or an id that names no task.
pub async fn run(args: &LogsArgs, context: &Context) -> Result<u8, CliError> {
    let mut daemon = context.daemon().await?;
    let mut copy = Copy {
        args,
        context,
        begin: None,
        printed: 0,
    };
    let mut in_vain = 0;
    loop {
        let (begun, before) = (clock::instant(), copy.printed);
        let error = match copy.go_on(&mut daemon).await {
            Ok(()) => return Ok(exit::OK),
            Err(error) => error,
        };
        let stood = clock::instant().saturating_duration_since(begun) >= STEADY_AFTER;
        in_vain = if stood || copy.printed > before {
            0
        } else {
            in_vain + 1
        };
        if !error.is_away() || !copy.can_go_on() || in_vain > IN_VAIN_MAX {
            return Err(error);
        }
        context.find_again(&mut daemon, restart_patience()).await?;
    }
}

/// Output on its way to ours. The same question from the same place is answered with the same bytes: what was printed before
/// the daemon went away is passed over.
struct Copy<'a> {
    args: &'a LogsArgs,
    context: &'a Context,
    /// Where the answer began, as the first daemon said.
    begin: Option<u64>,
    /// So much was printed: bytes, or with `as_lines` lines.
    printed: u64,
}

impl Copy<'_> {
    /// Whether the rest can be asked for. An older daemon does not say where the last lines begin.
    const fn can_go_on(&self) -> bool {
        self.begin.is_some() || self.printed == 0 || self.args.tail.is_none()
    }

    fn as_lines(&self) -> bool {
        self.context.out.json || self.args.timestamps
    }

    fn route(&self) -> Result<String, CliError> {
        let args = self.args;
        let format = match (self.as_lines(), args.raw) {
            (true, _) => "json",
            (false, true) => "raw",
            (false, false) => "text",
        };
        let mut pairs: Vec<(&str, String)> = vec![("format", format.to_owned())];
        pairs.extend(args.follow.then(|| ("follow", "true".to_owned())));
        pairs.extend(args.attempt.map(|attempt| ("attempt", attempt.to_string())));
        pairs.extend(
            args.stream
                .map(|stream| ("stream", stream.name().to_owned())),
        );
        pairs.extend(match (self.begin, args.tail) {
            (Some(begin), _) => Some(("offset", begin.to_string())),
            (None, Some(tail)) => Some(("tail", tail.to_string())),
            (None, None) => None,
        });
        task_route(&args.id, &format!("logs?{}", query(&pairs)))
    }

    /// Prints what was not printed yet, to the end.
    async fn go_on(&mut self, daemon: &mut Daemon) -> Result<(), CliError> {
        let mut body = daemon.stream(&self.route()?).await?;
        self.begin = self.begin.or(body.offset());
        let mut pass_over = self.printed;
        if !self.as_lines() {
            while let Some(mut chunk) = body.chunk().await? {
                let known = usize::try_from(pass_over).map_or(chunk.len(), |n| n.min(chunk.len()));
                chunk.advance(known);
                pass_over -= known as u64;
                self.context.out.bytes(&chunk)?;
                self.printed += chunk.len() as u64;
            }
            return Ok(());
        }
        while let Some(line) = body.line().await? {
            if pass_over > 0 {
                pass_over -= 1;
                continue;
            }
            if self.context.out.json {
                self.context.out.line(&line)?;
            } else {
                self.context.out.line(&with_time(&line))?;
            }
            self.printed += 1;
        }
        Ok(())
    }
}

/// `2026-01-31T22:00:00.000Z 1 stdout | text` from a line of the API.
fn with_time(line: &str) -> String {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else {
        return line.to_owned();
    };
    let text = |key: &str| {
        value
            .get(key)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    };
    let attempt = value
        .get("attempt")
        .map(ToString::to_string)
        .unwrap_or_default();
    // A chunk may hold its line end; the line gets one anyway.
    let said = text("text").trim_end_matches('\n');
    format!("{} {attempt} {} | {said}", text("at"), text("stream"))
}
