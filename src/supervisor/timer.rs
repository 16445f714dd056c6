//! Wakes the supervisor at a wall-clock time, and when the wall clock is set: no tick.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::io::unix::AsyncFd;

use crate::process::watchable;
use crate::task::Timestamp;

const MS_PER_SECOND: i64 = 1_000;
const NS_PER_MS: i64 = 1_000_000;
/// With nothing to wait for the timer is armed far ahead, so that setting the clock is still told.
const FAR_MS: i64 = 365 * 24 * 3_600 * MS_PER_SECOND;

/// A timer on the wall clock.
#[derive(Debug)]
pub struct WallTimer {
    timer: AsyncFd<OwnedFd>,
}

impl WallTimer {
    /// A timer that is not armed yet.
    ///
    /// # Errors
    /// When the kernel gives no timer.
    pub fn new() -> std::io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Realtime, flags)?;
        Ok(Self {
            timer: watchable(timer)?,
        })
    }

    /// Arms it for `at`; a past time fires at once. `None`: only a set clock fires it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn arm(&self, at: Option<Timestamp>, now: Timestamp) -> std::io::Result<()> {
        // Zero would disarm it: the first millisecond of the epoch is as past as any.
        let ms = at.unwrap_or(now.plus_ms(FAR_MS)).as_ms().max(1);
        let value = Timespec {
            tv_sec: ms / MS_PER_SECOND,
            tv_nsec: (ms % MS_PER_SECOND) * NS_PER_MS,
        };
        let once = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: value,
        };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        rustix::time::timerfd_settime(self.timer.get_ref(), flags, &once)?;
        Ok(())
    }

    /// Waits until it fires or the wall clock is set. After that it must be armed again.
    ///
    /// # Errors
    /// When the timer cannot be read.
    pub async fn fired(&self) -> std::io::Result<()> {
        loop {
            let mut ready = self.timer.readable().await?;
            let mut expirations = [0u8; 8];
            match rustix::io::read(self.timer.get_ref(), &mut expirations) {
                // ECANCELED: the clock was set. Either way it is time to look.
                Ok(_) | Err(Errno::CANCELED) => {
                    ready.clear_ready();
                    return Ok(());
                }
                Err(Errno::AGAIN | Errno::INTR) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
