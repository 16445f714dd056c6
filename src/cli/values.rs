//! Words of the command line that stand for values of the model: states, types, priorities, policies, references.
//!
//! Names are clap's possible values, so a wrong one is answered with "did you mean" and the whole list.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::task::{AfterFailed, IfLost, Priority, RetryOn, SecretRef, State, TaskType};

/// One name of a value, other names that are taken too, and the value.
struct Word<T: 'static> {
    name: &'static str,
    aliases: &'static [&'static str],
    value: T,
}

const fn word<T>(name: &'static str, aliases: &'static [&'static str], value: T) -> Word<T> {
    Word {
        name,
        aliases,
        value,
    }
}

fn parser<T: Clone + Send + Sync + 'static>(
    words: &'static [Word<T>],
) -> impl TypedValueParser<Value = T> {
    let possible = words
        .iter()
        .map(|word| PossibleValue::new(word.name).aliases(word.aliases.iter().copied()));
    PossibleValuesParser::new(possible).try_map(|text| {
        let found = words
            .iter()
            .find(|word| word.name == text || word.aliases.contains(&text.as_str()));
        found
            .map(|word| word.value.clone())
            .ok_or("not a known name")
    })
}

/// States.
#[must_use]
pub fn states() -> impl TypedValueParser<Value = State> {
    let possible = State::ALL.map(|state| PossibleValue::new(state.name()));
    PossibleValuesParser::new(possible)
        .try_map(|text| State::from_name(&text).ok_or("not a known state"))
}

static PRIORITIES: [Word<Priority>; 4] = [
    word("low", &[], Priority::Low),
    word("normal", &[], Priority::Normal),
    word("high", &[], Priority::High),
    word("urgent", &[], Priority::Urgent),
];

/// Priorities.
#[must_use]
pub fn priorities() -> impl TypedValueParser<Value = Priority> {
    parser(&PRIORITIES)
}

/// The name of a priority.
#[must_use]
pub fn priority_name(value: Priority) -> &'static str {
    name_of(&PRIORITIES, value)
}

static TYPES: [Word<TaskType>; 3] = [
    word("lightweight", &["light"], TaskType::Lightweight),
    word(
        "medium_context",
        &["medium-context", "medium"],
        TaskType::MediumContext,
    ),
    word(
        "heavy_context",
        &["heavy-context", "heavy"],
        TaskType::HeavyContext,
    ),
];

/// Task types.
#[must_use]
pub fn task_types() -> impl TypedValueParser<Value = TaskType> {
    parser(&TYPES)
}

/// The name of a task type.
#[must_use]
pub fn task_type_name(value: TaskType) -> &'static str {
    name_of(&TYPES, value)
}

fn name_of<T: PartialEq>(words: &'static [Word<T>], value: T) -> &'static str {
    words
        .iter()
        .find(|word| word.value == value)
        .map_or("?", |word| word.name)
}

static AFTER_FAILED: [Word<AfterFailed>; 2] = [
    word("fail", &[], AfterFailed::Fail),
    word("run", &[], AfterFailed::Run),
];

/// What a failed predecessor means.
#[must_use]
pub fn after_failed() -> impl TypedValueParser<Value = AfterFailed> {
    parser(&AFTER_FAILED)
}

static IF_LOST: [Word<IfLost>; 4] = [
    word("resume", &[], IfLost::Resume),
    word("rerun", &[], IfLost::Rerun),
    word("review", &[], IfLost::Review),
    word("fail", &[], IfLost::Fail),
];

/// What follows a lost attempt.
#[must_use]
pub fn if_lost() -> impl TypedValueParser<Value = IfLost> {
    parser(&IF_LOST)
}

static RETRY_ON: [Word<RetryOn>; 6] = [
    word("any", &[], RetryOn::Any),
    word("exit", &[], RetryOn::Exit),
    word("signal", &[], RetryOn::Signal),
    word("timeout", &[], RetryOn::Timeout),
    word("spawn", &[], RetryOn::Spawn),
    word("agent", &[], RetryOn::Agent),
];

/// Reads what is retried: a name, or an exit code.
///
/// # Errors
/// One sentence for the user.
pub fn retry_on(text: &str) -> Result<RetryOn, String> {
    if let Some(word) = RETRY_ON.iter().find(|word| word.name == text) {
        return Ok(word.value);
    }
    if let Ok(code @ 1..=255) = text.parse::<u8>() {
        return Ok(RetryOn::Code(code));
    }
    let names: Vec<&str> = RETRY_ON.iter().map(|word| word.name).collect();
    let meant = nearest(text, &names)
        .map(|name| format!(" (did you mean {name}?)"))
        .unwrap_or_default();
    Err(format!(
        "{text:?} is none of {} or an exit code 1-255{meant}",
        names.join(", ")
    ))
}

/// The name of what is retried.
#[must_use]
pub fn retry_on_name(value: RetryOn) -> String {
    match value {
        RetryOn::Code(code) => code.to_string(),
        RetryOn::Any
        | RetryOn::Exit
        | RetryOn::Signal
        | RetryOn::Timeout
        | RetryOn::Spawn
        | RetryOn::Agent => name_of(&RETRY_ON, value).to_owned(),
    }
}

/// Names at least this alike (0..=1, Jaro-Winkler) are offered as "did you mean".
const ALIKE: f64 = 0.7;

/// The name most like `text`, if one is like it at all.
#[must_use]
pub fn nearest<'a>(text: &str, names: &[&'a str]) -> Option<&'a str> {
    names
        .iter()
        .map(|name| (strsim::jaro_winkler(text, name), *name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// A variable for the task: with its value, or the submitter's own one by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvArg {
    /// `NAME=VALUE`.
    Set(String, String),
    /// `NAME`: the submitter's value.
    Keep(String),
}

/// Reads `NAME=VALUE` or `NAME`.
///
/// # Errors
/// One sentence for the user.
pub fn env_arg(text: &str) -> Result<EnvArg, String> {
    let arg = match text.split_once('=') {
        Some((name, value)) => EnvArg::Set(name.to_owned(), value.to_owned()),
        None => EnvArg::Keep(text.to_owned()),
    };
    let (EnvArg::Set(name, _) | EnvArg::Keep(name)) = &arg;
    check_env_name(name)?;
    Ok(arg)
}

fn check_env_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains('\0') {
        return Err("the variable has no name; write NAME=VALUE".to_owned());
    }
    Ok(())
}

/// A secret by reference, as it was written: a relative path is not yet resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretArg {
    /// The variable in the task's environment.
    pub name: String,
    /// Where its value comes from.
    pub from: SecretRef,
}

/// Reads `NAME=file:PATH`, `NAME=credential:NAME` or `NAME=env:NAME`. The message never repeats what was given: it
/// may be the secret itself.
///
/// # Errors
/// One sentence for the user.
pub fn secret_arg(text: &str) -> Result<SecretArg, String> {
    const WANTED: &str =
        "a secret is given by reference: NAME=file:PATH, NAME=credential:NAME or NAME=env:NAME";
    let (name, reference) = text.split_once('=').ok_or(WANTED)?;
    check_env_name(name)?;
    let (kind, value) = reference
        .split_once(':')
        .filter(|(_, value)| !value.is_empty())
        .ok_or(WANTED)?;
    let from = match kind {
        "file" => SecretRef::File(PathBuf::from(value)),
        "credential" => SecretRef::Credential(value.to_owned()),
        "env" => SecretRef::Env(value.to_owned()),
        _ => return Err(WANTED.to_owned()),
    };
    Ok(SecretArg {
        name: name.to_owned(),
        from,
    })
}
