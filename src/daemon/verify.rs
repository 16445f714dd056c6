//! `auto-claude agent verify`: whether an installed agent keeps what its driver relies on. Works without a daemon; one that
//! runs is told what was found.

use std::collections::BTreeMap;
use std::path::Path;

use super::answer::Answer;
use super::error::ExitError;
use super::serve::runtime;
use super::setup::Place;
use crate::api::wire::ContractFound;
use crate::cli::{Daemon, exit};
use crate::config::PathOptions;
use crate::installed::{self, Clause, Contract, Identity, Standing, TRIED, Verified};
use crate::supervisor::agents::find;
use crate::supervisor::clock;
use crate::task::Prompt;

/// Checks, tells the daemon, and gives what was found with the exit code.
///
/// # Errors
/// The settings cannot be read, the agent has no contract that could be checked, its program is missing, or the machine does
/// not let us look.
pub fn verify(options: &PathOptions, agent: &str) -> Result<(Answer, u8), ExitError> {
    if agent != Prompt::DEFAULT_AGENT {
        return Err(ExitError::failed(format!(
            "{agent}: only claude has a contract to check; a described agent goes by its description alone (taskctl agent check {agent})"
        ))
        .with_code(ExitError::USAGE));
    }
    let place = Place::resolve(options)?;
    let command = &place.effective.settings.claude_cli_command;
    // Variables that are no text go with no task either.
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let program = find(command, env.get("PATH").map(String::as_str)).map_err(|why| {
        ExitError::failed(format!(
            "{agent}: its program ({command}) {why}; install it, or name it in the settings (claude_cli_command)"
        ))
        .with_code(exit::AGENT_MISSING)
    })?;
    let identity = Identity::of(&program)?;
    let contract = installed::check(&program, &env).map_err(|error| ExitError::of(&error))?;
    let verified = Verified {
        identity,
        version: contract.version,
        broken: contract.broken(),
        at: clock::now(),
    };
    let mut notes = Vec::new();
    if place.paths.state_dir.is_dir() {
        if let Err(error) = installed::remember(&place.paths.state_dir, agent, &verified) {
            notes.push(format!("warning: not remembered: {error}"));
        }
        notes.extend(tell_daemon(&place, agent, &verified.broken));
    }
    let code = code_of(&contract);
    Ok((answer(agent, &program, &contract, notes), code))
}

fn code_of(contract: &Contract) -> u8 {
    if contract.is_kept() {
        exit::OK
    } else if contract.standing == Standing::TooOld || contract.version.is_none() {
        exit::AGENT_MISSING
    } else {
        exit::AGENT_CONTRACT
    }
}

/// Tells a daemon that runs here; what came of it, where there is something to say.
fn tell_daemon(place: &Place, agent: &str, broken: &str) -> Option<String> {
    let body = ContractFound {
        broken: broken.to_owned(),
    };
    let told = runtime().ok()?.block_on(async {
        let mut daemon = Daemon::at(&place.paths.socket).await?;
        let route = format!("/agents/{agent}/contract");
        daemon.post_empty(&route, &body).await
    });
    match told {
        Ok(()) if broken.is_empty() => None,
        Ok(()) => Some(format!(
            "the daemon has closed all accounts of {agent}: install another version and verify it, or taskctl limits clear"
        )),
        // It finds the same by itself, from what is remembered or by a check of its own.
        Err(error) if error.is_no_daemon() => None,
        Err(error) => Some(format!("warning: the daemon was not told: {error}")),
    }
}

fn answer(agent: &str, program: &Path, contract: &Contract, notes: Vec<String>) -> Answer {
    let version = contract.version.map_or_else(
        || "of unknown version".to_owned(),
        |version| version.to_string(),
    );
    let mut lines = vec![format!("{agent} {version}  {}", program.display())];
    if contract.standing == Standing::Newer {
        lines.push(format!(
            "warning: newer than {}, the newest that was tried",
            TRIED.newest
        ));
    }
    lines.extend(contract.clauses.iter().map(line));
    lines.push(if contract.is_kept() {
        "the contract is kept".to_owned()
    } else {
        "the contract is broken".to_owned()
    });
    lines.extend(notes.iter().cloned());
    let json = serde_json::json!({
        "agent": agent,
        "program": program.to_string_lossy(),
        "version": contract.version,
        "standing": contract.standing,
        "kept": contract.is_kept(),
        "clauses": contract.clauses,
        "notes": notes,
    });
    Answer { lines, json }
}

fn line(clause: &Clause) -> String {
    if clause.kept {
        format!("ok      {}: {}", clause.name, clause.what)
    } else {
        format!("BROKEN  {}: {}; {}", clause.name, clause.what, clause.found)
    }
}
