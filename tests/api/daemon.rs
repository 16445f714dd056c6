//! A daemon of its own in a directory of its own, and a client that can also misbehave.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a test starts the real program and measures real time"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A condition that does not hold by then fails the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running daemon; ended when dropped.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) dir: tempfile::TempDir,
}

/// Starts the program for a state directory; its words go to a file beside it.
pub(crate) fn spawn(state_dir: &Path) -> Child {
    let words = std::fs::File::create(state_dir.with_extension("stderr")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_auto-claude"))
        .args(["serve", "--state-dir"])
        .arg(state_dir)
        .env("MAX_CONCURRENT_TASKS", "2")
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(words)
        .spawn()
        .unwrap()
}

/// Waits until `holds` gives something.
pub(crate) fn until<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = holds() {
            return value;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Daemon {
    /// A daemon with an empty state directory, ready.
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    /// A daemon with its state in `dir`/s, ready.
    pub(crate) fn start_in(dir: tempfile::TempDir) -> Self {
        let state_dir = dir.path().join("s");
        std::fs::create_dir_all(&state_dir).unwrap();
        // The machine's own free space must not decide a test.
        std::fs::write(state_dir.join("config.toml"), "min_disk_space_gb = 0\n").unwrap();
        let child = spawn(&state_dir);
        let daemon = Self { child, dir };
        until("the daemon answers", || {
            let mut stream = UnixStream::connect(daemon.socket()).ok()?;
            stream
                .write_all(b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\n\r\n")
                .ok()?;
            let mut first = [0; 15];
            stream.read_exact(&mut first).ok()?;
            Some(())
        });
        daemon
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.state_dir().join("auto-claude.sock")
    }

    /// A raw connection.
    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(&self, method: &str, route: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        write!(
            stream,
            "{method} /api/v1{route} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .unwrap();
        // A body that is refused may not be taken to its end; the answer is there all the same.
        drop(stream.write_all(body));
        Answer::read(&mut stream)
    }

    /// The same, with the answer as it came; for a daemon that may be in any state.
    fn try_ask(&self, method: &str, route: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            stream,
            "{method} /api/v1{route} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }

    pub(crate) fn get(&self, route: &str) -> Answer {
        self.ask("GET", route, b"")
    }

    pub(crate) fn post(&self, route: &str, body: &Value) -> Answer {
        self.ask("POST", route, body.to_string().as_bytes())
    }

    /// Submits and gives the id.
    pub(crate) fn submit(&self, task: &Value) -> String {
        let answer = self.post("/tasks", task);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Waits for the end of a task.
    pub(crate) fn wait(&self, id: &str) -> Value {
        let answer = self.get(&format!("/tasks/{id}/wait?timeout_seconds=30"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Opens a stream: sends the request, reads the head.
    pub(crate) fn open(&self, method: &str, route: &str) -> Stream {
        let mut stream = self.connect();
        write!(
            stream,
            "{method} /api/v1{route} HTTP/1.1\r\nhost: x\r\n\r\n"
        )
        .unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        let mut offset = String::new();
        while reader.read_line(&mut line).unwrap() > 2 {
            if let Some(value) = line.strip_prefix("auto-claude-offset: ") {
                offset = value.trim().to_owned();
            }
            assert!(
                !line.starts_with("HTTP") || line.contains(" 200 "),
                "{line}"
            );
            line.clear();
        }
        Stream { reader, offset }
    }

    /// Ends it as SIGTERM does.
    pub(crate) fn leave(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        until("the daemon leaves", || self.child.try_wait().unwrap());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Workers outlive the daemon: what runs is ended first.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let wish =
                json!({"action": "cancel", "states": ["processing", "pending"], "grace_ms": 1});
            drop(self.try_ask("POST", "/tasks/actions", wish.to_string().as_bytes()));
            let begun = Instant::now();
            while begun.elapsed() < PATIENCE
                && self
                    .try_ask("GET", "/workers", b"")
                    .is_ok_and(|answer| !answer.ends_with(b"[]"))
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}

/// A response, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads to the end of the connection.
    pub(crate) fn read(stream: &mut UnixStream) -> Self {
        let mut bytes = Vec::new();
        let mut part = [0; 64 * 1024];
        loop {
            match stream.read(&mut part) {
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(&part[..count]),
                // What we still sent when the other side had closed.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!(
                    "no answer: {error}; so far {:?}",
                    String::from_utf8_lossy(&bytes)
                ),
            }
        }
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("a head")
            + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = bytes.split_off(end);
        let body = if head.contains("transfer-encoding: chunked") {
            unchunk(&body)
        } else {
            body
        };
        Self { status, body }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code and the message of a refusal.
    pub(crate) fn refusal(&self) -> (String, String) {
        let body = self.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (text("code"), text("message"))
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
    whole
}

/// A chunked body, read as it comes.
pub(crate) struct Stream {
    reader: BufReader<UnixStream>,
    offset: String,
}

impl Stream {
    /// What the head says about where in the log the answer begins.
    pub(crate) fn offset(&self) -> &str {
        &self.offset
    }

    /// The next chunk; `None` at the end.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut size = String::new();
        self.reader.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim(), 16)
            .ok()
            .filter(|size| *size > 0)?;
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk).unwrap();
        chunk.truncate(size);
        Some(chunk)
    }

    /// Reads on to the end of the connection; whether it ends without the end that a complete body has.
    pub(crate) fn is_cut(&mut self) -> bool {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).unwrap();
        !rest.ends_with(b"0\r\n\r\n")
    }

    /// The next chunk as JSON: streams of lines send one per chunk.
    pub(crate) fn line(&mut self) -> Option<Value> {
        self.chunk()
            .map(|chunk| serde_json::from_slice(&chunk).unwrap())
    }
}

/// A task that does not run by itself.
pub(crate) fn later(name: &str) -> Value {
    json!({"name": name, "command": "true", "cwd": "/", "at": "2027-12-31T00:00:00Z"})
}
