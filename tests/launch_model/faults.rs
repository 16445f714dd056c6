//! What goes wrong: processes die, hang or get stuck, machines and disks fail, somebody deletes a file.

use crate::state::{Agent, Daemon, Exit, Faults, Locker, Phase, RecordFile, Sector, State, Step};
use crate::worker;

/// What a loss of power takes from the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Loss {
    /// Everything had reached the disk after all.
    Nothing,
    /// What was not synced.
    Unsynced,
    /// What was not synced, and a sector that was on its way is neither old nor new.
    Torn,
    /// Also what the drive had called synced (or the record was put back from an older copy).
    Synced,
}

impl RecordFile {
    /// As created: preallocated, header of this boot.
    pub(crate) fn fresh() -> Self {
        Self {
            linked: true,
            entry_synced: false,
            this_boot: true,
            torn: false,
            started: Sector::Blank,
            exit: Sector::Blank,
            clean: false,
            lock: Locker::Nobody,
        }
    }

    fn lose(&mut self, loss: Loss) {
        let dirty =
            matches!(self.started, Sector::Written(())) || matches!(self.exit, Sector::Written(_));
        match loss {
            Loss::Nothing => {
                self.entry_synced = true;
                settle(&mut self.started);
                settle(&mut self.exit);
            }
            Loss::Unsynced | Loss::Torn => {
                self.linked &= self.entry_synced;
                self.torn |= dirty && loss == Loss::Torn;
                blank_unsynced(&mut self.started);
                blank_unsynced(&mut self.exit);
            }
            Loss::Synced => {
                self.linked &= self.entry_synced;
                self.started = Sector::Blank;
                self.exit = Sector::Blank;
            }
        }
        self.clean &= self.exit != Sector::Blank;
    }
}

fn settle<T: Copy>(sector: &mut Sector<T>) {
    if let Sector::Written(value) = *sector {
        *sector = Sector::Synced(value);
    }
}

fn blank_unsynced<T>(sector: &mut Sector<T>) {
    if matches!(sector, Sector::Written(_)) {
        *sector = Sector::Blank;
    }
}

impl State {
    /// Takes one fault from the budget.
    pub(crate) fn spend(&mut self, of: impl Fn(&mut Faults) -> &mut u8) -> Option<()> {
        self.left.any = self.left.any.checked_sub(1)?;
        let kind = of(&mut self.left);
        *kind = kind.checked_sub(1)?;
        self.beyond_daemon = true;
        Some(())
    }

    fn daemon_dies(&mut self) {
        self.daemon = Daemon::Down;
        for attempt in &mut self.attempts {
            attempt.kept = false;
            if let Some(record) = &mut attempt.record
                && record.lock == Locker::Daemon
            {
                record.lock = Locker::Nobody;
            }
        }
    }
}

pub(crate) fn crash_daemon(last: &State) -> Option<State> {
    let mut state = *last;
    if last.daemon == Daemon::Down {
        return None;
    }
    state.spend(|left| &mut left.daemon_crash)?;
    state.beyond_daemon = last.beyond_daemon;
    state.daemon_dies();
    Some(state)
}

pub(crate) fn crash_worker(last: &State, generation: usize) -> Option<State> {
    let mut state = *last;
    if !last.attempt(generation).worker.alive() {
        return None;
    }
    state.spend(|left| &mut left.worker)?;
    worker::leave(&mut state, generation);
    Some(state)
}

pub(crate) fn hang_worker(last: &State, generation: usize) -> Option<State> {
    let mut state = *last;
    let worker = last.attempt(generation).worker;
    if !worker.alive() || worker.hung {
        return None;
    }
    state.spend(|left| &mut left.worker)?;
    state.attempt_mut(generation).worker.hung = true;
    Some(state)
}

/// The machine goes down, by loss of power: no process lives on.
pub(crate) fn reboot(last: &State, loss: Loss) -> Option<State> {
    let mut state = *last;
    state.spend(|left| &mut left.reboot)?;
    state.lied |= loss == Loss::Synced;
    state.daemon_dies();
    for attempt in &mut state.attempts {
        attempt.stuck = false;
        if attempt.agent.alive() {
            attempt.agent = Agent::Gone;
            attempt.real.get_or_insert(Exit::Lost);
        }
    }
    end_workers(&mut state, |_| true);
    for record in state
        .attempts
        .iter_mut()
        .filter_map(|attempt| attempt.record.as_mut())
    {
        record.lose(loss);
        record.this_boot = false;
        record.lock = Locker::Nobody;
    }
    Some(state)
}

/// The state directory's file system goes away and comes back within the same boot. Who had a file of it open is dead
/// (a child of the daemon that has not exec'ed has); an agent need not be, nor a worker that has not opened its record.
pub(crate) fn lose_disk(last: &State, loss: Loss) -> Option<State> {
    let mut state = *last;
    state.spend(|left| &mut left.disk)?;
    state.daemon_dies();
    for attempt in &mut state.attempts {
        if attempt.agent == Agent::Forked {
            attempt.agent = Agent::Gone;
            attempt.real.get_or_insert(Exit::Lost);
        }
    }
    end_workers(&mut state, |step| step != Step::Up);
    for record in state
        .attempts
        .iter_mut()
        .filter_map(|attempt| attempt.record.as_mut())
    {
        record.lose(loss);
        record.lock = Locker::Nobody;
    }
    Some(state)
}

fn end_workers(state: &mut State, dies: impl Fn(Step) -> bool) {
    for generation in 1..=state.attempts.len() {
        let step = state.attempt(generation).worker.step;
        if step != Step::None && dies(step) {
            worker::leave(state, generation);
        }
    }
}

/// Somebody deletes the record of the open attempt.
pub(crate) fn delete_record(last: &State, generation: usize) -> Option<State> {
    let mut state = *last;
    if last.row.phase != Phase::Open || last.row.generation != generation {
        return None;
    }
    state.spend(|left| &mut left.delete)?;
    match &mut state.attempt_mut(generation).record {
        Some(record) if record.linked => record.linked = false,
        Some(_) | None => return None,
    }
    Some(state)
}

/// The agent's tree hangs in the kernel.
pub(crate) fn stick(last: &State, generation: usize) -> Option<State> {
    let mut state = *last;
    let attempt = last.attempt(generation);
    if attempt.stuck || !matches!(attempt.agent, Agent::Live | Agent::Straggler) {
        return None;
    }
    state.spend(|left| &mut left.stick)?;
    state.attempt_mut(generation).stuck = true;
    Some(state)
}

/// The kernel lets go of it at last. Not a fault: without it nobody could do anything.
pub(crate) fn unstick(last: &State, generation: usize) -> Option<State> {
    let mut state = *last;
    let attempt = state.attempt_mut(generation);
    if !attempt.stuck {
        return None;
    }
    attempt.stuck = false;
    Some(state)
}
