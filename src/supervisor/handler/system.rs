//! Wishes about the whole system.

use super::{Handler, META_CLAIMS_STOPPED, Step, StepError, act};
use crate::supervisor::command::{Refusal, RefusalCode, Reply};
use crate::supervisor::event::Effect;
use crate::task::{Actor, IntentKind, Timestamp};

/// Between SIGTERM and SIGKILL when everything is to stop at once.
const STOP_ALL_GRACE_MS: u64 = 2_000;
/// Tasks removed in one transaction: larger sweeps are asked for again by the caller, so that others get their turn.
pub const CLEANUP_CHUNK: u32 = 1_000;

impl Handler {
    pub(super) fn set_claims(
        &mut self,
        step: &mut Step<'_>,
        enabled: bool,
    ) -> Result<Reply, StepError> {
        step.tx
            .set_meta(META_CLAIMS_STOPPED, (!enabled).then_some("1"))?;
        self.claims_stopped = !enabled;
        if enabled {
            self.restarts.clear();
            step.effects
                .push(Effect::AttentionOver("restart_intensity"));
        }
        Ok(Reply::Done)
    }

    /// Ends every running attempt and claims nothing more. The tasks are paused, not cancelled: a stop in panic can be undone.
    pub(super) fn stop_all(
        &mut self,
        step: &mut Step<'_>,
        actor: Actor,
    ) -> Result<Reply, StepError> {
        let mut count = 0;
        for task in step.tx.running()? {
            let attempt = task.attempt();
            if step.world.has_ended(&attempt) {
                continue;
            }
            act::wish(
                step,
                task,
                IntentKind::Pause,
                Some(STOP_ALL_GRACE_MS),
                actor,
            )?;
            count += 1;
        }
        // Last: what may still refuse comes before anything that is remembered outside the rows.
        self.set_claims(step, false)?;
        Ok(Reply::Count(count))
    }

    /// Removes final tasks, at most [`CLEANUP_CHUNK`] of them.
    pub(super) fn cleanup(
        step: &mut Step<'_>,
        before: Timestamp,
        dry_run: bool,
    ) -> Result<Reply, StepError> {
        if dry_run {
            return Ok(Reply::Count(step.tx.count_final(before)?));
        }
        let gone = step.tx.delete_final(before, CLEANUP_CHUNK)?;
        let count = gone.len() as u64;
        step.effects.push(Effect::RemoveFiles(gone));
        Ok(Reply::Count(count))
    }

    /// Removes tasks of every state, at most [`CLEANUP_CHUNK`] of them. The caller has made a backup.
    pub(super) fn reset(&mut self, step: &mut Step<'_>) -> Result<Reply, StepError> {
        if let Some(attempt) = self.slots.values().next() {
            let text = format!("{attempt} still runs; `taskctl system stop-all` first, then reset");
            return Err(Refusal::new(RefusalCode::IllegalTransition, text).into());
        }
        let gone = step.tx.delete_any(CLEANUP_CHUNK)?;
        step.tx.forget_notices()?;
        let count = gone.len() as u64;
        step.effects.push(Effect::RemoveFiles(gone));
        Ok(Reply::Count(count))
    }
}
