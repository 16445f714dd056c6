//! What only tests switch on: named crash points between durable steps, for the crash matrix, and shorter waits.
//!
//! With the feature `crashpoints`, `AUTO_CLAUDE_CRASH=name:n` makes the process kill itself (as SIGKILL would) the
//! n-th time it passes `name`; with `AUTO_CLAUDE_CRASH_LOG=FILE` each point passed is appended to FILE, so that a test can
//! prove that a point is reachable. `AUTO_CLAUDE_HASTE=n` makes the waits that pass through [`patience`] `n` times shorter.
//! Without the feature a point is nothing at all, and every wait is as long as it says.

use std::time::Duration;

/// Passes the crash point `name`; dies there when the environment asks for it.
#[cfg(feature = "crashpoints")]
pub fn point(name: &str) {
    armed::pass(name);
}

/// Passes the crash point `name`: nothing, in shipped binaries.
#[cfg(not(feature = "crashpoints"))]
#[inline(always)]
pub fn point(_name: &str) {}

/// How long to wait for what may never come. One factor for all: which of two waits ends first stays as it is.
#[cfg(feature = "crashpoints")]
#[must_use]
pub fn patience(whole: Duration) -> Duration {
    let haste = std::env::var("AUTO_CLAUDE_HASTE").ok();
    let haste = haste.and_then(|text| text.parse().ok());
    whole / haste.filter(|haste| *haste > 0).unwrap_or(1)
}

/// How long to wait for what may never come: as long as it says, in shipped binaries.
#[cfg(not(feature = "crashpoints"))]
#[inline(always)]
#[must_use]
pub const fn patience(whole: Duration) -> Duration {
    whole
}

#[cfg(feature = "crashpoints")]
mod armed {
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// The point to die at, and the hit that kills.
    struct Plan {
        name: String,
        hit: u32,
        log: Option<String>,
    }

    static PLAN: OnceLock<Plan> = OnceLock::new();
    static HITS: AtomicU32 = AtomicU32::new(0);

    fn plan() -> &'static Plan {
        PLAN.get_or_init(|| {
            let text = std::env::var("AUTO_CLAUDE_CRASH").unwrap_or_default();
            let (name, hit) = text.rsplit_once(':').unwrap_or((text.as_str(), "1"));
            Plan {
                name: name.to_owned(),
                hit: hit.parse().unwrap_or(1),
                log: std::env::var("AUTO_CLAUDE_CRASH_LOG").ok(),
            }
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a crash point is the process killing itself; its own pid is always right"
    )]
    pub(super) fn pass(name: &str) {
        let plan = plan();
        if let Some(path) = &plan.log
            && let Ok(mut file) = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
        {
            // One short write in append mode: lines of several processes do not mix.
            let _ = file.write_all(format!("{name}\n").as_bytes());
        }
        if plan.name == name && HITS.fetch_add(1, Ordering::SeqCst) + 1 == plan.hit {
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
        }
    }
}
