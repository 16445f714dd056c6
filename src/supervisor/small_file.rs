//! Files that somebody else has named, read whole. Only regular ones, up to a length: to open a pipe or to read a device may
//! never return, and whoever waits for it is the daemon.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The text of a file, at most `max_bytes` long.
///
/// # Errors
/// It is not there, no regular file, too long, or no UTF-8.
pub(super) fn read_text(path: &Path, max_bytes: u64) -> io::Result<String> {
    let mut text = String::new();
    let read = open(path)?.take(max_bytes + 1).read_to_string(&mut text)?;
    if read as u64 > max_bytes {
        return Err(io::Error::other(format!(
            "it is longer than {max_bytes} bytes"
        )));
    }
    Ok(text)
}

fn open(path: &Path) -> io::Result<File> {
    // Opening alone may do something to a device: it is looked at before, and once more behind, for it may be another.
    refuse_odd(&std::fs::metadata(path)?)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    refuse_odd(&file.metadata()?)?;
    Ok(file)
}

fn refuse_odd(about: &std::fs::Metadata) -> io::Result<()> {
    if about.is_file() {
        Ok(())
    } else {
        Err(io::Error::other("it is no regular file"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_might_never_end_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let said = |path: &Path| match read_text(path, 5) {
            Ok(text) => text,
            Err(error) => error.to_string(),
        };
        let file = dir.path().join("file");
        std::fs::write(&file, "hello").unwrap();
        assert_eq!(said(&file), "hello");
        std::fs::write(&file, "hello!").unwrap();
        assert_eq!(said(&file), "it is longer than 5 bytes");
        std::fs::write(&file, b"\xff").unwrap();
        assert!(said(&file).contains("UTF-8"));
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).unwrap();
        for odd in [&fifo, dir.path(), Path::new("/dev/zero")] {
            assert_eq!(said(odd), "it is no regular file", "{odd:?}");
        }
    }
}
