//! What becomes of a command line of an agent that a user wrote, in words for that user.

use super::wire::CommandText;
use crate::agent::claude::{Reader, command_line};

/// What happens to a command line of Claude Code: what is added so that its output can be read, or why it is a plain command.
/// What is wrong with it is the daemon's to say.
#[must_use]
pub fn how_it_is_driven(command: &CommandText) -> Option<String> {
    let read = match command {
        CommandText::Line(line) => command_line::read_shell(line),
        CommandText::Argv(argv) => command_line::read_argv(argv),
    };
    match read.ok()? {
        Reader::Driven(line) if line.added.is_empty() => None,
        Reader::Driven(line) => {
            let left_out = if line.left_out.is_empty() {
                String::new()
            } else {
                format!("; left out: {}", line.left_out.join(", "))
            };
            Some(format!(
                "runs as an agent, as with --prompt; added: {}{left_out}",
                line.added.join(", ")
            ))
        }
        Reader::Plain { why } => Some(format!(
            "runs as a plain command, its limits and costs are not seen: {why}"
        )),
        Reader::Other => None,
    }
}
