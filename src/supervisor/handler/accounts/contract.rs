//! Accounts of an agent that does not keep its contract: closed together, opened together.

use super::known::AccountKey;
use super::{Accounts, SET_BY_A_PERSON};
use crate::holds::{Hold, HoldKind, Wish};
use crate::supervisor::command::Reply;
use crate::supervisor::handler::{Handler, Step, StepError};
use crate::task::{Prompt, Timestamp};

/// Whether a check of the agent has closed an account, and no person.
fn is_found(hold: &Hold) -> bool {
    hold.kind == HoldKind::Contract && hold.detail != SET_BY_A_PERSON
}

impl Handler {
    /// Closes all accounts of the agent; `key` is one of them, known or not.
    pub(super) fn contract_is_broken(
        &mut self,
        step: &mut Step<'_>,
        key: &AccountKey,
        why: &str,
    ) -> Result<Reply, StepError> {
        let default = (key.0.clone(), Prompt::DEFAULT_ACCOUNT.to_owned());
        for key in [default, key.clone()] {
            self.accounts.known.entry(key).or_default();
        }
        for key in self.accounts_of(&key.0) {
            self.close_for_contract(&key, why, step.moment.now);
            self.keep(step, &key)?;
        }
        tracing::error!(
            agent = key.0,
            why,
            "the installed agent does not keep its contract: its accounts are closed"
        );
        Ok(Reply::Done)
    }

    /// Opens what a broken contract has closed.
    pub(super) fn contract_is_kept(
        &mut self,
        step: &mut Step<'_>,
        agent: &str,
    ) -> Result<Reply, StepError> {
        let now = step.moment.now;
        for key in self.accounts_of(agent) {
            let Some(known) = self.accounts.known.get_mut(&key) else {
                continue;
            };
            if known.state.holds().iter().any(is_found) {
                known.state.clear(Some(HoldKind::Contract), None, now);
                self.keep(step, &key)?;
                tracing::info!(
                    agent,
                    account = key.1,
                    "the contract is kept: the account is open"
                );
            }
        }
        Ok(Reply::Done)
    }

    /// An account that is added while its agent's contract is broken is closed as the others are.
    pub(super) fn inherit_contract(&mut self, key: &AccountKey, now: Timestamp) {
        let others = self
            .accounts
            .known
            .iter()
            .filter(|(other, _)| other.0 == key.0);
        let why = others
            .flat_map(|(_, known)| known.state.holds())
            .find(|hold| is_found(hold))
            .map(|hold| hold.detail.clone());
        if let Some(why) = why {
            self.close_for_contract(key, &why, now);
        }
    }

    fn close_for_contract(&mut self, key: &AccountKey, why: &str, now: Timestamp) {
        let Accounts { known, policy, .. } = &mut self.accounts;
        let Some(known) = known.get_mut(key) else {
            return;
        };
        let wish = Wish {
            kind: HoldKind::Contract,
            model: None,
            until: None,
            detail: why,
        };
        // Without a time there is nothing that could be refused.
        drop(known.state.set(&wish, now, policy));
    }

    fn accounts_of(&self, agent: &str) -> Vec<AccountKey> {
        let keys = self.accounts.known.keys();
        keys.filter(|key| key.0 == agent).cloned().collect()
    }
}
