//! Claims: free slots meet waiting tasks, in the same transaction as whatever freed them.

use std::collections::BTreeSet;

use super::{ClaimRefused, Handler, MS_PER_SECOND, Step, StepError};
use crate::budget::Budget;
use crate::schedule::{View, claims};
use crate::store::PROMOTE_CHUNK;
use crate::supervisor::event::{Effect, Launch};
use crate::task::{Actor, AttemptId, Event, Gate, Task, Timestamp};

/// After a record or a worker could not be made, nothing is claimed for this long: the machine is short of something.
pub(super) const LAUNCH_WAIT_MS: i64 = 5_000;
/// A clock that goes back by less was only adjusted.
const CLOCK_SLACK_MS: i64 = 1_000;

/// While something that no event tells of stands in the way of a claim, it is looked at again after this long.
const LOOK_AGAIN_MS: i64 = 5_000;

/// When to look again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wake {
    /// At this time.
    pub at: Option<Timestamp>,
    /// At once, in the next transaction: there was more to do than one transaction should take.
    pub at_once: bool,
}

impl Handler {
    /// Claims what may be claimed now. Returns when to look again by itself, if at all.
    ///
    /// # Errors
    /// When the store fails; the caller rolls back and calls [`Handler::resync`].
    pub fn claim(&mut self, step: &mut Step<'_>) -> Result<Wake, StepError> {
        let now = step.moment.now;
        self.tell_closed(step);
        self.tell_budgets(step)?;
        let at_once = step.tx.promote_due(now)? >= u64::from(PROMOTE_CHUNK);
        self.mind_the_clock(step)?;
        let plan = claims::plan(&self.claims_view(now));
        let mut in_the_way = self.disk_full;
        if plan.claims > 0 && !self.disk_full {
            self.fall_back(step)?;
            self.release_held(step, plan.claims)?;
            in_the_way = self.claim_up_to(step, plan.claims)?;
            self.send_own_probes(step)?;
        }
        // A launch that just failed closes claims for a moment: plan again.
        let plan = claims::plan(&self.claims_view(now));
        let of_budgets = self.next_look_at_budgets(now);
        let told = match plan.blocked {
            Some(_) => plan.wake_at,
            None => step
                .tx
                .next_due()?
                .into_iter()
                .chain(self.next_look_at_accounts(now))
                .chain(of_budgets)
                .min(),
        };
        let again = in_the_way.then(|| now.plus_ms(LOOK_AGAIN_MS));
        let at = told.into_iter().chain(again).min();
        Ok(Wake { at, at_once })
    }

    /// At the first look, and whenever the clock went back: retries must not wait for a time that has moved away.
    fn mind_the_clock(&mut self, step: &Step<'_>) -> Result<(), StepError> {
        let now = step.moment.now;
        let went_back = self
            .looked_at
            .is_none_or(|before| before.ms_since(now) > CLOCK_SLACK_MS);
        self.looked_at = Some(now);
        if went_back {
            step.tx
                .promote_overlong(now, self.settings.retry_max_seconds * MS_PER_SECOND)?;
        }
        Ok(())
    }

    fn claims_view(&self, now: Timestamp) -> View<'_> {
        View {
            now,
            num_workers: self.settings.num_workers,
            busy: u32::try_from(self.slots.len()).unwrap_or(u32::MAX),
            stopped_by_person: self.claims_stopped,
            restarts_exceeded: self.restarts.exceeded(),
            launch_wait_until: self.launch_wait_until,
            quiet_hours: &self.quiet_hours,
            zone: &self.zone,
        }
    }

    /// Claims ready tasks, the next one first. Whether one was left out because something of it is still there.
    fn claim_up_to(&mut self, step: &mut Step<'_>, claims: u32) -> Result<bool, StepError> {
        let mut left = claims;
        let mut busy = BTreeSet::new();
        let mut shut = BTreeSet::new();
        // Their budgets have no room for them now.
        let mut poor = BTreeSet::new();
        loop {
            // Those that are busy or poor stand before the others, so each of them makes the next look one longer.
            let busy_before = u32::try_from(busy.len() + poor.len()).unwrap_or(u32::MAX);
            let mut news = false;
            for task in self.candidates(step, left.saturating_add(busy_before), &shut)? {
                if left == 0 {
                    return Ok(!busy.is_empty());
                }
                if busy.contains(&task.id) || poor.contains(&task.id) {
                    continue;
                }
                news = true;
                // A claim before this one may have closed its account: it is the probe, or the others come later.
                if !self.account_lets(&task, step.moment.now) {
                    shut.extend(task.gate());
                    continue;
                }
                let Some(share) = self.share_of(step, &task, left)? else {
                    poor.insert(task.id);
                    continue;
                };
                let attempt = AttemptId {
                    task: task.id.clone(),
                    generation: task.life.generation + 1,
                };
                match step.world.create_record(&attempt) {
                    Ok(()) => {
                        self.claim_one(step, &task, attempt, share)?;
                        left -= 1;
                    }
                    // An earlier attempt of it is still being ended: the others need not wait for that.
                    Err(ClaimRefused::Busy) => {
                        busy.insert(task.id);
                    }
                    Err(ClaimRefused::Failed(error)) => {
                        let text = format!(
                            "no attempt can be started, its record cannot be made: {error}"
                        );
                        self.launches_fail(step, text);
                        return Ok(!busy.is_empty());
                    }
                }
            }
            if left == 0 || !news {
                return Ok(!busy.is_empty());
            }
        }
    }

    fn claim_one(
        &mut self,
        step: &mut Step<'_>,
        task: &Task,
        attempt: AttemptId,
        share: Budget,
    ) -> Result<(), StepError> {
        let slot = self.free_slot();
        let claimed = Event::Claimed {
            generation: attempt.generation,
            slot,
            run: self.run_of(step, task, &attempt, share)?.map(Box::new),
        };
        let task = step.apply(task, &claimed, Actor::Daemon)?;
        Self::reserve(step, &task, &attempt, share)?;
        self.slots.insert(slot, attempt);
        let account = self.account_of(&task);
        step.effects.push(Effect::Launch(Box::new(Launch {
            task,
            account,
            is_probe: false,
            share,
        })));
        Ok(())
    }

    fn candidates(
        &self,
        step: &Step<'_>,
        limit: u32,
        shut: &BTreeSet<Gate>,
    ) -> Result<Vec<Task>, StepError> {
        let only = match &self.only {
            None => {
                let gates = self.open_gates(step, shut)?;
                return Ok(step.tx.claimable_at(&gates, limit)?);
            }
            Some(None) => return Ok(Vec::new()),
            Some(Some(only)) => only,
        };
        if step.tx.is_ready(only)? {
            let task = step.tx.task(only)?;
            let is_open = |task: &Task| {
                let gate = task.gate();
                gate.is_none_or(|gate| !shut.contains(&gate))
            };
            Ok(task.into_iter().filter(is_open).collect())
        } else {
            Ok(Vec::new())
        }
    }

    /// The lowest slot, from 1, that nobody holds.
    fn free_slot(&self) -> u32 {
        let mut slot = 1;
        for held in self.slots.keys() {
            if *held != slot {
                break;
            }
            slot += 1;
        }
        slot
    }
}
