//! What the API knows of one account, and what that means for a request: headers for every answer, and a refusal where
//! login, money or a window are used up.

use std::collections::BTreeMap;

use super::answer::{Answer, Gate, Usage};

/// A usage window of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Window {
    /// Five hours.
    FiveHour,
    /// A week.
    SevenDay,
    /// A week of Opus: counts and refuses requests for these models only.
    SevenDayOpus,
    /// A week of Sonnet.
    SevenDaySonnet,
    /// A week with extra usage.
    SevenDayOverage,
}

impl Window {
    /// The name in `representative-claim`.
    pub const fn claim(self) -> &'static str {
        match self {
            Self::FiveHour => "five_hour",
            Self::SevenDay => "seven_day",
            Self::SevenDayOpus => "seven_day_opus",
            Self::SevenDaySonnet => "seven_day_sonnet",
            Self::SevenDayOverage => "seven_day_overage_included",
        }
    }

    /// The name of its own headers; the windows of one model have none.
    const fn short(self) -> Option<&'static str> {
        match self {
            Self::FiveHour => Some("5h"),
            Self::SevenDay => Some("7d"),
            Self::SevenDayOverage => Some("7d_oi"),
            Self::SevenDayOpus | Self::SevenDaySonnet => None,
        }
    }

    fn counts(self, model: &str) -> bool {
        match self {
            Self::FiveHour | Self::SevenDay | Self::SevenDayOverage => true,
            Self::SevenDayOpus => model.contains("opus"),
            Self::SevenDaySonnet => model.contains("sonnet"),
        }
    }
}

/// How far a window is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// In percent; from 100 on requests are refused.
    pub used: u32,
    /// What each served request of the main loop adds.
    pub per_request: u32,
    /// When it is empty again, in seconds since the epoch; a full window without it stays full until a test empties it.
    pub resets_at: Option<i64>,
    /// After a reset the next one is so much later.
    pub renews_after_s: Option<i64>,
    /// The reset is told in the headers.
    pub tells_reset: bool,
}

impl Use {
    /// Used this far, with this reset.
    pub const fn of(used: u32, resets_at: Option<i64>) -> Self {
        Self {
            used,
            per_request: 0,
            resets_at,
            renews_after_s: None,
            tells_reset: true,
        }
    }

    fn is_full(&self) -> bool {
        self.used >= 100
    }

    fn roll(&mut self, now_s: i64) {
        while let Some(at) = self.resets_at
            && at <= now_s
        {
            self.used = 0;
            self.resets_at = self.renews_after_s.map(|after| at + after.max(1));
        }
    }
}

/// The credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// Works.
    Good,
    /// 401.
    Invalid,
    /// 401, a token that is over.
    Expired,
    /// 403, taken back.
    Revoked,
}

/// Money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Billing {
    /// Enough.
    Good,
    /// 400: the prepaid credit is used up.
    CreditTooLow,
    /// 429: the organisation's monthly limit; with the reset of the 5-hour window.
    SpendLimit(Option<i64>),
    /// 429 without a claim: out of usage credits, with this reset.
    OutOfCredits(Option<i64>),
}

/// Extra usage beyond the windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overage {
    /// Not to be had, for this reason (`org_level_disabled`, `out_of_credits`, …).
    Disabled(String),
    /// In use: a full window refuses nothing, it bills.
    InUse,
}

/// One account. Every field may be changed while agents run.
#[derive(Debug, Clone)]
pub struct State {
    /// The credential.
    pub login: Login,
    /// Money.
    pub billing: Billing,
    /// Extra usage.
    pub overage: Overage,
    /// Usage windows; without any, no such headers are sent.
    pub windows: BTreeMap<Window, Use>,
    /// Every request gets this answer.
    pub trouble: Option<Answer>,
    /// Answers of the main loop that are not refused wait here.
    pub gate: Option<Gate>,
    /// Tokens of an answer that does not say its own.
    pub usage: Usage,
}

impl Default for State {
    fn default() -> Self {
        Self {
            login: Login::Good,
            billing: Billing::Good,
            overage: Overage::Disabled("org_level_disabled".to_owned()),
            windows: BTreeMap::new(),
            trouble: None,
            gate: None,
            usage: Usage::USUAL,
        }
    }
}

/// Why a request is refused: a word for the record, and the answer.
pub(super) type Refusal = (String, Answer);

impl State {
    /// Judges a request for this model; the headers go with whatever answer is given in the end.
    pub(super) fn judge(
        &mut self,
        model: &str,
        now_s: i64,
    ) -> (Vec<(String, String)>, Option<Refusal>) {
        for window in self.windows.values_mut() {
            window.roll(now_s);
        }
        match self.login {
            Login::Good => {}
            Login::Invalid => {
                return (vec![], Some(("401".to_owned(), Answer::unauthorized())));
            }
            Login::Expired => {
                return (vec![], Some(("401".to_owned(), Answer::login_expired())));
            }
            Login::Revoked => {
                return (vec![], Some(("403".to_owned(), Answer::login_revoked())));
            }
        }
        if let Some(answer) = &self.trouble {
            return (vec![], Some((answer.label(), answer.clone())));
        }
        match self.billing {
            Billing::Good => self.judge_windows(model, now_s),
            Billing::CreditTooLow => (
                vec![],
                Some(("credit".to_owned(), Answer::credit_too_low())),
            ),
            Billing::SpendLimit(reset) => {
                let claim = Some(Window::FiveHour);
                let headers = rejected(claim, reset, "org_level_disabled_until", now_s);
                (headers, Some(("spend limit".to_owned(), limited())))
            }
            Billing::OutOfCredits(reset) => {
                let headers = rejected(None, reset, "out_of_credits", now_s);
                (headers, Some(("out of credits".to_owned(), limited())))
            }
        }
    }

    fn judge_windows(&self, model: &str, now_s: i64) -> (Vec<(String, String)>, Option<Refusal>) {
        let counted = || {
            self.windows
                .iter()
                .filter(|(window, _)| window.counts(model))
        };
        // The API names the window that keeps a request waiting longest.
        let full = counted()
            .filter(|(_, of)| of.is_full())
            .max_by_key(|(_, of)| of.resets_at.unwrap_or(i64::MAX));
        let fullest = counted().max_by_key(|(_, of)| of.used);
        let Some((&claim, of)) = full.or(fullest) else {
            return (vec![], None);
        };
        let mut headers = vec![
            header("status", status(of.used)),
            header("representative-claim", claim.claim()),
        ];
        if let Some(at) = told(of) {
            headers.push(header("reset", at));
        }
        for (window, of) in &self.windows {
            headers.extend(own_headers(*window, of));
        }
        match &self.overage {
            Overage::Disabled(reason) => {
                headers.push(header("overage-status", "rejected"));
                headers.push(header("overage-disabled-reason", reason));
                if full.is_some() {
                    headers.extend(retry_after(told(of), now_s));
                    let why = format!("limit {}", claim.claim());
                    return (headers, Some((why, limited())));
                }
            }
            Overage::InUse => {
                headers.push(header("overage-status", "allowed"));
                if full.is_some() {
                    headers.push(header("overage-in-use", "true"));
                }
            }
        }
        (headers, None)
    }

    /// A request of the main loop was served.
    pub(super) fn count(&mut self, model: &str) {
        for (window, of) in &mut self.windows {
            if window.counts(model) {
                of.used += of.per_request;
            }
        }
    }
}

/// The body of a usage limit.
fn limited() -> Answer {
    Answer::status(
        429,
        "rate_limit_error",
        "This request would exceed your account's rate limit. Please try again later.",
    )
}

fn rejected(
    claim: Option<Window>,
    reset: Option<i64>,
    reason: &str,
    now_s: i64,
) -> Vec<(String, String)> {
    let mut headers = vec![
        header("status", "rejected"),
        header("overage-status", "rejected"),
        header("overage-disabled-reason", reason),
    ];
    if let Some(claim) = claim {
        headers.push(header("representative-claim", claim.claim()));
        headers.extend(own_headers(claim, &Use::of(102, reset)));
    }
    if let Some(at) = reset {
        headers.push(header("reset", at));
    }
    headers.extend(retry_after(reset, now_s));
    headers
}

fn told(of: &Use) -> Option<i64> {
    of.resets_at.filter(|_| of.tells_reset)
}

fn retry_after(reset: Option<i64>, now_s: i64) -> Option<(String, String)> {
    let wait = (reset? - now_s).max(1);
    Some(("retry-after".to_owned(), wait.to_string()))
}

fn own_headers(window: Window, of: &Use) -> Vec<(String, String)> {
    let Some(short) = window.short() else {
        return vec![];
    };
    let mut headers = vec![
        header(&format!("{short}-status"), status(of.used)),
        header(&format!("{short}-utilization"), share(of.used)),
    ];
    if let Some(at) = told(of) {
        headers.push(header(&format!("{short}-reset"), at));
    }
    if (WARNS_FROM..100).contains(&of.used) {
        headers.push(header(
            &format!("{short}-surpassed-threshold"),
            share(WARNS_FROM),
        ));
    }
    headers
}

/// From here on an answer carries a warning.
const WARNS_FROM: u32 = 90;

/// Percent as the API says it.
fn share(percent: u32) -> f64 {
    f64::from(percent) / 100.0
}

fn status(used: u32) -> &'static str {
    if used >= 100 {
        "rejected"
    } else if used >= WARNS_FROM {
        "allowed_warning"
    } else {
        "allowed"
    }
}

fn header(name: &str, value: impl ToString) -> (String, String) {
    (
        format!("anthropic-ratelimit-unified-{name}"),
        value.to_string(),
    )
}
