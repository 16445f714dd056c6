//! From what the wire said of an agent to a prompt in which nothing is left open.

use std::path::Path;

use super::error::{ApiError, ApiResult};
use super::looks::look;
use super::wire::NewPrompt;
use crate::agent::claude::command_line;
use crate::agent::claude::{CommandLine, Reader};
use crate::config::Settings;
use crate::supervisor::{Handle, agents, mcp};
use crate::task::{Command, ModelFrom, Place, Prompt, TaskSpec, TaskType};

/// Longest key of a lane (as of every exclusive key), in characters.
const LANE_MAX_CHARS: usize = 200;

/// The command and the type of a submission.
///
/// # Errors
/// Neither a command nor a prompt, or two.
pub(super) fn command(
    settings: &Settings,
    command: Option<Command>,
    prompt: Option<NewPrompt>,
    task_type: Option<TaskType>,
) -> ApiResult<(Command, TaskType)> {
    match (command, prompt) {
        (Some(command), Some(run)) => {
            let (prompt, task_type) = driven_as(settings, &command, run, task_type)?;
            Ok((Command::Prompt(Box::new(prompt)), task_type))
        }
        (None, None) => Err(ApiError::bad(
            "command: is missing (a line, an array of words, or a prompt for an agent)".to_owned(),
        )),
        (Some(command), None) => match driven(&command)? {
            Driven::Run(line) => {
                let task_type = task_type.unwrap_or(TaskType::MediumContext);
                let prompt = of_line(settings, *line, NewPrompt::default(), task_type)?;
                Ok((Command::Prompt(Box::new(prompt)), task_type))
            }
            Driven::No(_) => Ok((command, task_type.unwrap_or_default())),
        },
        (None, Some(new)) => {
            let task_type = task_type.unwrap_or(if new.chunks.is_empty() {
                TaskType::MediumContext
            } else {
                TaskType::HeavyContext
            });
            let prompt = filled_in(settings, new, task_type)?;
            Ok((Command::Prompt(Box::new(prompt)), task_type))
        }
    }
}

fn filled_in(settings: &Settings, new: NewPrompt, task_type: TaskType) -> ApiResult<Prompt> {
    if !new.chunks.is_empty() && task_type != TaskType::HeavyContext {
        return Err(ApiError::bad(
            "chunks: only a task of type heavy_context works through chunks".to_owned(),
        ));
    }
    let Some(text) = new.text else {
        return Err(ApiError::bad(
            "prompt.text: is missing (what the agent is asked)".to_owned(),
        ));
    };
    let agent = new
        .agent
        .unwrap_or_else(|| Prompt::DEFAULT_AGENT.to_owned());
    let setting = if agent == Prompt::DEFAULT_AGENT {
        model_for(settings, task_type)
    } else {
        None
    };
    let model_from = match (&new.model, &setting) {
        (Some(_), _) => ModelFrom::Submitter,
        (None, Some(_)) => ModelFrom::Setting,
        (None, None) => ModelFrom::Agent,
    };
    let account = new
        .account
        .unwrap_or_else(|| Prompt::DEFAULT_ACCOUNT.to_owned());
    let model = new.model.or(setting);
    let fallback = places(settings, &new.fallback, (&agent, model.as_ref()), task_type);
    Ok(Prompt {
        fallback,
        model,
        model_from,
        chunks: new.chunks,
        args: new.args,
        budget_micro_usd: new.budget_micro_usd,
        budget_tokens: new.budget_tokens,
        budget_run_ms: new.budget_run_ms,
        ..Prompt::of(text, agent, account)
    })
}

/// The places that `AGENT` or `AGENT:ACCOUNT` name. On another account of the same agent it is the same model; another
/// agent has the one that the settings give it, or chooses itself.
fn places(
    settings: &Settings,
    given: &[String],
    (agent, model): (&str, Option<&String>),
    task_type: TaskType,
) -> Vec<Place> {
    let place = |text: &String| {
        let (name, account) = text
            .split_once(':')
            .unwrap_or((text, Prompt::DEFAULT_ACCOUNT));
        let model = if name == agent {
            model.cloned()
        } else if name == Prompt::DEFAULT_AGENT {
            model_for(settings, task_type)
        } else {
            None
        };
        Place {
            agent: name.to_owned(),
            account: account.to_owned(),
            model,
        }
    };
    given.iter().map(place).collect()
}

/// What a command is to us.
enum Driven {
    /// A run of Claude Code, as its user wrote it.
    Run(Box<CommandLine>),
    /// A plain command; why, where it is Claude Code's (`claude --version`).
    No(Option<String>),
}

fn driven(command: &Command) -> ApiResult<Driven> {
    let read = match command {
        Command::Line(line) => command_line::read_shell(line),
        Command::Argv(argv) => command_line::read_argv(argv),
        Command::Prompt(_) => return Ok(Driven::No(None)),
    };
    match read {
        Ok(Reader::Driven(line)) => Ok(Driven::Run(line)),
        Ok(Reader::Plain { why }) => Ok(Driven::No(Some(why))),
        Ok(Reader::Other) => Ok(Driven::No(None)),
        Err(error) => Err(ApiError::bad(format!("command: {error}"))),
    }
}

/// A command line of Claude Code, and what else is said about its run.
fn driven_as(
    settings: &Settings,
    command: &Command,
    run: NewPrompt,
    task_type: Option<TaskType>,
) -> ApiResult<(Prompt, TaskType)> {
    if run.text.is_some() {
        return Err(ApiError::bad(
            "command and prompt: give one of them".to_owned(),
        ));
    }
    let is_about_another = run
        .agent
        .as_ref()
        .is_some_and(|agent| agent != Prompt::DEFAULT_AGENT);
    if is_about_another || !run.chunks.is_empty() || !run.args.is_empty() {
        return Err(ApiError::bad(
            "agent, chunks and args go with a prompt, not with a command".to_owned(),
        ));
    }
    match driven(command)? {
        Driven::Run(line) => {
            let task_type = task_type.unwrap_or(TaskType::MediumContext);
            Ok((of_line(settings, *line, run, task_type)?, task_type))
        }
        Driven::No(why) => {
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            Err(ApiError::bad(format!(
                "account, fallback, model and budget go with a prompt, or with a command line that runs Claude Code; this command is not driven as an agent{why}"
            )))
        }
    }
}

/// A run of Claude Code that is to be driven as a prompt is.
fn of_line(
    settings: &Settings,
    line: CommandLine,
    run: NewPrompt,
    task_type: TaskType,
) -> ApiResult<Prompt> {
    let Some(text) = line.prompt.clone() else {
        return Err(ApiError::bad("command: asks the agent nothing".to_owned()));
    };
    if line.session.is_some() || line.resume.is_some() {
        return Err(ApiError::bad(
            "command: --session-id and --resume: auto-claude keeps the agent's sessions itself; leave them out"
                .to_owned(),
        ));
    }
    let (model, budget) = (&line.options.model, line.options.max_budget_micro_usd);
    let twice = [
        ("model", run.model.is_some() && model.is_some()),
        ("budget", run.budget_micro_usd.is_some() && budget.is_some()),
    ];
    if let Some((what, _)) = twice.iter().find(|(_, both)| *both) {
        return Err(ApiError::bad(format!(
            "{what}: the command line says it too; leave one of them out"
        )));
    }
    let new = NewPrompt {
        text: Some(text),
        model: run.model.or_else(|| model.clone()),
        args: arguments(&line),
        budget_micro_usd: run.budget_micro_usd.or(budget),
        ..run
    };
    let mut prompt = filled_in(settings, new, task_type)?;
    prompt.program = Some(line.program).filter(|program| program.contains('/'));
    prompt.added = line.added;
    prompt.left_out = line.left_out;
    Ok(prompt)
}

/// What of a command line is handed on as it was written: what stands there goes before the settings.
fn arguments(line: &CommandLine) -> Vec<String> {
    let options = &line.options;
    let mut args = Vec::new();
    if let Some(mode) = options.permission_mode {
        args.extend(["--permission-mode".to_owned(), mode.name().to_owned()]);
    }
    if let Some(turns) = options.max_turns {
        args.extend(["--max-turns".to_owned(), turns.to_string()]);
    }
    args.extend(options.extra_args.clone());
    if !options.allowed_tools.is_empty() {
        args.push("--allowedTools".to_owned());
        args.extend(options.allowed_tools.clone());
    }
    args
}

/// The model that the settings give a type of task.
fn model_for(settings: &Settings, task_type: TaskType) -> Option<String> {
    let model = match task_type {
        TaskType::Lightweight => &settings.model_lightweight,
        TaskType::MediumContext => &settings.model_medium_context,
        TaskType::HeavyContext => &settings.model_heavy_context,
    };
    Some(model.clone()).filter(|model| !model.is_empty())
}

/// The lane of a directory: one task of an agent at a time works in it. A path too long for a key shares its lane with those
/// that end alike.
pub(super) fn lane_of(cwd: &Path) -> String {
    const PREFIX: &str = Prompt::LANE_OF_DIRECTORY;
    let path: String = cwd
        .to_string_lossy()
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    let surplus = (path.chars().count() + PREFIX.len()).saturating_sub(LANE_MAX_CHARS);
    let kept: String = path.chars().skip(surplus).collect();
    format!("{PREFIX}{kept}")
}

/// Whether the agent can be asked this: its program, its account, its command line, the servers of tools that go with it.
///
/// # Errors
/// What cannot be, in one sentence.
pub(super) async fn check(handle: &Handle, prompt: &Prompt, spec: &TaskSpec) -> ApiResult<()> {
    check_there(handle, prompt, spec).await?;
    for place in &prompt.fallback {
        check_there(handle, &prompt.at(place), spec)
            .await
            .map_err(|error| ApiError::bad(format!("fallback {place}: {}", error.0.message)))?;
    }
    Ok(())
}

async fn check_there(handle: &Handle, prompt: &Prompt, spec: &TaskSpec) -> ApiResult<()> {
    let (settings, there) = (handle.settings(), prompt.clone());
    let (env, cwd) = (spec.env.clone(), spec.cwd.clone());
    let seen = look(move || {
        agents::check(&settings, &there, &env)?;
        mcp::check(&there, &cwd)
    });
    let silent =
        || Err("agent: a file system on which it is looked for does not answer".to_owned());
    seen.await?.unwrap_or_else(silent).map_err(ApiError::bad)?;
    if prompt.account == Prompt::DEFAULT_ACCOUNT {
        return Ok(());
    }
    let accounts = handle.query(|reader| reader.accounts()).await?;
    let of_agent = || accounts.iter().filter(|row| row.agent == prompt.agent);
    if of_agent().any(|row| row.name == prompt.account) {
        return Ok(());
    }
    let names: Vec<&str> = of_agent().map(|row| row.name.as_str()).collect();
    let known = if names.is_empty() {
        "none was added: taskctl account add".to_owned()
    } else {
        format!("known are {}", names.join(", "))
    };
    Err(ApiError::bad(format!(
        "account: {} has no account named {:?} ({known})",
        prompt.agent, prompt.account
    )))
}
