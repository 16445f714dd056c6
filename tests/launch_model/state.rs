//! What the model knows: one task, its attempts, the daemon, and how much may still go wrong.

use auto_claude::attempt::recovery::{Plan, Tree};

/// The most attempts that the model follows. A task that would need one more than its run allows goes to review, as
/// restart intensity has it.
pub(crate) const MAX_GENERATIONS: usize = 3;

/// How an attempt really ended, or what a record claims about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Exit {
    /// The agent did its work.
    Ok,
    /// The agent failed by itself.
    Fail,
    /// The worker ended it because it was told to.
    Stopped,
    /// The daemon closed it before it began.
    NeverRan,
    /// Nobody saw the end.
    Lost,
}

/// One sector of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sector<T> {
    Blank,
    /// In the page cache: every process sees it, a loss of power may take it.
    Written(T),
    /// On the disk.
    Synced(T),
}

impl<T: Copy> Sector<T> {
    pub(crate) fn get(self) -> Option<T> {
        match self {
            Self::Blank => None,
            Self::Written(value) | Self::Synced(value) => Some(value),
        }
    }
}

/// Who took the record's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Locker {
    Nobody,
    Daemon,
    /// The worker, and with it a child of it that has not exec'ed yet.
    Worker,
}

/// The record file: an inode, and whether its path still leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RecordFile {
    /// The path leads to it.
    pub(crate) linked: bool,
    /// The directory entry is on the disk.
    pub(crate) entry_synced: bool,
    /// Its header names this boot.
    pub(crate) this_boot: bool,
    /// A sector was torn by a loss of power.
    pub(crate) torn: bool,
    pub(crate) started: Sector<()>,
    pub(crate) exit: Sector<Exit>,
    /// `exit` states that the worker found its own tree empty.
    pub(crate) clean: bool,
    pub(crate) lock: Locker,
}

/// How far the worker of an attempt is. Any of them may stay where it is for as long as it likes: the late worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    /// Not forked yet.
    None,
    /// Forked, not exec'ed: carries no marker yet, so no sweep can see it.
    Forked,
    /// Runs, has not opened the record.
    Up,
    Opened,
    Locked,
    /// `started` is written.
    Started,
    /// `started` is synced: the agent may be spawned.
    Ready,
    /// The agent was spawned.
    Watching,
    /// `exit` is written.
    Exiting,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    pub(crate) step: Step,
    /// Does nothing any more until it is ended.
    pub(crate) hung: bool,
    /// Was told to stop its agent.
    pub(crate) stop: bool,
}

impl Worker {
    pub(crate) fn alive(self) -> bool {
        !matches!(self.step, Step::None | Step::Gone)
    }
}

/// The attempt's agent with its descendants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Agent {
    None,
    /// A child of the worker between fork and exec: it holds a copy of the lock.
    Forked,
    Live,
    /// The agent has ended, a descendant has not.
    Straggler,
    Gone,
}

impl Agent {
    pub(crate) fn alive(self) -> bool {
        matches!(self, Self::Forked | Self::Live | Self::Straggler)
    }
}

/// One attempt: what is on disk, what lives, and (ghosts) what really happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Attempt {
    pub(crate) record: Option<RecordFile>,
    pub(crate) worker: Worker,
    pub(crate) agent: Agent,
    /// The agent's tree is in an uninterruptible call: kills do nothing.
    pub(crate) stuck: bool,
    /// The daemon of now has looked at the stray record and leaves it for a person.
    pub(crate) kept: bool,
    /// Ghost: how the agent really ended.
    pub(crate) real: Option<Exit>,
    /// Ghost: the worker has left with a synced `exit`.
    pub(crate) promised: bool,
    /// Ghost: the outcome that was committed.
    pub(crate) closed: Option<Exit>,
}

impl Attempt {
    const NEW: Self = Self {
        record: None,
        worker: Worker {
            step: Step::None,
            hung: false,
            stop: false,
        },
        agent: Agent::None,
        stuck: false,
        kept: false,
        real: None,
        promised: false,
        closed: None,
    };

    pub(crate) fn linked(&self) -> bool {
        self.record.is_some_and(|record| record.linked)
    }

    /// Who really has the lock: a taker that is gone has left it.
    pub(crate) fn holder(&self) -> Locker {
        match self.record.map_or(Locker::Nobody, |record| record.lock) {
            Locker::Worker if !self.worker.alive() && self.agent != Agent::Forked => Locker::Nobody,
            lock @ (Locker::Nobody | Locker::Daemon | Locker::Worker) => lock,
        }
    }
}

/// The task's state in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// `pending` or `retrying`.
    Pending,
    /// `processing`: the current generation is open.
    Open,
    Completed,
    Failed,
    Cancelled,
    Review,
}

impl Phase {
    pub(crate) fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Open)
    }
}

/// The task's row: every change of it is one durable commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) phase: Phase,
    /// The current generation; 0 before the first claim.
    pub(crate) generation: usize,
    /// The outcome of the current generation is committed, its slot is still taken.
    pub(crate) settled: bool,
    /// A cancel is journaled.
    pub(crate) intent: bool,
}

/// Where the daemon is between two of its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Daemon {
    Down,
    /// Nothing in its hands: decides from the row and the records what comes next.
    Idle,
    /// Created the record of the next generation, has not claimed.
    RecordMade,
    /// Claimed, has not created the record (only with [`Mutation::ClaimBeforeRecord`]).
    ClaimMade,
    /// Claimed, record on disk: forks the worker next.
    Launching,
    /// Has launched or adopted a worker and waits for it.
    Supervising,
    /// Goes round in recovery.
    Looking {
        generation: usize,
        tree: Tree,
    },
    /// Has looked and planned.
    Decided {
        generation: usize,
        tree: Tree,
        plan: Plan,
    },
    /// Has written the closing `exit` (or has set the record aside): commits next.
    Closing {
        generation: usize,
        exit: Exit,
    },
    /// Only with [`Mutation::CommitBeforeExit`]: has committed, writes the closing `exit` next.
    ClosedEarly {
        generation: usize,
        exit: Exit,
    },
    /// Has a cancel in hand and saw no `exit`: commits the intent next.
    Cancelling,
    /// Only with [`Mutation::IntentAfterSignal`] and [`Mutation::AckBeforeCommit`]: did that first.
    CancelDone,
}

/// What may still go wrong, and (ghost) what has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    pub(crate) any: u8,
    pub(crate) daemon_crash: u8,
    pub(crate) worker: u8,
    pub(crate) reboot: u8,
    pub(crate) disk: u8,
    pub(crate) delete: u8,
    pub(crate) stick: u8,
    pub(crate) impatience: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) daemon: Daemon,
    pub(crate) row: Row,
    pub(crate) attempts: [Attempt; MAX_GENERATIONS],
    /// The agent never ends by itself.
    pub(crate) endless: bool,
    /// A person may still send a cancel.
    pub(crate) may_cancel: bool,
    pub(crate) left: Faults,
    /// Ghost: something worse than a crash of the daemon has happened.
    pub(crate) beyond_daemon: bool,
    /// Ghost: a drive has lost what it had called synced.
    pub(crate) lied: bool,
    /// Ghost: the cancel was acknowledged.
    pub(crate) acked: bool,
    /// Ghost: `exit{ok}` was readable when the cancel came in.
    pub(crate) came_late: bool,
    /// Ghost: the person was told that the task had finished already.
    pub(crate) told_finished: bool,
}

impl State {
    pub(crate) fn first(left: Faults, endless: bool) -> Self {
        Self {
            daemon: Daemon::Down,
            row: Row {
                phase: Phase::Pending,
                generation: 0,
                settled: false,
                intent: false,
            },
            attempts: [Attempt::NEW; MAX_GENERATIONS],
            endless,
            may_cancel: true,
            left,
            beyond_daemon: false,
            lied: false,
            acked: false,
            came_late: false,
            told_finished: false,
        }
    }

    /// The attempt with this generation (1…).
    pub(crate) fn attempt(&self, generation: usize) -> &Attempt {
        &self.attempts[generation - 1]
    }

    pub(crate) fn attempt_mut(&mut self, generation: usize) -> &mut Attempt {
        &mut self.attempts[generation - 1]
    }
}

/// A step of the protocol left out or done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mutation {
    /// The worker goes on without the lock.
    SkipLockCheck,
    /// The worker does not look whether `started` or `exit` is there.
    SkipReadCheck,
    /// The worker creates a missing record.
    OpenCreates,
    /// The worker does not check that path and descriptor are one inode.
    SkipInodeCheck,
    /// The worker spawns the agent, then writes `started`.
    SpawnBeforeStarted,
    /// `started` is not synced before the agent is spawned.
    SkipStartedSync,
    /// The worker leaves with an `exit` that is not synced.
    SkipExitSync,
    /// The directory of a new record is not synced.
    SkipDirectorySync,
    /// The daemon's own `never_ran` and `lost` are not synced before the commit.
    SkipCloseSync,
    /// A `never_ran` or `lost` that a former daemon wrote is committed without syncing it again.
    SkipResync,
    /// A record that is past is unlinked without locking it.
    UnlinkWithoutLock,
    /// An outcome stays in its record, uncommitted, until lock and tree are free.
    DeferCommit,
    /// An empty record of this boot is closed without a sweep.
    SkipSweepOfEmpty,
    /// The worker's statement about its tree is trusted without the lock that goes with it.
    CarryCertificate,
    /// The claim is committed before the record is created.
    ClaimBeforeRecord,
    /// Recovery takes a record for free without locking it.
    CloseWithoutLock,
    /// The row is closed first, then the record.
    CommitBeforeExit,
    /// The record is closed by unlinking it instead of writing `exit`.
    CloseByUnlink,
    /// Recovery does not compare boot ids.
    NeverRanAcrossBoots,
    /// Recovery takes every tree for empty.
    SkipSweep,
    /// An outcome frees the slot at once, whatever still lives.
    SkipTreeWait,
    /// The worker states an empty tree that it has not swept.
    CertifyUnswept,
    /// A worker that ends without an `exit` is taken for a success.
    InventSuccess,
    /// The worker is signalled before the intent is committed.
    IntentAfterSignal,
    /// A cancel is acknowledged before the intent is committed.
    AckBeforeCommit,
    /// A cancel is accepted without looking for an `exit`.
    SkipExitCheck,
    /// The person is told "finished already" before that outcome is committed.
    RefuseBeforeCommit,
    /// A daemon that takes a worker back does not carry out the journaled intent.
    ForgetIntent,
    /// A new daemon does not look at rows that are settled and not released.
    ForgetSettled,
    /// The wait for a holder has no bound.
    WaitForever,
    /// A record that was made and never claimed is not looked at.
    ForgetUnclaimed,
}
