//! Waiting for a daemon that lives, and not for one that was stopped: a connection is accepted by the kernel, so only an answer
//! says that somebody is there.
//!
//! An answer may take its time (a wait, a backup, a full disk that is waited for). So a second connection asks meanwhile for a
//! sign of life, which a daemon gives whatever else it does.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use hyper::Request;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::api::wire::API;

use super::error::CliError;
use super::outgoing::Outgoing;

/// A daemon that shows nothing for this long is taken to be stopped.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(10);
/// The same for a submission: while a daemon is replaced, systemd holds its socket, and what is sent waits there.
pub(super) const SUBMISSION_SILENCE_MAX: Duration = Duration::from_secs(60);
/// An answer that takes longer has a sign of life asked for, again and again.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// The sign of life must come within this.
const SIGN_WITHIN: Duration = Duration::from_secs(5);

/// Waits for `answer` for as long as the daemon at `socket` lives.
///
/// # Errors
/// It has shown no sign of life for `silence_max`; or what `answer` says.
pub(super) async fn while_alive<T>(
    socket: &Path,
    silence_max: Duration,
    answer: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let mut answer = std::pin::pin!(answer);
    let mut silent = Duration::ZERO;
    loop {
        if let Ok(done) = tokio::time::timeout(ASK_EVERY, &mut answer).await {
            return done;
        }
        let lives = tokio::select! {
            biased;
            done = &mut answer => return done,
            lives = lives(socket) => lives,
        };
        silent = if lives {
            Duration::ZERO
        } else {
            silent + ASK_EVERY + SIGN_WITHIN
        };
        if silent >= silence_max {
            return Err(CliError::no_answer(format!(
                "the daemon at {} has given no sign of life for {} s: it is stopped (kill -CONT lets it go on), is only starting, or the machine is overloaded",
                socket.display(),
                silent.as_secs()
            )));
        }
    }
}

/// Whether the daemon answers anything at all. One that is gone counts: the request itself will fail, with a better reason.
async fn lives(socket: &Path) -> bool {
    let sign = async {
        let stream = UnixStream::connect(socket).await.ok()?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
        let request = Request::builder()
            .uri(format!("{API}/health"))
            .header(hyper::header::HOST, "localhost")
            .body(Outgoing::Whole(None))
            .ok()?;
        tokio::select! {
            answer = sender.send_request(request) => answer.ok().map(drop),
            ended = connection => ended.ok(),
        }
    };
    tokio::time::timeout(SIGN_WITHIN, sign).await.is_ok()
}
