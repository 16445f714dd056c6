//! Programs that are asked something and answer at once: their version, whether they have a login, whether they keep their
//! contract. No attempt, no record: nothing of what they do counts, and nothing of them outlives the question.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::clock::monotonic_ms;
use super::identity::stamp_of;
use super::sweep::sweep;
use super::tree::Target;
use crate::attempt::record::ProcessStamp;

/// Longest wait of one look at the pipes.
const LOOK_MS: u64 = 200;
/// Between SIGTERM and SIGKILL for what does not answer in time.
const GRACE_MS: u64 = 500;
/// Longest time that its end may take after that.
const END_LIMIT_MS: u64 = 5_000;
/// Read at once.
const PIECE_BYTES: usize = 16 * 1024;
/// Added to a signal's number, as shells do.
const SIGNAL_BASE: i32 = 128;

/// What is asked of a program.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The program, by its path.
    pub program: &'a Path,
    /// Its arguments.
    pub args: &'a [String],
    /// Its whole environment.
    pub env: &'a BTreeMap<String, String>,
    /// Where it runs.
    pub cwd: &'a Path,
    /// How long it may take.
    pub limit_ms: u64,
    /// As much of each stream is kept; the rest is read and forgotten.
    pub output_max_bytes: usize,
}

/// What it answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// Its exit code; `None` = a signal ended it.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// It took longer than it may, and was ended with all that it had started.
    pub timed_out: bool,
}

/// One of its streams, as far as it is read.
struct Stream {
    from: Option<OwnedFd>,
    kept: Vec<u8>,
    max: usize,
}

/// Runs a program to its end, with nothing on its standard input. Blocking.
///
/// # Errors
/// When it cannot be started or watched; then nothing of it runs.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that asks programs"
)]
pub fn ask(question: &Question<'_>) -> io::Result<Reply> {
    let mut command = Command::new(question.program);
    command
        .args(question.args)
        .env_clear()
        .envs(question.env)
        .current_dir(question.cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command.spawn()?;
    let watched = watch(&mut child, question);
    // Whatever became of the watch: it is ended, and waited for by its own number, which nobody else can have taken.
    if watched.is_err() {
        drop(child.kill());
    }
    let status = child.wait();
    let mut reply = watched?;
    let status = status?;
    (reply.exit_code, reply.signal) = (status.code(), status.signal());
    Ok(reply)
}

fn watch(child: &mut Child, question: &Question<'_>) -> io::Result<Reply> {
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let stamp = stamp_of(pid)?;
    let ended = pidfd_open(
        Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?,
        PidfdFlags::empty(),
    )?;
    let stream = |from: Option<OwnedFd>| -> io::Result<Stream> {
        if let Some(fd) = &from {
            fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?;
        }
        Ok(Stream {
            from,
            kept: Vec::new(),
            max: question.output_max_bytes,
        })
    };
    let mut streams = [
        stream(child.stdout.take().map(OwnedFd::from))?,
        stream(child.stderr.take().map(OwnedFd::from))?,
    ];
    let timed_out = !read_until_end(&ended, &mut streams, question.limit_ms)?;
    if timed_out {
        end_tree(stamp)?;
    }
    for stream in &mut streams {
        stream.read()?;
    }
    let [stdout, stderr] = streams.map(|stream| stream.kept);
    Ok(Reply {
        stdout,
        stderr,
        timed_out,
        ..Reply::default()
    })
}

/// Reads until it has ended. A descendant that keeps a pipe open is not waited for. `false` = time was over first.
fn read_until_end(ended: &OwnedFd, streams: &mut [Stream; 2], limit_ms: u64) -> io::Result<bool> {
    let begun = monotonic_ms();
    loop {
        let elapsed = monotonic_ms().saturating_sub(begun);
        let Some(left) = limit_ms.checked_sub(elapsed).filter(|left| *left > 0) else {
            return Ok(false);
        };
        let wait = Timespec::try_from(std::time::Duration::from_millis(left.min(LOOK_MS)))
            .map_err(io::Error::other)?;
        let mut fds = vec![PollFd::new(ended, PollFlags::IN)];
        let open = streams.iter().filter_map(|stream| stream.from.as_ref());
        fds.extend(open.map(|from| PollFd::from_borrowed_fd(from.as_fd(), PollFlags::IN)));
        match poll(&mut fds, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let has_ended = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        for stream in &mut *streams {
            stream.read()?;
        }
        if has_ended {
            return Ok(true);
        }
    }
}

impl Stream {
    /// Takes what is there.
    fn read(&mut self) -> io::Result<()> {
        let mut piece = [0_u8; PIECE_BYTES];
        while let Some(from) = &self.from {
            match rustix::io::read(from, &mut piece) {
                Ok(0) => self.from = None,
                Ok(count) => {
                    let room = self.max.saturating_sub(self.kept.len());
                    let bytes = piece.get(..count.min(room)).unwrap_or_default();
                    self.kept.extend_from_slice(bytes);
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Ends it and what it has started.
fn end_tree(root: ProcessStamp) -> io::Result<()> {
    let target = Target {
        roots: vec![root],
        session: None,
        marker: Vec::new(),
        cgroup: None,
    };
    sweep(&target, GRACE_MS, END_LIMIT_MS).map(drop)
}

/// Hands this process's terminal and environment to a program until it ends; its exit code, or 128 and its signal's number.
///
/// # Errors
/// When it cannot be started.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that hands the terminal to a program"
)]
pub fn hand_terminal_to(
    program: &Path,
    args: &[String],
    set: &BTreeMap<String, String>,
) -> io::Result<i32> {
    let status: ExitStatus = Command::new(program)
        .args(args.iter().map(OsString::from))
        .envs(set)
        .status()?;
    let by_signal = status.signal().map(|signal| SIGNAL_BASE + signal);
    Ok(status.code().or(by_signal).unwrap_or(SIGNAL_BASE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: &str = "/bin/sh";

    fn run(line: &str, limit_ms: u64) -> Reply {
        let args = ["-c".to_owned(), line.to_owned()];
        let env = BTreeMap::from([("WORD".to_owned(), "here".to_owned())]);
        ask(&Question {
            program: Path::new(SHELL),
            args: &args,
            env: &env,
            cwd: Path::new("/"),
            limit_ms,
            output_max_bytes: 100_000,
        })
        .unwrap()
    }

    #[test]
    fn both_streams_and_the_end_come_back() {
        let reply = run("echo out $WORD; echo err >&2; exit 3", 10_000);
        assert_eq!(reply.stdout, b"out here\n");
        assert_eq!(reply.stderr, b"err\n");
        assert_eq!((reply.exit_code, reply.timed_out), (Some(3), false));
        assert_eq!(run("kill -9 $$", 10_000).signal, Some(9));
    }

    #[test]
    fn much_output_is_read_to_its_end_and_only_so_much_kept() {
        let reply = run("head -c 1000000 /dev/zero; echo end >&2", 10_000);
        assert_eq!(reply.stdout.len(), 100_000);
        assert_eq!(reply.stderr, b"end\n");
        assert_eq!(reply.exit_code, Some(0));
    }

    #[test]
    fn what_takes_too_long_is_ended_with_its_children() {
        let reply = run("trap '' TERM; sleep 600 & echo $!; wait; wait", 300);
        assert!(reply.timed_out, "{reply:?}");
        let child: i32 = String::from_utf8(reply.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        // Nobody may have waited for it yet.
        let runs = stamp_of(child).is_ok_and(crate::process::is_alive);
        assert!(!runs, "{child} still runs");
    }

    #[test]
    fn a_descendant_that_keeps_the_pipe_is_not_waited_for() {
        let reply = run("sleep 2 & echo done", 10_000);
        assert_eq!((reply.stdout, reply.timed_out), (b"done\n".to_vec(), false));
    }

    #[test]
    fn what_is_no_program_is_an_error() {
        let none = Question {
            program: Path::new("/nonexistent/program"),
            args: &[],
            env: &BTreeMap::new(),
            cwd: Path::new("/"),
            limit_ms: 1000,
            output_max_bytes: 10,
        };
        assert_eq!(ask(&none).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
