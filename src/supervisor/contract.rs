//! No task is given to a Claude Code that has not shown that it keeps its contract: a new or replaced program is checked
//! before the first launch with it, and what was found is remembered over restarts.
//!
//! Checked at the launch and nowhere else: there the program is known that would be started, and a replacement while tasks
//! wait cannot be missed. A check that fails closes the agent's accounts; the attempt never ran and spends no retry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::account::AccountChange;
use super::agents::find;
use super::carriers::Shared;
use super::clock;
use super::command::Command;
use super::event::{Attention, Launch, SupervisorEvent};
use super::launch::LaunchError;
use super::listen::blocking;
use crate::agent::Standing;
use crate::agent::claude::installed::{TRIED, VERSION_ARGS};
use crate::config::Settings;
use crate::installed::{self, Contract, Identity, Verified};
use crate::task::Prompt;

/// What a person is told of a version that was never tried.
const UNKNOWN_VERSION: &str = "agent_version";

/// The program that a launch would start.
#[derive(Debug, Clone)]
struct Wanted {
    agent: String,
    account: String,
    program: PathBuf,
    /// The environment of the task, without secrets.
    env: BTreeMap<String, String>,
}

/// What a look at it says.
enum Seen {
    /// It was verified.
    Verified,
    /// It is new, or another one, or was found broken before.
    New,
}

impl Wanted {
    /// `None` = there is nothing to check: no agent of ours, the check is off, or no program, which the launch itself tells.
    fn of(settings: &Settings, launch: &Launch) -> Option<Self> {
        let prompt = launch.task.prompt_there()?;
        let is_ours = prompt.agent == Prompt::DEFAULT_AGENT && settings.verify_agents == "on";
        if !is_ours {
            return None;
        }
        let mut env = launch.task.spec.env.clone();
        env.extend(launch.account.env.clone());
        let program = prompt
            .program
            .as_ref()
            .unwrap_or(&settings.claude_cli_command);
        Some(Self {
            agent: prompt.agent.clone(),
            account: prompt.account.clone(),
            program: find(program, env.get("PATH").map(String::as_str)).ok()?,
            env,
        })
    }

    /// Blocking.
    fn look(&self, state_dir: &Path) -> Seen {
        let known = installed::load(state_dir).remove(&self.agent);
        let Some(known) = known.filter(|known| known.broken.is_empty()) else {
            return Seen::New;
        };
        match Identity::of(&self.program) {
            Ok(identity) if identity == known.identity => {}
            Ok(_) | Err(_) => return Seen::New,
        }
        if known.identity.may_be_a_shim() {
            let args = VERSION_ARGS.map(str::to_owned);
            let told = installed::version(&self.program, &args, &self.env);
            if told.ok() != known.version {
                return Seen::New;
            }
        }
        Seen::Verified
    }

    fn look_closely(&self) -> Result<Contract, LaunchError> {
        installed::check(&self.program, &self.env)
            .map_err(|error| LaunchError::Machine(std::io::Error::other(error.to_string())))
    }

    /// Checks it, and writes down what was found. What is broken is looked at twice: a machine that was too busy for a
    /// moment closes no account. Blocking, for some seconds.
    fn check(&self, state_dir: &Path) -> Result<Contract, LaunchError> {
        // Before the check: what is replaced during it is checked again.
        let identity = Identity::of(&self.program)?;
        let mut contract = self.look_closely()?;
        if !contract.is_kept() && contract.standing != Standing::TooOld {
            contract = self.look_closely()?;
        }
        let verified = Verified {
            identity,
            version: contract.version,
            broken: contract.broken(),
            at: clock::now(),
        };
        if let Err(error) = installed::remember(state_dir, &self.agent, &verified) {
            tracing::warn!(%error, "what was found of the installed agent cannot be written down: it is checked again");
        }
        Ok(contract)
    }
}

/// Lets a launch go on once its agent's program has kept its contract.
///
/// # Errors
/// [`LaunchError::Contract`]: it does not, and its accounts are closed. [`LaunchError::Machine`]: it could not be checked.
pub(super) async fn ensure(
    shared: &Arc<Shared>,
    events: &mpsc::Sender<SupervisorEvent>,
    launch: &Launch,
) -> Result<(), LaunchError> {
    let Some(wanted) = Wanted::of(&shared.settings(), launch) else {
        return Ok(());
    };
    let state_dir = shared.paths.state_dir.clone();
    if is_verified(&wanted, &state_dir).await {
        return Ok(());
    }
    let _one_at_a_time = shared.checking.lock().await;
    // Whoever had its turn before may have checked the same program.
    if is_verified(&wanted, &state_dir).await {
        return Ok(());
    }
    tracing::info!(program = %wanted.program.display(), "the installed agent is new here: its contract is checked");
    let checked = wanted.clone();
    // A thread of its own, and none of the runtime's: a daemon that leaves does not wait for it.
    let (done, result) = oneshot::channel();
    std::thread::Builder::new()
        .name("contract".to_owned())
        .spawn(move || drop(done.send(checked.check(&state_dir))))?;
    let contract = result.await.map_err(std::io::Error::other)??;
    tell_version(shared, &wanted, &contract);
    let broken = contract.broken();
    if broken.is_empty() {
        tracing::info!(program = %wanted.program.display(), "the installed agent keeps its contract");
        tell(events, &wanted, AccountChange::Sound).await;
        return Ok(());
    }
    tell(events, &wanted, AccountChange::Broken(broken.clone())).await;
    Err(LaunchError::Contract(format!(
        "the installed agent does not keep its contract: {broken}"
    )))
}

async fn is_verified(wanted: &Wanted, state_dir: &Path) -> bool {
    let (wanted, state_dir) = (wanted.clone(), state_dir.to_owned());
    blocking(move || matches!(wanted.look(&state_dir), Seen::Verified)).await
}

/// Committed before the attempt is closed, so that nobody is claimed again meanwhile.
async fn tell(events: &mpsc::Sender<SupervisorEvent>, wanted: &Wanted, change: AccountChange) {
    let command = Command::Account {
        agent: wanted.agent.clone(),
        name: wanted.account.clone(),
        change,
    };
    let (reply_to, reply) = oneshot::channel();
    if events
        .send(SupervisorEvent::Command(command, reply_to))
        .await
        .is_ok()
        && let Ok(Err(refusal)) = reply.await
    {
        // The next launch finds out again.
        tracing::error!(%refusal, "what was found of the installed agent could not be committed");
    }
}

fn tell_version(shared: &Shared, wanted: &Wanted, contract: &Contract) {
    match (contract.standing, contract.version) {
        (Standing::Newer, Some(version)) => shared.attend_to(Attention {
            kind: UNKNOWN_VERSION,
            text: format!(
                "{} {version} is newer than {}, the newest that was tried; what was checked of it: {}",
                wanted.agent,
                TRIED.newest,
                if contract.is_kept() { "kept" } else { "broken" },
            ),
        }),
        (Standing::Tried | Standing::TooOld | Standing::Unknown | Standing::Newer, _) => {
            shared.attention_over(UNKNOWN_VERSION);
        }
    }
}
