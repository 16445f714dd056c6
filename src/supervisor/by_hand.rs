//! How a person goes on in the session of a task's agent: in its directory, with its login, as the agent itself would.

use super::account::AccountSpec;
use super::agents::{Agent, agent, find};
use crate::agent::ByHand;
use crate::agent::claude::attach_argv;
use crate::config::Settings;
use crate::task::{SecretRef, Task};

/// Where Claude Code finds login and sessions.
const CONFIG_DIR: &str = "CLAUDE_CONFIG_DIR";
/// Variables of the task that decide where an agent finds its login, its sessions and its server, beside the one that names
/// its configuration directory.
const OF_THE_TASK: [&str; 4] = [
    "HOME",
    "ANTHROPIC_BASE_URL",
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
    let (program, argv, directory) = match agent(settings, &prompt.agent)? {
        Agent::Claude => {
            let argv = attach_argv(session, model).map_err(|error| error.to_string())?;
            let program = settings.claude_cli_command.clone();
            (program, argv, Some(CONFIG_DIR.to_owned()))
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
            (rules.program, argv, rules.config_dir)
        }
    };
    let program = prompt.program.as_ref().unwrap_or(&program);
    let path = task.spec.env.get("PATH").map(String::as_str);
    let found = find(program, path)
        .map_err(|why| format!("the program of {} ({program}) {why}", prompt.agent))?;
    let mut env = task.spec.env.clone();
    env.retain(|name, _| OF_THE_TASK.contains(&name.as_str()) || directory.as_ref() == Some(name));
    env.extend(account.env.clone());
    if let (Some(variable), Some(path)) = (directory, &account.config_dir) {
        env.insert(variable, path.to_string_lossy().into_owned());
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
    let is_settable = |name: &str| {
        !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    // Such a name would be read as something else: as a command, say.
    by_hand.env.retain(|name, _| is_settable(name));
    by_hand.files.retain(|name, _| is_settable(name));
    Ok(by_hand)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::task::{AgentState, Command, Event, Lifecycle, Prompt, TaskId, TaskSpec, Timestamp};

    fn task_of(agent: &str) -> Task {
        let mut prompt = Prompt::of("hi".to_owned(), agent.to_owned(), "work".to_owned());
        prompt.program = Some("/bin/true".to_owned());
        let mut life = Lifecycle::birth(&Event::Submitted { not_before: None }).unwrap();
        life.agent = Some(AgentState {
            session: Some(SOME_SESSION.to_owned()),
            ..AgentState::default()
        });
        Task {
            id: TaskId::from_random(7),
            seq: 1,
            uid: 0,
            created_at: Timestamp::from_ms(0),
            spec: TaskSpec::of("n", Command::Prompt(Box::new(prompt)), "/tmp".into()),
            life,
            slot: None,
        }
    }

    #[test]
    fn the_line_leads_to_the_directory_that_the_agent_itself_would_use() {
        let account = AccountSpec {
            config_dir: Some("/srv/work".into()),
            ..AccountSpec::default()
        };
        for (agent, variable) in [
            ("claude", "CLAUDE_CONFIG_DIR"),
            ("codex", "CODEX_HOME"),
            ("qwen", "QWEN_HOME"),
        ] {
            let by_hand = by_hand(&Settings::default(), &task_of(agent), &account).unwrap();
            let expected = BTreeMap::from([(variable.to_owned(), "/srv/work".to_owned())]);
            assert_eq!(by_hand.env, expected, "{agent}");
            // Without an account's directory it is the task's own.
            let mut task = task_of(agent);
            task.spec.env = BTreeMap::from([
                (variable.to_owned(), "/home/own".to_owned()),
                ("OTHER".to_owned(), "x".to_owned()),
            ]);
            let own = super::by_hand(&Settings::default(), &task, &AccountSpec::default());
            let expected = BTreeMap::from([(variable.to_owned(), "/home/own".to_owned())]);
            assert_eq!(own.unwrap().env, expected, "{agent}");
        }
    }

    #[test]
    fn a_name_that_a_shell_would_run_is_left_out() {
        let mut task = task_of("claude");
        for name in ["$(touch /tmp/x)", "A B", "1A", "GOOD_1"] {
            let from = SecretRef::File("/run/x".into());
            task.spec.secrets.insert(name.to_owned(), from);
        }
        let by_hand = by_hand(&Settings::default(), &task, &AccountSpec::default()).unwrap();
        let line = by_hand.line();
        assert!(
            line.starts_with("cd /tmp && GOOD_1=\"$(cat /run/x)\" /bin/true --resume "),
            "{line}"
        );
    }
}
