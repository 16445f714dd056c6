//! PURE. Recovery's plan: what to do about one attempt, from what one look at it showed.
//!
//! The caller (the daemon, at its start and whenever a worker ends, falls silent or is to be stopped) goes round:
//! **look → [`plan`] → act → look again**, until a plan [`is_terminal`](Plan::is_terminal). It looks in this order:
//!
//! 1. try-lock the record. Got it: [`Lock::Free`], and the caller **keeps the lock** until the terminal action is done,
//!    so nothing it read can change under it;
//! 2. read the record, then the worker's identity and heartbeat;
//! 3. take the row, and the tree as its own last sweep of *this* recovery left it (a fresh daemon: not swept).
//!
//! When the lock is [`Lock::Held`] the facts may be old by the time the caller acts; every plan for a held record
//! (adopt, wait, commit an outcome, end the holder) is safe then, too: an outcome never changes once it is written,
//! and what ending a holder left behind is read by the next look.
//!
//! Invariants (proved over all inputs in this room's tests, and over all interleavings by `tests/launch_model.rs`,
//! which runs this very function):
//! - the function is total, without a catch-all arm over its outcomes, and a second round does nothing more;
//! - [`Plan::CloseNeverRan`] only for a record that is readable, empty, of this boot, under our own lock;
//! - an attempt is never called lost while its exit can be read;
//! - no plan that permits a next attempt while another holds the lock, and none that closes or releases an attempt
//!   before its tree was seen empty.

/// What the database says about the attempt that the record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    /// The task's current generation, claimed, no outcome committed.
    Open,
    /// The task's current generation; its outcome is committed, its slot is not given back yet.
    Settled,
    /// An attempt that is closed and released: an older generation, or the last one of a final task.
    Past,
    /// No row names it: a claim that was never committed, or a database that is older than the record.
    Unknown,
}

/// What the record file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// There is no file. Nobody can start without it (a worker opens it without creating), but somebody may have.
    Missing,
    /// A readable header, neither `started` nor `exit`.
    Empty,
    /// `started`, no `exit`.
    Started,
    /// A readable `exit`: an outcome, `never_ran` or `lost`.
    Exit,
    /// A header or sector fails its checksum and no `exit` is readable.
    Unreadable,
}

/// Which boot the record was written in. Of a record that names none (missing, unreadable) either value may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Boot {
    /// This one.
    This,
    /// Another one: no process of the attempt lives, and what was written last may not have reached the disk.
    Other,
}

/// The record's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lock {
    /// It was free and the caller holds it now. Of a missing record: there is nothing to lock.
    Free,
    /// Somebody else holds it.
    Held,
}

/// The worker that the record names, by (boot id, pid, start time).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Worker {
    /// That very process lives.
    Alive,
    /// It does not.
    Dead,
    /// The record names none, or the process table cannot be read.
    Unknown,
}

/// The worker's sign of life, judged against the caller's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Heartbeat {
    /// Young enough.
    Fresh,
    /// Older than the limit.
    Stale,
}

/// The caller's own bounded wait for a holder that is starting or leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wait {
    /// It still has time.
    Waiting,
    /// Its time is over.
    Over,
}

/// The attempt's processes, as the last sweep left them. Where `exit` states that the worker swept its own tree and
/// found it empty, that counts as [`Tree::Empty`], so the usual end needs no walk of the process table; but only at a look
/// that finds the lock free, for the statement does not speak of the worker itself. Unlike a sweep's result it is not
/// carried on to the next look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tree {
    /// Nobody has looked in this recovery.
    NotSwept,
    /// Two passes in a row found nothing.
    Empty,
    /// Something was found and has been signalled; it may still be going.
    Remains,
    /// Something took SIGKILL and stays (D state), or a stranger without the attempt's marker holds the lock.
    Stuck,
}

/// One look at one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Facts {
    /// What the database says.
    pub row: Row,
    /// What the record says.
    pub content: Content,
    /// When the record was written.
    pub boot: Boot,
    /// Who has the record.
    pub lock: Lock,
    /// Whether the worker it names lives.
    pub worker: Worker,
    /// Whether that worker proves it.
    pub heartbeat: Heartbeat,
    /// How long the caller has waited for the holder.
    pub wait: Wait,
    /// What the last sweep left.
    pub tree: Tree,
}

/// What the caller does next. "Commit" is one durable transaction; "write" is into the record under its lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plan {
    /// Nothing is left of it. Terminal.
    Nothing,
    /// The attempt runs: talk to its worker, carry out a journaled intent again, watch it. Starts nothing. Terminal.
    Adopt,
    /// Somebody is starting or leaving: come back when the holder ends, or when the bounded wait is over. Look again.
    WaitForHolder,
    /// The bounded wait is over or the heartbeat is stale: SIGKILL the worker and what carries the attempt's marker.
    /// A holder that carries no marker is a stranger: leave it and say [`Tree::Stuck`]. The worker may have written
    /// `started` or `exit` a moment before it died: never conclude from this act, look again.
    EndHolder,
    /// End what is left of the tree (SIGTERM, grace, SIGKILL) until two passes find nothing. Look again.
    Sweep,
    /// Commit the outcome that `exit` states and give the slot back, in one commit: lock and tree are free. An `exit` of
    /// `never_ran` or `lost` was written by a daemon that may have died before its sync: sync it before the commit. Terminal.
    CommitExit,
    /// Commit the outcome that `exit` states (synced as for [`Plan::CommitExit`]); slot and agent session stay taken, and
    /// the row is now [`Row::Settled`]. Look again.
    CommitExitThenWaitTree,
    /// Write `exit{never_ran}`, then commit: back to `pending`, no retry spent. The order matters: a worker that wakes
    /// after the commit must find the `exit`. Safe: `started` is on disk before the agent is, and we hold the lock.
    /// Terminal.
    CloseNeverRan,
    /// Write `exit{lost}` where there is a record, then commit `lost` and give the slot back. Nothing of the attempt
    /// lives: lock and tree are free. Terminal.
    CloseLost,
    /// Rename the record out of the way, then as [`Plan::CloseLost`]. Terminal.
    SetAsideAndLose,
    /// The outcome is committed, and now lock and tree are free: give the slot back. Terminal.
    Release,
    /// It cannot be emptied: keep slot and agent session, raise a P1, start nothing; try again later. Terminal for now.
    HoldSlot,
    /// Unlink the record under the lock we hold: its attempt is closed, or was never claimed. Terminal.
    Discard,
    /// A record that nothing explains, with nothing alive: keep the file for a person and raise an alert. Terminal.
    KeepFile,
}

impl Plan {
    /// Whether this round of recovery ends with the action; otherwise the caller looks again.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::WaitForHolder | Self::EndHolder | Self::Sweep | Self::CommitExitThenWaitTree => {
                false
            }
            Self::Nothing
            | Self::Adopt
            | Self::CommitExit
            | Self::CloseNeverRan
            | Self::CloseLost
            | Self::SetAsideAndLose
            | Self::Release
            | Self::HoldSlot
            | Self::Discard
            | Self::KeepFile => true,
        }
    }

    /// Whether, once the action is done, this record no longer stands in the way of the task's next attempt.
    /// A task is claimed only when this holds for every record it has.
    #[must_use]
    pub fn permits_next_attempt(self) -> bool {
        match self {
            Self::Nothing
            | Self::CommitExit
            | Self::CloseNeverRan
            | Self::CloseLost
            | Self::SetAsideAndLose
            | Self::Release
            | Self::Discard
            | Self::KeepFile => true,
            Self::Adopt
            | Self::WaitForHolder
            | Self::EndHolder
            | Self::Sweep
            | Self::CommitExitThenWaitTree
            | Self::HoldSlot => false,
        }
    }
}

/// What to do about one attempt.
#[must_use]
pub fn plan(facts: &Facts) -> Plan {
    match (facts.row, facts.lock) {
        (Row::Open, Lock::Free) => open_and_free(facts),
        (Row::Open, Lock::Held) => open_and_held(facts),
        (Row::Settled, Lock::Free) => once_empty(facts.tree, Plan::Release),
        (Row::Settled, Lock::Held) => leaving(facts),
        (Row::Past | Row::Unknown, Lock::Free) => stray_and_free(facts),
        (Row::Past | Row::Unknown, Lock::Held) => stray_and_held(facts),
    }
}

/// Nobody has the record but us.
fn open_and_free(facts: &Facts) -> Plan {
    match (facts.content, facts.boot) {
        (Content::Exit, Boot::This | Boot::Other) => match facts.tree {
            Tree::Empty => Plan::CommitExit,
            Tree::NotSwept | Tree::Remains | Tree::Stuck => Plan::CommitExitThenWaitTree,
        },
        // The sweep is for late workers only: without `started` there was no agent.
        (Content::Empty, Boot::This) => once_empty(facts.tree, Plan::CloseNeverRan),
        // A `started` may have been there and not have reached the disk.
        (Content::Empty, Boot::Other) => once_empty(facts.tree, Plan::CloseLost),
        // The record is on disk before the claim is committed, so somebody or something took it away.
        (Content::Missing | Content::Started, Boot::This | Boot::Other) => {
            once_empty(facts.tree, Plan::CloseLost)
        }
        (Content::Unreadable, Boot::This | Boot::Other) => {
            once_empty(facts.tree, Plan::SetAsideAndLose)
        }
    }
}

/// Somebody has the record of an attempt without a committed outcome.
fn open_and_held(facts: &Facts) -> Plan {
    match facts.content {
        Content::Exit => Plan::CommitExitThenWaitTree,
        // A missing record has no lock; should a caller say so all the same, nothing is closed and nothing starts.
        Content::Missing | Content::Empty => bounded_wait(facts),
        // Its holder may be a healthy worker, and whatever it still writes is worth waiting for while it proves it lives.
        Content::Unreadable => while_fresh(facts, Plan::WaitForHolder),
        Content::Started => match named_worker(facts) {
            Worker::Alive | Worker::Unknown => while_fresh(facts, Plan::Adopt),
            Worker::Dead => leaving(facts),
        },
    }
}

/// The attempt is over, or its worker is dead, and somebody still has the record: the worker on its way out, a
/// descendant, or a child between fork and exec.
fn leaving(facts: &Facts) -> Plan {
    match (named_worker(facts), facts.tree) {
        (Worker::Dead, Tree::NotSwept | Tree::Remains) => Plan::Sweep,
        (Worker::Dead, Tree::Empty | Tree::Stuck)
        | (
            Worker::Alive | Worker::Unknown,
            Tree::NotSwept | Tree::Empty | Tree::Remains | Tree::Stuck,
        ) => bounded_wait(facts),
    }
}

/// A record of an attempt that is past or that no row names, and nobody has it but us.
fn stray_and_free(facts: &Facts) -> Plan {
    match (facts.content, facts.row) {
        (Content::Missing, Row::Open | Row::Settled | Row::Past | Row::Unknown) => Plan::Nothing,
        // Holds nothing worth keeping. A late worker that has it open sees that its path is gone, and leaves.
        (Content::Empty, Row::Open | Row::Settled | Row::Past | Row::Unknown) => match facts.tree {
            Tree::NotSwept | Tree::Empty => Plan::Discard,
            Tree::Remains => Plan::Sweep,
            Tree::Stuck => Plan::HoldSlot,
        },
        (Content::Exit, Row::Past) => match facts.tree {
            // It was released, so lock and tree were free once, and nothing can have started since.
            Tree::NotSwept | Tree::Empty => Plan::Discard,
            Tree::Remains => Plan::Sweep,
            Tree::Stuck => Plan::HoldSlot,
        },
        (Content::Exit, Row::Open | Row::Settled | Row::Unknown)
        | (
            Content::Started | Content::Unreadable,
            Row::Open | Row::Settled | Row::Past | Row::Unknown,
        ) => once_empty(facts.tree, Plan::KeepFile),
    }
}

/// A record of an attempt that is past or that no row names, and somebody has it.
fn stray_and_held(facts: &Facts) -> Plan {
    match (facts.content, facts.tree) {
        // Nobody may run it: no grace for a heartbeat.
        (Content::Started | Content::Unreadable, Tree::NotSwept | Tree::Remains) => Plan::Sweep,
        (Content::Started | Content::Unreadable, Tree::Empty | Tree::Stuck)
        | (
            Content::Missing | Content::Empty | Content::Exit,
            Tree::NotSwept | Tree::Empty | Tree::Remains | Tree::Stuck,
        ) => bounded_wait(facts),
    }
}

/// Sweep until the tree is empty, then `done`.
fn once_empty(tree: Tree, done: Plan) -> Plan {
    match tree {
        Tree::NotSwept | Tree::Remains => Plan::Sweep,
        Tree::Empty => done,
        Tree::Stuck => Plan::HoldSlot,
    }
}

/// Wait for the holder as long as the caller's wait lasts, then end it.
fn bounded_wait(facts: &Facts) -> Plan {
    match (facts.tree, facts.wait) {
        (Tree::Stuck, Wait::Waiting | Wait::Over) => Plan::HoldSlot,
        (Tree::NotSwept | Tree::Empty | Tree::Remains, Wait::Waiting) => Plan::WaitForHolder,
        (Tree::NotSwept | Tree::Empty | Tree::Remains, Wait::Over) => Plan::EndHolder,
    }
}

/// `fresh` as long as the holder proves that it lives, then end it.
fn while_fresh(facts: &Facts, fresh: Plan) -> Plan {
    match (facts.heartbeat, facts.tree) {
        (Heartbeat::Fresh, Tree::NotSwept | Tree::Empty | Tree::Remains | Tree::Stuck) => fresh,
        (Heartbeat::Stale, Tree::NotSwept | Tree::Empty | Tree::Remains) => Plan::EndHolder,
        (Heartbeat::Stale, Tree::Stuck) => Plan::HoldSlot,
    }
}

/// A worker of another boot is dead, whatever bears its number now.
fn named_worker(facts: &Facts) -> Worker {
    match facts.boot {
        Boot::This => facts.worker,
        Boot::Other => match facts.content {
            Content::Started | Content::Exit => Worker::Dead,
            Content::Missing | Content::Empty | Content::Unreadable => facts.worker,
        },
    }
}

#[cfg(test)]
mod tests;
