//! How a person goes on in an agent's session: a line for a shell, exact enough to be copied.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a person runs to be where the task's agent was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    /// The directory in which the agent knows the session.
    pub cwd: PathBuf,
    /// Variables that lead it to its login and its sessions.
    pub env: BTreeMap<String, String>,
    /// Variables whose values stand in files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, PathBuf>,
    /// Variables that the person has to set: where their values are, only the daemon can read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// The program and its arguments.
    pub argv: Vec<String>,
}

impl ByHand {
    /// As a line for any POSIX shell.
    #[must_use]
    pub fn line(&self) -> String {
        format!("cd {} && {}", self.directory(), self.words())
    }

    /// The same for a shell that is to become the program, so that a signal for the one reaches the other.
    #[must_use]
    pub fn exec_line(&self) -> String {
        format!("cd {} && exec env {}", self.directory(), self.words())
    }

    fn directory(&self) -> String {
        quoted(&self.cwd.to_string_lossy())
    }

    fn words(&self) -> String {
        let env = self
            .env
            .iter()
            .map(|(name, value)| format!("{name}={}", quoted(value)));
        let files = self
            .files
            .iter()
            .map(|(name, path)| format!("{name}=\"$(cat {})\"", quoted(&path.to_string_lossy())));
        let argv = self.argv.iter().map(|word| quoted(word));
        let words: Vec<String> = env.chain(files).chain(argv).collect();
        words.join(" ")
    }
}

/// A word quoted for a shell where it needs it.
fn quoted(word: &str) -> String {
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_harmless) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_line_as_it_was_meant() {
        let by_hand = ByHand {
            cwd: "/srv/it's here".into(),
            env: [("CLAUDE_CONFIG_DIR".to_owned(), "/srv/a b".to_owned())].into(),
            files: [("TOKEN".to_owned(), "/run/x".into())].into(),
            needs: Vec::new(),
            argv: ["claude", "--resume", "4-a", "--model", "opus[1m]", ""]
                .map(str::to_owned)
                .into(),
        };
        let line = by_hand.line();
        assert_eq!(
            line,
            r#"cd '/srv/it'\''s here' && CLAUDE_CONFIG_DIR='/srv/a b' TOKEN="$(cat /run/x)" claude --resume 4-a --model 'opus[1m]' ''"#
        );
        // The same command becomes the shell's own process.
        assert_eq!(by_hand.exec_line(), line.replacen("&& ", "&& exec env ", 1));
    }
}
