//! From a prompt to the command line, the environment and the driver of its agent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::account::AccountSpec;
use super::event::Launch;
use super::launch::LaunchError;
use super::small_file;
use crate::agent::claude::env::{Bounds, environment};
use crate::agent::claude::{Options, PermissionMode, Resume, Start};
use crate::agent::rules::{Ask, FILE_MAX_BYTES, Rules};
use crate::agent::{ARGUMENT_MAX_BYTES, Driver, Transcript, is_for_input};
use crate::config::Settings;
use crate::output::{Filter, Reader};
use crate::task::{AgentState, Prompt, SecretRef, Task, TaskType};

const MS_PER_SECOND: u64 = 1_000;
/// Lines of the former output that a new session gets when the former one is gone.
const CONTEXT_LINES: usize = 500;
/// And at most so many bytes of them: with the prompt they are one argument.
const CONTEXT_MAX_BYTES: usize = 64 * 1024;
/// What an agent is asked after a run that may have been told to come to an end.
const WHAT_REMAINS: &str = "Your last run ended shortly before a usage limit. Does anything of the task remain to be done? \
                            If so, do it now. If nothing remains, say so in one line.";

/// An agent's run, ready to be started.
#[derive(Debug)]
pub struct AgentLaunch {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The whole environment, without secrets.
    pub env: BTreeMap<String, String>,
    /// Secrets of the account, still to be resolved.
    pub secrets: BTreeMap<String, SecretRef>,
    /// What it reads on its standard input; `None` = nothing.
    pub input: Option<String>,
    /// When it is ended for want of a sign of work, unless task or settings say so; `None` = never.
    pub idle_seconds: Option<u64>,
    /// What reads its output.
    pub driver: Driver,
}

/// The agents that come with the program, beside Claude Code, which has a driver of its own.
pub(super) const SHIPPED: [&str; 5] = [
    include_str!("../../config/agents/codex.toml"),
    include_str!("../../config/agents/cursor.toml"),
    include_str!("../../config/agents/gemini.toml"),
    include_str!("../../config/agents/opencode.toml"),
    include_str!("../../config/agents/qwen.toml"),
];

/// An agent as it is described.
pub(super) enum Agent {
    Claude,
    Described(Box<Rules>),
}

/// The agent that a file describes; else why not, in one line.
pub(super) fn described(path: &str) -> Result<Rules, String> {
    let text = small_file::read_text(Path::new(path), FILE_MAX_BYTES as u64)
        .map_err(|error| format!("{path}: {error}"))?;
    Rules::from_toml(&text).map_err(|error| format!("{path}: {error}"))
}

/// What is wrong with the files of the settings that describe agents, a line each.
#[must_use]
pub fn unreadable(settings: &Settings) -> Vec<String> {
    let files = settings.agent_files.iter();
    files.filter_map(|path| described(path).err()).collect()
}

/// The agent of this name. A file of the settings goes before what comes with the program, so one that cannot be read may be
/// about any agent that comes as a file; the others go on.
pub(super) fn agent(settings: &Settings, name: &str) -> Result<Agent, String> {
    if name == Prompt::DEFAULT_AGENT {
        return Ok(Agent::Claude);
    }
    let mut known = vec![Prompt::DEFAULT_AGENT.to_owned()];
    let mut broken = None;
    for path in &settings.agent_files {
        match described(path) {
            Ok(rules) if rules.name == name => return Ok(Agent::Described(Box::new(rules))),
            Ok(rules) => known.push(rules.name),
            Err(why) => broken = broken.or(Some(why)),
        }
    }
    if let Some(why) = broken {
        return Err(why);
    }
    for text in SHIPPED {
        // Checked by a test: what is shipped can be read.
        let Ok(rules) = Rules::from_toml(text) else {
            continue;
        };
        if rules.name == name {
            return Ok(Agent::Described(Box::new(rules)));
        }
        known.push(rules.name);
    }
    Err(format!(
        "there is no agent named {name:?}; known are {}",
        known.join(", ")
    ))
}

/// Whether there is an agent of this name.
///
/// # Errors
/// One sentence: there is none, or a file that may describe it cannot be read.
pub fn known(settings: &Settings, name: &str) -> Result<(), String> {
    agent(settings, name).map(drop)
}

/// What puts the output of `prompt`'s agent into words; `None` when nobody knows that agent any more.
#[must_use]
pub fn transcript(settings: &Settings, prompt: &Prompt) -> Option<Transcript> {
    let of = |name: &str| {
        Some(match agent(settings, name).ok()? {
            Agent::Claude => Transcript::of_claude(),
            Agent::Described(rules) => Transcript::of_described(&rules),
        })
    };
    // A task that has moved has output of several.
    let others = prompt
        .fallback
        .iter()
        .filter(|place| place.agent != prompt.agent);
    let first = of(&prompt.agent)?;
    Some(
        others
            .filter_map(|place| of(&place.agent))
            .fold(first, Transcript::or),
    )
}

/// Prepares the run of a claimed task. Reads the task's former output where a new session needs it.
///
/// # Errors
/// [`LaunchError::Task`]: the agent is not known, or would not take such a command line.
pub fn prepare(
    settings: &Settings,
    task_dir: &Path,
    task: &Task,
    prompt: &Prompt,
    launch: &Launch,
) -> Result<AgentLaunch, LaunchError> {
    let account = &launch.account;
    let state = task.life.agent.clone().unwrap_or_default();
    let agent = agent(settings, &prompt.agent).map_err(LaunchError::Task)?;
    let resumed = state.begun
        && match &agent {
            Agent::Claude => true,
            Agent::Described(rules) => rules.can_resume(),
        };
    let text = what_to_ask(settings, task_dir, task, prompt, resumed);
    let mut env = task.spec.env.clone();
    env.extend(account.env.clone());
    let session = state.session.clone().unwrap_or_default();
    let idle_seconds = match &agent {
        Agent::Claude => None,
        Agent::Described(rules) => rules.idle_seconds,
    };
    let (program, arguments, driver) = match agent {
        Agent::Claude => {
            change_for_claude(&mut env, settings, account);
            let options = if launch.is_probe {
                Options::probe(prompt.model.clone())
            } else {
                options(settings, prompt, launch.share.micro_usd)
            };
            let arguments = claude_argv(&options, &state, &session, &text);
            let driver = Driver::Claude { session, resumed };
            (settings.claude_cli_command.clone(), arguments, driver)
        }
        Agent::Described(rules) => {
            change_for_described(&mut env, &rules, account);
            let arguments = described_argv(&rules, prompt, resumed, &session, &text);
            (
                rules.program.clone(),
                arguments,
                Driver::Rules { rules, resumed },
            )
        }
    };
    let mut argv = vec![prompt.program.clone().unwrap_or(program)];
    argv.extend(arguments.map_err(LaunchError::Task)?);
    Ok(AgentLaunch {
        argv,
        input: is_for_input(&text).then_some(text),
        idle_seconds,
        env,
        secrets: account.secrets.clone(),
        driver,
    })
}

pub(super) fn claude_argv(
    options: &Options,
    state: &AgentState,
    session: &str,
    text: &str,
) -> Result<Vec<String>, String> {
    let argv = if state.begun {
        let prompt = Some(text);
        Resume {
            session,
            prompt,
            options,
        }
        .argv()
    } else {
        let prompt = text;
        Start {
            session,
            prompt,
            options,
        }
        .argv()
    };
    argv.map_err(|error| error.to_string())
}

pub(super) fn described_argv(
    rules: &Rules,
    prompt: &Prompt,
    resumed: bool,
    session: &str,
    text: &str,
) -> Result<Vec<String>, String> {
    let ask = Ask {
        prompt: text,
        session: (resumed || rules.takes_session()).then_some(session),
        model: prompt.model.as_deref(),
    };
    let argv = if resumed {
        rules.resume_argv(&ask)
    } else {
        rules.start_argv(&ask)
    };
    let mut argv = argv.map_err(|error| error.to_string())?;
    // What the submitter adds goes before the prompt, which comes last.
    let place = argv
        .iter()
        .position(|arg| arg == "--")
        .unwrap_or_else(|| argv.len().saturating_sub(1));
    argv.splice(place..place, prompt.args.iter().cloned());
    Ok(argv)
}

/// Whether the agent would be started by such a prompt: what can be known before anything runs.
///
/// # Errors
/// One sentence: the agent is not known, its program is not there, or it would not take such a command line.
pub fn check(
    settings: &Settings,
    prompt: &Prompt,
    env: &BTreeMap<String, String>,
) -> Result<(), String> {
    /// Any session has this form.
    const SOME_SESSION: &str = "00000000-0000-4000-8000-000000000000";
    let text = prompt.text_for(longest_chunk(prompt));
    let state = AgentState::default();
    let (program, argv) =
        match agent(settings, &prompt.agent).map_err(|why| format!("agent: {why}"))? {
            Agent::Claude => (
                settings.claude_cli_command.clone(),
                claude_argv(
                    &options(settings, prompt, prompt.budget_micro_usd),
                    &state,
                    SOME_SESSION,
                    &text,
                ),
            ),
            Agent::Described(rules) => {
                let argv = described_argv(&rules, prompt, false, SOME_SESSION, &text);
                (rules.program, argv)
            }
        };
    argv.map_err(|error| format!("prompt: {error}"))?;
    let program = prompt.program.as_ref().unwrap_or(&program);
    find(program, env.get("PATH").map(String::as_str))
        .map(drop)
        .map_err(|why| {
            format!(
                "agent: the program of {} ({program}) {why}; install it, or name it in the settings",
                prompt.agent
            )
        })
}

/// The chunk that makes the longest prompt: what an agent takes of that it takes of the others.
fn longest_chunk(prompt: &Prompt) -> u32 {
    let chunks = prompt.chunks.iter().zip(0_u32..);
    let longest = chunks.max_by_key(|(chunk, _)| chunk.len());
    longest.map_or(0, |(_, number)| number)
}

/// Where a program is, by its path or in `path`.
///
/// # Errors
/// Why it cannot be started, as the end of a sentence.
pub fn find(program: &str, path: Option<&str>) -> Result<PathBuf, String> {
    let runs = |file: &Path| {
        file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
    };
    if program.contains('/') {
        let file = PathBuf::from(program);
        return match file.try_exists() {
            Ok(true) if runs(&file) => Ok(file),
            Ok(true) => Err("cannot be executed by the daemon's user".to_owned()),
            Ok(false) => Err("does not exist".to_owned()),
            Err(error) => Err(format!("cannot be looked at: {error}")),
        };
    }
    path.unwrap_or_default()
        .split(':')
        .filter(|dir| !dir.is_empty())
        .map(|dir| Path::new(dir).join(program))
        .find(|file| runs(file))
        .ok_or_else(|| "is not in the task's PATH".to_owned())
}

/// The settings' options and the share of the budgets, where the task's own arguments do not say otherwise.
fn options(settings: &Settings, prompt: &Prompt, share_micro_usd: Option<u64>) -> Options {
    let says = |flag: &str| prompt.args.iter().any(|arg| arg == flag);
    let mode = PermissionMode::of_name(&settings.claude_permission_mode);
    Options {
        model: prompt.model.clone(),
        permission_mode: mode.filter(|_| !says("--permission-mode")),
        allowed_tools: if says("--allowedTools") {
            Vec::new()
        } else {
            settings.claude_allowed_tools.clone()
        },
        max_turns: None,
        max_budget_micro_usd: share_micro_usd,
        ephemeral: false,
        extra_args: prompt.args.clone(),
    }
}

/// What this run is asked: the prompt, or, in a session that knows it already, to go on.
fn what_to_ask(
    settings: &Settings,
    task_dir: &Path,
    task: &Task,
    prompt: &Prompt,
    resumed: bool,
) -> String {
    let state = task.life.agent.as_ref();
    if resumed && state.is_some_and(|state| state.ask_what_remains) {
        return WHAT_REMAINS.to_owned();
    }
    if resumed {
        return settings.continue_prompt.clone();
    }
    let asked = prompt.text_for(state.map_or(0, |state| state.chunk));
    let goes_on = task.life.resume
        && match task.spec.task_type {
            TaskType::MediumContext => true,
            // Where it was, it would have resumed.
            TaskType::Lightweight => state.is_some_and(|state| state.moved.is_some()),
            TaskType::HeavyContext => false,
        };
    let asked_first = task.spec.command.prompt().unwrap_or(prompt);
    let former = || former_output(task_dir, transcript(settings, asked_first));
    match goes_on.then(former).flatten() {
        Some(context) => with_context(asked, &context),
        None => asked,
    }
}

/// What the task has said last, in words; `None` when that is nothing, or it cannot be read.
fn former_output(task_dir: &Path, transcript: Option<Transcript>) -> Option<String> {
    let pieces = Reader::open(task_dir)
        .and_then(|reader| reader.tail_lines(CONTEXT_LINES, CONTEXT_MAX_BYTES, &Filter::AGENT))
        .ok()?;
    let bytes: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.bytes).collect();
    let text = match transcript {
        Some(mut transcript) => {
            let mut words = String::new();
            transcript.push(&bytes, &mut words);
            transcript.end(&mut words);
            words
        }
        None => String::from_utf8_lossy(&bytes).replace('\0', " "),
    };
    Some(text).filter(|text| !text.trim().is_empty())
}

fn with_context(asked: String, context: &str) -> String {
    const BETWEEN: &str =
        "\n\nThis task was begun before, in a session that is gone. The last of its output was:\n";
    // A short prompt stays one argument, which every agent takes.
    let room = if is_for_input(&asked) {
        CONTEXT_MAX_BYTES
    } else {
        ARGUMENT_MAX_BYTES.saturating_sub(asked.len() + BETWEEN.len())
    };
    let from = context.ceil_char_boundary(context.len().saturating_sub(room));
    format!("{asked}{BETWEEN}{}", &context[from..])
}

/// What its description says of an agent's environment, and where its account has its configuration.
pub(super) fn change_for_described(
    env: &mut BTreeMap<String, String>,
    rules: &Rules,
    account: &AccountSpec,
) {
    env.retain(|name, _| !rules.unset.contains(name));
    env.extend(rules.env.clone());
    let directory = account.config_dir.as_ref().and_then(|dir| dir.to_str());
    if let (Some(variable), Some(directory)) = (&rules.config_dir, directory) {
        env.insert(variable.clone(), directory.to_owned());
    }
}

/// What makes an unattended run of Claude Code behave.
pub(super) fn change_for_claude(
    env: &mut BTreeMap<String, String>,
    settings: &Settings,
    account: &AccountSpec,
) {
    let bounds = Bounds {
        max_retries: settings.claude_internal_retries,
        api_timeout_ms: settings.claude_api_timeout_seconds * MS_PER_SECOND,
        stream_idle_ms: settings.claude_stream_idle_seconds * MS_PER_SECOND,
    };
    let directory = account.config_dir.as_ref().and_then(|dir| dir.to_str());
    let changes = environment(bounds, directory);
    for name in changes.unset {
        env.remove(*name);
    }
    let set = changes.set.into_iter();
    env.extend(set.map(|(name, value)| (name.to_owned(), value)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_agent_that_is_shipped_is_known_by_its_name() {
        let settings = Settings::default();
        for name in ["codex", "cursor", "gemini", "opencode", "qwen"] {
            assert!(
                matches!(agent(&settings, name), Ok(Agent::Described(rules)) if rules.name == name),
                "{name}"
            );
        }
        let error = agent(&settings, "codx").err().unwrap();
        assert!(error.contains("claude, codex, cursor"), "{error}");
    }
}
