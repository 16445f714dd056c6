//! EDGE. Tasks in SQLite: one synchronous core, one writer with group commit. The only room with SQL.
//!
//! Invariants:
//! - A task's row is the fold of its journal: both are written in one transaction, and only through
//!   [`Tx::submit`], [`Tx::apply`] and [`Tx::edit`].
//! - Nothing is acknowledged before [`Batch::commit`] has returned: then it survives SIGKILL and power loss.
//! - What may be claimed is known without a search: each task's *turn* (not now, waits for its time, waits for its lane,
//!   ready) is kept with every write and has an index of its own.
//! - The room knows no policy, no clock and nothing random, and starts no thread.
//! - No reader holds a snapshot between calls, so the write-ahead log stays small.
//! - While a connection is open, nothing here opens the database file by other means: closing any descriptor of it would
//!   drop SQLite's locks.
//!
//! What is promised, and by which means, is in `docs/durability.md`.

mod accounts;
mod aside;
mod batch;
mod beside;
mod budgets;
mod check;
mod copy;
mod error;
mod fold;
mod live;
mod network;
mod notices;
mod open;
mod queue;
mod reader;
mod reserve;
mod retain;
mod row;
mod schema;
mod submit;
mod tx;
mod waits;
mod wal;

#[cfg(test)]
mod tests;

pub use accounts::{AccountRow, CostBy, CostSum, LedgerRow};
pub use batch::{Batch, Store};
pub use budgets::{Ledger, Like, Reservation, Used};
pub use check::{CheckProgress, CheckReport, Problem, check};
pub use copy::{CopyProgress, backup, restore};
pub use error::{ApplyError, CopyError, OpenError, StoreError, SubmitError, in_full};
pub use open::OpenOptions;
pub use queue::PROMOTE_CHUNK;
pub use reader::{JournalRow, LIST_MAX_ROWS, ListFilter, Page, Reader, Resolved};
pub use row::{Counts, SetAside};
pub use submit::{NewTask, Submission};
pub use tx::Tx;
