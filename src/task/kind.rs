//! The rows of the transition table: what an event *is*, without its payload.
//!
//! An [`Event`] names what happened; its kind is that word, except where the same word can lead to different places: an
//! attempt's end is split by what follows it, and the end of a pause by where the task goes on.

use std::fmt;

use super::{Event, Lifecycle, Next, ResumeTo};

/// The kind of an event: one row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// [`Event::Submitted`]: the birth of a task, never a move of one.
    Submit,
    /// [`Event::Claimed`].
    Claim,
    /// [`Event::Started`].
    Start,
    /// [`Event::IntentSet`].
    Intend,
    /// [`Event::Ended`] with [`Next::Pending`].
    NeverRan,
    /// [`Event::Ended`] with [`Next::Complete`].
    Complete,
    /// [`Event::Ended`] with [`Next::Fail`].
    Fail,
    /// [`Event::Ended`] with [`Next::Retry`].
    Retry,
    /// [`Event::Ended`] with [`Next::Continue`].
    Continue,
    /// [`Event::Ended`] with [`Next::Wait`].
    Limit,
    /// [`Event::Ended`] with [`Next::Pause`].
    PauseAttempt,
    /// [`Event::Ended`] with [`Next::Cancel`].
    CancelAttempt,
    /// [`Event::Ended`] with [`Next::Review`].
    ToReview,
    /// [`Event::Ended`] with [`Next::Defer`].
    Defer,
    /// [`Event::Ended`] with [`Next::Test`].
    Test,
    /// [`Event::Paused`]: the first reason, or one more.
    Pause,
    /// [`Event::Resumed`] while another reason is left.
    DropReason,
    /// [`Event::Resumed`] of the last reason, with [`ResumeTo::Pending`].
    ResumeToPending,
    /// [`Event::Resumed`] of the last reason, with [`ResumeTo::Retrying`].
    ResumeToRetrying,
    /// [`Event::Resumed`] of the last reason, with [`ResumeTo::WaitingUnban`].
    ResumeToUnban,
    /// [`Event::Attached`].
    Attach,
    /// [`Event::Detached`].
    Detach,
    /// [`Event::Cancelled`].
    Cancel,
    /// [`Event::Held`].
    Hold,
    /// [`Event::Released`].
    Release,
    /// [`Event::Moved`].
    Move,
    /// [`Event::DependencyFailed`].
    DependencyFail,
    /// [`Event::Edited`].
    Edit,
    /// [`Event::Screened`].
    Screen,
    /// [`Event::Approved`].
    Approve,
    /// [`Event::Rejected`].
    Reject,
    /// [`Event::Answered`].
    Answer,
    /// [`Event::Reopened`].
    Reopen,
}

impl EventKind {
    /// All kinds, in the order of the table.
    pub const ALL: [Self; 33] = [
        Self::Submit,
        Self::Claim,
        Self::Start,
        Self::Intend,
        Self::NeverRan,
        Self::Complete,
        Self::Fail,
        Self::Retry,
        Self::Continue,
        Self::Limit,
        Self::PauseAttempt,
        Self::CancelAttempt,
        Self::ToReview,
        Self::Defer,
        Self::Test,
        Self::Pause,
        Self::DropReason,
        Self::ResumeToPending,
        Self::ResumeToRetrying,
        Self::ResumeToUnban,
        Self::Attach,
        Self::Detach,
        Self::Cancel,
        Self::Hold,
        Self::Release,
        Self::Move,
        Self::DependencyFail,
        Self::Edit,
        Self::Screen,
        Self::Approve,
        Self::Reject,
        Self::Answer,
        Self::Reopen,
    ];

    /// The kind of `event` for a task that stands at `life`.
    #[must_use]
    pub fn of(event: &Event, life: &Lifecycle) -> Self {
        match event {
            Event::Submitted { .. } => Self::Submit,
            Event::Claimed { .. } => Self::Claim,
            Event::Started { .. } => Self::Start,
            Event::IntentSet { .. } => Self::Intend,
            Event::Ended { next, .. } => Self::of_end(*next),
            Event::Paused { .. } => Self::Pause,
            Event::Resumed { reason } => {
                let others_left = life.pause_reasons.iter().any(|other| other != reason);
                if others_left {
                    Self::DropReason
                } else {
                    Self::of_resume(life.resume_to)
                }
            }
            Event::Attached { .. } => Self::Attach,
            Event::Detached => Self::Detach,
            Event::Cancelled => Self::Cancel,
            Event::Held => Self::Hold,
            Event::Released => Self::Release,
            Event::Moved { .. } => Self::Move,
            Event::DependencyFailed { .. } => Self::DependencyFail,
            Event::Edited { .. } => Self::Edit,
            Event::Screened { .. } => Self::Screen,
            Event::Approved => Self::Approve,
            Event::Rejected => Self::Reject,
            Event::Answered => Self::Answer,
            Event::Reopened => Self::Reopen,
        }
    }

    const fn of_end(next: Next) -> Self {
        match next {
            Next::Pending => Self::NeverRan,
            Next::Complete => Self::Complete,
            Next::Fail => Self::Fail,
            Next::Retry { .. } => Self::Retry,
            Next::Continue { .. } => Self::Continue,
            Next::Wait => Self::Limit,
            Next::Pause { .. } => Self::PauseAttempt,
            Next::Cancel => Self::CancelAttempt,
            Next::Review => Self::ToReview,
            Next::Defer => Self::Defer,
            Next::Test => Self::Test,
        }
    }

    const fn of_resume(to: ResumeTo) -> Self {
        match to {
            ResumeTo::Pending => Self::ResumeToPending,
            ResumeTo::Retrying => Self::ResumeToRetrying,
            ResumeTo::WaitingUnban => Self::ResumeToUnban,
        }
    }

    /// The words used in errors and in the documentation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Claim => "claim",
            Self::Start => "start",
            Self::Intend => "intend",
            Self::NeverRan => "never ran",
            Self::Complete => "complete",
            Self::Fail => "fail",
            Self::Retry => "retry",
            Self::Continue => "continue",
            Self::Limit => "limit",
            Self::PauseAttempt => "end paused",
            Self::CancelAttempt => "end cancelled",
            Self::ToReview => "to review",
            Self::Defer => "defer",
            Self::Test => "test",
            Self::Pause => "pause",
            Self::DropReason => "drop reason",
            Self::ResumeToPending => "resume to pending",
            Self::ResumeToRetrying => "resume to retrying",
            Self::ResumeToUnban => "resume to waiting_unban",
            Self::Attach => "attach",
            Self::Detach => "detach",
            Self::Cancel => "cancel",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Move => "move",
            Self::DependencyFail => "dependency failed",
            Self::Edit => "edit",
            Self::Screen => "screen",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Answer => "answer",
            Self::Reopen => "reopen",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
