//! `account login`: the agent's own login on this terminal, with the account's configuration directory; then whether it is
//! there, and the end of the wait for it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use clap::Args;

use super::account::NewAccount;
use super::agent::ask;
use super::limits::WhichAccount;
use crate::api::wire::{AccountView, HoldRequest};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::{plain, say};
use crate::cli::render::task::quote;
use crate::holds::HoldKind;
use crate::supervisor::installed::{AccountLogin, Installed, LoginSeen, Look};
use crate::supervisor::terminal;
use crate::task::{BlockKind, Prompt};

/// Arguments of `account login`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Starts the agent's own login (of Claude Code: claude auth login) with the account's configuration directory, and waits for it.
Then the agent is asked whether a login is there, at no cost; with --ask-server its server is asked by one tiny request. Only
then the account's hold for want of a login ends. An account whose credential is a secret has no login to make.

Examples:
  taskctl account login work
  taskctl account login default --agent codex")]
pub struct LoginArgs {
    /// Its name
    #[command(flatten)]
    pub which: NewAccount,
    /// Prove the login by one tiny request; may cost a fraction of a cent
    #[arg(long)]
    pub ask_server: bool,
}

/// Does it.
///
/// # Errors
/// No terminal, no daemon, no such account, an agent that is not installed or cannot log in, another user's directory.
pub async fn run(args: LoginArgs, context: &Context) -> Result<u8, CliError> {
    let which = WhichAccount {
        account: args.which.account,
        agent: args.which.agent,
    };
    // Checked first: the names stand in a route.
    let hold = which.route("/hold")?;
    if !context.out.can_ask || !context.out.stdout_is_terminal {
        return Err(CliError::usage(
            "a login needs a terminal: run this on one, or give the account a credential (taskctl account add --secret)",
        ));
    }
    let agent = installed(&which, context).await?;
    let view = view(&which, context).await?;
    let (program, words) = how(&agent)?;
    let set = environment(&agent, view.as_ref())?;
    say(&format!(
        "{} {}{}",
        plain(&agent.agent),
        plain(&words.join(" ")),
        set.iter()
            .map(|(name, value)| format!(", {name}={}", quote(&plain(value))))
            .collect::<String>()
    ));
    let code = terminal::hand_to(program, words, &set).map_err(|error| {
        CliError::failed(format!("cannot start {}: {error}", program.display()))
    })?;
    if code != 0 {
        return Err(CliError::said(
            exit::AGENT_LOGIN,
            "no_login",
            format!(
                "the login of {} ended with {code}: nothing was changed, the account {} is as it was",
                which.agent, which.account
            ),
        ));
    }
    prove(&which, &hold, view.as_ref(), args.ask_server, context).await
}

async fn installed(which: &WhichAccount, context: &Context) -> Result<Installed, CliError> {
    let look = Look {
        agent: Some(which.agent.clone()),
        account: Some(which.account.clone()),
        ..Look::default()
    };
    let found = ask(context, look).await?.into_iter().next();
    found.ok_or_else(|| CliError::failed(format!("the daemon knows no agent {}", which.agent)))
}

/// The account as the daemon knows it; none of one that has no row yet.
async fn view(which: &WhichAccount, context: &Context) -> Result<Option<AccountView>, CliError> {
    let accounts: Vec<AccountView> = context.daemon().await?.get("/accounts").await?;
    let found = accounts
        .into_iter()
        .find(|account| account.agent == which.agent && account.name == which.account);
    if found.is_none() && which.account != Prompt::DEFAULT_ACCOUNT {
        return Err(CliError::usage(format!(
            "{} has no account named {:?}; add it first: taskctl account add {}",
            which.agent, which.account, which.account
        )));
    }
    Ok(found)
}

/// The program and its words.
fn how(agent: &Installed) -> Result<(&Path, &[String]), CliError> {
    let missing = |text: String| CliError::said(exit::AGENT_MISSING, "agent_missing", text);
    if let Some(problem) = &agent.problem {
        return Err(missing(format!("{}: {problem}", agent.agent)));
    }
    let program = agent
        .path
        .as_deref()
        .ok_or_else(|| missing(format!("{} is not installed", agent.agent)))?;
    let words = agent.login_args.as_deref().ok_or_else(|| {
        CliError::usage(format!(
            "nobody says how one logs in to {}: start it by hand, then taskctl limits clear",
            agent.agent
        ))
    })?;
    Ok((program, words))
}

/// What is set for the login: where the account has its configuration.
fn environment(
    agent: &Installed,
    view: Option<&AccountView>,
) -> Result<BTreeMap<String, String>, CliError> {
    let mut set = BTreeMap::new();
    let Some(dir) = view.and_then(|view| view.config_dir.as_ref()) else {
        return Ok(set);
    };
    let Some(variable) = &agent.config_dir_variable else {
        return Err(CliError::usage(format!(
            "{} has no variable for a configuration directory: its account cannot have a login of its own",
            agent.agent
        )));
    };
    is_ours(dir)?;
    let Some(text) = dir.to_str() else {
        return Err(CliError::usage(format!(
            "the configuration directory {} is not UTF-8",
            dir.display()
        )));
    };
    set.insert(variable.clone(), text.to_owned());
    Ok(set)
}

/// A login that another user makes would be one that the daemon may not read.
fn is_ours(dir: &Path) -> Result<(), CliError> {
    let Ok(found) = std::fs::metadata(dir) else {
        // The agent makes it.
        return Ok(());
    };
    let ours = rustix::process::geteuid().as_raw();
    if found.uid() == ours {
        return Ok(());
    }
    Err(CliError::refused(format!(
        "the configuration directory {} belongs to user {}, and this is user {ours}: log in as that user, or the daemon \
         could not read the login",
        dir.display(),
        found.uid()
    )))
}

/// Whether the login is there now; only then the hold ends.
async fn prove(
    which: &WhichAccount,
    hold: &str,
    view: Option<&AccountView>,
    ask_server: bool,
    context: &Context,
) -> Result<u8, CliError> {
    let look = Look {
        agent: Some(which.agent.clone()),
        account: Some(which.account.clone()),
        logins: true,
        ask_server,
        ..Look::default()
    };
    let found = ask(context, look).await?;
    let login = found.iter().flat_map(|agent| &agent.accounts).next();
    let kind = HoldKind::Block(BlockKind::Login);
    let waits = view.is_some_and(|view| view.holds.iter().any(|hold| hold.kind == kind));
    match login.map(|login| login.login) {
        Some(LoginSeen::There | LoginSeen::Works) => {}
        // The agent cannot tell; its own login has said that it is done.
        Some(LoginSeen::Unknown) if !ask_server => {}
        Some(LoginSeen::None | LoginSeen::Refused | LoginSeen::Unknown) | None => {
            return Err(CliError::said(
                exit::AGENT_LOGIN,
                "no_login",
                format!(
                    "{}: the account {} of {} stays as it was",
                    not_proved(login),
                    which.account,
                    which.agent
                ),
            ));
        }
    }
    if waits {
        let request = HoldRequest {
            clear: true,
            kind: Some(kind),
            until: None,
        };
        context.daemon().await?.post_empty(hold, &request).await?;
    }
    if context.out.json {
        context.out.json_line(&login)?;
    } else {
        say(&format!(
            "logged in: the account {} of {}{}",
            which.account,
            which.agent,
            if waits {
                " is open again"
            } else {
                " can be used"
            }
        ));
    }
    Ok(exit::OK)
}

fn not_proved(login: Option<&AccountLogin>) -> String {
    let words = match login.map(|login| login.login) {
        Some(LoginSeen::Refused) => "its server has refused the login",
        Some(LoginSeen::None) | None => "no login is there",
        Some(LoginSeen::Unknown | LoginSeen::There | LoginSeen::Works) => {
            "the login could not be proved"
        }
    };
    match login.filter(|login| !login.detail.is_empty()) {
        Some(login) => format!("{words} ({})", plain(&login.detail)),
        None => words.to_owned(),
    }
}
