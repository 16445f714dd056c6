//! One event of the stream, read leniently: any order of keys, unknown types and keys ignored, a value of an unexpected kind
//! counts as absent.
//!
//! Only the keys below are looked at. What the agent says or reads (`message.content`, `tool_use_result`) is never parsed,
//! so however large or deep it is, it costs no memory and cannot pass for anything.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::limits::LimitInfo;
use super::usage::ModelUsage;
use crate::agent::text::{self, TEXT_MAX_BYTES};
use crate::task::Tokens;

type Raw<'a> = Option<&'a RawValue>;

/// The keys of all types of event that we know.
#[derive(Deserialize)]
struct Keys<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow, default)]
    subtype: Raw<'a>,
    #[serde(borrow, default)]
    session_id: Raw<'a>,
    #[serde(borrow, default)]
    model: Raw<'a>,
    #[serde(borrow, default)]
    claude_code_version: Raw<'a>,
    #[serde(borrow, default)]
    error_status: Raw<'a>,
    #[serde(borrow, default)]
    tool_name: Raw<'a>,
    #[serde(borrow, default)]
    rate_limit_info: Raw<'a>,
    #[serde(borrow, default)]
    message: Raw<'a>,
    #[serde(borrow, default)]
    parent_tool_use_id: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
    #[serde(borrow, default)]
    api_error: Raw<'a>,
    #[serde(borrow, default)]
    api_error_status: Raw<'a>,
    #[serde(borrow, default)]
    api_error_params: Raw<'a>,
    #[serde(borrow, default)]
    is_error: Raw<'a>,
    #[serde(borrow, default)]
    terminal_reason: Raw<'a>,
    #[serde(borrow, default)]
    stop_reason: Raw<'a>,
    #[serde(borrow, default)]
    num_turns: Raw<'a>,
    #[serde(borrow, default)]
    total_cost_usd: Raw<'a>,
    #[serde(borrow, default, rename = "modelUsage")]
    model_usage: Raw<'a>,
    #[serde(borrow, default)]
    model_usage_since_last_result: Raw<'a>,
    #[serde(borrow, default)]
    permission_denials: Raw<'a>,
    #[serde(borrow, default)]
    result: Raw<'a>,
    #[serde(borrow, default)]
    errors: Raw<'a>,
}

/// The keys of a message that say who wrote it; its content is not among them.
#[derive(Deserialize)]
struct MessageKeys<'a> {
    #[serde(borrow, default)]
    id: Raw<'a>,
    #[serde(borrow, default)]
    model: Raw<'a>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
    /// Only its length is looked at.
    #[serde(borrow, default)]
    content: Raw<'a>,
}

/// The tokens of one answer, as a block of it tells them: what was read is final, what was written is not.
#[derive(Deserialize)]
struct UsageKeys {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
}

/// So many bytes of JSON are about one token that the model has written.
const BYTES_PER_TOKEN: u64 = 4;

/// The parameters of an error that hold a limit.
#[derive(Deserialize)]
struct ErrorParams {
    #[serde(default)]
    rate_limit_info: Option<Box<RawValue>>,
}

/// What an event says, as far as it concerns us.
#[derive(Debug)]
pub(super) enum Event {
    /// The start of a turn.
    Init {
        session: Option<String>,
        model: Option<String>,
        version: Option<String>,
    },
    /// The program tries a request again.
    Retry { status: Option<u64> },
    /// A tool call was denied.
    Denied,
    /// The state of the account's windows.
    Windows(LimitInfo),
    /// The model has said something, or called a tool.
    Turn {
        message: Option<String>,
        session: Option<String>,
        /// Whose tokens, and how many this block and what was read for it are, about.
        tokens: Option<(String, Tokens)>,
    },
    /// A tool that the model has called has given its result.
    ToolEnded,
    /// The program, not the model, says that a request failed.
    Failure(ApiError),
    /// The end of a turn.
    Result(Box<ResultEvent>),
    /// Anything else.
    Other,
}

/// What the program says about a failed request.
#[derive(Debug, Clone, Default)]
pub(super) struct ApiError {
    /// Its coarse kind: `rate_limit`, `authentication_failed`, `server_error`.
    pub(super) error: Option<String>,
    /// Its fine kind: `usage_limit_reached`, `connection_failed`.
    pub(super) api_error: Option<String>,
    /// The HTTP status.
    pub(super) status: Option<u64>,
    /// The limit that was hit.
    pub(super) limit: Option<LimitInfo>,
}

/// A result.
#[derive(Debug, Default)]
pub(super) struct ResultEvent {
    pub(super) subtype: Option<String>,
    pub(super) session: Option<String>,
    /// `None` when it does not say: then it is no success.
    pub(super) is_error: Option<bool>,
    pub(super) terminal_reason: Option<String>,
    pub(super) stop_reason: Option<String>,
    pub(super) api_error: Option<String>,
    pub(super) status: Option<u64>,
    pub(super) turns: Option<u32>,
    pub(super) denials: u32,
    /// Of an error: what the program says about it. Of a success: nothing, since those are the agent's own words.
    pub(super) text: String,
    /// The whole session's cost, or this process's: depends on the version.
    pub(super) total_micro_usd: Option<u64>,
    /// Usage that belongs to `total_micro_usd`.
    pub(super) total: Option<ModelUsage>,
    /// Usage of this run since its last result.
    pub(super) increment: Option<ModelUsage>,
}

/// Reads one event.
pub(super) fn parse(object: &RawValue) -> Event {
    let Ok(keys) = serde_json::from_str::<Keys<'_>>(object.get()) else {
        return Event::Other;
    };
    match (word(keys.kind).as_deref(), word(keys.subtype).as_deref()) {
        (Some("system"), Some("init")) => Event::Init {
            session: word(keys.session_id),
            model: word(keys.model),
            version: word(keys.claude_code_version),
        },
        (Some("system"), Some("api_retry")) => Event::Retry {
            status: value(keys.error_status),
        },
        (Some("system"), Some("permission_denied")) if word(keys.tool_name).is_some() => {
            Event::Denied
        }
        (Some("rate_limit_event"), _) => keys
            .rate_limit_info
            .map_or(Event::Other, |info| Event::Windows(LimitInfo::parse(info))),
        (Some("assistant"), _) => assistant(&keys),
        (Some("user"), _) if word(keys.parent_tool_use_id).is_none() => Event::ToolEnded,
        (Some("result"), subtype) => Event::Result(Box::new(result(&keys, subtype))),
        _ => Event::Other,
    }
}

/// An `assistant` event is the model's, or a stand-in by which the program reports a failed request. Those of a subagent
/// are neither a turn of ours nor the run's failure.
fn assistant(keys: &Keys<'_>) -> Event {
    if word(keys.parent_tool_use_id).is_some() {
        return Event::Other;
    }
    let message = keys
        .message
        .and_then(|message| serde_json::from_str::<MessageKeys<'_>>(message.get()).ok());
    let (id, model, tokens) = message.map_or((None, None, None), |message| {
        (word(message.id), word(message.model), tokens(&message))
    });
    let error = word(keys.error);
    if error.is_some() {
        return Event::Failure(ApiError {
            error,
            api_error: word(keys.api_error),
            status: value(keys.api_error_status),
            limit: limit(keys),
        });
    }
    // Without a model's name it is nobody's turn.
    let Some(model) = model.filter(|model| model != "<synthetic>") else {
        return Event::Other;
    };
    Event::Turn {
        message: id,
        session: word(keys.session_id),
        tokens: tokens.map(|tokens| (model, tokens)),
    }
}

/// What an answer has used so far, about: the program tells what was read, but of what was written only the beginning.
fn tokens(message: &MessageKeys<'_>) -> Option<Tokens> {
    let usage: UsageKeys = value(message.usage)?;
    let written = message
        .content
        .map_or(0, |content| content.get().len() as u64 / BYTES_PER_TOKEN);
    let count = |said: Option<u64>| said.map_or(0, crate::agent::money::tokens);
    Some(Tokens {
        input: count(usage.input_tokens),
        output: count(usage.output_tokens).max(written),
        cache_read: count(usage.cache_read_input_tokens),
        cache_write: count(usage.cache_creation_input_tokens),
    })
}

fn limit(keys: &Keys<'_>) -> Option<LimitInfo> {
    let params: ErrorParams = value(keys.api_error_params)?;
    params.rate_limit_info.map(|info| LimitInfo::parse(&info))
}

fn result(keys: &Keys<'_>, subtype: Option<&str>) -> ResultEvent {
    let is_error = value(keys.is_error);
    let text = if is_error == Some(false) {
        String::new()
    } else {
        error_text(keys)
    };
    ResultEvent {
        subtype: subtype.map(str::to_owned),
        session: word(keys.session_id),
        is_error,
        terminal_reason: word(keys.terminal_reason),
        stop_reason: word(keys.stop_reason),
        api_error: word(keys.api_error),
        status: value(keys.api_error_status),
        turns: value::<u64>(keys.num_turns).map(|turns| u32::try_from(turns).unwrap_or(u32::MAX)),
        denials: value::<Length>(keys.permission_denials).map_or(0, |length| length.0),
        text,
        total_micro_usd: keys.total_cost_usd.and_then(crate::agent::money::micro_usd),
        total: value(keys.model_usage),
        increment: value(keys.model_usage_since_last_result),
    }
}

fn error_text(keys: &Keys<'_>) -> String {
    let text = long_word(keys.result).filter(|text| !text.is_empty());
    text.or_else(|| value::<Texts>(keys.errors).map(|texts| texts.0))
        .unwrap_or_default()
}

/// A value of the expected kind, or nothing.
fn value<T: DeserializeOwned>(raw: Raw<'_>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

/// A string that names something: a long one is none.
fn word(raw: Raw<'_>) -> Option<String> {
    const WORD_MAX_BYTES: usize = 512;
    let raw = raw?.get();
    if raw.len() > WORD_MAX_BYTES {
        return None;
    }
    serde_json::from_str(raw).ok()
}

/// The beginning of a string of any length.
fn long_word(raw: Raw<'_>) -> Option<String> {
    let text: Cow<'_, str> = serde_json::from_str(raw?.get()).ok()?;
    Some(text::cut(&text, TEXT_MAX_BYTES).to_owned())
}

/// How long a list is, whatever is in it.
struct Length(u32);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Elements of no size: the list costs no memory.
        let elements = Vec::<IgnoredAny>::deserialize(deserializer)?;
        Ok(Self(u32::try_from(elements.len()).unwrap_or(u32::MAX)))
    }
}

/// A list of texts, joined, as much as is looked at.
struct Texts(String);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Join;
        impl<'de> Visitor<'de> for Join {
            type Value = String;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<String, A::Error> {
                let mut joined = String::new();
                while let Some(element) = list.next_element::<&RawValue>()? {
                    if joined.len() < TEXT_MAX_BYTES
                        && let Some(text) = long_word(Some(element))
                    {
                        if !joined.is_empty() {
                            joined.push('\n');
                        }
                        joined.push_str(&text);
                    }
                }
                Ok(joined)
            }
        }
        deserializer.deserialize_seq(Join).map(Texts)
    }
}

#[cfg(test)]
mod tests;
