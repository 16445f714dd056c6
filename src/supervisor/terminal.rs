//! The one program that a client starts by itself: an agent's own login, which needs the person's terminal.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Hands this process's terminal to a program until it ends; its exit code, or 128 and its signal's number. `set` is added
/// to the environment.
///
/// # Errors
/// When it cannot be started.
pub fn hand_to(program: &Path, args: &[String], set: &BTreeMap<String, String>) -> io::Result<i32> {
    crate::process::hand_terminal_to(program, args, set)
}
