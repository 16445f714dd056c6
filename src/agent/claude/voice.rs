//! What Claude Code says, in words.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::agent::text;
use crate::agent::transcript::{NOTE_MAX_BYTES, RESULT_LINES_MAX, Said};

/// Before what a subagent does.
const SUBAGENT_MARGIN: &str = "  ";
/// The inputs of tools that say most, in this order.
const TELLING_INPUTS: [&str; 9] = [
    "command",
    "file_path",
    "notebook_path",
    "path",
    "pattern",
    "url",
    "query",
    "description",
    "prompt",
];

/// Puts one event into words. What people need not see (hooks, progress, settings) says nothing.
pub(in crate::agent) fn say(object: &RawValue, said: &mut Said) {
    // Deeper than any event: nothing to show.
    let Ok(event) = serde_json::from_str::<Value>(object.get()) else {
        return;
    };
    let margin = match word(&event, "parent_tool_use_id") {
        Some(_) => SUBAGENT_MARGIN,
        None => "",
    };
    match word(&event, "type") {
        Some("system") => system(&event, said),
        // By these the program reports a failure, and the result tells it again.
        Some("assistant") if event.get("error").is_some_and(|error| !error.is_null()) => {}
        Some("assistant") => assistant(&event, margin, said),
        Some("user") => tool_results(&event, margin, said),
        Some("rate_limit_event") => window(&event, said),
        Some("result") => result(&event, said),
        Some(_) | None => {}
    }
}

fn system(event: &Value, said: &mut Said) {
    match word(event, "subtype") {
        Some("init") => {
            let model = word(event, "model").unwrap_or("unknown model");
            let session = word(event, "session_id").unwrap_or("unknown");
            said.note(&format!("{model}, session {session}"));
            broken_servers(event, said);
        }
        Some("api_retry") => {
            let why = word(event, "error").unwrap_or("unknown");
            let status = number(event, "error_status").map_or(String::new(), |n| format!(" {n}"));
            let of = |key| number(event, key).unwrap_or(0);
            let wait = std::time::Duration::from_millis(of("retry_delay_ms"));
            said.note(&format!(
                "a request failed ({why}{status}) and is tried again, {} of {}, in {:.1} s",
                of("attempt"),
                of("max_retries"),
                wait.as_secs_f64()
            ));
        }
        Some("permission_denied") => {
            let tool = word(event, "tool_name").unwrap_or("a tool");
            let why = word(event, "message").unwrap_or_default();
            said.note(&format!("{tool} was denied: {why}"));
        }
        Some(_) | None => {}
    }
}

/// The run goes on without them, so this is the only place where a person hears of it.
fn broken_servers(event: &Value, said: &mut Said) {
    let servers = event.get("mcp_servers").and_then(Value::as_array);
    for server in servers.into_iter().flatten() {
        if word(server, "status") == Some("failed") {
            let name = word(server, "name").unwrap_or("unknown");
            said.note(&format!("the MCP server {name} could not be started"));
        }
    }
}

fn blocks(event: &Value) -> impl Iterator<Item = &Value> {
    let content = event.pointer("/message/content").and_then(Value::as_array);
    content.into_iter().flatten()
}

fn assistant(event: &Value, margin: &str, said: &mut Said) {
    for block in blocks(event) {
        match word(block, "type") {
            Some("text") => {
                said.spoken = true;
                said.words(margin, word(block, "text").unwrap_or_default());
            }
            Some("tool_use") => {
                let name = word(block, "name").unwrap_or("tool");
                let input = block.get("input").map_or(String::new(), brief);
                said.words(margin, &format!("> {name} {input}"));
            }
            Some(_) | None => {}
        }
    }
}

/// A tool's input in one line.
fn brief(input: &Value) -> String {
    let telling = TELLING_INPUTS.iter().find_map(|key| word(input, key));
    let whole = telling.map_or_else(|| input.to_string(), str::to_owned);
    let line = text::one_line(&whole, NOTE_MAX_BYTES);
    let cut = if whole.len() > NOTE_MAX_BYTES {
        "…"
    } else {
        ""
    };
    format!("{line}{cut}")
}

fn tool_results(event: &Value, margin: &str, said: &mut Said) {
    for block in blocks(event).filter(|block| word(block, "type") == Some("tool_result")) {
        let content = block.get("content");
        let words = match content {
            Some(Value::String(words)) => words.clone(),
            Some(Value::Array(parts)) => {
                let texts = parts.iter().filter_map(|part| word(part, "text"));
                texts.collect::<Vec<_>>().join("\n")
            }
            Some(_) | None => String::new(),
        };
        let failed = block.get("is_error") == Some(&Value::Bool(true));
        let margin = format!("{margin}{}", if failed { "! " } else { "| " });
        let mut lines = words.lines().filter(|line| !line.trim().is_empty());
        for line in lines.by_ref().take(RESULT_LINES_MAX) {
            said.words(&margin, &text::one_line(line, NOTE_MAX_BYTES));
        }
        let more = lines.count();
        if more > 0 {
            said.words(&margin, &format!("… {more} more lines"));
        }
    }
}

/// A window is told of when it is used up, or nearly.
fn window(event: &Value, said: &mut Said) {
    let Some(info) = event.get("rate_limit_info") else {
        return;
    };
    let status = word(info, "status").unwrap_or("allowed");
    if status == "allowed" {
        return;
    }
    let which = word(info, "rateLimitType").unwrap_or("limit");
    let used = info.get("utilization").and_then(Value::as_f64);
    let used = used.map_or(String::new(), |used| {
        format!(", {:.0} % used", used * 100.0)
    });
    said.note(&format!("{which}: {status}{used}"));
}

fn result(event: &Value, said: &mut Said) {
    let answer = word(event, "result").unwrap_or_default();
    if event.get("is_error") == Some(&Value::Bool(false)) {
        if !said.spoken && !answer.is_empty() {
            said.words("", answer);
        }
        let turns = match number(event, "num_turns") {
            Some(1) => "1 turn".to_owned(),
            Some(turns) => format!("{turns} turns"),
            None => "turns unknown".to_owned(),
        };
        let denials = event.get("permission_denials").and_then(Value::as_array);
        let denied = match denials.map_or(0, Vec::len) {
            0 => String::new(),
            denied => format!(", {denied} tool calls denied"),
        };
        said.note(&format!("done: {turns}{denied}"));
    } else {
        let errors = event.get("errors").and_then(Value::as_array);
        let errors: Vec<&str> = errors
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let why = if answer.is_empty() {
            errors.join("; ")
        } else {
            answer.to_owned()
        };
        let why = if why.is_empty() {
            word(event, "subtype")
                .unwrap_or("without a word")
                .to_owned()
        } else {
            why
        };
        said.note(&format!("failed: {why}"));
    }
    // The next turn of the same stream has an answer of its own.
    said.spoken = false;
}

fn word<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn number(value: &Value, key: &str) -> Option<u64> {
    value.get(key).and_then(Value::as_u64)
}
