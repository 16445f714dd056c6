//! Kinds of hold: those that a run's block makes, and two that come from elsewhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::task::BlockKind;

/// What a hold is for. In JSON, in the database and on the command line one word ([`HoldKind::name`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum HoldKind {
    /// The installed agent does not keep the contract that its driver relies on: every run would burn a task. Set by a check
    /// of the installed agent, or by a person; ends by a check that finds it kept, or by a person.
    Contract,
    /// A person closed the account, for a reason of their own.
    Person,
    /// A run ended for this block.
    Block(BlockKind),
}

/// The text names no kind of hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a kind of hold: expected one of five_hour, weekly, model, overage, credit, spend, throttle, overload, server, \
     login, network, contract, person"
)]
pub struct UnknownKind;

impl HoldKind {
    /// All kinds, those of blocks first.
    pub fn all() -> impl Iterator<Item = Self> {
        let blocks = BlockKind::ALL.into_iter().map(Self::Block);
        blocks.chain([Self::Contract, Self::Person])
    }

    /// The name in JSON, in the database and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contract => "contract",
            Self::Person => "person",
            Self::Block(kind) => kind.name(),
        }
    }

    /// Whether such a hold can concern one model only. Of the others a model that was named is ignored: the login, the
    /// network and the windows of the account are the same for all its models, and closing too little bills or burns.
    #[must_use]
    pub const fn may_name_a_model(self) -> bool {
        match self {
            Self::Person => true,
            Self::Contract => false,
            Self::Block(kind) => match kind {
                BlockKind::Model
                | BlockKind::Credit
                | BlockKind::Spend
                | BlockKind::Throttle
                | BlockKind::Overload
                | BlockKind::Server => true,
                BlockKind::FiveHour
                | BlockKind::Weekly
                | BlockKind::Overage
                | BlockKind::Login
                | BlockKind::Network => false,
            },
        }
    }

    /// What a person can do to end it sooner, where they can do more than wait (or than `taskctl limits clear`).
    #[must_use]
    pub const fn advice(self) -> Option<&'static str> {
        match self {
            Self::Contract => Some("auto-claude agent verify claude, or taskctl limits clear"),
            Self::Person => Some("taskctl limits clear"),
            Self::Block(kind) => match kind {
                BlockKind::Login => Some("taskctl account login"),
                BlockKind::Credit => Some("add credit, then taskctl limits clear"),
                BlockKind::Spend => Some("raise the spend limit, then taskctl limits clear"),
                BlockKind::FiveHour
                | BlockKind::Weekly
                | BlockKind::Model
                | BlockKind::Overage
                | BlockKind::Throttle
                | BlockKind::Overload
                | BlockKind::Server
                | BlockKind::Network => None,
            },
        }
    }
}

impl From<BlockKind> for HoldKind {
    fn from(kind: BlockKind) -> Self {
        Self::Block(kind)
    }
}

impl From<HoldKind> for &'static str {
    fn from(kind: HoldKind) -> Self {
        kind.name()
    }
}

impl TryFrom<String> for HoldKind {
    type Error = UnknownKind;

    fn try_from(text: String) -> Result<Self, UnknownKind> {
        text.parse()
    }
}

/// In words, without the model: `5-hour limit`.
impl fmt::Display for HoldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Contract => "the agent does not behave as its driver expects",
            Self::Person => "closed by a person",
            Self::Block(kind) => match kind {
                BlockKind::FiveHour => "5-hour limit",
                BlockKind::Weekly => "weekly limit",
                BlockKind::Model => "limit of a model",
                BlockKind::Overage => "extra usage would be paid for",
                BlockKind::Credit => "credit used up",
                BlockKind::Spend => "spend limit reached",
                BlockKind::Throttle => "throttled",
                BlockKind::Overload => "server overloaded",
                BlockKind::Server => "server fails",
                BlockKind::Login => "login needed",
                BlockKind::Network => "network",
            },
        })
    }
}

impl FromStr for HoldKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::all()
            .find(|kind| kind.name() == text)
            .ok_or(UnknownKind)
    }
}
