//! The connection to the daemon: HTTP/1.1 over its Unix socket, one request after the other.
//!
//! Invariants: a daemon that cannot be reached, or that goes away in the middle, is always
//! [`CliError::is_no_daemon`]; one that is there and stopped ends every wait for an answer, though not a stream that has begun
//! (see `alive`); a refusal is [`CliError::Refused`] with the daemon's own words.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::api::wire::{API, ErrorBody, OFFSET_HEADER, WARNING_HEADER};
use crate::config::PathOptions;
use crate::config::paths::{Given, candidate_sockets};

use super::alive::{SILENCE_MAX, SUBMISSION_SILENCE_MAX, while_alive};
use super::error::CliError;
use super::outgoing::Outgoing;
use super::render::task::quote;

/// A repeated submission looks for a daemon that went away this often.
const AGAIN_TRIES: u32 = 50;
/// Between two of these looks.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Longest answer that is not a stream.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Longest line of a stream.
const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// A connection to a daemon.
#[derive(Debug)]
pub struct Daemon {
    socket: PathBuf,
    sender: SendRequest<Outgoing>,
    silence_max: Duration,
}

impl Daemon {
    /// Connects to the first daemon that answers at the places where one may be.
    ///
    /// # Errors
    /// None answers, or a socket may not be used.
    pub async fn find(places: &PathOptions) -> Result<Self, CliError> {
        let given = Given::of_process();
        let sockets = candidate_sockets(&given, places)
            .map_err(|error| CliError::usage(format!("failed to {error}")))?;
        for socket in &sockets {
            match UnixStream::connect(socket).await {
                Ok(stream) => return Self::over(socket, stream).await,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(CliError::refused(format!(
                        "may not use the daemon's socket {}: {error}",
                        socket.display()
                    )));
                }
                Err(_) => {}
            }
        }
        Err(CliError::no_daemon(nobody_there(&sockets, &given, places)))
    }

    /// Connects to the daemon at this socket.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn at(socket: &Path) -> Result<Self, CliError> {
        let stream = UnixStream::connect(socket).await.map_err(|error| {
            CliError::no_daemon(format!(
                "no daemon answers at {}: {error}",
                socket.display()
            ))
        })?;
        Self::over(socket, stream).await
    }

    async fn over(socket: &Path, stream: UnixStream) -> Result<Self, CliError> {
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| gone(&error))?;
        // A broken connection shows in the request that needs it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self {
            socket: socket.to_owned(),
            sender,
            silence_max: SILENCE_MAX,
        })
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Another connection to the same daemon.
    ///
    /// # Errors
    /// It does not answer any more.
    pub async fn another(&self) -> Result<Self, CliError> {
        Self::at(&self.socket).await
    }

    /// `GET`, the answer read from JSON. `route` begins below the API's prefix.
    ///
    /// # Errors
    /// See [`CliError`].
    pub async fn get<T: DeserializeOwned>(&mut self, route: &str) -> Result<T, CliError> {
        let response = self.send(Method::GET, route, Outgoing::Whole(None)).await?;
        self.read(response).await
    }

    /// [`Self::get`], and the daemon's warning that the answer is not all it should be, if there is one.
    ///
    /// # Errors
    /// See [`CliError`].
    pub async fn get_warned<T: DeserializeOwned>(
        &mut self,
        route: &str,
    ) -> Result<(T, Option<String>), CliError> {
        let response = self.send(Method::GET, route, Outgoing::Whole(None)).await?;
        let warning = response.headers().get(WARNING_HEADER);
        let warning = warning.and_then(|value| Some(value.to_str().ok()?.to_owned()));
        Ok((self.read(response).await?, warning))
    }

    /// `POST` of a JSON body, the answer read from JSON.
    ///
    /// # Errors
    /// See [`CliError`].
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &mut self,
        route: &str,
        body: &B,
    ) -> Result<T, CliError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| CliError::failed(format!("failed to write JSON: {error}")))?;
        let response = self
            .send(Method::POST, route, Outgoing::Whole(Some(body.into())))
            .await?;
        self.read(response).await
    }

    /// [`Self::post`] for a body that may safely arrive twice: sent again when the daemon goes away in the middle.
    ///
    /// # Errors
    /// See [`CliError`].
    pub async fn post_again<B: Serialize, T: DeserializeOwned>(
        &mut self,
        route: &str,
        body: &B,
    ) -> Result<T, CliError> {
        self.silence_max = SUBMISSION_SILENCE_MAX;
        let done = self.post_until_taken(route, body).await;
        self.silence_max = SILENCE_MAX;
        done
    }

    async fn post_until_taken<B: Serialize, T: DeserializeOwned>(
        &mut self,
        route: &str,
        body: &B,
    ) -> Result<T, CliError> {
        let mut last = match self.post(route, body).await {
            Err(error) if error.is_away() => error,
            done => return done,
        };
        for _ in 0..AGAIN_TRIES {
            tokio::time::sleep(AGAIN_AFTER).await;
            let Ok(fresh) = self.another().await else {
                continue;
            };
            self.sender = fresh.sender;
            last = match self.post(route, body).await {
                Err(error) if error.is_away() => error,
                done => return done,
            };
        }
        Err(last)
    }

    /// `DELETE`; the answer's body does not matter.
    ///
    /// # Errors
    /// See [`CliError`].
    pub async fn delete(&mut self, route: &str) -> Result<(), CliError> {
        let response = self
            .send(Method::DELETE, route, Outgoing::Whole(None))
            .await?;
        self.accepted(response).await.map(drop)
    }

    /// `POST` of a JSON body; the answer's body does not matter.
    ///
    /// # Errors
    /// See [`CliError`].
    pub async fn post_empty<B: Serialize>(
        &mut self,
        route: &str,
        body: &B,
    ) -> Result<(), CliError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| CliError::failed(format!("failed to write JSON: {error}")))?;
        let response = self
            .send(Method::POST, route, Outgoing::Whole(Some(body.into())))
            .await?;
        self.accepted(response).await.map(drop)
    }

    /// `GET` of a stream.
    ///
    /// # Errors
    /// See [`CliError`].
    pub async fn stream(&mut self, route: &str) -> Result<Stream, CliError> {
        self.open(Method::GET, route, Outgoing::Whole(None)).await
    }

    /// A request whose answer is a stream.
    ///
    /// # Errors
    /// See [`CliError`].
    pub async fn open(
        &mut self,
        method: Method,
        route: &str,
        body: Outgoing,
    ) -> Result<Stream, CliError> {
        let response = self.send(method, route, body).await?;
        let response = self.accepted(response).await?;
        let offset = response.headers().get(OFFSET_HEADER);
        Ok(Stream {
            offset: offset.and_then(|offset| offset.to_str().ok()?.parse().ok()),
            body: response.into_body(),
            rest: BytesMut::new(),
        })
    }

    async fn send(
        &mut self,
        method: Method,
        route: &str,
        body: Outgoing,
    ) -> Result<Response<Incoming>, CliError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{API}{route}"))
            .header(hyper::header::HOST, "localhost")
            .header(hyper::header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| CliError::usage(format!("failed to ask for {route}: {error}")))?;
        let sender = &mut self.sender;
        let answer = async {
            sender.ready().await.map_err(|error| gone(&error))?;
            let answer = sender.send_request(request).await;
            answer.map_err(|error| gone(&error))
        };
        while_alive(&self.socket, self.silence_max, answer).await
    }

    /// The response, or the refusal it carries.
    async fn accepted(&self, response: Response<Incoming>) -> Result<Response<Incoming>, CliError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = self.collect(response).await?;
        match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(body) => Err(CliError::Refused(body)),
            Err(_) => Err(CliError::failed(format!(
                "the daemon answered {status}; is it of another version?"
            ))),
        }
    }

    async fn read<T: DeserializeOwned>(&self, response: Response<Incoming>) -> Result<T, CliError> {
        let bytes = self.collect(self.accepted(response).await?).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            CliError::failed(format!(
                "failed to read the daemon's answer: {error}; is it of another version?"
            ))
        })
    }

    async fn collect(&self, response: Response<Incoming>) -> Result<Bytes, CliError> {
        let limited = http_body_util::Limited::new(response.into_body(), MAX_ANSWER_BYTES);
        let whole = async {
            let whole = limited
                .collect()
                .await
                .map_err(|error| CliError::no_daemon(format!("the daemon went away: {error}")))?;
            Ok(whole.to_bytes())
        };
        while_alive(&self.socket, self.silence_max, whole).await
    }
}

/// An answer that arrives piece by piece.
#[derive(Debug)]
pub struct Stream {
    offset: Option<u64>,
    body: Incoming,
    rest: BytesMut,
}

impl Stream {
    /// Of a task's output: where in its log the answer begins.
    #[must_use]
    pub const fn offset(&self) -> Option<u64> {
        self.offset
    }

    /// The next piece as it arrives; `None` at the end.
    ///
    /// # Errors
    /// The daemon went away.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, CliError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| gone(&error))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The next line without its end; `None` at the end.
    ///
    /// # Errors
    /// The daemon went away, or the line is longer than any the API has.
    pub async fn line(&mut self) -> Result<Option<String>, CliError> {
        let mut searched = 0;
        loop {
            if let Some(place) = self
                .rest
                .iter()
                .skip(searched)
                .position(|byte| *byte == b'\n')
            {
                let line = self.rest.split_to(searched + place);
                self.rest.advance(1);
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            searched = self.rest.len();
            if searched > MAX_LINE_BYTES {
                return Err(CliError::failed("the daemon sent a line that is too long"));
            }
            match self.chunk().await? {
                Some(piece) => self.rest.extend_from_slice(&piece),
                None if self.rest.is_empty() => return Ok(None),
                None => {
                    return Ok(Some(
                        String::from_utf8_lossy(&self.rest.split()).into_owned(),
                    ));
                }
            }
        }
    }
}

fn gone(error: &hyper::Error) -> CliError {
    CliError::no_daemon(format!("the daemon went away: {error}"))
}

fn nobody_there(sockets: &[PathBuf], given: &Given, places: &PathOptions) -> String {
    let at: Vec<String> = sockets
        .iter()
        .map(|socket| socket.display().to_string())
        .collect();
    if given.auto_claude_socket.is_some() && places.socket.is_none() {
        // Starting a daemon elsewhere would not help: the variable is looked at first.
        let wins = match &places.state_dir {
            Some(_) => " and which wins over --state-dir",
            None => "",
        };
        return format!(
            "no daemon answers at {}, which the variable AUTO_CLAUDE_SOCKET names{wins}; unset it, or start the daemon of \
             that socket",
            at.join(" or ")
        );
    }
    let start = match &places.state_dir {
        Some(dir) => format!(
            "auto-claude serve --state-dir {}",
            quote(&dir.to_string_lossy())
        ),
        None => "auto-claude serve".to_owned(),
    };
    format!(
        "no daemon answers at {}; start one with: {start}",
        at.join(" or ")
    )
}
