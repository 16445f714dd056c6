//! What the doors may show of the supervisor beyond the tasks themselves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::carriers::WorkerSeen;
use super::clock;
use super::command::{Refusal, RefusalCode};
use super::engine::STORE_FAILED;
use super::handle::Handle;
use super::launch::record_path;
use super::listen::blocking;
use super::world::free_bytes;
use crate::record::RecordFile;
use crate::store::{Counts, Reader, StoreError};
use crate::task::{AttemptId, Intent, State, TaskId, Timestamp};

/// A database that has not answered by then does not keep from a person what is known without it.
const READ_WAIT_S: u64 = 5;

/// A running attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerLine {
    /// The slot.
    pub slot: u32,
    /// The task.
    pub task: TaskId,
    /// Its name.
    pub name: String,
    /// Its generation.
    pub generation: u32,
    /// The worker's pid, once known.
    pub worker_pid: Option<i32>,
    /// The command's pid, once known.
    pub agent_pid: Option<i32>,
    /// When the command started.
    pub started_at: Option<Timestamp>,
    /// Age of the last proof of life.
    pub heartbeat_age_ms: Option<u64>,
    /// Bytes of output as of the last proof of life.
    pub output_bytes: u64,
    /// The wish to stop it.
    pub intent: Option<Intent>,
    /// It was taken over from an earlier daemon.
    pub adopted: bool,
}

/// The system at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// Since when this daemon runs.
    pub started_at: Timestamp,
    /// The state directory.
    pub state_dir: PathBuf,
    /// Tasks by state; every state is there, or none while the database cannot be read.
    pub tasks: BTreeMap<State, u64>,
    /// Attempts that run.
    pub running: u32,
    /// Whether claims go on.
    pub claims_enabled: bool,
    /// If not: why.
    pub why_not: Option<String>,
    /// Bytes free where the state directory is.
    pub disk_free_bytes: u64,
    /// Memory that can be had without swapping, looked up when asked for; `None` when the system does not tell.
    pub memory_available_bytes: Option<u64>,
    /// Processes that ran or wanted to, on average over the last minute; `None` when the system does not tell.
    pub load_average_1m: Option<f64>,
    /// What a person should look at.
    pub attention: Vec<String>,
}

/// How many tasks hold a slot.
#[must_use]
pub fn running(counts: &Counts) -> u32 {
    let held: u64 = State::ALL
        .into_iter()
        .filter(|state| state.holds_slot())
        .map(|state| counts.of(state))
        .sum();
    u32::try_from(held).unwrap_or(u32::MAX)
}

fn by_state(counts: &Counts) -> BTreeMap<State, u64> {
    let count = |state| (state, counts.of(state));
    State::ALL.into_iter().map(count).collect()
}

/// What is read from the database, unless it takes too long.
async fn within<T>(read: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let read = tokio::time::timeout(Duration::from_secs(READ_WAIT_S), read);
    read.await.unwrap_or_else(|_| {
        let text = format!("the database cannot be read: no answer within {READ_WAIT_S} s");
        Err(Refusal::new(RefusalCode::StoreFailed, text))
    })
}

/// Memory that can be had without swapping.
fn memory_available_bytes() -> Option<u64> {
    let mut system = sysinfo::System::new().ok()?;
    system.refresh_memory_specifics(sysinfo::MemoryRefreshKind::nothing().with_ram());
    Some(system.available_memory())
}

impl Handle {
    /// The running attempts, by slot.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn workers(&self) -> Result<Vec<WorkerLine>, Refusal> {
        let handle = self.clone();
        self.query(move |reader| {
            let line = |task: &crate::task::Task| {
                let attempt = task.attempt();
                let seen = WorkerSeen {
                    slot: task.slot.unwrap_or(0),
                    name: task.spec.name.clone(),
                    ..handle.shared.worker(&attempt)
                };
                handle.line(&attempt, seen, task.life.intent.clone())
            };
            let mut lines: Vec<_> = reader.running()?.iter().map(line).collect();
            lines.sort_by_key(|line| line.slot);
            Ok(lines)
        })
        .await
    }

    /// As [`Self::workers`]; when the database cannot be read what is known without it, and why.
    pub async fn workers_known(&self) -> (Vec<WorkerLine>, Option<String>) {
        let why = match within(self.workers()).await {
            Ok(lines) => return (lines, None),
            Err(refusal) => refusal.message,
        };
        let handle = self.clone();
        let lines = blocking(move || {
            let known = handle.shared.workers().into_iter();
            let mut lines: Vec<_> = known
                .map(|(attempt, seen)| handle.line(&attempt, seen, None))
                .collect();
            lines.sort_by_key(|line| line.slot);
            lines
        })
        .await;
        (lines, Some(why))
    }

    /// A line, with what the attempt's record says, as far as it can be read.
    fn line(&self, attempt: &AttemptId, seen: WorkerSeen, intent: Option<Intent>) -> WorkerLine {
        let record = RecordFile::open_existing(&record_path(&self.paths, attempt))
            .and_then(|file| file.read())
            .ok();
        let started = record.as_ref().and_then(|record| record.started.value());
        let beat = record.as_ref().and_then(|record| record.beat.value());
        WorkerLine {
            slot: seen.slot,
            task: attempt.task.clone(),
            name: seen.name,
            generation: attempt.generation,
            worker_pid: started
                .map(|started| started.worker.pid)
                .or(seen.worker.map(|worker| worker.pid)),
            agent_pid: started
                .and_then(|started| started.agent)
                .map(|agent| agent.pid),
            started_at: started.map(|started| started.started_at),
            heartbeat_age_ms: beat
                .map(|beat| clock::monotonic_ms().saturating_sub(beat.monotonic_ms)),
            output_bytes: beat.map_or(0, |beat| beat.output_bytes),
            intent,
            adopted: seen.adopted,
        }
    }

    /// The system at a glance: when the database cannot be read what is known without it, and that.
    pub async fn overview(&self) -> Overview {
        let read = |reader: &mut Reader| -> Result<(Counts, bool), StoreError> {
            let stopped = reader.meta(super::handler::META_CLAIMS_STOPPED)?.is_some();
            Ok((reader.counts()?, stopped))
        };
        let mut attention = self.shared.attention();
        let (counts, stopped, unread) = match within(self.query(read)).await {
            Ok((counts, stopped)) => (Some(counts), stopped, None),
            Err(refusal) => (None, false, Some(refusal.message)),
        };
        attention.extend(unread.clone());
        let why_not = self.why_no_claims(stopped, unread);
        Overview {
            started_at: self.started_at,
            state_dir: self.paths.state_dir.clone(),
            tasks: counts.as_ref().map(by_state).unwrap_or_default(),
            running: counts.as_ref().map_or_else(
                || u32::try_from(self.shared.workers().len()).unwrap_or(u32::MAX),
                running,
            ),
            claims_enabled: why_not.is_none(),
            why_not,
            disk_free_bytes: free_bytes(&self.paths.state_dir).unwrap_or(0),
            memory_available_bytes: memory_available_bytes(),
            load_average_1m: sysinfo::System::load_average().ok().map(|load| load.one),
            attention,
        }
    }

    /// Why no new attempt is started, the first reason that a person should look at; `None` when they are.
    fn why_no_claims(&self, stopped: bool, unread: Option<String>) -> Option<String> {
        let by_person = "a person stopped them; `taskctl system resume` lets them go on";
        self.shared
            .attention_of(STORE_FAILED)
            .or(unread)
            .or_else(|| stopped.then(|| by_person.to_owned()))
            .or_else(|| self.shared.attention_of("restart_intensity"))
            .or_else(|| {
                super::handler::quiet_until(&self.settings(), clock::now())
                    .map(|until| format!("quiet hours until {until}"))
            })
    }

    /// Whether the store takes commits at present.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.failing.load(Ordering::Relaxed)
    }
}
