//! The loop: pipes, signals, limits and door, from the agent's start until nothing of the attempt is left.

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use rustix::process::WaitStatus;

use super::door::Door;
use super::idle::IdleWatch;
use super::main::{LEFT_UNRECORDED, log, say};
use super::news::Noted;
use super::stop::{Stop, Why};
use super::trying::Trying;
use super::turn::tree;
use crate::agent::Reading;
use crate::attempt::protocol::{Progress, StartLine};
use crate::attempt::record::{Exit, ProcessStamp, Started};
use crate::attempt::spec::WorkerSpec;
use crate::checkpoint::{Checkpoints, Reason};
use crate::crash;
use crate::output::{Stream, Writer};
use crate::process::{self, Agent, AttemptCgroup, SignalFd, monotonic_ms};
use crate::record::{RecordError, RecordFile};
use crate::task::{Outcome, OutcomeKind, Report, TaskType};

/// How long output is still awaited from descendants that hold a pipe after the agent's end.
const HELD_PIPE_WAIT_MS: u64 = 2_000;
/// SIGTERM comes so long before SIGKILL for what an agent left behind.
const LEFTOVER_GRACE_MS: u64 = 1_000;
/// After so many milliseconds of SIGKILL the outcome is written even though something of the tree is still there.
const KILL_WAIT_MS: u64 = 10_000;
/// Between two checkpoints of a medium or heavy task that nobody asked for.
const CHECKPOINT_INTERVAL_MS: u64 = 60_000;
/// First pause after a failed write of the exit; doubled up to [`EXIT_RETRY_MAX_MS`].
const EXIT_RETRY_MS: u64 = 100;
const EXIT_RETRY_MAX_MS: u64 = 30_000;
/// A worker that still waits after this long gives back the memory that only its start has needed.
const TRIM_AFTER_MS: u64 = 1_000;
/// Bytes read from a pipe at once.
const READ_BYTES: usize = 256 * 1024;

/// The agent as it came out of the start.
#[derive(Debug)]
pub(super) enum AgentSide {
    /// It runs.
    Running(Agent),
    /// It does not, and this is how the attempt ended.
    Never(Outcome),
}

/// One attempt under way.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) spec: WorkerSpec,
    pub(super) signals: SignalFd,
    pub(super) record: RecordFile,
    pub(super) me: ProcessStamp,
    pub(super) agent: Option<ProcessStamp>,
    pub(super) never: Option<Outcome>,
    pub(super) pipes: [(Stream, Option<OwnedFd>); 2],
    pub(super) buffer: Vec<u8>,
    pub(super) output: Writer,
    /// What reads the output of an agent that reports a result.
    pub(super) reading: Option<Reading>,
    /// What was written down of it while the agent ran.
    pub(super) noted: Noted,
    /// What it had read when the run was over.
    pub(super) report: Option<Report>,
    pub(super) door: Option<Door>,
    pub(super) cgroup: AttemptCgroup,
    pub(super) checkpoints: Checkpoints,
    pub(super) progress: Option<Progress>,
    /// Output bytes in the newest checkpoint.
    pub(super) secured_bytes: u64,
    pub(super) next_checkpoint_ms: Option<u64>,
    pub(super) trim_at_ms: Option<u64>,
    pub(super) owner: Option<OwnedFd>,
    pub(super) idle: IdleWatch,
    pub(super) trying: Trying,
    pub(super) begin_ms: u64,
    pub(super) next_beat_ms: u64,
    pub(super) stop: Option<Stop>,
    pub(super) status: Option<WaitStatus>,
    pub(super) childless: bool,
    pub(super) descendant_held_pipe: bool,
    pub(super) going_down: bool,
    pub(super) exit: Option<Exit>,
    pub(super) committed: bool,
}

impl Run {
    pub(super) fn new(
        spec: WorkerSpec,
        signals: SignalFd,
        record: RecordFile,
        started: Started,
        side: AgentSide,
    ) -> Self {
        let now_ms = monotonic_ms();
        let (agent, never, pipes) = match side {
            AgentSide::Running(agent) => (
                Some(agent.stamp),
                None,
                [
                    (Stream::Stdout, Some(agent.stdout)),
                    (Stream::Stderr, Some(agent.stderr)),
                ],
            ),
            AgentSide::Never(outcome) => (
                None,
                Some(outcome),
                [(Stream::Stdout, None), (Stream::Stderr, None)],
            ),
        };
        Self {
            output: Writer::new(
                &spec.task_dir,
                spec.attempt.generation,
                spec.max_output_bytes,
            ),
            reading: spec.driver.as_ref().map(Reading::new),
            noted: Noted::default(),
            report: None,
            checkpoints: Checkpoints::of(&spec.task_dir),
            idle: IdleWatch::new(spec.idle_timeout_ms, now_ms),
            trying: Trying::default(),
            next_beat_ms: now_ms + spec.heartbeat_ms,
            next_checkpoint_ms: (spec.task_type != TaskType::Lightweight)
                .then_some(now_ms + CHECKPOINT_INTERVAL_MS),
            spec,
            signals,
            record,
            me: started.worker,
            childless: false,
            agent,
            never,
            pipes,
            buffer: vec![0; READ_BYTES],
            door: None,
            cgroup: AttemptCgroup::default(),
            progress: None,
            secured_bytes: 0,
            trim_at_ms: Some(now_ms + TRIM_AFTER_MS),
            owner: None,
            begin_ms: now_ms,
            stop: None,
            status: None,
            descendant_held_pipe: false,
            going_down: false,
            exit: None,
            committed: false,
        }
    }

    pub(super) fn with_door(mut self, door: Option<Door>) -> Self {
        self.door = door;
        self
    }

    pub(super) fn with_cgroup(mut self, cgroup: AttemptCgroup) -> Self {
        self.cgroup = cgroup;
        self
    }

    pub(super) fn with_checkpoints(
        mut self,
        checkpoints: Checkpoints,
        progress: Option<Progress>,
    ) -> Self {
        self.checkpoints = checkpoints;
        self.progress = progress;
        self
    }

    pub(super) fn with_owner(mut self, owner: Option<OwnedFd>) -> Self {
        self.owner = owner;
        self
    }

    /// Everything up to the end of this process.
    pub(super) fn finish(mut self) -> ExitCode {
        self.while_running();
        crash::point("worker.agent.ended");
        self.drain();
        self.empty_tree();
        crash::point("worker.tree.empty");
        let exit = self.ending();
        self.secure(&exit.outcome);
        crash::point("worker.secured");
        self.write_down(&exit);
        crash::point("worker.exit.synced");
        if let Some(outcome) = &self.never {
            // After the record: who hears it finds the outcome there.
            say(&StartLine::Refused(outcome.detail.clone()));
        }
        while !self.childless {
            self.stop_turn(None);
        }
        self.leave()
    }

    fn leave(self) -> ExitCode {
        if let Some(door) = self.door {
            door.close();
        }
        crash::point("worker.door.closed");
        self.cgroup.remove();
        if self.committed {
            ExitCode::from(LEFT_UNRECORDED)
        } else {
            ExitCode::SUCCESS
        }
    }

    /// Until the agent's status is known.
    fn while_running(&mut self) {
        while self.status.is_none() && self.agent.is_some() {
            let now_ms = monotonic_ms();
            self.check_limits(now_ms);
            let mut until = self
                .idle
                .deadline_ms()
                .into_iter()
                .chain(self.next_checkpoint_ms)
                .chain(self.trim_at_ms)
                .chain(self.trying.deadline_ms(self.spec.trying_timeout_ms))
                .min();
            if self.stop.is_none() && self.spec.timeout_ms > 0 {
                let end = self.begin_ms.saturating_add(self.spec.timeout_ms);
                until = Some(until.map_or(end, |until| until.min(end)));
            }
            self.stop_turn(until);
        }
    }

    fn check_limits(&mut self, now_ms: u64) {
        if self.going_down {
            self.begin_stop(Why::Interrupted, None, self.spec.grace_ms);
            self.going_down = false;
        }
        if self.next_checkpoint_ms.is_some_and(|at| at <= now_ms) {
            self.next_checkpoint_ms = Some(now_ms + CHECKPOINT_INTERVAL_MS);
            if self.output.seen_bytes() != self.secured_bytes {
                self.checkpoint(Reason::Periodic);
            }
        }
        if self.trim_at_ms.is_some_and(|at| at <= now_ms) {
            self.trim_at_ms = None;
            process::release_start_pages();
        }
        let is_trying = self.reading.as_ref().is_some_and(Reading::is_trying_again);
        self.trying.look(is_trying, now_ms);
        if self.stop.is_some() {
            return;
        }
        if self.spec.timeout_ms > 0 && now_ms - self.begin_ms >= self.spec.timeout_ms {
            self.begin_stop(Why::TimedOut, None, self.spec.grace_ms);
        } else if self.idle.is_over(now_ms, || tree(self.me)) {
            self.begin_stop(Why::Idle, None, self.spec.grace_ms);
        } else if self.trying.is_over(now_ms, self.spec.trying_timeout_ms) {
            self.begin_stop(Why::Trying, None, self.spec.grace_ms);
        }
    }

    /// Until both pipes are at their end, or whoever holds one has had time enough.
    fn drain(&mut self) {
        let until = monotonic_ms() + HELD_PIPE_WAIT_MS;
        while self.pipes.iter().any(|(_, pipe)| pipe.is_some()) {
            if monotonic_ms() >= until {
                self.descendant_held_pipe = true;
                return;
            }
            self.stop_turn(Some(until));
        }
    }

    /// Ends what the agent left behind; then the rest of the output is read.
    fn empty_tree(&mut self) {
        self.reap();
        if !self.childless && self.stop.is_none() {
            self.begin_stop(Why::Leftovers, None, LEFTOVER_GRACE_MS);
        }
        let mut give_up = None;
        while !self.childless && give_up.is_none_or(|at| monotonic_ms() < at) {
            self.stop_turn(give_up);
            if give_up.is_none() && self.stop.as_ref().is_some_and(|stop| stop.killing) {
                give_up = Some(monotonic_ms() + KILL_WAIT_MS);
            }
        }
        for place in 0..self.pipes.len() {
            while self.read_pipe(place) {}
            self.pipes[place].1 = None;
        }
        self.output.finish(process::now());
    }

    /// How it ended; from now on the door tells it.
    fn ending(&mut self) -> Exit {
        let outcome = match &self.never {
            Some(outcome) => outcome.clone(),
            None => {
                let seen = self.seen_outcome();
                self.by_its_own_account(seen)
            }
        };
        let exit = Exit {
            outcome: match self.output.loss() {
                Some(loss) => outcome.and_detail(&loss),
                None => outcome,
            },
            ended_at: process::now(),
            output_bytes: self.output.seen_bytes(),
        };
        self.exit = Some(exit.clone());
        exit
    }

    /// The last checkpoint: at every stop by us, and at an unfinished end of a task that goes on where it was.
    fn secure(&mut self, outcome: &Outcome) {
        let stopped = self
            .stop
            .as_ref()
            .is_some_and(|stop| stop.why != Why::Leftovers);
        let goes_on =
            self.spec.task_type != TaskType::Lightweight && outcome.kind != OutcomeKind::Succeeded;
        if self.agent.is_some() && (stopped || goes_on) {
            self.checkpoint(if stopped { Reason::Stop } else { Reason::Exit });
        }
    }

    /// Until `exit` is on the disk, or the daemon has committed it.
    fn write_down(&mut self, exit: &Exit) {
        let mut written = self.try_to_write(exit, RecordFile::write_synced);
        let mut pause_ms = EXIT_RETRY_MS;
        while let Err(error) = written {
            log(
                Some(&self.spec.attempt),
                &format!(
                    "failed to {error}; staying until it is written, or committed by the daemon"
                ),
            );
            let until = monotonic_ms() + pause_ms;
            while monotonic_ms() < until {
                self.stop_turn(Some(until));
                if self.committed {
                    return;
                }
            }
            pause_ms = (pause_ms * 2).min(EXIT_RETRY_MAX_MS);
            written = self.try_to_write(exit, RecordFile::write_synced_afresh);
        }
        self.committed = false;
    }

    /// What the agent said, then its end: an end without it would not say that and until when an account is closed.
    fn try_to_write(
        &self,
        exit: &Exit,
        write: impl FnOnce(&RecordFile, &Exit) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        if let Some(report) = &self.report {
            match self.record.write(report) {
                // It will not fit later either.
                Err(error @ RecordError::Encode { .. }) => {
                    log(Some(&self.spec.attempt), &format!("failed to {error}"));
                }
                said => said?,
            }
        }
        crash::point("worker.report.written");
        write(&self.record, exit)
    }
}
