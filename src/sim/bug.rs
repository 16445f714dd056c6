//! Seeded bugs: each takes a step of the house away, and must be found. A check that finds none of them checks nothing.

use super::scenario::Scenario;

/// A mistake that is built in on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "said by `what`, which the program prints")]
pub enum Bug {
    SkipSync,
    SkipStartSync,
    DropLockCheck,
    SpawnBeforeCommit,
    ReplyBeforeCommit,
    ShortenHold,
    CountLimitAsRetry,
    ForgetAdopted,
    ForgetSlots,
    DropIntent,
    SkipSweep,
    RecordAfterClaim,
    SkipExitSync,
    SkipRecordLock,
    LostIsSuccess,
    ExitCodeIsSuccess,
    ForgetRecordEarly,
    IgnoreBusy,
    IgnoreClosedAccount,
    WaitForSilent,
    WaitForUnreadable,
    RepeatLaunch,
    ForgetNotices,
    TellOnce,
    ResumeAttached,
    FallbackGoesBack,
    ReserveNothing,
    KeepShare,
    SettleTwice,
    UnknownIsNothing,
    IgnoreBudgets,
    OverlookShares,
}

/// Whether a bug needs the disk model.
const ON_DISK: bool = true;
const ANYWHERE: bool = false;

/// Name, what it is, whether it needs the disk, and the steps within which it must be found.
type Row = (Bug, &'static str, &'static str, bool, u64);

#[rustfmt::skip]
const TABLE: [Row; 32] = [
    (Bug::SkipSync,            "skip-sync",             "a sync of the database returns and has done nothing",             ON_DISK,  200_000),
    (Bug::SkipStartSync,       "skip-start-sync",       "a daemon that starts believes a log that is not synced",          ON_DISK,  3_000_000),
    (Bug::DropLockCheck,       "drop-lock-check",       "a second daemon starts beside the first",                         ANYWHERE, 200_000),
    (Bug::SpawnBeforeCommit,   "spawn-before-commit",   "effects are carried out before their commit",                     ANYWHERE, 200_000),
    (Bug::ReplyBeforeCommit,   "reply-before-commit",   "clients are answered before the commit",                          ANYWHERE, 200_000),
    (Bug::ShortenHold,         "shorten-hold",          "an account waits for half of the announced time",                 ANYWHERE, 200_000),
    (Bug::CountLimitAsRetry,   "count-limit-as-retry",  "a limit is told as a failure of the agent",                       ANYWHERE, 200_000),
    (Bug::ForgetAdopted,       "forget-adopted",        "a daemon that starts attends no attempt of an earlier one",       ANYWHERE, 200_000),
    (Bug::ForgetSlots,         "forget-slots",          "a daemon that starts takes the slots of adopted workers for free", ANYWHERE, 200_000),
    (Bug::DropIntent,          "drop-intent",           "a committed wish to stop is not brought to the worker",           ANYWHERE, 200_000),
    (Bug::SkipSweep,           "skip-sweep",            "what a dead worker left behind is not ended",                     ANYWHERE, 200_000),
    (Bug::RecordAfterClaim,    "record-after-claim",    "the record is made when the worker is launched, not before the claim", ANYWHERE, 200_000),
    (Bug::SkipExitSync,        "skip-exit-sync",        "a worker leaves before its `exit` is on the disk",                ANYWHERE, 500_000),
    (Bug::SkipRecordLock,      "skip-record-lock",      "a worker begins without its record's lock",                       ANYWHERE, 200_000),
    (Bug::LostIsSuccess,       "lost-is-success",       "an end that nobody saw is committed as a success",                ANYWHERE, 200_000),
    (Bug::ExitCodeIsSuccess,   "exit-code-is-success",  "exit code 0 without a result is committed as a success",          ANYWHERE, 200_000),
    (Bug::ForgetRecordEarly,   "forget-record-early",   "a record is removed before the outcome is committed",             ANYWHERE, 500_000),
    (Bug::IgnoreBusy,          "ignore-busy",           "a task is claimed while something of it is still being ended",    ANYWHERE, 500_000),
    (Bug::IgnoreClosedAccount, "ignore-closed-account", "what a limit says of the account is left out",                    ANYWHERE, 200_000),
    (Bug::WaitForSilent,       "wait-for-silent",       "a silent worker is waited for for ever",                          ANYWHERE, 200_000),
    (Bug::WaitForUnreadable,   "wait-for-unreadable",   "a silent holder of an unreadable record is waited for for ever",  ANYWHERE, 1_000_000),
    (Bug::RepeatLaunch,        "repeat-launch",         "a launch is carried out twice",                                   ANYWHERE, 200_000),
    (Bug::ForgetNotices,       "forget-notices",        "a daemon that starts tells no notice of an earlier one",          ANYWHERE, 200_000),
    (Bug::TellOnce,            "tell-once",             "a notice counts as taken whatever its command says",              ANYWHERE, 200_000),
    (Bug::ResumeAttached,      "resume-attached",       "a resume takes a session out of a person's hands",                ANYWHERE, 200_000),
    (Bug::FallbackGoesBack,    "fallback-goes-back",    "a task that has moved goes back to where it was",                 ANYWHERE, 200_000),
    (Bug::ReserveNothing,      "reserve-nothing",       "a claim reserves no share of its budgets",                        ANYWHERE, 200_000),
    (Bug::KeepShare,           "keep-share",            "the share of an attempt that has ended stays reserved",           ANYWHERE, 200_000),
    (Bug::SettleTwice,         "settle-twice",          "what a run has cost is counted twice",                            ANYWHERE, 200_000),
    (Bug::UnknownIsNothing,    "unknown-is-nothing",    "a cost that nobody told counts as nothing",                       ANYWHERE, 200_000),
    (Bug::IgnoreBudgets,       "ignore-budgets",        "a daemon that starts does not know the budgets of the settings",  ANYWHERE, 200_000),
    (Bug::OverlookShares,      "overlook-shares",       "a claim does not see what running attempts have reserved",       ANYWHERE, 200_000),
];

impl Bug {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.into_iter().map(|row| row.0)
    }

    fn row(self) -> Row {
        // The table has a row for each: a test says so.
        let row = TABLE.into_iter().find(|row| row.0 == self);
        row.unwrap_or(TABLE[0])
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What it is, in a few words.
    #[must_use]
    pub fn what(self) -> &'static str {
        self.row().2
    }

    /// Whether it can be found with the disk model only.
    #[must_use]
    pub fn needs_disk(self) -> bool {
        self.row().3
    }

    /// It must be found within so many steps.
    #[must_use]
    pub fn found_within(self) -> u64 {
        self.row().4
    }

    /// The scenario in which it is looked for.
    #[must_use]
    pub fn scenario(self) -> Scenario {
        match self {
            Self::SkipSync | Self::SkipStartSync => Scenario::Disk,
            Self::SkipExitSync | Self::WaitForUnreadable => Scenario::Crashes,
            Self::ShortenHold
            | Self::CountLimitAsRetry
            | Self::IgnoreClosedAccount
            | Self::FallbackGoesBack => Scenario::Accounts,
            Self::DropLockCheck
            | Self::SpawnBeforeCommit
            | Self::ReplyBeforeCommit
            | Self::ForgetAdopted
            | Self::ForgetSlots
            | Self::DropIntent
            | Self::SkipSweep
            | Self::RecordAfterClaim
            | Self::SkipRecordLock
            | Self::LostIsSuccess
            | Self::ExitCodeIsSuccess
            | Self::ForgetRecordEarly
            | Self::IgnoreBusy
            | Self::WaitForSilent
            | Self::RepeatLaunch
            | Self::ForgetNotices
            | Self::TellOnce
            | Self::ResumeAttached
            | Self::ReserveNothing
            | Self::KeepShare
            | Self::SettleTwice
            | Self::UnknownIsNothing
            | Self::IgnoreBudgets
            | Self::OverlookShares => Scenario::All,
        }
    }

    /// The bug with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|bug| bug.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_row_and_its_name() {
        for bug in Bug::all() {
            assert_eq!(bug.row().0, bug);
            assert_eq!(Bug::from_name(bug.name()), Some(bug));
        }
    }
}
