//! Routes with a user's words in them: checked or encoded here, so that no text of a user becomes part of a path.

use crate::task::TaskId;

use super::error::CliError;

/// The route of a task: its id is checked here, so that no text of a user becomes part of a path.
///
/// # Errors
/// Not an id nor a prefix of one.
pub fn task_route(id: &str, rest: &str) -> Result<String, CliError> {
    let id = TaskId::parse_prefix(id).map_err(|error| CliError::usage(error.to_string()))?;
    Ok(if rest.is_empty() {
        format!("/tasks/{id}")
    } else {
        format!("/tasks/{id}/{rest}")
    })
}

/// A query string.
#[must_use]
pub fn query(pairs: &[(&str, String)]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                // Writing into a String cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}
