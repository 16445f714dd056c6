//! What others do while a transaction is under way: workers wait for no daemon.

use super::chance::Chance;
use super::judge::Violation;
use super::machine::Shared;
use super::server::Server;
use super::worker;

/// After a part of a transaction a worker takes a step, in percent.
const MOVES_PERCENT: u64 = 50;
/// A part of a transaction takes less than this.
const PART_MS: u64 = 5;

/// What happens between the parts of a transaction.
pub(super) struct Meanwhile<'a> {
    pub(super) machine: &'a Shared,
    pub(super) server: &'a Server,
    pub(super) chance: Chance,
    pub(super) moves_workers: bool,
    /// What has happened.
    pub(super) seen: Vec<&'static str>,
    /// A promise that was broken.
    pub(super) broken: Option<Violation>,
}

impl Meanwhile<'_> {
    /// A part is done.
    pub(super) fn after(&mut self, what: &'static str) {
        self.seen.push(what);
        if !self.moves_workers || !self.chance.percent(MOVES_PERCENT) {
            return;
        }
        let mut machine = self.machine.get();
        machine.pass(self.chance.below(PART_MS));
        if !machine.processes.values().any(|it| it.can_work()) {
            return;
        }
        match worker::any(&mut machine, self.server, &mut self.chance) {
            Ok(what) => self.seen.push(what),
            Err(broken) => self.broken = self.broken.take().or(Some(broken)),
        }
    }
}
