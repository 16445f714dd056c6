//! One raw value against one setting: either the checked value, or each thing that is wrong with it.
//!
//! Invariant: total over every input; whatever comes out `Ok` is inside the setting's range.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::keys::{Kind, MAX_LIST_ITEMS, MAX_MACHINE_NAME_BYTES, MAX_TEXT_BYTES};
use super::problem::shown;
use super::settings::QuietHours;
use super::value::{SQLITE_SCHEME, Value};

/// A value as a source gave it, before anything is known about it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Raw {
    /// A whole number; `None` when it does not fit 128 bits.
    Int(Option<i128>, String),
    /// A number with a fraction, or an infinite one.
    Float(f64, String),
    /// A truth value.
    Bool(bool),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Raw>),
    /// Something no setting takes: a date, a table.
    Other(&'static str),
}

impl Raw {
    /// The value for a message.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Int(_, text) | Self::Float(_, text) => shown(text).trim_matches('"').to_owned(),
            Self::Bool(flag) => flag.to_string(),
            Self::Text(text) => shown(text),
            Self::List(items) if items.is_empty() => "[]".to_owned(),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Other(what) => (*what).to_owned(),
        }
    }
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// `[3]` when the fourth element of a list is meant, else empty.
    pub(super) suffix: String,
    /// The value, shortened.
    pub(super) value: String,
    /// What is allowed, after "must be".
    pub(super) allowed: String,
}

/// The text of an environment variable as the raw value a file would have given.
pub(super) fn from_env_text(kind: &Kind, text: &str) -> Raw {
    let trimmed = text.trim();
    match kind {
        Kind::Int { .. } | Kind::Float { .. } => {
            let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
            if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                Raw::Int(trimmed.parse().ok(), trimmed.to_owned())
            } else {
                trimmed.parse().map_or_else(
                    |_| Raw::Text(text.to_owned()),
                    |number| Raw::Float(number, trimmed.to_owned()),
                )
            }
        }
        Kind::Bool => match trimmed.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Raw::Bool(true),
            "false" | "0" | "no" | "off" => Raw::Bool(false),
            _ => Raw::Text(text.to_owned()),
        },
        Kind::Choice(_)
        | Kind::MachineName
        | Kind::Program
        | Kind::TimeZone
        | Kind::DatabaseUrl
        | Kind::DaySpans
        | Kind::Line
        | Kind::Texts
        | Kind::Patterns
        | Kind::Budget
        | Kind::Budgets(_) => Raw::Text(trimmed.to_owned()),
    }
}

/// Checks `raw` as a value of `kind`.
pub(super) fn check(kind: &Kind, raw: &Raw) -> Result<Value, Vec<Fault>> {
    let text = if let Raw::Text(text) = raw {
        Some(text.as_str())
    } else {
        None
    };
    let because = |why: String| format!("{}: {why}", kind.allowed());
    // What is allowed is the second half of each row.
    let checked = match kind {
        Kind::Int { min, max } => int(raw)
            .filter(|number| number >= min && number <= max)
            .map(Value::Int)
            .ok_or_else(|| kind.allowed()),
        Kind::Float { min, max } => float(raw)
            .filter(|number| number >= min && number <= max)
            .map(Value::Float)
            .ok_or_else(|| kind.allowed()),
        Kind::Bool => {
            if let Raw::Bool(flag) = raw {
                Ok(Value::Bool(*flag))
            } else {
                Err(kind.allowed())
            }
        }
        Kind::DaySpans | Kind::Texts | Kind::Patterns => return list(kind, raw),
        Kind::Budget => return super::budgets::budget(kind, raw),
        Kind::Budgets(of) => return super::budgets::budgets(kind, *of, raw),
        Kind::DatabaseUrl => return text.map_or_else(|| Err(whole(kind, raw)), database_url),
        Kind::Choice(words) => text
            .and_then(|text| choice(words, text))
            .map(Value::Text)
            .ok_or_else(|| kind.allowed()),
        Kind::Line => text
            .filter(|text| text.len() <= MAX_TEXT_BYTES && !text.contains(char::is_control))
            .map(|text| Value::Text(text.to_owned()))
            .ok_or_else(|| kind.allowed()),
        Kind::MachineName => text
            .filter(|text| text.is_empty() || is_machine_name(text))
            .map(|text| Value::Text(text.to_owned()))
            .ok_or_else(|| kind.allowed()),
        Kind::Program => text
            .ok_or_else(|| kind.allowed())
            .and_then(|text| program(text).map_err(because))
            .map(Value::Text),
        Kind::TimeZone => text
            .ok_or_else(|| kind.allowed())
            .and_then(|text| time_zone(text).map_err(because))
            .map(Value::Text),
    };
    checked.map_err(|allowed| {
        vec![Fault {
            suffix: String::new(),
            value: raw.shown(),
            allowed,
        }]
    })
}

/// The fault of a value whose very shape is wrong.
pub(super) fn whole(kind: &Kind, raw: &Raw) -> Vec<Fault> {
    vec![Fault {
        suffix: String::new(),
        value: raw.shown(),
        allowed: kind.allowed(),
    }]
}

fn int(raw: &Raw) -> Option<u64> {
    if let Raw::Int(number, _) = raw {
        number.and_then(|number| u64::try_from(number).ok())
    } else {
        None
    }
}

fn float(raw: &Raw) -> Option<f64> {
    match raw {
        // The numbers that lose digits here are outside every range.
        Raw::Int(number, _) => number.map(|number| number as f64),
        // A NaN is in no range, an infinite number in none of ours.
        Raw::Float(number, _) => Some(*number),
        Raw::Bool(_) | Raw::Text(_) | Raw::List(_) | Raw::Other(_) => None,
    }
}

fn list(kind: &Kind, raw: &Raw) -> Result<Value, Vec<Fault>> {
    let Raw::List(items) = raw else {
        return Err(whole(kind, raw));
    };
    if items.len() > MAX_LIST_ITEMS {
        return Err(whole(kind, raw));
    }
    let (mut texts, mut faults) = (Vec::new(), Vec::new());
    for (index, item) in items.iter().enumerate() {
        let text = if let Raw::Text(text) = item {
            Some(text)
        } else {
            None
        };
        let (checked, allowed) = if *kind == Kind::DaySpans {
            let span = text.and_then(|text| text.parse::<QuietHours>().ok());
            (
                span.map(|span| span.to_string()),
                "`HH:MM-HH:MM` with different ends, as in \"22:00-06:30\"".to_owned(),
            )
        } else {
            let plain = text.filter(|text| is_plain_text(text));
            let fault = plain
                .filter(|_| *kind == Kind::Patterns)
                .and_then(|text| pattern_fault(text));
            match fault {
                Some(why) => (None, format!("a regular expression: {why}")),
                None => (
                    plain.cloned(),
                    format!("a text of 1 to {MAX_TEXT_BYTES} bytes without control characters"),
                ),
            }
        };
        match checked {
            Some(text) => texts.push(text),
            None => faults.push(Fault {
                suffix: format!("[{index}]"),
                value: item.shown(),
                allowed,
            }),
        }
    }
    if faults.is_empty() {
        Ok(Value::List(texts))
    } else {
        Err(faults)
    }
}

/// Why `text` is no regular expression; `None` when it is one. Only read, never run here: the parser's nesting limit
/// keeps a hostile one cheap.
fn pattern_fault(text: &str) -> Option<String> {
    match regex_syntax::parse(text) {
        Ok(_) => None,
        Err(regex_syntax::Error::Parse(error)) => Some(format!(
            "{} at character {}",
            error.kind(),
            error.span().start.column
        )),
        Err(regex_syntax::Error::Translate(error)) => Some(format!(
            "{} at character {}",
            error.kind(),
            error.span().start.column
        )),
        // The library may learn new kinds of errors.
        Err(error) => Some(
            error
                .to_string()
                .lines()
                .last()
                .unwrap_or_default()
                .to_owned(),
        ),
    }
}

fn choice(words: &[&str], text: &str) -> Option<String> {
    words
        .iter()
        .find(|word| word.eq_ignore_ascii_case(text))
        .map(|word| (*word).to_owned())
}

fn is_plain_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT_BYTES && !text.contains(char::is_control)
}

/// Whether `text` may be a machine's name.
pub(super) fn is_machine_name(text: &str) -> bool {
    (1..=MAX_MACHINE_NAME_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// A path that can be written to a file and given to the system.
fn is_absolute_path(text: &str) -> bool {
    text.starts_with('/') && text.len() < MAX_TEXT_BYTES && !text.contains(char::is_control)
}

fn program(text: &str) -> Result<String, String> {
    if !is_absolute_path(text) {
        return Err("it is not an absolute path".to_owned());
    }
    if is_executable(Path::new(text))? {
        Ok(text.to_owned())
    } else {
        Err("no file with the right to execute is there".to_owned())
    }
}

/// Whether a regular file with an execute bit is at `path`.
pub(super) fn is_executable(path: &Path) -> Result<bool, String> {
    const ANY_EXECUTE: u32 = 0o111;
    let found = std::fs::metadata(path).map_err(|error| error.to_string())?;
    Ok(found.is_file() && found.permissions().mode() & ANY_EXECUTE != 0)
}

fn time_zone(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    if !is_plain_text(text) {
        return Err("it has control characters or is too long".to_owned());
    }
    jiff::tz::TimeZone::get(text)
        .map(|_| text.to_owned())
        .map_err(|_| "the system's time zone database has no such name".to_owned())
}

/// The address of a database with exactly one slash before its path.
fn database_url(text: &str) -> Result<Value, Vec<Fault>> {
    const ALLOWED: &str =
        "`sqlite:///` and an absolute path, as in sqlite:///var/lib/auto-claude/auto-claude.db";
    let refuse = |value: String, why: &str| {
        Err(vec![Fault {
            suffix: String::new(),
            value,
            allowed: format!("{ALLOWED}{why}"),
        }])
    };
    if text.is_empty() {
        return Ok(Value::Text(String::new()));
    }
    let Some(path) = text.strip_prefix(SQLITE_SCHEME) else {
        // The address of a server may carry a password: only its scheme is shown.
        let scheme = text
            .split_once("://")
            .map_or("an address without a scheme", |(scheme, _)| scheme);
        let later = if scheme.starts_with("postgres") {
            "; `postgresql://` is planned, not built yet"
        } else {
            ""
        };
        return refuse(shown(scheme), later);
    };
    if path.contains(['?', '#', '%']) {
        return refuse(
            shown(text),
            "; the path is taken as it is: no options, no %-escapes",
        );
    }
    // Four slashes are how others write an absolute path: the same file.
    let absolute = format!("/{}", path.trim_start_matches('/'));
    if !path.starts_with('/') || absolute.ends_with('/') || !is_absolute_path(&absolute) {
        return refuse(shown(text), "");
    }
    Ok(Value::Text(format!("{SQLITE_SCHEME}{absolute}")))
}
