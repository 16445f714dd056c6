//! One value of a setting, as the table of settings handles it: read, compared, printed.
//!
//! Invariant: [`Value::to_toml`] gives text that reads back as the same value.

use std::path::PathBuf;

use super::settings::{NamedBudget, QuietHours};
use crate::budget::{self, Budget};

/// The value of one setting, in the shape it has in the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number; no setting is negative.
    Int(u64),
    /// A finite decimal number.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// Text: names, paths, levels, addresses.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
}

impl Value {
    /// The value as it is written in the file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        match self {
            Self::Int(number) => number.to_string(),
            Self::Float(number) => toml::Value::Float(*number).to_string(),
            Self::Bool(flag) => flag.to_string(),
            Self::Text(text) => quoted(text),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }

    /// The value as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Int(number) => (*number).into(),
            Self::Float(number) => (*number).into(),
            Self::Bool(flag) => (*flag).into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(items) => items.as_slice().into(),
        }
    }
}

/// A TOML string on one line. (The crate's own printer would spread text with line breaks over several lines.)
fn quoted(text: &str) -> String {
    if text.contains(['\n', '\r']) {
        // JSON's escapes are a subset of TOML's, but for `\/`, which serde_json does not write.
        return serde_json::Value::from(text).to_string();
    }
    toml::Value::String(text.to_owned()).to_string()
}

/// A field of [`super::Settings`]: how it becomes a [`Value`] and back.
pub(super) trait Field: Sized {
    /// The field as a value.
    fn to_value(&self) -> Value;
    /// The field from a checked value; `None` when the shape is another one.
    fn from_value(value: &Value) -> Option<Self>;
}

impl Field for u64 {
    fn to_value(&self) -> Value {
        Value::Int(*self)
    }
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Int(number) = value {
            Some(*number)
        } else {
            None
        }
    }
}

impl Field for u32 {
    fn to_value(&self) -> Value {
        Value::Int(u64::from(*self))
    }
    fn from_value(value: &Value) -> Option<Self> {
        u64::from_value(value).and_then(|number| Self::try_from(number).ok())
    }
}

impl Field for f64 {
    fn to_value(&self) -> Value {
        Value::Float(*self)
    }
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Float(number) = value {
            Some(*number)
        } else {
            None
        }
    }
}

impl Field for bool {
    fn to_value(&self) -> Value {
        Value::Bool(*self)
    }
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Bool(flag) = value {
            Some(*flag)
        } else {
            None
        }
    }
}

impl Field for String {
    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Text(text) = value {
            Some(text.clone())
        } else {
            None
        }
    }
}

impl Field for PathBuf {
    fn to_value(&self) -> Value {
        // Lossless: the settings only take paths from UTF-8 text.
        Value::Text(self.to_string_lossy().into_owned())
    }
    fn from_value(value: &Value) -> Option<Self> {
        String::from_value(value).map(Self::from)
    }
}

/// The database's place: an address in the file, a path in the settings; empty text is "the default place".
impl Field for Option<PathBuf> {
    fn to_value(&self) -> Value {
        Value::Text(self.as_ref().map_or_else(String::new, |path| {
            format!("{SQLITE_SCHEME}{}", path.display())
        }))
    }
    fn from_value(value: &Value) -> Option<Self> {
        let text = String::from_value(value)?;
        if text.is_empty() {
            return Some(None);
        }
        text.strip_prefix(SQLITE_SCHEME)
            .map(|path| Some(PathBuf::from(path)))
    }
}

/// What a database address starts with; the absolute path follows.
pub(super) const SQLITE_SCHEME: &str = "sqlite://";

impl Field for Vec<String> {
    fn to_value(&self) -> Value {
        Value::List(self.clone())
    }
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::List(items) = value {
            Some(items.clone())
        } else {
            None
        }
    }
}

/// No budget is an empty text.
impl Field for Budget {
    fn to_value(&self) -> Value {
        Value::Text(if self.is_none() {
            String::new()
        } else {
            self.to_string()
        })
    }
    fn from_value(value: &Value) -> Option<Self> {
        let text = String::from_value(value)?;
        if text.is_empty() {
            return Some(Self::NONE);
        }
        budget::parse(&text).ok()
    }
}

impl Field for Vec<NamedBudget> {
    fn to_value(&self) -> Value {
        let entry = |entry: &NamedBudget| format!("{} = {}", entry.name, entry.budget);
        Value::List(self.iter().map(entry).collect())
    }
    fn from_value(value: &Value) -> Option<Self> {
        let entry = |text: &String| {
            let (name, budget) = budget::parse_entry(text).ok()?;
            Some(NamedBudget { name, budget })
        };
        Vec::<String>::from_value(value)?
            .iter()
            .map(entry)
            .collect()
    }
}

impl Field for Vec<QuietHours> {
    fn to_value(&self) -> Value {
        Value::List(self.iter().map(ToString::to_string).collect())
    }
    fn from_value(value: &Value) -> Option<Self> {
        Vec::<String>::from_value(value)?
            .iter()
            .map(|span| span.parse().ok())
            .collect()
    }
}
