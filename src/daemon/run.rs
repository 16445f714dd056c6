//! `auto-claude run`: one task in the foreground, under the running daemon of the state directory or an embedded one.
//!
//! The embedded daemon is the real one in this process: it claims nothing but its own task, and its worker ends when this
//! process does. With `--detach` it leaves as soon as the command runs, and the next daemon takes the attempt back.

use std::time::Duration;

use tokio::sync::watch;

use super::detached;
use super::error::ExitError;
use super::serve::runtime;
use super::setup::Place;
use crate::api::wire::NewTask;
use crate::api::{self, Doors};
use crate::cli::{CliError, Daemon, RunOptions, run_foreground};
use crate::config::PathOptions;
use crate::logs;
use crate::supervisor::lock::{DaemonLock, LockError};
use crate::supervisor::start::StartError;
use crate::supervisor::{self, StartOptions, Supervisor};

/// A daemon that holds the lock answers by then, unless it is stuck.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const CONNECT_AGAIN: Duration = Duration::from_millis(50);
/// What the lock of a foreground run says; see [`supervisor::start::role`].
const FOREGROUND_ROLE: &str = "a foreground run";

/// How a foreground run failed.
#[derive(Debug)]
pub enum RunError {
    /// Before the task was submitted.
    Start(ExitError),
    /// As a client.
    Client(CliError),
}

impl From<ExitError> for RunError {
    fn from(error: ExitError) -> Self {
        Self::Start(error)
    }
}

impl From<CliError> for RunError {
    fn from(error: CliError) -> Self {
        Self::Client(error)
    }
}

/// Runs the task; the exit code is the task's.
///
/// # Errors
/// [`RunError`].
pub fn run(options: &PathOptions, task: NewTask, run: &RunOptions) -> Result<u8, RunError> {
    let place = match Place::resolve(options) {
        Ok(place) => place,
        Err(error) => {
            return under_anothers_daemon(options, task, run).unwrap_or(Err(error.into()));
        }
    };
    crate::config::paths::check_socket(&place.paths.socket).map_err(ExitError::from)?;
    supervisor::directories::make_directories(&place.paths).map_err(ExitError::from)?;
    let runtime = runtime().map_err(ExitError::from)?;
    let role = supervisor::start::role(true);
    let taken = match DaemonLock::try_take(&place.paths, role) {
        // The other daemon is none of this state directory: it may be leaving, but can never be asked.
        Err(LockError::DatabaseHeld { .. }) => DaemonLock::take(&place.paths, role),
        at_once => at_once,
    };
    match taken {
        Ok(lock) => runtime.block_on(embedded(place, lock, task, run)),
        Err(LockError::Held { dir, holder }) if holder.starts_with(FOREGROUND_ROLE) => Err(ExitError::failed(format!(
            "{} is in use by {holder}; for several at once start `auto-claude serve`, or choose another --state-dir",
            dir.display()
        ))
        .with_code(ExitError::IN_USE)
        .into()),
        Err(LockError::Held { .. }) => runtime.block_on(as_client(&place, task, run)),
        Err(error) => Err(ExitError::from(StartError::from(error)).into()),
    }
}

/// Where the state directory may not be believed, a daemon that has it may still be asked, because nothing is run in our
/// name then: so root uses the service's daemon. `None` when there is none.
fn under_anothers_daemon(
    options: &PathOptions,
    task: NewTask,
    run: &RunOptions,
) -> Option<Result<u8, RunError>> {
    let place = Place::look(options)
        .ok()
        .filter(|place| DaemonLock::is_held(&place.paths))?;
    let runtime = runtime().ok()?;
    Some(runtime.block_on(as_client(&place, task, run)))
}

/// Under the daemon that runs already.
async fn as_client(place: &Place, task: NewTask, run: &RunOptions) -> Result<u8, RunError> {
    let connecting = async {
        loop {
            match Daemon::at(&place.paths.socket).await {
                Err(error) if error.is_no_daemon() => tokio::time::sleep(CONNECT_AGAIN).await,
                other => return other,
            }
        }
    };
    // The lock is held, so a daemon is there: it may be starting or leaving at this moment.
    let mut daemon = match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
        Ok(daemon) => daemon?,
        Err(_) => Daemon::at(&place.paths.socket).await?,
    };
    if run.detach {
        return detached::under_a_daemon(&mut daemon, &task, run).await;
    }
    Ok(run_foreground(&mut daemon, task, run).await?)
}

/// Under a daemon of our own.
async fn embedded(
    place: Place,
    lock: DaemonLock,
    task: NewTask,
    run: &RunOptions,
) -> Result<u8, RunError> {
    let Place { paths, effective } = place;
    let _log = logs::init(&paths.logs_dir, &effective.settings, false)
        .map_err(|error| ExitError::of(&error))?;
    let start = StartOptions {
        paths: paths.clone(),
        settings: effective.settings,
        foreground: true,
        lock: Some(lock),
    };
    let supervisor = supervisor::start(start).await.map_err(ExitError::from)?;
    let doors = Doors::bind(&paths).map_err(ExitError::from)?;
    let (shut, shutting) = watch::channel(false);
    let server = tokio::spawn(api::serve(doors, supervisor.handle.clone(), shutting));
    let result = client_part(&supervisor, &paths.socket, task, run).await;
    // The receiver is gone when the server is: nothing is left to tell then.
    let _ = shut.send(true);
    // Our own client's connections are closed by now; others get a moment.
    let _ = tokio::time::timeout(super::serve::DRAIN_LIMIT, server).await;
    supervisor.leave().await;
    result
}

async fn client_part(
    supervisor: &Supervisor,
    socket: &std::path::Path,
    task: NewTask,
    run: &RunOptions,
) -> Result<u8, RunError> {
    let mut daemon = Daemon::at(socket).await?;
    let run = &RunOptions {
        embedded: true,
        ..run.clone()
    };
    if run.detach {
        return detached::without_a_daemon(supervisor, &mut daemon, &task, run).await;
    }
    Ok(run_foreground(&mut daemon, task, run).await?)
}
