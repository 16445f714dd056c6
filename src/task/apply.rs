//! What an event does to a task: [`Lifecycle::birth`], [`Lifecycle::apply`] and the fold of a journal.
//!
//! Invariant: total. Every event on every value gives a new value for which [`Lifecycle::check`] holds, or a typed error
//! and no change. The state comes from the table and from nowhere else; this file only carries the payloads along.

use super::kind::EventKind;
use super::table::{self, IllegalTransition};
use super::{
    AgentRun, Attachment, Event, Intent, IntentKind, Lifecycle, Moved, Next, Outcome, OutcomeKind,
    PauseReason,
};
use super::{PauseReasons, ResumeTo, State, Timestamp};

/// The event cannot be applied; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The table has no such transition.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// A task begins with its submission.
    #[error("begin a task with anything but its submission")]
    NotSubmitted,
    /// Each claim gives the generation after the former one.
    #[error("claim generation {given}: the former generation is {former}")]
    WrongGeneration {
        /// The generation of the row.
        former: u32,
        /// The one in the event.
        given: u32,
    },
    /// The start of this attempt is already known.
    #[error("start an attempt that has already started")]
    AlreadyStarted,
    /// A wish at least as strong is already being carried out, and this one adds nothing to it.
    #[error("intend {wished:?}: the attempt is already being stopped ({current:?})")]
    NotStronger {
        /// The wish that is being carried out.
        current: IntentKind,
        /// The one in the event.
        wished: IntentKind,
    },
    /// It is already paused for this reason.
    #[error("pause a task that is already paused for this reason ({0:?})")]
    AlreadyPaused(PauseReason),
    /// It is paused, but not for this reason.
    #[error("resume a task that is not paused for this reason ({0:?})")]
    NotPausedFor(PauseReason),
    /// A person has its session in hand: it goes on once that is handed back.
    #[error("let a task go on whose session user {} has attached", .0.by)]
    Attached(Attachment),
    /// Nobody has its session in hand.
    #[error("hand back a session that nobody has attached")]
    NotAttached,
    /// No attempt has begun a session that could be handed to a person.
    #[error("attach the session of a task that has none")]
    NoSession,
    /// The question is about the task itself: it is approved or rejected, not answered.
    #[error("answer a task whose agent asked nothing")]
    NothingAsked,
    /// What is to follow does not fit how the attempt ended: a success that is none, a limit that would cost a retry.
    #[error("follow the outcome {outcome:?} with {next:?}: they do not fit")]
    Misfit {
        /// How the attempt ended.
        outcome: OutcomeKind,
        /// What was to follow.
        next: Next,
    },
}

/// A journal does not fold to a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// There is no event at all.
    #[error("fold an empty journal")]
    Empty,
    /// One event cannot follow those before it.
    #[error("apply event {number} of the journal")]
    Event {
        /// Which one, from 1.
        number: usize,
        /// Why.
        source: ApplyError,
    },
}

impl Lifecycle {
    /// The row that a submission creates.
    ///
    /// # Errors
    /// [`ApplyError::NotSubmitted`] for any other event.
    pub fn birth(event: &Event) -> Result<Self, ApplyError> {
        let Event::Submitted { not_before } = event else {
            return Err(ApplyError::NotSubmitted);
        };
        Ok(Self {
            state: State::Pending,
            generation: 0,
            retries: 0,
            restarts: Vec::new(),
            resume: false,
            pause_reasons: PauseReasons::new(),
            resume_to: ResumeTo::default(),
            intent: None,
            not_before: *not_before,
            outcome: None,
            started_at: None,
            finished_at: None,
            agent: None,
        })
    }

    /// The row after `event`, committed at `at`. The same event on the same row gives the same row, always.
    ///
    /// # Errors
    /// [`ApplyError`]; the callers that serve people turn [`ApplyError::NotStronger`], [`ApplyError::AlreadyPaused`],
    /// [`ApplyError::NotPausedFor`] and [`ApplyError::AlreadyStarted`] into "already so".
    pub fn apply(&self, event: &Event, at: Timestamp) -> Result<Self, ApplyError> {
        let mut row = self.clone();
        row.state = table::next_state(self.state, EventKind::of(event, self))?;
        match event {
            // No cell of the table admits a second submission; were there one, it would change nothing.
            Event::Submitted { .. } => {}
            Event::Claimed {
                generation, run, ..
            } => row.claim(*generation, run.as_deref())?,
            Event::Started { started_at } => row.start(*started_at)?,
            Event::IntentSet { intent } => row.intend(intent)?,
            Event::Ended {
                outcome,
                ended_at,
                next,
                report,
            } => {
                row.end(outcome, *ended_at, *next, at)?;
                if let Some(agent) = &mut row.agent {
                    agent.end(outcome.kind, report.as_deref());
                    if let Next::Continue { why, .. } = next {
                        agent.go_further(*why);
                    }
                }
            }
            Event::Paused { reason } => row.pause(self.state, *reason)?,
            Event::Resumed { reason } => row.let_go_on(*reason)?,
            Event::Moved {
                to,
                from,
                why,
                tried,
            } => row.agent.get_or_insert_default().go_elsewhere(Moved {
                to: (**to).clone(),
                from: (**from).clone(),
                why: why.clone(),
                tried: *tried,
                at,
            }),
            Event::Attached { by } => row.attach(*by, at)?,
            Event::Detached => row.detach()?,
            Event::DependencyFailed { dependency } => {
                let outcome = Outcome::of(OutcomeKind::DependencyFailed);
                row.outcome = Some(outcome.with_detail(format!("{dependency} did not complete")));
            }
            Event::Edited { fields, not_before } => {
                if fields.iter().any(|field| field == Event::FIELD_AT) {
                    row.not_before = *not_before;
                }
            }
            // A person has looked at it: what went wrong before is not held against it.
            Event::Approved => row.restarts.clear(),
            Event::Reopened => row.reopen(),
            Event::Answered => row.answered()?,
            Event::Cancelled
            | Event::Held
            | Event::Released
            | Event::Screened { .. }
            | Event::Rejected => {}
        }
        row.leave_behind(at);
        Ok(row)
    }

    /// Folds a whole journal.
    ///
    /// # Errors
    /// [`FoldError`], with the number of the event that does not fit.
    pub fn fold<E: std::borrow::Borrow<Event>>(
        journal: impl IntoIterator<Item = (E, Timestamp)>,
    ) -> Result<Self, FoldError> {
        let mut row: Option<Self> = None;
        for (index, (event, at)) in journal.into_iter().enumerate() {
            let event = event.borrow();
            let next = match &row {
                None => Self::birth(event),
                Some(row) => row.apply(event, at),
            };
            row = Some(next.map_err(|source| FoldError::Event {
                number: index + 1,
                source,
            })?);
        }
        row.ok_or(FoldError::Empty)
    }

    fn claim(&mut self, generation: u32, run: Option<&AgentRun>) -> Result<(), ApplyError> {
        if self.generation.checked_add(1) != Some(generation) {
            return Err(ApplyError::WrongGeneration {
                former: self.generation,
                given: generation,
            });
        }
        self.generation = generation;
        self.not_before = None;
        self.started_at = None;
        if let Some(run) = run {
            self.agent.get_or_insert_default().claim(run);
        }
        Ok(())
    }

    fn start(&mut self, started_at: Timestamp) -> Result<(), ApplyError> {
        if self.started_at.is_some() {
            return Err(ApplyError::AlreadyStarted);
        }
        self.started_at = Some(started_at);
        Ok(())
    }

    /// A stronger wish replaces a weaker one. A weaker one that brings a *new reason to pause* is accepted too: the stronger
    /// goes on, and the reason is kept, so that a pause that was acknowledged holds when the stronger wish ends otherwise.
    fn intend(&mut self, wish: &Intent) -> Result<(), ApplyError> {
        let reason = wish.kind.pause_reason();
        let current = self.intent.as_ref();
        let replaces = current.is_none_or(|current| wish.is_stronger_than(current));
        let adds = reason.is_some_and(|reason| !self.pause_reasons.contains(&reason))
            && current.is_none_or(|current| current.kind != IntentKind::Cancel);
        if let Some(current) = current
            && !replaces
            && !adds
        {
            return Err(ApplyError::NotStronger {
                current: current.kind,
                wished: wish.kind,
            });
        }
        if replaces {
            self.intent = Some(wish.clone());
        }
        self.pause_reasons.extend(reason);
        Ok(())
    }

    fn end(
        &mut self,
        outcome: &Outcome,
        ended_at: Timestamp,
        next: Next,
        at: Timestamp,
    ) -> Result<(), ApplyError> {
        if !fits(outcome.kind, next) {
            return Err(ApplyError::Misfit {
                outcome: outcome.kind,
                next,
            });
        }
        // An attempt in which nothing ran changes nothing about how the next one begins.
        let ran = outcome.kind.may_have_run();
        self.outcome = Some(outcome.clone());
        match next {
            Next::Complete | Next::Fail | Next::Cancel => self.finished_at = Some(ended_at),
            Next::Retry {
                not_before,
                spends_retry,
                counts_as_restart,
                resume,
            } => {
                self.not_before = Some(not_before);
                self.retries = self.retries.saturating_add(u32::from(spends_retry));
                if counts_as_restart {
                    self.restarts.push(at);
                    let surplus = self.restarts.len().saturating_sub(Self::RESTARTS_KEPT);
                    self.restarts.drain(..surplus);
                }
                if ran {
                    self.resume = resume;
                }
            }
            Next::Continue { not_before, .. } => {
                self.not_before = Some(not_before);
                self.resume = true;
            }
            Next::Pause { reason } => {
                self.pause_reasons.insert(reason);
                self.resume_to = resume_to(outcome.kind);
                self.resume |= ran;
            }
            Next::Pending | Next::Wait | Next::Review | Next::Defer | Next::Test => {
                self.resume |= ran;
            }
        }
        // The wish is carried out, or the attempt was quicker.
        self.intent = None;
        Ok(())
    }

    fn pause(&mut self, from: State, reason: PauseReason) -> Result<(), ApplyError> {
        if !self.pause_reasons.insert(reason) {
            return Err(ApplyError::AlreadyPaused(reason));
        }
        match from {
            State::Paused => {}
            State::WaitingUnban => self.resume_to = ResumeTo::WaitingUnban,
            State::Retrying => self.resume_to = ResumeTo::Retrying,
            State::Pending
            | State::Processing
            | State::Testing
            | State::NeedsHumanReview
            | State::Completed
            | State::Failed
            | State::Cancelled => self.resume_to = ResumeTo::Pending,
        }
        Ok(())
    }

    fn answered(&self) -> Result<(), ApplyError> {
        let outcome = self.outcome.as_ref();
        let asked = outcome.is_some_and(|outcome| outcome.kind.may_have_run());
        asked.then_some(()).ok_or(ApplyError::NothingAsked)
    }

    fn reopen(&mut self) {
        self.retries = 0;
        self.restarts.clear();
        self.resume = false;
        self.not_before = None;
        self.finished_at = None;
        if let Some(agent) = &mut self.agent {
            agent.reopen();
        }
    }

    /// Drops what has no meaning in the new state.
    fn leave_behind(&mut self, at: Timestamp) {
        if self.state != State::Paused {
            self.resume_to = ResumeTo::default();
            if !self.state.holds_slot() || self.intent.is_none() {
                self.pause_reasons.clear();
            }
            if let Some(agent) = &mut self.agent {
                agent.attached = None;
            }
        }
        if self.state.is_final() {
            self.finished_at.get_or_insert(at);
        }
    }
}

/// Where a task goes on whose attempt was paused: a limit it had reached is not forgotten while it was paused.
const fn resume_to(outcome: OutcomeKind) -> ResumeTo {
    match outcome {
        OutcomeKind::Limited => ResumeTo::WaitingUnban,
        OutcomeKind::NeverRan => ResumeTo::Pending,
        OutcomeKind::Succeeded
        | OutcomeKind::Exited
        | OutcomeKind::Signaled
        | OutcomeKind::OutOfMemory
        | OutcomeKind::TimedOut
        | OutcomeKind::Idle
        | OutcomeKind::Interrupted
        | OutcomeKind::SpawnFailed
        | OutcomeKind::ToolsDenied
        | OutcomeKind::ToolDeferred
        | OutcomeKind::MaxTurns
        | OutcomeKind::MaxBudget
        | OutcomeKind::Refused
        | OutcomeKind::PromptTooLong
        | OutcomeKind::UnknownSession
        | OutcomeKind::ResumeFailed
        | OutcomeKind::PoisonedSession
        | OutcomeKind::ModelUnavailable
        | OutcomeKind::AgentError
        | OutcomeKind::NoResult
        | OutcomeKind::Lost
        | OutcomeKind::DependencyFailed => ResumeTo::Retrying,
    }
}

/// Whether `next` may follow `outcome`. This is where "lost is never success" and "a limit is never a failure" cannot be
/// broken, whatever decided.
const fn fits(outcome: OutcomeKind, next: Next) -> bool {
    use OutcomeKind::{DependencyFailed, Limited, Lost, NeverRan, Succeeded, ToolsDenied};
    match next {
        Next::Pending => matches!(outcome, NeverRan),
        Next::Complete => matches!(outcome, Succeeded | ToolsDenied),
        Next::Continue { .. } => matches!(outcome, Succeeded),
        Next::Wait => matches!(outcome, Limited),
        Next::Fail => !matches!(outcome, Limited | NeverRan),
        Next::Retry { spends_retry, .. } => match outcome {
            Limited | NeverRan | DependencyFailed => false,
            Lost => !spends_retry,
            OutcomeKind::Succeeded
            | OutcomeKind::Exited
            | OutcomeKind::Signaled
            | OutcomeKind::OutOfMemory
            | OutcomeKind::TimedOut
            | OutcomeKind::Idle
            | OutcomeKind::Interrupted
            | OutcomeKind::SpawnFailed
            | ToolsDenied
            | OutcomeKind::ToolDeferred
            | OutcomeKind::MaxTurns
            | OutcomeKind::MaxBudget
            | OutcomeKind::Refused
            | OutcomeKind::PromptTooLong
            | OutcomeKind::UnknownSession
            | OutcomeKind::ResumeFailed
            | OutcomeKind::PoisonedSession
            | OutcomeKind::ModelUnavailable
            | OutcomeKind::AgentError
            | OutcomeKind::NoResult => true,
        },
        Next::Pause { .. } => !matches!(outcome, DependencyFailed),
        Next::Cancel => true,
        Next::Review | Next::Defer | Next::Test => !matches!(outcome, Limited | DependencyFailed),
    }
}
