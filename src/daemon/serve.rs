//! `auto-claude serve`: the daemon.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::error::ExitError;
use super::setup::Place;
use crate::api::{self, Doors};
use crate::config::{
    PathOptions, Paths, Settings, Sources, load, reload::reloaded, reloadable_changes,
};
use crate::logs;
use crate::supervisor::command::{Command, RefusalCode};
use crate::supervisor::{self, StartOptions, Supervisor, clock};

/// Threads for what blocks: launches, recovery, queries, record files.
const BLOCKING_THREADS_MAX: usize = 32;
/// An idle thread costs memory; a new one costs microseconds.
const BLOCKING_KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Time that requests under way have when the daemon leaves.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(3);

/// The runtime of daemon and foreground run: one thread, which never blocks.
///
/// # Errors
/// When the kernel gives no descriptors.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    crate::process::share_heaps();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_keep_alive(BLOCKING_KEEP_ALIVE)
        .build()
}

/// Runs the daemon until a signal ends it.
///
/// # Errors
/// One clear message; nothing was changed when it did not start.
pub fn serve(options: &PathOptions) -> Result<(), ExitError> {
    let place = Place::resolve(options)?;
    crate::config::paths::check_socket(&place.paths.socket)?;
    let runtime = runtime()?;
    let served = runtime.block_on(serve_in(options, place));
    // A thread that waits for a file system which does not answer keeps nobody from leaving.
    runtime.shutdown_timeout(DRAIN_LIMIT);
    served
}

async fn serve_in(options: &PathOptions, place: Place) -> Result<(), ExitError> {
    let Place { paths, effective } = place;
    supervisor::directories::make_directories(&paths)?;
    let log = logs::init(&paths.logs_dir, &effective.settings, true)
        .map_err(|error| ExitError::of(&error))?;
    // Handlers first: a signal that comes while we start must not kill us half way.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let start = StartOptions {
        paths: paths.clone(),
        settings: effective.settings,
        foreground: false,
        lock: None,
    };
    let supervisor = supervisor::start(start).await?;
    tell_unreadable(&supervisor.handle.settings());
    let doors = Doors::bind(&paths)?;
    let (shut, shutting) = watch::channel(false);
    let server = tokio::spawn(api::serve(doors, supervisor.handle.clone(), shutting));
    let taken_back = supervisor.found_running;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id(),
        socket = %paths.socket.display(),
        taken_back,
        "ready"
    );
    notify(&[sd_notify::NotifyState::Ready]);
    let watchdog = tokio::spawn(feed_watchdog(supervisor.handle.clone()));
    let leases = tokio::spawn(api::end_orphaned_runs(supervisor.handle.clone()));
    let retain = tokio::spawn(supervisor::retain::keep_days(supervisor.handle.clone()));
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = supervisor.ended() => break,
            _ = hang_up.recv() => {
                notify(&[sd_notify::NotifyState::Reloading]);
                reload(options, &supervisor, &log).await;
                notify(&[sd_notify::NotifyState::Ready]);
            }
        }
    }
    notify(&[sd_notify::NotifyState::Stopping]);
    leases.abort();
    retain.abort();
    watchdog.abort();
    let _ = shut.send(true);
    if tokio::time::timeout(DRAIN_LIMIT, server).await.is_err() {
        tracing::warn!("some requests were cut off");
    }
    let lost = lost(&supervisor, &paths);
    let running = supervisor.leave().await;
    if let Some(lost) = lost {
        return Err(lost);
    }
    match running {
        0 => tracing::info!(running, "leaving; nothing runs"),
        1 => tracing::info!(
            running,
            "leaving; 1 running attempt goes on and is taken back by the next daemon"
        ),
        _ => tracing::info!(
            running,
            "leaving; {running} running attempts go on and are taken back by the next daemon"
        ),
    }
    Ok(())
}

/// Why the daemon leaves although nobody asked it to.
fn lost(supervisor: &Supervisor, paths: &Paths) -> Option<ExitError> {
    if !supervisor.is_in_place() {
        return Some(ExitError::failed(format!(
            "the state directory {} was removed, moved or replaced while this daemon ran; nothing more is written, and \
             running attempts go on by themselves: put it back and start a daemon on it",
            paths.state_dir.display()
        )));
    }
    supervisor.has_ended().then(|| {
        ExitError::failed("the supervisor's thread has ended by a bug of ours; see the log")
    })
}

/// A description that cannot be read stops no other agent, but nobody should learn of it at the next submission only.
fn tell_unreadable(settings: &Settings) {
    for why in supervisor::agents::unreadable(settings) {
        tracing::warn!(why, "an agent's description cannot be read");
    }
}

/// Takes over what can be taken over; a broken file changes nothing.
async fn reload(options: &PathOptions, supervisor: &Supervisor, log: &logs::Guard) {
    let paths = match crate::config::Paths::of_process(options) {
        Ok(paths) => paths,
        Err(error) => return tracing::error!(%error, "the old settings stay"),
    };
    let new = match load(&Sources::of_process(paths.config_file)) {
        Ok(effective) => effective.settings,
        Err(error) => {
            return tracing::error!(%error, "the configuration is broken; the old settings stay");
        }
    };
    let old = supervisor.handle.settings();
    let changes = reloadable_changes(&old, &new);
    let settings = reloaded(&old, &new);
    if let Err(error) = log.set_level(&settings.log_level) {
        tracing::error!(%error, "the old log level stays");
    }
    tell_unreadable(&settings);
    supervisor.reload(settings).await;
    tracing::info!(applied = ?changes.applied, needs_restart = ?changes.needs_restart, "settings reloaded");
}

/// Tells systemd that we live, for as long as the supervisor answers: a daemon that only looks alive is restarted. A store
/// that fails is an answer, too: a restart would not mend the disk.
async fn feed_watchdog(handle: supervisor::Handle) {
    let Some(timeout) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut beats = tokio::time::interval(timeout / 2);
    loop {
        beats.tick().await;
        match handle.command(Command::Ping).await {
            Ok(_) => notify(&[sd_notify::NotifyState::Watchdog]),
            Err(refusal) if refusal.code != RefusalCode::ShuttingDown => {
                notify(&[sd_notify::NotifyState::Watchdog])
            }
            Err(_) => return,
        }
    }
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, at = %clock::now(), "systemd was not told");
    }
}
