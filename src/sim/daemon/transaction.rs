//! One transaction of a daemon, as `supervisor::engine` makes it, and what follows from it.

use std::sync::Arc;

use super::{Daemon, Out, SimWorld, copy_of_launch};
use crate::sim::bug::Bug;
use crate::sim::client::Sent;
use crate::sim::disk::with_disk;
use crate::sim::judge::Observation;
use crate::sim::machine::Shared;
use crate::sim::mistakes;
use crate::store::{Store, StoreError, Tx};
use crate::supervisor::clock::Moment;
use crate::supervisor::event::{AttemptReport, Effect, SupervisorEvent};
use crate::supervisor::handler::{Handler, Wake};
use crate::supervisor::steps::{self, Handled};
use crate::task::OutcomeKind;

/// As the engine's wait after a transaction that was lost.
const STORE_RETRY_MS: u64 = 500;

/// What a transaction came to.
#[derive(Debug)]
pub enum Fate {
    /// Committed: this is what it leaves.
    Committed(Box<Observation>),
    /// The store failed; nothing of it happened, the daemon lives. A commit whose sync failed may come back whole when the
    /// daemon dies before the next one.
    Lost(Option<Box<Observation>>),
    /// The daemon died in the midst of it; perhaps it is committed.
    Died(Option<Box<Observation>>),
}

/// Reads what a transaction leaves, inside it.
pub type Observe<'a> =
    &'a mut dyn FnMut(&Tx<'_>, &[Handled], &[Effect]) -> Result<Observation, StoreError>;

/// Hears of each part of a transaction, right after it: others may move before the next.
pub type Between<'a> = &'a mut dyn FnMut(&'static str);

/// What is called around the parts of a transaction.
pub struct Around<'a> {
    /// Reads what it leaves, inside it.
    pub observe: Observe<'a>,
    /// Between its parts.
    pub between: Between<'a>,
}

/// What was handled, the claims, when to look again, and what all that leaves.
type Transacted = (Vec<Handled>, Vec<Effect>, Wake, Observation);

/// Why not, and what would have been left.
type NotTransacted = Box<(StoreError, Option<Observation>)>;

impl Daemon {
    /// The next event, changed by a seeded bug.
    fn taken(&self, sent: &Sent) -> SupervisorEvent {
        let (Some(bug), Sent::Report(AttemptReport::Closed(closed))) = (self.bug, sent) else {
            return sent.event();
        };
        let mut closed = closed.clone();
        let kind = closed.outcome.kind;
        match bug {
            Bug::CountLimitAsRetry if kind == OutcomeKind::Limited => {
                closed.outcome.kind = OutcomeKind::AgentError;
            }
            Bug::LostIsSuccess if kind == OutcomeKind::Lost => {
                closed.outcome.kind = OutcomeKind::Succeeded;
            }
            Bug::ExitCodeIsSuccess if kind == OutcomeKind::NoResult => {
                closed.outcome.kind = OutcomeKind::Succeeded;
            }
            Bug::ShortenHold => {
                if let Some(block) = closed.report.as_mut().and_then(|it| it.block.as_mut())
                    && let Some(until) = &mut block.until
                {
                    let ahead_ms = until.ms_since(closed.ended_at);
                    *until = until.plus_ms(-ahead_ms / 2);
                }
            }
            Bug::UnknownIsNothing => {
                if let Some(report) = &mut closed.report {
                    report.cost_micro_usd.get_or_insert(0);
                }
            }
            Bug::IgnoreClosedAccount => {
                if let Some(report) = &mut closed.report {
                    report.block = None;
                    report.windows.clear();
                }
            }
            _ => {}
        }
        SupervisorEvent::Attempt(AttemptReport::Closed(closed))
    }

    /// One transaction for up to `limit` events, and what follows from it.
    pub fn batch(
        &mut self,
        limit: usize,
        machine: &Shared,
        random: u64,
        around: Around<'_>,
    ) -> Fate {
        let Some(mut store) = self.store.take() else {
            return Fate::Lost(None);
        };
        let count = limit.min(self.events.len());
        let sent: Vec<Sent> = self.events.drain(..count).collect();
        let moment = Moment {
            now: machine.get().now(),
            random,
        };
        let former = self.handler.clone();
        let mut early = Vec::new();
        let result = self.transact(&mut store, &sent, machine, moment, around, &mut early);
        let died = with_disk(|disk| disk.is_dead());
        self.store = Some(store);
        match result {
            Ok((handled, claims, wake, observed)) if !died => {
                self.release(sent, handled, claims);
                self.handler.set_disk_full(false);
                self.wake = wake;
                if wake.at_once {
                    self.events.push_back(Sent::Timer);
                }
                Fate::Committed(Box::new(observed))
            }
            Ok((_, _, _, observed)) => Fate::Died(Some(Box::new(observed))),
            Err(failed) if died => Fate::Died(failed.1.map(Box::new)),
            Err(failed) => {
                let (error, observed) = *failed;
                self.outs.extend(early);
                self.retry_at_ms = machine.get().mono_ms + STORE_RETRY_MS;
                self.lost(&error, former, sent);
                Fate::Lost(observed.map(Box::new))
            }
        }
    }

    /// Handles, claims, commits.
    fn transact(
        &mut self,
        store: &mut Store,
        sent: &[Sent],
        machine: &Shared,
        moment: Moment,
        around: Around<'_>,
        early: &mut Vec<Out>,
    ) -> Result<Transacted, NotTransacted> {
        let world = SimWorld {
            machine,
            busy: &self.busy,
            bug: self.bug,
        };
        let alone = |error| Box::new((error, None));
        let mut batch = store.batch().map_err(alone)?;
        let mut handled = Vec::with_capacity(sent.len());
        for sent in sent {
            if self.bug.is_some() {
                let spoilt = batch.step(|tx| mistakes::before(self.bug, tx, sent, moment.now));
                spoilt.map_err(alone)?;
            }
            let event = self.taken(sent);
            let done = steps::handle(&mut batch, &mut self.handler, &world, moment, event);
            let done = done.map_err(|broken| alone(broken.0))?;
            if !matches!(done.event, SupervisorEvent::Timer) {
                (around.between)("an event is handled");
            }
            handled.push(done);
        }
        let hidden = match self.bug {
            Some(_) => batch.step(|tx| mistakes::hide(self.bug, tx, moment.now)),
            None => Ok(Vec::new()),
        };
        let hidden = hidden.map_err(alone)?;
        let (claims, wake) =
            steps::claim(&mut batch, &mut self.handler, &world, moment).map_err(alone)?;
        if !claims.is_empty() {
            (around.between)("claims are made");
        }
        if self.bug.is_some() {
            batch
                .step(|tx| mistakes::show(tx, &hidden))
                .map_err(alone)?;
            let spoilt =
                batch.step(|tx| mistakes::after(self.bug, tx, &handled, &claims, moment.now));
            spoilt.map_err(alone)?;
        }
        let observed = batch
            .step(|tx| (around.observe)(tx, &handled, &claims))
            .map_err(alone)?;
        if self.bug == Some(Bug::SpawnBeforeCommit) {
            early.extend(claims.iter().filter_map(copy_of_launch).map(Out::Effect));
            self.outs.extend(std::mem::take(early));
        }
        if self.bug == Some(Bug::ReplyBeforeCommit) {
            let replies = sent.iter().zip(&handled);
            self.outs
                .extend(replies.map(|(sent, done)| Out::Reply(sent.clone(), done.answer.clone())));
        }
        let before = with_disk(|disk| disk.operations);
        let committed = batch.commit();
        // A commit of nothing writes nothing: what was lost before it may still come back.
        let after = with_disk(|disk| disk.operations);
        let observed = Observation {
            is_written: after > before,
            ..observed
        };
        match committed {
            Ok(()) => Ok((handled, claims, wake, observed)),
            Err(error) => Err(Box::new((error, Some(observed)))),
        }
    }

    /// In the order of the engine: what follows from each event, its reply, then the claims.
    fn release(&mut self, sent: Vec<Sent>, handled: Vec<Handled>, claims: Vec<Effect>) {
        for (sent, done) in sent.into_iter().zip(handled) {
            if let Sent::Settings(settings) = &sent {
                self.settings = Arc::clone(settings);
            }
            self.outs.extend(done.effects.into_iter().map(Out::Effect));
            if self.bug != Some(Bug::ReplyBeforeCommit) && !sent.comes_again() {
                self.outs.push_back(Out::Reply(sent, done.answer));
            }
        }
        if self.bug != Some(Bug::SpawnBeforeCommit) {
            self.outs.extend(claims.into_iter().map(Out::Effect));
        }
        // Watchers and the log are told at once; nothing follows from that.
        self.outs.retain(|out| {
            !matches!(
                out,
                Out::Effect(
                    Effect::Changed(_)
                        | Effect::Log(_)
                        | Effect::Attention(_)
                        | Effect::AttentionOver(_)
                )
            )
        });
    }

    /// As the engine does it: nothing of the batch happened.
    fn lost(&mut self, error: &StoreError, former: Handler, sent: Vec<Sent>) {
        self.handler = former;
        if error.is_disk_full() {
            self.handler.set_disk_full(true);
        }
        if let Some(store) = &mut self.store {
            let handler = &mut self.handler;
            let read = store
                .batch()
                .and_then(|mut batch| batch.step(|tx| handler.resync(tx)));
            drop(read);
        }
        // Commands are refused with the store's words: their clients may send them again.
        let kept = sent.into_iter().filter(Sent::comes_again).rev();
        for sent in kept {
            self.events.push_front(sent);
        }
        self.events.push_back(Sent::Timer);
    }
}
