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
            OpKind::Work => 2_600,
            OpKind::Carry => 1_600,
            OpKind::Attend => 1_600,
            OpKind::Batch => 1_000,
            OpKind::Submit => 300,
            OpKind::Act => 350,
            OpKind::System => 60,
            OpKind::Account => 15 * accounts,
            OpKind::Pass => 350,
            OpKind::Leap => 150,
            OpKind::Start => 400,
            OpKind::Server => 15 * accounts,
            OpKind::Settings => 15,
            OpKind::Tidy => 6,
            OpKind::Leave => 4,
            OpKind::SetClock => 3 * crashes,
            OpKind::Kill => 2 * crashes,
            OpKind::BatchDies => 2 * crashes + 2 * disk,
            OpKind::StartDies => 3 * crashes + 2 * disk,
            OpKind::KillWorker => 10 * crashes,
            OpKind::HangWorker => 4 * crashes,
            OpKind::PowerLoss => crashes,
            OpKind::Rival => 3 * crashes,
            OpKind::Damage => 2 * crashes,
            OpKind::TakeAway => crashes,
            OpKind::Stick => 2 * crashes,
            OpKind::Unstick => 7 * crashes,
            OpKind::RecordsFail => 2 * crashes,
            OpKind::SpaceLow => 2 * crashes,
            OpKind::DiskFull => disk,
            OpKind::SyncFails => disk,
            OpKind::DiskWorks => 6 * disk + 7 * crashes,
            // Comes after each round, and not by chance.
            OpKind::Heal => 0,
        }
    }

    /// Draws what happens next.
    #[must_use]
    pub fn draw(self, chance: &mut Chance) -> OpKind {
        let total: u64 = OpKind::ALL.into_iter().map(|kind| self.weight(kind)).sum();
        let mut left = chance.below(total);
        for kind in OpKind::ALL {
            let weight = self.weight(kind);
            if left < weight {
                return kind;
            }
            left -= weight;
        }
        OpKind::Pass
    }
}
