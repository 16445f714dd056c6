//! Tells when a task's output may have grown: by inotify where the kernel gives one, else by looking again.
//!
//! Invariant: armed before the output is read, so that what is written between a look and the wait is not missed.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

use crate::process::watchable;

/// Looks again this often while nothing can be watched: the directory is not there yet, or the user's inotify instances
/// (128 by default) are used up.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Bytes of events taken at once; what they say does not matter.
const EVENTS_BYTES: usize = 4096;

/// Watches one directory.
#[derive(Debug)]
pub(super) struct Grown {
    dir: PathBuf,
    watched: Option<AsyncFd<OwnedFd>>,
}

impl Grown {
    /// Watches the directory `dir`, from now on or as soon as it is there.
    #[must_use]
    pub(super) fn of(dir: &Path) -> Self {
        let mut grown = Self {
            dir: dir.to_owned(),
            watched: None,
        };
        grown.arm();
        grown
    }

    fn arm(&mut self) {
        if self.watched.is_none() {
            self.watched = watch(&self.dir).ok();
        }
    }

    /// Waits until something may have been written. May come back for nothing; never misses a write.
    pub(super) async fn wait(&mut self) {
        let Some(watched) = &self.watched else {
            tokio::time::sleep(LOOK_AGAIN).await;
            return self.arm();
        };
        match watched.readable().await {
            Ok(mut ready) => {
                let mut events = [const { MaybeUninit::<u8>::uninit() }; EVENTS_BYTES];
                if !matches!(rustix::io::read(watched, &mut events[..]), Ok((taken, _)) if !taken.is_empty())
                {
                    ready.clear_ready();
                }
            }
            // The descriptor is of no use any more: look again instead.
            Err(_) => self.watched = None,
        }
    }
}

fn watch(dir: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let watched = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    inotify::add_watch(
        &watched,
        dir,
        WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::ONLYDIR,
    )?;
    watchable(watched)
}
