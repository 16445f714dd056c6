//! The flags that say what a task is: shared by `taskctl task create` and `auto-claude run`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::prompt::PromptArgs;
use crate::api::driven::how_it_is_driven;
use crate::api::wire::{CommandText, NewTask};
use crate::cli::environment::{self, Captured};
use crate::cli::error::CliError;
use crate::cli::output::{notice, plain};
use crate::cli::values::{self, EnvArg};
use crate::cli::when;
use crate::cli::{clock, duration};
use crate::task::{AfterFailed, IfLost, Priority, RetryOn, SecretRef, TaskType, Timestamp};

/// What a task is, beside its name and command.
#[derive(Debug, Clone, Default, Args)]
pub struct SpecArgs {
    /// Free text
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// How an interrupted attempt goes on: from the start, with its last 500 lines of output, or at its last chunk
    #[arg(long = "type", value_name = "TYPE", value_parser = values::task_types())]
    pub task_type: Option<TaskType>,
    /// Who goes first [default: normal]
    #[arg(short, long, value_name = "PRIORITY", value_parser = values::priorities())]
    pub priority: Option<Priority>,
    /// Working directory [default: the current one]
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// A variable for the task, beside those of the current environment; NAME alone takes the current value
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = values::env_arg)]
    pub env: Vec<EnvArg>,
    /// A variable whose value is read at launch and never stored: file:PATH, credential:NAME or env:NAME (of the daemon)
    // Read by us and not by clap, whose complaint would repeat what may be the secret itself.
    #[arg(long, value_name = "NAME=REFERENCE")]
    pub secret: Vec<String>,
    /// Makes a repeated submission the same task [default: drawn]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Start only after this task (repeatable)
    #[arg(long, value_name = "TASK")]
    pub after: Vec<String>,
    /// What it means when a task of --after fails: fail too, or run all the same [default: fail]
    #[arg(long, value_name = "MEANING", value_parser = values::after_failed())]
    pub after_failed: Option<AfterFailed>,
    /// Not before this time: RFC 3339, 22:00, 'tomorrow 07:00', +2h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub at: Option<String>,
    /// Wall time of one attempt: 90 (seconds), 90s, 10m, 2h30m
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration::limit_seconds)]
    pub timeout: Option<u64>,
    /// End an attempt that shows no sign of work (output, CPU, children) for this long
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration::limit_seconds)]
    pub idle_timeout: Option<u64>,
    /// Retries after failures that --retry-on names, 0-1000
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub max_retries: Option<u32>,
    /// Which failures are retried: any, exit, signal, timeout, spawn, or an exit code (repeatable) [default: none]
    #[arg(long, value_name = "FAILURE", allow_negative_numbers = true, value_delimiter = ',', value_parser = values::retry_on)]
    pub retry_on: Vec<RetryOn>,
    /// What follows an attempt whose end nobody saw: resume, rerun, review or fail [default: from the type]
    #[arg(long, value_name = "WHAT", value_parser = values::if_lost())]
    pub if_lost: Option<IfLost>,
    /// At most one task with this key runs at a time
    #[arg(long, value_name = "KEY")]
    pub exclusive: Option<String>,
    /// What an agent is asked.
    #[command(flatten)]
    pub prompt: PromptArgs,
}

/// The current directory.
///
/// # Errors
/// When it is gone or may not be read.
pub fn current_dir() -> Result<PathBuf, CliError> {
    std::env::current_dir().map_err(|error| {
        CliError::usage(format!(
            "failed to find the current directory: {error}; give --cwd DIR"
        ))
    })
}

/// What the submitter brings along: directory and environment.
///
/// # Errors
/// When the directory cannot be found, is no directory, or is no text.
pub fn submitter(cwd: Option<&Path>) -> Result<(PathBuf, Captured), CliError> {
    // A logical `..` is kept: with symlinks only the kernel knows where it leads.
    let cwd = match cwd {
        Some(dir) if dir.is_absolute() => dir.to_owned(),
        Some(dir) => current_dir()?.join(dir).components().collect(),
        None => current_dir()?,
    };
    let shown = plain(&cwd.to_string_lossy());
    if cwd.to_str().is_none() {
        return Err(CliError::usage(format!(
            "the working directory {shown} is not UTF-8 and cannot be stored"
        )));
    }
    match std::fs::metadata(&cwd) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            return Err(CliError::usage(format!("--cwd {shown}: not a directory")));
        }
        Err(error) => return Err(CliError::usage(format!("--cwd {shown}: {error}"))),
    }
    Ok((cwd, environment::capture(std::env::vars_os())))
}

impl SpecArgs {
    /// The submission. Says on stderr which variables were left out, with `json` as JSON.
    ///
    /// # Errors
    /// Times, directories and variables that cannot be used.
    pub fn into_task(
        self,
        name: String,
        command: Option<CommandText>,
        json: bool,
    ) -> Result<NewTask, CliError> {
        let (at, at_written) = self.start()?.unzip();
        let project = self.prompt.session.clone().or(self.cwd);
        let (cwd, captured) = submitter(project.as_deref())?;
        let prompt = self.prompt.into_prompt(&cwd)?;
        if let Some(text) = command.as_ref().and_then(how_it_is_driven) {
            notice(json, &text);
        }
        let secrets = secrets(&self.secret)?;
        let captured = captured.with(&self.env, &cwd)?;
        let passed: Vec<&str> = secrets.keys().map(String::as_str).collect();
        if let Some(text) = captured.notice(&passed) {
            notice(json, &text);
        }
        let mut env = captured.env;
        // A secret is resolved at launch; a value beside it would be stored.
        env.retain(|name, _| !secrets.contains_key(name));
        Ok(NewTask {
            name,
            command,
            prompt,
            key: Some(self.key.map_or_else(draw_key, Ok)?),
            description: self.description.unwrap_or_default(),
            task_type: self.task_type,
            priority: self.priority.unwrap_or_default(),
            cwd: Some(cwd),
            env: Some(env),
            secrets,
            after: self.after,
            after_failed: self.after_failed.unwrap_or_default(),
            at,
            at_written: at_written.flatten(),
            timeout_seconds: self.timeout,
            idle_timeout_seconds: self.idle_timeout,
            max_retries: self.max_retries,
            retry_on: self.retry_on,
            if_lost: self.if_lost,
            exclusive: self.exclusive,
            notify: None,
            batch: None,
            foreground: false,
        })
    }

    /// `--at`: the instant, and the words where they mean another one whenever they are read.
    fn start(&self) -> Result<Option<(Timestamp, Option<String>)>, CliError> {
        let read = |text: &String| {
            when::parse_at(text, &clock::now_local())
                .map_err(|error| CliError::usage(format!("--at: {error}")))
        };
        self.at.as_ref().map(read).transpose()
    }

    /// The flags that were given, as fields of a submission; without directory and environment, which every submission
    /// has.
    ///
    /// # Errors
    /// Times and secrets that cannot be used.
    pub fn given(&self) -> Result<Map<String, Value>, CliError> {
        // Taken apart by name: a flag that is added does not compile until its field is here.
        let Self {
            description,
            task_type,
            priority,
            cwd: _,
            env: _,
            secret,
            key,
            after,
            after_failed,
            at: _,
            timeout,
            idle_timeout,
            max_retries,
            retry_on,
            if_lost,
            exclusive,
            prompt: _,
        } = self;
        let (at, at_written) = self.start()?.unzip();
        let secrets = secrets(secret)?;
        let fields = [
            ("description", json!(description)),
            ("type", json!(task_type)),
            ("priority", json!(priority)),
            ("secrets", json!((!secrets.is_empty()).then_some(secrets))),
            ("key", json!(key)),
            ("after", json!((!after.is_empty()).then_some(after))),
            ("after_failed", json!(after_failed)),
            ("at", json!(at)),
            ("at_written", json!(at_written.flatten())),
            ("timeout_seconds", json!(timeout)),
            ("idle_timeout_seconds", json!(idle_timeout)),
            ("max_retries", json!(max_retries)),
            (
                "retry_on",
                json!((!retry_on.is_empty()).then_some(retry_on)),
            ),
            ("if_lost", json!(if_lost)),
            ("exclusive", json!(exclusive)),
        ];
        Ok(fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(field, value)| (field.to_owned(), value))
            .collect())
    }
}

/// What `--secret` says, with relative paths made absolute.
///
/// # Errors
/// No reference, or no current directory.
pub fn secrets(given: &[String]) -> Result<BTreeMap<String, SecretRef>, CliError> {
    let mut secrets = BTreeMap::new();
    for text in given {
        let secret = values::secret_arg(text)
            .map_err(|error| CliError::usage(format!("--secret: {error}")))?;
        let from = match &secret.from {
            SecretRef::File(path) if path.is_relative() => {
                SecretRef::File(current_dir()?.join(path))
            }
            SecretRef::File(_) | SecretRef::Credential(_) | SecretRef::Env(_) => {
                secret.from.clone()
            }
        };
        secrets.insert(secret.name, from);
    }
    Ok(secrets)
}

/// Random bytes of a drawn key.
const KEY_BYTES: usize = 16;

/// A key that no other submission has.
///
/// # Errors
/// When the system gives no random numbers.
pub fn draw_key() -> Result<String, CliError> {
    use std::fmt::Write as _;
    let mut bytes = [0_u8; KEY_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| CliError::failed(format!("failed to draw a key: {error}")))?;
    let mut key = String::from("cli-");
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(key, "{byte:02x}");
    }
    Ok(key)
}

/// The command from one word before `--`, or from the words after it; `None` when an agent is asked something instead.
///
/// # Errors
/// None, or both, or several words without `--`, or words beside a prompt.
pub fn command(
    line: Vec<String>,
    argv: Vec<String>,
    prompt: Option<&str>,
) -> Result<Option<CommandText>, CliError> {
    if prompt.is_some() {
        return if line.is_empty() && argv.is_empty() {
            Ok(None)
        } else {
            Err(CliError::usage(
                "a command and --prompt: give one of them (--agent-arg hands an argument to the agent)",
            ))
        };
    }
    let mut line = line;
    match (line.pop(), line.is_empty(), argv.is_empty()) {
        (Some(only), true, true) => Ok(Some(CommandText::Line(only))),
        (None, _, false) => Ok(Some(CommandText::Argv(argv))),
        (None, _, true) => Err(CliError::usage(
            "no command: give one argument (a line for the shell), a program and its arguments after --, or --prompt for an agent",
        )),
        (Some(_), false, _) => Err(CliError::usage(
            "several words: quote them as one line for the shell, or put -- before a program and its arguments",
        )),
        (Some(_), true, false) => Err(CliError::usage(
            "a line for the shell and words after --: give one of them",
        )),
    }
}
