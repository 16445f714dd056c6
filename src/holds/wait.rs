//! Until when a hit makes an account wait.
//!
//! | what is known | wait |
//! |---|---|
//! | a login that is dead | until a person has logged in |
//! | an end was announced | until then, at most `hold_max_ms` |
//! | the announced end has just passed | a minute, doubling: the server's clock is not ours, or its reset moves |
//! | of a limit: nothing, but the window's end was seen before | until then |
//! | of a limit: nothing | `default_wait_ms`; of the 5-hour limit not beyond the end of a window that began with the hold |
//! | of trouble: nothing | full jitter over a ceiling that doubles with each strike |

use super::policy::{Backoff, Policy, plus};
use super::window::{self, Seen};
use crate::task::backoff::full_jitter_ms;
use crate::task::{Block, BlockKind, Timestamp};

/// An announced end further ahead than this is no time but a mistake, and treated as unknown.
const ANNOUNCED_MAX_MS: i64 = 400 * 24 * 60 * 60 * 1000;
/// An announced end that passed less than this ago is believed: clocks differ, and a reset takes its time.
const JUST_PASSED_MS: i64 = 5 * 60 * 1000;
/// First wait after an announced end has just passed. It doubles with each strike, up to `default_wait_ms`.
const JUST_PASSED_WAIT_MS: u64 = 60 * 1000;
/// No wait is shorter, or a failing server would see us without a pause.
const WAIT_MIN_MS: u64 = 1000;

/// When a hold is to be tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// `None` = only a person ends it.
    pub until: Option<Timestamp>,
    /// The agent or its server said so.
    pub announced: bool,
}

/// What the end is reckoned from.
pub(super) struct Facts<'a> {
    pub block: &'a Block,
    /// Hits in a row, this one included.
    pub strikes: u32,
    /// When the hold began.
    pub since: Timestamp,
    /// What was seen of the account's windows.
    pub windows: &'a [Seen],
    /// Now.
    pub at: Timestamp,
    /// Uniformly random: the jitter.
    pub random: u64,
}

impl End {
    pub const fn by_person() -> Self {
        Self {
            until: None,
            announced: false,
        }
    }

    const fn announced(until: Timestamp) -> Self {
        Self {
            until: Some(until),
            announced: true,
        }
    }

    const fn guess(until: Timestamp) -> Self {
        Self {
            until: Some(until),
            announced: false,
        }
    }
}

pub(super) fn end(facts: &Facts<'_>, policy: &Policy) -> End {
    match facts.block.kind {
        BlockKind::Login => End::by_person(),
        BlockKind::FiveHour
        | BlockKind::Weekly
        | BlockKind::Model
        | BlockKind::Overage
        | BlockKind::Credit
        | BlockKind::Spend => limit(facts, policy),
        BlockKind::Throttle => trouble(facts, policy.throttle, policy),
        BlockKind::Overload => trouble(facts, policy.overload, policy),
        BlockKind::Server => trouble(facts, policy.server, policy),
        BlockKind::Network => trouble(facts, policy.network, policy),
    }
}

fn limit(facts: &Facts<'_>, policy: &Policy) -> End {
    let told = facts.block.until;
    if let Some(until) = told.filter(|until| is_ahead(*until, facts.at)) {
        return End::announced(until.min(policy.latest(facts.at)));
    }
    let passed_ms = told.map(|until| facts.at.ms_since(until));
    if passed_ms.is_some_and(|ms| (0..JUST_PASSED_MS).contains(&ms)) {
        let doublings = facts.strikes.saturating_sub(1);
        let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
        let wait_ms = JUST_PASSED_WAIT_MS
            .saturating_mul(factor)
            .min(policy.default_wait_ms);
        return End::guess(bounded(facts.at, wait_ms, policy));
    }
    if let Some(until) = window::known_end(facts.windows, facts.block, facts.at, policy) {
        return End::announced(until);
    }
    End::guess(unknown(facts, policy))
}

/// The 5-hour window that was hit began before its hold did, so it is over one window's length after that at the latest:
/// looking then, and not only at the end of the default wait, may save most of an hour of the night.
fn unknown(facts: &Facts<'_>, policy: &Policy) -> Timestamp {
    let default = bounded(facts.at, policy.default_wait_ms, policy);
    let over = plus(facts.since, policy.session_window_ms);
    match facts.block.kind {
        BlockKind::FiveHour if over > facts.at => default.min(over),
        BlockKind::FiveHour
        | BlockKind::Weekly
        | BlockKind::Model
        | BlockKind::Overage
        | BlockKind::Credit
        | BlockKind::Spend
        | BlockKind::Throttle
        | BlockKind::Overload
        | BlockKind::Server
        | BlockKind::Login
        | BlockKind::Network => default,
    }
}

fn trouble(facts: &Facts<'_>, backoff: Backoff, policy: &Policy) -> End {
    let told = facts.block.until;
    if let Some(until) = told.filter(|until| is_ahead(*until, facts.at)) {
        return End::announced(until.min(policy.latest(facts.at)));
    }
    let doublings = facts.strikes.saturating_sub(1);
    let drawn_ms = full_jitter_ms(doublings, backoff.base_ms, backoff.max_ms, facts.random);
    End::guess(bounded(facts.at, drawn_ms, policy))
}

const fn is_ahead(until: Timestamp, at: Timestamp) -> bool {
    let ahead_ms = until.ms_since(at);
    ahead_ms > 0 && ahead_ms <= ANNOUNCED_MAX_MS
}

fn bounded(at: Timestamp, wait_ms: u64, policy: &Policy) -> Timestamp {
    plus(at, wait_ms.max(WAIT_MIN_MS)).min(policy.latest(at))
}
