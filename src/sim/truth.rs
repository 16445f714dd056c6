//! What truly happened, kept where no daemon and no power loss can reach it: what rows say is judged by this.

use std::collections::{BTreeMap, BTreeSet};

use super::judge::{Judged, Violation};
use super::money::Spent;
use crate::task::{AttemptId, Block, Outcome, TaskId};

/// The truth about one attempt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Truth {
    /// Its agent has started.
    pub agent_started: bool,
    /// What its agent has used up.
    pub spent: Spent,
    /// What it said at its end that it has cost.
    pub told_micro_usd: Option<u64>,
    /// Its agent has done what it was asked.
    pub succeeded: bool,
    /// What its worker wrote down at the end.
    pub written: Option<Outcome>,
    /// The block that it met, when it ended for one.
    pub block: Option<Block>,
    /// That has reached the disk.
    pub durable: bool,
    /// Somebody damaged its record, or took it away: what it said is not to be had any more.
    pub tampered: bool,
    /// A daemon has written the end under the lock.
    pub closed_by_daemon: bool,
    /// The power went after it was claimed.
    pub power_lost: bool,
    /// Its worker was ended because it did not prove that it lives, or by a fault.
    pub worker_killed: bool,
}

/// The truth about all attempts.
#[derive(Debug, Clone, Default)]
pub struct Truths {
    by_attempt: BTreeMap<AttemptId, Truth>,
    /// Tasks whose sessions persons have.
    pub in_hand: BTreeSet<TaskId>,
    /// A promise that was broken in the midst of a step.
    broken: Option<Violation>,
}

impl Truths {
    /// What is true of an attempt.
    #[must_use]
    pub fn of(&self, attempt: &AttemptId) -> Option<&Truth> {
        self.by_attempt.get(attempt)
    }

    /// To be changed.
    pub fn at(&mut self, attempt: &AttemptId) -> &mut Truth {
        self.by_attempt.entry(attempt.clone()).or_default()
    }

    /// The agent starts.
    ///
    /// # Errors
    /// When it has before: it may have done things.
    pub fn agent_starts(&mut self, attempt: &AttemptId) -> Result<(), Violation> {
        let truth = self.at(attempt);
        if truth.agent_started {
            return Err(Violation::new(
                "one agent per attempt",
                format!("the agent of {attempt} starts a second time"),
            ));
        }
        if truth.closed_by_daemon {
            return Err(Violation::new(
                "a closed attempt does not start",
                format!("the agent of {attempt} starts, a daemon has closed the attempt"),
            ));
        }
        if self.in_hand.contains(&attempt.task) {
            return Err(Violation::new(
                "nobody else gets into a session that a person has",
                format!("the agent of {attempt} starts, a person has its session"),
            ));
        }
        self.at(attempt).agent_started = true;
        Ok(())
    }

    /// The daemon ends its worker, which does its work and would answer: without a damaged record there is no cause for that.
    pub fn ended_at_work(&mut self, attempt: &AttemptId) {
        if self.of(attempt).is_some_and(|truth| truth.tampered) {
            return;
        }
        let text = format!("the worker of {attempt} runs and answers, and is ended");
        let broken = Violation::new("the daemon ends no worker that does its work", text);
        self.broken.get_or_insert(broken);
    }

    /// The promise that was broken in the midst of the last step, if one was.
    ///
    /// # Errors
    /// That promise.
    pub fn judge(&mut self) -> Judged {
        self.broken.take().map_or(Ok(()), Err)
    }

    /// Somebody has damaged or taken away its record.
    pub fn tampered(&mut self, attempt: &AttemptId) {
        self.at(attempt).tampered = true;
    }

    /// A daemon has written its end.
    pub fn closed_by_daemon(&mut self, attempt: &AttemptId) {
        self.at(attempt).closed_by_daemon = true;
    }

    /// The power went.
    pub fn power_loss(&mut self) {
        for truth in self.by_attempt.values_mut() {
            truth.power_lost = true;
        }
    }

    /// A task is gone.
    pub fn forget(&mut self, task: &TaskId) {
        self.by_attempt.retain(|attempt, _| attempt.task != *task);
    }
}
