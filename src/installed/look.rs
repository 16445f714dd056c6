//! Version and login of a program, in its own words.

use std::collections::BTreeMap;
use std::path::Path;

use crate::agent::{Login, Version};
use crate::process::{Question, Reply, ask};

/// Longest time that a program may take to tell its version or its login: some start slowly on a busy machine.
const LOOK_LIMIT_MS: u64 = 30_000;
/// As much of its answer is read.
const OUTPUT_MAX_BYTES: usize = 64 * 1024;
/// Longest line of its words that is told on.
const LINE_MAX_CHARS: usize = 200;
/// Variables that make programs speak English, so that their words can be understood.
const SPEAK_ENGLISH: [&str; 2] = ["LC_ALL", "LANG"];
const ENGLISH: &str = "C.UTF-8";

/// Whether there is a login, as far as that is known without a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginState {
    /// There is one. Whether its server takes it is not known.
    There,
    /// There is none.
    None,
    /// It cannot tell, or did not.
    Unknown,
}

/// The version that a program tells. Blocking.
///
/// # Errors
/// One line: it cannot be started, does not end, or tells none.
pub fn version(
    program: &Path,
    args: &[String],
    env: &BTreeMap<String, String>,
) -> Result<Version, String> {
    let reply = asked(program, args, env)?;
    let said = [reply.stdout.as_slice(), b"\n", reply.stderr.as_slice()].concat();
    let said = String::from_utf8_lossy(&said);
    // A crash report names versions, too.
    let version = Version::in_text(&said).filter(|_| reply.exit_code == Some(0));
    version.ok_or_else(|| {
        format!(
            "{} {} tells no version: {}",
            program.display(),
            args.join(" "),
            what_happened(&reply)
        )
    })
}

/// Whether a program has a login in this environment, and its words. Blocking.
#[must_use]
pub fn login(
    program: &Path,
    login: &Login,
    env: &BTreeMap<String, String>,
) -> (LoginState, String) {
    let set = |name: &&String| env.get(*name).is_some_and(|value| !value.is_empty());
    if let Some(variable) = login.variables.iter().find(set) {
        return (LoginState::There, format!("by the variable {variable}"));
    }
    if login.check.is_empty() {
        return (
            LoginState::Unknown,
            "the agent cannot tell without a request".to_owned(),
        );
    }
    match asked(program, &login.check, env) {
        Err(why) => (LoginState::Unknown, why),
        Ok(reply) if reply.timed_out => (LoginState::Unknown, what_happened(&reply)),
        Ok(reply) => {
            let said = [reply.stdout.as_slice(), b"\n", reply.stderr.as_slice()].concat();
            let there = login.is_there(reply.exit_code, &String::from_utf8_lossy(&said));
            let state = if there {
                LoginState::There
            } else {
                LoginState::None
            };
            (state, String::new())
        }
    }
}

fn asked(program: &Path, args: &[String], env: &BTreeMap<String, String>) -> Result<Reply, String> {
    let mut env = env.clone();
    for name in SPEAK_ENGLISH {
        env.insert(name.to_owned(), ENGLISH.to_owned());
    }
    ask(&Question {
        program,
        args,
        env: &env,
        cwd: Path::new("/"),
        limit_ms: LOOK_LIMIT_MS,
        output_max_bytes: OUTPUT_MAX_BYTES,
    })
    .map_err(|error| format!("cannot start {}: {error}", program.display()))
}

/// An end in a few words: how, and the first line that it said.
pub(super) fn what_happened(reply: &Reply) -> String {
    if reply.timed_out {
        return "it did not end and was ended".to_owned();
    }
    let how = match (reply.exit_code, reply.signal) {
        (Some(code), _) => format!("it exited with {code}"),
        (None, Some(signal)) => format!("signal {signal} ended it"),
        (None, None) => "it ended".to_owned(),
    };
    let words = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        Some(
            line.chars()
                .map(plain)
                .take(LINE_MAX_CHARS)
                .collect::<String>(),
        )
    };
    match words(&reply.stderr).or_else(|| words(&reply.stdout)) {
        Some(line) => format!("{how}: {line}"),
        None => format!("{how} without a word"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: &str = "/bin/sh";

    fn shell(line: &str) -> Vec<String> {
        vec!["-c".to_owned(), line.to_owned()]
    }

    #[test]
    fn a_version_counts_only_of_a_program_that_ends_well() {
        let ask = |line: &str| version(Path::new(SHELL), &shell(line), &BTreeMap::new());
        assert_eq!(ask("echo agent 1.2.3"), Ok(Version(1, 2, 3)));
        assert_eq!(ask("echo 1.2.3 >&2"), Ok(Version(1, 2, 3)));
        let crashed = ask("echo node v20.1.1 crashed >&2; exit 7").unwrap_err();
        assert!(
            crashed.contains("exited with 7: node v20.1.1 crashed") && !crashed.contains('\n'),
            "{crashed}"
        );
        assert!(ask("true").unwrap_err().ends_with("without a word"));
    }

    #[test]
    fn a_login_is_what_the_program_says() {
        let program = Path::new(SHELL);
        let with = |line: &str| Login {
            check: shell(line),
            none: Some("no login".to_owned()),
            variables: vec!["KEY".to_owned()],
            ..Login::default()
        };
        let none = BTreeMap::new();
        let state = |line: &str, env: &BTreeMap<String, String>| login(program, &with(line), env).0;
        assert_eq!(state("echo yes", &none), LoginState::There);
        assert_eq!(state("echo no login", &none), LoginState::None);
        assert_eq!(state("exit 1", &none), LoginState::None);
        let key = BTreeMap::from([("KEY".to_owned(), "x".to_owned())]);
        assert_eq!(state("exit 1", &key), LoginState::There);
        let empty = BTreeMap::from([("KEY".to_owned(), String::new())]);
        assert_eq!(state("exit 1", &empty), LoginState::None);
        assert_eq!(
            login(program, &Login::default(), &none).0,
            LoginState::Unknown
        );
        let gone = login(Path::new("/nonexistent/x"), &with("true"), &none);
        assert_eq!(gone.0, LoginState::Unknown);
        assert!(gone.1.contains("/nonexistent/x"), "{}", gone.1);
    }
}
