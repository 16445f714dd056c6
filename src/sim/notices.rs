//! Notices: who wants to be told, and how the daemon tells them. It does what `supervisor::tell` does, one step at a time: a try
//! may be taken, fail, or be cut off by the daemon's death; then the next daemon tells it again.

use super::bug::Bug;
use super::chance::Chance;
use super::client::Sent;
use super::met::Met;
use crate::store::{StoreError, Tx};
use crate::supervisor::notice::{Notice, Told};
use crate::task::TaskSpec;

/// A notice is given up after so many tries.
pub const TRIES: u32 = 3;
/// Time before the second try, in seconds; it doubles.
pub const RETRY_SECONDS: u64 = 1;
/// The command line that takes notices.
pub const COMMAND: &str = "tell";
/// However the clock was set, a notice waits no longer than this for its time.
const WAIT_MAX_MS: i64 = 3_600_000;
/// Names of batches: few, so that they are used again.
const BATCHES: u64 = 12;
/// Tries that are taken, and those that are taken and end with an exit code that denies it; of the rest nobody hears anything.
const TAKEN_PERCENT: u64 = 55;
const DENIED_PERCENT: u64 = 10;

/// Draws whether somebody wants to be told of a task, alone or with others.
pub fn wish_for(spec: &mut TaskSpec, chance: &mut Chance) {
    if chance.percent(25) {
        spec.notify = Some(COMMAND.to_owned());
    }
    if chance.percent(20) {
        spec.batch = Some(batch(chance));
    }
}

/// The name of a batch.
pub fn batch(chance: &mut Chance) -> String {
    format!("batch {}", chance.below(BATCHES))
}

/// A notice on its way.
#[derive(Debug)]
pub struct Telling {
    notice: Notice,
    /// Not before this, by the monotonic clock.
    at_ms: u64,
    /// Its command runs.
    runs: bool,
}

/// What came of a step of it.
#[derive(Debug)]
pub struct Step {
    /// What it was.
    pub what: &'static str,
    /// Somebody has heard it.
    pub heard: Option<Notice>,
    /// What the supervisor is told.
    pub event: Option<Sent>,
}

impl Step {
    const fn of(what: &'static str) -> Self {
        Self {
            what,
            heard: None,
            event: None,
        }
    }
}

impl Telling {
    /// A notice that is to be told, at its time.
    #[must_use]
    pub fn new(notice: Notice, wall_ms: i64, mono_ms: u64) -> Self {
        let wait_ms = (notice.due.as_ms() - wall_ms).clamp(0, WAIT_MAX_MS);
        Self {
            notice,
            at_ms: mono_ms + wait_ms.unsigned_abs(),
            runs: false,
        }
    }

    /// When it has something to do by itself.
    #[must_use]
    pub const fn due_ms(&self) -> u64 {
        self.at_ms
    }

    /// Its command runs.
    #[must_use]
    pub const fn runs(&self) -> bool {
        self.runs
    }

    /// Its next step. It is over when that has an event.
    pub fn step(
        &mut self,
        mono_ms: u64,
        healing: bool,
        bug: Option<Bug>,
        chance: &mut Chance,
        met: &mut Met,
    ) -> Step {
        if mono_ms < self.at_ms {
            return Step::of("a notice waits");
        }
        if !std::mem::replace(&mut self.runs, true) {
            return Step::of("a notice's command runs");
        }
        let drawn = if healing { 0 } else { chance.below(100) };
        let is_heard = drawn < TAKEN_PERCENT + DENIED_PERCENT;
        let is_taken = drawn < TAKEN_PERCENT || bug == Some(Bug::TellOnce);
        let failed = (!is_taken).then(|| "its command ended with exit code 1".to_owned());
        let what = match (is_heard, is_taken) {
            (_, true) => "a notice is taken",
            (true, false) => "a notice is heard, and its command fails",
            (false, false) => "a notice is not taken",
        };
        met.meet(what);
        Step {
            what,
            heard: is_heard.then(|| self.notice.clone()),
            event: Some(Sent::Told(Told {
                id: self.notice.id.clone(),
                failed,
            })),
        }
    }
}

/// What an earlier daemon has left to be told, as `supervisor::tell` reads it.
///
/// # Errors
/// The store's.
pub fn left_to_tell(tx: &Tx<'_>) -> Result<Vec<Notice>, StoreError> {
    let texts = tx.notices()?;
    let read = texts.iter().map(|text| serde_json::from_str(text));
    Ok(read.filter_map(Result::ok).collect())
}
