//! Usage limits of a subscription: what the program says about the account's windows, and which block that is.
//!
//! Structured facts first. The text of an error is asked only where they are missing (old versions, other output formats):
//! such texts have changed with every other version.
//!
//! Two false friends: `status: "rejected"` without a window and without a time is a server that throttles, and with
//! `isUsingOverage: true` it is a request that succeeded and was billed.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::agent::reset;
use crate::agent::text::{self, holds};
use crate::task::{Block, BlockKind, Report, Timestamp, Window};

/// Families of models that have limits of their own.
const FAMILIES: [&str; 5] = ["opus", "sonnet", "haiku", "fable", "mythos"];
/// Longest time until a five-hour window ends: what lies further ahead is a longer window.
const FIVE_HOURS_MS: i64 = 5 * 60 * 60 * 1000;
const FULL_PERMILLE: u32 = 1000;

/// How limit messages begin. Only an error that begins so is taken for a limit by its words.
const BEGINNINGS: [&str; 15] = [
    "you've hit your",
    "you've reached your",
    "you're out of usage credits",
    "you're out of extra usage",
    "your org is out of usage",
    "your seat type doesn't include",
    "your usage allocation has been disabled",
    "your group's usage limit",
    "this service is disabled for your org",
    "usage is paused for your organization",
    "claude ai usage limit reached",
    "claude usage limit reached",
    "5-hour limit reached",
    "weekly limit reached",
    "session limit reached",
];

/// The state of the account's windows at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LimitInfo {
    rejected: bool,
    /// The window that limits most.
    window: Option<String>,
    resets_at: Option<Timestamp>,
    used_permille: Option<u32>,
    using_overage: bool,
    overage_resets_at: Option<Timestamp>,
    overage_reason: Option<String>,
    daily_cap: bool,
    /// All windows, when they are told.
    windows: Vec<Window>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keys<'a> {
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
    #[serde(borrow, default)]
    resets_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    rate_limit_type: Option<&'a RawValue>,
    #[serde(borrow, default)]
    utilization: Option<&'a RawValue>,
    #[serde(borrow, default)]
    is_using_overage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    overage_in_use: Option<&'a RawValue>,
    #[serde(borrow, default)]
    overage_resets_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    overage_disabled_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    daily_cap_paused: Option<&'a RawValue>,
    #[serde(borrow, default)]
    unified_windows: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WindowKeys<'a> {
    #[serde(borrow, default)]
    utilization: Option<&'a RawValue>,
    #[serde(borrow, default)]
    resets_at: Option<&'a RawValue>,
}

impl LimitInfo {
    /// Reads `rate_limit_info`; what is not understood counts as not said.
    pub(super) fn parse(raw: &RawValue) -> Self {
        let Ok(keys) = serde_json::from_str::<Keys<'_>>(raw.get()) else {
            return Self::default();
        };
        let flag = |raw| get(raw) == Some(true);
        Self {
            rejected: get::<String>(keys.status).as_deref() == Some("rejected"),
            window: get::<String>(keys.rate_limit_type).map(|name| name_of(&name)),
            resets_at: keys.resets_at.and_then(epoch_seconds),
            used_permille: keys.utilization.and_then(permille),
            using_overage: flag(keys.is_using_overage) || flag(keys.overage_in_use),
            overage_resets_at: keys.overage_resets_at.and_then(epoch_seconds),
            overage_reason: get::<String>(keys.overage_disabled_reason).map(|name| name_of(&name)),
            daily_cap: flag(keys.daily_cap_paused),
            windows: get::<Windows>(keys.unified_windows).map_or_else(Vec::new, |all| all.0),
        }
    }

    /// Writes the windows into the report; windows that are not named keep what was known.
    pub(super) fn tell(&self, report: &mut Report) {
        report.overage |= self.using_overage;
        let alone = self.window.as_ref().map(|name| Window {
            name: name.clone(),
            used_permille: self.used_permille.unwrap_or(if self.rejected {
                FULL_PERMILLE
            } else {
                0
            }),
            resets_at: self.resets_at,
        });
        let said_alone = self.rejected || self.used_permille.is_some();
        let said_exactly = self.used_permille.is_some() || !self.windows.is_empty();
        let told = if self.windows.is_empty() {
            alone.filter(|_| said_alone).into_iter().collect()
        } else {
            self.windows.clone()
        };
        for window in told {
            let known = report
                .windows
                .iter()
                .find(|known| known.name == window.name);
            // "Used up" says less than a figure beyond it.
            let least = known.map_or(0, |known| known.used_permille);
            let least = if said_exactly { 0 } else { least };
            report.windows.retain(|known| known.name != window.name);
            report.windows.push(Window {
                used_permille: window.used_permille.max(least),
                ..window
            });
        }
        // Their order says nothing, so it must not make two equal reports differ.
        report
            .windows
            .sort_by(|left, right| left.name.cmp(&right.name));
        report.windows.truncate(Report::ENTRIES_MAX);
    }

    /// Whether a request was rejected and not paid for otherwise.
    pub(super) const fn is_rejected(&self) -> bool {
        self.rejected && !self.using_overage
    }

    /// Whether that was because a window is used up, as opposed to a server that throttles.
    pub(super) const fn is_limit(&self) -> bool {
        self.is_rejected() && (self.resets_at.is_some() || self.window.is_some())
    }

    /// Which block this is. `words` are the program's own words for it, which tell apart what the facts do not.
    pub(super) fn block(&self, words: &str, now: Timestamp) -> Block {
        let said = block_in_words(words, now);
        let until = self.resets_at.or(said.until);
        if matches!(said.kind, BlockKind::Spend) || self.daily_cap {
            // Where a window is named as well, work goes on with the window, whatever becomes of the spend limit.
            let until = if self.window.is_some() {
                until
            } else {
                self.overage_resets_at
            };
            return Block {
                until,
                ..Block::of(BlockKind::Spend)
            };
        }
        match self.window.as_deref() {
            Some("five_hour") => window_block(BlockKind::FiveHour, until),
            Some("seven_day") => window_block(BlockKind::Weekly, until),
            // Plans with one model call that model's window their weekly one.
            Some("seven_day_sonnet") if said.kind == BlockKind::Weekly => {
                window_block(BlockKind::Weekly, until)
            }
            Some("seven_day_overage_included") => {
                of_model(said.model.as_deref().unwrap_or("fable"), until)
            }
            Some(name) => match name.strip_prefix("seven_day_").and_then(model_family) {
                Some(family) => of_model(family, until),
                None => self.without_window(said, until),
            },
            None => self.without_window(said, until),
        }
    }

    /// No known window: the reason why no extra usage was possible tells, then the words.
    fn without_window(&self, said: Block, until: Option<Timestamp>) -> Block {
        let kind = match self.overage_reason.as_deref() {
            Some("out_of_credits") => BlockKind::Credit,
            Some(
                "org_level_disabled_until" | "org_spend_cap_reached" | "group_zero_credit_limit",
            ) => BlockKind::Spend,
            Some(_) | None => said.kind,
        };
        Block {
            until,
            kind,
            ..said
        }
    }
}

/// The block that an error's words name, when they begin as a limit message does.
pub(super) fn limit_in_words(words: &str, now: Timestamp) -> Option<Block> {
    let begins = |beginning: &str| {
        words
            .get(..beginning.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(beginning))
    };
    BEGINNINGS
        .iter()
        .any(|beginning| begins(beginning))
        .then(|| block_in_words(words, now))
}

fn block_in_words(words: &str, now: Timestamp) -> Block {
    const SPEND: [&str; 7] = [
        "spend limit",
        "group budget",
        "monthly usage limit",
        "group's usage limit",
        "usage allocation has been disabled",
        "usage is paused for your organization",
        "contact your admin to increase",
    ];
    const CREDIT: [&str; 4] = [
        "out of usage",
        "out of extra usage",
        "seat type doesn't include",
        "requires usage credits",
    ];
    let until = reset::in_text(words, now).or_else(|| epoch_behind_bar(words));
    // What is named first is what was hit; `· out of usage credits` behind it is only why nothing else was tried.
    let head = words.split(" · ").next().unwrap_or(words);
    let any = |list: &[&str], text: &str| list.iter().any(|part| holds(text, part));
    if any(&SPEND, head) || holds(words, "contact your admin to increase") {
        return window_block(BlockKind::Spend, until);
    }
    if any(&CREDIT, head) {
        return window_block(BlockKind::Credit, until);
    }
    if holds(head, "disabled for your org") {
        return window_block(BlockKind::Login, until);
    }
    let family = FAMILIES
        .iter()
        .find(|family| holds(head, &format!("{family} limit")));
    if let Some(family) = family {
        return of_model(family, until);
    }
    if holds(head, "weekly limit") {
        return window_block(BlockKind::Weekly, until);
    }
    let short = holds(head, "5-hour limit") || holds(head, "session limit");
    let far = until.is_some_and(|until| until.ms_since(now) > FIVE_HOURS_MS);
    let kind = if far && !short {
        BlockKind::Weekly
    } else {
        BlockKind::FiveHour
    };
    window_block(kind, until)
}

/// `…usage limit reached|1795203678`, the form of old versions.
fn epoch_behind_bar(words: &str) -> Option<Timestamp> {
    let (_, digits) = words.rsplit_once('|')?;
    let seconds: i64 = digits.trim().parse().ok()?;
    Some(Timestamp::from_ms(seconds.saturating_mul(1000)))
}

fn window_block(kind: BlockKind, until: Option<Timestamp>) -> Block {
    Block {
        until,
        ..Block::of(kind)
    }
}

fn of_model(family: &str, until: Option<Timestamp>) -> Block {
    Block {
        model: Some(family.to_owned()),
        until,
        ..Block::of(BlockKind::Model)
    }
}

/// The family that a model's name or alias belongs to: `opus` of `claude-opus-5-5` and of `opus`.
#[must_use]
pub fn model_family(name: &str) -> Option<&'static str> {
    FAMILIES.into_iter().find(|family| holds(name, family))
}

/// Whether a block of `blocked` (a family, as [`Block::model`] has it) concerns a task that uses `model`. A task that names
/// none may get any.
#[must_use]
pub fn concerns_model(blocked: &str, model: Option<&str>) -> bool {
    match model.map(|model| (model, model_family(model))) {
        None => true,
        Some((_, Some(family))) => family == blocked,
        Some((name, None)) => name == blocked,
    }
}

/// The windows of `unifiedWindows`, the first few.
struct Windows(Vec<Window>);

impl<'de> Deserialize<'de> for Windows {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Windows;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("windows by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Windows, A::Error> {
                let mut windows: Vec<Window> = Vec::new();
                while let Some((name, raw)) = map.next_entry::<Cow<'de, str>, &RawValue>()? {
                    let Ok(keys) = serde_json::from_str::<WindowKeys<'_>>(raw.get()) else {
                        continue;
                    };
                    let Some(used_permille) = keys.utilization.and_then(permille) else {
                        continue;
                    };
                    if windows.len() < Report::ENTRIES_MAX {
                        windows.push(Window {
                            name: name_of(&name),
                            used_permille,
                            resets_at: keys.resets_at.and_then(epoch_seconds),
                        });
                    }
                }
                Ok(Windows(windows))
            }
        }
        deserializer.deserialize_map(List)
    }
}

fn get<T: serde::de::DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

fn name_of(name: &str) -> String {
    text::one_line(name, Report::NAME_MAX_BYTES)
}

/// Whole seconds, or with a fraction; a time outside of all calendars becomes the last one, which nobody believes.
fn epoch_seconds(raw: &RawValue) -> Option<Timestamp> {
    let seconds: f64 = get(Some(raw))?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast from a float saturates, and so does the time"
    )]
    let ms = (seconds * 1000.0).ceil() as i64;
    (seconds > 0.0).then(|| Timestamp::from_ms(ms))
}

fn permille(raw: &RawValue) -> Option<u32> {
    let share: f64 = get(Some(raw))?;
    if !(0.0..=1e6).contains(&share) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within 0 and 1e9, checked above"
    )]
    let permille = (share * f64::from(FULL_PERMILLE)).round() as u32;
    Some(permille)
}

#[cfg(test)]
mod tests;
