//! The user's program: submits, watches and steers tasks.

use std::process::ExitCode;

fn main() -> ExitCode {
    auto_claude::cli::taskctl(std::env::args_os())
}
