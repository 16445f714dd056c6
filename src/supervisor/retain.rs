//! Removes tasks that ended long ago: when a person asks, and every hour for `keep_days`.

use std::time::Duration;

use super::clock;
use super::command::{Command, Refusal, RefusalCode, Reply};
use super::handle::Handle;

const MS_PER_DAY: i64 = 24 * 3_600 * 1_000;
/// How often `keep_days` is looked after.
const EVERY: Duration = Duration::from_secs(3_600);

impl Handle {
    /// Removes tasks that ended more than `days` days ago, with their files; with `dry_run` only counts them. In chunks:
    /// other commits get their turn between two of them.
    ///
    /// # Errors
    /// The supervisor's refusal; what was removed before it stays removed.
    pub async fn remove_finished(&self, days: u32, dry_run: bool) -> Result<u64, Refusal> {
        let before = clock::now().plus_ms(-i64::from(days) * MS_PER_DAY);
        let mut total = 0;
        loop {
            match self.command(Command::Cleanup { before, dry_run }).await? {
                Reply::Count(0) => return Ok(total),
                Reply::Count(some) if dry_run => return Ok(some),
                Reply::Count(some) => total += some,
                Reply::Submitted { .. } | Reply::Acted { .. } | Reply::Done => {
                    return Err(Refusal::new(
                        RefusalCode::Internal,
                        "the supervisor answered something else",
                    ));
                }
            }
        }
    }
}

/// Keeps to the setting `keep_days`: at the start, then every hour, with the value then in force.
pub async fn keep_days(handle: Handle) {
    let mut hours = tokio::time::interval(EVERY);
    hours.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        hours.tick().await;
        let days = handle.settings().keep_days;
        if days == 0 {
            continue;
        }
        match handle.remove_finished(days, false).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, keep_days = days, "old tasks removed"),
            // Leaving, or a disk that fails: the next hour, or the next daemon, tries again.
            Err(refusal) => tracing::warn!(%refusal, "old tasks were not removed"),
        }
    }
}
