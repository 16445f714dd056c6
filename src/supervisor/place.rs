//! Whether the state directory is still the one that this daemon has locked.
//!
//! A directory that was removed or moved away lives on for the files that a process has open in it, and nothing fails. But
//! what is opened, made and unlinked by name then happens elsewhere: in the directory of the next daemon, perhaps. So the
//! path of the lock must lead to the lock that is held, as a worker demands of its record.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where a lock that is held was taken.
#[derive(Debug, Clone)]
pub struct LockPlace {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl LockPlace {
    /// The place of `lock`, which was opened by `path`.
    ///
    /// # Errors
    /// When the open file cannot be looked at.
    pub fn of(lock: &File, path: &Path) -> io::Result<Self> {
        let about = lock.metadata()?;
        Ok(Self {
            path: path.to_owned(),
            device: about.dev(),
            inode: about.ino(),
        })
    }

    /// Whether the path still leads to the lock. A path that cannot be looked at (a disk with errors) proves nothing.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        match std::fs::metadata(&self.path) {
            Ok(about) => (about.dev(), about.ino()) == (self.device, self.inode),
            Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_was_removed_moved_or_replaced_is_not_ours() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let make = || {
            std::fs::create_dir(&state).unwrap();
            File::create_new(state.join("lock")).unwrap()
        };
        let lock = make();
        let place = LockPlace::of(&lock, &state.join("lock")).unwrap();
        assert!(place.is_ours());
        let moved = directory.path().join("moved");
        std::fs::rename(&state, &moved).unwrap();
        assert!(!place.is_ours());
        let _other = make();
        assert!(!place.is_ours(), "another daemon's");
        std::fs::remove_dir_all(&state).unwrap();
        std::fs::rename(&moved, &state).unwrap();
        assert!(place.is_ours());
        std::fs::remove_dir_all(&state).unwrap();
        std::fs::write(&state, "").unwrap();
        assert!(!place.is_ours());
    }
}
