//! Record errors for callers that speak of [`io::Error`].

use std::io;

use super::RecordError;

impl RecordError {
    /// What kind of error it is, for decisions: a missing file, one that is there already.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Io { source, .. } => source.kind(),
            Self::Replaced { .. } => io::ErrorKind::NotFound,
            Self::Encode { .. } => io::ErrorKind::InvalidData,
            Self::NotLocked { .. } => io::ErrorKind::PermissionDenied,
        }
    }
}

impl From<RecordError> for io::Error {
    fn from(error: RecordError) -> Self {
        Self::new(error.kind(), error)
    }
}
