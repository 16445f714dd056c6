//! The supervisor's own program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A worker is small: it parses no command line and starts no runtime.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == "worker")
    {
        return auto_claude::worker::main();
    }
    auto_claude::daemon::auto_claude(std::env::args_os())
}
