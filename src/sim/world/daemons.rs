//! How daemons come and go, and the power.

use super::{START_RETRY_MS, World};
use crate::sim::bug::Bug;
use crate::sim::chance::Chance;
use crate::sim::daemon::Daemon;
use crate::sim::disk::{Disk, Faults, with_disk};
use crate::sim::judge::{Judged, Violation};
use crate::store::{OpenError, StoreError};

impl World {
    /// A daemon starts, where none runs; with `fuse` it dies after so many changes to the disk.
    pub(in crate::sim) fn start(&mut self, fuse: Option<u64>) -> Result<&'static str, Violation> {
        if self.daemon.is_some() {
            return Ok("a daemon runs");
        }
        let lies = self.setup.bug == Some(Bug::SkipStartSync);
        with_disk(|disk| {
            disk.revive();
            disk.set_fuse(fuse);
            disk.faults.sync_lies |= lies;
        });
        let started = Daemon::start(&self.machine, &self.settings, self.setup.bug);
        let (died, faults) = with_disk(|disk| {
            if lies {
                disk.faults.sync_lies = false;
            }
            disk.set_fuse(None);
            (disk.is_dead(), disk.faults)
        });
        if died {
            self.met.meet("daemon dies: while it opens");
            drop(started);
            self.bury();
            return Ok("the daemon dies while it opens");
        }
        match started {
            Ok(mut daemon) => {
                daemon.healing = self.healing;
                let judged = self.reread(&mut daemon);
                self.daemon = Some(daemon);
                judged.map(|()| "a daemon starts")
            }
            Err(error) => {
                self.bury();
                let excused = (faults.full || faults.sync_fails) && is_io(&error);
                if excused {
                    self.start_at_ms = self.machine.get().mono_ms + START_RETRY_MS;
                    return Ok("a daemon cannot start");
                }
                Err(Violation::new("a daemon starts", error.to_string()))
            }
        }
    }

    fn reread(&mut self, daemon: &mut Daemon) -> Judged {
        let Some(store) = &mut daemon.store else {
            return Ok(());
        };
        let mut machine = self.machine.get();
        let (judge, met) = (&mut self.judge, &mut self.met);
        judge.set(&daemon.settings);
        let read = store
            .batch()
            .and_then(|mut batch| batch.step(|tx| judge.reread(tx, &mut machine.truths, met)));
        read.unwrap_or_else(|error: StoreError| {
            Err(Violation::new("a daemon starts", error.to_string()))
        })
    }

    /// The daemon is dead: nothing of it reaches the disk any more.
    pub(in crate::sim) fn bury(&mut self) {
        let tellings = self.daemon.iter().flat_map(|daemon| &daemon.tellings);
        if tellings.filter(|it| it.runs()).count() > 0 {
            self.met.meet("telling a notice is cut off");
        }
        with_disk(Disk::kill);
        self.daemon = None;
        self.rival = None;
        with_disk(Disk::revive);
    }

    pub(in crate::sim) fn kill(&mut self) -> &'static str {
        let Some(daemon) = &self.daemon else {
            return "no daemon";
        };
        self.met.meet(if daemon.is_settling() {
            "daemon dies: recovery under way"
        } else if !daemon.outs.is_empty() {
            "daemon dies: effects wait"
        } else if daemon.events.is_empty() {
            "daemon dies: nothing to do"
        } else {
            "daemon dies: events wait"
        });
        self.bury();
        "the daemon is killed"
    }

    /// It commits what is queued and closes its database; its workers go on.
    pub(in crate::sim) fn leave(&mut self) -> &'static str {
        let Some(mut daemon) = self.daemon.take() else {
            return "no daemon";
        };
        if let Some(store) = daemon.store.take() {
            drop(store.close());
        }
        drop(daemon);
        self.met.meet("daemon leaves");
        self.bury();
        "the daemon leaves"
    }

    pub(in crate::sim) fn tidy(&mut self) -> &'static str {
        let store = self.daemon.as_mut().and_then(|it| it.store.as_mut());
        match store.map(crate::store::Store::tidy) {
            None => "no daemon",
            Some(Ok(_)) => "tidied",
            Some(Err(_)) => "not tidied",
        }
    }

    pub(in crate::sim) fn power_loss(&mut self, chance: &mut Chance) -> &'static str {
        self.met.meet(if self.daemon.is_some() {
            "power loss: daemon up"
        } else {
            "power loss: no daemon"
        });
        // The daemon first: what it has mapped goes with the files.
        with_disk(Disk::kill);
        self.daemon = None;
        self.rival = None;
        let taken_back = with_disk(|disk| disk.power_loss(chance));
        if taken_back > 0 {
            self.met.meet("power loss: the disk takes writes back");
        }
        with_disk(Disk::revive);
        self.machine.get().power_loss(chance);
        self.start_at_ms = 0;
        "the power goes"
    }

    /// A second daemon wants to start. The lock of the state directory is held; with a bug it does not ask.
    pub(in crate::sim) fn rival_comes(&mut self) -> Result<&'static str, Violation> {
        if self.daemon.is_none() {
            return Ok("no daemon to fight with");
        }
        if self.setup.bug != Some(Bug::DropLockCheck) {
            self.met.meet("a second daemon finds the lock held");
            return Ok("a second daemon finds the lock held");
        }
        let started = Daemon::start(&self.machine, &self.settings, self.setup.bug);
        let mut daemon =
            started.map_err(|error| Violation::new("a daemon starts", error.to_string()))?;
        let judged = self.reread(&mut daemon);
        self.rival = Some(daemon);
        judged.map(|()| "a second daemon starts")
    }

    /// Everything that is wrong with disk and records is over.
    pub(in crate::sim) fn repair(&mut self) {
        let lies = self.setup.bug == Some(Bug::SkipSync);
        with_disk(|disk| {
            disk.faults = Faults {
                sync_lies: lies,
                ..Faults::default()
            };
        });
        let mut machine = self.machine.get();
        (machine.disk_low, machine.records_fail) = (false, false);
        for process in machine.processes.values_mut() {
            process.stuck = false;
        }
    }
}

/// The disk, and not what is on it.
fn is_io(error: &OpenError) -> bool {
    let OpenError::Store { source, .. } = error else {
        return false;
    };
    matches!(source, StoreError::Io(_) | StoreError::DiskFull(_))
}
