//! What is known of an account's windows: how much is used, and when each begins anew.

use serde::{Deserialize, Serialize};

use super::hold::plain;
use super::model::same_model;
use super::policy::{Policy, plus};
use crate::task::{Block, BlockKind, Priority, Report, Timestamp, Window};

/// A window of usage, as a run told it last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What was said.
    #[serde(flatten)]
    pub window: Window,
    /// When we heard it.
    pub seen_at: Timestamp,
}

/// Most windows that are kept of an account. Names come from agents.
pub(super) const WINDOWS_MAX: usize = 12;
/// Used up, in thousandths.
const FULL_PERMILLE: u32 = 1000;
/// Two ends of a window that differ by less are the same: servers round.
const SAME_END_MS: u64 = 60 * 1000;

/// Whom a window limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// The whole account.
    Account,
    /// This model.
    Model(&'a str),
    /// Nobody: extra usage that is paid for.
    Paid,
}

impl Seen {
    /// Whom it limits, by its name: `five_hour` and `seven_day` everybody, `seven_day_opus` a model, `overage` nobody.
    #[must_use]
    pub fn scope(&self) -> Scope<'_> {
        let name = self.window.name.as_str();
        if name.contains("overage") {
            return Scope::Paid;
        }
        let model = ["five_hour_", "seven_day_", "weekly_"]
            .into_iter()
            .find_map(|prefix| name.strip_prefix(prefix));
        model.map_or(Scope::Account, Scope::Model)
    }

    fn limits(&self, model: Option<&str>) -> bool {
        match (self.scope(), model) {
            (Scope::Paid, _) => false,
            (Scope::Model(limited), Some(asked)) => same_model(limited, asked),
            (Scope::Account, _) | (Scope::Model(_), None) => true,
        }
    }

    /// Until when what was said of it holds; `None` when it has begun anew since, or its end is further ahead than any hold
    /// may wait. Without an end, for `default_wait_ms`: then something starts, and says what is used now.
    #[must_use]
    pub fn fresh_until(&self, now: Timestamp, policy: &Policy) -> Option<Timestamp> {
        match self.window.resets_at {
            Some(end) => {
                let heard = self.seen_at.min(now);
                (now < end && end <= policy.latest(heard)).then_some(end)
            }
            None => {
                let end = plus(self.seen_at, policy.default_wait_ms);
                (self.seen_at <= now && now < end).then_some(end)
            }
        }
    }
}

/// Takes what a run said about windows into what is known. Bounded: the longest unheard of is forgotten.
pub(super) fn merge(known: &mut Vec<Seen>, told: &[Window], at: Timestamp) {
    for window in told.iter().take(WINDOWS_MAX) {
        let name = plain(&window.name, Report::NAME_MAX_BYTES);
        let same = known.iter_mut().find(|seen| seen.window.name == name);
        let mut new = Seen {
            window: Window {
                name,
                used_permille: window.used_permille,
                resets_at: window.resets_at,
            },
            seen_at: at,
        };
        match same {
            Some(old) if is_of_a_past_window(&new, old, at) => {}
            Some(old) => {
                if same_end(old.window.resets_at, new.window.resets_at) {
                    // Runs end in another order than they heard: inside one window use only grows.
                    new.window.used_permille =
                        new.window.used_permille.max(old.window.used_permille);
                }
                *old = new;
            }
            None => known.push(new),
        }
    }
    while known.len() > WINDOWS_MAX {
        let oldest = known
            .iter()
            .enumerate()
            .min_by_key(|(_, seen)| seen.seen_at);
        let Some((oldest, _)) = oldest else { return };
        known.remove(oldest);
    }
}

fn is_of_a_past_window(new: &Seen, old: &Seen, at: Timestamp) -> bool {
    let passed = |end: Option<Timestamp>| end.is_some_and(|end| end <= at);
    passed(new.window.resets_at) && !passed(old.window.resets_at)
}

fn same_end(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.ms_since(other).unsigned_abs() < SAME_END_MS,
        (None, _) | (_, None) => false,
    }
}

/// The end of the window that `block` is about, when it was seen before and is still ahead.
pub(super) fn known_end(
    windows: &[Seen],
    block: &Block,
    at: Timestamp,
    policy: &Policy,
) -> Option<Timestamp> {
    let ahead = |seen: &&Seen| seen.fresh_until(at, policy).is_some();
    let ends = |wanted: &dyn Fn(&Seen) -> bool| {
        windows
            .iter()
            .filter(ahead)
            .filter(|seen| wanted(seen))
            .filter_map(|seen| seen.window.resets_at)
            .max()
    };
    let named = |names: [&str; 2]| ends(&|seen| names.iter().any(|name| seen.window.name == *name));
    match block.kind {
        BlockKind::FiveHour => named(["five_hour", "session"]),
        BlockKind::Weekly => named(["seven_day", "weekly"]),
        BlockKind::Model => ends(&|seen| match (seen.scope(), &block.model) {
            (Scope::Model(limited), Some(model)) => same_model(limited, model),
            (Scope::Model(_) | Scope::Account | Scope::Paid, _) => false,
        }),
        // Extra usage is drawn on while some window is used up: until the last of those has begun anew. When none is said
        // to be, the first to begin anew is the first chance.
        BlockKind::Overage => {
            ends(&|seen| seen.window.used_permille >= FULL_PERMILLE && seen.scope() != Scope::Paid)
                .or_else(|| first_end(windows, at, policy))
        }
        BlockKind::Credit
        | BlockKind::Spend
        | BlockKind::Throttle
        | BlockKind::Overload
        | BlockKind::Server
        | BlockKind::Login
        | BlockKind::Network => None,
    }
}

fn first_end(windows: &[Seen], at: Timestamp, policy: &Policy) -> Option<Timestamp> {
    windows
        .iter()
        .filter(|seen| seen.scope() == Scope::Account && seen.fresh_until(at, policy).is_some())
        .filter_map(|seen| seen.window.resets_at)
        .min()
}

/// The window whose rest is kept for more important work than this, with the time until which it is; of several, the last.
pub(super) fn reserved<'a>(
    windows: &'a [Seen],
    model: Option<&str>,
    priority: Priority,
    now: Timestamp,
    policy: &Policy,
) -> Option<(&'a Seen, Timestamp)> {
    if policy.reserve_permille == 0 || priority >= Priority::High {
        return None;
    }
    let allowed_permille = FULL_PERMILLE.saturating_sub(policy.reserve_permille);
    windows
        .iter()
        .filter(|seen| seen.window.used_permille >= allowed_permille && seen.limits(model))
        .filter_map(|seen| Some((seen, seen.fresh_until(now, policy)?)))
        .max_by_key(|(_, until)| *until)
}
