//! Effects are carried out, and clients hear their answers.

use super::{REPLY_LOST_PERCENT, World, one_of};
use crate::sim::attendant;
use crate::sim::bug::Bug;
use crate::sim::chance::Chance;
use crate::sim::client::Sent;
use crate::sim::daemon::{Out, copy_of_launch};
use crate::sim::judge::{Judged, Violation};
use crate::supervisor::command::{ActEffect, Action, Refusal, Reply};
use crate::supervisor::event::Effect;

impl World {
    pub(in crate::sim) fn carry(&mut self, chance: &mut Chance) -> Result<&'static str, Violation> {
        let repeats = self.setup.bug == Some(Bug::RepeatLaunch);
        let is_rival = self.rival.is_some() && chance.percent(50);
        let Some(daemon) = one_of(&mut self.daemon, &mut self.rival, is_rival) else {
            return Ok("no daemon");
        };
        let Some(out) = daemon.outs.pop_front() else {
            return Ok("nothing to carry out");
        };
        match out {
            Out::Effect(effect) => {
                if let Some(copy) = copy_of_launch(&effect).filter(|_| repeats) {
                    daemon.outs.push_back(Out::Effect(copy));
                }
                self.carry_out(effect, is_rival)
            }
            Out::Reply(sent, answer) => self.reply(&sent, &answer, chance),
        }
    }

    fn carry_out(&mut self, effect: Effect, is_rival: bool) -> Result<&'static str, Violation> {
        let drops = self.setup.bug == Some(Bug::DropIntent);
        let Some(daemon) = one_of(&mut self.daemon, &mut self.rival, is_rival) else {
            return Ok("no daemon");
        };
        match effect {
            Effect::Launch(launch) => {
                let attempt = launch.task.attempt();
                self.judge.launches(&attempt, !launch.is_probe)?;
                let agent = launch.task.life.agent.as_ref();
                if launch.is_probe {
                    self.met.meet("probe of the daemon's own");
                } else if agent.is_some_and(|agent| agent.probe) {
                    self.met.meet("probe");
                }
                let attendant = attendant::Attendant::launch(&launch, &daemon.settings);
                daemon.attendants.insert(attempt, attendant);
                Ok("launch")
            }
            Effect::Stop { attempt, intent } => {
                if let Some(attendant) = daemon.attendants.get_mut(&attempt).filter(|_| !drops) {
                    attendant.wish = Some(intent);
                }
                Ok("stop")
            }
            Effect::Forget(attempt) => {
                let waits = daemon
                    .attendants
                    .get_mut(&attempt)
                    .is_some_and(|attendant| !attendant.committed());
                if !waits {
                    daemon.attendants.remove(&attempt);
                    attendant::forget(&attempt, &daemon.around(&self.machine));
                }
                Ok("forget")
            }
            Effect::RemoveFiles(_)
            | Effect::Changed(_)
            | Effect::Log(_)
            | Effect::Attention(_)
            | Effect::AttentionOver(_) => Ok("told"),
            Effect::Tell(tell) => {
                daemon.tell(tell.notice, &self.machine);
                Ok("a notice is to be told")
            }
        }
    }

    /// A client hears its answer, or has gone.
    fn reply(
        &mut self,
        sent: &Sent,
        answer: &Result<Reply, Refusal>,
        chance: &mut Chance,
    ) -> Result<&'static str, Violation> {
        if chance.percent(REPLY_LOST_PERCENT) {
            self.met.meet("a reply is lost");
            return Ok("a reply is lost");
        }
        match (sent, answer) {
            (Sent::Submit(request), Ok(Reply::Submitted { task, fresh })) => {
                if !fresh {
                    self.met.meet("the same key again");
                }
                self.judge
                    .acknowledged(&request.key, &task.id, request.fingerprint())?;
                Ok("a submission is acknowledged")
            }
            (Sent::Act(request), Ok(Reply::Acted { effect, .. })) => {
                if matches!(request.action, Action::Attach { .. })
                    && (request.dry_run, *effect) == (false, ActEffect::Done)
                {
                    self.judge.handed_over(&request.id)?;
                }
                self.met.meet(match (request.dry_run, effect) {
                    (true, _) => "dry run",
                    (false, ActEffect::Done) => "answer: Done",
                    (false, ActEffect::Stopping) => "answer: Stopping",
                    (false, ActEffect::Already) => "answer: Already",
                });
                Ok("a wish is acknowledged")
            }
            (Sent::StopAll, Ok(_)) => {
                self.met.meet("stop all");
                Ok("all stops")
            }
            (Sent::Cleanup(_), Ok(Reply::Count(count))) if *count > 0 => {
                self.met.meet("clean-up");
                Ok("cleaned up")
            }
            (_, Ok(_)) => Ok("done"),
            (_, Err(refusal)) => {
                self.met.meet(crate::sim::observe::refused(refusal.code));
                Ok("refused")
            }
        }
    }

    /// With a bug that lets effects out before their commit: they were carried out before the daemon died.
    pub(in crate::sim) fn carry_what_came_early(&mut self, chance: &mut Chance) -> Judged {
        let early = [Some(Bug::SpawnBeforeCommit), Some(Bug::ReplyBeforeCommit)];
        if early.contains(&self.setup.bug) {
            while self
                .daemon
                .as_ref()
                .is_some_and(|daemon| !daemon.outs.is_empty())
            {
                self.carry(chance)?;
            }
        }
        Ok(())
    }
}
