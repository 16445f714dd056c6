//! `POST /tasks/batch`: lines of submissions in, lines of acknowledgements out, in order, each when it is durable.
//!
//! Lines are handed over without waiting for the one before: those that wait together share one commit. When the daemon
//! leaves, what it has read is answered, and then the connection is cut.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use tokio::sync::{mpsc, oneshot};

use super::error::{ApiError, ApiResult};
use super::events::{Cut, NDJSON, line};
use super::extract::Names;
use super::peer::Peer;
use super::router::{self, parse_json, read_json};
use super::server::told;
use super::submit::submission;
use super::tasks::unexpected;
use super::wire::{BatchLine, BatchNotice, BatchOpen, MAX_LINE_BYTES, NewTask};
use crate::supervisor::Handle;
use crate::supervisor::command::{Command, Refusal, RefusalCode, Reply};
use crate::task::TaskId;
use crate::task::spec_check::notify_command;

/// Lines under way at once. A client that sends more without reading answers waits for itself.
const IN_FLIGHT: usize = 256;
/// A client that sends nothing for this long is cut off. Long: lines may come from a program that makes them.
const SILENCE_LIMIT: Duration = Duration::from_secs(600);

type Answer = oneshot::Receiver<Result<Reply, Refusal>>;

/// A line on its way to its acknowledgement.
enum UnderWay {
    Submitted(Answer),
    Refused(ApiError),
    /// The daemon leaves: no more lines are read.
    Cut,
}

pub(super) async fn batch(
    State(state): State<router::State>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Response {
    let (under_way, answers) = mpsc::channel(IN_FLIGHT);
    tokio::spawn(async move {
        let mut lines = Lines {
            body,
            buffer: BytesMut::new(),
            searched: 0,
            skipping: false,
            ended: false,
        };
        let (handle, mut shutting) = (state.handle, state.shutting);
        let mut number = 0;
        loop {
            let text = tokio::select! {
                text = lines.next() => text,
                () = told(&mut shutting) => {
                    drop(under_way.send((number, UnderWay::Cut)).await);
                    return;
                }
            };
            let Some(text) = text else { return };
            number += 1;
            let last = matches!(&text, Err(error) if error.0.code == RefusalCode::RequestTimeout);
            let line = match text {
                Ok(text) if text.iter().all(u8::is_ascii_whitespace) => continue,
                Ok(text) => submit(&handle, peer, &text).await,
                Err(error) => UnderWay::Refused(error),
            };
            // A client that went away takes no more answers; what it sent before is durable all the same.
            if under_way.send((number, line)).await.is_err() || last {
                return;
            }
        }
    });
    let lines = stream::unfold(answers, |mut answers| async move {
        let (number, under_way) = answers.recv().await?;
        let text = match answer(number, under_way).await {
            Some(answer) => Ok(line(&answer)?),
            None => Err(Cut::after_the_rest().await),
        };
        Some((text, answers))
    });
    ([(CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response()
}

/// `POST /batches/{batch}`: no more tasks of that name come, and this is who is told when all of them are over.
pub(super) async fn close(
    State(handle): State<Handle>,
    Extension(peer): Extension<Peer>,
    Names(batch): Names<String>,
    body: Body,
) -> ApiResult<Json<BatchOpen>> {
    let BatchNotice { notify } = read_json(body).await?;
    notify_command(&notify).map_err(|error| ApiError::bad(error.to_string()))?;
    let command = Command::CloseBatch {
        uid: peer.uid,
        batch,
        notify,
    };
    match handle.command(command).await? {
        Reply::Count(open) => Ok(Json(BatchOpen { open })),
        Reply::Submitted { .. } | Reply::Acted { .. } | Reply::Done => Err(unexpected()),
    }
}

async fn submit(handle: &Handle, peer: Peer, text: &[u8]) -> UnderWay {
    match begin(handle, peer, text).await {
        Ok(answer) => UnderWay::Submitted(answer),
        Err(error) => UnderWay::Refused(error),
    }
}

async fn begin(handle: &Handle, peer: Peer, text: &[u8]) -> ApiResult<Answer> {
    let new: NewTask = parse_json(text)?;
    if new.after.iter().any(|id| id.parse::<TaskId>().is_err()) {
        // A short id may mean a line before this one: once this is answered, those are committed and can be found.
        handle.command(Command::Ping).await?;
    }
    let request = submission(handle, peer, new).await?;
    let (reply_to, answer) = oneshot::channel();
    handle
        .begin(Command::Submit(Box::new(request)), reply_to)
        .await?;
    Ok(answer)
}

/// The acknowledgement of a line; `None` where there are no more.
async fn answer(line: u64, under_way: UnderWay) -> Option<BatchLine> {
    let result: ApiResult<Reply> = match under_way {
        UnderWay::Submitted(answer) => match answer.await {
            Ok(reply) => reply.map_err(ApiError::from),
            Err(_) => Err(Refusal::new(
                RefusalCode::ShuttingDown,
                "the daemon is leaving; send this line again",
            )
            .into()),
        },
        UnderWay::Refused(error) => Err(error),
        UnderWay::Cut => return None,
    };
    Some(match result {
        Ok(Reply::Submitted { task, fresh }) => BatchLine::Task {
            line,
            known: !fresh,
            id: task.id,
        },
        Ok(Reply::Acted { .. } | Reply::Done | Reply::Count(_)) => BatchLine::Error {
            line,
            error: unexpected().body(),
        },
        Err(error) => BatchLine::Error {
            line,
            error: error.body(),
        },
    })
}

/// Lines of a body, bounded in length and in silence.
struct Lines {
    body: Body,
    buffer: BytesMut,
    /// So much of the buffer holds no line's end.
    searched: usize,
    /// The present line is too long: the rest of it is thrown away.
    skipping: bool,
    ended: bool,
}

impl Lines {
    fn clear(&mut self) {
        self.buffer.clear();
        self.searched = 0;
    }

    /// The next line without its end; a last line needs none. A line that is too long is an error, the next one is fine.
    async fn next(&mut self) -> Option<ApiResult<Bytes>> {
        loop {
            if let Some(end) = self.buffer[self.searched..]
                .iter()
                .position(|byte| *byte == b'\n')
            {
                let end = self.searched + end;
                self.searched = 0;
                let mut text = self.buffer.split_to(end + 1);
                text.truncate(end);
                if !std::mem::take(&mut self.skipping) {
                    return Some(Ok(text.freeze()));
                }
                continue;
            }
            self.searched = self.buffer.len();
            if self.skipping {
                self.clear();
            } else if self.buffer.len() > MAX_LINE_BYTES {
                self.clear();
                self.skipping = true;
                let text = format!(
                    "a line may have {MAX_LINE_BYTES} bytes at most; this one was passed over"
                );
                return Some(Err(Refusal::new(RefusalCode::TooLarge, text).into()));
            }
            if self.ended {
                self.searched = 0;
                let rest = self.buffer.split().freeze();
                return (!rest.is_empty()).then_some(Ok(rest));
            }
            match tokio::time::timeout(SILENCE_LIMIT, self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                // A broken connection may have cut the last line: half a line is not submitted.
                Ok(Some(Err(_))) => return None,
                Ok(None) => self.ended = true,
                Err(_) => {
                    let text = format!("nothing came for {} s", SILENCE_LIMIT.as_secs());
                    return Some(Err(Refusal::new(RefusalCode::RequestTimeout, text).into()));
                }
            }
        }
    }
}
