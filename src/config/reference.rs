//! The reference page of the settings, made from their table.

use std::fmt::Write as _;

use super::keys::{KEYS, Key, Reload};

/// The text before the table.
const HEAD: &str = "\
# Settings

<!-- Generated from src/config/keys.rs: UPDATE_DOCS=1 cargo test --test config -->

Settings come from three places; a later one wins: the defaults, the configuration file, the environment.
`auto-claude check-config` prints the settings in force and where each came from; `auto-claude init` writes a commented
file. Bad input is refused as a whole, with all mistakes at once: file, line, key, value, what is allowed, and the known
name that looks most like an unknown one.

## Where the file is

| who runs the daemon | configuration | state directory | control socket |
|---|---|---|---|
| a user | `$XDG_CONFIG_HOME/auto-claude/config.toml` (else `~/.config/…`) | `$XDG_STATE_HOME/auto-claude` (else `~/.local/state/…`) | `auto-claude.sock` in the state directory |
| root, or the systemd service | `/etc/auto-claude/config.toml` | `/var/lib/auto-claude` | `/run/auto-claude/auto-claude.sock` |
| anybody with `--state-dir DIR` | `DIR/config.toml` | `DIR` | `DIR/auto-claude.sock` |

`--config FILE` names another file; then it must exist. Without a file the defaults hold. Under systemd
`STATE_DIRECTORY`, `CONFIGURATION_DIRECTORY` and `RUNTIME_DIRECTORY` are followed.
`taskctl` looks at `--socket`, then `AUTO_CLAUDE_SOCKET`, then `--state-dir`; when none of them is given it tries the
user's own daemon and then the service's.

## The file

TOML, all names at the top level, at most 1 MiB. An environment variable that is empty counts as not set; the words
`1 yes on` and `0 no off` are taken for true and false there.

## Reload

On SIGHUP the daemon loads the file again. A file with a mistake is refused and the settings before it stay in force.
What an attempt was started with stays with it. Settings marked *restart* keep their value until the daemon is started
again.
";

/// The whole page.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = HEAD.to_owned();
    let mut group = "";
    for key in KEYS {
        if key.group != group {
            group = key.group;
            let _ = write!(
                page,
                "\n## {group}\n\n| name | default | allowed | reload | meaning |\n|---|---|---|---|---|\n"
            );
        }
        row(&mut page, key);
    }
    page
}

fn row(page: &mut String, key: &Key) {
    let default = match key.default_note {
        Some(note) => format!("`{}`: {note}", key.default_value().to_toml()),
        None => format!("`{}`", key.default_value().to_toml()),
    };
    let unit = if key.unit.is_empty() {
        String::new()
    } else {
        format!(" ({})", key.unit)
    };
    let env = key
        .env
        .map_or_else(String::new, |env| format!(" Environment: `{env}`."));
    let reload = match key.reload {
        Reload::Applied => "applied",
        Reload::NeedsRestart => "restart",
    };
    let _ = writeln!(
        page,
        "| `{}` | {default} | {}{unit} | {reload} | {}{env} |",
        key.name,
        key.kind.allowed(),
        key.summary
    );
}
