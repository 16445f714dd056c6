//! Claude Code: its command line, its environment, its event stream, its outcomes.
//!
//! What is relied on was measured against the real program (2.1.197 and 2.1.329). In short: an exit code of 0 proves nothing
//! (an interrupted run has it too); a failed request is a `result` with `subtype: "success"` and `is_error: true`; the costs
//! in a result are totals of the whole session, only `model_usage_since_last_result` is this run's.

pub mod argv;
pub mod command_line;
pub mod env;
mod event;
mod facts;
mod flags;
pub mod installed;
mod limits;
mod line_error;
mod outcome;
mod shell_words;
mod usage;
mod voice;

pub use argv::{ArgvError, Options, PermissionMode, Resume, Start, attach_argv};
pub use command_line::{CommandLine, Reader, is_claude, read_argv, read_shell};
pub use env::{Bounds, Environment, environment};
pub(super) use facts::Facts;
pub use limits::{concerns_model, model_family};
pub use line_error::LineError;
pub(super) use voice::say;
