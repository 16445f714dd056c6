//! The options of Claude Code's command line, as far as telling a prompt from an option's value needs it (2.1.329).

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing.
    Nothing,
    /// The next argument, whatever it is.
    One,
    /// The next argument unless that is an option.
    Perhaps,
    /// All arguments up to the next option.
    Many,
}

const ONE: [&str; 31] = [
    "--agent",
    "--agents",
    "--append-system-prompt",
    "--append-system-prompt-file",
    "--autocompact",
    "--debug-file",
    "--effort",
    "--environment",
    "--fallback-model",
    "--input-format",
    "--json-schema",
    "--max-budget-usd",
    "--max-turns",
    "--max-thinking-tokens",
    "--model",
    "-n",
    "--name",
    "--output-format",
    "--permission-mode",
    "--permission-prompt-tool",
    "--permission-prompts",
    "--plugin-dir",
    "--plugin-url",
    "--query",
    "--remote-control-session-name-prefix",
    "--session-id",
    "--setting-sources",
    "--settings",
    "--system-prompt",
    "--system-prompt-file",
    "--system-prompt-snapshot",
];

const PERHAPS: [&str; 12] = [
    "--cloud",
    "-d",
    "--debug",
    "--from-pr",
    "--prompt-suggestions",
    "-r",
    "--remote-control",
    "--rc",
    "--resume",
    "--teleport",
    "-w",
    "--worktree",
];

const MANY: [&str; 9] = [
    "--add-dir",
    "--allowedTools",
    "--allowed-tools",
    "--betas",
    "--disallowedTools",
    "--disallowed-tools",
    "--file",
    "--mcp-config",
    "--tools",
];

const NOTHING: [&str; 29] = [
    "--allow-dangerously-skip-permissions",
    "--ax-screen-reader",
    "--bare",
    "--bg",
    "--background",
    "--brief",
    "--chrome",
    "-c",
    "--continue",
    "--dangerously-skip-permissions",
    "--desktop",
    "--disable-slash-commands",
    "--exclude-dynamic-system-prompt-sections",
    "--fork-session",
    "--forward-subagent-text",
    "-h",
    "--help",
    "--ide",
    "--include-hook-events",
    "--include-partial-messages",
    "--no-chrome",
    "--no-session-persistence",
    "-p",
    "--print",
    "--replay-user-messages",
    "--restricted",
    "--safe-mode",
    "--strict-mcp-config",
    "--verbose",
];

/// Subcommands: such a command line asks the program itself for something, and not an agent.
pub(super) const SUBCOMMANDS: [&str; 20] = [
    "agents",
    "attach",
    "auth",
    "auto-mode",
    "config",
    "doctor",
    "gateway",
    "import",
    "install",
    "kill",
    "logs",
    "mcp",
    "plugin",
    "plugins",
    "purge",
    "respawn",
    "setup-token",
    "stop",
    "update",
    "upgrade",
];

/// What `flag` takes; `None` = we do not know it.
pub(super) fn takes(flag: &str) -> Option<Takes> {
    [
        (&NOTHING[..], Takes::Nothing),
        (&ONE, Takes::One),
        (&PERHAPS, Takes::Perhaps),
        (&MANY, Takes::Many),
    ]
    .into_iter()
    .find(|(flags, _)| flags.contains(&flag))
    .map(|(_, takes)| takes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_stands_in_one_table() {
        let mut all = [&NOTHING[..], &ONE, &PERHAPS, &MANY].concat();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|flag| flag.starts_with('-')));
        assert_eq!(takes("--model"), Some(Takes::One));
        assert_eq!(takes("--new-thing"), None);
    }
}
