//! An attempt's cgroups: any writable cgroup2 tree tracks it (also a hybrid's `unified`), the hierarchy that owns a
//! controller limits it (v1 or v2). All of it is help: what is missing is left out.
//!
//! Only the agent joins (before it is exec'ed), never the worker: `cgroup.kill` cannot hit who uses it. The groups lie at
//! `<cgroup of the caller>/auto-claude/<attempt>`; daemon and worker sit in the same cgroup, so both find the same path.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::identity::read_proc;
use crate::task::AttemptId;

/// The folder that holds the groups of all attempts.
const FOLDER: &str = "auto-claude";
/// A group whose last process was just waited for can be busy for a moment.
const REMOVE_TRIES: u32 = 5;
const REMOVE_PAUSE_MS: u64 = 2;

/// Limits of a tree; 0 = none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Processes and threads.
    pub processes: u64,
    /// Memory.
    pub memory_bytes: u64,
}

/// Which hierarchy a group belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// cgroup2.
    Unified,
    /// The v1 pids controller.
    PidsV1,
    /// The v1 memory controller.
    MemoryV1,
}

/// The groups of one attempt; possibly none.
#[derive(Debug, Default, Clone)]
pub struct AttemptCgroup {
    groups: Vec<(Kind, PathBuf)>,
    limits_processes: bool,
}

impl AttemptCgroup {
    /// Makes the groups, as far as this system lets us. The second value says in words which limits could not be set.
    #[must_use]
    pub fn create(attempt: &AttemptId, limits: Limits) -> (Self, Vec<String>) {
        let mut made = Self::default();
        let mut missing = Vec::new();
        let (mut pids, mut memory) = (limits.processes == 0, limits.memory_bytes == 0);
        for (kind, base) in hierarchies(limits) {
            let group = base.join(FOLDER).join(attempt.to_string());
            if make(&base, &group, kind, limits).is_err() {
                continue;
            }
            match kind {
                Kind::Unified => {
                    pids = pids || set(&group, "pids.max", limits.processes);
                    memory = memory || set(&group, "memory.max", limits.memory_bytes);
                }
                Kind::PidsV1 if !pids => pids = set(&group, "pids.max", limits.processes),
                Kind::MemoryV1 if !memory => {
                    memory = set(&group, "memory.limit_in_bytes", limits.memory_bytes)
                }
                Kind::PidsV1 | Kind::MemoryV1 => {}
            }
            made.groups.push((kind, group));
        }
        made.limits_processes = pids && limits.processes != 0;
        if !pids {
            missing.push(format!(
                "no pids controller: at most {} processes of this user instead",
                limits.processes
            ));
        }
        if !memory {
            missing.push("no memory controller: memory is not limited".to_owned());
        }
        (made, missing)
    }

    /// The groups of `attempt` that exist now (for whoever did not make them).
    #[must_use]
    pub fn existing(attempt: &AttemptId) -> Self {
        let all = Limits {
            processes: 1,
            memory_bytes: 1,
        };
        let groups = hierarchies(all)
            .into_iter()
            .map(|(kind, base)| (kind, base.join(FOLDER).join(attempt.to_string())))
            .filter(|(_, group)| group.is_dir())
            .collect();
        Self {
            groups,
            limits_processes: false,
        }
    }

    /// Whether a pids controller limits the tree.
    #[must_use]
    pub const fn limits_processes(&self) -> bool {
        self.limits_processes
    }

    /// Descriptors through which a process joins by writing `0`. Close-on-exec.
    #[must_use]
    pub fn doors(&self) -> Vec<File> {
        let open = |(_, group): &(Kind, PathBuf)| {
            OpenOptions::new()
                .write(true)
                .open(group.join("cgroup.procs"))
                .ok()
        };
        self.groups.iter().filter_map(open).collect()
    }

    /// Pids in the groups.
    #[must_use]
    pub fn members(&self) -> Vec<i32> {
        let read = |(_, group): &(Kind, PathBuf)| {
            fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default()
        };
        self.groups
            .iter()
            .map(read)
            .flat_map(|text| {
                text.lines()
                    .filter_map(|line| line.parse().ok())
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// Whether process `pid` is in one of the groups.
    #[must_use]
    pub fn contains(&self, pid: i32) -> bool {
        self.members().contains(&pid)
    }

    /// Kills all members at once where the kernel can (cgroup2, since 5.14); nothing where it cannot.
    pub fn kill(&self) {
        for (kind, group) in &self.groups {
            if *kind == Kind::Unified {
                // Who relies on it signals each member as well.
                let _ = write(&group.join("cgroup.kill"), "1");
            }
        }
    }

    /// How many processes of the groups the kernel ended for want of memory; 0 without a memory controller.
    #[must_use]
    pub fn oom_kills(&self) -> u64 {
        let count = |(kind, group): &(Kind, PathBuf)| {
            let name = match kind {
                Kind::Unified => "memory.events",
                Kind::MemoryV1 => "memory.oom_control",
                Kind::PidsV1 => return 0,
            };
            let text = fs::read_to_string(group.join(name)).unwrap_or_default();
            text.lines()
                .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
                .unwrap_or(0)
        };
        self.groups.iter().map(count).sum()
    }

    /// Removes the groups; one that still has members stays.
    pub fn remove(&self) {
        for (_, group) in &self.groups {
            for attempt in 1..=REMOVE_TRIES {
                match fs::remove_dir(group) {
                    Err(error)
                        if error.kind() == io::ErrorKind::ResourceBusy
                            && attempt < REMOVE_TRIES =>
                    {
                        std::thread::sleep(Duration::from_millis(REMOVE_PAUSE_MS));
                    }
                    Ok(()) | Err(_) => break,
                }
            }
        }
    }
}

/// Makes the group; one left by an attempt of the same name is used again.
fn make(base: &Path, group: &Path, kind: Kind, limits: Limits) -> io::Result<()> {
    match fs::create_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = base.join(FOLDER);
            fs::create_dir(&folder).or_else(|error| {
                if error.kind() == io::ErrorKind::AlreadyExists {
                    Ok(())
                } else {
                    Err(error)
                }
            })?;
            fs::create_dir(group)?;
        }
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    if kind == Kind::Unified && limits != Limits::default() {
        // Refused where a controller is not delegated or processes sit in `base`: then v1, rlimits or nothing limit.
        for dir in [base, &base.join(FOLDER)] {
            let _ = write(&dir.join("cgroup.subtree_control"), "+pids +memory");
        }
    }
    Ok(())
}

fn set(group: &Path, file: &str, value: u64) -> bool {
    value != 0 && write(&group.join(file), &value.to_string()).is_ok()
}

/// Writes to a file that must exist: in a cgroup file system nothing can be created this way, elsewhere nothing shall.
fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all(text.as_bytes())
}

/// The caller's own cgroup in each hierarchy that is of use: cgroup2 always, a v1 controller only for a limit.
fn hierarchies(limits: Limits) -> Vec<(Kind, PathBuf)> {
    let read = |path: &str| {
        let bytes = read_proc(path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    find(
        &read("/proc/self/cgroup"),
        &read("/proc/self/mountinfo"),
        limits,
    )
    .into_iter()
    .filter(|(_, dir)| dir.is_dir())
    .collect()
}

fn find(own: &str, mounts: &str, limits: Limits) -> Vec<(Kind, PathBuf)> {
    let mut found: Vec<(Kind, PathBuf)> = Vec::new();
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let mut left = left.split(' ').skip(3);
        let (Some(root), Some(point)) = (left.next(), left.next()) else {
            continue;
        };
        let mut right = right.split(' ');
        let (fs_type, options) = (
            right.next().unwrap_or_default(),
            right.nth(1).unwrap_or_default(),
        );
        let has =
            |name: &str| fs_type == "cgroup" && options.split(',').any(|option| option == name);
        let (kind, controller) = if fs_type == "cgroup2" {
            (Kind::Unified, "")
        } else if limits.processes != 0 && has("pids") {
            (Kind::PidsV1, "pids")
        } else if limits.memory_bytes != 0 && has("memory") {
            (Kind::MemoryV1, "memory")
        } else {
            continue;
        };
        let Some(path) = own_path(own, controller) else {
            continue;
        };
        let below = if root == "/" {
            path
        } else {
            path.strip_prefix(root).unwrap_or(path)
        };
        if found.iter().all(|(known, _)| *known != kind) {
            found.push((kind, Path::new(point).join(below.trim_start_matches('/'))));
        }
    }
    found
}

/// The path in a line `N:controller,…:/path` of `/proc/self/cgroup`; cgroup2's line has no controller.
fn own_path<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (names, path) = (parts.next()?, parts.next()?);
        names
            .split(',')
            .any(|name| name == controller)
            .then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "35 32 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        39 32 0:35 / /sys/fs/cgroup/pids rw,relatime shared:9 - cgroup cgroup rw,pids\n\
        41 32 0:37 /box /sys/fs/cgroup/unified rw - cgroup2 none rw\n";
    const OWN: &str = "8:pids:/\n4:memory:/a/b\n0::/box/c\n";

    #[test]
    fn each_hierarchy_is_found_where_it_is_of_use() {
        let all = find(
            OWN,
            MOUNTS,
            Limits {
                processes: 1,
                memory_bytes: 1,
            },
        );
        assert_eq!(
            all,
            [
                (Kind::MemoryV1, PathBuf::from("/sys/fs/cgroup/memory/a/b")),
                (Kind::PidsV1, PathBuf::from("/sys/fs/cgroup/pids/")),
                (Kind::Unified, PathBuf::from("/sys/fs/cgroup/unified/c")),
            ]
        );
        assert_eq!(
            find(OWN, MOUNTS, Limits::default()),
            [(Kind::Unified, PathBuf::from("/sys/fs/cgroup/unified/c"))]
        );
        assert_eq!(find("", "nonsense", Limits::default()), []);
    }
}
