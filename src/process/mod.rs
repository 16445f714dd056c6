//! EDGE. Process identity, spawn, pidfd, trees, cgroups, `/proc`. The only room with unsafe code.
//!
//! Invariants:
//! - A process is named by boot id, pid and start time, never by a bare pid; a signal goes through a pidfd whose process
//!   was checked to have that start time.
//! - Nothing here ever signals the calling process or one of its ancestors.
//! - cgroups are help, never a condition: without any, ancestry, session and marker find the same tree.

mod aside;
mod ask;
mod cgroup;
mod child;
mod clock;
mod identity;
mod launch;
mod memory;
mod own;
mod pidfd;
mod shell;
mod spawn;
mod sweep;
mod tree;
mod watch;

pub use aside::{Aside, AsidePlan};
pub use ask::{Question, Reply, ask, hand_terminal_to};
pub use cgroup::{AttemptCgroup, Limits};
pub use clock::{monotonic_ms, now};
pub use identity::{ProcStat, RunState, boot_id, descends_from, is_alive, stamp_of};
pub use launch::{Launched, Launcher, OpenExe, WorkerEnd, reap};
pub use memory::{release_free_memory, share_heaps};
pub use own::{
    Noticed, SignalFd, become_worker, close_inherited, release_start_pages, replace_with_null,
};
pub use pidfd::{open as open_pidfd, signal};
pub use shell::{InTerminal, in_terminal, terminate};
pub use spawn::{Agent, SpawnError, SpawnPlan, spawn};
pub use sweep::{SweepResult, signal_members, sweep};
pub use tree::{Snapshot, Target, marker_of};
pub use watch::watchable;
