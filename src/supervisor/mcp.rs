//! Servers of tools that a prompt brings along for Claude Code: what is wrong with their configuration is told at the
//! submission. The agent itself goes on without a server that it cannot start, and says so in an event only.

use std::path::Path;

use serde_json::Value;

use super::small_file::read_text;
use crate::task::Prompt;

/// The agent's flag, which takes any number of files and pieces of JSON.
const FLAG: &str = "--mcp-config";
/// Longest file that is read.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// Whether the servers that the prompt's arguments name can be what the agent takes. Blocking: reads the files that they name.
///
/// # Errors
/// One line: which one is wrong, and how.
pub fn check(prompt: &Prompt, cwd: &Path) -> Result<(), String> {
    if prompt.agent != Prompt::DEFAULT_AGENT {
        return Ok(());
    }
    configurations(&prompt.args)
        .into_iter()
        .try_for_each(|given| one(given, cwd).map_err(|why| format!("args: {FLAG} {why}")))
}

fn configurations(args: &[String]) -> Vec<&str> {
    let mut found = Vec::new();
    let mut takes = false;
    for arg in args {
        match arg.strip_prefix(FLAG) {
            Some("") => takes = true,
            Some(rest) if rest.starts_with('=') => {
                found.push(rest.get(1..).unwrap_or_default());
                takes = false;
            }
            Some(_) | None if arg.starts_with('-') => takes = false,
            Some(_) | None if takes => found.push(arg),
            Some(_) | None => {}
        }
    }
    found
}

fn one(given: &str, cwd: &Path) -> Result<(), String> {
    // The agent takes for JSON what looks like an object.
    let (name, text) = if given.trim_start().starts_with('{') {
        ("its JSON".to_owned(), given.to_owned())
    } else {
        let path = cwd.join(given);
        let text = read_text(&path, FILE_MAX_BYTES)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        (path.display().to_string(), text)
    };
    let value: Value =
        serde_json::from_str(&text).map_err(|error| format!("{name}: is no JSON: {error}"))?;
    let servers = value
        .get("mcpServers")
        .and_then(Value::as_object)
        .ok_or_else(|| {
            format!("{name}: has no object \"mcpServers\" with a server for each name")
        })?;
    for (server, of) in servers {
        let says = |key: &str| {
            of.get(key)
                .and_then(Value::as_str)
                .is_some_and(|text| !text.is_empty())
        };
        if !says("command") && !says("url") {
            return Err(format!(
                "{name}: the server {server:?} has neither a \"command\" nor a \"url\""
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(args: &[&str], cwd: &Path) -> String {
        let mut prompt = Prompt::of("hi".to_owned(), "claude".to_owned(), "default".to_owned());
        prompt.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        check(&prompt, cwd).err().unwrap_or_default()
    }

    #[test]
    fn what_cannot_be_a_server_is_told_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write(
            "good.json",
            r#"{"mcpServers":{"a":{"command":"x"},"b":{"type":"http","url":"http://x"}}}"#,
        );
        write("none.json", "{}");
        write("text.json", "hello");
        write("bare.json", r#"{"mcpServers":{"a":{"args":[]}}}"#);
        for (args, part) in [
            (vec!["--mcp-config", "good.json"], ""),
            (vec!["--mcp-config=good.json", "--strict-mcp-config"], ""),
            (vec!["--mcp-config", r#"{"mcpServers":{}}"#], ""),
            (vec!["--strict-mcp-config", "gone.json"], ""),
            (vec!["--mcp-config", "gone.json"], "gone.json: No such file"),
            (vec!["--mcp-config=none.json"], "no object \"mcpServers\""),
            (
                vec!["--mcp-config", "good.json", "text.json", "--x"],
                "text.json: is no JSON",
            ),
            (
                vec!["--mcp-config", "bare.json"],
                "neither a \"command\" nor a \"url\"",
            ),
            (
                vec!["--mcp-config=/dev/zero"],
                "/dev/zero: it is no regular file",
            ),
            (
                vec!["--mcp-config", "{\"mcpServers\":"],
                "its JSON: is no JSON",
            ),
        ] {
            let said = said(&args, dir.path());
            assert!(
                said.contains(part) && said.is_empty() == part.is_empty(),
                "{args:?}: {said}"
            );
            assert!(!said.contains('\n'), "{said}");
        }
    }
}
