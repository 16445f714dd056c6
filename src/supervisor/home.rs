//! Whose records a database belongs to: it remembers the directory, because running attempts are known by their records.
//!
//! A daemon that finds a running task without its record takes the attempt for lost, ends what is left of it and starts
//! another. With a database that was brought here from a state directory where the attempt runs on, that would end live
//! work, or do finished work again. So such a start is refused, for as long as the records are where they were.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::start::StartError;
use crate::store::{StoreError, Tx};
use crate::task::Task;

/// The directory of the records, in the database.
const META_RECORDS_DIR: &str = "records_dir";
/// Before a path that is no text, in hexadecimal digits. Absolute paths begin with a slash.
const HEX: &str = "hex:";

/// What the database says of its records' place.
pub(super) enum Home {
    /// It is this directory.
    Here,
    /// It was another one, or none yet, and nothing of what runs is there: it is this one from now on.
    New(String),
    /// Records of running attempts are in another directory.
    Elsewhere {
        /// That directory.
        records_dir: PathBuf,
        /// How many.
        attempts: usize,
    },
}

/// Looks whether the records of what `running` are those in `records_dir`, which exists.
///
/// # Errors
/// When the database or the directory cannot be read.
pub(super) fn look(records_dir: &Path, running: &[Task], tx: &Tx<'_>) -> Result<Home, StartError> {
    let here = records_dir
        .canonicalize()
        .map_err(|source| StartError::StateDir {
            path: records_dir.to_owned(),
            source,
        })?;
    let told = tx.meta(META_RECORDS_DIR)?;
    let Some(there) = told.as_deref().map(from_text) else {
        return Ok(Home::New(to_text(&here)));
    };
    if there == here {
        return Ok(Home::Here);
    }
    // Another name of this directory (a mount, a move to where it was before) is no other directory.
    if is_same(&there, &here) {
        return Ok(Home::New(to_text(&here)));
    }
    let attempts = running
        .iter()
        .filter(|task| may_be_there(&there.join(task.attempt().to_string())))
        .count();
    if attempts == 0 {
        return Ok(Home::New(to_text(&here)));
    }
    Ok(Home::Elsewhere {
        records_dir: there,
        attempts,
    })
}

/// Writes down that the records are in this directory now.
///
/// # Errors
/// [`StoreError`].
pub(super) fn remember(text: &str, tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.set_meta(META_RECORDS_DIR, Some(text))
}

fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let inode = |path: &Path| {
        std::fs::metadata(path)
            .ok()
            .map(|about| (about.dev(), about.ino()))
    };
    inode(one).is_some_and(|one| Some(one) == inode(other))
}

/// A file that may not be looked at may be there.
fn may_be_there(record: &Path) -> bool {
    record.try_exists().unwrap_or(true)
}

fn to_text(path: &Path) -> String {
    if let Some(text) = path.to_str() {
        return text.to_owned();
    }
    let mut text = String::from(HEX);
    for byte in path.as_os_str().as_bytes() {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn from_text(text: &str) -> PathBuf {
    let digits = text.strip_prefix(HEX).map(str::as_bytes);
    let bytes = digits.and_then(|digits| {
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect::<Option<Vec<u8>>>()
    });
    PathBuf::from(bytes.map_or_else(|| OsString::from(text), OsString::from_vec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_comes_back_as_it_was() {
        for path in [&b"/var/lib/x"[..], b"/a b/\xff\xfe", "/ü/ß".as_bytes()] {
            let path = PathBuf::from(OsString::from_vec(path.to_vec()));
            assert_eq!(from_text(&to_text(&path)), path);
        }
    }
}
