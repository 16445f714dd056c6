//! How tasks go on when an account has opened: one after the other, until one of them was served.
//!
//! The probe has shown that one request is served, not that fifty at once are. So the first may start at once and each
//! further one `release_interval_ms` after the one before, until a run that began after the opening was served.

use serde::{Deserialize, Serialize};

use super::model::same_model;
use super::policy::{Policy, plus};
use crate::task::Timestamp;

/// An account that has just opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Only runs of this model are kept apart; `None` = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// When it opened.
    pub since: Timestamp,
    /// When the last run started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_start: Option<Timestamp>,
}

impl Release {
    pub(super) fn covers(&self, model: Option<&str>) -> bool {
        match (&self.model, model) {
            (Some(paced), Some(asked)) => same_model(paced, asked),
            (None, _) | (_, None) => true,
        }
    }

    /// When the next run may start, where that is later than now. A start in the future was written before the clock was
    /// set back: it keeps nobody waiting.
    pub(super) fn next_start(&self, now: Timestamp, policy: &Policy) -> Option<Timestamp> {
        let last = self.last_start.filter(|last| *last <= now)?;
        let next = plus(last, policy.release_interval_ms);
        (next > now).then_some(next)
    }

    pub(super) fn started(&mut self, now: Timestamp) {
        self.last_start = Some(now);
        // With the clock set back, no run would count as begun after the opening until it caught up.
        self.since = self.since.min(now);
    }
}
