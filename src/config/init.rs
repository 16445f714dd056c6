//! What `init` writes: the commented default configuration, with the tools of this machine.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::check::is_executable;
use super::keys::{KEYS, Key, Kind, Reload};
use super::value::Value;

/// Programs worth knowing about: the shell, agents, and what agents use.
pub const TOOLS: &[&str] = &[
    "sh", "claude", "codex", "gemini", "opencode", "qwen", "git", "bwrap",
];

/// The tools of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundTools {
    /// Each of [`TOOLS`] that was found, with its absolute path, in that order.
    pub tools: Vec<(&'static str, PathBuf)>,
}

impl FoundTools {
    /// The path of one tool.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Path> {
        self.tools
            .iter()
            .find(|(tool, _)| *tool == name)
            .map(|(_, path)| path.as_path())
    }
}

/// Looks for [`TOOLS`] along `path_var` (the value of `PATH`); relative entries of it are passed over.
#[must_use]
pub fn find_tools(path_var: &OsStr) -> FoundTools {
    let mut tools = Vec::new();
    for name in TOOLS {
        let mut places = std::env::split_paths(path_var)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(name));
        if let Some(path) = places.find(|path| is_executable(path) == Ok(true)) {
            tools.push((*name, path));
        }
    }
    FoundTools { tools }
}

/// The commented configuration: every setting with its meaning, unit, range and default. All stand at their defaults
/// behind a `#`, but for the shell, where `tools` knows another path than the default's.
#[must_use]
pub fn default_config_text(tools: &FoundTools) -> String {
    let mut text = String::from(
        "# auto-claude: settings.\n\
         #\n\
         # Every setting stands here with its default, behind a `#`: take the `#` away to change it.\n\
         # `auto-claude check-config` shows what is in force and where it comes from.\n\
         # A running daemon takes changes over on SIGHUP (`systemctl reload auto-claude`); a file with a mistake is\n\
         # refused as a whole, and the settings before it stay in force.\n",
    );
    if !tools.tools.is_empty() {
        text.push_str("#\n# Tools found on this machine when this file was written:\n");
        for (name, path) in &tools.tools {
            let path: String = path
                .to_string_lossy()
                .chars()
                .flat_map(char::escape_debug)
                .collect();
            let _ = writeln!(text, "#   {name:<9} {path}");
        }
    }
    let mut group = "";
    for key in KEYS {
        if key.group != group {
            group = key.group;
            let _ = write!(text, "\n# ---- {group} ----\n");
        }
        text.push('\n');
        describe(&mut text, key);
        match shell_found(key, tools) {
            Some(shell) => {
                let _ = writeln!(text, "{} = {}", key.name, shell.to_toml());
            }
            None => {
                let _ = writeln!(text, "#{} = {}", key.name, key.default_value().to_toml());
            }
        }
    }
    text
}

/// The shell's path as a value, where `key` is the shell and the default's path is not on this machine.
fn shell_found(key: &Key, tools: &FoundTools) -> Option<Value> {
    let Value::Text(default) = key.default_value() else {
        return None;
    };
    let found = tools.get("sh").and_then(Path::to_str)?;
    let is_other =
        matches!(key.kind, Kind::Program) && is_executable(Path::new(&default)) != Ok(true);
    is_other.then(|| Value::Text(found.to_owned()))
}

/// The lines of comment above a setting.
fn describe(text: &mut String, key: &Key) {
    let _ = writeln!(text, "# {}", key.summary);
    let unit = if key.unit.is_empty() {
        String::new()
    } else {
        format!("Unit: {}. ", key.unit)
    };
    let _ = writeln!(text, "# {unit}Allowed: {}.", key.kind.allowed());
    let note = key
        .default_note
        .map_or_else(String::new, |note| format!(" ({note})"));
    let _ = writeln!(text, "# Default: {}{note}.", key.default_value().to_toml());
    if let Some(env) = key.env {
        let _ = writeln!(text, "# The environment variable {env} wins over it.");
    }
    if key.reload == Reload::NeedsRestart {
        text.push_str("# A change needs a restart of the daemon.\n");
    }
}
