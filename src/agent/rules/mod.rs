//! Agents described by a file: how they are started and resumed, and what their output means.
//!
//! `config/agents/*.toml` hold the ones we know. A file is checked whole before anything starts ([`Rules::check`]): a pattern
//! that does not compile, a place-holder that is missing or unknown, a pointer that is none.
//!
//! The same rules hold as for the built-in driver: events first; patterns only on the text of an *error*, never on what an
//! agent says; a success must be said.

mod check;
mod compiled;
mod facts;
mod file;
mod outcome;
mod pointer;
mod template;
mod voice;

pub use check::Problem;
pub(super) use facts::Facts;
pub use file::{
    ErrorRule, EventRule, FILE_MAX_BYTES, FileError, Meaning, Part, Rules, Scalar, TokenPointers,
    TotalsOf,
};
pub use template::{Ask, AskError};
pub(super) use voice::Voice;
