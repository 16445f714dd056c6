//! The question before what cannot be taken back.

use std::io::{self, BufRead as _, Write as _};

use serde::{Deserialize, Serialize};

use crate::cli::context::Context;
use crate::cli::error::CliError;

/// The API's answer of how many tasks something concerned.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Count {
    /// So many.
    pub count: u64,
}

/// Asks on a terminal; elsewhere `--yes` is needed.
///
/// # Errors
/// The answer is not yes, or nobody can be asked.
pub fn confirm(yes: bool, question: &str, context: &Context) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    if !context.out.can_ask {
        return Err(CliError::usage(format!(
            "{question} There is no terminal to ask on: repeat it with --yes"
        )));
    }
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{question} [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| CliError::failed(format!("failed to read the answer: {error}")))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::refused("nothing was done")),
    }
}

/// `1 task`, `2 tasks`.
#[must_use]
pub fn tasks(count: u64) -> String {
    if count == 1 {
        "1 task".to_owned()
    } else {
        format!("{count} tasks")
    }
}
