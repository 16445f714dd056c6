//! EDGE. Atomic, checksummed, versioned checkpoint files: what the next attempt needs to go on.
//!
//! `tasks/<id>/checkpoints/NNNNNNNN.checkpoint`, numbered through the whole life of the task. Invariants: a file appears
//! under its name only whole and synced (written under another name, synced, renamed, directory synced); the newest
//! [`KEPT`] that can be read stay; one that cannot is set aside as `.damaged` (or passed over where that fails), and the one
//! before is used.

mod file;

pub use file::{Checkpoint, CheckpointError, Checkpoints, KEPT, Reason, next_chunk};

/// Name of the folder in a task's directory.
pub const FOLDER: &str = "checkpoints";
