//! `agent …`: which agents are installed, and whether they can be used.

use clap::{Args, Subcommand};

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::plain;
use crate::cli::render::table::{Column, cut, droppable, keep, render};
use crate::cli::{environment, exit};
use crate::supervisor::installed::{AccountLogin, Installed, LoginSeen, Look, Standing, Tried};
use crate::task::Prompt;

/// `agent …`.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// List the agents that are known: where each is installed, and in which version
    List(ListArgs),
    /// Check whether agents can be used: installed, version known, contract kept, logins there; spends nothing
    Check(CheckArgs),
}

/// Arguments of `agent list`.
#[derive(Debug, Args)]
pub struct ListArgs {}

/// Arguments of `agent check`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The programs are started as the daemon's user, in the environment that a task submitted here would have. Nothing is asked of
an agent's server, so a login that is `there` need not work; --ask-server finds out, by one tiny request for each login.

Without NAME, all that are installed are checked. Exit status: 11 when one (or every one) is not installed, too old or described
wrongly; 12 when one breaks its contract (auto-claude agent verify); 13 when none of its logins works; 0 otherwise.

Examples:
  taskctl agent check
  taskctl agent check claude --account work --ask-server")]
pub struct CheckArgs {
    /// Which agent
    #[arg(value_name = "NAME")]
    pub agent: Option<String>,
    /// Only this account
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Ask the server of each login one tiny thing; may cost a fraction of a cent each
    #[arg(long)]
    pub ask_server: bool,
}

/// Does it.
///
/// # Errors
/// No daemon, or its refusal.
pub async fn run(command: AgentCommand, context: &Context) -> Result<u8, CliError> {
    match command {
        AgentCommand::List(ListArgs {}) => list(context).await,
        AgentCommand::Check(args) => check(args, context).await,
    }
}

/// Asks the daemon, for a task of this process's environment.
///
/// # Errors
/// No daemon, or its refusal.
pub async fn ask(context: &Context, look: Look) -> Result<Vec<Installed>, CliError> {
    let env = environment::capture(std::env::vars_os()).env;
    let mut daemon = context.daemon().await?;
    let look = Look { env, ..look };
    let asked = daemon.post("/agents", &look);
    context.with_progress("asking the agents", asked).await
}

async fn list(context: &Context) -> Result<u8, CliError> {
    let agents = ask(context, Look::default()).await?;
    if context.out.json {
        context.out.json_array(&agents)?;
        return Ok(exit::OK);
    }
    let columns: [Column; 5] = [
        keep("AGENT"),
        keep("VERSION"),
        keep("TRIED"),
        cut("PROGRAM"),
        droppable("DESCRIBED BY", 1),
    ];
    let rows: Vec<Vec<String>> = agents.iter().map(row).collect();
    for line in render(&columns, &rows, context.out.columns) {
        context.out.line(&line)?;
    }
    Ok(exit::OK)
}

fn row(agent: &Installed) -> Vec<String> {
    let program = match (&agent.path, &agent.problem) {
        (Some(path), _) => path.display().to_string(),
        (None, Some(problem)) => problem.clone(),
        (None, None) => agent.program.clone(),
    };
    let version = match (&agent.version, &agent.path) {
        (Some(version), _) => version.clone(),
        (None, Some(_)) => "unknown".to_owned(),
        (None, None) => "-".to_owned(),
    };
    vec![
        plain(&agent.agent),
        plain(&version),
        standing(agent),
        plain(&program),
        plain(&agent.described_by.replace('_', " ")),
    ]
}

/// Whether the version is a known one, in a few words.
fn standing(agent: &Installed) -> String {
    let range = |tried: &Tried| {
        if tried.oldest == tried.newest {
            tried.oldest.to_string()
        } else {
            format!("{} to {}", tried.oldest, tried.newest)
        }
    };
    let tried = agent.tried.as_ref().map_or_else(|| "?".to_owned(), range);
    match agent.standing {
        Some(Standing::Tried) => "yes".to_owned(),
        Some(Standing::Newer) => format!("no, newer than {tried}"),
        Some(Standing::TooOld) => format!("no, older than {tried}"),
        Some(Standing::Unknown) => "unknown".to_owned(),
        None => "-".to_owned(),
    }
}

async fn check(args: CheckArgs, context: &Context) -> Result<u8, CliError> {
    let is_named = args.agent.is_some();
    let look = Look {
        agent: args.agent,
        account: args.account,
        logins: true,
        ask_server: args.ask_server,
        ..Look::default()
    };
    let mut agents = ask(context, look).await?;
    if !is_named {
        agents.retain(|agent| {
            let is_described_wrongly = agent.program.is_empty();
            agent.path.is_some() || is_described_wrongly
        });
    }
    let code = agents.iter().map(code_of).filter(|code| *code != exit::OK);
    // Ascending by weight: what is not there cannot break anything.
    let code = code.min().unwrap_or(if agents.is_empty() {
        exit::AGENT_MISSING
    } else {
        exit::OK
    });
    if context.out.json {
        context.out.json_array(&agents)?;
        return Ok(code);
    }
    if agents.is_empty() {
        context
            .out
            .line("no agent is installed; `taskctl agent list` shows which are known")?;
    }
    for agent in &agents {
        for line in lines(agent) {
            context.out.line(&line)?;
        }
    }
    Ok(code)
}

/// What an agent's state is worth.
fn code_of(agent: &Installed) -> u8 {
    let logins = &agent.accounts;
    let works = |login: &AccountLogin| {
        matches!(
            login.login,
            LoginSeen::Works | LoginSeen::There | LoginSeen::Unknown
        )
    };
    // An agent whose logins are accounts of their own needs none besides.
    let needs_default = logins.len() == 1;
    let dead = |login: &&AccountLogin| {
        !works(login) && (needs_default || login.account != Prompt::DEFAULT_ACCOUNT)
    };
    if agent.path.is_none() || agent.problem.is_some() {
        exit::AGENT_MISSING
    } else if agent.contract.as_ref().is_some_and(|seen| !seen.kept) {
        exit::AGENT_CONTRACT
    } else if logins.iter().any(|login| dead(&login)) {
        exit::AGENT_LOGIN
    } else {
        exit::OK
    }
}

/// The screen of one agent.
fn lines(agent: &Installed) -> Vec<String> {
    let name = plain(&agent.agent);
    let version = agent.version.as_deref().unwrap_or("version unknown");
    let place = agent.path.as_ref().map_or_else(
        || "not installed".to_owned(),
        |path| path.display().to_string(),
    );
    let mut lines = vec![match &agent.path {
        Some(_) => format!("{name} {}  {}", plain(version), plain(&place)),
        None => format!("{name}  {}", plain(&place)),
    }];
    let note = match agent.standing {
        Some(Standing::Newer) => Some(format!(
            "warning: newer than {}, the newest that was tried",
            agent
                .tried
                .map_or_else(String::new, |tried| tried.newest.to_string())
        )),
        Some(Standing::Tried | Standing::TooOld | Standing::Unknown) | None => None,
    };
    lines.extend(note.map(|note| format!("  {note}")));
    if let Some(problem) = &agent.problem {
        lines.push(format!("  wrong: {}", plain(problem)));
    }
    match &agent.contract {
        Some(seen) if seen.kept => lines.push(format!("  contract: kept, checked {}", seen.at)),
        Some(seen) => lines.push(format!("  contract: broken: {}", plain(&seen.broken))),
        None if agent.agent == Prompt::DEFAULT_AGENT && agent.path.is_some() => {
            lines.push("  contract: not checked yet (auto-claude agent verify claude)".to_owned());
        }
        None => {}
    }
    lines.extend(agent.accounts.iter().map(login_line));
    lines
}

fn login_line(login: &AccountLogin) -> String {
    let words = match login.login {
        LoginSeen::Works => "its login works",
        LoginSeen::There => "a login is there",
        LoginSeen::Refused => "its login was refused by its server",
        LoginSeen::None => "no login",
        LoginSeen::Unknown => "not known whether a login is there",
    };
    let detail = if login.detail.is_empty() {
        String::new()
    } else {
        format!(" ({})", plain(&login.detail))
    };
    format!("  account {}: {words}{detail}", plain(&login.account))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed() -> Installed {
        Installed {
            agent: "claude".to_owned(),
            described_by: "built_in".to_owned(),
            program: "claude".to_owned(),
            path: Some("/usr/bin/claude".into()),
            version: Some("2.1.300".to_owned()),
            standing: Some(Standing::Tried),
            tried: None,
            problem: None,
            contract: None,
            accounts: Vec::new(),
            login_args: None,
            config_dir_variable: None,
        }
    }

    fn with(logins: &[(&str, LoginSeen)]) -> u8 {
        let accounts = logins.iter().map(|(account, login)| AccountLogin {
            account: (*account).to_owned(),
            login: *login,
            detail: String::new(),
        });
        code_of(&Installed {
            accounts: accounts.collect(),
            ..installed()
        })
    }

    #[test]
    fn the_default_login_counts_where_there_is_no_other_account() {
        use LoginSeen::{None, Refused, There, Unknown};
        assert_eq!(with(&[]), exit::OK);
        assert_eq!(with(&[("default", There)]), exit::OK);
        assert_eq!(with(&[("default", Unknown)]), exit::OK);
        assert_eq!(with(&[("default", None)]), exit::AGENT_LOGIN);
        assert_eq!(with(&[("default", None), ("work", There)]), exit::OK);
        assert_eq!(
            with(&[("default", There), ("work", Refused)]),
            exit::AGENT_LOGIN
        );
    }

    #[test]
    fn what_is_wrong_has_a_code_of_its_own() {
        let missing = Installed {
            path: None,
            ..installed()
        };
        assert_eq!(code_of(&missing), exit::AGENT_MISSING);
        let old = Installed {
            problem: Some("too old".to_owned()),
            ..installed()
        };
        assert_eq!(code_of(&old), exit::AGENT_MISSING);
        let broken = Installed {
            contract: Some(crate::supervisor::installed::ContractSeen {
                kept: false,
                broken: "x".to_owned(),
                at: crate::task::Timestamp::from_ms(0),
            }),
            ..installed()
        };
        assert_eq!(code_of(&broken), exit::AGENT_CONTRACT);
    }
}
