//! EDGE. The daemon's own log: text or JSON, rotated by size, never lossy.
//!
//! An event goes through one `LogLayer` to `logs/auto_claude.log` and, where wanted, to stderr (under systemd:
//! the journal). Two threads of tracing-appender do the writing, so that a slow disk does not hold up the daemon.

mod journal;
mod layer;
mod line;
pub mod rotate;
mod setup;

pub use rotate::LOG_NAME;
pub use setup::{Guard, LogError, init, subscriber};
