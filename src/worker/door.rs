//! The worker's door: accepts, collects lines, checks who may ask what. It never waits for a peer.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use rustix::event::PollFlags;
use rustix::net::{SocketFlags, accept_with};

use super::socket;
use crate::attempt::protocol::{MAX_LINE_BYTES, Reply, Request};
use crate::process::{AttemptCgroup, descends_from};

/// Peers at once; the one that has been silent longest makes room.
const MAX_CONNECTIONS: usize = 16;
/// A peer that says nothing for so long is let go.
const SILENCE_MS: u64 = 10_000;
/// Bytes read from a peer at once.
const READ_BYTES: usize = 16 * 1024;

/// The open door. Closing it removes its socket.
#[derive(Debug)]
pub(super) struct Door {
    listener: OwnedFd,
    path: PathBuf,
    peers: Vec<Peer>,
    next_peer: u64,
}

/// A connected peer.
#[derive(Debug)]
struct Peer {
    number: u64,
    stream: UnixStream,
    input: Vec<u8>,
    heard_ms: u64,
}

/// A request, and who waits for the answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) peer: u64,
    pub(super) request: Result<Request, String>,
}

impl Door {
    /// Opens the door at `path`. The caller holds the attempt's lock, so what lies there was left by a dead worker.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            listener: socket::listen_at(path)?,
            path: path.to_owned(),
            peers: Vec::new(),
            next_peer: 0,
        })
    }

    /// What to poll for reading: the listener, then the peers.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd())
            .chain(self.peers.iter().map(|peer| peer.stream.as_fd()))
    }

    /// When the next silent peer is to be let go.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        self.peers
            .iter()
            .map(|peer| peer.heard_ms + SILENCE_MS)
            .min()
    }

    /// Takes what has come in; `ready` are the poll results in the order of [`Self::fds`].
    pub(super) fn serve(&mut self, ready: &[PollFlags], now_ms: u64) -> Vec<Asked> {
        let mut asked = Vec::new();
        let mut flags = ready.iter().skip(1);
        self.peers.retain_mut(|peer| {
            let readable = flags.next().is_some_and(|flags| !flags.is_empty());
            (readable && peer.hear(now_ms, &mut asked))
                || (!readable && peer.heard_ms + SILENCE_MS > now_ms)
        });
        if ready.first().is_some_and(|flags| !flags.is_empty()) {
            self.accept(now_ms);
        }
        asked
    }

    fn accept(&mut self, now_ms: u64) {
        while let Ok(fd) = accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
        {
            if self.peers.len() == MAX_CONNECTIONS
                && let Some(oldest) =
                    (0..self.peers.len()).min_by_key(|place| self.peers[*place].heard_ms)
            {
                self.peers.swap_remove(oldest);
            }
            self.next_peer += 1;
            self.peers.push(Peer {
                number: self.next_peer,
                stream: fd.into(),
                input: Vec::new(),
                heard_ms: now_ms,
            });
        }
    }

    /// Answers; a peer that is gone or does not read is let go.
    pub(super) fn reply(&mut self, number: u64, reply: &Reply) {
        let mut line = serde_json::to_vec(reply).unwrap_or_default();
        line.push(b'\n');
        self.peers
            .retain_mut(|peer| peer.number != number || peer.stream.write_all(&line).is_ok());
    }

    /// Whether the peer may stop the attempt and ask about it: a process of the worker's user (or root) that is neither
    /// below the worker nor in the attempt's cgroups. What cannot be found out is a no.
    pub(super) fn may_command(&self, number: u64, cgroup: &AttemptCgroup) -> bool {
        let Some(peer) = self.peers.iter().find(|peer| peer.number == number) else {
            return false;
        };
        let Ok(credentials) = getsockopt(&peer.stream, PeerCredentials) else {
            return false;
        };
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let own_uid = rustix::process::geteuid().as_raw();
        let user = credentials.uid() == 0 || credentials.uid() == own_uid;
        // A process that this pid namespace cannot see has the number 0: nobody can say whose it is.
        let pid = credentials.pid();
        user && pid > 0
            && descends_from(pid, own).is_ok_and(|below| !below)
            && !cgroup.contains(pid)
    }

    /// Closes the door and removes its socket.
    pub(super) fn close(self) {
        // One that stays is removed by the next worker of the same path, or with its directory.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Peer {
    /// Reads; complete lines go to `asked`. `false` when the peer is done.
    fn hear(&mut self, now_ms: u64, asked: &mut Vec<Asked>) -> bool {
        self.heard_ms = now_ms;
        let mut bytes = [0; READ_BYTES];
        match self.stream.read(&mut bytes) {
            Ok(0) => return false,
            Ok(count) => self.input.extend_from_slice(&bytes[..count]),
            Err(error) => {
                return matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                );
            }
        }
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            let request =
                serde_json::from_slice(&line).map_err(|error| format!("not a request: {error}"));
            asked.push(Asked {
                peer: self.number,
                request,
            });
        }
        if self.input.len() > MAX_LINE_BYTES {
            self.input.clear();
            let request = Err(format!("a request has at most {MAX_LINE_BYTES} bytes"));
            asked.push(Asked {
                peer: self.number,
                request,
            });
        }
        true
    }
}

/// Whether the two are equal, in a time that does not tell where they differ.
pub(super) fn same_token(given: &str, own: &str) -> bool {
    given.len() == own.len()
        && given
            .bytes()
            .zip(own.bytes())
            .fold(0, |all, (one, other)| all | (one ^ other))
            == 0
}
