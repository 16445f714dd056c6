//! What a run says about its account before it ends: a long one need not keep others waiting.

use super::key_of;
use crate::holds::{Hit, Hold, Run};
use crate::supervisor::handler::attempt::running;
use crate::supervisor::handler::{Handler, Step, StepError};
use crate::task::{AttemptId, Prompt, Report, Timestamp};

impl Handler {
    /// An agent that runs was served, or told of its windows. A hint: the end says it again, and told twice it does nothing
    /// more.
    pub(in crate::supervisor::handler) fn heard(
        &mut self,
        step: &mut Step<'_>,
        attempt: &AttemptId,
        report: &Report,
    ) -> Result<(), StepError> {
        // Of a run whose beginning nobody knows: it proves nothing about what came after an opening.
        let never = Timestamp::from_ms(Timestamp::MIN_MS);
        if let Some((agent, account)) = self.own_probe_of(attempt) {
            let prompt = Prompt::of(String::new(), agent, account);
            return self.hear(step, &prompt, &Run::OwnProbe, never, report);
        }
        let Some(task) = running(step, attempt)? else {
            return Ok(());
        };
        let Some(prompt) = task.prompt_there() else {
            return Ok(());
        };
        let began = task.life.started_at.unwrap_or(never);
        self.hear(step, &prompt, &Run::Attempt(attempt.clone()), began, report)?;
        self.count_tokens(step, &task, report)
    }

    fn hear(
        &mut self,
        step: &mut Step<'_>,
        prompt: &Prompt,
        run: &Run,
        began: Timestamp,
        report: &Report,
    ) -> Result<(), StepError> {
        let now = step.moment.now;
        let hit = Hit {
            run,
            at: now,
            random: step.moment.random,
            detail: "",
        };
        let (held, ended) = self.with_account(step, &key_of(prompt), |account, policy| {
            let held = account.observe(&report.windows, report.overage, &hit, policy);
            let ended = if report.served {
                account.served(run, began, now)
            } else {
                Vec::new()
            };
            (held, ended)
        })?;
        if let Some(held) = held {
            super::tell(prompt, &held);
        }
        tell_open(prompt, &ended);
        Ok(())
    }
}

/// Tells the log which holds are over.
pub(super) fn tell_open(prompt: &Prompt, ended: &[Hold]) {
    for hold in ended {
        tracing::info!(
            agent = prompt.agent,
            account = prompt.account,
            kind = hold.kind.name(),
            "the hold is over: a probe was served"
        );
    }
}
