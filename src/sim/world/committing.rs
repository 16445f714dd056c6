//! A transaction of the daemon, and what it comes to.

use std::sync::Arc;

use super::{BATCH_MAX, COMMIT_OPERATIONS, World, one_of};
use crate::sim::chance::Chance;
use crate::sim::daemon::{Around, Fate};
use crate::sim::disk::with_disk;
use crate::sim::judge::{Judged, Violation, demand};
use crate::sim::meanwhile::Meanwhile;
use crate::sim::observe;
use crate::sim::op::{Op, OpKind};

impl World {
    /// A transaction of the daemon; it may die in the midst of it.
    pub(in crate::sim) fn batch(
        &mut self,
        chance: &mut Chance,
        dies: bool,
    ) -> Result<&'static str, Violation> {
        let is_rival = self.rival.is_some() && chance.percent(50);
        let Some(daemon) = one_of(&mut self.daemon, &mut self.rival, is_rival) else {
            return Ok("no daemon");
        };
        let now = self.machine.get().now();
        daemon.look_at_the_clock(now);
        if daemon.events.is_empty() {
            return Ok("nothing waits");
        }
        if dies {
            with_disk(|disk| disk.set_fuse(Some(chance.below(COMMIT_OPERATIONS))));
        }
        let limit = usize::try_from(1 + chance.below(BATCH_MAX)).unwrap_or(1);
        let text = self.setup.trace.then(|| {
            let events: Vec<_> = daemon.events.iter().take(limit).collect();
            format!("{events:?}")
        });
        let settings = Arc::clone(&daemon.settings);
        let judge = &self.judge;
        let mut meanwhile = Meanwhile {
            machine: &self.machine,
            server: &self.server,
            chance: Chance::new(chance.draw()),
            // There, whose turn it is is nobody's choice.
            moves_workers: !self.healing,
            seen: Vec::new(),
            broken: None,
        };
        let around = Around {
            observe: &mut |tx, handled, claims| {
                observe::observe(judge, tx, handled, claims, now, &settings)
            },
            between: &mut |what| meanwhile.after(what),
        };
        let fate = daemon.batch(limit, &self.machine, chance.draw(), around);
        with_disk(|disk| disk.set_fuse(None));
        let Meanwhile { seen, broken, .. } = meanwhile;
        for what in seen {
            let op = Op {
                kind: OpKind::Batch,
                roll: 0,
            };
            self.note(op, what);
        }
        if let Some(broken) = broken {
            return Err(broken);
        }
        if let Some(text) = text {
            self.detail(|| text);
        }
        self.came_to(fate, chance)
    }

    /// What a transaction came to.
    fn came_to(&mut self, fate: Fate, chance: &mut Chance) -> Result<&'static str, Violation> {
        let mut machine = self.machine.get();
        match fate {
            Fate::Committed(observed) => {
                let truths = &mut machine.truths;
                self.judge.committed(*observed, truths, &mut self.met)?;
                self.judge.check_hands(&machine)?;
                drop(machine);
                self.check_memory()?;
                Ok("committed")
            }
            Fate::Lost(observed) => {
                drop(machine);
                if let Some(observed) = observed {
                    self.judge.may_have_committed(*observed);
                }
                self.met.meet("a transaction is lost");
                Ok("the transaction is lost")
            }
            Fate::Died(observed) => {
                drop(machine);
                if let Some(observed) = observed {
                    self.judge.may_have_committed(*observed);
                }
                self.met.meet("daemon dies: in a commit");
                self.carry_what_came_early(chance)?;
                self.bury();
                Ok("the daemon dies in a commit")
            }
        }
    }

    /// What the handler remembers is what the rows say.
    fn check_memory(&self) -> Judged {
        let Some(daemon) = self.daemon.as_ref().filter(|_| self.rival.is_none()) else {
            return Ok(());
        };
        let held = daemon.handler.slots().map(|(slot, it)| (slot, it.clone()));
        let mut held: Vec<_> = held.collect();
        let rows = self.judge.running();
        let mut rows: Vec<_> = rows
            .map(|task| (task.slot.unwrap_or(0), task.attempt()))
            .collect();
        held.sort();
        rows.sort();
        demand(held == rows, "adopted workers are counted", || {
            format!("slots as remembered: {held:?}, as in the rows: {rows:?}")
        })
    }
}
