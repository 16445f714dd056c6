//! The programs that a client starts by itself, because they need the person's terminal: an agent's own login, and an agent
//! in a person's hands.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

pub use crate::process::{InTerminal, in_terminal, terminate};

/// Hands this process's terminal to a program until it ends; its exit code, or 128 and its signal's number. `set` is added
/// to the environment.
///
/// # Errors
/// When it cannot be started.
pub fn hand_to(program: &Path, args: &[String], set: &BTreeMap<String, String>) -> io::Result<i32> {
    crate::process::hand_terminal_to(program, args, set)
}
