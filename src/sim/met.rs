//! "Sometimes" counters: what a run has met. A long run that has never met a path of the lists here fails.

use std::collections::BTreeMap;

use crate::attempt::recovery::{Content, Facts, Lock, Plan, Row};
use crate::task::table::transitions;
use crate::task::{EventKind, OutcomeKind, State};

/// What was met, and how often.
#[derive(Debug, Clone, Default)]
pub struct Met {
    counts: BTreeMap<&'static str, u64>,
    transitions: BTreeMap<(Option<State>, EventKind), u64>,
    outcomes: BTreeMap<OutcomeKind, u64>,
}

/// Events of the table that nothing enters yet.
const NOT_ENTERED: [EventKind; 5] = [
    EventKind::Test,
    EventKind::Defer,
    EventKind::Hold,
    EventKind::Screen,
    EventKind::Answer,
];

/// Outcomes that no attempt of a simulation can have: of a dependency it is the task that fails.
const NO_END: [OutcomeKind; 1] = [OutcomeKind::DependencyFailed];

/// Paths of recovery, faults, crash points and answers that a long run meets.
pub const EXPECTED: [&str; 77] = [
    // the lines of recovery's table
    "recovery: empty, free: never ran",
    "recovery: empty, free, other boot: lost",
    "recovery: empty, held: waits",
    "recovery: empty, held: holder ended",
    "recovery: missing: lost",
    "recovery: started, held: adopted",
    "recovery: started, held, silent: holder ended",
    "recovery: started, held, worker dead: waits or sweeps",
    "recovery: started, free: lost",
    "recovery: exit, held: waits",
    "recovery: exit, free: committed",
    "recovery: unreadable, free: set aside",
    "recovery: unreadable, held: waits",
    "recovery: unreadable, held, silent: holder ended",
    "recovery: stray discarded",
    "recovery: stray kept for a person",
    "recovery: stray swept",
    "recovery: tree stuck",
    // crash points of the daemon
    "daemon dies: nothing to do",
    "daemon dies: events wait",
    "daemon dies: effects wait",
    "daemon dies: in a commit",
    "daemon dies: while it opens",
    "daemon dies: recovery under way",
    "daemon leaves",
    "power loss: no daemon",
    "power loss: daemon up",
    "a commit under which the daemon died is gone",
    "a second daemon finds the lock held",
    "a transaction is lost",
    "launch failed: the machine",
    "launch failed: the task",
    // crash points of the worker
    "worker dies: Born",
    "worker dies: Opened",
    "worker dies: Locked",
    "worker dies: WroteStarted",
    "worker dies: Ready",
    "worker dies: Running",
    "worker dies: Ended",
    "worker dies: WroteReport",
    "worker dies: WroteExit",
    "worker dies: Synced",
    // the worker's ways
    "worker left: no record",
    "worker left: not to be begun",
    "worker cannot write its exit",
    "worker left: its end is committed",
    "worker could not spawn",
    // clients
    "the same key again",
    "a reply is lost",
    "dry run",
    "answer: Done",
    "answer: Stopping",
    "answer: Already",
    "clean-up",
    "stop all",
    // notices
    "a notice is taken",
    "a notice is not taken",
    "a notice is heard, and its command fails",
    "a notice is told again",
    "a notice is given up unheard",
    "telling a notice is cut off",
    "a batch is told of",
    // money
    "a share is reserved",
    "a share grows",
    "a cost is told",
    "a cost is reckoned",
    "an unknown cost counts as what was allowed",
    "agent's money is used up",
    "agent's time is used up",
    // accounts
    "probe",
    "probe of the daemon's own",
    "heard of a run",
    "clock set back",
    "clock set forward",
    "taken back",
    "disk full",
    "heal",
];

impl Met {
    /// It was met.
    pub fn meet(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// A task moved.
    pub fn transition(&mut self, from: Option<State>, event: EventKind) {
        *self.transitions.entry((from, event)).or_default() += 1;
    }

    /// An attempt ended.
    pub fn outcome(&mut self, kind: OutcomeKind) {
        *self.outcomes.entry(kind).or_default() += 1;
    }

    /// A round of recovery.
    pub fn recovery(&mut self, facts: &Facts, plan: Plan) {
        self.meet(line_of(facts, plan));
    }

    /// How often something was met.
    #[must_use]
    pub fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// Adds what another run has met.
    pub fn add(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            *self.counts.entry(what).or_default() += count;
        }
        for (what, count) in &other.transitions {
            *self.transitions.entry(*what).or_default() += count;
        }
        for (what, count) in &other.outcomes {
            *self.outcomes.entry(*what).or_default() += count;
        }
    }

    /// What of all that can be met was not.
    #[must_use]
    pub fn never(&self, disk: bool) -> Vec<String> {
        let only_on_disk = ["a commit under which the daemon died is gone", "disk full"];
        let paths = EXPECTED
            .into_iter()
            .filter(|what| disk || !only_on_disk.contains(what))
            .filter(|what| self.count(what) == 0)
            .map(str::to_owned);
        let moves = transitions()
            .filter(|(from, event, to)| {
                *from != State::Testing && *to != State::Testing && !NOT_ENTERED.contains(event)
            })
            .filter(|(from, event, _)| !self.transitions.contains_key(&(Some(*from), *event)))
            .map(|(from, event, _)| {
                format!("transition: {event} of a task that is {}", from.name())
            });
        let ends = OutcomeKind::ALL
            .into_iter()
            .filter(|kind| !NO_END.contains(kind) && !self.outcomes.contains_key(kind))
            .map(|kind| format!("outcome: {kind:?}"));
        paths.chain(moves).chain(ends).collect()
    }
}

impl std::fmt::Display for Met {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (what, count) in &self.counts {
            writeln!(f, "{count:>10}  {what}")?;
        }
        for ((from, event), count) in &self.transitions {
            let from = from.map_or("nothing", State::name);
            writeln!(
                f,
                "{count:>10}  transition: {event} of a task that is {from}"
            )?;
        }
        for (kind, count) in &self.outcomes {
            writeln!(f, "{count:>10}  outcome: {kind:?}")?;
        }
        Ok(())
    }
}

/// The line of recovery's table that a round was on.
fn line_of(facts: &Facts, plan: Plan) -> &'static str {
    let is_ours = matches!(facts.row, Row::Open | Row::Settled);
    match (plan, facts.content, facts.lock) {
        (Plan::HoldSlot, _, _) => "recovery: tree stuck",
        (Plan::Discard, _, _) => "recovery: stray discarded",
        (Plan::KeepFile, _, _) => "recovery: stray kept for a person",
        (Plan::Sweep, _, _) if !is_ours => "recovery: stray swept",
        (Plan::CloseNeverRan, _, _) => "recovery: empty, free: never ran",
        (Plan::CloseLost, Content::Empty, _) => "recovery: empty, free, other boot: lost",
        (Plan::CloseLost, Content::Missing, _) => "recovery: missing: lost",
        (Plan::CloseLost, _, _) => "recovery: started, free: lost",
        (Plan::SetAsideAndLose, _, _) => "recovery: unreadable, free: set aside",
        (Plan::Adopt, _, _) => "recovery: started, held: adopted",
        (Plan::CommitExit, _, _) => "recovery: exit, free: committed",
        (Plan::WaitForHolder, Content::Unreadable, _) => "recovery: unreadable, held: waits",
        (Plan::EndHolder, Content::Unreadable, _) => {
            "recovery: unreadable, held, silent: holder ended"
        }
        (Plan::WaitForHolder, Content::Empty, _) => "recovery: empty, held: waits",
        (Plan::EndHolder, Content::Empty, _) => "recovery: empty, held: holder ended",
        (Plan::EndHolder, Content::Started, _)
            if facts.worker == crate::attempt::recovery::Worker::Alive =>
        {
            "recovery: started, held, silent: holder ended"
        }
        (Plan::Sweep | Plan::WaitForHolder | Plan::EndHolder, Content::Started, Lock::Held) => {
            "recovery: started, held, worker dead: waits or sweeps"
        }
        (Plan::CommitExitThenWaitTree | Plan::EndHolder, Content::Exit, Lock::Held) => {
            "recovery: exit, held: waits"
        }
        (Plan::Sweep | Plan::CommitExitThenWaitTree, _, Lock::Free) => "recovery: sweeps first",
        (
            Plan::Nothing
            | Plan::Release
            | Plan::WaitForHolder
            | Plan::EndHolder
            | Plan::Sweep
            | Plan::CommitExitThenWaitTree,
            _,
            _,
        ) => "recovery: other",
    }
}
