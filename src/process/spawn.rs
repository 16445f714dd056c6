//! Starts the agent: clone and exec with everything prepared before the clone.
//!
//! Not `std::process::Command`: exec must not fall back to a shell for a file that is no program, the child must join its
//! cgroups and die with its parent before any foreign code runs, and an error must say which step failed.

use std::collections::BTreeMap;
use std::ffi::{CString, NulError, c_char};
use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use super::child::{Child, Prepared, Step};
use super::identity::stamp_of;
use crate::attempt::record::ProcessStamp;

/// Size asked for each output pipe: what any user may have (`/proc/sys/fs/pipe-max-size`). Less is fine, only slower.
const PIPE_BYTES: usize = 1 << 20;
/// Added to the agent's `oom_score_adj`: when memory ends, the kernel takes the agent before the worker and the daemon.
const OOM_SCORE_RAISE: i32 = 300;
/// Highest `oom_score_adj`.
const OOM_SCORE_MAX: i32 = 1000;
/// Where programs are looked for when the environment has no `PATH` (what the shell does).
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What to start.
#[derive(Debug)]
pub struct SpawnPlan<'a> {
    /// Program and arguments.
    pub argv: &'a [String],
    /// The whole environment.
    pub env: &'a BTreeMap<String, String>,
    /// Working directory.
    pub cwd: &'a Path,
    /// What it reads on its standard input; `None` = nothing.
    pub input: Option<&'a str>,
    /// Open `cgroup.procs` files to join through.
    pub cgroup_doors: &'a [File],
    /// `RLIMIT_NPROC`, for want of a pids controller. It counts all processes of the *user*, and does not bind root.
    pub user_processes: Option<u64>,
}

/// The agent, running.
#[derive(Debug)]
pub struct Agent {
    /// Who it is.
    pub stamp: ProcessStamp,
    /// Its standard output.
    pub stdout: OwnedFd,
    /// Its standard error.
    pub stderr: OwnedFd,
}

/// The agent could not be started; nothing of it ran.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SpawnError(String);

/// Starts the agent in a session of its own: standard input is `/dev/null` or a file in memory, output goes to two pipes, signals are as after
/// boot, and it gets SIGTERM when the worker dies.
///
/// # Errors
/// One sentence for a person: what could not be started, and why.
pub fn spawn(plan: &SpawnPlan<'_>) -> Result<Agent, SpawnError> {
    let program = plan.argv.first().map_or("", String::as_str);
    let failed =
        |why: &dyn std::fmt::Display| SpawnError(format!("cannot start {program:?}: {why}"));
    let prepared = prepare(plan).map_err(|error| failed(&error))?;
    let pipes = || -> io::Result<_> { Ok((wide_pipe()?, wide_pipe()?)) };
    let ((stdout, child_stdout), (stderr, child_stderr)) =
        pipes().map_err(|error| failed(&error))?;
    let (argv, env) = (pointers(&prepared.argv), pointers(&prepared.env));
    let child = Child::new(
        plan,
        &prepared,
        &argv,
        &env,
        [child_stdout.as_raw_fd(), child_stderr.as_raw_fd()],
    );
    let pid = child
        .start()
        .map_err(|error| failed(&format_args!("no process to be had ({error})")))?;
    drop((child_stdout, child_stderr));
    // It is past its exec, or gone.
    if let Some((step, errno)) = child.failure() {
        reap_failed(pid);
        return Err(SpawnError(explain(step, errno, program, plan)));
    }
    let stamp = stamp_of(pid).map_err(|error| {
        // Without its start time it could never be signalled safely: it must not go on.
        end_unnamed(pid);
        failed(&error)
    })?;
    Ok(Agent {
        stamp,
        stdout,
        stderr,
    })
}

fn prepare(plan: &SpawnPlan<'_>) -> io::Result<Prepared> {
    let nul = |_: NulError| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "a NUL byte in an argument, the environment or the directory",
        )
    };
    let text = |value: &String| CString::new(value.as_str()).map_err(nul);
    let program = plan
        .argv
        .first()
        .filter(|program| !program.is_empty())
        .ok_or_else(|| io::Error::other("the command is empty"))?;
    let candidates = if program.contains('/') {
        vec![text(program)?]
    } else {
        let path = plan.env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
        path.split(':')
            .map(|dir| {
                CString::new(format!(
                    "{}/{program}",
                    if dir.is_empty() { "." } else { dir }
                ))
                .map_err(nul)
            })
            .collect::<Result<_, _>>()?
    };
    let pair =
        |(name, value): (&String, &String)| CString::new(format!("{name}={value}")).map_err(nul);
    Ok(Prepared {
        candidates,
        argv: plan.argv.iter().map(text).collect::<Result<_, _>>()?,
        env: plan.env.iter().map(pair).collect::<Result<_, _>>()?,
        cwd: CString::new(plan.cwd.as_os_str().as_bytes()).map_err(nul)?,
        oom_score: raised_oom_score(),
        stdin: match plan.input {
            Some(input) => in_memory(input)?,
            None => File::open("/dev/null")?,
        },
    })
}

/// A file that has no name and is on no disk, read from its beginning. Unlike a pipe it takes any text at once, and whoever
/// reads it finds its end.
fn in_memory(text: &str) -> io::Result<File> {
    let mut file = File::from(memfd_create("auto-claude-input", MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// The new value as text; empty when the present one cannot be read. Never lowers it.
fn raised_oom_score() -> Vec<u8> {
    let present = fs::read_to_string("/proc/self/oom_score_adj")
        .ok()
        .and_then(|text| text.trim().parse::<i32>().ok());
    present.map_or_else(Vec::new, |score| {
        (score + OOM_SCORE_RAISE)
            .min(OOM_SCORE_MAX)
            .max(score)
            .to_string()
            .into_bytes()
    })
}

fn wide_pipe() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    // Refused when the user's pipes hold too much already: the default size does as well.
    let _ = fcntl_setpipe_size(&reader, PIPE_BYTES);
    Ok((reader, writer))
}

/// The null-terminated array that exec takes.
fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts
        .iter()
        .map(|text| text.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

fn reap_failed(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
    }
}

/// Ends our own child by its number: nobody has waited for it, so the number is still its own.
#[expect(
    clippy::disallowed_methods,
    reason = "a child that was not waited for keeps its number"
)]
fn end_unnamed(pid: i32) {
    if let Some(child) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(child, rustix::process::Signal::KILL);
    }
    reap_failed(pid);
}

/// The sentence for a person.
fn explain(step: Step, errno: i32, program: &str, plan: &SpawnPlan<'_>) -> String {
    let error = io::Error::from_raw_os_error(errno);
    let reason = error.to_string();
    let reason = reason.split(" (os error").next().unwrap_or_default();
    if step == Step::Enter {
        return format!(
            "cannot enter the working directory {:?}: {reason}",
            plan.cwd
        );
    }
    if step != Step::Exec {
        return format!("cannot start {program:?}: {reason}");
    }
    match errno {
        libc::ENOENT if !program.contains('/') => {
            format!("cannot start {program:?}: not found in PATH")
        }
        libc::ENOENT if plan.cwd.join(program).exists() => {
            format!("cannot start {program:?}: the interpreter it names does not exist")
        }
        libc::ENOEXEC => format!(
            "cannot start {program:?}: neither a program for this machine nor a script with a #! line"
        ),
        libc::E2BIG => format!("cannot start {program:?}: arguments and environment are too long"),
        _ => format!("cannot start {program:?}: {reason}"),
    }
}
