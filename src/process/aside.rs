//! A command that runs beside the attempts: in a process group of its own, with the end of its output kept, and ended by
//! whoever started it. It is no attempt: it holds no record, and dies with nobody.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use tokio::io::unix::AsyncFd;

use super::launch::{WorkerEnd, reap};
use super::watch::watchable;

/// Of its output the last so many bytes are kept.
const OUTPUT_KEPT_BYTES: usize = 2048;
const CHUNK_BYTES: usize = 4096;

/// What to run.
#[derive(Debug)]
pub struct AsidePlan {
    /// Program (looked up in the `PATH` of `env`) and arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub cwd: PathBuf,
}

/// The running command. Dropped before its end, it is killed with its group.
#[derive(Debug)]
pub struct Aside {
    pidfd: AsyncFd<OwnedFd>,
    group: Pid,
    output: Option<AsyncFd<OwnedFd>>,
    tail: Vec<u8>,
    end: Option<WorkerEnd>,
}

impl Aside {
    /// Starts it, with nothing on its standard input. Within a runtime, which watches it.
    ///
    /// # Errors
    /// When it cannot be started: then nothing runs.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that starts commands beside attempts"
    )]
    pub fn start(plan: &AsidePlan) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let (program, arguments) = plan.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(&plan.env)
            .current_dir(&plan.cwd)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .spawn()?;
        // Nobody has waited for it: its number is its own, and its group's.
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let group = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
        let pidfd = watchable(pidfd_open(group, PidfdFlags::empty())?)?;
        let reader = OwnedFd::from(reader);
        rustix::io::ioctl_fionbio(&reader, true)?;
        Ok(Self {
            pidfd,
            group,
            output: Some(watchable(reader)?),
            tail: Vec::new(),
            end: None,
        })
    }

    /// Until it has ended. May be dropped and asked again.
    pub async fn ended(&mut self) -> WorkerEnd {
        loop {
            if let Some(end) = self.end {
                return end;
            }
            tokio::select! {
                ready = self.pidfd.readable() => match ready {
                    Ok(mut ready) => match reap(self.pidfd.get_ref()) {
                        Ok(Some(end)) => self.end = Some(end),
                        Ok(None) => ready.clear_ready(),
                        Err(_) => self.end = Some(WorkerEnd::Unknown),
                    },
                    Err(_) => self.end = Some(WorkerEnd::Unknown),
                },
                is_open = heard(self.output.as_ref(), &mut self.tail) => if !is_open {
                    self.output = None;
                },
            }
            if self.end.is_some() {
                // What it has left in the pipe; what others still write there is not waited for.
                if let Some(output) = &self.output {
                    while read(output, &mut self.tail).is_ok_and(|count| count > 0) {}
                }
            }
        }
    }

    /// Asks it and its group to end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it and its group.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "its leader was not waited for, so the number is still its group's"
    )]
    fn signal(&self, signal: Signal) {
        if self.end.is_none() {
            // Gone meanwhile is as good.
            let _ = rustix::process::kill_process_group(self.group, signal);
        }
    }

    /// What it said last, behind `text`; `text` alone when it said nothing.
    #[must_use]
    pub fn with_output(&self, text: &str) -> String {
        let said: String = String::from_utf8_lossy(&self.tail)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        match said.trim() {
            "" => text.to_owned(),
            said => format!("{text}; it said: {said}"),
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for output and keeps its end. False once there is no more to come.
async fn heard(output: Option<&AsyncFd<OwnedFd>>, tail: &mut Vec<u8>) -> bool {
    let Some(output) = output else {
        return std::future::pending().await;
    };
    loop {
        let Ok(mut ready) = output.readable().await else {
            return false;
        };
        match read(output, tail) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => ready.clear_ready(),
            Err(_) => return false,
        }
    }
}

fn read(output: &AsyncFd<OwnedFd>, tail: &mut Vec<u8>) -> rustix::io::Result<usize> {
    let mut chunk = [0_u8; CHUNK_BYTES];
    let count = rustix::io::read(output.get_ref(), &mut chunk)?;
    tail.extend_from_slice(&chunk[..count]);
    let surplus = tail.len().saturating_sub(OUTPUT_KEPT_BYTES);
    tail.drain(..surplus);
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> AsidePlan {
        AsidePlan {
            argv: ["/bin/sh", "-c", line].map(str::to_owned).into(),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            cwd: "/".into(),
        }
    }

    #[tokio::test]
    async fn its_end_and_the_end_of_its_output_are_known() {
        let mut aside = Aside::start(&plan("seq 1 5000; echo last >&2; exit 3")).unwrap();
        assert_eq!(aside.ended().await, WorkerEnd::Left(3));
        let said = aside.with_output("it failed");
        assert!(said.starts_with("it failed; it said: "), "{said}");
        assert!(said.ends_with("4999 5000 last"), "{said}");
        assert!(said.len() < 2 * OUTPUT_KEPT_BYTES, "{}", said.len());
    }

    #[tokio::test]
    async fn its_whole_group_ends_and_nobody_waits_for_a_pipe_that_others_hold() {
        let line = "trap '' TERM; echo ready; sleep 600 & wait; wait";
        let mut aside = Aside::start(&plan(line)).unwrap();
        while !aside.with_output("").contains("ready") {
            let a_moment = std::time::Duration::from_millis(5);
            let ended = tokio::time::timeout(a_moment, aside.ended()).await;
            assert!(ended.is_err(), "{ended:?}");
        }
        aside.terminate();
        aside.kill();
        assert_eq!(aside.ended().await, WorkerEnd::Signaled(9));
        let mut leaves = Aside::start(&plan("sleep 5 & exit 0")).unwrap();
        assert_eq!(leaves.ended().await, WorkerEnd::Left(0));
    }
}
