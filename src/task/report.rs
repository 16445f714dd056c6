//! What one run of an agent said about itself: the facts that outlive its process.
//!
//! The worker gathers them from the agent's output and writes them into the attempt's record; the daemon commits them with
//! the outcome. Everything here is bounded, so that a report fits its place in the record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Timestamp;
pub use crate::budget::Tokens;

/// The facts of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The agent's own conversation id, once it has said it: from then on the session can be resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The model it named at its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The version of the agent's program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Turns of this run.
    #[serde(default)]
    pub turns: u32,
    /// Tool calls that were denied.
    #[serde(default)]
    pub denials: u32,
    /// Times the agent itself tried a request again.
    #[serde(default)]
    pub retries: u32,
    /// What this run cost, in millionths of a US dollar; `None` = unknown, which is never the same as nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd: Option<u64>,
    /// The cost is not what the agent said at its end, but reckoned from what is known of an interrupted run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cost_estimated: bool,
    /// Tokens by model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<String, Tokens>,
    /// How far each window of the account's usage was used, as the agent said last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// The account paid for extra usage during this run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overage: bool,
    /// The server has answered a request of this run: its account was open then. Known while the run goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub served: bool,
    /// Why the account must wait, when the run ended for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<Block>,
}

/// One window of an account's usage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The agent's name for it: `five_hour`, `seven_day`, `seven_day_opus`.
    pub name: String,
    /// How much of it is used, in thousandths; more than 1000 is possible.
    pub used_permille: u32,
    /// When it begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
}

/// Why an account must wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Of which kind.
    pub kind: BlockKind,
    /// Only this model is concerned; `None` = the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The announced end, as the agent or its server said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What was wrong with the network, for [`BlockKind::Network`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

impl Block {
    /// A block of the whole account with nothing known beside its kind.
    #[must_use]
    pub const fn of(kind: BlockKind) -> Self {
        Self {
            kind,
            model: None,
            until: None,
            trouble: None,
        }
    }
}

/// Kinds of block. How each is waited out is said in the room `holds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// The window of some hours is used up.
    FiveHour,
    /// The weekly window is used up.
    Weekly,
    /// The window of one model is used up.
    Model,
    /// Extra usage is being paid for, and the settings want that stopped.
    Overage,
    /// The credit is used up.
    Credit,
    /// A spend limit that a person has set is reached.
    Spend,
    /// Too many requests at once; no limit of usage.
    Throttle,
    /// The server has no capacity.
    Overload,
    /// The server fails.
    Server,
    /// The login is dead, or about to be.
    Login,
    /// The server cannot be reached.
    Network,
}

impl BlockKind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::FiveHour,
        Self::Weekly,
        Self::Model,
        Self::Overage,
        Self::Credit,
        Self::Spend,
        Self::Throttle,
        Self::Overload,
        Self::Server,
        Self::Login,
        Self::Network,
    ];

    /// The name in JSON, in the database and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FiveHour => "five_hour",
            Self::Weekly => "weekly",
            Self::Model => "model",
            Self::Overage => "overage",
            Self::Credit => "credit",
            Self::Spend => "spend",
            Self::Throttle => "throttle",
            Self::Overload => "overload",
            Self::Server => "server",
            Self::Login => "login",
            Self::Network => "network",
        }
    }
}

/// What can be wrong between the agent and its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The connection is refused.
    Refused,
    /// The connection breaks.
    Reset,
    /// The name cannot be resolved.
    Dns,
    /// No secure connection comes about.
    Tls,
    /// A proxy is in the way.
    Proxy,
    /// No answer in time.
    TimedOut,
    /// The answer stops in its middle.
    Silent,
    /// Something else.
    Other,
}

impl Report {
    /// Longest text of a name in a report, in bytes.
    pub const NAME_MAX_BYTES: usize = 80;
    /// Most models and most windows that are kept.
    pub const ENTRIES_MAX: usize = 6;

    /// The same with every name cut and every list shortened to what is kept.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        for text in [&mut self.session, &mut self.model, &mut self.version]
            .into_iter()
            .flatten()
        {
            cut(text);
        }
        self.tokens = std::mem::take(&mut self.tokens)
            .into_iter()
            .take(Self::ENTRIES_MAX)
            .map(|(mut model, tokens)| {
                cut(&mut model);
                (model, tokens)
            })
            .collect();
        self.windows.truncate(Self::ENTRIES_MAX);
        for window in &mut self.windows {
            cut(&mut window.name);
        }
        if let Some(model) = self.block.as_mut().and_then(|block| block.model.as_mut()) {
            cut(model);
        }
        self
    }
}

fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(Report::NAME_MAX_BYTES));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_cut_to_what_is_kept_and_keeps_all_that_fits() {
        let report = |name: &str, entries: usize| Report {
            session: Some(name.to_owned()),
            model: Some(name.to_owned()),
            version: Some(name.to_owned()),
            turns: 3,
            cost_micro_usd: Some(5),
            tokens: (0..entries)
                .map(|n| (format!("{n}{name}"), Tokens::default()))
                .collect(),
            windows: vec![
                Window {
                    name: name.to_owned(),
                    used_permille: 1,
                    resets_at: None
                };
                entries
            ],
            block: Some(Block {
                model: Some(name.to_owned()),
                ..Block::of(BlockKind::Model)
            }),
            ..Report::default()
        };
        let fits = report(&"m".repeat(Report::NAME_MAX_BYTES - 1), Report::ENTRIES_MAX);
        assert_eq!(fits.clone().bounded(), fits);
        let cut = report(&"ä".repeat(50), Report::ENTRIES_MAX + 3).bounded();
        let name = "ä".repeat(Report::NAME_MAX_BYTES / 2);
        assert_eq!((cut.turns, cut.cost_micro_usd), (3, Some(5)));
        assert_eq!(
            [
                cut.session.as_ref(),
                cut.model.as_ref(),
                cut.version.as_ref()
            ],
            [Some(&name); 3]
        );
        assert_eq!(cut.block.and_then(|block| block.model), Some(name.clone()));
        assert_eq!(cut.windows.len(), Report::ENTRIES_MAX);
        assert!(cut.windows.iter().all(|window| window.name == name));
        assert_eq!(cut.tokens.len(), Report::ENTRIES_MAX);
        // The digit before it moves the cut by a byte, and no character is halved.
        assert!(
            cut.tokens
                .keys()
                .all(|model| model.len() == Report::NAME_MAX_BYTES - 1)
        );
    }
}
