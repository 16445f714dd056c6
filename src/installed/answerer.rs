//! A Messages API on loopback that says one thing: what an agent's program is checked against. It spends nothing, knows no
//! credential, and is gone with its value.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

/// Longest head of a request.
const HEAD_MAX_BYTES: u64 = 64 * 1024;
/// Longest body of a request.
const BODY_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Connections at once; further ones are closed.
const CONNECTIONS_MAX: usize = 16;
/// A client that says nothing for so long is let go.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Requests whose bodies are kept.
const REQUESTS_KEPT: usize = 64;

/// What every request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Script {
    /// These words of a model.
    Say(&'static str),
    /// The 5-hour window is used up until then (seconds since the epoch).
    FiveHourLimit(i64),
}

/// The running answerer.
#[derive(Debug)]
pub(super) struct Answerer {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    script: Mutex<Script>,
    requests: Mutex<Vec<Value>>,
    open: AtomicUsize,
    stopped: AtomicBool,
}

impl Answerer {
    /// Starts it on a free port of loopback.
    ///
    /// # Errors
    /// When there is no port or no thread to be had.
    pub(super) fn start(script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            script: Mutex::new(script),
            requests: Mutex::default(),
            open: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("answerer".to_owned())
            .spawn(move || serve(&listener, &serving))?;
        Ok(Self {
            shared,
            address,
            thread: Some(thread),
        })
    }

    /// Where it is.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Says something else from now on.
    pub(super) fn say(&self, script: Script) {
        *lock(&self.shared.script) = script;
    }

    /// The bodies of requests for a message since the last call.
    pub(super) fn take_requests(&self) -> Vec<Value> {
        std::mem::take(&mut *lock(&self.shared.requests))
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect_timeout(
            &self.address,
            Duration::from_secs(1),
        ));
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked; if it did, nothing is left to do.
            drop(thread.join());
        }
    }
}

/// Short critical sections that cannot panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        if shared.open.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
            shared.open.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let shared_there = Arc::clone(shared);
        let thread = std::thread::Builder::new().spawn(move || {
            // A client that breaks off has what it wanted.
            drop(answer(&stream, &shared_there));
            shared_there.open.fetch_sub(1, Ordering::SeqCst);
        });
        if thread.is_err() {
            shared.open.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// One request on one connection.
fn answer(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    let mut reader = BufReader::new(stream);
    let (method, path, length) = head(&mut reader)?;
    if length > BODY_MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let is_message = method == "POST" && path.split('?').next() == Some("/v1/messages");
    if !is_message {
        let error = error_body("not_found_error", "there is nothing but /v1/messages here");
        return send(stream, "404 Not Found", JSON, &[], &error);
    }
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let model = asked.get("model").and_then(Value::as_str).unwrap_or("m");
    let streams = asked.get("stream") == Some(&Value::Bool(true));
    let script = lock(&shared.script).clone();
    let (message, events) = (message(model, &script), events(model, &script));
    let kept = || {
        let mut requests = lock(&shared.requests);
        if requests.len() < REQUESTS_KEPT {
            requests.push(asked.clone());
        }
    };
    kept();
    match script {
        Script::Say(_) if streams => send(stream, "200 OK", "text/event-stream", &[], &events),
        Script::Say(_) => send(stream, "200 OK", JSON, &[], &message.to_string()),
        Script::FiveHourLimit(reset) => {
            let error = error_body("rate_limit_error", "This request would exceed your limit.");
            let headers = limit_headers(reset);
            send(stream, "429 Too Many Requests", JSON, &headers, &error)
        }
    }
}

const JSON: &str = "application/json";

/// Method, path and the length of the body.
fn head(reader: &mut BufReader<&TcpStream>) -> io::Result<(String, String, usize)> {
    let mut head = reader.take(HEAD_MAX_BYTES);
    let mut line = String::new();
    head.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let method = words.next().unwrap_or_default();
    let path = words.next().unwrap_or_default();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok((method, path, length));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value
                .trim()
                .parse()
                .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        }
    }
}

fn send(
    mut stream: &TcpStream,
    status: &str,
    content_type: &str,
    headers: &[(String, String)],
    body: &str,
) -> io::Result<()> {
    let more: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nrequest-id: req_check\r\n{more}\
         connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.flush()
}

fn error_body(kind: &str, message: &str) -> String {
    json!({"type": "error", "error": {"type": kind, "message": message}}).to_string()
}

/// What the server of a subscription says beside a refusal for want of usage.
fn limit_headers(reset: i64) -> Vec<(String, String)> {
    let reset = reset.to_string();
    [
        ("status", "rejected"),
        ("reset", &reset),
        ("representative-claim", "five_hour"),
        ("5h-status", "rejected"),
        ("5h-reset", &reset),
        ("5h-utilization", "1.02"),
        ("overage-status", "rejected"),
        ("overage-disabled-reason", "org_level_disabled"),
    ]
    .map(|(name, value)| {
        let name = format!("anthropic-ratelimit-unified-{name}");
        (name, value.to_owned())
    })
    .to_vec()
}

fn usage(output: u64) -> Value {
    json!({
        "input_tokens": 1000, "output_tokens": output, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0,
        "service_tier": "standard",
    })
}

fn said(script: &Script) -> &str {
    match script {
        Script::Say(text) => text,
        Script::FiveHourLimit(_) => "",
    }
}

fn message(model: &str, script: &Script) -> Value {
    json!({
        "id": "msg_check", "type": "message", "role": "assistant", "model": model,
        "content": [{"type": "text", "text": said(script)}],
        "stop_reason": "end_turn", "stop_sequence": null, "usage": usage(50),
    })
}

/// The same as a stream.
fn events(model: &str, script: &Script) -> String {
    let mut begin = message(model, script);
    if let Some(fields) = begin.as_object_mut() {
        fields.insert("content".to_owned(), json!([]));
        fields.insert("stop_reason".to_owned(), Value::Null);
        fields.insert("usage".to_owned(), usage(1));
    }
    let events = [
        ("message_start", json!({"message": begin})),
        (
            "content_block_start",
            json!({"index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
        (
            "content_block_delta",
            json!({"index": 0, "delta": {"type": "text_delta", "text": said(script)}}),
        ),
        ("content_block_stop", json!({"index": 0})),
        (
            "message_delta",
            json!({"delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 50}}),
        ),
        ("message_stop", json!({})),
    ];
    events
        .into_iter()
        .map(|(name, mut data)| {
            if let Some(fields) = data.as_object_mut() {
                fields.insert("type".to_owned(), Value::String(name.to_owned()));
            }
            format!("event: {name}\ndata: {data}\n\n")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(answerer: &Answerer, request: &str) -> String {
        let mut stream = TcpStream::connect(answerer.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn post(body: &str) -> String {
        format!(
            "POST /v1/messages?beta=true HTTP/1.1\r\nhost: x\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    #[test]
    fn it_says_what_it_was_told_and_keeps_what_was_asked() {
        let answerer = Answerer::start(Script::Say("ready")).unwrap();
        let whole = ask(&answerer, &post(r#"{"model":"opus"}"#));
        assert!(
            whole.starts_with("HTTP/1.1 200 OK") && whole.contains(r#""text":"ready""#),
            "{whole}"
        );
        let stream = ask(&answerer, &post(r#"{"model":"opus","stream":true}"#));
        assert!(
            stream.contains("event: message_stop") && stream.contains("text_delta"),
            "{stream}"
        );
        answerer.say(Script::FiveHourLimit(12345));
        let limit = ask(&answerer, &post("{}"));
        assert!(
            limit.starts_with("HTTP/1.1 429") && limit.contains("unified-reset: 12345\r\n"),
            "{limit}"
        );
        let other = ask(&answerer, "HEAD / HTTP/1.1\r\nhost: x\r\n\r\n");
        assert!(other.starts_with("HTTP/1.1 404"), "{other}");
        let asked = answerer.take_requests();
        assert_eq!(asked.len(), 3);
        assert_eq!(asked[0]["model"], "opus");
        assert!(answerer.take_requests().is_empty());
    }

    #[test]
    fn it_goes_with_its_value_and_outlives_bad_clients() {
        let answerer = Answerer::start(Script::Say("ready")).unwrap();
        let address = answerer.address;
        for bad in [
            "",
            "\r\n\r\n",
            "POST /v1/messages HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        ] {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(bad.as_bytes()).unwrap();
            drop(stream);
        }
        assert!(ask(&answerer, &post("{}")).contains("200 OK"));
        drop(answerer);
        assert!(TcpStream::connect(address).is_err());
    }
}
