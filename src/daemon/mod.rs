//! EDGE, the top floor. Wires the rooms into the program `auto-claude`: the daemon, the foreground run, and what must work
//! without a daemon.

pub mod answer;
mod detached;
pub mod error;
pub mod maintenance;
pub mod program;
pub mod run;
pub mod serve;
pub mod setup;
mod verify;

pub use error::ExitError;
pub use program::auto_claude;
