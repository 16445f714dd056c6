//! Tells notices: runs a command once for each, bounded in time, in a process group of its own. Whether and when it is tried
//! again is the handler's matter.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use super::carriers::Shared;
use super::clock;
use super::event::{SupervisorEvent, Tell};
use super::notice::{NOTICE_ID_VAR, Notice, Sink, Told};
use crate::config::Settings;
use crate::config::paths::DAEMON_SOCKET_VAR;
use crate::process::{Aside, AsidePlan, SweepResult, Target, WorkerEnd, sweep};
use crate::store::{StoreError, Tx};

/// Notices told at once; the others wait for their turn.
pub(super) const TOLD_AT_ONCE: usize = 4;
/// However the clock was set, a notice waits no longer than this for its time.
const WAIT_MAX_MS: i64 = 3_600_000;
/// Between SIGTERM and SIGKILL when the time is over.
const GRACE: Duration = Duration::from_secs(2);
/// A former try that ends neither by SIGTERM nor within this time of SIGKILL is left behind.
const END_LIMIT_MS: u64 = 2_000;
/// Variables of ours are those of the notice, not those of a task around.
const OURS: &str = "AUTO_CLAUDE_";
/// `PATH` where the task is gone that would say it.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What an earlier daemon has left to be told.
///
/// # Errors
/// When rows cannot be read. A notice that cannot be read is passed over, and stays.
pub(super) fn left_to_tell(tx: &Tx<'_>) -> Result<Vec<Tell>, StoreError> {
    let mut left = Vec::new();
    for text in tx.notices()? {
        match serde_json::from_str::<Notice>(&text) {
            Ok(notice) => {
                // Of a damaged task nothing is needed but its environment.
                let task = tx.task(&notice.task).ok().flatten();
                left.push(Tell { notice, task });
            }
            Err(error) => tracing::error!(%error, "a notice cannot be read; nobody is told"),
        }
    }
    Ok(left)
}

/// Tells it once, when its time has come, and says what became of that.
pub(super) async fn tell(
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    events: mpsc::Sender<SupervisorEvent>,
    what: Box<Tell>,
) {
    let wait = what.notice.due.ms_since(clock::now()).clamp(0, WAIT_MAX_MS);
    tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())).await;
    let Ok(place) = places.acquire().await else {
        return;
    };
    let settings = shared.settings();
    let failed = once(&shared, &settings, &what).await.err();
    drop(place);
    crate::crash::point("notice.told");
    let id = what.notice.id.clone();
    let told = SupervisorEvent::Told(Told { id, failed });
    drop(events.send(told).await);
}

async fn once(shared: &Shared, settings: &Settings, what: &Tell) -> Result<(), String> {
    let Sink::Command(line) = &what.notice.sink;
    let cwd = what.task.as_ref().map(|task| task.spec.cwd.clone());
    let plan = AsidePlan {
        argv: vec![
            settings.shell.to_string_lossy().into_owned(),
            "-c".to_owned(),
            line.clone(),
        ],
        env: environment(shared, what),
        cwd: cwd
            .filter(|dir| dir.is_dir())
            .unwrap_or_else(|| PathBuf::from("/")),
    };
    let before = Target {
        // Another daemon's notice may have the same name.
        marker: vec![
            format!("{NOTICE_ID_VAR}={}", what.notice.id),
            format!("{DAEMON_SOCKET_VAR}={}", shared.paths.socket.display()),
        ],
        ..Target::default()
    };
    let started = super::listen::blocking(move || {
        end_former(&before);
        Aside::start(&plan)
    })
    .await;
    let mut aside = started.map_err(|error| format!("its command cannot be started: {error}"))?;
    let limit = Duration::from_secs(settings.notify_timeout_seconds);
    let end = match tokio::time::timeout(limit, aside.ended()).await {
        Ok(end) => end,
        Err(_) => {
            aside.terminate();
            if tokio::time::timeout(GRACE, aside.ended()).await.is_err() {
                aside.kill();
                aside.ended().await;
            }
            let seconds = limit.as_secs();
            return Err(aside.with_output(&format!("its command ran longer than {seconds} s")));
        }
    };
    match end {
        WorkerEnd::Left(0) => Ok(()),
        WorkerEnd::Left(code) => {
            Err(aside.with_output(&format!("its command ended with exit code {code}")))
        }
        WorkerEnd::Signaled(signal) => {
            Err(aside.with_output(&format!("its command was ended by signal {signal}")))
        }
        WorkerEnd::Unknown => Err("nobody saw how its command ended".to_owned()),
    }
}

/// Ends what a former try has left: the one of a daemon that was killed has nobody who bounds its time.
fn end_former(target: &Target) {
    let grace_ms = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
    match sweep(target, grace_ms, END_LIMIT_MS) {
        Ok(SweepResult::Empty) => {}
        Ok(left) => tracing::warn!(?left, "a former try of a notice cannot be ended"),
        Err(error) => {
            tracing::warn!(%error, "whether a former try of a notice still runs is not known")
        }
    }
}

/// The task's own environment (its secrets are not in it), and what is told.
fn environment(shared: &Shared, what: &Tell) -> BTreeMap<String, String> {
    let mut env = match &what.task {
        Some(task) => task.spec.env.clone(),
        None => BTreeMap::from([("PATH".to_owned(), DEFAULT_PATH.to_owned())]),
    };
    env.retain(|name, _| !name.starts_with(OURS));
    env.extend(what.notice.facts.clone());
    env.insert(NOTICE_ID_VAR.to_owned(), what.notice.id.clone());
    let tries = what.notice.tries.saturating_add(1);
    env.insert("AUTO_CLAUDE_NOTICE_TRY".to_owned(), tries.to_string());
    let socket = shared.paths.socket.to_string_lossy().into_owned();
    env.insert(DAEMON_SOCKET_VAR.to_owned(), socket);
    env
}
