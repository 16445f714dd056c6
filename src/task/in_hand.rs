//! A session in a person's hands: while it is there, the task stays paused for that person.

use super::{ApplyError, Attachment, Lifecycle, PauseReason, Timestamp};

impl Lifecycle {
    /// Who has the agent's session in hand.
    #[must_use]
    pub fn attached(&self) -> Option<Attachment> {
        self.agent.as_ref().and_then(|agent| agent.attached)
    }

    pub(super) fn attach(&mut self, by: u32, since: Timestamp) -> Result<(), ApplyError> {
        if let Some(attached) = self.attached() {
            return Err(ApplyError::Attached(attached));
        }
        if !self.pause_reasons.contains(&PauseReason::Person) {
            return Err(ApplyError::NotPausedFor(PauseReason::Person));
        }
        let agent = self.agent.as_mut().filter(|agent| agent.has_session());
        agent.ok_or(ApplyError::NoSession)?.attached = Some(Attachment { by, since });
        Ok(())
    }

    /// The next attempt goes on where the person has left the session, whatever the task's type.
    pub(super) fn detach(&mut self) -> Result<(), ApplyError> {
        let agent = self.agent.as_mut();
        let attached = agent.and_then(|agent| agent.attached.take());
        attached.ok_or(ApplyError::NotAttached)?;
        self.resume = true;
        Ok(())
    }

    /// A reason to pause ends.
    pub(super) fn let_go_on(&mut self, reason: PauseReason) -> Result<(), ApplyError> {
        if let (PauseReason::Person, Some(attached)) = (reason, self.attached()) {
            return Err(ApplyError::Attached(attached));
        }
        if self.pause_reasons.remove(&reason) {
            Ok(())
        } else {
            Err(ApplyError::NotPausedFor(reason))
        }
    }
}
