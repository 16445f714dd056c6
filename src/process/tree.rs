//! Which processes belong to an attempt: one look at `/proc`, and the evidence in it.
//!
//! Agents start children in sessions of their own, double-fork and clear environments, so there are four kinds of
//! evidence, and the descendants of whatever any of them finds belong to the tree as well:
//! ancestry (a living process we know, or anything below it), session (the agent's own), marker (an entry of the
//! environment that names the attempt), cgroup. While the worker lives ancestry alone is complete: it is the subreaper of all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use super::AttemptCgroup;
use super::identity::{ProcStat, RunState};
use crate::attempt::record::ProcessStamp;
use crate::attempt::spec::MARKER_VAR;
use crate::task::AttemptId;

/// What to look for.
#[derive(Debug, Default)]
pub struct Target {
    /// Known processes: they and what descends from them. Those that are gone, or whose number has another owner, count not.
    pub roots: Vec<ProcessStamp>,
    /// The agent: what sits in the session it opened, even when it is gone itself.
    ///
    /// A number stays taken while a session of that number lives, so a member of another session could only be meant when
    /// the whole session had ended, the number was given anew to a session leader, and that one ended before its children:
    /// members older than the agent, or under a living leader that is not the agent, are never taken.
    pub session: Option<ProcessStamp>,
    /// Entries of the environment, `NAME=value`, that together only these processes carry: see [`marker_of`].
    pub marker: Vec<String>,
    /// The attempt's cgroups.
    pub cgroup: Option<AttemptCgroup>,
}

/// The entry that an attempt's processes carry in their environment.
#[must_use]
pub fn marker_of(attempt: &AttemptId) -> String {
    format!("{MARKER_VAR}={attempt}")
}

/// All processes at one moment.
#[derive(Debug)]
pub struct Snapshot {
    by_pid: BTreeMap<i32, ProcStat>,
}

impl Snapshot {
    /// Looks at `/proc`. Processes that come or go meanwhile are seen or not; who needs certainty looks twice.
    ///
    /// # Errors
    /// When `/proc` cannot be listed.
    pub fn take() -> io::Result<Self> {
        let mut by_pid = BTreeMap::new();
        for entry in fs::read_dir("/proc")? {
            let pid = entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<i32>().ok());
            if let Some(stat) = pid.and_then(|pid| ProcStat::read(pid).ok()) {
                by_pid.insert(stat.stamp.pid, stat);
            }
        }
        Ok(Self { by_pid })
    }

    /// The living processes of `target`, without the caller and its ancestors.
    #[must_use]
    pub fn members(&self, target: &Target) -> Vec<ProcStat> {
        let listed: BTreeSet<i32> = target
            .cgroup
            .iter()
            .flat_map(AttemptCgroup::members)
            .collect();
        let seeds: BTreeSet<i32> = self
            .by_pid
            .values()
            .filter(|stat| stat.state != RunState::Dead)
            .filter(|stat| {
                target.roots.contains(&stat.stamp)
                    || target
                        .session
                        .is_some_and(|agent| self.in_session(stat, agent))
                    || listed.contains(&stat.stamp.pid)
                    || carries(stat.stamp.pid, &target.marker)
            })
            .map(|stat| stat.stamp.pid)
            .collect();
        let spared = self.own_line();
        self.with_descendants(&seeds)
            .into_iter()
            .filter(|pid| !spared.contains(pid))
            .filter_map(|pid| self.by_pid.get(&pid))
            .filter(|stat| stat.state != RunState::Dead)
            .cloned()
            .collect()
    }

    fn in_session(&self, stat: &ProcStat, agent: ProcessStamp) -> bool {
        let of_another = self
            .by_pid
            .get(&agent.pid)
            .is_some_and(|leader| leader.stamp != agent);
        stat.session == agent.pid && stat.stamp.start_ticks >= agent.start_ticks && !of_another
    }

    /// `seeds` and all that descend from them.
    fn with_descendants(&self, seeds: &BTreeSet<i32>) -> BTreeSet<i32> {
        let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for stat in self.by_pid.values() {
            children.entry(stat.ppid).or_default().push(stat.stamp.pid);
        }
        let mut found = BTreeSet::new();
        let mut open: Vec<i32> = seeds.iter().copied().collect();
        while let Some(pid) = open.pop() {
            if found.insert(pid) {
                open.extend(children.get(&pid).into_iter().flatten());
            }
        }
        found
    }

    /// The calling process and its ancestors: never a target.
    fn own_line(&self) -> BTreeSet<i32> {
        let mut line = BTreeSet::from([0, 1]);
        let mut current = i32::try_from(std::process::id()).unwrap_or(0);
        while line.insert(current) {
            current = self.by_pid.get(&current).map_or(0, |stat| stat.ppid);
        }
        line
    }
}

/// Whether the environment that the process was started with holds all these entries, of which there is one at least. One
/// that cannot be read (another user's) does not.
fn carries(pid: i32, wanted: &[String]) -> bool {
    if wanted.is_empty() {
        return false;
    }
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
        let entries: BTreeSet<&[u8]> = environ.split(|byte| *byte == 0).collect();
        wanted
            .iter()
            .all(|entry| entries.contains(entry.as_bytes()))
    })
}
