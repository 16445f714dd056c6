//! The agent's process between clone and exec.
//!
//! It borrows the worker's memory until its exec (as after `vfork`) and runs on a stack of its own, while the worker stands
//! still: nothing is copied, and no page of the worker has to be faulted in again afterwards. Safe because it calls nothing
//! but the kernel and writes nothing but where it failed.

#![expect(
    unsafe_code,
    reason = "clone, and what the child does before exec, have no safe face"
)]

use std::ffi::{CString, c_char, c_int, c_void};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicI32, Ordering};

use super::spawn::SpawnPlan;

/// What a child that could not exec leaves with; nobody looks at it.
const EXEC_FAILED: i32 = 127;
/// The child's stack until exec, in units of 16 bytes (its alignment): 64 KiB.
const CHILD_STACK_UNITS: usize = 4096;

/// The child's steps that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Prepare = 1,
    Enter = 2,
    Exec = 3,
}

/// Everything the child needs, as the kernel wants it. Built before the clone: the child must not allocate.
pub(super) struct Prepared {
    pub(super) candidates: Vec<CString>,
    pub(super) argv: Vec<CString>,
    pub(super) env: Vec<CString>,
    pub(super) cwd: CString,
    pub(super) oom_score: Vec<u8>,
    pub(super) stdin: File,
}

/// The child, until exec. Only kernel calls: no allocation, no lock, no return.
pub(super) struct Child<'a> {
    plan: &'a SpawnPlan<'a>,
    prepared: &'a Prepared,
    argv: &'a [*const c_char],
    env: &'a [*const c_char],
    worker: i32,
    stdout: i32,
    stderr: i32,
    /// Written by the child: the number of the [`Step`] that failed, 0 for none, and its `errno`.
    failed_step: AtomicI32,
    failed_errno: AtomicI32,
}

impl<'a> Child<'a> {
    /// A child that is still to be started, with descriptors for its standard output and error.
    pub(super) fn new(
        plan: &'a SpawnPlan<'a>,
        prepared: &'a Prepared,
        argv: &'a [*const c_char],
        env: &'a [*const c_char],
        [stdout, stderr]: [i32; 2],
    ) -> Self {
        Self {
            plan,
            prepared,
            argv,
            env,
            worker: rustix::process::getpid().as_raw_nonzero().get(),
            stdout,
            stderr,
            failed_step: AtomicI32::new(0),
            failed_errno: AtomicI32::new(0),
        }
    }

    /// The step that failed, and its `errno`; `None` when it is past its exec (or was ended before it).
    pub(super) fn failure(&self) -> Option<(Step, i32)> {
        let number = self.failed_step.load(Ordering::Relaxed);
        let step = [Step::Prepare, Step::Enter, Step::Exec]
            .into_iter()
            .find(|step| *step as i32 == number)?;
        Some((step, self.failed_errno.load(Ordering::Relaxed)))
    }

    /// Starts it; returns when it has reached its exec or its end.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that starts agents"
    )]
    pub(super) fn start(&self) -> io::Result<i32> {
        let mut stack = Box::<[u128]>::new_uninit_slice(CHILD_STACK_UNITS);
        let top: *mut MaybeUninit<u128> = stack.as_mut_ptr_range().end;
        // SAFETY: the stack is aligned, grows down from its end and lives until the child has left this memory, since
        // CLONE_VFORK holds this thread until then; so does `self`. Handlers, descriptors and directory are the child's own
        // copies (no CLONE_SIGHAND, CLONE_FILES, CLONE_FS). `errno` is shared, and nobody here relies on it meanwhile.
        let pid = unsafe {
            libc::clone(
                enter,
                top.cast(),
                libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
                std::ptr::from_ref(self).cast_mut().cast(),
            )
        };
        if pid < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(pid)
        }
    }

    fn run(&self) -> ! {
        // SAFETY: plain kernel calls on descriptors that are open and on memory prepared before the clone. Descriptors 0 to
        // 2 are open in the worker, so none of the sources is one of them.
        unsafe {
            libc::setsid();
            // After any change of user (none here), or it would be cleared. The worker may be gone already.
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) != 0 {
                self.fail(Step::Prepare);
            }
            if libc::getppid() != self.worker {
                libc::_exit(EXEC_FAILED);
            }
            for door in self.plan.cgroup_doors {
                libc::write(door.as_raw_fd(), c"0".as_ptr().cast(), 1);
            }
            self.raise_oom_score();
            self.limit();
            let moved = libc::dup2(self.prepared.stdin.as_raw_fd(), 0) == 0
                && libc::dup2(self.stdout, 1) == 1
                && libc::dup2(self.stderr, 2) == 2;
            if !moved {
                self.fail(Step::Prepare);
            }
            libc::close_range(
                3,
                libc::c_uint::MAX,
                libc::CLOSE_RANGE_CLOEXEC.cast_signed(),
            );
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
            if libc::chdir(self.prepared.cwd.as_ptr()) != 0 {
                self.fail(Step::Enter);
            }
            self.exec()
        }
    }

    /// # Safety
    /// Only in the child.
    unsafe fn raise_oom_score(&self) {
        // SAFETY: the path is a constant, the text was prepared. A refusal costs nothing but the preference.
        unsafe {
            let fd = libc::open(
                c"/proc/self/oom_score_adj".as_ptr(),
                libc::O_WRONLY | libc::O_CLOEXEC,
            );
            if fd >= 0 {
                libc::write(
                    fd,
                    self.prepared.oom_score.as_ptr().cast(),
                    self.prepared.oom_score.len(),
                );
                libc::close(fd);
            }
        }
    }

    /// # Safety
    /// Only in the child.
    unsafe fn limit(&self) {
        if let Some(processes) = self.plan.user_processes {
            let mut limit = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            // SAFETY: both calls get a valid structure. The hard limit is never raised.
            unsafe {
                libc::getrlimit(libc::RLIMIT_NPROC, &raw mut limit);
                limit.rlim_max = limit.rlim_max.min(processes);
                limit.rlim_cur = limit.rlim_max;
                libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit);
            }
        }
    }

    /// Tries the candidates as a shell does: a file that may not be run is passed over, but named when nothing else is found.
    ///
    /// # Safety
    /// Only in the child.
    unsafe fn exec(&self) -> ! {
        let mut denied = false;
        for candidate in &self.prepared.candidates {
            // SAFETY: all three are null-terminated and outlive the call.
            unsafe { libc::execve(candidate.as_ptr(), self.argv.as_ptr(), self.env.as_ptr()) };
            match errno() {
                libc::EACCES => denied = true,
                libc::ENOENT | libc::ENOTDIR => {}
                // SAFETY: in the child.
                _ => unsafe { self.fail(Step::Exec) },
            }
        }
        if denied {
            set_errno(libc::EACCES);
        }
        // SAFETY: in the child.
        unsafe { self.fail(Step::Exec) }
    }

    /// Notes the step and `errno` for the worker, and leaves.
    ///
    /// # Safety
    /// Only in the child.
    unsafe fn fail(&self, step: Step) -> ! {
        self.failed_errno.store(errno(), Ordering::Relaxed);
        self.failed_step.store(step as i32, Ordering::Relaxed);
        // SAFETY: `_exit` runs no handlers of the worker.
        unsafe { libc::_exit(EXEC_FAILED) }
    }
}

/// The child's first function.
extern "C" fn enter(child: *mut c_void) -> c_int {
    // SAFETY: the argument is the `Child` that `Child::start` holds a reference to while we run.
    let child = unsafe { &*child.cast::<Child<'_>>() };
    child.run()
}

fn errno() -> i32 {
    // SAFETY: the pointer is this thread's own errno.
    unsafe { *libc::__errno_location() }
}

fn set_errno(value: i32) {
    // SAFETY: the pointer is this thread's own errno.
    unsafe { *libc::__errno_location() = value };
}
