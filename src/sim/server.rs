//! The server behind the agents' accounts: who is limited, until when, and what it says about that.

use std::collections::BTreeMap;

use super::chance::Chance;
use crate::task::{Block, BlockKind, Place, Timestamp, Trouble, Window};

/// Accounts that tasks of agents use.
pub const ACCOUNTS: [&str; 3] = ["default", "work", "spare"];
/// Where tasks may be asked: the accounts, and the login of another agent.
pub const PLACES: [(&str, &str); 4] = [
    ("claude", "default"),
    ("claude", "work"),
    ("claude", "spare"),
    ("codex", "default"),
];
/// Models that they name.
pub const MODELS: [&str; 2] = ["opus", "haiku"];

const SECOND_MS: u64 = 1_000;
const HOUR_MS: u64 = 3_600 * SECOND_MS;
/// The share of limits whose end is announced, in percent.
const ANNOUNCED_PERCENT: u64 = 60;

/// A limit that the server enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit {
    kind: BlockKind,
    until_ms: i64,
    announced: bool,
}

/// The server.
#[derive(Debug, Clone, Default)]
pub struct Server {
    limits: BTreeMap<(&'static str, &'static str), Limit>,
}

impl Server {
    /// Somebody else used the account up, or the window moved.
    pub fn limit(&mut self, chance: &mut Chance, now_ms: i64) {
        let kind = chance.one_of(BlockKind::ALL);
        let span_ms = match chance.below(4) {
            0 => 30 * SECOND_MS,
            1 => 10 * 60 * SECOND_MS,
            2 => 5 * HOUR_MS,
            _ => 9 * 24 * HOUR_MS,
        };
        let limit = Limit {
            kind,
            until_ms: now_ms + 1_000 + chance.ms(span_ms),
            announced: chance.percent(ANNOUNCED_PERCENT),
        };
        self.limits.insert(chance.one_of(PLACES), limit);
    }

    /// A reset comes earlier, or later, than was said.
    pub fn move_reset(&mut self, chance: &mut Chance) {
        if let Some(limit) = self.limits.get_mut(&chance.one_of(PLACES)) {
            limit.until_ms += chance.ms(2 * HOUR_MS) - chance.ms(2 * HOUR_MS);
        }
    }

    /// All limits end.
    pub fn open(&mut self) {
        self.limits.clear();
    }

    fn limit_of(&self, place: &Place) -> Option<&Limit> {
        let is_it =
            |(agent, account): &(&str, &str)| *agent == place.agent && *account == place.account;
        let mut limits = self.limits.iter();
        limits.find_map(|(key, limit)| is_it(key).then_some(limit))
    }

    /// What a run on this account meets now.
    #[must_use]
    pub fn block(&self, place: &Place, now_ms: i64, chance: &mut Chance) -> Option<Block> {
        let limit = self.limit_of(place)?;
        if limit.until_ms <= now_ms {
            return None;
        }
        let mut block = Block::of(limit.kind);
        if limit.announced {
            block.until = Some(Timestamp::from_ms(limit.until_ms));
        }
        if limit.kind == BlockKind::Model {
            block.model = Some(chance.one_of(MODELS).to_owned());
        }
        if limit.kind == BlockKind::Network {
            block.trouble = Some(chance.one_of([Trouble::Refused, Trouble::Dns, Trouble::Silent]));
        }
        Some(block)
    }

    /// What it says about the windows of an account.
    #[must_use]
    pub fn windows(&self, place: &Place, now_ms: i64, chance: &mut Chance) -> Vec<Window> {
        let until = self.limit_of(place).map(|limit| limit.until_ms);
        let resets_at = until.filter(|until| *until > now_ms);
        vec![Window {
            name: "five_hour".to_owned(),
            used_permille: if resets_at.is_some() {
                1_000
            } else {
                u32::try_from(chance.below(900)).unwrap_or(0)
            },
            resets_at: resets_at.map(Timestamp::from_ms),
        }]
    }
}
