//! What was asked and what was served for it.

use serde_json::Value;

use super::answer::Usage;

/// How a request showed who it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// `x-api-key`.
    Key,
    /// `authorization: Bearer`: a subscription's login.
    Token,
    /// Not at all.
    None,
}

/// One request, as it came, and what was served.
#[derive(Debug, Clone)]
pub struct Request {
    /// When its head was read, by the stand-in's clock.
    pub at_ms: i64,
    /// `POST`.
    pub method: String,
    /// With its query.
    pub path: String,
    /// How it showed who it was.
    pub auth: Auth,
    /// The account's name; `?` for a credential that nobody made.
    pub account: String,
    /// The model that was asked for.
    pub model: String,
    /// The answer was to be a stream.
    pub streaming: bool,
    /// The agent's main loop, not something it asks beside.
    pub main: bool,
    /// The agent's session.
    pub session: Option<String>,
    /// How many messages the conversation had.
    pub messages: usize,
    /// The first text that a person wrote in the conversation.
    pub first_user: String,
    /// The last text that a person wrote.
    pub last_user: String,
    /// The body holds a tool's result after the last answer.
    pub brings_result: bool,
    /// The whole body.
    pub body: Value,
    /// Names (lower case) and values.
    pub headers: Vec<(String, String)>,
    /// What it was answered with: a word, such as `text`, `tool Bash`, `429`, `limit five_hour`.
    pub answer: String,
    /// The status that was sent; 0 while none was.
    pub status: u16,
    /// Tokens that were announced to the client as far as the answer came.
    pub usage: Usage,
    /// The answer was sent to its end.
    pub complete: bool,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Reads what is of interest out of head and body.
    pub(super) fn read(
        at_ms: i64,
        method: String,
        path: String,
        headers: Vec<(String, String)>,
        body: Value,
    ) -> Self {
        let texts = user_texts(&body);
        let auth = if header(&headers, "x-api-key").is_some() {
            Auth::Key
        } else if header(&headers, "authorization").is_some() {
            Auth::Token
        } else {
            Auth::None
        };
        Self {
            at_ms,
            auth,
            account: "?".to_owned(),
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            streaming: body["stream"] == true,
            main: path.starts_with("/v1/messages")
                && !path.starts_with("/v1/messages/")
                && body["tools"]
                    .as_array()
                    .is_some_and(|tools| !tools.is_empty()),
            session: session(&headers, &body),
            messages: body["messages"].as_array().map_or(0, Vec::len),
            first_user: texts.first().cloned().unwrap_or_default(),
            last_user: texts.last().cloned().unwrap_or_default(),
            brings_result: brings_result(&body),
            method,
            path,
            body,
            headers,
            answer: String::new(),
            status: 0,
            usage: Usage::NONE,
            complete: false,
        }
    }

    /// The credential as it was sent.
    pub(super) fn credential(&self) -> Option<&str> {
        self.header("x-api-key").or_else(|| {
            self.header("authorization")
                .map(|value| value.strip_prefix("Bearer ").unwrap_or(value))
        })
    }

    /// Whether a person's text in the conversation holds the marker.
    pub(super) fn mentions(&self, marker: &str) -> bool {
        user_texts(&self.body)
            .iter()
            .any(|text| text.contains(marker))
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

/// Texts of the user's side without what the agent adds by itself.
fn user_texts(body: &Value) -> Vec<String> {
    let mut texts = Vec::new();
    for message in body["messages"].as_array().into_iter().flatten() {
        if message["role"] != "user" {
            continue;
        }
        match &message["content"] {
            Value::String(text) => texts.push(text.clone()),
            Value::Array(blocks) => texts.extend(
                blocks
                    .iter()
                    .filter(|block| block["type"] == "text")
                    .filter_map(|block| block["text"].as_str().map(str::to_owned)),
            ),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
        }
    }
    texts.retain(|text| !text.trim_start().starts_with("<system-reminder>"));
    texts
}

/// Whether a tool's result came after the last answer of the model.
fn brings_result(body: &Value) -> bool {
    let messages = body["messages"].as_array();
    messages
        .into_iter()
        .flatten()
        .rev()
        .take_while(|message| message["role"] != "assistant")
        .flat_map(|message| message["content"].as_array().into_iter().flatten())
        .any(|block| block["type"] == "tool_result")
}

/// The agent says its session in a header, and inside `metadata.user_id`.
fn session(headers: &[(String, String)], body: &Value) -> Option<String> {
    if let Some(id) = header(headers, "x-claude-code-session-id") {
        return Some(id.to_owned());
    }
    let user = body["metadata"]["user_id"].as_str()?;
    if let Ok(inner) = serde_json::from_str::<Value>(user) {
        return inner["session_id"].as_str().map(str::to_owned);
    }
    user.split_once("_session_").map(|(_, id)| id.to_owned())
}
