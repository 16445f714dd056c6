//! What one request is answered with.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Tokens of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Read afresh.
    pub input: u64,
    /// Written.
    pub output: u64,
    /// Read from the cache.
    pub cache_read: u64,
    /// Put into the cache (kept for five minutes).
    pub cache_creation: u64,
}

impl Usage {
    /// What is served when a test says nothing: 0.00606 dollars of `claude-opus-5-5`.
    pub const USUAL: Self = Self {
        input: 1000,
        output: 50,
        cache_read: 300,
        cache_creation: 200,
    };
    /// Nothing.
    pub const NONE: Self = Self {
        input: 0,
        output: 0,
        cache_read: 0,
        cache_creation: 0,
    };

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            input: self.input + other.input,
            output: self.output + other.output,
            cache_read: self.cache_read + other.cache_read,
            cache_creation: self.cache_creation + other.cache_creation,
        }
    }
}

/// An answer; the constructors name the usual ones.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(super) what: What,
    pub(super) usage: Option<Usage>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) before: Option<Gate>,
}

/// How a stream ends that does not end well, after some text was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The connection is reset.
    Reset,
    /// The connection is closed.
    Close,
    /// An `error` event (overloaded), then a proper end.
    Error,
    /// Nothing more comes, and the connection stays.
    Silence,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Text(String),
    Tool {
        name: String,
        input: Value,
    },
    /// A tool call, then the text once its result is there: decided by the request, so it may be the usual answer.
    Work {
        name: String,
        input: Value,
        text: String,
    },
    Slow {
        text: String,
        pieces: usize,
        pause: Duration,
    },
    /// Half the text, then the gate, then the rest.
    Gated {
        text: String,
        gate: Gate,
    },
    Status {
        code: u16,
        kind: String,
        message: String,
    },
    Hang,
    Cut(Cut),
    InvalidJson,
    InvalidSse,
    EmptyStream,
    MaxTokens(String),
    Refusal,
    /// Whatever a test wants: status, content type, body.
    Raw(u16, String, String),
}

impl Answer {
    const fn of(what: What) -> Self {
        Self {
            what,
            usage: None,
            headers: Vec::new(),
            before: None,
        }
    }

    /// A text, and the end of the turn.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(What::Text(text.into()))
    }

    /// A few words and a tool call. What follows its result is another answer.
    pub fn tool(name: impl Into<String>, input: Value) -> Self {
        Self::of(What::Tool {
            name: name.into(),
            input,
        })
    }

    /// A call of the Bash tool.
    pub fn bash(command: impl Into<String>) -> Self {
        let command: String = command.into();
        Self::tool("Bash", json!({"command": command, "description": "test"}))
    }

    /// A tool call, and this text when the request brings a tool's result: fit to be a usual answer.
    pub fn work(name: impl Into<String>, input: Value, text: impl Into<String>) -> Self {
        Self::of(What::Work {
            name: name.into(),
            input,
            text: text.into(),
        })
    }

    /// A text in pieces, with a pause before each.
    pub fn slow(text: impl Into<String>, pieces: usize, pause: Duration) -> Self {
        Self::of(What::Slow {
            text: text.into(),
            pieces,
            pause,
        })
    }

    /// Half of the text is sent, then the stream waits at the gate.
    pub fn gated(text: impl Into<String>, gate: &Gate) -> Self {
        Self::of(What::Gated {
            text: text.into(),
            gate: gate.clone(),
        })
    }

    /// An error as the API words it: status, `error.type`, `error.message`.
    pub fn status(code: u16, kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self::of(What::Status {
            code,
            kind: kind.into(),
            message: message.into(),
        })
    }

    /// 429 that is no usage limit; add `retry-after` with [`Self::header`].
    pub fn throttled() -> Self {
        Self::status(
            429,
            "rate_limit_error",
            "This request would exceed your organization's rate limit of 50,000 input tokens per minute.",
        )
    }

    /// 529.
    pub fn overloaded() -> Self {
        Self::status(529, "overloaded_error", "Overloaded")
    }

    /// 500.
    pub fn broken() -> Self {
        Self::status(500, "api_error", "Internal server error")
    }

    /// 401: the credential is not valid.
    pub fn unauthorized() -> Self {
        Self::status(401, "authentication_error", "invalid x-api-key")
    }

    /// 401 as for a login whose token is over.
    pub fn login_expired() -> Self {
        Self::status(
            401,
            "authentication_error",
            "OAuth token has expired. Please obtain a new token or refresh your existing token.",
        )
    }

    /// 403: the credential may not do this.
    pub fn forbidden() -> Self {
        Self::status(
            403,
            "permission_error",
            "Your API key does not have permission to use the specified resource.",
        )
    }

    /// 403 as for a login that was taken back.
    pub fn login_revoked() -> Self {
        Self::status(403, "permission_error", "OAuth token has been revoked.")
    }

    /// 404: no such model.
    pub fn no_such_model(model: &str) -> Self {
        Self::status(404, "not_found_error", format!("model: {model}"))
    }

    /// 400: the prepaid credit is used up.
    pub fn credit_too_low() -> Self {
        Self::status(
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
        )
    }

    /// 400: more than the model's context holds.
    pub fn context_too_long() -> Self {
        Self::status(
            400,
            "invalid_request_error",
            "prompt is too long: 210000 tokens > 200000 maximum",
        )
    }

    /// The request is read and never answered.
    pub const fn hang() -> Self {
        Self::of(What::Hang)
    }

    /// A stream that begins well and ends like this.
    pub const fn cut(cut: Cut) -> Self {
        Self::of(What::Cut(cut))
    }

    /// 200 with a body that is no JSON (a captive portal's page).
    pub const fn invalid_json() -> Self {
        Self::of(What::InvalidJson)
    }

    /// 200 with an event stream whose data is no JSON.
    pub const fn invalid_sse() -> Self {
        Self::of(What::InvalidSse)
    }

    /// 200 with an event stream without an event.
    pub const fn empty_stream() -> Self {
        Self::of(What::EmptyStream)
    }

    /// A text that was cut at the output limit.
    pub fn max_tokens(text: impl Into<String>) -> Self {
        Self::of(What::MaxTokens(text.into()))
    }

    /// The model refuses.
    pub const fn refusal() -> Self {
        Self::of(What::Refusal)
    }

    /// Status, content type and body as given.
    pub fn raw(code: u16, content_type: impl Into<String>, body: impl Into<String>) -> Self {
        Self::of(What::Raw(code, content_type.into(), body.into()))
    }

    /// With these tokens.
    #[must_use]
    pub const fn using(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.headers.push((name.into(), value.to_string()));
        self
    }

    /// Answered only when the gate opens: nothing is sent before.
    #[must_use]
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.before = Some(gate.clone());
        self
    }

    /// A word for the record.
    pub(super) fn label(&self) -> String {
        match &self.what {
            What::Text(_) => "text".to_owned(),
            What::Tool { name, .. } => format!("tool {name}"),
            What::Work { name, .. } => format!("work {name}"),
            What::Slow { .. } => "slow".to_owned(),
            What::Gated { .. } => "gated".to_owned(),
            What::Status { code, .. } => code.to_string(),
            What::Hang => "hang".to_owned(),
            What::Cut(cut) => format!("cut {cut:?}"),
            What::InvalidJson => "invalid json".to_owned(),
            What::InvalidSse => "invalid sse".to_owned(),
            What::EmptyStream => "empty stream".to_owned(),
            What::MaxTokens(_) => "max tokens".to_owned(),
            What::Refusal => "refusal".to_owned(),
            What::Raw(code, ..) => format!("raw {code}"),
        }
    }
}

/// A point that an answer waits at until the test opens it; the test can wait until the answer is there. Thus a test acts in
/// the midst of a request without a guess about time.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<At>, Condvar)>);

#[derive(Debug, Default)]
struct At {
    reached: usize,
    open: bool,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everybody pass from now on.
    pub fn open(&self) {
        self.0.0.lock().unwrap().open = true;
        self.0.1.notify_all();
    }

    /// How many requests have come to the gate.
    pub fn reached(&self) -> usize {
        self.0.0.lock().unwrap().reached
    }

    /// Waits until so many requests have come to the gate.
    pub fn wait_reached(&self, count: usize, patience: Duration) {
        let (guard, _) = self
            .0
            .1
            .wait_timeout_while(self.0.0.lock().unwrap(), patience, |at| at.reached < count)
            .unwrap();
        assert!(
            guard.reached >= count,
            "{} of {count} requests came to the gate",
            guard.reached
        );
    }

    /// The answer's side: waits until the gate is open or `given_up` says so; false when given up.
    pub(super) fn pass(&self, given_up: impl Fn() -> bool) -> bool {
        let mut at = self.0.0.lock().unwrap();
        at.reached += 1;
        self.0.1.notify_all();
        while !at.open {
            if given_up() {
                return false;
            }
            at = self
                .0
                .1
                .wait_timeout(at, Duration::from_millis(20))
                .unwrap()
                .0;
        }
        true
    }
}

/// Waits until a condition holds; panics with `what` when it takes longer than `patience`.
pub(super) fn wait_until(what: &str, patience: Duration, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < patience, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
