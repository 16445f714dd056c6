//! Where a check runs: directories of its own, and sessions that nobody has.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

/// Directories of the check, gone with the value.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Fresh ones.
    pub(super) fn new() -> io::Result<Self> {
        let name = format!("auto-claude-check-{}", session_id()?);
        let scratch = Self(std::env::temp_dir().join(name));
        for dir in ["", "home", "config", "work"] {
            std::fs::DirBuilder::new()
                .mode(0o700)
                .create(scratch.0.join(dir))?;
        }
        Ok(scratch)
    }

    /// One of them.
    pub(super) fn dir(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// One of them, as a text.
    pub(super) fn text(&self, dir: &str) -> String {
        self.0.join(dir).to_string_lossy().into_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Litter in the directory for temporary files hurts nobody.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A session's name that no other has: a random UUID.
///
/// # Errors
/// When the kernel gives no randomness.
pub fn session_id() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let number = u128::from_be_bytes(bytes);
    // Version 4, variant 1.
    let number = (number & !(0xf << 76)) | (4 << 76);
    let number = (number & !(0b11 << 62)) | (0b10 << 62);
    let hex = format!("{number:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    Ok([
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::claude::argv::is_session;

    #[test]
    fn sessions_are_what_the_agent_takes() {
        for _ in 0..100 {
            let id = session_id().unwrap();
            assert!(is_session(&id), "{id}");
            assert_eq!(&id[14..15], "4", "{id}");
            assert!("89ab".contains(&id[19..20]), "{id}");
        }
        assert_ne!(session_id().unwrap(), session_id().unwrap());
    }

    #[test]
    fn directories_go_with_their_value() {
        let scratch = Scratch::new().unwrap();
        let work = scratch.dir("work");
        std::fs::write(work.join("file"), "x").unwrap();
        assert!(work.is_dir());
        drop(scratch);
        assert!(!work.exists());
    }
}
