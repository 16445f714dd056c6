//! From a claimed task to a worker process: everything is resolved here, so that the worker needs no database and no settings.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use super::agents::{self, AgentLaunch};
use super::event::Launch;
use super::small_file::read_text;
use crate::attempt::spec::{Handover, Owner, PROTOCOL_VERSION, WorkerSpec};
use crate::config::Settings;
use crate::config::paths::{DAEMON_SOCKET_VAR, Paths, SOCKET_VAR};
use crate::process::{Launched, Launcher, OpenExe};
use crate::task::{Command, SecretRef, Task};

const MS_PER_SECOND: u64 = 1_000;
const BYTES_PER_MIB: u64 = 1024 * 1024;
/// Longest value of a secret.
const SECRET_MAX_BYTES: u64 = 64 * 1024;
const TOKEN_BYTES: usize = 16;
/// What the name of an attempt's door has after the attempt's id.
pub const DOOR_SUFFIX: &str = ".sock";

/// Why no worker was started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The task's own fault: it fails to start, again and again.
    #[error("{0}")]
    Task(String),
    /// The installed agent does not keep its contract: its accounts are held, and nothing of the task has run.
    #[error("{0}")]
    Contract(String),
    /// The machine's fault: it may work later.
    #[error("{0}")]
    Machine(#[from] std::io::Error),
}

/// What every launch needs.
#[derive(Debug)]
pub struct LaunchContext {
    /// The daemon's own executable.
    pub exe: OpenExe,
    /// How workers are started.
    pub launcher: Launcher,
    /// A foreground run: workers end with this process.
    pub owner: Option<Owner>,
}

/// Starts the worker of a claimed task. Blocking.
///
/// # Errors
/// [`LaunchError`]; then nothing was started.
pub fn launch(
    context: &LaunchContext,
    paths: &Paths,
    settings: &Settings,
    what: &Launch,
) -> Result<Launched, LaunchError> {
    let agent = match what.task.prompt_there() {
        Some(prompt) => {
            let task_dir = paths.tasks_dir.join(what.task.id.as_str());
            Some(agents::prepare(
                settings, &task_dir, &what.task, &prompt, what,
            )?)
        }
        None => None,
    };
    let of_account = agent.as_ref().map(|agent| &agent.secrets);
    let secrets = what
        .task
        .spec
        .secrets
        .iter()
        .chain(of_account.into_iter().flatten())
        .map(|(name, source)| Ok((name.clone(), secret(name, source)?)))
        .collect::<Result<BTreeMap<_, _>, LaunchError>>()?;
    let mut spec = worker_spec(context, paths, settings, &what.task, agent)?;
    // The time that its budgets have left is a time limit as any other, kept by the worker.
    if let Some(most) = what.share.run_ms {
        let own = Some(spec.timeout_ms).filter(|own| *own > 0);
        spec.timeout_ms = own.map_or(most, |own| own.min(most));
    }
    if what.is_probe {
        spec.cwd = probe_dir(paths)?;
    }
    let handover = Handover { spec, secrets };
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(paths.logs_dir.join("workers.log"))?;
    crate::crash::point("launch.before_spawn");
    let launched = context.launcher.launch(&context.exe, &handover, log)?;
    crate::crash::point("launch.after_spawn");
    Ok(launched)
}

/// The directory in which the daemon's own probes run: an empty one, in which an agent finds nothing to read or to do.
pub(super) fn probe_dir(paths: &Paths) -> std::io::Result<PathBuf> {
    let dir = paths.state_dir.join("probe");
    match std::fs::create_dir(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(dir),
    }
}

/// Where an attempt's record is.
#[must_use]
pub fn record_path(paths: &Paths, attempt: &crate::task::AttemptId) -> PathBuf {
    paths.records_dir.join(attempt.to_string())
}

/// Where an attempt's door is.
#[must_use]
pub fn door_path(paths: &Paths, attempt: &crate::task::AttemptId) -> PathBuf {
    paths.run_dir.join(format!("{attempt}{DOOR_SUFFIX}"))
}

fn worker_spec(
    context: &LaunchContext,
    paths: &Paths,
    settings: &Settings,
    task: &Task,
    agent: Option<AgentLaunch>,
) -> Result<WorkerSpec, LaunchError> {
    let attempt = task.attempt();
    let spec = &task.spec;
    let idle_seconds = agent.as_ref().and_then(|agent| agent.idle_seconds);
    let mut input = None;
    let (argv, mut env, driver) = match (&spec.command, agent) {
        (_, Some(agent)) => {
            input = agent.input;
            (agent.argv, agent.env, Some(agent.driver))
        }
        (Command::Line(line), None) => {
            let shell = settings.shell.to_string_lossy().into_owned();
            let argv = vec![shell, "-c".to_owned(), line.clone()];
            (argv, spec.env.clone(), None)
        }
        (Command::Argv(argv), None) => (argv.clone(), spec.env.clone(), None),
        (Command::Prompt(_), None) => {
            return Err(LaunchError::Task("no agent was prepared".to_owned()));
        }
    };
    name_the_daemon(&mut env, paths);
    Ok(WorkerSpec {
        version: PROTOCOL_VERSION,
        slot: task.slot.unwrap_or(0),
        argv,
        input,
        trying_timeout_ms: settings.agent_trying_seconds * MS_PER_SECOND,
        driver,
        cwd: spec.cwd.clone(),
        env,
        task_type: spec.task_type,
        resume: task.life.resume,
        record: record_path(paths, &attempt),
        task_dir: paths.tasks_dir.join(attempt.task.as_str()),
        door: door_path(paths, &attempt),
        token: token()?,
        timeout_ms: spec
            .timeout_seconds
            .unwrap_or(settings.task_timeout_seconds)
            .saturating_mul(MS_PER_SECOND),
        idle_timeout_ms: spec
            .idle_timeout_seconds
            .or(Some(settings.idle_timeout_seconds).filter(|seconds| *seconds > 0))
            .or(idle_seconds)
            .unwrap_or(0)
            .saturating_mul(MS_PER_SECOND),
        grace_ms: settings.grace_seconds * MS_PER_SECOND,
        max_output_bytes: settings.max_output_mb * BYTES_PER_MIB,
        heartbeat_ms: settings.heartbeat_seconds * MS_PER_SECOND,
        max_processes: settings.max_processes,
        max_memory_bytes: settings.max_memory_mb * BYTES_PER_MIB,
        owner: context.owner.filter(|_| spec.foreground),
        launched_at_ms: super::clock::now().as_ms(),
        attempt,
    })
}

/// Says in a task's environment where the daemon is: a `taskctl` in the command means the daemon that started it, wherever
/// that has its socket, and not the one that its submitter's shell had named.
fn name_the_daemon(env: &mut BTreeMap<String, String>, paths: &Paths) {
    let socket = paths.socket.to_string_lossy().into_owned();
    env.remove(SOCKET_VAR);
    env.insert(DAEMON_SOCKET_VAR.to_owned(), socket);
}

fn token() -> Result<String, std::io::Error> {
    let mut bytes = [0u8; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The value of a secret. Its text never stands in an error.
pub(super) fn secret(name: &str, source: &SecretRef) -> Result<String, LaunchError> {
    let task = |text: String| LaunchError::Task(format!("secret {name}: {text}"));
    match source {
        SecretRef::File(path) => read_secret(path)
            .map_err(|error| task(format!("cannot read {}: {error}", path.display()))),
        SecretRef::Env(variable) => std::env::var(variable).map_err(|_| {
            task(format!(
                "the daemon's environment has no (readable) variable {variable}"
            ))
        }),
        SecretRef::Credential(credential) => {
            let dir = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                task("the daemon was given no credentials (LoadCredential= in its unit)".to_owned())
            })?;
            read_secret(&Path::new(&dir).join(credential))
                .map_err(|error| task(format!("cannot read the credential {credential}: {error}")))
        }
    }
}

fn read_secret(path: &Path) -> std::io::Result<String> {
    let mut value = read_text(path, SECRET_MAX_BYTES)?;
    if value.ends_with('\n') {
        value.pop();
    }
    if value.contains('\0') {
        return Err(std::io::Error::other("it holds a NUL byte"));
    }
    Ok(value)
}
