//! What a task will use, told from finished ones that are like it.

use super::amount::Amounts;

/// So many like tasks are enough to go by; with fewer, less like ones are looked at, too.
pub const SAMPLES_ENOUGH: usize = 5;

/// How like a finished task is, the likest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// Agent, model, type and directory are the same.
    Project,
    /// Agent, model and type are.
    Type,
    /// Agent and model are.
    Model,
}

impl Likeness {
    /// All of them, the likest first.
    pub const ALL: [Self; 3] = [Self::Project, Self::Type, Self::Model];

    /// One word for it, in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Type => "type",
            Self::Model => "model",
        }
    }

    /// What is the same, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Project => "same model, type and directory",
            Self::Type => "same model and type",
            Self::Model => "same model",
        }
    }
}

/// One finished task of the same agent, and of the same model where one is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// What it has used, per chunk.
    pub used: Amounts,
    /// Its type is the same.
    pub same_type: bool,
    /// Its directory is.
    pub same_project: bool,
}

impl Sample {
    const fn is(&self, likeness: Likeness) -> bool {
        match likeness {
            Likeness::Project => self.same_type && self.same_project,
            Likeness::Type => self.same_type,
            Likeness::Model => true,
        }
    }
}

/// A figure and its spread: one in ten was below `p10`, half below `p50`, nine in ten below `p90`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spread {
    /// The tenth part.
    pub p10: u64,
    /// The half.
    pub p50: u64,
    /// Nine tenths.
    pub p90: u64,
}

/// What a task will use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// How like the tasks are that it is told from.
    pub likeness: Likeness,
    /// How many they are: never 0.
    pub tasks: usize,
    /// Millionths of a US dollar.
    pub micro_usd: Spread,
    /// Tokens.
    pub tokens: Spread,
    /// Milliseconds.
    pub run_ms: Spread,
}

/// What a task with so many chunks (1 = none) will use; `None` = nothing like it has finished, so nobody knows.
///
/// The likest tasks count alone once there are [`SAMPLES_ENOUGH`] of them; else the next likeness is taken with them, and
/// where it adds none, the likest that has any.
#[must_use]
pub fn forecast(samples: &[Sample], chunks: u32) -> Option<Forecast> {
    let of = |likeness: Likeness| {
        let like = samples.iter().filter(|sample| sample.is(likeness));
        (likeness, like.map(|sample| sample.used).collect::<Vec<_>>())
    };
    let sets = Likeness::ALL.map(of);
    let enough = sets.iter().find(|(_, set)| set.len() >= SAMPLES_ENOUGH);
    // The first of those that have the most.
    let most = sets.iter().rev().max_by_key(|(_, set)| set.len());
    let (likeness, set) = enough.or(most).filter(|(_, set)| !set.is_empty())?;
    let times = u64::from(chunks.max(1));
    let spread = |of: fn(&Amounts) -> u64| {
        let mut values: Vec<u64> = set.iter().map(of).collect();
        values.sort_unstable();
        let at = |percent: usize| quantile(&values, percent).saturating_mul(times);
        Spread {
            p10: at(10),
            p50: at(50),
            p90: at(90),
        }
    };
    Some(Forecast {
        likeness: *likeness,
        tasks: set.len(),
        micro_usd: spread(|used| used.micro_usd),
        tokens: spread(|used| used.tokens),
        run_ms: spread(|used| used.run_ms),
    })
}

/// The value that so many percent of `sorted` do not exceed (the nearest rank); 0 of nothing.
fn quantile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}
