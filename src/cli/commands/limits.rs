//! `limits`: what each account may do, who waits, and until when.

use clap::{Args, Subcommand};

use crate::api::wire::{AccountView, HoldRequest, HoldView};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::{plain, say};
use crate::cli::render::time::both;
use crate::cli::when::{self, Toward};
use crate::cli::{clock, exit};
use crate::holds::HoldKind;
use crate::task::{Prompt, Timestamp};

/// Arguments of `limits`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LimitsArgs {
    /// What to do; without it, limits are shown
    #[command(subcommand)]
    pub command: Option<LimitsCommand>,
}

/// `limits …`.
#[derive(Debug, Subcommand)]
pub enum LimitsCommand {
    /// End the holds of an account now: you know that it may be used
    Clear(ClearArgs),
    /// Close an account: nothing new starts on it before a probe at that time, or before you clear it
    Set(SetArgs),
}

/// An account.
#[derive(Debug, Clone, Args)]
pub struct WhichAccount {
    /// The account
    #[arg(value_name = "ACCOUNT", default_value = Prompt::DEFAULT_ACCOUNT)]
    pub account: String,
    /// Its agent
    #[arg(long, value_name = "AGENT", default_value = Prompt::DEFAULT_AGENT)]
    pub agent: String,
}

impl WhichAccount {
    /// Its route, and what follows it.
    ///
    /// # Errors
    /// Names that cannot stand in a path.
    pub fn route(&self, rest: &str) -> Result<String, CliError> {
        let plain = |name: &str| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        if !plain(&self.agent) || !plain(&self.account) {
            return Err(CliError::usage(format!(
                "{:?} of {:?} is no account: names have letters, digits, -, _ and .",
                self.account, self.agent
            )));
        }
        Ok(format!("/accounts/{}/{}{rest}", self.agent, self.account))
    }
}

/// Arguments of `limits clear`.
#[derive(Debug, Args)]
pub struct ClearArgs {
    /// Which account.
    #[command(flatten)]
    pub which: WhichAccount,
    /// Only holds of this kind
    #[arg(long, value_name = "KIND")]
    pub kind: Option<HoldKind>,
}

/// Arguments of `limits set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Which account.
    #[command(flatten)]
    pub which: WhichAccount,
    /// When it may be tried again: RFC 3339, 22:00, 'tomorrow 07:00', +2h [default: when you clear it]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// What is shown as the reason [default: person]
    #[arg(long, value_name = "KIND")]
    pub kind: Option<HoldKind>,
}

/// Shows, or does.
///
/// # Errors
/// Times that cannot be read, no daemon, or its refusal.
pub async fn run(args: LimitsArgs, context: &Context) -> Result<u8, CliError> {
    let (which, request) = match args.command {
        None => return show(context).await,
        Some(LimitsCommand::Clear(clear)) => (
            clear.which,
            HoldRequest {
                clear: true,
                kind: clear.kind,
                until: None,
            },
        ),
        Some(LimitsCommand::Set(set)) => {
            let until = match &set.until {
                Some(text) => Some(
                    when::parse(text, Toward::Future, &clock::now_local())
                        .map_err(|error| CliError::usage(format!("--until: {error}")))?,
                ),
                None => None,
            };
            let request = HoldRequest {
                clear: false,
                kind: set.kind,
                until,
            };
            (set.which, request)
        }
    };
    let mut daemon = context.daemon().await?;
    daemon.post_empty(&which.route("/hold")?, &request).await?;
    show(context).await
}

async fn show(context: &Context) -> Result<u8, CliError> {
    let accounts: Vec<AccountView> = context.daemon().await?.get("/accounts").await?;
    if context.out.json {
        context.out.json_array(&accounts)?;
        return Ok(exit::OK);
    }
    if accounts.is_empty() {
        say("no agent has run yet, and no account was added: nothing is known of limits");
        return Ok(exit::OK);
    }
    let now = clock::now();
    for account in &accounts {
        for line in lines(account, now) {
            context.out.line(&line)?;
        }
    }
    Ok(exit::OK)
}

/// The screen of one account.
fn lines(account: &AccountView, now: Timestamp) -> Vec<String> {
    let state = match (account.holds.is_empty(), account.probing) {
        (true, _) => "open".to_owned(),
        (false, false) => "closed".to_owned(),
        (false, true) => "closed, a probe is under way".to_owned(),
    };
    let mut lines = vec![format!(
        "{}/{}  {state}; {} running, {} queued, {} waiting for it",
        plain(&account.agent),
        plain(&account.name),
        account.running,
        account.queued,
        account.held
    )];
    lines.extend(account.holds.iter().map(|hold| hold_line(hold, now)));
    for window in &account.windows {
        let reset = window
            .resets_at
            .map_or_else(String::new, |at| format!(", begins anew {}", both(at, now)));
        lines.push(format!(
            "  {}: {:.1} % used{reset}",
            plain(&window.name),
            window.used_percent
        ));
    }
    lines
}

fn hold_line(hold: &HoldView, now: Timestamp) -> String {
    let words = plain(&hold.words);
    // The words end with what is to be done, where something is.
    let (what, advice) = match &hold.advice {
        Some(advice) => (words.strip_suffix(&format!(": {advice}")), Some(advice)),
        None => (None, None),
    };
    let what = what.unwrap_or(&words);
    let until = match (hold.until, advice) {
        (Some(at), _) if at <= now => "its time has come: the next task finds out".to_owned(),
        (Some(at), _) => format!("until {}", both(at, now)),
        (None, Some(advice)) => advice.clone(),
        (None, None) => "until you clear it".to_owned(),
    };
    let between = if advice.is_some() { ": " } else { ", " };
    let detail = if hold.detail.is_empty() {
        String::new()
    } else {
        format!(" ({})", plain(&hold.detail))
    };
    format!("  {what}{detail}{between}{until}")
}
