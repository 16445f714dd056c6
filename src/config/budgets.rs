//! Budgets in settings: one, or a list of them by name.

use std::collections::BTreeSet;

use super::check::{Fault, Raw, whole};
use super::keys::{BudgetOf, Kind, MAX_LIST_ITEMS, MAX_TEXT_BYTES};
use super::value::Value;
use crate::budget::{self, Budget};
use crate::task::Prompt;

/// Checks a budget; an empty text is none, a bare number is US dollars.
pub(super) fn budget(kind: &Kind, raw: &Raw) -> Result<Value, Vec<Fault>> {
    let text = match raw {
        Raw::Text(text) | Raw::Int(_, text) | Raw::Float(_, text) => text,
        Raw::Bool(_) | Raw::List(_) | Raw::Other(_) => return Err(whole(kind, raw)),
    };
    if text.is_empty() {
        return Ok(Value::Text(String::new()));
    }
    match budget::parse(text) {
        Ok(budget) => Ok(Value::Text(budget.to_string())),
        Err(why) => Err(vec![Fault {
            suffix: String::new(),
            value: raw.shown(),
            allowed: format!("{}: {why}", kind.allowed()),
        }]),
    }
}

/// Checks a list of budgets by name.
pub(super) fn budgets(kind: &Kind, of: BudgetOf, raw: &Raw) -> Result<Value, Vec<Fault>> {
    let Raw::List(items) = raw else {
        return Err(whole(kind, raw));
    };
    if items.len() > MAX_LIST_ITEMS {
        return Err(whole(kind, raw));
    }
    let (mut texts, mut faults, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (index, item) in items.iter().enumerate() {
        let checked = entry(of, item).and_then(|(name, budget)| {
            if names.insert(name.clone()) {
                Ok(format!("{name} = {budget}"))
            } else {
                Err("each name stands once".to_owned())
            }
        });
        match checked {
            Ok(text) => texts.push(text),
            Err(why) => faults.push(Fault {
                suffix: format!("[{index}]"),
                value: item.shown(),
                allowed: format!("a budget by name, as in {}: {why}", of.example()),
            }),
        }
    }
    if faults.is_empty() {
        Ok(Value::List(texts))
    } else {
        Err(faults)
    }
}

/// One entry with its name in the one form that it is looked for.
fn entry(of: BudgetOf, item: &Raw) -> Result<(String, Budget), String> {
    let Raw::Text(text) = item else {
        return Err("it is no text".to_owned());
    };
    if text.len() > MAX_TEXT_BYTES || text.contains(char::is_control) {
        return Err("it is too long or has control characters".to_owned());
    }
    let (name, budget) = budget::parse_entry(text)?;
    let name = match of {
        BudgetOf::Directories => directory(&name)?,
        BudgetOf::Accounts => account(&name)?,
    };
    Ok((name, budget))
}

fn directory(path: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err("the directory is no absolute path".to_owned());
    }
    let trimmed = path.trim_end_matches('/');
    Ok(if trimmed.is_empty() { "/" } else { trimmed }.to_owned())
}

fn account(name: &str) -> Result<String, String> {
    let (agent, account) = name
        .split_once('/')
        .unwrap_or((Prompt::DEFAULT_AGENT, name));
    Prompt::of("check".to_owned(), agent.to_owned(), account.to_owned())
        .check()
        .map_err(|error| error.to_string())?;
    Ok(format!("{agent}/{account}"))
}
