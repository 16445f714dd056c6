//! `task create --from`: many tasks over one connection, acknowledged line by line.
//!
//! Promise: every line has a key before it is sent. When the connection breaks, a new one gets all lines that were not
//! acknowledged, with the same keys: what had become durable is answered as known, nothing is there twice.

use std::collections::VecDeque;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::api::wire::{BatchLine, BatchNotice, BatchOpen};
use crate::cli::conn::{Daemon, Stream};
use crate::cli::context::{Context, repaint, restart_patience};
use crate::cli::error::CliError;
use crate::cli::outgoing::Outgoing;
use crate::cli::output::say;
use crate::cli::{clock, exit};
use crate::supervisor::command::RefusalCode;
use crate::task::spec_check::notify_command;

use super::batch_lines::{Line, Source};
use super::spec::{SpecArgs, draw_key};

/// Lines that may be under way at once, and so the most that is sent again after a broken connection.
const UNDER_WAY_MAX: usize = 1024;
/// Lines that are read before there is room for them.
const READ_AHEAD_LINES: usize = 64;
/// Bytes that may be under way at once.
const UNDER_WAY_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Times that a broken connection is made anew without one line acknowledged in between.
const RECONNECTS_MAX: u32 = 50;
/// Between two of them.
const RECONNECT_AFTER: Duration = Duration::from_millis(200);
/// Between two lines of progress on a terminal.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// Between two lines of progress elsewhere.
const PROGRESS_EVERY_ELSEWHERE: Duration = Duration::from_secs(5);

/// Counts, and what was shown of them.
struct Tally<'a> {
    context: &'a Context,
    created: u64,
    known: u64,
    refused: u64,
    exit: u8,
    begun: std::time::Instant,
    shown: Option<std::time::Instant>,
}

/// Submits every line of `file`; with `notify`, somebody is told once when all of its tasks are over.
///
/// # Errors
/// The file cannot be read, or no daemon answers. Refused lines are counted, not errors: the others go on.
pub async fn run(
    file: &Path,
    spec: &SpecArgs,
    notify: Option<&str>,
    context: &Context,
) -> Result<u8, CliError> {
    let together = Together::of(notify)?;
    let source = Source::open(file, spec, together.of_each_line(), context.out.json)?;
    let mut feed = Feed::of(source);
    let mut tally = Tally::new(context);
    let mut under_way: VecDeque<Line> = VecDeque::new();
    let mut daemon = context.daemon().await?;
    let mut broken = 0;
    loop {
        let before = tally.seen();
        match over_one_connection(&mut daemon, &mut feed, &mut under_way, &mut tally).await {
            Ok(()) => break,
            Err(error) if error.is_no_daemon() && broken < RECONNECTS_MAX => {
                broken = if tally.seen() > before { 0 } else { broken + 1 };
            }
            Err(error) => return Err(tally.cut_short(error)),
        }
        tokio::time::sleep(RECONNECT_AFTER).await;
        if let Ok(fresh) = daemon.another().await {
            daemon = fresh;
        }
    }
    tally.finish();
    if tally.created > 0 {
        together.complete(&mut daemon, context).await?;
    }
    Ok(tally.exit)
}

/// Who is told when all is over.
enum Together<'a> {
    /// Whoever the lines and the settings say, of each task.
    Nobody,
    /// Nobody at all, unless a line says otherwise.
    Silent,
    /// This command, under this name of the batch.
    Told { batch: String, notify: &'a str },
}

impl<'a> Together<'a> {
    fn of(notify: Option<&'a str>) -> Result<Self, CliError> {
        let Some(notify) = notify else {
            return Ok(Self::Nobody);
        };
        if notify.is_empty() {
            return Ok(Self::Silent);
        }
        // What the daemon would refuse after the last line is refused before the first.
        notify_command(notify).map_err(|error| CliError::usage(format!("--{error}")))?;
        let batch = draw_key()?;
        Ok(Self::Told { batch, notify })
    }

    fn of_each_line(&self) -> Map<String, Value> {
        let field = match self {
            Self::Nobody => None,
            Self::Silent => Some(("notify", String::new())),
            Self::Told { batch, .. } => Some(("batch", batch.clone())),
        };
        let pairs = field.into_iter();
        pairs
            .map(|(name, value)| (name.to_owned(), Value::String(value)))
            .collect()
    }

    /// Says that no more tasks come.
    async fn complete(self, daemon: &mut Daemon, context: &Context) -> Result<(), CliError> {
        let Self::Told { batch, notify } = self else {
            return Ok(());
        };
        let route = format!("/batches/{batch}");
        let notice = BatchNotice {
            notify: notify.to_owned(),
        };
        let mut was_away = false;
        loop {
            let answer: Result<BatchOpen, CliError> = daemon.post(&route, &notice).await;
            match answer {
                Ok(_) => return Ok(()),
                Err(error) if error.is_away() => {
                    was_away = true;
                    context.find_again(daemon, restart_patience()).await?;
                }
                // It was complete before we could hear so, and told of since.
                Err(error) if was_away && error.exit() == exit::NOT_FOUND => return Ok(()),
                Err(error) => {
                    return Err(CliError::failed(format!(
                        "the tasks are submitted, but nobody will be told when they are over: {error}"
                    )));
                }
            }
        }
    }
}

/// The lines of the file, read on a thread of its own: a slow pipe does not hold up acknowledgements.
struct Feed {
    lines: mpsc::Receiver<Result<Line, CliError>>,
    done: bool,
}

impl Feed {
    fn of(mut source: Source) -> Self {
        let (sender, lines) = mpsc::channel(READ_AHEAD_LINES);
        std::thread::spawn(move || {
            while let Some(line) = source.next().transpose() {
                let failed = line.is_err();
                if sender.blocking_send(line).is_err() || failed {
                    return;
                }
            }
        });
        Self { lines, done: false }
    }
}

type Opening<'a> = Pin<Box<dyn Future<Output = Result<Stream, CliError>> + 'a>>;

/// The acknowledgements: first the answer's head, then its lines.
enum Answers<'a> {
    Opening(Opening<'a>),
    Open(Stream),
}

impl Answers<'_> {
    /// The next acknowledgement. May be dropped before it is ready: nothing is lost.
    async fn next(&mut self) -> Result<String, CliError> {
        loop {
            match self {
                Self::Opening(opening) => *self = Self::Open(opening.await?),
                Self::Open(stream) => {
                    let line = stream.line().await?;
                    return line.ok_or_else(|| {
                        CliError::no_daemon(
                            "the daemon went away before all lines were acknowledged",
                        )
                    });
                }
            }
        }
    }
}

/// Sends what is under way, then what the file still has, and takes the acknowledgements as they come.
async fn over_one_connection(
    daemon: &mut Daemon,
    feed: &mut Feed,
    under_way: &mut VecDeque<Line>,
    tally: &mut Tally<'_>,
) -> Result<(), CliError> {
    // As many pieces as lines may be under way: a send never waits.
    let (sender, pieces) = mpsc::channel::<Bytes>(UNDER_WAY_MAX);
    let mut sender = Some(sender);
    let mut bytes = 0;
    for line in under_way.iter().filter(|line| line.refused.is_none()) {
        bytes += line.text.len();
        push(sender.as_ref(), line).await?;
    }
    let mut answers = Answers::Opening(Box::pin(daemon.open(
        Method::POST,
        "/tasks/batch",
        Outgoing::Pieces(pieces),
    )));
    loop {
        tally.local(under_way)?;
        if feed.done {
            sender = None;
            if under_way.is_empty() {
                return Ok(());
            }
        }
        let room = under_way.len() < UNDER_WAY_MAX && bytes < UNDER_WAY_MAX_BYTES;
        tokio::select! {
            line = feed.lines.recv(), if room && !feed.done => match line.transpose()? {
                Some(line) => {
                    // Remembered before it is sent: a connection that breaks in between must not lose it.
                    under_way.push_back(line);
                    if let Some(line) = under_way.back().filter(|line| line.refused.is_none()) {
                        bytes += line.text.len();
                        push(sender.as_ref(), line).await?;
                    }
                }
                None => feed.done = true,
            },
            answer = answers.next() => {
                let answer = answer?;
                let Some(line) = under_way.pop_front() else {
                    return Err(CliError::failed("the daemon acknowledged more lines than it got"));
                };
                bytes -= line.text.len();
                if !tally.answer(&line, &answer)? {
                    under_way.push_front(line);
                    return Err(CliError::no_daemon("the daemon is leaving"));
                }
            }
        }
    }
}

async fn push(sender: Option<&mpsc::Sender<Bytes>>, line: &Line) -> Result<(), CliError> {
    let Some(sender) = sender else { return Ok(()) };
    sender
        .send(line.text.clone())
        .await
        .map_err(|_| CliError::no_daemon("the daemon went away"))
}

impl<'a> Tally<'a> {
    fn new(context: &'a Context) -> Self {
        Self {
            context,
            created: 0,
            known: 0,
            refused: 0,
            exit: exit::OK,
            begun: clock::instant(),
            shown: None,
        }
    }

    const fn seen(&self) -> u64 {
        self.created + self.known + self.refused
    }

    /// Answers the lines at the front that were refused on this side.
    fn local(&mut self, under_way: &mut VecDeque<Line>) -> Result<(), CliError> {
        while under_way.front().is_some_and(|line| line.refused.is_some()) {
            if let Some(Line {
                number,
                refused: Some(error),
                ..
            }) = under_way.pop_front()
            {
                self.show(&BatchLine::Error {
                    line: number,
                    error,
                })?;
            }
        }
        Ok(())
    }

    /// Takes an acknowledgement; the daemon counts the lines of its connection, the user those of the file. False for a
    /// line that came too late for this daemon: the next one gets it.
    fn answer(&mut self, line: &Line, answer: &str) -> Result<bool, CliError> {
        let read = serde_json::from_str(answer).map_err(|error| {
            CliError::failed(format!(
                "failed to read the daemon's answer to line {}: {error}",
                line.number
            ))
        })?;
        let mine = match read {
            BatchLine::Task { known, id, .. } => BatchLine::Task {
                line: line.number,
                known,
                id,
            },
            BatchLine::Error { error, .. } if error.code == RefusalCode::ShuttingDown => {
                return Ok(false);
            }
            BatchLine::Error { error, .. } => BatchLine::Error {
                line: line.number,
                error,
            },
        };
        self.show(&mine).map(|()| true)
    }

    fn show(&mut self, line: &BatchLine) -> Result<(), CliError> {
        match line {
            BatchLine::Task { known, .. } => {
                *(if *known {
                    &mut self.known
                } else {
                    &mut self.created
                }) += 1
            }
            BatchLine::Error { error, .. } => {
                self.refused += 1;
                // The first refusal names the exit code.
                if self.exit == exit::OK {
                    self.exit = exit::for_refusal(error.code);
                }
            }
        }
        if self.context.out.json {
            self.context.out.json_line(line)?;
        } else {
            match line {
                BatchLine::Task { id, .. } => self.context.out.line(id.as_str())?,
                BatchLine::Error { line, error } => {
                    self.clear();
                    say(&format!("line {line}: {}", error.message));
                }
            }
        }
        self.progress();
        Ok(())
    }

    fn progress(&mut self) {
        let terminal = self.context.out.stderr_is_terminal;
        if self.context.out.json && !terminal {
            // Whoever reads JSON has the acknowledgements, and reads every line as JSON.
            return;
        }
        let every = if terminal {
            PROGRESS_EVERY
        } else {
            PROGRESS_EVERY_ELSEWHERE
        };
        let now = clock::instant();
        if now.saturating_duration_since(self.shown.unwrap_or(self.begun)) < every {
            return;
        }
        self.shown = Some(now);
        if terminal {
            repaint(&self.summary())
        } else {
            say(&self.summary())
        }
    }

    fn summary(&self) -> String {
        let mut text = format!("{} created", self.created);
        if self.known > 0 {
            text.push_str(&format!(", {} known before", self.known));
        }
        if self.refused > 0 {
            text.push_str(&format!(", {} refused", self.refused));
        }
        text
    }

    fn clear(&self) {
        if self.shown.is_some() && self.context.out.stderr_is_terminal {
            repaint("");
        }
    }

    fn finish(&self) {
        self.clear();
        self.say_counts("");
    }

    fn cut_short(&self, error: CliError) -> CliError {
        self.clear();
        self.say_counts(", then it was cut short");
        error
    }

    /// The last word on stderr, before an error if there is one.
    fn say_counts(&self, more: &str) {
        if self.context.out.json {
            let counts = serde_json::json!({
                "created": self.created, "known": self.known, "refused": self.refused,
            });
            say(&counts.to_string());
        } else {
            say(&format!("{}{more}", self.summary()));
        }
    }
}
