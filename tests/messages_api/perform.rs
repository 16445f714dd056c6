//! An answer, sent.

use std::time::Duration;

use super::answer::{Answer, Cut, Usage, What};
use super::http::Conn;
use super::record::Request;
use super::wire::{self, Event, Message};

/// How it went.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    pub status: u16,
    pub usage: Usage,
    /// To its end: the connection can take another request.
    pub complete: bool,
}

impl Sent {
    /// Before anything is sent.
    pub const NOTHING: Self = Self {
        status: 0,
        usage: Usage::NONE,
        complete: false,
    };
}

const STREAM: &str = "text/event-stream; charset=utf-8";
const JSON: &str = "application/json";
/// What a stream says before it is cut.
const CUT_TEXT: &str = "This answer will not come to its end, for the connection is cut.";

/// One answer on its way.
pub struct Performance<'a> {
    pub conn: &'a mut Conn,
    pub request: &'a Request,
    pub headers: Vec<(String, String)>,
    pub usage: Usage,
    /// The stand-in is ending.
    pub stopped: &'a dyn Fn() -> bool,
    /// Keeps the record up to date; called before the bytes that end an answer, for a client that has them may end at once.
    pub keep: &'a dyn Fn(Sent),
    pub request_id: String,
    pub sent: Sent,
}

impl Performance<'_> {
    /// Sends it; what is kept of a failed write is how far it came.
    pub fn run(&mut self, answer: &Answer) -> std::io::Result<()> {
        if let Some(gate) = &answer.before {
            let (conn, stopped) = (&*self.conn, self.stopped);
            if !gate.pass(|| conn.is_gone() || stopped()) {
                return Ok(());
            }
        }
        let (model, usage) = (self.request.model.as_str(), self.usage);
        let says = |text: &str, stop| Message::new(model, usage, stop, vec![wire::text(text)]);
        match &answer.what {
            What::Text(text) => self.message(&says(text, "end_turn")),
            What::Work { text, .. } if self.request.brings_result => {
                self.message(&says(text, "end_turn"))
            }
            What::Tool { name, input } | What::Work { name, input, .. } => {
                let blocks = vec![
                    wire::text("I will use a tool."),
                    wire::tool_use(name, input),
                ];
                self.message(&Message::new(model, usage, "tool_use", blocks))
            }
            What::MaxTokens(text) => self.message(&says(text, "max_tokens")),
            What::Refusal => self.message(&Message::refusal(model, usage)),
            What::Slow {
                text,
                pieces,
                pause,
            } => self.slow(&says(text, "end_turn"), *pieces, *pause),
            What::Gated { text, gate } => self.gated(&says(text, "end_turn"), gate),
            What::Status {
                code,
                kind,
                message,
            } => {
                let body = wire::error(kind, message, &self.request_id).to_string();
                self.whole(*code, JSON, &body)
            }
            What::Hang => {
                self.stay_silent();
                Ok(())
            }
            What::Cut(cut) => self.cut(*cut),
            What::InvalidSse if self.request.streaming => self.whole(
                200,
                STREAM,
                "event: message_start\ndata: <html>not json</html>\n\n",
            ),
            What::InvalidJson | What::InvalidSse => {
                self.whole(200, JSON, "<html>Please log in to the network</html>")
            }
            What::EmptyStream => self.whole(200, STREAM, ""),
            What::Raw(code, content_type, body) => self.whole(*code, content_type, body),
        }
    }

    fn whole(&mut self, status: u16, content_type: &str, body: &str) -> std::io::Result<()> {
        self.sent.status = status;
        self.sent.complete = true;
        (self.keep)(self.sent);
        self.conn
            .head(status, content_type, &self.headers, Some(body.len()))?;
        self.conn.body(body)
    }

    fn begin(&mut self, message: &Message) -> std::io::Result<()> {
        self.sent.status = 200;
        self.conn.head(200, STREAM, &self.headers, None)?;
        self.events(&[message.begin()])?;
        // The client is told what was read at once, and what was written at the end.
        self.sent.usage = Usage {
            output: 1,
            ..self.usage
        };
        (self.keep)(self.sent);
        Ok(())
    }

    fn events(&mut self, events: &[Event]) -> std::io::Result<()> {
        for event in events {
            self.conn.chunk(&wire::sse(event))?;
        }
        Ok(())
    }

    fn end(&mut self, message: &Message) -> std::io::Result<()> {
        self.sent.usage = self.usage;
        self.sent.complete = true;
        (self.keep)(self.sent);
        self.events(&message.end())?;
        self.conn.last_chunk()
    }

    fn message(&mut self, message: &Message) -> std::io::Result<()> {
        if !self.request.streaming {
            self.sent.usage = self.usage;
            return self.whole(200, JSON, &message.whole().to_string());
        }
        self.begin(message)?;
        self.events(&message.content(3))?;
        self.end(message)
    }

    fn slow(&mut self, message: &Message, pieces: usize, pause: Duration) -> std::io::Result<()> {
        if !self.request.streaming {
            std::thread::sleep(pause.saturating_mul(u32::try_from(pieces).unwrap_or(u32::MAX)));
            return self.message(message);
        }
        self.begin(message)?;
        for event in message.content(pieces) {
            if event.0 == "content_block_delta" {
                std::thread::sleep(pause);
                if (self.stopped)() {
                    return Ok(());
                }
            }
            self.events(&[event])?;
        }
        self.end(message)
    }

    fn gated(&mut self, message: &Message, gate: &super::answer::Gate) -> std::io::Result<()> {
        let stopped = self.stopped;
        if !self.request.streaming {
            let conn = &*self.conn;
            return if gate.pass(|| conn.is_gone() || stopped()) {
                self.message(message)
            } else {
                Ok(())
            };
        }
        self.begin(message)?;
        let events = message.content(2);
        // The block's start and the first half of its text.
        let (before, after) = events.split_at(2.min(events.len()));
        self.events(before)?;
        let conn = &*self.conn;
        if !gate.pass(|| conn.is_gone() || stopped()) {
            return Ok(());
        }
        self.events(after)?;
        self.end(message)
    }

    fn cut(&mut self, cut: Cut) -> std::io::Result<()> {
        let message = Message::new(
            &self.request.model,
            self.usage,
            "end_turn",
            vec![wire::text(CUT_TEXT)],
        );
        if self.request.streaming {
            self.begin(&message)?;
            let events = message.content(2);
            self.events(&events[..2])?;
        } else if cut == Cut::Error {
            let body = wire::error("overloaded_error", "Overloaded", &self.request_id).to_string();
            return self.whole(529, JSON, &body);
        } else {
            let body = message.whole().to_string();
            self.sent.status = 200;
            self.conn.head(200, JSON, &self.headers, Some(body.len()))?;
            self.conn.body(&body[..body.len() / 2])?;
        }
        match cut {
            Cut::Reset => self.conn.reset_on_drop(),
            Cut::Close => {}
            Cut::Error => {
                let data = wire::error("overloaded_error", "Overloaded", &self.request_id);
                self.events(&[("error", data)])?;
                self.conn.last_chunk()?;
            }
            Cut::Silence => self.stay_silent(),
        }
        Ok(())
    }

    fn stay_silent(&self) {
        while !self.conn.is_gone() && !(self.stopped)() {}
    }
}
