//! Which program was verified last: a file in the state directory.
//!
//! A file that is lost or cannot be read costs one more check and nothing else, so it is written whole under another name
//! and renamed, and not synced.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::agent::Version;
use crate::task::Timestamp;

/// Its name in the state directory.
pub const VERIFIED_FILE: &str = "verified-agents.json";
/// Longest file that is read.
const FILE_MAX_BYTES: u64 = 256 * 1024;
/// A program smaller than this may be a script that starts another one: its own file does not tell when that changes.
const SHIM_MAX_BYTES: u64 = 1024 * 1024;

/// A program's file, as far as a replacement shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its path, with links followed.
    pub program: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// When it was changed last, in nanoseconds.
    pub modified_ns: i64,
    /// Its number on its file system.
    pub inode: u64,
}

impl Identity {
    /// Looks at a program's file.
    ///
    /// # Errors
    /// When it is not there, or may not be looked at.
    pub fn of(program: &Path) -> io::Result<Self> {
        let program = program.canonicalize()?;
        let found = std::fs::metadata(&program)?;
        Ok(Self {
            bytes: found.size(),
            modified_ns: found
                .mtime()
                .saturating_mul(1_000_000_000)
                .saturating_add(found.mtime_nsec()),
            inode: found.ino(),
            program,
        })
    }

    /// Whether another program may stand behind this one, so that only its version tells of a change.
    #[must_use]
    pub const fn may_be_a_shim(&self) -> bool {
        self.bytes < SHIM_MAX_BYTES
    }
}

/// What is known of an agent's program that was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Which file.
    pub identity: Identity,
    /// Its version; `None` = it told none.
    pub version: Option<Version>,
    /// What of its contract is broken, in one line; empty = it is kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub broken: String,
    /// When.
    pub at: Timestamp,
}

/// What was verified, by the agent's name. A file that is not there, or cannot be read, says nothing.
#[must_use]
pub fn load(state_dir: &Path) -> BTreeMap<String, Verified> {
    let read = || -> io::Result<BTreeMap<String, Verified>> {
        let path = state_dir.join(VERIFIED_FILE);
        if std::fs::metadata(&path)?.len() > FILE_MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    };
    read().unwrap_or_default()
}

/// Writes down what was found of an agent.
///
/// # Errors
/// When the file cannot be written; the next start then checks again.
pub fn remember(state_dir: &Path, agent: &str, verified: &Verified) -> io::Result<()> {
    let mut all = load(state_dir);
    all.insert(agent.to_owned(), verified.clone());
    let text = serde_json::to_vec_pretty(&all)?;
    // Two writers at once (a daemon, and a person's check) each have a name of their own.
    let part = state_dir.join(format!("{VERIFIED_FILE}.{}.tmp", std::process::id()));
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| std::fs::rename(&part, state_dir.join(VERIFIED_FILE)));
    if written.is_err() {
        // What is left of it is nobody's.
        drop(std::fs::remove_file(&part));
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(program: &Path) -> Verified {
        Verified {
            identity: Identity::of(program).unwrap(),
            version: Some(Version(1, 2, 3)),
            broken: String::new(),
            at: Timestamp::from_ms(1_000),
        }
    }

    #[test]
    fn what_is_remembered_is_known_later_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("agent");
        std::fs::write(&program, "one").unwrap();
        assert!(load(dir.path()).is_empty());
        let found = verified(&program);
        remember(dir.path(), "claude", &found).unwrap();
        remember(dir.path(), "other", &found).unwrap();
        let known = load(dir.path());
        assert_eq!(known.get("claude"), Some(&found));
        assert_eq!(known.len(), 2);
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(names.len(), 2, "nothing half is left: {names:?}");
    }

    #[test]
    fn a_replaced_program_is_another_one_also_behind_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two, link) = (
            dir.path().join("one"),
            dir.path().join("two"),
            dir.path().join("link"),
        );
        std::fs::write(&one, "same").unwrap();
        std::fs::write(&two, "same").unwrap();
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let before = Identity::of(&link).unwrap();
        assert_eq!(before, Identity::of(&one).unwrap());
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&two, &link).unwrap();
        assert_ne!(before, Identity::of(&link).unwrap());
        assert!(before.may_be_a_shim());
    }

    #[test]
    fn a_damaged_file_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(VERIFIED_FILE), "{\"claude\":").unwrap();
        assert!(load(dir.path()).is_empty());
    }
}
