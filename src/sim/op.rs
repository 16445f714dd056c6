//! One step of a simulation: what happens, and a number from which everything else about it is drawn. A list of them is a
//! script: it can be written down, shortened and played again.

use std::fmt;
use std::str::FromStr;

macro_rules! ops {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// What happens.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum OpKind { $($(#[$doc])* $kind,)* }

        impl OpKind {
            /// All of them.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$kind),*];

            /// Its name in a script.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

ops! {
    /// A worker takes its next step.
    Work = "work",
    /// The daemon carries out the next effect, or gives the next reply.
    Carry = "carry",
    /// An attendant of the daemon looks, or a round of recovery.
    Attend = "attend",
    /// The daemon takes what waits into one transaction and commits.
    Batch = "batch",
    /// A client submits, or repeats a submission.
    Submit = "submit",
    /// A client wishes something about a task.
    Act = "act",
    /// A client wishes something about the whole system.
    System = "system",
    /// A person knows better about an account.
    Account = "account",
    /// Time passes.
    Pass = "pass",
    /// Time passes until something is due.
    Leap = "leap",
    /// A daemon starts, where none runs.
    Start = "start",
    /// The server limits an account, or moves a reset.
    Server = "server",
    /// New settings.
    Settings = "settings",
    /// The daemon tidies its database.
    Tidy = "tidy",
    /// The daemon leaves: a restart, or an upgrade.
    Leave = "leave",
    /// The wall clock jumps.
    SetClock = "set-clock",
    /// The daemon is killed.
    Kill = "kill",
    /// The daemon dies in the midst of a commit.
    BatchDies = "batch-dies",
    /// A daemon starts, and dies while it opens the database.
    StartDies = "start-dies",
    /// A worker is killed.
    KillWorker = "kill-worker",
    /// A worker does nothing any more.
    HangWorker = "hang-worker",
    /// The power goes.
    PowerLoss = "power-loss",
    /// A second daemon wants to start.
    Rival = "rival",
    /// A record is damaged.
    Damage = "damage",
    /// Somebody takes a record away.
    TakeAway = "take-away",
    /// A process falls into D state.
    Stick = "stick",
    /// Processes come back from it.
    Unstick = "unstick",
    /// Records can be neither made nor written.
    RecordsFail = "records-fail",
    /// Little space is left.
    SpaceLow = "space-low",
    /// The database's disk is full.
    DiskFull = "disk-full",
    /// Syncs of the database fail.
    SyncFails = "sync-fails",
    /// The disk works again.
    DiskWorks = "disk-works",
    /// Faults stop, and everything that does not wait for a person must end.
    Heal = "heal",
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// What happens.
    pub kind: OpKind,
    /// The number from which the rest is drawn.
    pub roll: u64,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:016x}", self.kind.name(), self.roll)
    }
}

/// A line is no step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no step: it takes a name, a space and a hexadecimal number, as in `work 00000000000000ff`"
)]
pub struct ParseOpError(String);

impl FromStr for Op {
    type Err = ParseOpError;

    fn from_str(text: &str) -> Result<Self, ParseOpError> {
        let wrong = || ParseOpError(text.to_owned());
        let (name, roll) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let kind = OpKind::ALL.into_iter().find(|kind| kind.name() == name);
        Ok(Self {
            kind: kind.ok_or_else(wrong)?,
            roll: u64::from_str_radix(roll.trim(), 16).map_err(|_| wrong())?,
        })
    }
}
