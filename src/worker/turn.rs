//! One turn of the loop: wait for whatever comes first, handle it, and send what a stop under way has to send.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, WaitOptions, wait};

use super::door::Door;
use super::main::log;
use super::run::Run;
use super::stop::{Stop, Why};
use crate::attempt::record::{Beat, ProcessStamp};
use crate::output::Stream;
use crate::process::{self, ProcStat, Snapshot, Target, monotonic_ms};
use crate::task::Intent;

/// Reads from one pipe before anything else gets its turn.
const READS_PER_TURN: usize = 8;

/// What a descriptor in the poll set is.
#[derive(Clone, Copy)]
enum Source {
    Signals,
    Owner,
    Pipe(usize),
    Door,
}

impl Run {
    /// One turn of the loop, and a round of SIGKILL when it is due.
    pub(super) fn stop_turn(&mut self, until_ms: Option<u64>) {
        let kill_ms = self
            .stop
            .as_ref()
            .filter(|_| !self.childless)
            .map(Stop::deadline_ms);
        self.turn(until_ms.into_iter().chain(kill_ms).min());
        let now_ms = monotonic_ms();
        if !self.childless
            && self
                .stop
                .as_mut()
                .is_some_and(|stop| stop.kill_is_due(now_ms))
        {
            self.cgroup.kill();
            process::signal_members(&tree(self.me).unwrap_or_default(), Signal::KILL);
        }
    }

    pub(super) fn begin_stop(&mut self, why: Why, intent: Option<Intent>, grace_ms: u64) {
        let kill_at_ms = monotonic_ms().saturating_add(grace_ms);
        if let Some(stop) = &mut self.stop {
            stop.join(intent, kill_at_ms);
            return;
        }
        self.stop = Some(Stop::new(why, intent, kill_at_ms, self.status.is_none()));
        let members = tree(self.me).unwrap_or_default();
        process::signal_members(&members, Signal::TERM);
        // A stopped process hears SIGTERM only when it goes on.
        process::signal_members(&members, Signal::CONT);
        crate::crash::point("worker.stop.begun");
    }

    /// Waits for the first of: something to read, a signal, a beat that is due, `until_ms`. Handles what came.
    fn turn(&mut self, until_ms: Option<u64>) {
        let now_ms = monotonic_ms();
        let door_ms = self.door.as_ref().and_then(Door::deadline_ms);
        let until_ms = until_ms
            .into_iter()
            .chain(door_ms)
            .fold(self.next_beat_ms, u64::min);
        let ready = self.wait(until_ms.saturating_sub(now_ms));
        let now_ms = monotonic_ms();
        if now_ms >= self.next_beat_ms {
            self.beat(now_ms);
        }
        let mut door_flags = Vec::new();
        for (source, flags) in ready {
            match source {
                Source::Door => door_flags.push(flags),
                Source::Signals if !flags.is_empty() => self.take_signals(),
                Source::Owner if !flags.is_empty() => {
                    self.owner = None;
                    self.going_down = true;
                }
                Source::Pipe(place) if !flags.is_empty() => {
                    self.read_some(place);
                }
                Source::Signals | Source::Owner | Source::Pipe(_) => {}
            }
        }
        self.note_news();
        let asked = self
            .door
            .as_mut()
            .map(|door| door.serve(&door_flags, now_ms))
            .unwrap_or_default();
        for asked in asked {
            self.answer(asked, now_ms);
        }
    }

    fn wait(&self, timeout_ms: u64) -> Vec<(Source, PollFlags)> {
        let mut set: Vec<(Source, BorrowedFd<'_>)> = vec![(Source::Signals, self.signals.as_fd())];
        set.extend(
            self.owner
                .iter()
                .map(|owner| (Source::Owner, owner.as_fd())),
        );
        for (place, (_, pipe)) in self.pipes.iter().enumerate() {
            set.extend(pipe.iter().map(|pipe| (Source::Pipe(place), pipe.as_fd())));
        }
        set.extend(
            self.door
                .iter()
                .flat_map(|door| door.fds().map(|fd| (Source::Door, fd))),
        );
        let mut fds: Vec<PollFd<'_>> = set
            .iter()
            .map(|(_, fd)| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
            .collect();
        let timeout = Timespec::try_from(std::time::Duration::from_millis(timeout_ms)).ok();
        // Interrupted or out of memory: nothing is ready, the next turn looks again.
        let _ = poll(&mut fds, timeout.as_ref());
        set.iter()
            .zip(&fds)
            .map(|((source, _), fd)| (*source, fd.revents()))
            .collect()
    }

    fn take_signals(&mut self) {
        let noticed = self.signals.take();
        self.going_down |= noticed.end;
        if noticed.child {
            self.reap();
        }
    }

    /// Takes the status of every child that has ended: as the subreaper, the worker inherits all orphans of its tree.
    #[expect(
        clippy::disallowed_methods,
        reason = "the worker is the one owner of every child it has, and the subreaper of orphans it cannot name"
    )]
    pub(super) fn reap(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if self
                        .agent
                        .is_some_and(|agent| agent.pid == pid.as_raw_nonzero().get())
                        && self.status.is_none()
                    {
                        self.status = Some(status);
                    }
                }
                Ok(None) => return,
                Err(rustix::io::Errno::CHILD) => {
                    self.childless = true;
                    return;
                }
                Err(_) => return,
            }
        }
    }

    fn read_some(&mut self, place: usize) {
        for _ in 0..READS_PER_TURN {
            if !self.read_pipe(place) {
                return;
            }
        }
    }

    /// Reads once. `true` when there may be more right now.
    pub(super) fn read_pipe(&mut self, place: usize) -> bool {
        let (stream, pipe) = &mut self.pipes[place];
        let Some(fd) = pipe else { return false };
        match rustix::io::read(fd, self.buffer.as_mut_slice()) {
            Ok(0) => *pipe = None,
            Ok(count) => {
                let bytes = &self.buffer[..count];
                self.output.append(*stream, bytes, process::now());
                match (&mut self.reading, *stream) {
                    (Some(reading), Stream::Stdout) => reading.stdout(bytes),
                    (Some(reading), Stream::Stderr) => reading.stderr(bytes),
                    (Some(_), Stream::Meta | Stream::Unknown) | (None, _) => {}
                }
                self.idle.output(monotonic_ms());
                return true;
            }
            Err(rustix::io::Errno::AGAIN) => {}
            Err(rustix::io::Errno::INTR) => return true,
            Err(error) => {
                log(
                    Some(&self.spec.attempt),
                    &format!("cannot read the agent's output: {error}"),
                );
                *pipe = None;
            }
        }
        false
    }

    /// The proof of life; a failed one shows by its absence.
    fn beat(&mut self, now_ms: u64) {
        self.next_beat_ms = now_ms + self.spec.heartbeat_ms.max(1);
        let _ = self.record.write(&Beat {
            monotonic_ms: now_ms,
            output_bytes: self.output.seen_bytes(),
        });
    }
}

/// The worker's tree: all its descendants. `None` when `/proc` cannot be looked at.
pub(super) fn tree(me: ProcessStamp) -> Option<Vec<ProcStat>> {
    let target = Target {
        roots: vec![me],
        ..Target::default()
    };
    let look = || -> io::Result<_> { Ok(Snapshot::take()?.members(&target)) };
    look().ok()
}
