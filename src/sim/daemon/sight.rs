//! The handler's view of the simulated machine.

use crate::attempt::record::Read;
use crate::sim::attendant::Busy;
use crate::sim::bug::Bug;
use crate::sim::machine::Shared;
use crate::supervisor::handler::{ClaimRefused, World};
use crate::task::AttemptId;

/// The handler's view of the machine.
pub struct SimWorld<'a> {
    pub(super) machine: &'a Shared,
    pub(super) busy: &'a Busy,
    pub(super) bug: Option<Bug>,
}

impl World for SimWorld<'_> {
    fn is_in_place(&self) -> bool {
        true
    }

    fn has_ended(&self, attempt: &AttemptId) -> bool {
        let machine = self.machine.get();
        let record = machine.records.get(attempt);
        record.is_some_and(|record| matches!(record.now.exit, Read::Value(_)))
    }

    fn disk_free_bytes(&self) -> Option<u64> {
        let is_low = self.machine.get().disk_low;
        Some(if is_low { 1 } else { u64::MAX })
    }

    /// As the real one: a record of a claim that was never committed may be made anew.
    fn create_record(&self, attempt: &AttemptId) -> Result<(), ClaimRefused> {
        let ignores = self.bug == Some(Bug::IgnoreBusy);
        let is_busy = |stray: &AttemptId| stray.task == attempt.task;
        if !ignores && self.busy.borrow().iter().any(is_busy) {
            return Err(ClaimRefused::Busy);
        }
        let mut machine = self.machine.get();
        if self.bug == Some(Bug::RecordAfterClaim) {
            machine.truths.at(attempt);
            return Ok(());
        }
        if let Some(former) = machine.records.get(attempt) {
            let has_begun =
                former.now.started.value().is_some() || former.now.exit.value().is_some();
            if former.holder.is_some() || has_begun {
                return Err(ClaimRefused::Busy);
            }
            let is_blank = former.now.started == Read::Blank && former.now.exit == Read::Blank;
            if is_blank && former.now.header.value() == Some(&machine.header(attempt)) {
                return Ok(());
            }
            machine.records.remove(attempt);
        }
        machine.create_record(attempt).map_err(ClaimRefused::Failed)
    }
}
