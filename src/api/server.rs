//! Accepts connections and serves HTTP/1.1 on them.
//!
//! Invariants: the number of connections is bounded, for each user below the whole, so that root and the daemon's own user
//! get in when another user's clients hang; a head that does not come is answered and cut off; a connection that breaks,
//! hangs or speaks something else never reaches another.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_service::Service as _;

use super::error::status;
use super::listen::Doors;
use super::peer::Peer;
use super::router::router;
use super::turned_away::TurnedAway;
use super::wire::ErrorBody;
use crate::supervisor::Handle;
use crate::supervisor::clock;
use crate::supervisor::command::RefusalCode;

/// Connections at once; a stream costs up to three descriptors.
pub(super) const CONNECTIONS_MAX: usize = 256;
/// Connections of one user at once, unless it is root or the daemon's own.
pub(super) const CONNECTIONS_OF_USER_MAX: usize = 128;
/// Connections that root and the daemon's own user always find free.
const CONNECTIONS_RESERVED: usize = 16;
/// A request's head must be complete by then; also how long a connection may stay silent between requests.
pub(super) const HEAD_LIMIT_MS: u64 = 10_000;
/// Largest head of a request.
pub(super) const HEAD_MAX_BYTES: usize = 32 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Pause after `accept` failed: for want of descriptors it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A last word must be taken by then.
const LAST_WORD_LIMIT: Duration = Duration::from_secs(1);

/// Serves until `shutting` turns true and the requests under way are answered.
pub async fn serve(mut doors: Doors, handle: Handle, shutting: watch::Receiver<bool>) {
    let router = router(handle, shutting.clone());
    let seats = Seats::default();
    let mut accepting = JoinSet::new();
    for listener in doors.take() {
        match UnixListener::from_std(listener) {
            Ok(listener) => {
                accepting.spawn(accept(
                    listener,
                    router.clone(),
                    seats.clone(),
                    shutting.clone(),
                ));
            }
            Err(error) => tracing::error!(%error, "a socket cannot be listened on"),
        }
    }
    while accepting.join_next().await.is_some() {}
    drop(doors);
}

async fn accept(
    listener: UnixListener,
    router: Router,
    seats: Seats,
    mut shutting: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut away = TurnedAway::default();
    loop {
        let wait = away.wait(clock::monotonic_ms());
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = told(&mut shutting) => break,
            Some(_) = connections.join_next() => continue,
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {
                if let Some(count) = away.due(clock::monotonic_ms()) {
                    say_turned_away(count, None);
                }
                continue;
            }
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let peer = match rustix::net::sockopt::socket_peercred(stream.as_fd()) {
            Ok(credentials) => Peer {
                uid: credentials.uid.as_raw(),
                pid: credentials.pid.as_raw_nonzero().get(),
            },
            Err(error) => {
                tracing::warn!(%error, "a peer without credentials was turned away");
                continue;
            }
        };
        match seats.take(peer) {
            Ok(seat) => {
                let (router, shutting) = (router.clone(), shutting.clone());
                connections.spawn(async move {
                    connection(stream, peer, router, shutting).await;
                    drop(seat);
                });
            }
            Err(text) => {
                // Never waits: what does not fit into the socket's buffer is not said.
                drop(stream.try_write(&last_word(RefusalCode::QueueFull, 503, &text)));
                if let Some(count) = away.count(clock::monotonic_ms()) {
                    say_turned_away(count, Some((peer, &text)));
                }
            }
        }
    }
    drop(listener);
    if let Some(count) = away.rest() {
        say_turned_away(count, None);
    }
    while connections.join_next().await.is_some() {}
}

/// The line about connections that were turned away since the last one; the last of them, where it comes just now.
fn say_turned_away(count: u64, last: Option<(Peer, &str)>) {
    match last {
        Some((peer, text)) => tracing::warn!(
            uid = peer.uid,
            pid = peer.pid,
            count,
            "connections were turned away: {text}"
        ),
        None => tracing::warn!(count, "connections were turned away"),
    }
}

/// Waits until the daemon leaves.
pub(super) async fn told(shutting: &mut watch::Receiver<bool>) {
    // A sender that is gone has left, too. The value's guard must not live across an await.
    drop(shutting.wait_for(|shut| *shut).await);
}

async fn connection(
    stream: UnixStream,
    peer: Peer,
    router: Router,
    mut shutting: watch::Receiver<bool>,
) {
    let service =
        hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer);
            let mut router = router.clone();
            Box::pin(async move { router.call(request).await })
        });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HEAD_LIMIT_MS))
        .max_buf_size(HEAD_MAX_BYTES)
        .max_headers(HEADERS_MAX)
        // A client that closed its side is gone: what it waited for is dropped, a lease ends.
        .half_close(false);
    let mut serving = http.serve_connection(TokioIo::new(stream), service);
    let leaving = tokio::select! {
        result = poll_fn(|cx| serving.poll_without_shutdown(cx)) => Some(result),
        () = told(&mut shutting) => None,
    };
    let result = match leaving {
        Some(result) => result,
        None => {
            Pin::new(&mut serving).graceful_shutdown();
            poll_fn(|cx| serving.poll_without_shutdown(cx)).await
        }
    };
    let mut stream = serving.into_parts().io.into_inner();
    if let Err(error) = result {
        // A peer that hangs, leaves half way or does not speak HTTP is its own trouble.
        tracing::debug!(%error, peer.uid, peer.pid, "a connection ended early");
        if error.is_timeout() {
            let text = format!("no complete request came within {} s", HEAD_LIMIT_MS / 1000);
            let word = last_word(
                RefusalCode::RequestTimeout,
                status(RefusalCode::RequestTimeout).as_u16(),
                &text,
            );
            drop(tokio::time::timeout(LAST_WORD_LIMIT, stream.write_all(&word)).await);
        }
    }
    drop(tokio::time::timeout(LAST_WORD_LIMIT, stream.shutdown()).await);
}

/// A whole response, for where no request stands.
fn last_word(code: RefusalCode, status: u16, text: &str) -> Vec<u8> {
    let body = serde_json::to_string(&ErrorBody {
        code,
        message: text.to_owned(),
    })
    .unwrap_or_default();
    let reason = http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default();
    let head = "content-type: application/json\r\nconnection: close\r\n";
    format!(
        "HTTP/1.1 {status} {reason}\r\n{head}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Who is connected.
#[derive(Debug, Clone, Default)]
struct Seats(Arc<Mutex<BTreeMap<u32, usize>>>);

/// One connection's place; given back when dropped.
#[derive(Debug)]
struct Seat {
    seats: Seats,
    uid: u32,
}

impl Seats {
    fn take(&self, peer: Peer) -> Result<Seat, String> {
        let mut by_uid = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = by_uid.values().sum();
        let held = by_uid.get(&peer.uid).copied().unwrap_or(0);
        let operator = peer.is_operator();
        if !operator && held >= CONNECTIONS_OF_USER_MAX {
            return Err(format!(
                "user {} has {held} connections open, as many as one may; close some, try again",
                peer.uid
            ));
        }
        let room = if operator {
            CONNECTIONS_MAX
        } else {
            CONNECTIONS_MAX - CONNECTIONS_RESERVED
        };
        if total >= room {
            return Err(format!(
                "{total} connections are open, as many as the daemon takes; close some, try again"
            ));
        }
        *by_uid.entry(peer.uid).or_default() += 1;
        Ok(Seat {
            seats: self.clone(),
            uid: peer.uid,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut by_uid = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = by_uid.get_mut(&self.uid) {
            *held -= 1;
            if *held == 0 {
                by_uid.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_take_every_seat() {
        let seats = Seats::default();
        let other = Peer {
            uid: rustix::process::geteuid().as_raw() + 1,
            pid: 1,
        };
        let root = Peer { uid: 0, pid: 1 };
        let mut held: Vec<Seat> = std::iter::from_fn(|| seats.take(other).ok()).collect();
        assert_eq!(held.len(), CONNECTIONS_OF_USER_MAX);
        held.extend(std::iter::from_fn(|| seats.take(root).ok()));
        assert_eq!(held.len(), CONNECTIONS_MAX);
        held.clear();
        assert!(
            seats.take(other).is_ok(),
            "a seat comes back with its connection's end"
        );
    }
}
