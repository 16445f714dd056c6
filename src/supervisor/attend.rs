//! Attends one attempt from its launch (or its adoption) to its end: one small task of the runtime each.

mod door;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};

use super::budgets;
use super::carriers::Shared;
use super::clock;
use super::contract;
use super::event::{self, AttemptReport, Closed, SupervisorEvent};
use super::launch::{self, LaunchError, record_path};
use super::listen::{Door, blocking, ended, read_start, reap_later};
use super::news::News;
use super::pulse::Pulse;
use super::recover::{Recovery, Round};
use super::unlaunched;
use super::unwritten::Unwritten;
use crate::attempt::protocol::StartLine;
use crate::attempt::record::{Exit, ProcessStamp, Record};
use crate::attempt::recovery::{Heartbeat, Row};
use crate::process::{Launched, WorkerEnd, open_pidfd, watchable};
use crate::record::RecordFile;
use crate::task::{AttemptId, Intent, Outcome, OutcomeKind, Report, Task, Timestamp};
use crate::worker::client;

/// A worker that has not said that its command runs by then is looked after.
const START_WAIT_MS: u64 = 30_000;
/// The start of a command is journaled by itself only if it runs this long: most short ones end in the same commit.
const STARTED_DELAY: Duration = Duration::from_millis(100);
/// Tries after which a worker whose door does not answer gets SIGTERM instead.
const DOOR_TRIES: u32 = 50;
/// Looks at the proof of life per allowed age.
const LOOKS_PER_TIMEOUT: u64 = 4;
/// Time between tries when recovery cannot read or write something.
const RECOVERY_RETRY: Duration = Duration::from_secs(1);

/// One attempt's attendant.
pub(super) struct Attendant {
    shared: Arc<Shared>,
    attempt: AttemptId,
    intents: watch::Receiver<Option<Intent>>,
    events: mpsc::Sender<SupervisorEvent>,
    started_at: Option<Timestamp>,
    /// It runs an agent that reports on itself.
    is_agent: bool,
    /// A budget limits its tokens.
    counts_tokens: bool,
    /// This daemon started the worker. When an earlier one died before it could, that says nothing about the machine.
    launched_here: bool,
}

/// How a watch ended.
enum Watched {
    /// The worker is gone, like this.
    Ended(WorkerEnd),
    /// It did not prove that it lives for so many milliseconds.
    Silent(u64),
    /// It has not said that its command runs, and had time enough. Its record tells whether it has begun meanwhile.
    NotStarted,
    /// It could not write the end down: the end is committed, the worker gone. Nothing is left to do.
    Committed,
}

impl Attendant {
    pub(super) fn new(
        shared: Arc<Shared>,
        task: &Task,
        intents: watch::Receiver<Option<Intent>>,
        events: mpsc::Sender<SupervisorEvent>,
    ) -> Self {
        Self {
            counts_tokens: budgets::counts_tokens(&shared.settings(), task),
            shared,
            attempt: task.attempt(),
            intents,
            events,
            started_at: None,
            is_agent: task.spec.command.prompt().is_some(),
            launched_here: false,
        }
    }

    /// Launches the worker of a claimed task and stays with it to the end.
    pub(super) async fn launch(mut self, what: Box<event::Launch>) {
        self.launched_here = true;
        let shared = Arc::clone(&self.shared);
        let launched = match contract::ensure(&shared, &self.events, &what).await {
            Ok(()) => {
                blocking(move || {
                    launch::launch(&shared.launch, &shared.paths, &shared.settings(), &what)
                })
                .await
            }
            Err(error) => Err(error),
        };
        self.launched_here = true;
        let mut recovery = self.recovery(Row::Open);
        let launched = match launched {
            Ok(launched) => launched,
            Err(error) => return self.not_launched(recovery, &error).await,
        };
        crate::crash::point("attend.launched");
        match self.watch_launched(launched).await {
            Watched::Ended(WorkerEnd::Left(0)) => recovery.tree_is_empty(),
            Watched::Ended(WorkerEnd::Left(_) | WorkerEnd::Signaled(_) | WorkerEnd::Unknown) => {}
            Watched::Silent(silent_ms) => recovery.silent(Some(silent_ms)),
            Watched::NotStarted => recovery.waited_enough(),
            Watched::Committed => return,
        }
        self.settle(recovery).await;
    }

    /// Takes an attempt of an earlier daemon back, or closes what is left of it.
    pub(super) async fn adopt(self) {
        let recovery = self.recovery(Row::Open);
        self.settle(recovery).await;
    }

    fn recovery(&self, row: Row) -> Recovery {
        Recovery::new(
            self.attempt.clone(),
            record_path(&self.shared.paths, &self.attempt),
            row,
            self.shared.settings().heartbeat_timeout_seconds * 1_000,
        )
    }

    /// Nothing can have started without us: the attempt is closed here, with what kept it from being launched.
    async fn not_launched(self, recovery: Recovery, error: &LaunchError) {
        let (kind, launch_failed) = match error {
            LaunchError::Task(_) => (OutcomeKind::SpawnFailed, false),
            LaunchError::Contract(_) => (OutcomeKind::NeverRan, false),
            LaunchError::Machine(_) => (OutcomeKind::NeverRan, true),
        };
        let exit = Exit {
            outcome: Outcome::of(kind).with_detail(error.to_string()),
            ended_at: clock::now(),
            output_bytes: 0,
        };
        let path = record_path(&self.shared.paths, &self.attempt);
        loop {
            let (path, end) = (path.clone(), exit.clone());
            match blocking(move || unlaunched::close(&path, &end)).await {
                Ok(true) => break,
                // The launch failed after the worker had begun.
                Ok(false) => return self.settle(recovery).await,
                Err(error) => {
                    tracing::error!(task_id = %self.attempt.task, %error, "an attempt that was not launched cannot be closed yet");
                    tokio::time::sleep(RECOVERY_RETRY).await;
                }
            }
        }
        let closed = Closed {
            attempt: self.attempt.clone(),
            outcome: exit.outcome,
            ended_at: exit.ended_at,
            started_at: None,
            report: None,
            launch_failed,
            machine_went_down: false,
        };
        self.report(AttemptReport::Closed(closed)).await;
    }

    /// Rounds of recovery until the attempt is over.
    async fn settle(mut self, mut recovery: Recovery) {
        let mut told_stuck = false;
        crate::crash::point("attend.settling");
        loop {
            if !self.shared.place.is_ours() {
                // Its record is not gone, but elsewhere: the worker is not ours to judge. The supervisor sees why.
                drop(self.events.send(SupervisorEvent::Timer).await);
                return;
            }
            let (back, round) = blocking(move || {
                let round = recovery.round();
                (recovery, round)
            })
            .await;
            recovery = back;
            match round {
                Ok(Round::Watch(worker)) => {
                    self.shared.adopted(&self.attempt);
                    recovery.watched();
                    match self.watch_adopted(worker).await {
                        Watched::Ended(_) => recovery.silent(None),
                        Watched::Silent(silent_ms) => recovery.silent(Some(silent_ms)),
                        Watched::NotStarted => recovery.waited_enough(),
                        Watched::Committed => return,
                    }
                }
                Ok(Round::Again(after_ms)) => {
                    tokio::time::sleep(Duration::from_millis(after_ms)).await
                }
                Ok(Round::Closed(closed)) => return self.closed(closed).await,
                Ok(Round::Stuck(detail, after_ms)) => {
                    if !told_stuck {
                        told_stuck = true;
                        self.report(AttemptReport::Stuck {
                            attempt: self.attempt.clone(),
                            detail,
                        })
                        .await;
                    }
                    tokio::time::sleep(Duration::from_millis(after_ms)).await;
                }
                Ok(Round::Gone(_)) => return,
                Err(error) => {
                    tracing::error!(task_id = %self.attempt.task, %error, "recovery of an attempt failed; trying again");
                    tokio::time::sleep(RECOVERY_RETRY).await;
                }
            }
        }
    }

    async fn closed(&mut self, mut closed: Closed) {
        closed.started_at = closed.started_at.or(self.started_at);
        // A worker that was started and left without a word is the machine's trouble, not the task's.
        closed.launch_failed |= self.launched_here && closed.outcome.kind == OutcomeKind::NeverRan;
        self.report(AttemptReport::Closed(closed)).await;
    }

    async fn report(&self, report: AttemptReport) {
        // When the supervisor is gone the record keeps what we saw.
        drop(self.events.send(SupervisorEvent::Attempt(report)).await);
    }

    async fn watch_launched(&mut self, launched: Launched) -> Watched {
        self.shared.launched(&self.attempt, launched.worker);
        let pidfd = match watchable(launched.pidfd) {
            Ok(pidfd) => pidfd,
            Err(error) => return unwatchable(&error),
        };
        tokio::select! {
            biased;
            started = read_start(launched.started) => {
                if let Some(StartLine::Started(started_at)) = started {
                    self.started_at = Some(started_at);
                }
            }
            () = tokio::time::sleep(Duration::from_millis(START_WAIT_MS)) => {
                reap_later(pidfd);
                return Watched::NotStarted;
            }
        }
        if self.started_at.is_some() {
            tokio::select! {
                biased;
                end = ended(&pidfd) => return Watched::Ended(end),
                () = tokio::time::sleep(STARTED_DELAY) => {}
            }
            self.tell_started().await;
        }
        self.watch_closely(pidfd, launched.worker).await
    }

    async fn watch_adopted(&mut self, worker: ProcessStamp) -> Watched {
        self.shared.launched(&self.attempt, worker);
        crate::crash::point("attend.adopted");
        let pidfd = match open_pidfd(worker).and_then(watchable) {
            Ok(pidfd) => pidfd,
            // Gone between the look and now: look again.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Watched::Ended(WorkerEnd::Unknown);
            }
            Err(error) => return unwatchable(&error),
        };
        if let Some(started_at) = self
            .read_record()
            .await
            .and_then(|record| record.started.value().map(|started| started.started_at))
        {
            self.started_at = Some(started_at);
            self.tell_started().await;
        }
        self.watch_closely(pidfd, worker).await
    }

    async fn tell_started(&self) {
        if let Some(started_at) = self.started_at {
            self.report(AttemptReport::Started {
                attempt: self.attempt.clone(),
                started_at,
            })
            .await;
        }
    }

    async fn watch_closely(&mut self, pidfd: AsyncFd<OwnedFd>, worker: ProcessStamp) -> Watched {
        let watched = self.watch(&pidfd, worker).await;
        if matches!(watched, Watched::Silent(_)) {
            reap_later(pidfd);
        }
        watched
    }

    /// Until the worker ends or falls silent; carries intents to its door meanwhile.
    async fn watch(&mut self, pidfd: &AsyncFd<OwnedFd>, worker: ProcessStamp) -> Watched {
        let timeout_ms = self.shared.settings().heartbeat_timeout_seconds * 1000;
        let interval_ms = (timeout_ms / LOOKS_PER_TIMEOUT).max(1);
        // The end may come later than the timeout by two questions that nobody answered, and not by more.
        let answer_ms = interval_ms.min(client::TIMEOUT_MS);
        let mut pulse = Pulse::new(clock::monotonic_ms());
        let mut looks = tokio::time::interval(Duration::from_millis(interval_ms));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        looks.reset();
        // An intent that was committed before this watch began is carried out, too.
        self.intents.mark_changed();
        let mut door = Door::default();
        let mut news = News::new(self.is_agent, self.counts_tokens);
        loop {
            tokio::select! {
                biased;
                end = ended(pidfd) => return Watched::Ended(end),
                changed = self.intents.changed() => {
                    if changed.is_err() {
                        return Watched::Ended(ended(pidfd).await);
                    }
                    door.wish(self.intents.borrow_and_update().clone());
                }
                () = door.due() => {
                    let asked_ms = clock::monotonic_ms();
                    let told = self.tell_door(&door, worker, answer_ms).await;
                    door.told(told);
                    if !told {
                        pulse.asked_in_vain((clock::monotonic_ms() - asked_ms).min(answer_ms));
                    }
                }
                () = news.due() => drop(self.look(&mut news).await),
                _ = looks.tick() => {
                    let record = self.look(&mut news).await;
                    let beat = record.as_ref().and_then(|record| record.beat.value());
                    let now_ms = clock::monotonic_ms();
                    let seen = pulse.look(beat, now_ms, interval_ms, timeout_ms);
                    let ended = record.as_ref().is_some_and(|record| record.exit.value().is_some());
                    if !ended && pulse.quiet_ms(now_ms).saturating_mul(2) < timeout_ms {
                        continue;
                    }
                    // A disk that takes no writes silences the record, not the worker: its door tells whether it lives, and
                    // whether it holds an end that it cannot write down.
                    let answer = self.ask_door(answer_ms).await;
                    let waited_ms = (clock::monotonic_ms() - now_ms).min(answer_ms);
                    match answer {
                        Some(status) => {
                            pulse.answered(clock::monotonic_ms());
                            if let Some(exit) = status.exit && self.unwritten(status.report).commit(&exit, pidfd, worker).await {
                                return Watched::Committed;
                            }
                        }
                        None if seen == Heartbeat::Stale => return Watched::Silent(timeout_ms),
                        None => pulse.asked_in_vain(waited_ms),
                    }
                }
            }
        }
    }

    fn unwritten(&mut self, report: Option<Box<Report>>) -> Unwritten<'_> {
        Unwritten {
            report,
            shared: &self.shared,
            attempt: &self.attempt,
            started_at: self.started_at,
            intents: &mut self.intents,
            events: &self.events,
        }
    }

    /// Reads the record, and tells what is new in it.
    async fn look(&self, news: &mut News) -> Option<Record> {
        let record = self.read_record().await;
        if let Some(report) = record.as_ref().and_then(|record| news.take(record)) {
            let attempt = self.attempt.clone();
            self.report(AttemptReport::Heard { attempt, report }).await;
        }
        record
    }

    async fn read_record(&self) -> Option<Record> {
        let path = record_path(&self.shared.paths, &self.attempt);
        blocking(move || {
            RecordFile::open_existing(&path)
                .and_then(|file| file.read())
                .ok()
        })
        .await
    }
}

fn unwatchable(error: &std::io::Error) -> Watched {
    tracing::error!(%error, "a worker cannot be watched; looking at its record instead");
    Watched::Ended(WorkerEnd::Unknown)
}
