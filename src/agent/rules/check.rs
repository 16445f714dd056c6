//! Whether a description can work, before anything is started by it.

use std::fmt;

use super::compiled::{Compiled, pattern};
use super::file::{Makes, Meaning, Part, Rules};
use super::template::Holder;

/// Most entries of each list.
const ENTRIES_MAX: usize = 64;
/// Longest text in the file.
const TEXT_MAX_BYTES: usize = 4096;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key's path: `errors[2].pattern`.
    pub place: String,
    /// What is wrong and what would be right.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Collects problems.
#[derive(Debug, Default)]
pub(super) struct Problems(pub(super) Vec<Problem>);

impl Problems {
    pub(super) fn push(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.0.push(Problem {
            place: place.into(),
            what: what.into(),
        });
    }
}

impl Rules {
    /// All that is wrong; nothing when the description can work.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Problems::default();
        self.check_names(&mut problems);
        check_template("start", &self.start, &[Holder::Prompt], &mut problems);
        if self.can_resume() {
            let needed = [Holder::Prompt, Holder::Session];
            check_template("resume", &self.resume, &needed, &mut problems);
        }
        if !self.attach.is_empty() {
            check_template("attach", &self.attach, &[Holder::Session], &mut problems);
        }
        self.check_sizes(&mut problems);
        self.check_meanings(&mut problems);
        Compiled::new(self, &mut problems);
        problems.0
    }

    fn check_names(&self, problems: &mut Problems) {
        let name_is_plain = !self.name.is_empty()
            && self.name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte)
            });
        if !name_is_plain {
            problems.push(
                "name",
                "lower-case letters, digits, \"-\" and \"_\" only, as in \"codex\"",
            );
        }
        if self.name == "claude" {
            problems.push("name", "\"claude\" is built in: choose another name");
        }
        if self.program.trim().is_empty() || self.program.contains('\0') {
            problems.push("program", "the name or path of a program, as in \"codex\"");
        }
        let stands = self.prompt_by_input.as_deref();
        if stands.is_some_and(|stands| stands.contains(['\0', '{'])) {
            problems.push(
                "prompt_by_input",
                "what stands for {prompt} in the arguments, as in \"-\"",
            );
        }
        if self.idle_seconds == Some(0) {
            problems.push("idle_seconds", "at least 1; leave it out for no limit");
        }
        for (name, value) in &self.env {
            check_variable(&format!("env.{name}"), name, problems);
            if value.contains('\0') {
                problems.push(format!("env.{name}"), "a value without NUL characters");
            }
        }
        for (index, name) in self.unset.iter().enumerate() {
            check_variable(&format!("unset[{index}]"), name, problems);
        }
        self.check_installed(problems);
    }

    fn check_installed(&self, problems: &mut Problems) {
        if let Some(name) = &self.config_dir {
            check_variable("config_dir", name, problems);
        }
        if self.tried.is_some_and(|tried| tried.oldest > tried.newest) {
            problems.push("tried", "oldest is newer than newest: exchange them");
        }
        let Some(login) = &self.login else {
            return;
        };
        for (index, name) in login.variables.iter().enumerate() {
            check_variable(&format!("login.variables[{index}]"), name, problems);
        }
        if let Some(none) = &login.none {
            pattern("login.none", none, problems);
        }
        let mut words = login.check.iter().chain(&login.run);
        if words.any(|word| word.contains('\0')) {
            problems.push("login", "arguments without NUL characters");
        }
        for (place, list) in [
            ("login.check", &login.check),
            ("login.run", &login.run),
            ("login.variables", &login.variables),
        ] {
            check_length(place, list.len(), problems);
        }
    }

    fn check_sizes(&self, problems: &mut Problems) {
        for (place, length) in [
            ("start", self.start.len()),
            ("resume", self.resume.len()),
            ("attach", self.attach.len()),
            ("version_args", self.version_args.len()),
            ("env", self.env.len()),
            ("unset", self.unset.len()),
            ("events", self.events.len()),
            ("failed_text", self.failed_text.len()),
            ("errors", self.errors.len()),
            ("stderr", self.stderr.len()),
            ("exit", self.exit.len()),
        ] {
            check_length(place, length, problems);
        }
    }

    fn check_meanings(&self, problems: &mut Problems) {
        for (list, rules) in [("errors", &self.errors), ("stderr", &self.stderr)] {
            for (index, rule) in rules.iter().enumerate() {
                if !says_an_error(rule.means) {
                    problems.push(
                        format!("{list}[{index}].means"),
                        "the text of an error means an error, not a success and not a step on the way",
                    );
                }
            }
        }
        for (code, means) in &self.exit {
            let place = format!("exit.{code}");
            if code.parse::<u8>().is_err() {
                problems.push(&place, "an exit code is a number from 0 to 255");
            }
            if !says_an_error(*means) {
                problems.push(
                    &place,
                    "an exit code means an error; a success is told by an event",
                );
            }
        }
        let success = self
            .events
            .iter()
            .any(|event| event.means == Some(Meaning::Success));
        if self.needs_result && !success {
            problems.push(
                "events",
                "none means \"success\", so no run could ever succeed: add one, or set needs_result = false",
            );
        }
        for (index, event) in self.events.iter().enumerate() {
            if event.when.is_empty() {
                problems.push(
                    format!("events[{index}].when"),
                    "at least one pointer with its value, as in { \"/type\" = \"result\" }",
                );
            }
        }
    }
}

fn says_an_error(means: Meaning) -> bool {
    match means.makes() {
        Makes::Nothing => false,
        Makes::End(_) => means != Meaning::Success && means != Meaning::ToolDeferred,
        Makes::Block(_) => true,
    }
}

fn check_length(place: &str, length: usize, problems: &mut Problems) {
    if length > ENTRIES_MAX {
        problems.push(place, format!("{length} entries; {ENTRIES_MAX} are taken"));
    }
}

fn check_variable(place: &str, name: &str, problems: &mut Problems) {
    if name.is_empty() || name.contains(['=', '\0']) {
        problems.push(place, "the name of an environment variable");
    }
}

fn check_template(place: &str, parts: &[Part], needed: &[Holder], problems: &mut Problems) {
    let mut always = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let arguments = match part {
            Part::One(argument) => {
                always.push(argument.as_str());
                std::slice::from_ref(argument)
            }
            Part::Some(arguments) => arguments.as_slice(),
        };
        check_length(&format!("{place}[{index}]"), arguments.len(), problems);
        for argument in arguments {
            check_argument(&format!("{place}[{index}]"), argument, problems);
        }
    }
    for holder in needed {
        if !always.iter().any(|argument| holder.is_in(argument)) {
            problems.push(
                place,
                format!(
                    "{} is missing: give it an argument of its own",
                    holder.text()
                ),
            );
        }
    }
}

fn check_argument(place: &str, argument: &str, problems: &mut Problems) {
    if argument.contains('\0') || argument.len() > TEXT_MAX_BYTES {
        problems.push(
            place,
            format!("an argument of at most {TEXT_MAX_BYTES} bytes without NUL characters"),
        );
    }
    // Braces with anything else inside are the agent's own, as in a piece of JSON.
    let mut rest = argument;
    while let Some((_, from)) = rest.split_once('{') {
        rest = from;
        let Some((name, _)) = from.split_once('}') else {
            return;
        };
        let like_a_holder = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let known = Holder::ALL
            .iter()
            .any(|holder| holder.text() == format!("{{{name}}}"));
        if like_a_holder && !known {
            problems.push(
                place,
                format!("{{{name}}} is not known; there are {{prompt}}, {{session}} and {{model}}"),
            );
        }
    }
}

#[cfg(test)]
mod tests;
