//! `account …`: accounts of agents.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::api::wire::AccountView;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::{plain, say};
use crate::cli::render::table::{Column, cut, keep, render};
use crate::cli::{environment, exit, values};
use crate::supervisor::account::AccountSpec;

use super::limits::WhichAccount;
use super::login;
use super::spec::{current_dir, secrets};

/// `account …`.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Add an account, or change how one is reached
    Add(AddArgs),
    /// Log in with the agent's own login, on this terminal; ends the account's wait for a login
    Login(login::LoginArgs),
    /// List the accounts that are known
    List(ListArgs),
    /// Forget an account that no unfinished task needs
    Remove(WhichAccount),
}

/// Arguments of `account list`.
#[derive(Debug, Args)]
pub struct ListArgs {}

/// Arguments of `account add`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  taskctl account add work --config-dir /srv/agents/work     
  taskctl account login work                                   # once
  taskctl account add ci --secret CLAUDE_CODE_OAUTH_TOKEN=file:/run/secrets/claude-token
  taskctl task create fix --prompt 'Fix the tests' --account work")]
pub struct AddArgs {
    /// Its name
    #[command(flatten)]
    pub which: NewAccount,
    /// The agent's configuration directory, which holds its login (CLAUDE_CONFIG_DIR of Claude Code)
    #[arg(long, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
    /// A variable of its runs (repeatable)
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = values::env_arg)]
    pub env: Vec<values::EnvArg>,
    /// A variable whose value is read at each launch and never stored: file:PATH, credential:NAME or env:NAME (of the daemon)
    #[arg(long, value_name = "NAME=REFERENCE")]
    pub secret: Vec<String>,
}

/// An account by its name, which must be given.
#[derive(Debug, Clone, Args)]
pub struct NewAccount {
    /// The account's name
    #[arg(value_name = "ACCOUNT")]
    pub account: String,
    /// Its agent
    #[arg(long, value_name = "AGENT", default_value = crate::task::Prompt::DEFAULT_AGENT)]
    pub agent: String,
}

/// Does it.
///
/// # Errors
/// Bad arguments, no daemon, or its refusal.
pub async fn run(command: AccountCommand, context: &Context) -> Result<u8, CliError> {
    match command {
        AccountCommand::Add(args) => add(args, context).await,
        AccountCommand::Login(args) => login::run(args, context).await,
        AccountCommand::List(ListArgs {}) => list(context).await,
        AccountCommand::Remove(which) => {
            context.daemon().await?.delete(&which.route("")?).await?;
            if !context.out.json {
                say(&format!(
                    "the account {} of {} is forgotten",
                    which.account, which.agent
                ));
            }
            Ok(exit::OK)
        }
    }
}

async fn add(args: AddArgs, context: &Context) -> Result<u8, CliError> {
    let config_dir = match args.config_dir {
        Some(dir) if dir.is_absolute() => Some(dir),
        Some(dir) => Some(current_dir()?.join(dir)),
        None => None,
    };
    let mut env = BTreeMap::new();
    for variable in &args.env {
        let (name, value) = environment::resolved(variable)?;
        env.insert(name, value);
    }
    let spec = AccountSpec {
        config_dir,
        env,
        secrets: secrets(&args.secret)?,
    };
    let which = WhichAccount {
        account: args.which.account,
        agent: args.which.agent,
    };
    context
        .daemon()
        .await?
        .post_empty(&which.route("")?, &spec)
        .await?;
    if !context.out.json {
        say(&format!(
            "the account {} of {} is known; --account {} uses it",
            which.account, which.agent, which.account
        ));
    }
    Ok(exit::OK)
}

async fn list(context: &Context) -> Result<u8, CliError> {
    let accounts: Vec<AccountView> = context.daemon().await?.get("/accounts").await?;
    if context.out.json {
        context.out.json_array(&accounts)?;
        return Ok(exit::OK);
    }
    if accounts.is_empty() {
        say(
            "no account is known; without one, the agent's own login is used (the account `default`)",
        );
        return Ok(exit::OK);
    }
    let columns: [Column; 5] = [
        keep("AGENT"),
        keep("ACCOUNT"),
        keep("STATE"),
        cut("CONFIGURATION"),
        cut("VARIABLES"),
    ];
    let rows: Vec<Vec<String>> = accounts
        .iter()
        .map(|account| {
            let directory = account.config_dir.as_ref().map_or_else(
                || "the agent's own".to_owned(),
                |dir| dir.display().to_string(),
            );
            vec![
                plain(&account.agent),
                plain(&account.name),
                if account.holds.is_empty() {
                    "open"
                } else {
                    "closed"
                }
                .to_owned(),
                plain(&directory),
                plain(&account.variables.join(" ")),
            ]
        })
        .collect();
    for line in render(&columns, &rows, context.out.columns) {
        context.out.line(&line)?;
    }
    Ok(exit::OK)
}
