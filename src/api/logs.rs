//! `GET /tasks/{id}/logs`: a task's output, streamed as it is or as lines of JSON, up to now or for as long as it grows.
//!
//! A followed stream ends when the task is over and all of it is sent. When the daemon leaves, it is cut; the client goes on
//! where it was by asking again for the same `offset`, because the same question is answered with the same bytes. Memory is
//! bounded: a part is read when the client has taken the one before.

use std::io;
use std::path::PathBuf;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::error::{ApiError, ApiResult};
use super::events::{Cut, NDJSON};
use super::extract::{IdText, pairs};
use super::grown::Grown;
use super::lines::{Format, InWords, Lines};
use super::router;
use super::server::told;
use super::submit::resolve;
use super::tasks::find;
use super::wire::OFFSET_HEADER;
use crate::output::{Filter, Page, Piece, Reader, Stream};
use crate::supervisor::Handle;
use crate::supervisor::agents::transcript;
use crate::supervisor::command::{Change, Refusal, RefusalCode};
use crate::task::{Task, TaskId};

/// Bytes of output looked at for one part of the answer.
const PART_BYTES: usize = 256 * 1024;
/// Lines that `tail` may ask for.
pub(super) const TAIL_MAX_LINES: usize = 100_000;
/// Bytes that `tail` gives at most; a first line beyond is cut.
pub(super) const TAIL_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Media type of raw output: bytes of whatever kind.
const RAW: &str = "application/octet-stream";

/// What is asked for.
#[derive(Debug)]
struct Wish {
    filter: Filter,
    tail: Option<usize>,
    offset: Option<u64>,
    follow: bool,
    format: Asked,
}

/// The format that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Raw,
    Json,
    Text,
}

impl Wish {
    fn parse(query: &str) -> ApiResult<Self> {
        let mut wish = Self {
            filter: Filter::ALL,
            tail: None,
            offset: None,
            follow: false,
            format: Asked::Raw,
        };
        let mut stream = None;
        for (name, value) in pairs(query, &[])? {
            match name.as_str() {
                "attempt" => {
                    let attempt = value.parse().ok().filter(|attempt| *attempt >= 1);
                    wish.filter.generation = Some(
                        attempt.ok_or_else(|| ApiError::bad("attempt: must be a number from 1"))?,
                    );
                }
                "stream" => {
                    stream = Some(match value.as_str() {
                        "stdout" => Stream::Stdout,
                        "stderr" => Stream::Stderr,
                        "meta" => Stream::Meta,
                        _ => return Err(ApiError::bad("stream: must be stdout, stderr or meta")),
                    });
                }
                "tail" => {
                    let lines = value.parse().ok().filter(|lines| *lines <= TAIL_MAX_LINES);
                    wish.tail = Some(lines.ok_or_else(|| {
                        ApiError::bad(format!("tail: must be 0 to {TAIL_MAX_LINES} lines"))
                    })?);
                }
                "offset" => {
                    let offset = value.parse().ok();
                    wish.offset = Some(
                        offset.ok_or_else(|| ApiError::bad("offset: must be a number from 0"))?,
                    );
                }
                "follow" => {
                    wish.follow = match value.as_str() {
                        "true" | "" => true,
                        "false" => false,
                        _ => return Err(ApiError::bad("follow: must be true or false")),
                    };
                }
                "format" => {
                    wish.format = match value.as_str() {
                        "raw" => Asked::Raw,
                        "json" => Asked::Json,
                        "text" => Asked::Text,
                        _ => return Err(ApiError::bad("format: must be raw, json or text")),
                    };
                }
                other => {
                    let text = format!(
                        "unknown query parameter {other:?}; known: attempt, stream, tail, offset, follow, format"
                    );
                    return Err(ApiError::bad(text));
                }
            }
        }
        if wish.tail.is_some() && wish.offset.is_some() {
            return Err(ApiError::bad("give either tail or offset"));
        }
        wish.narrow_to(stream);
        Ok(wish)
    }

    /// The output of a plain command is its own words.
    fn format_of(&self, handle: &Handle, task: &Task) -> Format {
        match self.format {
            Asked::Raw => Format::Raw,
            Asked::Json => Format::Json(Lines::default()),
            Asked::Text => {
                let prompt = task.spec.command.prompt();
                let transcript = prompt.and_then(|prompt| transcript(&handle.settings(), prompt));
                transcript.map_or(Format::Raw, |words| {
                    Format::Words(Box::new(InWords::new(words)))
                })
            }
        }
    }

    /// Only this stream; without one, all that the format can tell apart.
    fn narrow_to(&mut self, stream: Option<Stream>) {
        let filter = &mut self.filter;
        match stream {
            Some(stream) => {
                filter.stdout = stream == Stream::Stdout;
                filter.stderr = stream == Stream::Stderr;
                filter.meta = stream == Stream::Meta;
            }
            // Raw output is what the agent wrote, so that it can be piped on; lines of ours are told apart in JSON only.
            None => filter.meta = self.format == Asked::Json,
        }
    }
}

pub(super) async fn logs(
    State(state): State<router::State>,
    IdText(id): IdText,
    RawQuery(query): RawQuery,
) -> ApiResult<Response> {
    let wish = Wish::parse(&query.unwrap_or_default())?;
    let id = resolve(&state.handle, &id).await?;
    let dir = state.handle.paths().tasks_dir.join(id.as_str());
    // First listen, then look: neither growth nor the task's end between the two is missed.
    let follow = wish.follow.then(|| Follow::new(&state, id.clone(), &dir));
    let task = find(&state.handle, id.as_str()).await?;
    let over = task.life.state.is_final();
    check_attempt(&task, &wish)?;
    let mut output = Output {
        source: Source {
            dir,
            reader: None,
            filter: wish.filter,
        },
        offset: wish.offset.unwrap_or(0),
        waiting: None,
        format: wish.format_of(&state.handle, &task),
        follow,
        over,
        ended: false,
    };
    if let Some(lines) = wish.tail {
        output
            .start_at_tail(lines)
            .await
            .map_err(|error| unreadable(&id, &error))?;
    }
    let content_type = match wish.format {
        Asked::Json => NDJSON,
        Asked::Raw | Asked::Text => RAW,
    }
    .to_owned();
    let begin = output.begin().to_string();
    let parts = stream::unfold(output, |mut output| async move {
        let part = output.next().await.transpose()?;
        Some((part, output))
    });
    let headers = [
        (CONTENT_TYPE.as_str(), content_type),
        (OFFSET_HEADER, begin),
    ];
    Ok((headers, Body::from_stream(parts)).into_response())
}

/// An attempt that never was has no output: an empty answer would say that it wrote nothing. One that is still to come can
/// be followed.
fn check_attempt(task: &Task, wish: &Wish) -> ApiResult<()> {
    let had = task.life.generation;
    let to_come = wish.follow && !task.life.state.is_final();
    match wish.filter.generation {
        Some(asked) if asked > had && !to_come => {
            let had = match had {
                0 => "has not been tried yet".to_owned(),
                1 => "has had 1 attempt".to_owned(),
                had => format!("has had {had} attempts"),
            };
            let text = format!("attempt: {} {had}, there is no attempt {asked}", task.id);
            Err(Refusal::new(RefusalCode::NotFound, text).into())
        }
        Some(_) | None => Ok(()),
    }
}

fn unreadable(id: &TaskId, error: &io::Error) -> ApiError {
    Refusal::new(
        RefusalCode::Internal,
        format!("the output of {id} cannot be read: {error}"),
    )
    .into()
}

/// The files, read on a blocking thread.
struct Source {
    dir: PathBuf,
    reader: Option<Reader>,
    filter: Filter,
}

impl Source {
    /// Reads with `read` off the runtime's thread; the open files come back for the next time.
    async fn with<T: Send + 'static>(
        &mut self,
        read: impl FnOnce(&Reader, &Filter) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (dir, reader, filter) = (self.dir.clone(), self.reader.take(), self.filter);
        let job = tokio::task::spawn_blocking(move || {
            let reader = reader.map_or_else(|| Reader::open(&dir), Ok)?;
            let result = read(&reader, &filter)?;
            // A log that was not there may be there next time.
            let keep = reader.end()? > 0;
            Ok::<_, io::Error>((result, keep.then_some(reader)))
        });
        let (result, reader) = job.await.map_err(io::Error::other)??;
        self.reader = reader;
        Ok(result)
    }
}

/// One answer under way.
struct Output {
    source: Source,
    offset: u64,
    /// Read already, not sent.
    waiting: Option<Vec<Piece>>,
    format: Format,
    follow: Option<Follow>,
    /// The task is over: nothing is written any more.
    over: bool,
    ended: bool,
}

impl Output {
    async fn start_at_tail(&mut self, lines: usize) -> io::Result<()> {
        let read = move |reader: &Reader, filter: &Filter| {
            let end = reader.end()?;
            Ok((reader.tail_lines(lines, TAIL_MAX_BYTES, filter)?, end))
        };
        let (mut pieces, end) = self.source.with(read).await?;
        // The log may have grown between the two looks.
        let behind = pieces
            .last()
            .map_or(0, |piece| piece.segment.offset + piece.segment.length);
        self.offset = end.max(behind);
        self.put_back_unknown(&mut pieces);
        self.waiting = Some(pieces);
        Ok(())
    }

    /// Where in the log the answer begins.
    fn begin(&self) -> u64 {
        let first = self.waiting.as_ref().and_then(|pieces| pieces.first());
        first.map_or(self.offset, |piece| piece.segment.offset)
    }

    /// The next part; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        loop {
            if self.ended {
                return Ok(None);
            }
            if let Some(pieces) = self.waiting.take() {
                let part = self.format.write(pieces);
                if !part.is_empty() {
                    return Ok(Some(part));
                }
            }
            let was_over = self.over;
            let offset = self.offset;
            let page = match self
                .source
                .with(move |reader, filter| reader.page(offset, PART_BYTES, filter))
                .await
            {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(dir = %self.source.dir.display(), %error, "a task's output cannot be read");
                    return Err(Cut::after_the_rest().await);
                }
            };
            let caught_up = page.is_last();
            if self.take(page) || !caught_up {
                continue;
            }
            match &mut self.follow {
                Some(follow) if !was_over => match follow.wait().await {
                    News::Grown => {}
                    News::Over => self.over = true,
                    // A line that has begun is not given: its end will come with the next daemon.
                    News::Leaving => return Err(Cut::after_the_rest().await),
                },
                Some(_) | None => return Ok(self.finish()),
            }
        }
    }

    /// Keeps what a page holds. Says whether there is something to send.
    fn take(&mut self, page: Page) -> bool {
        let is_last = page.is_last();
        let Page {
            mut pieces, next, ..
        } = page;
        self.offset = next;
        if is_last {
            self.put_back_unknown(&mut pieces);
        }
        let some = !pieces.is_empty();
        self.waiting = some.then_some(pieces);
        some
    }

    /// The newest bytes are in the log a moment before the index says whose they are: a follower asks for them again.
    fn put_back_unknown(&mut self, pieces: &mut Vec<Piece>) {
        if self.follow.is_some()
            && !self.over
            && let Some(last) = pieces.pop_if(|last| last.segment.stream == Stream::Unknown)
        {
            self.offset = last.segment.offset;
        }
    }

    fn finish(&mut self) -> Option<Bytes> {
        self.ended = true;
        Some(self.format.finish()).filter(|rest| !rest.is_empty())
    }
}

/// What a follower waits for.
enum News {
    Grown,
    Over,
    Leaving,
}

struct Follow {
    handle: Handle,
    id: TaskId,
    grown: Grown,
    changes: broadcast::Receiver<Change>,
    shutting: watch::Receiver<bool>,
}

impl Follow {
    fn new(state: &router::State, id: TaskId, dir: &std::path::Path) -> Self {
        Self {
            handle: state.handle.clone(),
            id,
            grown: Grown::of(dir),
            changes: state.handle.changes(),
            shutting: state.shutting.clone(),
        }
    }

    async fn wait(&mut self) -> News {
        loop {
            tokio::select! {
                () = self.grown.wait() => return News::Grown,
                () = told(&mut self.shutting) => return News::Leaving,
                change = self.changes.recv() => match change {
                    Ok(change) if change.id == self.id && change.state.is_final() => return News::Over,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => {
                        if self.is_over().await {
                            return News::Over;
                        }
                    }
                    Err(RecvError::Closed) => return News::Leaving,
                },
            }
        }
    }

    /// Also when the task is gone, or cannot be read: then nothing more is to be expected.
    async fn is_over(&self) -> bool {
        let id = self.id.clone();
        let task = self.handle.query(move |reader| reader.task(&id)).await;
        task.ok()
            .flatten()
            .is_none_or(|task| task.life.state.is_final())
    }
}
