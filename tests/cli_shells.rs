//! Completions in the shells themselves: each script is read without complaint, and completes commands, flags and values.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the programs and the shells"
)]

mod common;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use common::{AUTO_CLAUDE, TASKCTL};

const PROGRAMS: [(&str, &str); 2] = [("auto-claude", AUTO_CLAUDE), ("taskctl", TASKCTL)];

/// What is completed: words before, the word at the cursor, the line after completion.
const COMPLETED: [(&str, &[&str], &str, &str); 8] = [
    ("auto-claude", &[], "ser", "serve"),
    ("auto-claude", &[], "check-c", "check-config"),
    ("auto-claude", &["run"], "--idle", "--idle-timeout"),
    ("auto-claude", &["check-config"], "--stat", "--state-dir"),
    ("auto-claude", &["run", "--priority"], "ur", "urgent"),
    ("taskctl", &["task"], "cr", "create"),
    ("taskctl", &["task", "create"], "--max", "--max-retries"),
    ("taskctl", &["system"], "stop", "stop-all"),
];

/// The script of a program for a shell, in a file under the name that the shell looks for.
fn script(dir: &tempfile::TempDir, program: &str, path: &str, shell: &str) -> PathBuf {
    let made = Command::new(path)
        .args(["completions", shell])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let file = dir.path().join(match shell {
        "zsh" => format!("_{program}"),
        _ => format!("{program}.{shell}"),
    });
    std::fs::write(&file, made.stdout).unwrap();
    file
}

/// Runs a shell; `None`, with a word about it, where it is not installed.
fn shell(name: &str, args: &[&str]) -> Option<Output> {
    // A completion that never comes must fail the test, not hang it.
    let run = Command::new("timeout")
        .args(["30", name])
        .args(args)
        .env("TERM", "dumb")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if run.status.code() == Some(127) {
        println!("SKIPPED: {name} is not installed");
        return None;
    }
    Some(run)
}

/// Its lines, after it has succeeded without a complaint.
fn lines(output: Output) -> Vec<String> {
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// What bash offers for the last of these words.
fn bash(file: &str, program: &str, before: &[&str], current: &str) -> Option<Vec<String>> {
    let ask = r#"source "$1"; program=$2; shift 2
        COMP_WORDS=("$program" "$@"); COMP_CWORD=$#
        spec=$(complete -p "$program"); spec=${spec#*-F }
        "${spec%% *}" "$program" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut args = vec!["--norc", "-c", ask, "bash", file, program];
    args.extend(before);
    args.push(current);
    shell("bash", &args).map(lines)
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let dir = tempfile::tempdir().unwrap();
    for (program, path) in PROGRAMS {
        let file = script(&dir, program, path, "bash");
        let file = file.to_str().unwrap();
        let Some(read) = shell("bash", &["-n", file]) else {
            return;
        };
        assert_eq!(lines(read), [""; 0]);
        for (_, before, current, wanted) in COMPLETED.iter().filter(|row| row.0 == program) {
            let offered = bash(file, program, before, current).unwrap();
            assert_eq!(offered, [*wanted], "{program} {before:?} {current}");
        }
    }
}

#[test]
fn hidden_commands_are_not_offered() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["bash", "zsh", "fish"] {
        let file = script(&dir, "auto-claude", AUTO_CLAUDE, name);
        let text = std::fs::read_to_string(file).unwrap();
        for hidden in ["worker", "completions"] {
            assert!(!text.contains(hidden), "{name}: {hidden}");
        }
    }
    let file = script(&dir, "auto-claude", AUTO_CLAUDE, "bash");
    let Some(offered) = bash(file.to_str().unwrap(), "auto-claude", &[], "") else {
        return;
    };
    let commands: Vec<&str> = offered
        .iter()
        .map(String::as_str)
        .filter(|word| !word.starts_with('-'))
        .collect();
    assert_eq!(
        commands,
        [
            "serve",
            "run",
            "init",
            "check-config",
            "check",
            "restore",
            "agent",
            "help"
        ]
    );
}

#[test]
fn fish_completes_commands_flags_and_values() {
    let dir = tempfile::tempdir().unwrap();
    for (program, path) in PROGRAMS {
        let file = script(&dir, program, path, "fish");
        let file = file.to_str().unwrap();
        let Some(read) = shell("fish", &["--no-config", "-n", file]) else {
            return;
        };
        assert_eq!(lines(read), [""; 0]);
        for (_, before, current, wanted) in COMPLETED.iter().filter(|row| row.0 == program) {
            let line = [&[program], *before, &[*current]].concat().join(" ");
            let ask = format!("source {file}; complete -C '{line}'");
            let offered = lines(shell("fish", &["--no-config", "-c", &ask]).unwrap());
            let words: Vec<&str> = offered
                .iter()
                .filter_map(|offer| offer.split('\t').next())
                .collect();
            assert_eq!(words, [*wanted], "{line}");
        }
    }
}

/// Types a line and a tab into a zsh on a terminal of its own, and prints the line when it is as wanted.
const TYPE_INTO_ZSH: &str = r#"zmodload zsh/zpty; dir=$1 line=$2 wanted=$3
    zpty shell zsh -f -i
    zpty -w shell 'PS1=; fpath=('$dir' $fpath); autoload -Uz compinit; compinit -u -D'
    zpty -w shell 'show() { zle complete-word; print -r -- "<$BUFFER>"; }; zle -N show; bindkey "^I" show'
    zpty -w shell 'print ready-$((1 + 1))'
    zpty -r shell said '*ready-2*'
    zpty -w -n shell $line$'\t'
    zpty -r shell said "*<$wanted>*" && print -r -- $wanted
    zpty -d shell"#;

#[test]
fn zsh_completes_commands_flags_and_values() {
    let dir = tempfile::tempdir().unwrap();
    for (program, path) in PROGRAMS {
        let file = script(&dir, program, path, "zsh");
        let Some(read) = shell("zsh", &["-n", file.to_str().unwrap()]) else {
            return;
        };
        assert_eq!(lines(read), [""; 0]);
        for (_, before, current, wanted) in COMPLETED.iter().filter(|row| row.0 == program) {
            let line = |last: &str| [&[program], *before, &[last]].concat().join(" ");
            // A word that is complete is followed by a space, a flag with a value by none or `=`.
            let wanted = line(wanted);
            let pattern = format!("{wanted}( |=|)");
            let typed = shell(
                "zsh",
                &[
                    "-f",
                    "-c",
                    TYPE_INTO_ZSH,
                    "zsh",
                    dir.path().to_str().unwrap(),
                    &line(current),
                    &pattern,
                ],
            );
            assert_eq!(lines(typed.unwrap()), [pattern], "{wanted}");
        }
    }
}
