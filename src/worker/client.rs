//! The other side of a worker's door: a small blocking client, for the daemon and for `taskctl checkpoint`.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::socket;
use crate::attempt::protocol::{MAX_LINE_BYTES, Reply, Request};

/// A worker answers at once, unless its disk is slow; after this long it counts as not answering.
pub const TIMEOUT_MS: u64 = 5_000;

/// Sends one request to the door at `path` and returns the reply. Blocks; a worker that stands still costs about 5 s.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` when no worker is there; `TimedOut` or `WouldBlock` when it does not answer;
/// `UnexpectedEof` when it leaves without an answer; `InvalidData` when the answer is none.
pub fn request(path: &Path, request: &Request) -> io::Result<Reply> {
    request_within(path, request, TIMEOUT_MS)
}

/// As [`request`], for a caller that has less time: to be let in, to be heard and to be answered may each take `timeout_ms`
/// (of a worker that stands still, only one of them does).
///
/// # Errors
/// As [`request`].
pub fn request_within(path: &Path, request: &Request, timeout_ms: u64) -> io::Result<Reply> {
    let timeout = Duration::from_millis(timeout_ms.max(1));
    let mut stream = UnixStream::from(socket::connect_to(path, timeout)?);
    stream.set_read_timeout(Some(timeout))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    if line.len() > MAX_LINE_BYTES {
        let text = format!(
            "the request is {} bytes long, the door takes {MAX_LINE_BYTES}",
            line.len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(MAX_LINE_BYTES as u64)).read_until(b'\n', &mut answer)?;
    if answer.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&answer)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
