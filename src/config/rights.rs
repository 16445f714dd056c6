//! Whom what stands at a path is trusted to: who can write the settings, the tasks or a record decides what is run here.
//!
//! Invariant: what the daemon believes belongs to its own user or to root, and only its owner can write it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The right to write of group and others. (An access list shows in the group's.)
const WRITE_OF_OTHERS: u32 = 0o022;
/// Only its owner may remove a file from such a directory.
const STICKY: u32 = 0o1000;
/// The part of a mode that says who may do what.
const MODE_MASK: u32 = 0o7777;

/// Who may have written the settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trust {
    /// Only root and our own user: commands are run as they say.
    #[default]
    Own,
    /// Anybody: nothing is run, it is only looked.
    Any,
}

/// Why what stands at a path is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("wrong rights: {} {why}", path.display())]
pub struct WrongRights {
    /// The path.
    pub path: PathBuf,
    /// What is wrong, and what to do.
    pub why: String,
}

/// Refuses what another user than root or our own owns, or can write. `about` is of what stands at `path`.
///
/// # Errors
/// [`WrongRights`].
pub fn refuse_foreign(path: &Path, about: &Metadata) -> Result<(), WrongRights> {
    let own = rustix::process::geteuid().as_raw();
    let refuse = |why: String| {
        Err(WrongRights {
            path: path.to_owned(),
            why,
        })
    };
    if about.uid() != 0 && about.uid() != own {
        return refuse(format!(
            "belongs to user {} and this is user {own}: its owner could have commands run in your name; \
             run this as its owner, or take it over: chown {own} {}",
            about.uid(),
            path.display()
        ));
    }
    if about.mode() & WRITE_OF_OTHERS != 0 {
        // A sticky directory (/tmp) is everybody's on purpose: it is not the one to change.
        let advice = if about.mode() & STICKY != 0 {
            "use a directory of its own below it".to_owned()
        } else if about.is_dir() {
            format!("chmod 700 {}", path.display())
        } else {
            format!("chmod go-w {}", path.display())
        };
        return refuse(format!(
            "can be written by more than its owner (mode {:04o}): they could have commands run in your name; {advice}",
            about.mode() & MODE_MASK,
        ));
    }
    Ok(())
}
