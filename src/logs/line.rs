//! One event as one line: text, JSON, or for the journal.
//!
//! Invariants: a line never holds a raw line break or control character, so that nothing an agent prints can forge a
//! line; its parts are cut at [`MAX_VALUE_BYTES`]; JSON lines begin with `timestamp level event task_id agent`.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use tracing::Level;

/// Longest message or field that is written, in bytes; the rest is cut and marked.
pub(super) const MAX_VALUE_BYTES: usize = 8192;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Time, level, target, message, fields.
    Text,
    /// A JSON object.
    Json,
}

/// One event, taken apart.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) timestamp: jiff::Timestamp,
    pub(super) level: Level,
    pub(super) target: String,
    pub(super) event: String,
    /// Fields of the event and of the spans around it, without the message.
    pub(super) fields: Map<String, Value>,
}

/// Names with a place of their own in a JSON line; a field called so is written with `field_` before it.
const TAKEN: [&str; 4] = ["timestamp", "level", "event", "target"];

impl Line {
    /// The line in `format`, with its line break. Without `time`, a text line leaves the time out (the journal has it).
    pub(super) fn render(&self, format: Format, time: bool) -> String {
        match format {
            Format::Text => self.text(time),
            Format::Json => self.json(),
        }
    }

    fn text(&self, time: bool) -> String {
        let mut out = String::new();
        if time {
            let _ = write!(out, "{:.6} {:<5} ", self.timestamp, self.level.as_str());
        }
        let _ = write!(out, "{}: ", self.target);
        push_escaped(&mut out, cut(&self.event));
        for (name, value) in &self.fields {
            let _ = write!(out, " {name}=");
            match value {
                Value::String(text) if is_plain(text) => out.push_str(&cut(text)),
                Value::String(text) => {
                    out.push('"');
                    // A quote must not look like the value's end: what follows it could pass for a field of ours.
                    let quoted = cut(text).replace('\\', "\\\\").replace('"', "\\\"");
                    push_escaped(&mut out, quoted);
                    out.push('"');
                }
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::Array(_)
                | Value::Object(_) => {
                    let _ = write!(out, "{value}");
                }
            }
        }
        out.push('\n');
        out
    }

    fn json(&self) -> String {
        let first = |name: &str| self.fields.get(name).cloned().unwrap_or(Value::Null);
        let mut out = format!(
            "{{\"timestamp\":\"{:.6}\",\"level\":\"{}\",\"event\":{},\"task_id\":{},\"agent\":{},\"target\":{}",
            self.timestamp,
            self.level.as_str().to_ascii_lowercase(),
            Value::from(cut(&self.event)),
            shortened(&first("task_id")),
            shortened(&first("agent")),
            Value::from(self.target.as_str()),
        );
        for (name, value) in self
            .fields
            .iter()
            .filter(|(name, _)| *name != "task_id" && *name != "agent")
        {
            let prefix = if TAKEN.contains(&name.as_str()) {
                "field_"
            } else {
                ""
            };
            let _ = write!(
                out,
                ",{}:{}",
                Value::from(format!("{prefix}{name}")),
                shortened(value)
            );
        }
        out.push_str("}\n");
        out
    }
}

fn shortened(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(cut(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.clone()
        }
    }
}

/// The mark behind a text that was cut.
const CUT: &str = "…[cut]";

fn cut(text: &str) -> std::borrow::Cow<'_, str> {
    if text.len() <= MAX_VALUE_BYTES {
        return text.into();
    }
    let end = text.floor_char_boundary(MAX_VALUE_BYTES);
    format!("{}{CUT}", &text[..end]).into()
}

fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text.contains(|character: char| {
            character.is_whitespace() || character.is_control() || "\"\\=".contains(character)
        })
}

/// `text` without anything that a terminal or a reader of lines would take for more than text.
fn push_escaped(out: &mut String, text: impl AsRef<str>) {
    for character in text.as_ref().chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{2028}' | '\u{2029}' => out.extend(character.escape_unicode()),
            character if character.is_control() => out.extend(character.escape_unicode()),
            character => out.push(character),
        }
    }
}

/// When a line is written.
#[expect(clippy::disallowed_methods, reason = "the log's one clock")]
pub(super) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
