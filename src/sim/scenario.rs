//! What happens how often.

use super::chance::Chance;
use super::op::OpKind;

/// A mix of what happens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scenario {
    /// A little of everything.
    #[default]
    All,
    /// Daemons, workers and the power go often.
    Crashes,
    /// Limits, probes and persons who know better.
    Accounts,
    /// Commits that fail, and crashes in the midst of them.
    Disk,
    /// No faults at all: what remains is orders of events.
    Calm,
}

impl Scenario {
    /// All scenarios.
    pub const ALL: [Self; 5] = [
        Self::All,
        Self::Crashes,
        Self::Accounts,
        Self::Disk,
        Self::Calm,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Crashes => "crashes",
            Self::Accounts => "accounts",
            Self::Disk => "disk",
            Self::Calm => "calm",
        }
    }

    /// The scenario with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// How often something happens, beside all the others.
    const fn weight(self, kind: OpKind) -> u64 {
        let crashes = match self {
            Self::Crashes => 12,
            Self::Disk => 6,
            Self::All => 3,
            Self::Accounts => 1,
            Self::Calm => 0,
        };
        let disk = match self {
            Self::Disk => 24,
            Self::Crashes => 6,
            Self::All => 3,
            Self::Accounts | Self::Calm => 0,
        };
        let accounts = match self {
            Self::Accounts => 5,
            Self::All | Self::Crashes | Self::Disk | Self::Calm => 1,
        };
        match kind {
            OpKind::Work => 24_000,
            OpKind::Carry => 16_000,
            OpKind::Attend => 16_000,
            OpKind::Batch => 450,
            OpKind::Submit => 220,
            OpKind::Act => 450,
            OpKind::System => 50,
            OpKind::Account => 30 * accounts,
            OpKind::Pass => 150,
            OpKind::Leap => 250,
            OpKind::Start => 800,
            OpKind::Server => 60 * accounts,
            OpKind::Settings => 12,
            OpKind::Tidy => 8,
            OpKind::Leave => 2,
            OpKind::SetClock => 6 * crashes,
            OpKind::Kill => crashes,
            OpKind::BatchDies => crashes + disk,
            OpKind::StartDies => 4 * crashes + 4 * disk,
            OpKind::KillWorker => 50 * crashes,
            OpKind::HangWorker => 20 * crashes,
            OpKind::PowerLoss => crashes.div_ceil(2),
            OpKind::Rival => 4 * crashes,
            OpKind::Damage => 6 * crashes,
            OpKind::TakeAway => 3 * crashes,
            OpKind::Stick => 10 * crashes,
            OpKind::Unstick => 70 * crashes,
            OpKind::RecordsFail => 6 * crashes,
            OpKind::SpaceLow => 6 * crashes,
            OpKind::DiskFull => disk,
            OpKind::SyncFails => disk,
            OpKind::DiskWorks => 90 * disk + 50 * crashes,
            // Comes after each round, and not by chance.
            OpKind::Heal => 0,
        }
    }

    /// What draws by these weights.
    #[must_use]
    pub fn dice(self) -> Dice {
        let mut total = 0;
        let up_to = OpKind::ALL.map(|kind| {
            total += self.weight(kind);
            (total, kind)
        });
        Dice { up_to, total }
    }
}

/// Draws what happens next.
#[derive(Debug, Clone)]
pub struct Dice {
    /// The sum of the weights up to each, and it.
    up_to: [(u64, OpKind); OpKind::ALL.len()],
    total: u64,
}

impl Dice {
    /// Draws.
    #[must_use]
    pub fn draw(&self, chance: &mut Chance) -> OpKind {
        let place = chance.below(self.total);
        let drawn = self.up_to.iter().find(|(up_to, _)| place < *up_to);
        drawn.map_or(OpKind::Pass, |(_, kind)| *kind)
    }
}
