//! EDGE. The command lines: `taskctl`'s commands and their rendering, and the definitions of `auto-claude`'s.
//!
//! Invariants: speaks only HTTP to the daemon (what must work without one is `auto-claude`'s; only `checkpoint` speaks to
//! a task's worker); decides nothing about tasks; stdout carries answers, stderr everything else; a closed stdout is no
//! failure; exit codes are the named ones of [`exit`].

mod alive;
pub mod args;
pub mod clock;
pub mod commands;
pub mod conn;
pub mod context;
pub mod daemon_args;
pub mod docs;
pub mod duration;
pub mod entry;
pub mod environment;
pub mod error;
pub mod exit;
pub mod files;
pub mod foreground;
mod live_output;
pub mod outgoing;
pub mod output;
pub mod render;
pub mod route;
pub mod run_words;
mod signals;
pub mod values;
pub mod when;

pub use conn::Daemon;
pub use entry::taskctl;
pub use error::CliError;
pub use foreground::{RunOptions, run_foreground, submit_detached};
pub use run_words::Words;
