//! EDGE. The attempt's record file: lock and record in one inode.
//!
//! Invariants: only [`RecordFile::create`] makes a file, and never over another; a sector is written by one `pwrite`; a
//! record is unlinked only by who holds its lock. The lock is a `flock` of the open file: it ends with the process that
//! holds it, and no child inherits it (close-on-exec).
//!
//! **Who syncs.** The daemon creates the file without a sync. Until the worker has written and synced `started` (and the
//! directory), no agent runs, so a machine that goes down before has lost nothing that happened. All blocks are written at
//! creation (where a full disk is still no harm) and allocated by that first sync: the exit needs no new block.

mod file;
mod kind;

pub use file::{RecordError, RecordFile};
