//! The files below a task's directory that changed while its last attempt ran.
//!
//! A guess by modification times, and called so: another program may have changed them. Bounded: a huge tree costs at
//! most [`LOOKED_AT_MAX`] entries, and the answer then says that it was cut. What the daemon and its workers write in their
//! state directory is left out: no task made it.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::task::Timestamp;

/// Entries that are looked at.
pub const LOOKED_AT_MAX: usize = 50_000;
/// Directories that are passed over: history, build results, installed packages.
const PASSED_OVER: [&str; 3] = [".git", "target", "node_modules"];
/// What is ours in a state directory: these folders, and files whose names begin like this.
const OWN_FOLDERS: [&str; 5] = ["backups", "logs", "records", "run", "tasks"];
const OWN_FILES: &[u8] = b"auto-claude.";
/// File systems keep times more coarsely than we do.
const SLACK_MS: i64 = 1000;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    /// Paths relative to the directory, sorted.
    pub files: Vec<PathBuf>,
    /// Not everything was looked at.
    pub cut: bool,
}

/// Looks for files changed from `from` to `to`, without those that are ours in `state_dir`. Directories that cannot be read
/// are passed over; links are not followed.
#[must_use]
pub fn changed(root: &Path, state_dir: Option<&Path>, from: Timestamp, to: Timestamp) -> Changed {
    let mut found = Changed::default();
    let state_dir = state_dir.and_then(|dir| fs::metadata(dir).ok());
    let mut looked_at = 0;
    let mut waiting = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        // By identity: one directory has many paths.
        let ours = state_dir
            .as_ref()
            .is_some_and(|state| fs::metadata(&dir).is_ok_and(|meta| same(state, &meta)));
        for entry in entries.flatten() {
            looked_at += 1;
            if looked_at > LOOKED_AT_MAX {
                found.cut = true;
                found.files.sort();
                return found;
            }
            // Of the entry itself: a link is not followed.
            let Ok(meta) = entry.metadata() else { continue };
            if ours && is_own(&entry.file_name()) {
                continue;
            }
            if meta.is_dir() {
                if !PASSED_OVER.iter().any(|name| entry.file_name() == *name) {
                    waiting.push(entry.path());
                }
            } else if meta.is_file() && meta.modified().is_ok_and(|time| is_between(time, from, to))
            {
                let path = entry.path();
                found
                    .files
                    .push(path.strip_prefix(root).map_or(path.clone(), Path::to_owned));
            }
        }
    }
    found.files.sort();
    found
}

fn same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Whether an entry of the state directory is ours; others may lie there, too (a task may run in it).
fn is_own(name: &OsStr) -> bool {
    OWN_FOLDERS.iter().any(|own| name == *own) || name.as_bytes().starts_with(OWN_FILES)
}

fn is_between(time: SystemTime, from: Timestamp, to: Timestamp) -> bool {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let ms = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    (from.as_ms() - SLACK_MS..=to.as_ms() + SLACK_MS).contains(&ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_in_the_state_directory_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for file in [
            "made.txt",
            "tasks/mine.txt",
            "state/auto-claude.db-wal",
            "state/tasks/task_k3/output.log",
            "state/records/task_k3.1",
            "state/logs/workers.log",
            "state/made.txt",
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let all_time = |state_dir: Option<&Path>, root: &Path| {
            let (from, to) = (Timestamp::MIN_MS, Timestamp::MAX_MS);
            let found = changed(
                root,
                state_dir,
                Timestamp::from_ms(from),
                Timestamp::from_ms(to),
            );
            let names = found
                .files
                .iter()
                .map(|file| file.to_string_lossy().into_owned());
            names.collect::<Vec<_>>()
        };
        let state = root.join("state");
        std::os::unix::fs::symlink(&state, root.join("another-way")).unwrap();
        for way in [&state, &root.join("another-way")] {
            assert_eq!(
                all_time(Some(way), root),
                ["made.txt", "state/made.txt", "tasks/mine.txt"]
            );
        }
        assert_eq!(all_time(Some(&state), &state), ["made.txt"]);
        assert_eq!(all_time(None, root).len(), 7);
    }
}
