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
            Self::Crashes => 4,
            Self::Disk => 2,
            Self::All | Self::Accounts => 1,
            Self::Calm => 0,
        };
        let disk = match self {
            Self::Disk => 8,
            Self::Crashes => 2,
            Self::All => 1,
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
            OpKind::Leave => 8,
            OpKind::SetClock => 10 * crashes,
            OpKind::Kill => 20 * crashes,
            OpKind::BatchDies => 15 * crashes + 20 * disk,
            OpKind::StartDies => 10 * crashes + 5 * disk,
            OpKind::KillWorker => 40 * crashes,
            OpKind::HangWorker => 15 * crashes,
            OpKind::PowerLoss => 5 * crashes + 4 * disk,
            OpKind::Rival => 10 * crashes,
            OpKind::Damage => 8 * crashes,
            OpKind::TakeAway => 3 * crashes,
            OpKind::Stick => 8 * crashes,
            OpKind::Unstick => 20 * crashes,
            OpKind::RecordsFail => 6 * crashes,
            OpKind::SpaceLow => 6 * crashes,
            OpKind::DiskFull => 5 * disk,
            OpKind::SyncFails => 5 * disk,
            OpKind::DiskWorks => 25 * disk + 20 * crashes,
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
