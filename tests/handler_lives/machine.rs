//! The machine below the daemon, without processes: records with the meaning of the real ones, and workers that outlive it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use auto_claude::supervisor::event::{AttemptReport, Closed};
use auto_claude::supervisor::handler::{ClaimRefused, World};
use auto_claude::task::{AttemptId, Intent, Outcome, OutcomeKind, Task, TaskId, Timestamp};

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    Blank,
    Started(Timestamp),
    Ended(Closed),
}

/// The state of the machine. Everything in it survives the daemon; a reboot ends the workers.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    pub(crate) records: BTreeMap<AttemptId, Record>,
    /// Workers that live, and what they were told.
    pub(crate) workers: BTreeMap<AttemptId, Option<Intent>>,
    /// Tasks of which something earlier is still being ended.
    pub(crate) busy: BTreeSet<TaskId>,
    pub(crate) no_records: bool,
    pub(crate) disk_low: bool,
    /// Claims that were refused as busy.
    pub(crate) refused_busy: u64,
}

/// The handler's view of it.
#[derive(Debug, Default)]
pub(crate) struct Sim(pub(crate) RefCell<Machine>);

impl World for Sim {
    fn is_in_place(&self) -> bool {
        true
    }

    fn has_ended(&self, attempt: &AttemptId) -> bool {
        matches!(self.0.borrow().records.get(attempt), Some(Record::Ended(_)))
    }

    fn disk_free_bytes(&self) -> Option<u64> {
        Some(if self.0.borrow().disk_low {
            1
        } else {
            u64::MAX
        })
    }

    fn create_record(&self, attempt: &AttemptId) -> Result<(), ClaimRefused> {
        let mut machine = self.0.borrow_mut();
        if machine.no_records {
            return Err(ClaimRefused::Failed(std::io::Error::other("no space")));
        }
        let taken = !matches!(machine.records.get(attempt), None | Some(Record::Blank));
        if taken || machine.busy.contains(&attempt.task) {
            machine.refused_busy += 1;
            return Err(ClaimRefused::Busy);
        }
        machine.records.insert(attempt.clone(), Record::Blank);
        Ok(())
    }
}

impl Machine {
    /// A worker is launched: its record was made before its claim.
    pub(crate) fn launch(&mut self, attempt: &AttemptId) {
        assert_eq!(
            self.records.get(attempt),
            Some(&Record::Blank),
            "{attempt} is launched without a blank record"
        );
        for other in self.workers.keys() {
            assert_ne!(other.task, attempt.task, "two live workers of one task");
        }
        self.workers.insert(attempt.clone(), None);
    }

    /// The attempt's end is written down, and its worker is gone.
    pub(crate) fn end(
        &mut self,
        attempt: &AttemptId,
        outcome: Outcome,
        now: Timestamp,
    ) -> AttemptReport {
        self.workers.remove(attempt);
        let started_at = match self.records.get(attempt) {
            Some(Record::Started(at)) => Some(*at),
            Some(Record::Blank | Record::Ended(_)) | None => None,
        };
        let closed = Closed {
            attempt: attempt.clone(),
            outcome,
            ended_at: now,
            started_at,
            report: None,
            launch_failed: false,
            machine_went_down: false,
        };
        self.records
            .insert(attempt.clone(), Record::Ended(closed.clone()));
        AttemptReport::Closed(closed)
    }

    /// What a new daemon's recovery says of a running row; `None` when its worker lives and is taken back.
    pub(crate) fn recover(
        &mut self,
        task: &Task,
        now: Timestamp,
        rebooted: bool,
    ) -> Option<AttemptReport> {
        let attempt = task.attempt();
        if let Some(told) = self.workers.get_mut(&attempt) {
            *told = task.life.intent.clone();
            return None;
        }
        let kind = match self.records.get(&attempt) {
            Some(Record::Ended(closed)) => return Some(AttemptReport::Closed(closed.clone())),
            Some(Record::Blank) if !rebooted => OutcomeKind::NeverRan,
            Some(Record::Blank | Record::Started(_)) | None => OutcomeKind::Lost,
        };
        let AttemptReport::Closed(mut closed) = self.end(&attempt, Outcome::of(kind), now) else {
            return None;
        };
        closed.machine_went_down = rebooted;
        Some(AttemptReport::Closed(closed))
    }
}
