//! The control socket: made here under the daemon's lock, or passed by systemd.

use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::config::paths::{PathError, check_socket};
use crate::config::{Paths, WrongRights, refuse_foreign};

/// Only the daemon's user, until an administrator opens it (the unit's socket has a group).
const SOCKET_MODE: u32 = 0o600;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Why there is no door.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The path is too long for a socket.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Somebody answers there.
    #[error("the socket {} is in use by another process; stop that one, or choose another --state-dir", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// What stands there is no socket.
    #[error("{} is there and is no socket; move it away, or choose another --state-dir", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Others could put a socket of theirs in its place.
    #[error(transparent)]
    Rights(#[from] WrongRights),
    /// The system refuses.
    #[error("cannot listen on {}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The listening sockets. One that was made here is unlinked at the end, one that was passed never.
#[derive(Debug)]
pub struct Doors {
    listeners: Vec<UnixListener>,
    made: Option<Made>,
}

/// A socket that was made here: another one at its path is not ours to unlink.
#[derive(Debug)]
struct Made {
    path: PathBuf,
    inode: (u64, u64),
}

/// What stands at `path`, by device and number.
fn inode(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|about| (about.dev(), about.ino()))
}

impl Doors {
    /// Takes the sockets that systemd passed, else makes one at `paths.socket`. The caller holds the daemon's lock: a stale
    /// path is ours to remove.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(paths: &Paths) -> Result<Self, BindError> {
        let path = &paths.socket;
        let io = |source| BindError::Io {
            path: path.clone(),
            source,
        };
        let mut passed = listenfd::ListenFd::from_env();
        let mut listeners = Vec::new();
        for index in 0..passed.len() {
            listeners.extend(passed.take_unix_listener(index).map_err(io)?);
        }
        let made = if listeners.is_empty() {
            listeners.push(make(path)?);
            Some(Made {
                path: path.clone(),
                inode: inode(path).map_err(io)?,
            })
        } else {
            None
        };
        for listener in &listeners {
            listener.set_nonblocking(true).map_err(io)?;
        }
        Ok(Self { listeners, made })
    }

    /// The listeners, each once.
    pub fn take(&mut self) -> Vec<UnixListener> {
        std::mem::take(&mut self.listeners)
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        if let Some(made) = &self.made
            && inode(&made.path).is_ok_and(|found| found == made.inode)
        {
            // Gone already is fine; anything else the next daemon deals with.
            drop(std::fs::remove_file(&made.path));
        }
    }
}

fn make(path: &Path) -> Result<UnixListener, BindError> {
    check_socket(path)?;
    let io = |source| BindError::Io {
        path: path.to_owned(),
        source,
    };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(io)?;
        refuse_foreign(dir, &std::fs::metadata(dir).map_err(io)?)?;
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NotASocket {
                path: path.to_owned(),
            });
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => {
                return Err(BindError::InUse {
                    path: path.to_owned(),
                });
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(io)?
            }
            Err(error) => return Err(io(error)),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
    }
    // The socket appears with its mode: for an instant with a wider one anybody could connect.
    let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    rustix::process::umask(umask);
    let listener = bound.map_err(io)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE)).map_err(io)?;
    rustix::net::listen(listener.as_fd(), BACKLOG).map_err(|error| io(error.into()))?;
    Ok(listener)
}
