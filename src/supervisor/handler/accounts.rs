//! Accounts of agents: which may start tasks now, what the end of a run says about them, and who finds out whether one is
//! open again.
//!
//! What to think of a block or a success is the room `holds`'; here are the rows and the tasks. Invariants:
//! - An account's state is a row, written in the transaction of the event that changed it; memory is a cache.
//! - Under a hold nothing starts but its probe, and a probe is known by its attempt.

mod contract;
mod heard;
mod known;
mod own;

use std::collections::BTreeSet;

use known::AccountKey;
pub(super) use known::Accounts;

use super::agents::was_served;
use super::{Handler, Step, StepError};
use crate::holds::{Account, Ask, Gate as Door, Held, Hit, Policy, Run, Start, Why, Wish};
use crate::store::AccountRow;
use crate::supervisor::account::{AccountChange, AccountSpec};
use crate::supervisor::command::{Refusal, RefusalCode, Reply};
use crate::supervisor::event::{Attention, Closed, Effect};
use crate::task::{
    Actor, AttemptId, Block, BlockKind, Event, Gate, OutcomeKind, Priority, Prompt, Task, Timestamp,
};

/// What a person is told of when an account is closed until a person acts.
const ACCOUNT_CLOSED: &str = "account_closed";

/// What a hold says that a person has set.
const SET_BY_A_PERSON: &str = "set by a person";

/// A run of an account that has ended.
pub(super) struct Ended<'a> {
    /// How.
    pub(super) closed: &'a Closed,
    /// Who used the account.
    pub(super) run: &'a Run,
    /// Since when.
    pub(super) began: Timestamp,
}

impl Handler {
    /// Whether a task at this gate may start now.
    pub(super) fn door(&self, gate: &Gate, priority: Priority, now: Timestamp) -> Door<'_> {
        let ask = Ask {
            model: gate.model.as_deref(),
            priority,
            now,
        };
        self.accounts
            .state(&gate.agent, &gate.account)
            .map_or(Door::Open, |account| {
                account.gate(&ask, &self.accounts.policy)
            })
    }

    /// How the task's account is reached.
    pub(super) fn account_of(&self, task: &Task) -> AccountSpec {
        let Some(prompt) = task.prompt_there() else {
            return AccountSpec::default();
        };
        self.accounts.spec(&key_of(&prompt))
    }

    /// What a person wants of an account.
    pub(super) fn change_account(
        &mut self,
        step: &mut Step<'_>,
        agent: &str,
        name: &str,
        change: &AccountChange,
    ) -> Result<Reply, StepError> {
        let key = (agent.to_owned(), name.to_owned());
        let now = step.moment.now;
        let is_default = name == Prompt::DEFAULT_ACCOUNT;
        if !is_default
            && !self.accounts.known.contains_key(&key)
            && !matches!(
                change,
                AccountChange::Put(_) | AccountChange::Broken(_) | AccountChange::Sound
            )
        {
            let text =
                format!("there is no account {name} of {agent}; `taskctl account list` names them");
            return Err(Refusal::new(RefusalCode::NotFound, text).into());
        }
        match change {
            AccountChange::Put(spec) => {
                let spec = serde_json::to_string(spec).unwrap_or_default();
                self.accounts.known.entry(key.clone()).or_default().spec = spec;
                self.inherit_contract(&key, now);
            }
            AccountChange::Broken(why) => {
                return self.contract_is_broken(step, &key, why);
            }
            AccountChange::Sound => return self.contract_is_kept(step, agent),
            AccountChange::Remove => {
                if step.tx.account_is_needed(agent, name)? {
                    let text = format!(
                        "unfinished tasks need the account {name} of {agent}; cancel them, or wait for them"
                    );
                    return Err(Refusal::new(RefusalCode::IllegalTransition, text).into());
                }
                self.number_on(step, &key)?;
                step.tx.delete_account(agent, name)?;
                self.accounts.known.remove(&key);
                return Ok(Reply::Done);
            }
            AccountChange::Clear(kind) => {
                let known = self.accounts.known.entry(key.clone()).or_default();
                known.state.clear(*kind, None, now);
            }
            AccountChange::Hold { kind, until } => {
                let Accounts { known, policy, .. } = &mut self.accounts;
                let known = known.entry(key.clone()).or_default();
                let wish = Wish {
                    kind: *kind,
                    model: None,
                    until: *until,
                    detail: SET_BY_A_PERSON,
                };
                let held = known.state.set(&wish, now, policy).map_err(|error| {
                    Refusal::new(RefusalCode::BadRequest, format!("until: {error}"))
                })?;
                let kind = held.hold.kind.name();
                tracing::info!(
                    agent,
                    account = name,
                    kind,
                    "a person has closed the account"
                );
            }
        }
        self.keep(step, &key)?;
        Ok(Reply::Done)
    }

    /// Writes down what is known of an account.
    fn keep(&self, step: &Step<'_>, key: &AccountKey) -> Result<(), StepError> {
        let Some(known) = self.accounts.known.get(key) else {
            return Ok(());
        };
        step.tx.put_account(&AccountRow {
            agent: key.0.clone(),
            name: key.1.clone(),
            spec: if known.spec.is_empty() {
                "{}".to_owned()
            } else {
                known.spec.clone()
            },
            state: serde_json::to_string(&known.state).unwrap_or_else(|_| "{}".to_owned()),
        })?;
        Ok(())
    }

    /// Whether this task may start now, as far as its account goes.
    pub(super) fn account_lets(&self, task: &Task, now: Timestamp) -> bool {
        task.gate().is_none_or(|gate| {
            let door = self.door(&gate, task.spec.priority, now);
            !matches!(door, Door::Closed { .. })
        })
    }

    /// Whether the task's account is closed until a person acts: no time opens it.
    pub(super) fn only_a_person_opens(&self, task: &Task, now: Timestamp) -> bool {
        task.gate().is_some_and(|gate| {
            let door = self.door(&gate, task.spec.priority, now);
            matches!(door, Door::Closed { why: Why::Hold(hold), .. } if hold.until.is_none())
        })
    }

    /// The gates at which a task may start now; those in `shut` are left out.
    pub(super) fn open_gates(
        &self,
        step: &Step<'_>,
        shut: &BTreeSet<Gate>,
    ) -> Result<Vec<Option<Gate>>, StepError> {
        let now = step.moment.now;
        let mut gates = step.tx.ready_gates()?;
        gates.retain(|gate| {
            gate.as_ref().is_none_or(|gate| {
                let door = self.door(gate, Priority::Urgent, now);
                !shut.contains(gate) && !matches!(door, Door::Closed { .. })
            })
        });
        Ok(gates)
    }

    /// Tasks that wait for a hold which is over take their turn, and one as the probe of a hold whose time has come; at most
    /// as many as slots are free, so that who cannot start yet goes on waiting for its account.
    pub(super) fn release_held(
        &mut self,
        step: &mut Step<'_>,
        slots: u32,
    ) -> Result<(), StepError> {
        let now = step.moment.now;
        for gate in step.tx.held_gates()? {
            for task in step.tx.held_at(&gate, slots)? {
                // A foreground run moves its own task only.
                if self
                    .only
                    .as_ref()
                    .is_some_and(|only| only.as_ref() != Some(&task.id))
                {
                    continue;
                }
                let only_one = match self.door(&gate, task.spec.priority, now) {
                    Door::Open => false,
                    Door::Probe { .. } => true,
                    Door::Closed { .. } => break,
                };
                step.apply(&task, &Event::Released, Actor::Daemon)?;
                if only_one {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Tells a person of accounts that are closed until a person acts: of all of them, while there are any, whatever opened
    /// or closed them, and again after a restart.
    pub(super) fn tell_closed(&mut self, step: &mut Step<'_>) {
        let text = self.accounts.closed();
        if text == self.accounts.told {
            return;
        }
        self.accounts.told.clone_from(&text);
        step.effects.push(if text.is_empty() {
            Effect::AttentionOver(ACCOUNT_CLOSED)
        } else {
            Effect::Attention(Attention {
                kind: ACCOUNT_CLOSED,
                text,
            })
        });
    }

    /// When to look again for the accounts' sake.
    pub(super) fn next_look_at_accounts(&self, now: Timestamp) -> Option<Timestamp> {
        self.accounts.next_look(now)
    }

    /// A task begins on its account, which has been asked a moment ago. Whether it is the account's probe.
    pub(super) fn begin_at_account(
        &mut self,
        step: &Step<'_>,
        task: &Task,
        prompt: &Prompt,
        attempt: &AttemptId,
    ) -> Result<bool, StepError> {
        let key = key_of(prompt);
        if !self.accounts.known.contains_key(&key) {
            return Ok(false);
        }
        let ask = Ask {
            model: prompt.model.as_deref(),
            priority: task.spec.priority,
            now: step.moment.now,
        };
        let run = Run::Attempt(attempt.clone());
        let start = self.with_account(step, &key, |account, policy| {
            account.start(&run, &ask, policy)
        })?;
        match start {
            Start::Free => Ok(false),
            Start::Probe => Ok(true),
            Start::Refused => Err(Refusal::new(
                RefusalCode::Internal,
                format!("the account of {} closed while it was claimed", task.id),
            )
            .into()),
        }
    }

    /// A run has ended: what that says about its account.
    pub(super) fn end_at_account(
        &mut self,
        step: &Step<'_>,
        prompt: &Prompt,
        ended: &Ended<'_>,
    ) -> Result<(), StepError> {
        let Ended { closed, run, began } = ended;
        let now = step.moment.now;
        let report = closed.report.as_deref();
        let kind = closed.outcome.kind;
        let hit = Hit {
            run,
            at: now,
            random: step.moment.random,
            detail: &closed.outcome.detail,
        };
        let block = (kind == OutcomeKind::Limited).then(|| {
            report
                .and_then(|report| report.block.clone())
                .unwrap_or_else(|| Block::of(BlockKind::FiveHour))
        });
        let (held, over) = self.with_account(step, &key_of(prompt), |account, policy| {
            let mut held = None;
            if let Some(report) = report {
                held = account.observe(&report.windows, report.overage, &hit, policy);
            }
            let is_served = was_served(kind) || report.is_some_and(|report| report.served);
            let over = if is_served {
                account.served(run, *began, now)
            } else {
                Vec::new()
            };
            if let Some(block) = &block {
                held = Some(account.block(block, &hit, policy));
            }
            account.ended(run);
            (held, over)
        })?;
        heard::tell_open(prompt, &over);
        let by = held.as_ref().and_then(|held| held.hold.by.clone());
        if let Some(held) = held {
            tell(prompt, &held);
        }
        let Some(block) = block.filter(|block| block.kind == BlockKind::Network) else {
            return Ok(());
        };
        // Among the neighbours it is nobody's probe: its hit counts as that of the attempt that it was sent like.
        match by.map(Run::Attempt) {
            Some(by) => self.block_neighbours(step, prompt, &block, &Hit { run: &by, ..hit }),
            None => Ok(()),
        }
    }

    /// A server that cannot be reached is the trouble of all accounts that are reached there.
    fn block_neighbours(
        &mut self,
        step: &Step<'_>,
        prompt: &Prompt,
        block: &Block,
        hit: &Hit<'_>,
    ) -> Result<(), StepError> {
        let own = key_of(prompt);
        let host = self.accounts.host(&own);
        let neighbours: Vec<AccountKey> = self
            .accounts
            .known
            .keys()
            .filter(|key| key.0 == own.0 && **key != own && self.accounts.host(key) == host)
            .cloned()
            .collect();
        for key in neighbours {
            let held = self.with_account(step, &key, |account, policy| {
                account.block(block, hit, policy)
            })?;
            let kind = held.hold.kind.name();
            tracing::info!(
                agent = key.0,
                account = key.1,
                kind,
                "the account must wait"
            );
        }
        Ok(())
    }

    /// Changes what is known of an account, and keeps it. What has not changed is not written.
    fn with_account<T>(
        &mut self,
        step: &Step<'_>,
        key: &AccountKey,
        change: impl FnOnce(&mut Account, &Policy) -> T,
    ) -> Result<T, StepError> {
        let Accounts { known, policy, .. } = &mut self.accounts;
        let known = known.entry(key.clone()).or_default();
        let before = known.state.clone();
        let result = change(&mut known.state, policy);
        if known.state != before {
            self.keep(step, key)?;
        }
        Ok(result)
    }
}

fn key_of(prompt: &Prompt) -> AccountKey {
    (prompt.agent.clone(), prompt.account.clone())
}

/// Tells the log.
fn tell(prompt: &Prompt, held: &Held) {
    let hold = &held.hold;
    let until = hold
        .until
        .map_or_else(|| "a person says so".to_owned(), |until| until.to_string());
    tracing::info!(
        agent = prompt.agent,
        account = prompt.account,
        kind = hold.kind.name(),
        detail = hold.detail,
        until,
        "the account must wait"
    );
}
