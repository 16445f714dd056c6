//! EDGE. The output log of a task: raw bytes in `output.log`, who wrote which bytes when in `output.idx`.
//!
//! `output.log` is what the attempts wrote, byte for byte, in order of arrival, with a line of ours (`meta`) where an
//! attempt begins and where something is missing: a person can read it without us. `output.idx` holds one entry of 32
//! bytes per run of bytes of one stream (see [`Entry`]).
//!
//! Invariants:
//! - The log is written before its entry, and an entry lies at a multiple of 32: after a crash the log is at worst longer
//!   than the index knows (those bytes are of stream [`Stream::Unknown`]), and the index has at worst a torn last entry.
//! - A failed write never reaches the agent or the end of the attempt: lost bytes are counted and the log says so.
//! - Nothing is synced: output survives the death of daemon and worker, not a power loss.
//! - Memory does not grow with the output.

mod entry;
mod last_lines;
mod piece;
mod reader;
mod segments;
mod tail;
mod text;
mod writer;

pub use entry::{ENTRY_BYTES, Entry, Stream};
pub use piece::{AttemptSpan, Filter, Page, Piece, Segment, text_of};
pub use reader::Reader;
pub use text::TextDecoder;
pub use writer::{TAIL_BYTES, Writer};

/// Name of the log in a task's directory.
pub const LOG_NAME: &str = "output.log";
/// Name of the index in a task's directory.
pub const INDEX_NAME: &str = "output.idx";
