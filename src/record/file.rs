//! One record file, open.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::attempt::record::{
    EncodeError, Header, RECORD_BYTES, Record, SECTOR_BYTES, SectorValue, encode,
};

/// What went wrong with a record file.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file system refused.
    #[error("{action} the record {path:?}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The path names another file by now, or none.
    #[error("use the record {path:?}: the path names another file by now")]
    Replaced {
        /// Which path.
        path: PathBuf,
    },
    /// A value does not fit.
    #[error("write the record {path:?}: {source}")]
    Encode {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: EncodeError,
    },
    /// Unlinking without the lock was tried.
    #[error("unlink the record {path:?}: its lock is not held")]
    NotLocked {
        /// Which path.
        path: PathBuf,
    },
}

/// An open record. Dropping it gives the lock back.
#[derive(Debug)]
pub struct RecordFile {
    file: File,
    path: PathBuf,
    locked: bool,
}

impl RecordFile {
    /// Creates the file with its header and all its blocks. Nothing is synced (see the room's doc).
    ///
    /// # Errors
    /// When it exists already, or cannot be written; a half-written one is removed again.
    pub fn create(path: &Path, header: &Header) -> Result<Self, RecordError> {
        let sector = encode(header).map_err(|source| RecordError::Encode {
            path: path.to_owned(),
            source,
        })?;
        let mut bytes = [0; RECORD_BYTES];
        bytes[..SECTOR_BYTES].copy_from_slice(&sector);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|source| RecordError::Io {
                action: "create",
                path: path.to_owned(),
                source,
            })?;
        let record = Self {
            file,
            path: path.to_owned(),
            locked: false,
        };
        crate::crash::point("record.made");
        if let Err(source) = record.file.write_all_at(&bytes, 0) {
            // It was created a moment ago by us, and nobody was told of it.
            let _ = fs::remove_file(path);
            return Err(record.io("create", source));
        }
        crate::crash::point("record.created");
        Ok(record)
    }

    /// Opens an existing file for reading and writing; never creates, never follows a link.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub fn open_existing(path: &Path) -> Result<Self, RecordError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
            .map_err(|source| RecordError::Io {
                action: "open",
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            file,
            path: path.to_owned(),
            locked: false,
        })
    }

    /// Tries to take the lock: `Ok(false)` when another process holds it.
    ///
    /// # Errors
    /// [`RecordError::Replaced`] when the path names another file by now: whoever unlinked this one had the lock before us,
    /// and what we hold is a record of nothing.
    pub fn try_lock(&mut self) -> Result<bool, RecordError> {
        match self.file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(source)) => return Err(self.io("lock", source)),
        }
        self.verify_inode()?;
        self.locked = true;
        Ok(true)
    }

    fn verify_inode(&self) -> Result<(), RecordError> {
        let held = self
            .file
            .metadata()
            .map_err(|source| self.io("look at", source))?;
        match fs::symlink_metadata(&self.path) {
            Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => Ok(()),
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(self.io("look at", source))
            }
            Ok(_) | Err(_) => Err(RecordError::Replaced {
                path: self.path.clone(),
            }),
        }
    }

    /// Whether this handle holds the lock.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        self.locked
    }

    /// Reads all sectors. Damage is an answer, no error.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn read(&self) -> Result<Record, RecordError> {
        let mut bytes = [0; RECORD_BYTES];
        let mut filled = 0;
        while filled < RECORD_BYTES {
            match self.file.read_at(&mut bytes[filled..], filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.io("read", source)),
            }
        }
        Ok(Record::decode(&bytes[..filled]))
    }

    /// Writes one sector; on return other processes see it, a power loss may lose it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write<T: SectorValue>(&self, value: &T) -> Result<(), RecordError> {
        put(&self.file, value).map_err(|error| self.put_error(error))
    }

    /// Writes one sector; on return it is on the disk.
    ///
    /// # Errors
    /// When it cannot be written or synced. After a failed sync use [`Self::write_synced_afresh`], never this again.
    pub fn write_synced<T: SectorValue>(&self, value: &T) -> Result<(), RecordError> {
        self.write(value)?;
        crate::crash::point("record.written");
        self.file
            .sync_data()
            .map_err(|source| self.io("sync", source))
    }

    /// As [`Self::write_synced`], through a descriptor of its own: after a failed sync the kernel may call the same data
    /// clean and a second sync of the same descriptor a success. Writing it anew makes it dirty, and a new descriptor hears
    /// of every error from now on.
    ///
    /// # Errors
    /// As [`Self::write_synced`], and [`RecordError::Replaced`].
    pub fn write_synced_afresh<T: SectorValue>(&self, value: &T) -> Result<(), RecordError> {
        self.verify_inode()?;
        Self::open_existing(&self.path)?.write_synced(value)
    }

    /// Syncs the directory that names the file: on return the file itself survives a power loss.
    ///
    /// # Errors
    /// When the directory cannot be opened or synced.
    pub fn sync_directory(&self) -> Result<(), RecordError> {
        let parent = self
            .path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        File::open(parent)
            .and_then(|dir| dir.sync_all())
            .map_err(|source| self.io("sync the directory of", source))
    }

    /// Removes the file.
    ///
    /// # Errors
    /// [`RecordError::NotLocked`] without the lock; [`RecordError::Replaced`] when the path names another file.
    pub fn unlink_locked(self) -> Result<(), RecordError> {
        if !self.locked {
            return Err(RecordError::NotLocked { path: self.path });
        }
        self.verify_inode()?;
        crate::crash::point("record.unlinking");
        fs::remove_file(&self.path).map_err(|source| self.io("unlink", source))
    }

    fn io(&self, action: &'static str, source: io::Error) -> RecordError {
        RecordError::Io {
            action,
            path: self.path.clone(),
            source,
        }
    }

    fn put_error(&self, error: PutError) -> RecordError {
        match error {
            PutError::Io(source) => self.io("write", source),
            PutError::Encode(source) => RecordError::Encode {
                path: self.path.clone(),
                source,
            },
        }
    }
}

enum PutError {
    Io(io::Error),
    Encode(EncodeError),
}

fn put<T: SectorValue>(file: &File, value: &T) -> Result<(), PutError> {
    let bytes = encode(value).map_err(PutError::Encode)?;
    file.write_all_at(&bytes, T::SECTOR.offset() as u64)
        .map_err(PutError::Io)
}
