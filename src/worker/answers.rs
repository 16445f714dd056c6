//! What the worker answers at its door, and the checkpoints it writes.

use super::door::{Asked, same_token};
use super::main::log;
use super::run::Run;
use super::stop::Why;
use crate::attempt::protocol::{Progress, Reply, Request, Status};
use crate::attempt::spec::PROTOCOL_VERSION;
use crate::checkpoint::{Checkpoint, Reason};
use crate::process;

impl Run {
    pub(super) fn answer(&mut self, asked: Asked, now_ms: u64) {
        let reply = match asked.request {
            Err(error) => Reply::Error(error),
            Ok(Request::Checkpoint { token, progress }) => self.take_progress(&token, progress),
            Ok(request) => {
                let allowed = self
                    .door
                    .as_ref()
                    .is_some_and(|door| door.may_command(asked.peer, &self.cgroup));
                if allowed {
                    self.obey(request, now_ms)
                } else {
                    Reply::Error("only the daemon may ask this".to_owned())
                }
            }
        };
        if let Some(door) = &mut self.door {
            door.reply(asked.peer, &reply);
        }
    }

    fn obey(&mut self, request: Request, now_ms: u64) -> Reply {
        match request {
            Request::Status => Reply::Status(self.status_now(now_ms)),
            Request::Committed if self.exit.is_some() => {
                self.committed = true;
                Reply::Ok
            }
            Request::Committed => Reply::Error("the attempt has not ended yet".to_owned()),
            Request::Stop { intent } => {
                if self.status.is_none() && self.agent.is_some() {
                    let grace_ms = intent.grace_ms.unwrap_or(self.spec.grace_ms);
                    self.begin_stop(Why::Intent, Some(intent), grace_ms);
                }
                Reply::Ok
            }
            Request::Checkpoint { .. } => Reply::Error("a checkpoint needs its token".to_owned()),
        }
    }

    fn status_now(&self, now_ms: u64) -> Status {
        Status {
            version: PROTOCOL_VERSION,
            agent_pid: self.agent.map(|agent| agent.pid),
            output_bytes: self.output.seen_bytes(),
            quiet_ms: self.idle.quiet_ms(now_ms),
            stopping: self.stop.as_ref().and_then(|stop| stop.intent.clone()),
            exit: self.exit.clone(),
            report: self.report.clone().map(Box::new),
        }
    }

    fn take_progress(&mut self, token: &str, progress: Progress) -> Reply {
        if !same_token(token, &self.spec.token) {
            return Reply::Error("the token is not this task's".to_owned());
        }
        if let Err(error) = progress.check() {
            return Reply::Error(error);
        }
        let before = self.progress.replace(progress);
        match self.try_checkpoint(Reason::Progress) {
            Ok(()) => Reply::Ok,
            Err(error) => {
                self.progress = before;
                Reply::Error(error)
            }
        }
    }

    pub(super) fn checkpoint(&mut self, reason: Reason) {
        if let Err(error) = self.try_checkpoint(reason) {
            log(Some(&self.spec.attempt), &error);
        }
    }

    fn try_checkpoint(&mut self, reason: Reason) -> Result<(), String> {
        let checkpoint = Checkpoint {
            attempt: self.spec.attempt.clone(),
            seq: 0,
            time: process::now(),
            reason,
            progress: self.progress.clone(),
            output_bytes: self.output.seen_bytes(),
        };
        self.checkpoints
            .write(checkpoint)
            .map_err(|error| format!("failed to {error}"))?;
        self.secured_bytes = self.output.seen_bytes();
        Ok(())
    }
}
