//! From the wire's submission to a checked spec: what is missing is filled in, prefixes become ids, the directory is looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::agents;
use super::error::{ApiError, ApiResult};
use super::looks::{LIMIT, look};
use super::peer::Peer;
use super::wire::NewTask;
use crate::store::{Reader, Resolved, StoreError};
use crate::supervisor::command::{Refusal, RefusalCode, SubmitRequest};
use crate::supervisor::{Handle, clock};
use crate::task::{TaskId, TaskSpec, Timestamp};

/// Longest key.
const KEY_MAX_CHARS: usize = 200;
const DAY_MS: i64 = 24 * 3_600 * 1_000;
/// `at` may lie this far ahead.
const AT_MAX_AHEAD_MS: i64 = 10 * 366 * DAY_MS;
/// `at` may lie this far back (a repeated submission keeps the time it had); before that it is a slip.
const AT_MAX_BEHIND_MS: i64 = 366 * DAY_MS;
/// Longest text of a time as it was written.
const AT_WRITTEN_MAX_CHARS: usize = 100;
/// `PATH` of a task whose submitter gave no environment.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Makes a submission of what the wire said.
///
/// # Errors
/// The first thing that is wrong, with its field.
pub(super) async fn submission(
    handle: &Handle,
    peer: Peer,
    new: NewTask,
) -> ApiResult<SubmitRequest> {
    let after = resolve_all(handle, &new.after).await?;
    let id = clock::new_task_id()
        .map_err(|error| Refusal::new(RefusalCode::Internal, error.to_string()))?;
    let key = match new.key {
        Some(key) => checked_key(key)?,
        // Without a key a repeated submission is another task: the id is as good as any.
        None => id.to_string(),
    };
    let env = new.env.unwrap_or_else(minimal_environment);
    let (command, task_type) = agents::command(
        &handle.settings(),
        new.command.map(Into::into),
        new.prompt,
        new.task_type,
    )?;
    let setting = || {
        let own = !new.foreground && new.batch.is_none();
        own.then(|| handle.settings().notify_command.clone())
    };
    // An empty one wants nobody to be told, whatever the setting says.
    let notify = new.notify.or_else(setting).filter(|line| !line.is_empty());
    let at_written = checked_words(new.at_written, new.at)?;
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let mut spec = TaskSpec {
        name: new.name,
        description: new.description,
        exclusive: new.exclusive,
        command,
        task_type,
        priority: new.priority,
        cwd: new.cwd.map_or(home, |cwd| plain_path(&cwd)),
        env,
        secrets: new.secrets,
        after,
        after_failed: new.after_failed,
        at: new.at.map(checked_time).transpose()?,
        timeout_seconds: new.timeout_seconds,
        idle_timeout_seconds: new.idle_timeout_seconds,
        max_retries: new.max_retries,
        retry_on: new.retry_on,
        if_lost: new.if_lost,
        notify,
        batch: new.batch,
        foreground: new.foreground,
    };
    spec.check()
        .map_err(|error| ApiError::bad(error.to_string()))?;
    if let Some(prompt) = spec.command.prompt() {
        agents::check(handle, prompt, &spec).await?;
    }
    let real = check_directory(&spec.cwd).await?;
    if spec.command.prompt().is_some() {
        // Two agents in one directory would work against each other, by whatever way they come there.
        spec.exclusive = spec.exclusive.or_else(|| Some(agents::lane_of(&real)));
    }
    Ok(SubmitRequest {
        id,
        key,
        spec,
        at_written,
        uid: peer.uid,
    })
}

/// The time is one that somebody may mean.
///
/// # Errors
/// It lies further ahead than ten years, or further back than one.
pub(super) fn checked_time(at: Timestamp) -> ApiResult<Timestamp> {
    if at.ms_since(clock::now()) > AT_MAX_AHEAD_MS {
        return Err(ApiError::bad(format!(
            "at: {at} is more than ten years ahead"
        )));
    }
    if clock::now().ms_since(at) > AT_MAX_BEHIND_MS {
        return Err(ApiError::bad(format!(
            "at: {at} is more than a year ago; leave it out for now"
        )));
    }
    Ok(at)
}

fn checked_words(at_written: Option<String>, at: Option<Timestamp>) -> ApiResult<Option<String>> {
    let Some(text) = at_written else {
        return Ok(None);
    };
    if at.is_none() {
        return Err(ApiError::bad(
            "at_written: goes with at, which is not given",
        ));
    }
    let chars = text.chars().count();
    if chars == 0 || chars > AT_WRITTEN_MAX_CHARS || text.chars().any(char::is_control) {
        return Err(ApiError::bad(format!(
            "at_written: must have 1 to {AT_WRITTEN_MAX_CHARS} characters and no control characters; it has {chars}"
        )));
    }
    Ok(Some(text))
}

fn checked_key(key: String) -> ApiResult<String> {
    let chars = key.chars().count();
    if chars == 0 || chars > KEY_MAX_CHARS || key.chars().any(char::is_control) {
        let text = format!(
            "key: must have 1 to {KEY_MAX_CHARS} characters and no control characters; it has {chars}"
        );
        return Err(ApiError::bad(text));
    }
    Ok(key)
}

fn minimal_environment() -> BTreeMap<String, String> {
    let inherited = ["HOME", "USER", "LOGNAME", "LANG", "TZ"];
    let mut env: BTreeMap<String, String> = inherited
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect();
    env.insert(
        "PATH".to_owned(),
        std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned()),
    );
    env
}

/// The same path without what says nothing (`//`, `/.`, a `/` at the end): budgets and tables know a directory by its path. A
/// logical `..` is kept: with links only the kernel knows where it leads.
pub(super) fn plain_path(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The directory is there and the daemon, which starts the command, may use it: its path without links. It may be gone again
/// at the start: then the attempt fails to start, and says so.
///
/// # Errors
/// What is wrong with it.
pub(super) async fn check_directory(cwd: &Path) -> ApiResult<PathBuf> {
    let path = cwd.to_owned();
    let problem = match look(move || look_at(&path)).await? {
        Some(Ok(real)) => return Ok(real),
        Some(Err(problem)) => problem,
        None => format!(
            "is on a file system that has not answered for {} s",
            LIMIT.as_secs()
        ),
    };
    Err(ApiError::bad(format!("cwd: {cwd:?} {problem}")))
}

fn look_at(cwd: &Path) -> Result<PathBuf, String> {
    match std::fs::metadata(cwd) {
        Ok(found) if !found.is_dir() => return Err("is no directory".to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err("does not exist".to_owned());
        }
        Err(error) => return Err(format!("cannot be used by the daemon's user: {error}")),
    }
    let enter = rustix::fs::access(cwd, rustix::fs::Access::EXEC_OK);
    enter.map_err(|error| format!("may not be entered by the daemon's user: {error}"))?;
    std::fs::canonicalize(cwd).map_err(|error| format!("leads nowhere: {error}"))
}

/// Resolves ids and short unique prefixes, in their order.
///
/// # Errors
/// The first that is malformed, unknown or ambiguous.
pub(super) async fn resolve_all(handle: &Handle, given: &[String]) -> ApiResult<Vec<TaskId>> {
    let mut ids = Vec::with_capacity(given.len());
    for text in given {
        ids.push(resolve(handle, text).await?);
    }
    Ok(ids)
}

/// Resolves an id or a short unique prefix.
///
/// # Errors
/// Malformed, unknown or ambiguous.
pub(super) async fn resolve(handle: &Handle, text: &str) -> ApiResult<TaskId> {
    let prefix = TaskId::parse_prefix(text).map_err(|error| ApiError::bad(error.to_string()))?;
    if let Ok(id) = prefix.parse::<TaskId>() {
        return Ok(id);
    }
    let found = handle
        .query(move |reader| resolve_in(reader, &prefix))
        .await?;
    Ok(found?)
}

fn resolve_in(reader: &mut Reader, prefix: &str) -> Result<Result<TaskId, Refusal>, StoreError> {
    Ok(match reader.resolve(prefix)? {
        Resolved::One(task) => Ok(task.id),
        Resolved::None => Err(Refusal::new(
            RefusalCode::NotFound,
            format!("there is no task {prefix}…"),
        )),
        Resolved::Many(ids) => {
            let some: Vec<String> = ids.iter().map(ToString::to_string).collect();
            Err(Refusal::new(
                RefusalCode::AmbiguousId,
                format!("{prefix}… names several tasks: {}", some.join(", ")),
            ))
        }
    })
}
