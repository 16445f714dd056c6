//! The API's own wording: messages, their events, errors.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::answer::Usage;

/// A number that no other answer of this process has.
fn fresh() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{:08}", NEXT.fetch_add(1, Ordering::SeqCst))
}

/// An id for a request.
pub fn request_id() -> String {
    format!("req_standin{}", fresh())
}

/// A message of the model.
#[derive(Debug, Clone)]
pub struct Message {
    id: String,
    model: String,
    blocks: Vec<Value>,
    stop_reason: &'static str,
    stop_details: Value,
    usage: Usage,
}

/// One event of a stream: name and data.
pub type Event = (&'static str, Value);

impl Message {
    /// A message of these content blocks.
    pub fn new(model: &str, usage: Usage, stop_reason: &'static str, blocks: Vec<Value>) -> Self {
        Self {
            id: format!("msg_standin{}", fresh()),
            model: model.to_owned(),
            blocks,
            stop_reason,
            stop_details: Value::Null,
            usage,
        }
    }

    /// A refusal says why beside its stop reason.
    pub fn refusal(model: &str, usage: Usage) -> Self {
        let mut message = Self::new(model, usage, "refusal", vec![]);
        message.stop_details = json!({"type": "refusal", "category": null, "explanation": null});
        message
    }

    /// The whole message at once.
    pub fn whole(&self) -> Value {
        json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": self.blocks,
            "stop_reason": self.stop_reason, "stop_sequence": null, "stop_details": self.stop_details,
            "usage": tokens(self.usage, self.usage.output),
        })
    }

    /// The event that opens the stream.
    pub fn begin(&self) -> Event {
        (
            "message_start",
            json!({"type": "message_start", "message": {
                "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": [],
                "stop_reason": null, "stop_sequence": null, "usage": tokens(self.usage, 1),
            }}),
        )
    }

    /// The events of its blocks, each text in so many pieces.
    pub fn content(&self, pieces: usize) -> Vec<Event> {
        let mut events = Vec::new();
        for (index, block) in self.blocks.iter().enumerate() {
            let (empty, deltas) = deltas(block, pieces);
            events.push((
                "content_block_start",
                json!({"type": "content_block_start", "index": index, "content_block": empty}),
            ));
            for delta in deltas {
                events.push((
                    "content_block_delta",
                    json!({"type": "content_block_delta", "index": index, "delta": delta}),
                ));
            }
            events.push((
                "content_block_stop",
                json!({"type": "content_block_stop", "index": index}),
            ));
        }
        events
    }

    /// The events that close the stream; the first one says how many tokens were written.
    pub fn end(&self) -> [Event; 2] {
        [
            (
                "message_delta",
                json!({"type": "message_delta",
                    "delta": {"stop_reason": self.stop_reason, "stop_sequence": null, "stop_details": self.stop_details},
                    "usage": {"output_tokens": self.usage.output}}),
            ),
            ("message_stop", json!({"type": "message_stop"})),
        ]
    }
}

/// A text block.
pub fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// A tool call.
pub fn tool_use(name: &str, input: &Value) -> Value {
    json!({"type": "tool_use", "id": format!("toolu_standin{}", fresh()), "name": name, "input": input})
}

/// An error's body.
pub fn error(kind: &str, message: &str, request: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": request})
}

/// One event as it goes over the wire.
pub fn sse((name, data): &Event) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

fn tokens(usage: Usage, output: u64) -> Value {
    json!({
        "input_tokens": usage.input, "output_tokens": output,
        "cache_read_input_tokens": usage.cache_read, "cache_creation_input_tokens": usage.cache_creation,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_creation, "ephemeral_1h_input_tokens": 0},
        "service_tier": "standard",
    })
}

/// A block as it opens in a stream, and what is added to it.
fn deltas(block: &Value, pieces: usize) -> (Value, Vec<Value>) {
    if block["type"] == "tool_use" {
        let mut empty = block.clone();
        empty["input"] = json!({});
        let input = block["input"].to_string();
        let delta = json!({"type": "input_json_delta", "partial_json": input});
        return (empty, vec![delta]);
    }
    let letters: Vec<char> = block["text"].as_str().unwrap_or_default().chars().collect();
    let size = letters.len().div_ceil(pieces.max(1)).max(1);
    let added = letters
        .chunks(size)
        .map(|piece| json!({"type": "text_delta", "text": piece.iter().collect::<String>()}))
        .collect();
    (json!({"type": "text", "text": ""}), added)
}
