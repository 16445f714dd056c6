//! Whether an attempt may begin, and how much it may use: a pure decision over the budgets that concern it.

use super::amount::{Amounts, Budget, MEASURES, Measure};

/// From here on a person is warned, in percent.
pub const WARN_PERCENT: u64 = 80;
/// With less money than this left a budget is used up: a cent, less than what most requests cost.
pub const LEAST_MICRO_USD: u64 = Budget::MICRO_USD_MIN;
/// The least number of tokens that a run is begun for.
const LEAST_TOKENS: u64 = 1;
/// The least time that a run is begun for.
const LEAST_RUN_MS: u64 = Budget::RUN_MS_MIN;
/// A share is at least this part of its budget, as far as it is free: otherwise a run is cut again and again while its
/// budget is shared by ever smaller parts.
const PARTS_MAX: u64 = 20;

const fn least(measure: Measure) -> u64 {
    match measure {
        Measure::Money => LEAST_MICRO_USD,
        Measure::Tokens => LEAST_TOKENS,
        Measure::Time => LEAST_RUN_MS,
    }
}

/// Where one budget stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// The budget.
    pub limit: Budget,
    /// What ended runs have used, those of unknown cost counted with what they were allowed.
    pub used: Amounts,
    /// What running attempts may use.
    pub reserved: Amounts,
    /// How many attempts may share what is free: at least 1.
    pub sharers: u32,
}

/// How far a budget is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Less than [`WARN_PERCENT`].
    Open,
    /// [`WARN_PERCENT`] or more.
    Warned,
    /// Nothing is left that a run could be begun for.
    UsedUp,
}

impl Level {
    /// One word for it, in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Warned => "warned",
            Self::UsedUp => "used_up",
        }
    }
}

impl Standing {
    /// What ended runs have left of it.
    #[must_use]
    pub fn left(&self, measure: Measure) -> Option<u64> {
        let limit = self.limit.get(measure)?;
        Some(limit.saturating_sub(self.used.get(measure)))
    }

    /// What neither ended runs have used nor running ones may use.
    #[must_use]
    pub fn free(&self, measure: Measure) -> Option<u64> {
        let left = self.left(measure)?;
        Some(left.saturating_sub(self.reserved.get(measure)))
    }

    /// How far it is used: the measure that is used most counts.
    #[must_use]
    pub fn level(&self) -> Level {
        let of = |measure: Measure| {
            let (limit, left) = (self.limit.get(measure)?, self.left(measure)?);
            // A budget may be smaller than what a run is begun for: then it is used up when it is.
            let used = u128::from(self.used.get(measure)) * 100;
            Some(if left < least(measure).min(limit).max(1) {
                Level::UsedUp
            } else if used >= u128::from(limit) * u128::from(WARN_PERCENT) {
                Level::Warned
            } else {
                Level::Open
            })
        };
        MEASURES
            .into_iter()
            .filter_map(of)
            .max()
            .unwrap_or(Level::Open)
    }

    /// The measure that is used most, with how much of it in percent.
    #[must_use]
    pub fn fullest(&self) -> Option<(Measure, u64)> {
        let percent = |measure: Measure| {
            let limit = u128::from(self.limit.get(measure)?.max(1));
            let percent = u128::from(self.used.get(measure)) * 100 / limit;
            Some((measure, u64::try_from(percent).unwrap_or(u64::MAX)))
        };
        MEASURES
            .into_iter()
            .filter_map(percent)
            .max_by_key(|(_, percent)| *percent)
    }

    /// What one more attempt may use of this measure; `None` = too little is free for it to begin.
    fn part(&self, measure: Measure, limit: u64, free: u64) -> Option<u64> {
        let least = least(measure).min(limit).max(1);
        if free < least {
            return None;
        }
        let equal = free / u64::from(self.sharers.max(1));
        Some(equal.max(limit / PARTS_MAX).max(least).min(free))
    }
}

/// Whether an attempt may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It may, and use this much at most; [`Budget::NONE`] where nothing is limited.
    Share(Budget),
    /// Not before running attempts have ended: what they may use is all that is left of this budget (by its place).
    Wait(usize),
    /// Not before a person has raised this budget (by its place), or its day is over.
    UsedUp(usize),
}

/// What an attempt may use that all of these budgets concern.
#[must_use]
pub fn share(standings: &[Standing]) -> Room {
    let used_up = |standing: &Standing| standing.level() == Level::UsedUp;
    if let Some(place) = standings.iter().position(used_up) {
        return Room::UsedUp(place);
    }
    let mut share = Budget::NONE;
    for (place, standing) in standings.iter().enumerate() {
        for measure in MEASURES {
            let (Some(limit), Some(free)) = (standing.limit.get(measure), standing.free(measure))
            else {
                continue;
            };
            let Some(part) = standing.part(measure, limit, free) else {
                return Room::Wait(place);
            };
            let lowest = share.get(measure).map_or(part, |other| other.min(part));
            share = share.with(measure, lowest);
        }
    }
    Room::Share(share)
}

/// After a run that was cut at its `share`, having used `spent` of it: the budget that is used up, by its place, or `None`
/// when it may go on with another share. `standings` are those before the run was counted, without its reservation.
///
/// A run that was cut without having used its share says something that we do not understand: to begin it again could go on
/// for ever, so that counts as used up, too.
#[must_use]
pub fn after(standings: &[Standing], share: Budget, spent: Amounts) -> Option<usize> {
    let used_its_share = MEASURES.into_iter().any(|measure| {
        share
            .get(measure)
            .is_some_and(|most| spent.get(measure) >= most)
    });
    let used_up = |standing: &Standing| {
        let counted = Standing {
            used: standing.used.plus(spent),
            ..*standing
        };
        counted.level() == Level::UsedUp
    };
    let place = standings.iter().position(used_up);
    if used_its_share {
        place
    } else {
        place.or(Some(0))
    }
}
