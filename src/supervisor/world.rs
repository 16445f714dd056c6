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
            // Of a claim that was never committed: nobody was launched for it. Under its lock it may be made anew; as it is, it
            // does as well, and must stay: a commit that was lost comes back when the daemon dies, and if no other record could
            // be made meanwhile, its attempt would have none.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let mut former = RecordFile::open_existing(&path).map_err(failed)?;
                // The lock first: what is read before it can change.
                if !former.try_lock().map_err(failed)? {
                    return Err(ClaimRefused::Busy);
                }
                let found = former.read().map_err(failed)?;
                if found.started.value().is_some() || found.exit.value().is_some() {
                    return Err(ClaimRefused::Busy);
                }
                let is_blank = found.started == Read::Blank && found.exit == Read::Blank;
                if is_blank && found.header.value() == Some(&header) {
                    return Ok(());
                }
                if is_blank {
                    former.unlink_locked().map_err(failed)?;
                } else {
                    // Damaged, so nobody can say what it was; but no row has ever known it, and what earlier databases left was
                    // ended at the start. A task must not wait for it: it is kept for a person.
                    let now_ms = super::clock::now().as_ms();
                    let kept = path.with_file_name(format!("{attempt}.set-aside-{now_ms}"));
                    std::fs::rename(&path, &kept).map_err(ClaimRefused::Failed)?;
                    tracing::warn!(kept = %kept.display(), "a damaged record that no task explains is kept");
                }
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

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::config::paths::{Given, PathOptions};

    fn world(directory: &std::path::Path) -> (RealWorld, Arc<Paths>) {
        let options = PathOptions {
            state_dir: Some(directory.to_owned()),
            ..PathOptions::default()
        };
        let paths = Paths::resolve(&Given::default(), &options, &|_| false).unwrap();
        fs::create_dir_all(&paths.records_dir).unwrap();
        let lock_path = directory.join("test.lock");
        let lock = File::create_new(&lock_path).unwrap();
        let place = LockPlace::of(&lock, &lock_path).unwrap();
        let paths = Arc::new(paths);
        let world = RealWorld::new(Arc::clone(&paths), place, Busy::default());
        (world, paths)
    }

    /// The commit of the first claim may still come back: at no time is there no record of it.
    #[test]
    fn a_blank_record_of_a_lost_claim_is_used_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let (world, paths) = world(directory.path());
        let attempt: AttemptId = "task_0000000000000.1".parse().unwrap();
        world.create_record(&attempt).unwrap();
        let path = record_path(&paths, &attempt);
        let inode = || fs::metadata(&path).unwrap().ino();
        let former = inode();
        // So that another file gets another inode, even where the first one is free again.
        let held = File::open(&path).unwrap();
        world.create_record(&attempt).unwrap();
        assert_eq!(inode(), former);
        drop(held);
        let record = RecordFile::open_existing(&path).unwrap().read().unwrap();
        assert_eq!((record.started, record.exit), (Read::Blank, Read::Blank));
    }

    /// Made for a claim that was never committed, and then damaged: its task is claimed all the same, and the file is kept.
    #[test]
    fn a_damaged_record_of_no_claim_keeps_no_task_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let (world, paths) = world(directory.path());
        let attempt: AttemptId = "task_0000000000000.1".parse().unwrap();
        world.create_record(&attempt).unwrap();
        let path = record_path(&paths, &attempt);
        let mut bytes = fs::read(&path).unwrap();
        bytes[600] ^= 1;
        fs::write(&path, bytes).unwrap();

        world.create_record(&attempt).unwrap();
        let record = RecordFile::open_existing(&path).unwrap().read().unwrap();
        assert_eq!((record.started, record.exit), (Read::Blank, Read::Blank));
        assert_eq!(fs::read_dir(&paths.records_dir).unwrap().count(), 2);
    }
}
