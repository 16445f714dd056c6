//! What is installed of the agents that are known, seen as a task would see it: with the submitter's environment, the
//! settings, and each account.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

mod known;

use known::{Known, known};

use super::account::AccountSpec;
use super::agents::{
    Agent, agent, change_for_claude, change_for_described, claude_argv, described_argv, find,
};
use super::handler::was_served;
use super::launch::{probe_dir, secret};
use crate::agent::claude::Options;
use crate::agent::{Driver, ProcessEnd, Reading};
pub use crate::agent::{Standing, Tried};
use crate::config::{Paths, Settings};
use crate::installed::{self, Identity, LoginState};
use crate::process::{Question, ask};
use crate::store::AccountRow;
use crate::task::{AgentState, BlockKind, OutcomeKind, Prompt, Timestamp};

/// Longest time of one request.
const REQUEST_LIMIT_MS: u64 = 120_000;
/// As much of its output is read.
const OUTPUT_MAX_BYTES: usize = 4 * 1024 * 1024;

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Look {
    /// Only this agent; `null` = all that are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Only this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The environment that a task would have: programs are looked for in its `PATH`.
    pub env: BTreeMap<String, String>,
    /// Look at the logins, too. Costs nothing.
    pub logins: bool,
    /// Ask the server of each login one tiny thing. It may cost a little.
    pub ask_server: bool,
}

/// An agent, as it is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Its name; of a description that cannot be read, the file's.
    pub agent: String,
    /// `built_in`, `shipped`, or the file that describes it.
    pub described_by: String,
    /// The program that is looked for.
    pub program: String,
    /// Where it is; `null` = it is not installed.
    pub path: Option<PathBuf>,
    /// Its version; `null` = it is not installed, or tells none.
    pub version: Option<String>,
    /// `tried`, `newer`, `too_old` or `unknown`; `null` = it is not installed.
    pub standing: Option<Standing>,
    /// The versions that were tried; `null` = nobody says.
    pub tried: Option<Tried>,
    /// What is wrong, in one line; `null` = nothing.
    pub problem: Option<String>,
    /// What a check of its contract has found of this very program; `null` = it was not checked.
    pub contract: Option<ContractSeen>,
    /// Its accounts, where logins were asked for; `default` is its own login.
    pub accounts: Vec<AccountLogin>,
    /// The arguments by which a person logs in; `null` = nobody says.
    pub login_args: Option<Vec<String>>,
    /// The variable that names its configuration directory; `null` = it has none.
    pub config_dir_variable: Option<String>,
}

/// What was found of a contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractSeen {
    /// It is kept.
    pub kept: bool,
    /// What is broken, in one line; empty = nothing.
    pub broken: String,
    /// When.
    pub at: Timestamp,
}

/// Whether an account can be used, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLogin {
    /// The account.
    pub account: String,
    /// What is known.
    pub login: LoginSeen,
    /// A few words; may be empty.
    pub detail: String,
}

/// What is known of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginSeen {
    /// Its server has just taken it.
    Works,
    /// There is one. Whether its server takes it was not asked.
    There,
    /// Its server has refused it.
    Refused,
    /// There is none.
    None,
    /// The agent cannot tell, or did not.
    Unknown,
}

/// Looks. Blocking: programs are started, side by side, and each has a time limit.
///
/// # Errors
/// One line: there is no such agent, or no such account.
pub fn look(
    settings: &Settings,
    paths: &Paths,
    rows: &[AccountRow],
    asked: &Look,
) -> Result<Vec<Installed>, String> {
    if let Some(name) = &asked.agent {
        // What is wrong with the file that may describe it is told by its own entry.
        let is_described = known(settings).iter().any(|known| known.name == *name);
        if !is_described {
            agent(settings, name)
                .map(drop)
                .map_err(|why| format!("agent: {why}"))?;
        }
    }
    let wanted: Vec<Known> = known(settings)
        .into_iter()
        .filter(|known| asked.agent.as_ref().is_none_or(|name| *name == known.name))
        .collect();
    check_account(asked, rows)?;
    let verified = installed::load(&paths.state_dir);
    let one = |known: &Known| {
        let mut found = installed_of(settings, known, asked);
        let seen = verified.get(&known.name);
        found.contract = seen.filter(|_| known.is_claude()).and_then(|seen| {
            let identity = Identity::of(found.path.as_ref()?).ok()?;
            (identity == seen.identity).then(|| ContractSeen {
                kept: seen.broken.is_empty(),
                broken: seen.broken.clone(),
                at: seen.at,
            })
        });
        if (asked.logins || asked.ask_server) && found.path.is_some() {
            found.accounts = logins(settings, paths, known, &found, rows, asked);
        }
        found
    };
    let one = &one;
    let found = std::thread::scope(|scope| {
        let looks: Vec<_> = wanted
            .iter()
            .map(|known| scope.spawn(move || one(known)))
            .collect();
        // None of them panics; if one did, it would be missing from the answer.
        looks
            .into_iter()
            .filter_map(|look| look.join().ok())
            .collect()
    });
    Ok(found)
}

fn check_account(asked: &Look, rows: &[AccountRow]) -> Result<(), String> {
    let Some(name) = &asked.account else {
        return Ok(());
    };
    let of_agent = |row: &&AccountRow| asked.agent.as_ref().is_none_or(|agent| row.agent == *agent);
    let is_known = name == Prompt::DEFAULT_ACCOUNT
        || rows.iter().filter(of_agent).any(|row| row.name == *name);
    if is_known {
        Ok(())
    } else {
        Err(format!(
            "account: there is no account named {name:?}; `taskctl account list` names them"
        ))
    }
}

fn installed_of(settings: &Settings, known: &Known, asked: &Look) -> Installed {
    let program = known.program(settings);
    let login = known.login();
    let mut found = Installed {
        agent: known.name.clone(),
        described_by: known.described_by.clone(),
        path: None,
        version: None,
        standing: None,
        tried: known.tried(),
        problem: None,
        contract: None,
        accounts: Vec::new(),
        login_args: login
            .filter(|login| !login.run.is_empty())
            .map(|login| login.run),
        config_dir_variable: known.config_dir(),
        program,
    };
    if let Err(why) = &known.agent {
        found.problem = Some(why.clone());
        return found;
    }
    let path = asked.env.get("PATH").map(String::as_str);
    let place = match find(&found.program, path) {
        Ok(place) => place,
        Err(why) => {
            found.problem = Some(format!("its program ({}) {why}", found.program));
            return found;
        }
    };
    let args = known.version_args();
    if args.is_empty() {
        found.standing = Some(Standing::Unknown);
    } else {
        let told = installed::version(&place, &args, &asked.env);
        let standing = Standing::of(told.as_ref().ok().copied(), found.tried);
        found.standing = Some(standing);
        found.version = told.as_ref().ok().map(ToString::to_string);
        found.problem = told.err().or_else(|| {
            let tried = found.tried.filter(|_| standing == Standing::TooOld)?;
            let version = found.version.as_deref().unwrap_or_default();
            Some(format!(
                "version {version} is too old: install {} or newer",
                tried.oldest
            ))
        });
    }
    found.path = Some(place);
    found
}

fn logins(
    settings: &Settings,
    paths: &Paths,
    known: &Known,
    found: &Installed,
    rows: &[AccountRow],
    asked: &Look,
) -> Vec<AccountLogin> {
    let of_agent = rows.iter().filter(|row| row.agent == known.name);
    let mut specs: BTreeMap<String, AccountSpec> = of_agent
        .map(|row| {
            let spec = serde_json::from_str(&row.spec).unwrap_or_default();
            (row.name.clone(), spec)
        })
        .collect();
    specs.entry(Prompt::DEFAULT_ACCOUNT.to_owned()).or_default();
    specs.retain(|name, _| asked.account.as_ref().is_none_or(|wanted| wanted == name));
    let one = |(account, spec): (String, AccountSpec)| {
        let (login, detail) = match environment_of(settings, known, &spec, asked) {
            Err(why) => (LoginSeen::Unknown, why),
            Ok(env) => login_of(settings, paths, known, found, &env, asked),
        };
        AccountLogin {
            account,
            login,
            detail,
        }
    };
    specs.into_iter().map(one).collect()
}

/// The environment of a run on this account.
fn environment_of(
    settings: &Settings,
    known: &Known,
    spec: &AccountSpec,
    asked: &Look,
) -> Result<BTreeMap<String, String>, String> {
    let mut env = asked.env.clone();
    env.extend(spec.env.clone());
    match &known.agent {
        Ok(Agent::Claude) => change_for_claude(&mut env, settings, spec),
        Ok(Agent::Described(rules)) => change_for_described(&mut env, rules, spec),
        Err(_) => {}
    }
    for (name, source) in &spec.secrets {
        let value = secret(name, source).map_err(|error| error.to_string())?;
        env.insert(name.clone(), value);
    }
    Ok(env)
}

fn login_of(
    settings: &Settings,
    paths: &Paths,
    known: &Known,
    found: &Installed,
    env: &BTreeMap<String, String>,
    asked: &Look,
) -> (LoginSeen, String) {
    let Some(program) = &found.path else {
        return (LoginSeen::Unknown, String::new());
    };
    // An old program may take these words for a prompt, and answer it.
    if known.is_claude() && !matches!(found.standing, Some(Standing::Tried | Standing::Newer)) {
        return (
            LoginSeen::Unknown,
            "its version is not one that can be asked".to_owned(),
        );
    }
    let (state, detail) = installed::login(program, &known.login().unwrap_or_default(), env);
    match state {
        LoginState::None => (LoginSeen::None, detail),
        LoginState::There | LoginState::Unknown if asked.ask_server => {
            ask_server(settings, paths, known, program, env)
                .unwrap_or_else(|why| (LoginSeen::Unknown, why))
        }
        LoginState::There => (LoginSeen::There, detail),
        LoginState::Unknown => (LoginSeen::Unknown, detail),
    }
}

/// One tiny request, as the daemon's own probes are.
fn ask_server(
    settings: &Settings,
    paths: &Paths,
    known: &Known,
    program: &Path,
    env: &BTreeMap<String, String>,
) -> Result<(LoginSeen, String), String> {
    let session = installed::session_id().map_err(|error| error.to_string())?;
    let text = Some(settings.probe_prompt.as_str()).filter(|text| !text.trim().is_empty());
    let text = text.unwrap_or("Answer with the word ok.");
    let (argv, driver) = match &known.agent {
        Ok(Agent::Claude) => {
            let model = Some(settings.probe_model.clone()).filter(|model| !model.is_empty());
            let state = AgentState::default();
            let argv = claude_argv(&Options::probe(model), &state, &session, text)?;
            let resumed = false;
            (argv, Driver::Claude { session, resumed })
        }
        Ok(Agent::Described(rules)) => {
            let prompt = Prompt::of(text.to_owned(), known.name.clone(), String::new());
            let argv = described_argv(rules, &prompt, false, &session, text)?;
            let (rules, resumed) = (rules.clone(), false);
            (argv, Driver::Rules { rules, resumed })
        }
        Err(why) => return Err(why.clone()),
    };
    let cwd = probe_dir(paths).map_err(|error| error.to_string())?;
    let reply = ask(&Question {
        program,
        args: &argv,
        env,
        cwd: &cwd,
        limit_ms: REQUEST_LIMIT_MS,
        output_max_bytes: OUTPUT_MAX_BYTES,
    })
    .map_err(|error| error.to_string())?;
    let mut reading = Reading::new(&driver);
    reading.stdout(&reply.stdout);
    reading.stderr(&reply.stderr);
    let verdict = reading.finish(&ProcessEnd {
        exit_code: reply.exit_code,
        signal: reply.signal,
        stop_sent: reply.timed_out,
        now: super::clock::now(),
    });
    let block = verdict.report.block.map(|block| block.kind);
    let login = match (verdict.kind, block) {
        (kind, _) if was_served(kind) => LoginSeen::Works,
        (OutcomeKind::Limited, Some(BlockKind::Login)) => LoginSeen::Refused,
        // Its server knows who asks: it says how much is left.
        (
            OutcomeKind::Limited,
            Some(
                BlockKind::FiveHour
                | BlockKind::Weekly
                | BlockKind::Model
                | BlockKind::Overage
                | BlockKind::Credit
                | BlockKind::Spend,
            ),
        ) => LoginSeen::Works,
        _ => LoginSeen::Unknown,
    };
    Ok((login, verdict.detail))
}
