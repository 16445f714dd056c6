//! Holds, judged by a second account of the same events: the announced ends that runs were told of.

use std::collections::BTreeMap;

use super::sessions::place_of;
use super::{Judged, Observation, demand};
use crate::config::Settings;
use crate::holds::{Account, Policy, Run, same_model};
use crate::store::AccountRow;
use crate::supervisor::account::policy;
use crate::supervisor::event::AttemptReport;
use crate::task::{Block, BlockKind, Place, Task, Timestamp};

/// No hold waits longer for its probe.
const HOLD_MAX_MS: i64 = 8 * 24 * 3_600 * 1_000;

type Key = (String, String);

/// What an account must wait for at least, and its row as it was committed last.
#[derive(Debug, Default)]
pub(super) struct Shadow {
    /// By account and model (empty = the whole account).
    ends: BTreeMap<(Key, String), Timestamp>,
    rows: Vec<AccountRow>,
    accounts: BTreeMap<Key, Account>,
}

fn key_of(place: &Place) -> Key {
    (place.agent.clone(), place.account.clone())
}

impl Shadow {
    pub(super) fn rows(&self) -> &[AccountRow] {
        &self.rows
    }

    /// The accounts that only a person opens.
    pub(super) fn closed(&self) -> Vec<Key> {
        let is_closed = |account: &Account| account.holds().iter().any(|it| it.until.is_none());
        let accounts = self.accounts.iter();
        accounts
            .filter(|(_, account)| is_closed(account))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// What the transaction was told beside the journals.
    pub(super) fn heard(&mut self, observed: &Observation) {
        for key in &observed.cleared {
            self.ends.retain(|(known, _), _| known != key);
        }
        let probes: Vec<(Key, Run)> = self
            .accounts
            .iter()
            .filter_map(|(key, account)| Some((key.clone(), account.probe()?.run.clone())))
            .collect();
        for report in &observed.reports {
            let served = match report {
                AttemptReport::Heard { report, .. } => report.served,
                AttemptReport::Closed(closed) => {
                    closed.report.as_ref().is_some_and(|report| report.served)
                        || closed.outcome.kind.may_have_run()
                }
                AttemptReport::Started { .. } | AttemptReport::Stuck { .. } => false,
            };
            for (key, run) in &probes {
                // An own probe has no task: whatever is said of one may be of this.
                let is_it = match run {
                    Run::Attempt(attempt) => attempt == report.attempt(),
                    Run::OwnProbe => true,
                };
                if served && is_it {
                    self.ends.retain(|(known, _), _| known != key);
                }
            }
        }
    }

    /// A person knew better in the same transaction, before or after what was told in it: nothing is demanded of that account.
    pub(super) fn settle(&mut self, observed: &Observation) {
        for key in &observed.cleared {
            self.ends.retain(|(known, _), _| known != key);
        }
    }

    /// A run ended for a limit whose end was announced.
    pub(super) fn ended(
        &mut self,
        place: Option<&Place>,
        block: Option<&Block>,
        now: Option<Timestamp>,
    ) {
        let (Some(place), Some(now)) = (place, now) else {
            return;
        };
        let Some(block) = block else {
            return;
        };
        let is_limit = matches!(
            block.kind,
            BlockKind::FiveHour
                | BlockKind::Weekly
                | BlockKind::Model
                | BlockKind::Credit
                | BlockKind::Spend
        );
        let ahead = |until: &Timestamp| *until > now && until.ms_since(now) <= HOLD_MAX_MS;
        if let Some(until) = block.until.filter(ahead).filter(|_| is_limit) {
            let model = model_of(block);
            let end = self.ends.entry((key_of(place), model)).or_insert(until);
            *end = until.max(*end);
        }
    }

    /// A task of an agent was claimed: nothing over it but what it is the probe of, and no announced end is ahead.
    pub(super) fn claimed(&self, task: &Task, observed: &Observation, now: Timestamp) -> Judged {
        let Some(place) = place_of(task, &task.life) else {
            return Ok(());
        };
        let key = key_of(&place);
        let model = place.model.as_deref();
        for ((known, held), until) in &self.ends {
            let covers = held.is_empty() || model.is_none_or(|model| same_model(held, model));
            let is_ahead = *until > now && until.ms_since(now) <= HOLD_MAX_MS;
            demand(
                *known != key || !covers || !is_ahead,
                "a hold is never shortened",
                || {
                    format!(
                        "{} starts, its account was told to wait until {until}",
                        task.id
                    )
                },
            )?;
        }
        let policy = policy_of_sim();
        let Some(account) = account_at(&place, &observed.accounts) else {
            return Ok(());
        };
        let run = Run::Attempt(task.attempt());
        for hold in account.holds().iter().filter(|hold| hold.covers(model)) {
            let is_probe = account.probe().is_some_and(|probe| probe.run == run);
            demand(
                is_probe,
                "nothing starts under a hold but its probe",
                || format!("{} starts under {hold}", task.id),
            )?;
            demand(hold.due(now, &policy), "no probe before its time", || {
                format!(
                    "{} starts as the probe of {hold}, due {:?}",
                    task.id, hold.until
                )
            })?;
        }
        Ok(())
    }

    pub(super) fn remember(&mut self, rows: &[AccountRow]) {
        if self.rows == rows {
            return;
        }
        rows.clone_into(&mut self.rows);
        self.accounts = rows
            .iter()
            .filter_map(|row| {
                let account = serde_json::from_str(&row.state).ok()?;
                Some(((row.agent.clone(), row.name.clone()), account))
            })
            .collect();
    }
}

fn model_of(block: &Block) -> String {
    let named = block
        .model
        .clone()
        .filter(|_| block.kind == BlockKind::Model);
    named.unwrap_or_default()
}

/// What the rows say of an account.
pub(super) fn account_at(place: &Place, rows: &[AccountRow]) -> Option<Account> {
    let is_it = |row: &&AccountRow| row.agent == place.agent && row.name == place.account;
    let row = rows.iter().find(is_it)?;
    serde_json::from_str(&row.state).ok()
}

/// What the settings of every simulation say about holds.
pub(super) fn policy_of_sim() -> Policy {
    policy(&Settings::default())
}
