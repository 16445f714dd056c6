//! What a worker does to its own process before anything else, and how it hears of signals.

#![expect(
    unsafe_code,
    reason = "signal dispositions, signalfd and close_range have no safe face in std"
)]

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::process::{getpid, set_child_subreaper, setsid};

/// Highest signal number of Linux.
const LAST_SIGNAL: libc::c_int = 64;
/// At least as long as the kernel's `struct sigaction`.
const KERNEL_SIGACTION_WORDS: usize = 8;
/// Records read from the signal descriptor at once.
const SIGNALS_AT_ONCE: usize = 8;
/// What a worker listens to.
const LISTENED: [libc::c_int; 5] = [
    libc::SIGCHLD,
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
];

/// What the signals that came in mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Noticed {
    /// A child changed its state.
    pub child: bool,
    /// Somebody wants the worker to end.
    pub end: bool,
}

/// The signals of this process as a descriptor.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

/// Makes this process a worker: a session of its own, subreaper, named, all signals as after boot except that SIGPIPE is
/// ignored, cwd `/`. Returns the signals it listens to.
///
/// # Errors
/// When the kernel refuses subreaper or signalfd (both exist since Linux 3.4).
pub fn become_worker() -> io::Result<SignalFd> {
    // Fails only for a leader of a process group, which then has no terminal of ours to lose either.
    let _ = setsid();
    set_child_subreaper(Some(getpid()))?;
    // The name is for people (`ps`); without it nothing breaks.
    let _ = rustix::thread::set_name(c"ac-worker");
    rustix::process::chdir("/")?;
    reset_signals();
    listen()
}

/// By the kernel's own call: libc keeps two numbers for itself and would leave what was inherited for them.
fn reset_signals() {
    let default = [0u64; KERNEL_SIGACTION_WORDS];
    for number in 1..=LAST_SIGNAL {
        // SAFETY: an action of zeros is SIG_DFL with an empty mask, whatever the order of its fields; the size is that of
        // the kernel's signal set. SIGKILL and SIGSTOP are refused, which is fine.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                default.as_ptr(),
                std::ptr::null::<u64>(),
                size_of::<u64>(),
            )
        };
    }
    // SAFETY: the disposition is a constant; no handler runs.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

fn listen() -> io::Result<SignalFd> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set before it is read; the numbers are valid; the mask is replaced as a whole, so
    // that what the launcher had blocked is not inherited. The descriptor is new and owned by nobody else.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for number in LISTENED {
            libc::sigaddset(set.as_mut_ptr(), number);
        }
        if libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(SignalFd(OwnedFd::from_raw_fd(fd)))
        }
    }
}

impl SignalFd {
    /// Takes what has come in since the last call.
    pub fn take(&self) -> Noticed {
        let mut noticed = Noticed::default();
        loop {
            let mut infos =
                [const { MaybeUninit::<libc::signalfd_siginfo>::uninit() }; SIGNALS_AT_ONCE];
            // SAFETY: the kernel writes at most the size given, in whole records.
            let read = unsafe {
                libc::read(
                    self.0.as_raw_fd(),
                    infos.as_mut_ptr().cast(),
                    size_of_val(&infos),
                )
            };
            let count = usize::try_from(read).unwrap_or(0) / size_of::<libc::signalfd_siginfo>();
            if count == 0 {
                return noticed;
            }
            for info in &infos[..count] {
                // SAFETY: the first `count` records were written by the kernel.
                let number = unsafe { info.assume_init_ref() }.ssi_signo;
                if number == libc::SIGCHLD.unsigned_abs() {
                    noticed.child = true;
                } else {
                    noticed.end = true;
                }
            }
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes every descriptor above standard error close at exec, whoever left it open.
pub fn close_inherited() {
    // SAFETY: the flag only marks descriptors; nothing is closed under anybody's feet. An old kernel refuses: descriptors
    // of our own are close-on-exec from birth.
    unsafe {
        libc::close_range(
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC.cast_signed(),
        )
    };
}

/// Gives back the pages of programs and libraries that only the start (or a burst of work) has needed: worker and daemon wait
/// for hours, and touch little meanwhile. What they need again comes back from the page cache.
///
/// Only mappings that nobody can have written to: code, and the read-only part that begins with a file's header (not the
/// relocated data behind the code, which is read-only by now, too).
pub fn release_start_pages() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, length) in maps.lines().filter_map(untouched_mapping) {
        // SAFETY: the range is one private file mapping that was never written to, so dropping its pages loses nothing:
        // the next access maps the same bytes of the file again. A refusal costs only memory.
        unsafe {
            libc::madvise(
                std::ptr::with_exposed_provenance_mut(start),
                length,
                libc::MADV_DONTNEED,
            )
        };
    }
}

/// Address and length of a mapping that [`release_start_pages`] may drop.
fn untouched_mapping(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (rights, offset) = (fields.next()?, fields.next()?);
    let of_a_file = fields.nth(2)?.starts_with('/');
    let header = rights == "r--p" && offset.bytes().all(|digit| digit == b'0');
    let start = usize::from_str_radix(start, 16).ok()?;
    let length = usize::from_str_radix(end, 16).ok()?.checked_sub(start)?;
    (of_a_file && (rights == "r-xp" || header)).then_some((start, length))
}

/// Puts `/dev/null` in the place of descriptor 0 or 1: what was there is closed.
///
/// # Errors
/// When `/dev/null` cannot be opened.
pub fn replace_with_null(standard: &impl AsFd) -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    // SAFETY: both descriptors are open; the target is one of the standard ones, which nobody owns.
    let done = unsafe { libc::dup2(null.as_raw_fd(), standard.as_fd().as_raw_fd()) };
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_never_written_is_dropped() {
        let line = |rights: &str, offset: &str, path: &str| {
            untouched_mapping(&format!("1000-3000 {rights} {offset} fe:00 12   {path}"))
        };
        assert_eq!(line("r-xp", "00002000", "/bin/x"), Some((0x1000, 0x2000)));
        assert_eq!(line("r--p", "00000000", "/bin/x"), Some((0x1000, 0x2000)));
        assert_eq!(line("r--p", "00cf8000", "/bin/x"), None, "relocated data");
        assert_eq!(line("rw-p", "00000000", "/bin/x"), None);
        assert_eq!(line("r-xp", "00000000", "[vdso]"), None);
        assert_eq!(line("r--p", "00000000", ""), None);
        assert_eq!(untouched_mapping(""), None);
        // The test goes on without them.
        release_start_pages();
    }
}
