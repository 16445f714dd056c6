//! What `init`, `check` and `restore` answer: lines for a person, one object for a program.

use super::error::ExitError;
use crate::cli::output::Output;
use crate::cli::{CliError, output::say};

/// An answer in both forms.
#[derive(Debug)]
pub struct Answer {
    /// For a person.
    pub lines: Vec<String>,
    /// For `--json`: an object. Fields are added, never renamed or removed.
    pub json: serde_json::Value,
}

impl Answer {
    /// Prints the form that was asked for.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn print(&self, out: &Output) -> Result<(), CliError> {
        if out.json {
            return out.line(&self.json.to_string());
        }
        self.lines.iter().try_for_each(|line| out.line(line))
    }
}

/// Says why a command failed: a sentence, or for `--json` one line.
pub fn say_failure(error: &ExitError, json: bool) {
    if json {
        let body = serde_json::json!({"error": {"code": error.name(), "message": error.message}});
        say(&body.to_string());
    } else {
        say(&format!("auto-claude: {error}"));
    }
}
