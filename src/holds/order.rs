//! Who goes first when an account opens: also, who is its probe.

use std::cmp::Ordering;

use crate::task::Priority;

/// A task that waits for an account, as far as its place in the queue is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its priority.
    pub priority: Priority,
    /// It ran already and was stopped by the limit.
    pub begun: bool,
    /// Order of submission.
    pub seq: i64,
}

/// `Less` when `one` goes before `other`: by priority; then what is begun before what is not, since half-done work holds
/// files, and an agent's session whose cache grows cold; then by submission. Total: only the same task is equal.
#[must_use]
pub fn goes_first(one: &Waiting, other: &Waiting) -> Ordering {
    let by_priority = other.priority.cmp(&one.priority);
    by_priority
        .then(other.begun.cmp(&one.begun))
        .then(one.seq.cmp(&other.seq))
}
