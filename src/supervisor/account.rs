//! How an account of an agent is reached: what is added to the environment of its runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Settings;
use crate::holds::{HoldKind, Overage, Policy};
use crate::task::{Command, SecretRef, TaskSpec, Timestamp};

/// An account, as a person adds it. Credentials are references, resolved at each launch and never stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSpec {
    /// The agent's configuration directory, which holds its login; absolute. `None` = the agent's own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_dir: Option<PathBuf>,
    /// Variables of its runs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Variables whose values are resolved at each launch.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretRef>,
}

impl AccountSpec {
    /// Whether runs can be given this.
    ///
    /// # Errors
    /// What is wrong, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        // The rules are those of a task's variables, and of its directory.
        let directory = self.config_dir.clone().unwrap_or_else(|| "/".into());
        let as_task = TaskSpec {
            env: self.env.clone(),
            secrets: self.secrets.clone(),
            ..TaskSpec::of("account", Command::Line("true".to_owned()), directory)
        };
        as_task.check().map_err(|error| match error.field {
            "cwd" => format!("config_dir: {}", error.problem),
            _ => error.to_string(),
        })
    }
}

const MS_PER_SECOND: u64 = 1_000;
/// Thousandths in a percent.
const PERMILLE_PER_PERCENT: u32 = 10;

/// What the settings say about holds.
#[must_use]
pub fn policy(settings: &Settings) -> Policy {
    Policy {
        session_window_ms: settings.claude_session_limit * MS_PER_SECOND,
        default_wait_ms: settings.default_unban_wait * MS_PER_SECOND,
        overage: if settings.extra_usage == "stop" {
            Overage::Stop
        } else {
            Overage::Allow
        },
        reserve_permille: settings.reserve_percent * PERMILLE_PER_PERCENT,
        probe_model: Some(settings.probe_model.clone()).filter(|model| !model.is_empty()),
        release_interval_ms: settings.release_interval_seconds * MS_PER_SECOND,
        ..Policy::default()
    }
}

/// What a person wants of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountChange {
    /// There is one, and this is how it is reached.
    Put(AccountSpec),
    /// The installed agent does not keep its contract, for this reason: all accounts of the agent are closed.
    Broken(String),
    /// The installed agent keeps its contract: what [`Self::Broken`] has closed is open again.
    Sound,
    /// It is not used any more. Refused while unfinished tasks need it.
    Remove,
    /// It may be used: its holds of this kind end now, or all.
    Clear(Option<HoldKind>),
    /// It must not be used before `until` (`None` = before a person says so).
    Hold {
        /// The kind that is shown.
        kind: HoldKind,
        /// When it may be tried again.
        until: Option<Timestamp>,
    },
}
