//! A stand-in for an OpenAI-compatible server on loopback: what Codex (`/v1/responses`) and Qwen Code
//! (`/v1/chat/completions`, as OpenCode does) talk to in tests, and Gemini (`…:streamGenerateContent`). It says short texts until it is told otherwise, and keeps what was asked.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[expect(dead_code, reason = "of the kit, what an answer with a length needs")]
#[path = "../messages_api/http.rs"]
mod http;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use http::{Conn, Raw};
use serde_json::{Value, json};

const JSON: &str = "application/json";
const STREAM: &str = "text/event-stream";

/// What a request is answered with.
#[derive(Debug, Clone)]
pub enum Answer {
    /// These words.
    Say(&'static str),
    /// An error: status, type, message, and further fields of it.
    Error(u16, &'static str, &'static str, Value),
}

impl Answer {
    /// An error without further fields.
    pub fn error(status: u16, kind: &'static str, message: &'static str) -> Self {
        Self::Error(status, kind, message, json!({}))
    }
}

/// One request for an answer of a model.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The credential that it brought.
    pub credential: String,
    /// Its body.
    pub body: Value,
}

/// The running stand-in; it ends when this is dropped.
#[derive(Debug)]
pub struct OpenAi {
    shared: Arc<Shared>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    answer: Mutex<Answer>,
    asked: Mutex<Vec<Asked>>,
    stopped: AtomicBool,
}

impl OpenAi {
    /// Starts it on a free port of loopback.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            answer: Mutex::new(Answer::Say("Hello.")),
            asked: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let thread = std::thread::spawn(move || accepting.accept(&listener));
        Self {
            shared,
            port,
            thread: Some(thread),
        }
    }

    /// The base address of its API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Answers like this from now on.
    pub fn answer(&self, answer: Answer) {
        *self.shared.answer.lock().unwrap() = answer;
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Drop for OpenAi {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            let shared = Arc::clone(self);
            std::thread::spawn(move || {
                let mut conn = Conn::new(Arc::new(stream));
                while let Some(raw) = conn.next() {
                    if shared.serve(&mut conn, &raw).is_err() {
                        return;
                    }
                }
            });
        }
    }

    fn serve(&self, conn: &mut Conn, raw: &Raw) -> std::io::Result<()> {
        let mut send = |status: u16, kind: &str, body: &str| {
            conn.head(status, kind, &[], Some(body.len()))?;
            conn.body(body)
        };
        let body: Value = serde_json::from_slice(&raw.body).unwrap_or_default();
        let model = body["model"].as_str().unwrap_or("m").to_owned();
        let streams = body["stream"] == true;
        let is_gemini = raw.path.contains(":streamGenerateContent");
        let is_answered = is_gemini
            || raw.path.ends_with("/responses")
            || raw.path.ends_with("/chat/completions");
        if raw.method != "POST" || !is_answered {
            return send(404, JSON, &error("not_found", "no such route", &json!({})));
        }
        let credential = raw
            .headers
            .iter()
            .find(|(name, _)| name == "authorization" || name == "x-goog-api-key");
        self.asked.lock().unwrap().push(Asked {
            credential: credential
                .map(|(_, value)| value.clone())
                .unwrap_or_default(),
            body,
        });
        let answer = self.answer.lock().unwrap().clone();
        match answer {
            Answer::Error(status, kind, message, more) => {
                send(status, JSON, &error(kind, message, &more))
            }
            Answer::Say(text) if is_gemini => send(200, STREAM, &candidate(text)),
            Answer::Say(text) if raw.path.ends_with("/responses") => {
                send(200, STREAM, &responses(text))
            }
            Answer::Say(text) if streams => send(200, STREAM, &chunks(&model, text)),
            Answer::Say(text) => send(200, JSON, &completion(&model, text).to_string()),
        }
    }
}

fn error(kind: &str, message: &str, more: &Value) -> String {
    let mut error = json!({"type": kind, "code": kind, "message": message, "param": null});
    for (name, value) in more.as_object().into_iter().flatten() {
        error[name] = value.clone();
    }
    json!({"error": error}).to_string()
}

/// An answer of the Responses API as a stream.
fn responses(text: &str) -> String {
    let item = json!({"type": "message", "role": "assistant", "id": "msg_standin",
        "content": [{"type": "output_text", "text": text}]});
    let usage = json!({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 40}, "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 120});
    [
        json!({"type": "response.created", "response": {"id": "resp_standin"}}),
        json!({"type": "response.output_item.done", "item": item}),
        json!({"type": "response.completed", "response": {"id": "resp_standin", "usage": usage}}),
    ]
    .iter()
    .map(|event| {
        format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap()
        )
    })
    .collect()
}

/// An answer of the Gemini API as a stream.
fn candidate(text: &str) -> String {
    let usage =
        json!({"promptTokenCount": 100, "candidatesTokenCount": 20, "totalTokenCount": 120});
    let content = json!({"role": "model", "parts": [{"text": text}]});
    let answer = json!({"candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": usage, "modelVersion": "m"});
    format!("data: {answer}\n\n")
}

fn usage() -> Value {
    json!({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120})
}

fn completion(model: &str, text: &str) -> Value {
    json!({"id": "chat_standin", "object": "chat.completion", "created": 1, "model": model, "usage": usage(),
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]})
}

/// The same as a stream.
fn chunks(model: &str, text: &str) -> String {
    let chunk = |choices: Value, usage: Value| {
        json!({"id": "chat_standin", "object": "chat.completion.chunk", "created": 1, "model": model,
            "choices": choices, "usage": usage})
    };
    let delta = |delta: Value, reason: Value| json!([{"index": 0, "delta": delta, "finish_reason": reason}]);
    let chunks = [
        chunk(
            delta(json!({"role": "assistant", "content": text}), Value::Null),
            Value::Null,
        ),
        chunk(delta(json!({}), json!("stop")), Value::Null),
        chunk(json!([]), usage()),
    ];
    let lines: String = chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect();
    lines + "data: [DONE]\n\n"
}
