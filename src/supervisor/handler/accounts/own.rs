//! The daemon's own probes: when one is sent, and what its end says.
//!
//! Such a probe is an attempt as any other (a record, a worker, its end taken back after a crash) but of no task: its row is
//! the account's. So it holds no slot, stands in no list, and is never retried.

use super::Ended;
use super::known::AccountKey;
use crate::budget::Budget;
use crate::holds::{OwnProbe, Run};
use crate::store::LedgerRow;
use crate::supervisor::event::{Closed, Effect, Launch};
use crate::supervisor::handler::agents::{mix, session_id};
use crate::supervisor::handler::{ClaimRefused, Handler, Step, StepError};
use crate::task::{
    AgentState, AttemptId, Command, Gate, Lifecycle, PauseReasons, Prompt, ResumeTo, State, Task,
    TaskId, TaskSpec, TaskType, Timestamp,
};

/// Longest time of a probe, in seconds: the agent's own retries and time-outs are shorter as a rule.
const PROBE_TIMEOUT_SECONDS: u64 = 300;
/// What stands in the ledger for the directory.
const PROJECT: &str = "probe";

impl Handler {
    /// Sends the probes that are due on accounts for which nothing waits.
    pub(in crate::supervisor::handler) fn send_own_probes(
        &mut self,
        step: &mut Step<'_>,
    ) -> Result<(), StepError> {
        // A foreground run does what it was asked, and nothing else.
        let asks_nothing = self.settings.probe_prompt.trim().is_empty();
        if self.settings.probe != "on" || asks_nothing || self.only.is_some() {
            return Ok(());
        }
        let due = self.accounts.own_probes_due(step.moment.now);
        if due.is_empty() {
            return Ok(());
        }
        let ready = step.tx.ready_gates()?.into_iter().flatten();
        let waiting: Vec<Gate> = ready.chain(step.tx.held_gates()?).collect();
        for (key, probe) in due {
            let waits = |gate: &Gate| gate.agent == key.0 && gate.account == key.1;
            if !waiting.iter().any(waits) {
                self.send_own_probe(step, &key, probe)?;
            }
        }
        Ok(())
    }

    fn send_own_probe(
        &mut self,
        step: &mut Step<'_>,
        key: &AccountKey,
        probe: Option<OwnProbe>,
    ) -> Result<(), StepError> {
        let now = step.moment.now;
        if !self.has_room_for_probe(step, (&key.0, &key.1))? {
            return Ok(());
        }
        let like = match &probe {
            Some(probe) => step.tx.task(&probe.like.task)?,
            None => None,
        };
        let (Some(mut probe), Some(like)) = (probe, like) else {
            // Without that task nobody knows in which environment its agent finds its login.
            let policy = self.accounts.policy_of(key);
            return self.with_account(step, key, |account, _| account.give_up_own(now, &policy));
        };
        let known = self.accounts.known.get(key);
        if known.is_none_or(|known| known.state.own().is_none()) {
            probe.generation = probe.generation.saturating_add(probes_before(step, key)?);
        }
        let attempt = attempt_of(key, probe.generation);
        match step.world.create_record(&attempt) {
            Ok(()) => {}
            // The one before is still being ended, or there is no space: the next claim looks again.
            Err(ClaimRefused::Busy | ClaimRefused::Failed(_)) => return Ok(()),
        }
        let starts = self.with_account(step, key, |account, policy| {
            account.start_own(&probe, like.uid, now, policy)
        })?;
        if starts {
            tracing::info!(
                agent = key.0,
                account = key.1,
                %attempt,
                "nothing waits for the account: a probe of the daemon's own is sent"
            );
            let task = self.own_task(key, &probe, Some(&like), step.moment.random);
            let account = self.accounts.spec(key);
            step.effects.push(Effect::Launch(Box::new(Launch {
                task,
                account,
                is_probe: true,
                share: Budget::NONE,
            })));
        }
        Ok(())
    }

    /// An account goes: should there be one of this name again, its probes are numbered on. An attempt's name, by which its
    /// record and its bill are known, is used once.
    pub(in crate::supervisor::handler) fn number_on(
        &self,
        step: &Step<'_>,
        key: &AccountKey,
    ) -> Result<(), StepError> {
        let known = self.accounts.known.get(key);
        let Some(own) = known.and_then(|known| known.state.own()) else {
            return Ok(());
        };
        let last = own.generation.to_string();
        Ok(step.tx.set_meta(&probes_key(key), Some(&last))?)
    }

    /// The probes that were under way when the rows were read: to be taken back as running attempts are.
    #[must_use]
    pub fn own_probes(&self) -> Vec<Task> {
        let running = self.accounts.known.iter().filter_map(|(key, known)| {
            let own = known.state.own().filter(|own| own.running)?;
            let probe = OwnProbe {
                generation: own.generation,
                model: None,
                like: attempt_of(key, own.generation),
            };
            Some(self.own_task(key, &probe, None, 0))
        });
        running.collect()
    }

    /// Whether there was such a probe, by the name of its attempt, whatever became of it.
    #[must_use]
    pub fn is_own_probe(&self, attempt: &AttemptId) -> bool {
        self.accounts.known.iter().any(|(key, known)| {
            let generation = known.state.own().map_or(0, |own| own.generation);
            attempt.task == id_of(key) && attempt.generation <= generation
        })
    }

    /// The account whose probe this attempt is, while that is not over.
    pub(super) fn own_probe_of(&self, attempt: &AttemptId) -> Option<AccountKey> {
        let is_it = |(key, known): &(&AccountKey, &super::known::Known)| {
            let own = known.state.own().filter(|own| own.running);
            own.is_some_and(|own| attempt_of(key, own.generation) == *attempt)
        };
        let found = self.accounts.known.iter().find(is_it);
        found.map(|(key, _)| key.clone())
    }

    /// An attempt has ended that no task holds: what that says, if it was such a probe.
    pub(in crate::supervisor::handler) fn own_closed(
        &mut self,
        step: &mut Step<'_>,
        closed: &Closed,
    ) -> Result<(), StepError> {
        let Some(key) = self.own_probe_of(&closed.attempt) else {
            return Ok(());
        };
        let prompt = Prompt::of(String::new(), key.0.clone(), key.1.clone());
        let ended = Ended {
            closed,
            run: &Run::OwnProbe,
            began: closed.started_at.unwrap_or(closed.ended_at),
        };
        self.end_at_account(step, &prompt, &ended)?;
        let uid = self.with_account(step, &key, |account, _| {
            account.own_ended();
            account.own().map_or(0, |own| own.uid)
        })?;
        step.effects
            .push(Effect::RemoveFiles(vec![closed.attempt.task.clone()]));
        if closed.outcome.kind.may_have_run() {
            self.budgets.has_spent();
            step.tx
                .add_to_ledger(&ledger_row(step.moment.now, &prompt, uid, closed))?;
        }
        tracing::info!(
            agent = key.0,
            account = key.1,
            attempt = %closed.attempt,
            outcome = ?closed.outcome.kind,
            detail = closed.outcome.detail,
            "a probe of the daemon's own has ended"
        );
        Ok(())
    }

    /// A task as the launch wants it. It was never submitted and is never stored.
    fn own_task(
        &self,
        key: &AccountKey,
        probe: &OwnProbe,
        like: Option<&Task>,
        random: u64,
    ) -> Task {
        let attempt = attempt_of(key, probe.generation);
        let mut prompt = Prompt::of(
            self.settings.probe_prompt.clone(),
            key.0.clone(),
            key.1.clone(),
        );
        prompt.model.clone_from(&probe.model);
        let like_prompt = like.and_then(|task| task.spec.command.prompt());
        // The task may have moved on since, to another agent.
        let like_prompt = like_prompt.filter(|prompt| prompt.agent == key.0);
        prompt.program = like_prompt.and_then(|prompt| prompt.program.clone());
        let name = format!("probe {}", key.1);
        let command = Command::Prompt(Box::new(prompt));
        // The directory is the launch's matter: an empty one.
        let mut spec = TaskSpec::of(&name, command, "/".into());
        spec.timeout_seconds = Some(PROBE_TIMEOUT_SECONDS);
        if let Some(like) = like {
            spec.env.clone_from(&like.spec.env);
            spec.secrets.clone_from(&like.spec.secrets);
        }
        Task {
            seq: 0,
            uid: like.map_or(0, |like| like.uid),
            created_at: Timestamp::from_ms(0),
            spec,
            life: Lifecycle {
                state: State::Processing,
                generation: attempt.generation,
                retries: 0,
                restarts: Vec::new(),
                resume: false,
                pause_reasons: PauseReasons::new(),
                resume_to: ResumeTo::default(),
                intent: None,
                not_before: None,
                outcome: None,
                started_at: None,
                finished_at: None,
                agent: Some(AgentState {
                    session: Some(session_id(&attempt, random)),
                    probe: true,
                    ..AgentState::default()
                }),
            },
            slot: None,
            id: attempt.task,
        }
    }
}

/// The name under which an account's probes run: always the same, so that two never run at once and what one leaves behind
/// is the next one's to clean up. No task has it: theirs are random, in as many bits.
fn id_of(key: &AccountKey) -> TaskId {
    let hash = |seed: u64| {
        let bytes = key.0.bytes().chain([b'/']).chain(key.1.bytes());
        bytes.fold(seed, |hash, byte| mix(hash ^ u64::from(byte)))
    };
    TaskId::from_random(u128::from(hash(1)) << 64 | u128::from(hash(2)))
}

/// Where the number of the last probe is kept of an account that was removed.
fn probes_key(key: &AccountKey) -> String {
    format!("probes.{}/{}", key.0, key.1)
}

/// The number of the last probe of an account of this name that was removed.
fn probes_before(step: &Step<'_>, key: &AccountKey) -> Result<u32, StepError> {
    let last = step.tx.meta(&probes_key(key))?;
    Ok(last.and_then(|last| last.parse().ok()).unwrap_or(0))
}

fn attempt_of(key: &AccountKey, generation: u32) -> AttemptId {
    AttemptId {
        task: id_of(key),
        generation,
    }
}

fn ledger_row(now: Timestamp, prompt: &Prompt, uid: u32, closed: &Closed) -> LedgerRow {
    let report = closed.report.as_deref();
    let run_ms = closed
        .started_at
        .map_or(0, |started_at| closed.ended_at.ms_since(started_at));
    LedgerRow {
        attempt: closed.attempt.clone(),
        at: now,
        uid,
        project: PROJECT.to_owned(),
        agent: prompt.agent.clone(),
        account: prompt.account.clone(),
        model: report
            .and_then(|report| report.model.clone())
            .unwrap_or_default(),
        micro_usd: report.and_then(|report| report.cost_micro_usd),
        estimated: report.is_some_and(|report| report.cost_estimated),
        tokens: report.map(LedgerRow::tokens_of).unwrap_or_default(),
        run_ms: u64::try_from(run_ms).unwrap_or(0),
        task_type: TaskType::default(),
        chunks: 1,
        done: false,
        allowed_micro_usd: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_has_a_name_of_its_own_for_its_probes() {
        let key = |agent: &str, name: &str| (agent.to_owned(), name.to_owned());
        let ids = [
            id_of(&key("claude", "default")),
            id_of(&key("claude", "work")),
            id_of(&key("codex", "default")),
            id_of(&key("claude/", "default")),
        ];
        let distinct: std::collections::BTreeSet<&TaskId> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "{ids:?}");
        assert_eq!(ids[0], id_of(&key("claude", "default")));
    }
}
