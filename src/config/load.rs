//! File and environment → checked settings, with the origin of each value.
//!
//! Invariants: a load either gives settings that are wholly inside their ranges, or an error that holds every problem;
//! the environment wins over the file, the file over the defaults.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::check::{self, Fault};
use super::file::{self, Entry};
use super::keys::{KEYS, Key};
use super::problem::{ConfigError, Place, Problem};
use super::rights::Trust;
use super::settings::Settings;

/// Where one value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line of the key, from 1.
        line: Option<usize>,
    },
    /// An environment variable.
    Env {
        /// Its name.
        name: &'static str,
    },
}

impl std::fmt::Display for Origin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => write!(out, "default"),
            Self::File {
                path,
                line: Some(line),
            } => write!(out, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(out, "{}", path.display()),
            Self::Env { name } => write!(out, "environment {name}"),
        }
    }
}

/// What settings are made from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The configuration file; `None` = defaults and environment only.
    pub file: Option<PathBuf>,
    /// The environment.
    pub env: BTreeMap<OsString, OsString>,
    /// The host's name, the default of `machine_id`.
    pub host_name: String,
    /// Whose file is believed.
    pub trust: Trust,
}

impl Sources {
    /// The sources of this process: its environment, its host's name, and `file`.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>) -> Self {
        let host_name = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        Self {
            file,
            env: std::env::vars_os().collect(),
            host_name,
            trust: Trust::Own,
        }
    }
}

/// Checked settings and where each came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    /// The settings.
    pub settings: Settings,
    /// The origin of each, by its name in the file; every name is there.
    pub origins: BTreeMap<&'static str, Origin>,
}

/// Builds the settings from `sources`.
///
/// # Errors
/// [`ConfigError`] with every problem found; then nothing of the sources is taken over.
pub fn load(sources: &Sources) -> Result<Effective, ConfigError> {
    let (mut entries, mut problems) = match &sources.file {
        None => (Vec::new(), Vec::new()),
        Some(path) => match file::read(path, sources.trust) {
            Ok(text) => file::parse(path, &text),
            Err(problem) => (Vec::new(), vec![problem]),
        },
    };
    let (from_env, env_problems) = env_entries(&sources.env);
    // Later entries win: the environment comes after the file.
    entries.extend(from_env);

    let mut settings = Settings::default();
    let mut origins: BTreeMap<&'static str, Origin> =
        KEYS.iter().map(|key| (key.name, Origin::Default)).collect();
    let mut refused = Vec::new();
    for entry in entries {
        match check::check(&entry.key.kind, &entry.raw) {
            Ok(value) => {
                entry.key.set(&mut settings, &value);
                origins.insert(entry.key.name, origin(entry.place));
            }
            Err(faults) => {
                refused.push(entry.key.name);
                problems.extend(
                    faults
                        .into_iter()
                        .map(|fault| bad_value(entry.key, &entry.place, fault)),
                );
            }
        }
    }
    if settings.machine_id.is_empty() {
        settings.machine_id = machine_name(&sources.host_name);
    }
    problems.extend(env_problems);
    let effective = Effective { settings, origins };
    problems.extend(contradictions(&effective, &refused));
    if problems.is_empty() {
        return Ok(effective);
    }
    // The file's problems first, in its order (a stable sort keeps a line's own order).
    problems.sort_by_key(|problem| (matches!(problem.place(), Place::Env(_)), problem.line()));
    Err(ConfigError { problems })
}

/// The environment's values; an empty variable counts as not set.
fn env_entries(env: &BTreeMap<OsString, OsString>) -> (Vec<Entry>, Vec<Problem>) {
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    for key in KEYS {
        let Some(name) = key.env else { continue };
        let Some(value) = env
            .get(std::ffi::OsStr::new(name))
            .filter(|value| !value.is_empty())
        else {
            continue;
        };
        let place = Place::Env(name);
        match value.to_str() {
            Some(text) => entries.push(Entry {
                key,
                raw: check::from_env_text(&key.kind, text),
                place,
            }),
            None => {
                let fault = Fault {
                    suffix: String::new(),
                    value: "text that is not UTF-8".to_owned(),
                    allowed: key.kind.allowed(),
                };
                problems.push(bad_value(key, &place, fault));
            }
        }
    }
    (entries, problems)
}

fn bad_value(key: &Key, place: &Place, fault: Fault) -> Problem {
    Problem::BadValue {
        place: place.clone(),
        key: format!("{}{}", key.name, fault.suffix),
        value: fault.value,
        allowed: fault.allowed,
    }
}

fn origin(place: Place) -> Origin {
    match place {
        Place::File { path, position } => Origin::File {
            path,
            line: position.map(|(line, _)| line),
        },
        Place::Env(name) => Origin::Env { name },
    }
}

/// The host's name, made fit to be a machine's name.
fn machine_name(host: &str) -> String {
    let fit = |character: char| {
        if character.is_ascii_alphanumeric() || ".-_".contains(character) {
            character
        } else {
            '-'
        }
    };
    let name: String = host
        .chars()
        .map(fit)
        .take(super::keys::MAX_MACHINE_NAME_BYTES)
        .collect();
    if check::is_machine_name(&name) {
        name
    } else {
        "localhost".to_owned()
    }
}

/// Proofs of life a worker may miss before it counts as hung.
const MIN_HEARTBEATS_MISSED: u64 = 3;

/// Two settings of which one must be at least a multiple of the other: values that are fine alone and wrong together.
struct Rule {
    low: (&'static str, u64),
    high: (&'static str, u64),
    factor: u64,
}

/// The broken rules; a value that was refused already breaks none.
fn contradictions(effective: &Effective, refused: &[&'static str]) -> Vec<Problem> {
    let settings = &effective.settings;
    let rules = [
        Rule {
            low: ("retry_base_seconds", settings.retry_base_seconds),
            high: ("retry_max_seconds", settings.retry_max_seconds),
            factor: 1,
        },
        Rule {
            low: ("heartbeat_seconds", settings.heartbeat_seconds),
            high: (
                "heartbeat_timeout_seconds",
                settings.heartbeat_timeout_seconds,
            ),
            factor: MIN_HEARTBEATS_MISSED,
        },
    ];
    rules
        .iter()
        .filter_map(|rule| broken(rule, effective, refused))
        .collect()
}

fn broken(rule: &Rule, effective: &Effective, refused: &[&'static str]) -> Option<Problem> {
    let Rule { low, high, factor } = rule;
    if high.1 >= factor * low.1 || refused.contains(&low.0) || refused.contains(&high.0) {
        return None;
    }
    // The blame goes to what was set: the defaults do not contradict each other.
    let (name, value) = [high, low]
        .into_iter()
        .find(|(name, _)| effective.origins.get(name) != Some(&Origin::Default))?;
    let place = match effective.origins.get(name)? {
        Origin::File { path, line } => Place::File {
            path: path.clone(),
            position: line.map(|line| (line, 1)),
        },
        Origin::Env { name } => Place::Env(name),
        Origin::Default => return None,
    };
    let times = if *factor == 1 {
        String::new()
    } else {
        format!("{factor} times ")
    };
    let allowed = format!(
        "such that {} ({}) is at least {times}{} ({})",
        high.0, high.1, low.0, low.1
    );
    Some(Problem::BadValue {
        place,
        key: (*name).to_owned(),
        value: value.to_string(),
        allowed,
    })
}

impl Effective {
    /// The settings as a file that loads to the same settings, with the origin of each value behind it.
    #[must_use]
    pub fn render(&self) -> String {
        let rows: Vec<(String, &Origin)> = KEYS
            .iter()
            .map(|key| {
                (
                    format!("{} = {}", key.name, key.get(&self.settings).to_toml()),
                    self.origins.get(key.name).unwrap_or(&Origin::Default),
                )
            })
            .collect();
        // Long values do not push all origins out of sight.
        let width = rows
            .iter()
            .map(|(row, _)| row.chars().count())
            .filter(|width| *width <= MAX_ALIGNED_CHARS)
            .max()
            .unwrap_or(0);
        let mut text = String::new();
        for (row, origin) in rows {
            let origin: String = origin
                .to_string()
                .chars()
                .flat_map(|character| {
                    // A line break in a file's name would end the comment.
                    if character.is_control() {
                        character.escape_default().collect::<Vec<_>>()
                    } else {
                        vec![character]
                    }
                })
                .collect();
            let _ = writeln!(text, "{row:<width$}  # {origin}");
        }
        text
    }

    /// The settings as JSON: name → `{"value": …, "origin": {"kind": "default" | "file" | "env", …}}`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let rows = KEYS.iter().map(|key| {
            let origin = match self.origins.get(key.name).unwrap_or(&Origin::Default) {
                Origin::Default => serde_json::json!({"kind": "default"}),
                Origin::File { path, line } => serde_json::json!({"kind": "file", "path": path.to_string_lossy(), "line": line}),
                Origin::Env { name } => serde_json::json!({"kind": "env", "name": name}),
            };
            (key.name.to_owned(), serde_json::json!({"value": key.get(&self.settings).to_json(), "origin": origin}))
        });
        serde_json::Value::Object(rows.collect())
    }
}

/// Widest row that the column of origins makes room for, in characters.
const MAX_ALIGNED_CHARS: usize = 60;
