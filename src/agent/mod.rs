//! PURE. What agents are to us: their command lines, and what their output means.
//!
//! A **driver** knows one agent: [`claude`] is built in, every other is described by a file of [`rules`]. Both are read by
//! [`Reading`]: bytes come in as they come, facts go out as a [`crate::task::Report`], and at the end a [`Verdict`] says how
//! the run ended.
//!
//! Invariants:
//! - Knows no clock, file, process, thread or random state; the time comes in with the end of the process.
//! - Any bytes, split in any way, are read in bounded memory and give the same verdict. Bad input never panics.
//! - An agent's words decide nothing. What it says, reads or is told may imitate a limit or a result; only the events of its
//!   program count, and the text of an error only where the program itself says that it is one.
//! - A success is what the program calls a success in so many words. An exit code of 0 is none.

mod argument;
mod by_hand;
pub mod claude;
mod lines;
mod login;
mod money;
mod reading;
pub mod reset;
pub mod rules;
mod tail;
mod text;
mod transcript;
mod trouble;
mod version;

pub use argument::{ARGUMENT_MAX_BYTES, ArgumentError, is_for_input};
pub use by_hand::ByHand;
pub use lines::LINE_MAX_BYTES;
pub use login::Login;
use reading::told_to_end;
pub use reading::{Driver, ProcessEnd, Reading, Verdict};
pub use transcript::Transcript;
pub use version::{Standing, Tried, Version};
