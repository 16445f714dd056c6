//! What the handler asks of the real world: record files and free space.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};

use super::handler::{ClaimRefused, World};
use super::launch::record_path;
use super::place::LockPlace;
use crate::attempt::record::{Header, Read};
use crate::attempt::spec::PROTOCOL_VERSION;
use crate::config::paths::Paths;
use crate::process::boot_id;
use crate::record::{RecordError, RecordFile};
use crate::task::AttemptId;

/// Attempts that are still being ended: their tasks are not claimed meanwhile.
pub type Busy = Arc<Mutex<BTreeSet<AttemptId>>>;

/// The real world.
#[derive(Debug)]
pub struct RealWorld {
    paths: Arc<Paths>,
    place: LockPlace,
    busy: Busy,
}

impl RealWorld {
    /// The world of this state directory.
    #[must_use]
    pub fn new(paths: Arc<Paths>, place: LockPlace, busy: Busy) -> Self {
        Self { paths, place, busy }
    }
}

impl World for RealWorld {
    fn is_in_place(&self) -> bool {
        self.place.is_ours()
    }

    fn has_ended(&self, attempt: &AttemptId) -> bool {
        let record = RecordFile::open_existing(&record_path(&self.paths, attempt))
            .and_then(|file| file.read());
        record.is_ok_and(|record| matches!(record.exit, Read::Value(_)))
    }

    fn disk_free_bytes(&self) -> Option<u64> {
        free_bytes(&self.paths.state_dir)
    }

    fn create_record(&self, attempt: &AttemptId) -> Result<(), ClaimRefused> {
        if self
            .busy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .any(|stray| stray.task == attempt.task)
        {
            return Err(ClaimRefused::Busy);
        }
        let path = record_path(&self.paths, attempt);
        let header = Header {
            attempt: attempt.clone(),
            boot_id: boot_id().to_owned(),
            version: PROTOCOL_VERSION,
        };
        let failed = |error: RecordError| ClaimRefused::Failed(error.into());
        match RecordFile::create(&path, &header) {
            Ok(_) => Ok(()),
            // Of a claim that was never committed: nobody was launched for it. Under its lock it may be made anew.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let mut former = RecordFile::open_existing(&path).map_err(failed)?;
                // The lock first: what is read before it can change.
                if !former.try_lock().map_err(failed)? {
                    return Err(ClaimRefused::Busy);
                }
                let blank = former.read().is_ok_and(|record| {
                    record.started == Read::Blank && record.exit == Read::Blank
                });
                if !blank {
                    return Err(ClaimRefused::Busy);
                }
                former.unlink_locked().map_err(failed)?;
                crate::crash::point("claim.record_discarded");
                RecordFile::create(&path, &header)
                    .map(|_| ())
                    .map_err(failed)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// Bytes free for us where `path` is; `None` when that cannot be known.
#[must_use]
pub fn free_bytes(path: &std::path::Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}
