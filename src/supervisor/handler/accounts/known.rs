//! The rows of accounts in memory, and what they say without a task at hand.

use std::collections::BTreeMap;

use crate::config::Settings;
use crate::holds::{Account, HoldKind, OwnProbe, Policy};
use crate::store::{StoreError, Tx};
use crate::supervisor::account::{AccountSpec, policy};
use crate::task::{Prompt, Timestamp};

/// Agent and name.
pub(in crate::supervisor::handler) type AccountKey = (String, String);

/// The variable that leads an agent to another server than its own.
const BASE_URL: &str = "ANTHROPIC_BASE_URL";

/// A cache of the rows of accounts, and what the settings say about holds.
#[derive(Debug, Clone, Default)]
pub(in crate::supervisor::handler) struct Accounts {
    pub(super) known: BTreeMap<AccountKey, Known>,
    pub(super) policy: Policy,
    /// What a person was told of accounts that are closed. A brake on saying it again.
    pub(super) told: String,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) spec: String,
    pub(super) state: Account,
}

impl Accounts {
    /// Reads the rows. A state that cannot be read counts as none: the next limit makes it anew.
    pub(in crate::supervisor::handler) fn load(
        tx: &Tx<'_>,
        settings: &Settings,
    ) -> Result<Self, StoreError> {
        let known = tx.accounts()?.into_iter().map(|row| {
            let state = serde_json::from_str(&row.state).unwrap_or_else(|error| {
                tracing::error!(account = row.name, %error, "what is known of an account's limits cannot be read; begun anew");
                Account::default()
            });
            ((row.agent, row.name), Known { spec: row.spec, state })
        });
        Ok(Self {
            known: known.collect(),
            policy: policy(settings),
            told: String::new(),
        })
    }

    /// The accounts that are closed until a person acts, in words; empty = none. A person's own hold is no news to them.
    pub(super) fn closed(&self) -> String {
        let holds = self.known.iter().flat_map(|(key, known)| {
            let by_person = HoldKind::Person;
            let holds = known.state.holds().iter();
            holds
                .filter(move |hold| hold.until.is_none() && hold.kind != by_person)
                .map(move |hold| (key, hold.kind))
        });
        let words = holds.map(|((agent, name), kind)| {
            let advice = kind.advice().unwrap_or("taskctl limits clear");
            format!("account {name} of {agent} is closed ({kind}): {advice}")
        });
        words.collect::<Vec<_>>().join("; ")
    }

    /// Takes new settings.
    pub(in crate::supervisor::handler) fn set_policy(&mut self, settings: &Settings) {
        self.policy = policy(settings);
    }

    pub(super) fn spec(&self, key: &AccountKey) -> AccountSpec {
        self.known
            .get(key)
            .and_then(|known| serde_json::from_str(&known.spec).ok())
            .unwrap_or_default()
    }

    /// Where an account's server is; `None` = the agent's own.
    pub(super) fn host(&self, key: &AccountKey) -> Option<String> {
        self.spec(key).env.remove(BASE_URL)
    }

    /// The accounts that are kept.
    pub(in crate::supervisor::handler) fn keys(&self) -> impl Iterator<Item = AccountKey> {
        self.known.keys().cloned()
    }

    pub(in crate::supervisor::handler) fn knows(&self, agent: &str, account: &str) -> bool {
        let key = (agent.to_owned(), account.to_owned());
        self.known.contains_key(&key)
    }

    pub(super) fn state(&self, agent: &str, account: &str) -> Option<&Account> {
        let key = (agent.to_owned(), account.to_owned());
        self.known.get(&key).map(|known| &known.state)
    }

    /// When time alone changes what may start.
    pub(in crate::supervisor::handler) fn next_look(&self, now: Timestamp) -> Option<Timestamp> {
        self.known
            .values()
            .flat_map(|known| {
                let looks = known.state.next_look(now, &self.policy);
                looks.into_iter().chain(known.state.next_own_look(now))
            })
            .min()
    }

    /// The accounts that a probe of the daemon's own may test now, and how; `None` = nobody knows how any more.
    pub(super) fn own_probes_due(&self, now: Timestamp) -> Vec<(AccountKey, Option<OwnProbe>)> {
        let held = self
            .known
            .iter()
            .filter(|(_, known)| !known.state.holds().is_empty());
        let due = held.filter_map(|(key, known)| {
            let policy = self.policy_of(key);
            known.state.own_probe(now, &policy)?;
            Some((key.clone(), known.state.next_own(now, &policy)))
        });
        due.collect()
    }

    /// The settings as they concern an account: the model of probes is one of Claude Code's.
    pub(super) fn policy_of(&self, key: &AccountKey) -> Policy {
        let mut policy = self.policy.clone();
        if key.0 != Prompt::DEFAULT_AGENT {
            policy.probe_model = None;
        }
        policy
    }
}
