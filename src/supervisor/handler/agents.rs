//! Tasks of agents: how an attempt of one begins, and what is noted of its run.

use super::accounts::Ended;
use super::settle::Settled;
use super::{Handler, Step, StepError};
use crate::budget::Budget;
use crate::holds::Run;
use crate::store::LedgerRow;
use crate::supervisor::event::Closed;
use crate::task::agent::{AgentFacts, WRAP_UP_WAIT_MAX_MS};
use crate::task::{AgentRun, AttemptId, OutcomeKind, Prompt, Report, Task, Timestamp};

/// Thousandths in a percent.
const PERMILLE_PER_PERCENT: u32 = 10;

impl Handler {
    /// How the attempt of an agent's task begins; `None` for a plain command.
    pub(super) fn run_of(
        &mut self,
        step: &mut Step<'_>,
        task: &Task,
        attempt: &AttemptId,
        share: Budget,
    ) -> Result<Option<AgentRun>, StepError> {
        let Some(prompt) = task.prompt_there() else {
            return Ok(None);
        };
        let before = task.life.agent.clone().unwrap_or_default();
        let known = before.session.filter(|_| before.begun && task.life.resume);
        let resume = known.is_some();
        let session = known.unwrap_or_else(|| session_id(attempt, step.moment.random));
        let probe = self.begin_at_account(step, task, &prompt, attempt)?;
        Ok(Some(AgentRun {
            session,
            resume,
            probe,
            budget_micro_usd: share.micro_usd,
        }))
    }

    /// What is to be known of an agent's run, beside how it ended.
    pub(super) fn agent_facts(
        &self,
        task: &Task,
        closed: &Closed,
        settled: &Settled,
    ) -> AgentFacts {
        let (Some(prompt), Some(agent)) = (task.spec.command.prompt(), &task.life.agent) else {
            return AgentFacts::default();
        };
        let wrap_up = self.settings.wrap_up_percent;
        let wrap_up_at = closed
            .report
            .as_deref()
            .filter(|_| wrap_up < 100 && !agent.asked_what_remains)
            .and_then(|report| {
                let used_permille = wrap_up * PERMILLE_PER_PERCENT;
                reset_after(report, used_permille, closed.ended_at)
            });
        AgentFacts {
            more_chunks: (agent.chunk as usize) + 1 < prompt.chunks.len(),
            wrap_up_at,
            denied_is_done: self.settings.denied_tools == "complete",
            resumed: agent.begun,
            budget_left: settled.has_more,
        }
    }

    /// The end of an agent's run: its account and its cost.
    pub(super) fn note_run(
        &mut self,
        step: &mut Step<'_>,
        task: &Task,
        closed: &Closed,
        note: &RunNote<'_>,
    ) -> Result<(), StepError> {
        let Some(prompt) = task.prompt_there() else {
            return Ok(());
        };
        let started_at = closed.started_at.or(task.life.started_at);
        // Its account is told how it truly ended.
        let mut as_it_was = closed.clone();
        if let Some(kind) = note.settled.ended_by_us {
            as_it_was.outcome.kind = kind;
        }
        let ended = Ended {
            closed: &as_it_was,
            run: &Run::Attempt(closed.attempt.clone()),
            began: started_at.unwrap_or(closed.ended_at),
        };
        self.end_at_account(step, &prompt, &ended)?;
        if closed.outcome.kind.may_have_run() {
            step.tx
                .add_to_ledger(&ledger_row(step, task, &prompt, closed, note))?;
        }
        Ok(())
    }
}

/// When the window begins anew that was used beyond `permille` by a run that ended then; the last one, when there are several.
/// A time that lay behind the run, or further ahead than any window, was not meant.
fn reset_after(report: &Report, permille: u32, ended_at: Timestamp) -> Option<Timestamp> {
    report
        .windows
        .iter()
        .filter(|window| window.used_permille >= permille)
        .filter_map(|window| window.resets_at)
        .filter(|reset| (1..=WRAP_UP_WAIT_MAX_MS).contains(&reset.ms_since(ended_at)))
        .max()
}

/// What is noted of a run beside its end.
pub(super) struct RunNote<'a> {
    /// What its budgets say.
    pub(super) settled: &'a Settled,
    /// The task is completed.
    pub(super) done: bool,
}

fn ledger_row(
    step: &Step<'_>,
    task: &Task,
    prompt: &Prompt,
    closed: &Closed,
    note: &RunNote<'_>,
) -> LedgerRow {
    let report = closed.report.as_deref();
    let model = report
        .and_then(|report| report.model.clone())
        .or_else(|| prompt.model.clone());
    LedgerRow {
        attempt: closed.attempt.clone(),
        at: step.moment.now,
        uid: task.uid,
        project: task.spec.cwd.to_string_lossy().into_owned(),
        agent: prompt.agent.clone(),
        account: prompt.account.clone(),
        model: model.unwrap_or_default(),
        micro_usd: report.and_then(|report| report.cost_micro_usd),
        estimated: report.is_some_and(|report| report.cost_estimated),
        tokens: report.map(LedgerRow::tokens_of).unwrap_or_default(),
        run_ms: note.settled.run_ms,
        task_type: task.spec.task_type,
        chunks: u32::try_from(prompt.chunks.len())
            .unwrap_or(u32::MAX)
            .max(1),
        done: note.done,
        allowed_micro_usd: note.settled.allowed_micro_usd,
    }
}

/// Whether the server answered this run as a customer's: its account is open.
pub(in crate::supervisor) const fn was_served(kind: OutcomeKind) -> bool {
    match kind {
        OutcomeKind::Succeeded
        | OutcomeKind::ToolsDenied
        | OutcomeKind::ToolDeferred
        | OutcomeKind::MaxTurns
        | OutcomeKind::MaxBudget
        | OutcomeKind::Refused => true,
        OutcomeKind::Exited
        | OutcomeKind::Signaled
        | OutcomeKind::OutOfMemory
        | OutcomeKind::TimedOut
        | OutcomeKind::Idle
        | OutcomeKind::Interrupted
        | OutcomeKind::SpawnFailed
        | OutcomeKind::NeverRan
        | OutcomeKind::Limited
        | OutcomeKind::PromptTooLong
        | OutcomeKind::UnknownSession
        | OutcomeKind::ResumeFailed
        | OutcomeKind::PoisonedSession
        | OutcomeKind::ModelUnavailable
        | OutcomeKind::AgentError
        | OutcomeKind::NoResult
        | OutcomeKind::Lost
        | OutcomeKind::DependencyFailed => false,
    }
}

/// A session's name: a UUID (version 4 by its form) that no other attempt has. Task ids are random, so it is, even where the
/// kernel gave no `random`.
pub(super) fn session_id(attempt: &AttemptId, random: u64) -> String {
    let seed = attempt
        .to_string()
        .bytes()
        .fold(random, |hash, byte| mix(hash ^ u64::from(byte)));
    let (high, low) = (mix(seed), mix(seed ^ u64::from(attempt.generation) ^ 1));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:x}{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        8 + ((low >> 60) & 3),
        (low >> 48) & 0xfff,
        low & 0xffff_ffff_ffff
    )
}

/// One step of splitmix64: spreads every bit over all others.
pub(super) const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_uuids_and_differ_without_any_chance() {
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..1_000_u32 {
            let attempt = AttemptId {
                task: crate::task::TaskId::from_random(u128::from(n / 10)),
                generation: 1 + n % 10,
            };
            let id = session_id(&attempt, 0);
            let parts: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            assert!(
                id.chars().all(|c| c == '-' || c.is_ascii_hexdigit()),
                "{id}"
            );
            assert!(&id[14..15] == "4" && "89ab".contains(&id[19..20]), "{id}");
            assert!(seen.insert(id));
        }
    }
}
