//! Which foreground runs hold which tasks. Only in memory: after a restart the runs come back, or their tasks are paused.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::task::TaskId;

/// The holders.
#[derive(Debug, Default)]
pub struct Leases(Mutex<BTreeMap<TaskId, Holders>>);

#[derive(Debug, Default)]
struct Holders {
    count: u32,
    let_go: bool,
}

impl Leases {
    /// One more holder.
    pub fn add(&self, id: &TaskId) {
        let mut leases = self.lock();
        let holders = leases.entry(id.clone()).or_default();
        holders.count += 1;
        holders.let_go = false;
    }

    /// The run is over, or lets its task go on without it: a holder's end means nothing any more.
    pub fn let_go(&self, id: &TaskId) {
        if let Some(holders) = self.lock().get_mut(id) {
            holders.let_go = true;
        }
    }

    /// One holder less. Whether it was the last, and nobody let the task go.
    pub fn remove(&self, id: &TaskId) -> bool {
        let mut leases = self.lock();
        let Some(holders) = leases.get_mut(id) else {
            return false;
        };
        holders.count = holders.count.saturating_sub(1);
        if holders.count > 0 {
            return false;
        }
        let abandoned = !holders.let_go;
        leases.remove(id);
        abandoned
    }

    /// Whether somebody holds it.
    #[must_use]
    pub fn is_held(&self, id: &TaskId) -> bool {
        self.lock().contains_key(id)
    }

    /// A whole value at any time: a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskId, Holders>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
