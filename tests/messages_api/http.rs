//! Just enough of HTTP/1.1 for one connection: requests with a length or in chunks, answers with a length or in chunks.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// A body beyond this is not read.
const BODY_MAX: usize = 64 << 20;
/// How often a waiting answer looks whether its client is still there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A request as it came.
#[derive(Debug)]
pub struct Raw {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// One client's connection. The server holds it weakly, so that the last drop here closes it.
#[derive(Debug)]
pub struct Conn {
    stream: Arc<TcpStream>,
    reader: BufReader<Shared>,
}

#[derive(Debug)]
struct Shared(Arc<TcpStream>);

impl Read for Shared {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        (&*self.0).read(into)
    }
}

impl Conn {
    pub fn new(stream: Arc<TcpStream>) -> Self {
        let _ = stream.set_nodelay(true);
        let reader = BufReader::new(Shared(Arc::clone(&stream)));
        Self { stream, reader }
    }

    /// The next request; none when the client has gone.
    pub fn next(&mut self) -> Option<Raw> {
        self.stream.set_read_timeout(None).ok()?;
        let first = self.line()?;
        let mut words = first.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        let value = |wanted: &str| {
            headers
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.as_str())
        };
        let body = if value("transfer-encoding").is_some_and(|how| how.contains("chunked")) {
            self.chunks()?
        } else {
            let length = value("content-length").map_or(Some(0), |text| text.parse().ok())?;
            self.bytes(length)?
        };
        Some(Raw {
            method,
            path,
            headers,
            body,
        })
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).ok()?;
        let line = String::from_utf8(line).ok()?;
        line.ends_with('\n').then(|| line.trim_end().to_owned())
    }

    fn bytes(&mut self, length: usize) -> Option<Vec<u8>> {
        if length > BODY_MAX {
            return None;
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).ok()?;
        Some(body)
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
            body.extend(self.bytes(size)?);
            self.line()?;
            if size == 0 {
                return Some(body);
            }
        }
    }

    /// Status and headers; `length` of the body, or chunks to come.
    pub fn head(
        &mut self,
        status: u16,
        content_type: &str,
        headers: &[(String, String)],
        length: Option<usize>,
    ) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match length {
            Some(length) => head.push_str(&format!("content-length: {length}\r\n\r\n")),
            None => head.push_str("transfer-encoding: chunked\r\n\r\n"),
        }
        (&*self.stream).write_all(head.as_bytes())
    }

    /// Bytes of a body with a length.
    pub fn body(&mut self, body: &str) -> std::io::Result<()> {
        (&*self.stream).write_all(body.as_bytes())
    }

    /// One chunk.
    pub fn chunk(&mut self, text: &str) -> std::io::Result<()> {
        (&*self.stream).write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
    }

    /// The end of the chunks.
    pub fn last_chunk(&mut self) -> std::io::Result<()> {
        (&*self.stream).write_all(b"0\r\n\r\n")
    }

    /// The drop that follows resets the connection instead of closing it.
    pub fn reset_on_drop(&self) {
        let _ = rustix::net::sockopt::set_socket_linger(&*self.stream, Some(Duration::ZERO));
    }

    /// Whether the client has gone; takes a moment, so it also paces the loop that asks.
    pub fn is_gone(&self) -> bool {
        if self.stream.set_read_timeout(Some(LOOK_EVERY)).is_err() {
            return true;
        }
        let mut byte = [0];
        match self.stream.peek(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}
