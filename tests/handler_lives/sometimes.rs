//! What was met at least once: a run that never gets somewhere proves nothing about it.

use std::collections::BTreeMap;

/// Counts by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sometimes(BTreeMap<String, u64>);

impl Sometimes {
    pub(crate) fn meet(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what.clone()).or_default() += count;
        }
    }

    /// Fails with everything of `expected` that was not met.
    pub(crate) fn assert_met(&self, expected: &[&str]) {
        let missing: Vec<_> = expected
            .iter()
            .filter(|what| !self.0.contains_key(**what))
            .collect();
        assert!(missing.is_empty(), "never met: {missing:?}\n{self}");
    }
}

impl std::fmt::Display for Sometimes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (what, count) in &self.0 {
            writeln!(f, "{count:>8}  {what}")?;
        }
        Ok(())
    }
}

/// What the lives of the fixed seeds must have met. Left out are events that nothing enters yet (holds, screening, answers,
/// acceptance tests).
pub(crate) const MET: [&str; 71] = [
    // events
    "submit",
    "claim",
    "start",
    "intend",
    "never ran",
    "complete",
    "fail",
    "retry",
    "limit",
    "end paused",
    "end cancelled",
    "to review",
    "pause",
    "drop reason",
    "resume to pending",
    "resume to retrying",
    "resume to waiting_unban",
    "cancel",
    "dependency failed",
    "edit",
    "approve",
    "reject",
    "reopen",
    // states
    "pending",
    "processing",
    "paused",
    "waiting_unban",
    "retrying",
    "needs_human_review",
    "completed",
    "failed",
    "cancelled",
    // answers
    "known key",
    "dry run",
    "Done",
    "Stopping",
    "Already",
    "stop all",
    "clean-up",
    "refused: NotFound",
    "refused: KeyConflict",
    "refused: IllegalTransition",
    "refused: BadRequest",
    "refused: QueueFull",
    "refused: DiskLow",
    // ends
    "Succeeded",
    "Exited",
    "Signaled",
    "OutOfMemory",
    "TimedOut",
    "Idle",
    "Interrupted",
    "SpawnFailed",
    "NeverRan",
    "Limited",
    "Lost",
    // what a person is told
    "attention: launch_failed",
    "over: launch_failed",
    "attention: restart_intensity",
    "over: restart_intensity",
    "attention: tree_stuck",
    "over: tree_stuck",
    // faults
    "Commits",
    "Lost transaction",
    "DiesBefore",
    "DiesAfter",
    "reboot",
    "taken back",
    "refused as busy",
    "late report",
    "clock set back",
];
