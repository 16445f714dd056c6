//! How a person goes on in the session of a task's agent: in its directory, with its login, as the agent itself would.

use super::account::AccountSpec;
use super::agents::{Agent, agent, find};
use crate::agent::ByHand;
use crate::agent::claude::attach_argv;
use crate::config::Settings;
use crate::task::{SecretRef, Task};

/// Where Claude Code finds login and sessions.
const CONFIG_DIR: &str = "CLAUDE_CONFIG_DIR";
/// Variables of the task that decide where an agent finds its login, its sessions and its server.
const OF_THE_TASK: [&str; 6] = [
    "HOME",
    CONFIG_DIR,
    "ANTHROPIC_BASE_URL",
    "CODEX_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
];
/// Stands for a session where only the way is asked for.
const SOME_SESSION: &str = "00000000-0000-4000-8000-000000000000";

/// What a person runs to go on in the task's session, on its account.
///
/// # Errors
/// One sentence: it is no task of an agent, the agent is not known or has no such way, or its program is not there.
pub fn by_hand(settings: &Settings, task: &Task, account: &AccountSpec) -> Result<ByHand, String> {
    let prompt = task.prompt_there();
    let prompt = prompt.ok_or("it runs a plain command, which has no agent session")?;
    let state = task.life.agent.as_ref();
    let session = state
        .and_then(|state| state.session.as_deref())
        .unwrap_or(SOME_SESSION);
    let model = prompt.model.as_deref();
    let (program, argv) = match agent(settings, &prompt.agent)? {
        Agent::Claude => {
            let argv = attach_argv(session, model).map_err(|error| error.to_string())?;
            (settings.claude_cli_command.clone(), argv)
        }
        Agent::Described(rules) => {
            let argv = rules
                .attach_argv(session, model)
                .map_err(|error| error.to_string())?
                .ok_or_else(|| {
                    format!(
                        "the description of {} names no way to go on in a session by hand (attach)",
                        rules.name
                    )
                })?;
            (rules.program, argv)
        }
    };
    let program = prompt.program.as_ref().unwrap_or(&program);
    let path = task.spec.env.get("PATH").map(String::as_str);
    let found = find(program, path)
        .map_err(|why| format!("the program of {} ({program}) {why}", prompt.agent))?;
    let mut env = task.spec.env.clone();
    env.retain(|name, _| OF_THE_TASK.contains(&name.as_str()));
    env.extend(account.env.clone());
    if let Some(directory) = &account.config_dir {
        let directory = directory.to_string_lossy().into_owned();
        env.insert(CONFIG_DIR.to_owned(), directory);
    }
    let mut by_hand = ByHand {
        cwd: task.spec.cwd.clone(),
        env,
        files: std::collections::BTreeMap::new(),
        needs: Vec::new(),
        argv: Vec::from([found.to_string_lossy().into_owned()]),
    };
    by_hand.argv.extend(argv);
    for (name, source) in task.spec.secrets.iter().chain(&account.secrets) {
        by_hand.env.remove(name);
        match source {
            SecretRef::File(path) => {
                by_hand.files.insert(name.clone(), path.clone());
            }
            SecretRef::Env(variable) => by_hand.needs.push(format!(
                "{name} (the daemon's environment has it, as {variable})"
            )),
            SecretRef::Credential(credential) => by_hand.needs.push(format!(
                "{name} (the credential {credential} of the daemon's unit)"
            )),
        }
    }
    Ok(by_hand)
}
