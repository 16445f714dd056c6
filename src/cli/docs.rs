//! `docs/cli.md`, generated from the command lines' own definitions and the named exit codes.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use super::args::Cli;
use super::daemon_args::DaemonCli;
use super::exit;

/// Width of the generated help texts, whatever terminal they are made on.
const COLUMNS: usize = 100;

/// The whole document.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(PREFACE);
    text.push_str("\n## Exit codes\n\nOf `taskctl`, and of `auto-claude run` where no exit status of the task is at hand:\n\n");
    text.push_str("| code | name | meaning |\n|---|---|---|\n");
    for named in exit::ALL {
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            named.code, named.name, named.meaning
        );
    }
    text.push_str("\nWhen several tasks were waited for, the heaviest code counts: a failed task before a cancelled one, that before one that waits for a person, that before one whose wait timed out.\n");
    for command in [Cli::command(), DaemonCli::command()] {
        let name = command.get_name().to_owned();
        section(&mut text, command, &name, 2);
    }
    text
}

const PREFACE: &str = "\
<!-- Generated from src/cli by `make docs`; a test checks that it is fresh. -->
# Command line

`taskctl` submits, watches and steers tasks; `auto-claude` is the daemon and what works without one.

## Finding the daemon

`taskctl` takes the first of: `--socket PATH`, `AUTO_CLAUDE_SOCKET`, `--state-dir DIR`, then the user's and the system's
default place. A place that was named is the only one that is tried.

## JSON

With `--json`, answers are JSON on stdout and errors are one line `{\"error\":{\"code\",\"message\"}}` on stderr. Lists are
arrays, one element per line. `task create` and `system status` answer with one object; `task show` and `task wait` with
the task when one id was given, with an array when several were. `task create --from` and `task logs` answer with one
object per line. Every line on stderr is an object, too: `{\"notice\"}` where something is to be known, `{\"next_cursor\"}`
after a `task list` that has more (give it to `--cursor`; no such line is the end), `{\"created\",\"known\",\"refused\"}` after
`task create --from`, and the error last. `auto-claude run` leaves stdout to the task and says its own on stderr, as lines
`{\"task\":…}` for each state, `{\"note\":{\"id\",\"text\"}}` and `{\"error\":…}`; the task's own stderr stands between them.
Fields are added, never renamed or removed. A task has at least `id name state
type priority attempt created_at started_at finished_at not_before retries` and `outcome` (`null`, or `{kind, exit_code,
signal, stop_sent}`).

Of `auto-claude`: `check-config` answers `{NAME:{\"value\",\"origin\"}}`; `init` `{\"state_dir\",\"database\",\"config\",
\"created\"}`, where `created` lists the paths that were not there before; `check` `{\"sound\",\"database\",\"tasks\",
\"journal_rows\",\"problem_count\",\"problems\",\"set_aside\"}`, the last two with one `{\"task\",\"text\"}` each (`task` may be
`null`; the first 100 problems are listed); `restore` `{\"restored\",\"from\",\"kept\"}`, where `kept` is what the former
database is called now, or `null`. The `code` of an error is `failed`, `bad_request`, `in_use` or `store_refused`.

Keys of a line of `task create --from`: `name` and `command` (needed; a string is a line for the shell, an array a program
and its arguments), `key description type priority cwd env secrets after after_failed at timeout_seconds
idle_timeout_seconds max_retries retry_on if_lost exclusive prompt notify batch`, as in [the API](api.md#submit). Flags beside `--from` are the
defaults of every line: a line's own value counts. Variables of `--env` join a line's own `env`, and references of
`--secret` its `secrets`, where the line has none of that name; `--notify` is told once, when all are over; `--key` and `--wait` are for one task and are refused. A
line that is refused stops no other; the first refusal gives the exit code.

## What goes with a task

The current directory and environment, unless `--cwd` and `--env` say otherwise. Variables of an outer task
(`AUTO_CLAUDE_*`) and of the submitting shell or service (`PWD`, `SHLVL`, `NOTIFY_SOCKET`, …) do not. Variables whose
names end like a credential's (KEY, TOKEN, SECRET, PASSWORD, PASSWD, PASSPHRASE, CREDENTIAL, or their plurals) are not
stored unless `--env` names them; `taskctl` says which were left out. Pass such values by reference:
`--secret NAME=file:PATH`, `credential:NAME` (of the daemon's systemd unit) or `env:NAME` (of the daemon).

## Times and durations

Durations: `90` (seconds), `90s`, `10m`, `2h30m`, `1d`, `500ms`. Times: RFC 3339 (`2026-01-31T22:00:00Z`), `22:00` (the
next one; for `--since` the last one), `tomorrow 07:00`, `2026-01-31 22:00` (local), `+2h`; for `--since` also `2h`.
An `--at` with a date that is past (at most a year) means at once, as a repeated submission keeps its date; words that only
point back (`-1h`, `1h ago`, `yesterday`) are refused.
";

/// One command and those below it.
fn section(text: &mut String, command: Command, path: &str, depth: usize) {
    let mut whole = command.term_width(COLUMNS).bin_name(path);
    whole.build();
    let help = whole.render_long_help().to_string();
    let _ = writeln!(
        text,
        "\n{} `{path}`\n\n```text\n{}\n```",
        "#".repeat(depth),
        trimmed(&help)
    );
    for below in whole
        .get_subcommands()
        .filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        section(
            text,
            below.clone(),
            &format!("{path} {}", below.get_name()),
            (depth + 1).min(4),
        );
    }
}

/// Without spaces at line ends, which editors and linters eat.
fn trimmed(help: &str) -> String {
    help.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
        .trim_end()
        .to_owned()
}
