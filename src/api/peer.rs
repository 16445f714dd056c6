//! Who asks: the peer's credentials, and what they allow.
//!
//! The socket's mode decides who may connect. Beyond that: a task is acted on by its submitter, by root, or by the
//! daemon's own user; what concerns the whole system, by root or the daemon's own user. A process that descends from a
//! worker of ours (an agent, or something it started) may submit and read, but never approves anything and never touches
//! the whole system, whatever its user.

use crate::process::ProcStat;
use crate::supervisor::Handle;
use crate::supervisor::command::{Refusal, RefusalCode};
use crate::task::{Actor, Task};

/// The longest chain of parents that is followed.
const MAX_DEPTH: usize = 1024;

/// The peer of a connection, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its process when it connected; 0 when the kernel does not say.
    pub pid: i32,
}

impl Peer {
    /// The peer as the journal names it.
    #[must_use]
    pub(super) const fn actor(self) -> Actor {
        Actor::User(self.uid)
    }

    /// May it act on this task?
    ///
    /// # Errors
    /// [`RefusalCode::Forbidden`].
    pub(super) fn may_act_on(self, task: &Task) -> Result<(), Refusal> {
        if self.is_operator() || self.uid == task.uid {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalCode::Forbidden,
            format!(
                "{} belongs to user {}, not to user {}",
                task.id, task.uid, self.uid
            ),
        ))
    }

    /// May it do what concerns the whole system, or answer for a person?
    ///
    /// # Errors
    /// [`RefusalCode::Forbidden`], also when the peer's ancestry cannot be read: who cannot be told from an agent is one.
    pub(super) async fn may_answer_for_a_person(self, handle: &Handle) -> Result<(), Refusal> {
        let workers: Vec<i32> = handle
            .workers()
            .await?
            .into_iter()
            .filter_map(|line| line.worker_pid)
            .collect();
        let asked = tokio::task::spawn_blocking(move || self.descends_from_any(&workers)).await;
        match asked {
            Ok(Ok(false)) => Ok(()),
            Ok(Ok(true)) => Err(Refusal::new(
                RefusalCode::Forbidden,
                "a running task may not do this; ask a person",
            )),
            Ok(Err(_)) | Err(_) => Err(Refusal::new(
                RefusalCode::Forbidden,
                "who asks cannot be told from a running task; ask again from a shell",
            )),
        }
    }

    /// May it do what concerns the whole system?
    ///
    /// # Errors
    /// As [`Self::may_answer_for_a_person`], and for other users.
    pub(super) async fn may_operate(self, handle: &Handle) -> Result<(), Refusal> {
        if !self.is_operator() {
            let text = format!(
                "user {} may not do this; root and the daemon's own user may",
                self.uid
            );
            return Err(Refusal::new(RefusalCode::Forbidden, text));
        }
        self.may_answer_for_a_person(handle).await
    }

    /// Root, or the daemon's own user.
    #[must_use]
    pub(super) fn is_operator(self) -> bool {
        self.uid == 0 || self.uid == rustix::process::geteuid().as_raw()
    }

    fn descends_from_any(self, workers: &[i32]) -> std::io::Result<bool> {
        if workers.is_empty() {
            return Ok(false);
        }
        let mut current = self.pid;
        for _ in 0..MAX_DEPTH {
            if workers.contains(&current) {
                return Ok(true);
            }
            if current <= 1 {
                return Ok(false);
            }
            current = ProcStat::read(current)?.ppid;
        }
        Err(std::io::Error::other("the chain of parents is too long"))
    }
}
