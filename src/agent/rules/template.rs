//! The arguments of a start or a resumption, with the values filled in. No shell, so nothing has to be quoted.

use super::file::{Part, Rules};
use crate::agent::argument::{ArgumentError, check_prompt, check_value, is_for_input};

/// What is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<'a> {
    /// What is asked.
    pub prompt: &'a str,
    /// The session: of our choice at a start, the agent's at a resumption.
    pub session: Option<&'a str>,
    /// The model.
    pub model: Option<&'a str>,
}

/// Why there is no command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Its sessions end with their runs.
    #[error("the agent {agent} cannot resume a session")]
    CannotResume {
        /// Which agent.
        agent: String,
    },
    /// The template needs a value that is not known.
    #[error("the agent {agent} needs a {what}")]
    Missing {
        /// Which agent.
        agent: String,
        /// Which value.
        what: &'static str,
    },
    /// The agent would read the prompt as an option.
    #[error(
        "the prompt begins with \"-\", and the agent {agent} would take it for an option: begin it with a word"
    )]
    Dash {
        /// Which agent.
        agent: String,
    },
    /// A value that no command line takes.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
}

/// A place-holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Prompt,
    Session,
    Model,
}

impl Holder {
    pub(super) const ALL: [Self; 3] = [Self::Prompt, Self::Session, Self::Model];

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Prompt => "{prompt}",
            Self::Session => "{session}",
            Self::Model => "{model}",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Session => "session",
            Self::Model => "model",
        }
    }

    pub(super) fn is_in(self, argument: &str) -> bool {
        argument.contains(self.text())
    }
}

impl Rules {
    /// The arguments of a start, behind the program.
    ///
    /// # Errors
    /// When the agent cannot be asked so.
    pub fn start_argv(&self, ask: &Ask<'_>) -> Result<Vec<String>, AskError> {
        self.fill(&self.start, ask)
    }

    /// The arguments of a resumption, behind the program.
    ///
    /// # Errors
    /// When the agent cannot be asked so.
    pub fn resume_argv(&self, ask: &Ask<'_>) -> Result<Vec<String>, AskError> {
        if !self.can_resume() {
            return Err(AskError::CannotResume {
                agent: self.name.clone(),
            });
        }
        self.fill(&self.resume, ask)
    }

    /// The arguments by which a person goes on in `session`, behind the program; `None` = there is no such way.
    ///
    /// # Errors
    /// When the agent cannot be asked so.
    pub fn attach_argv(
        &self,
        session: &str,
        model: Option<&str>,
    ) -> Result<Option<Vec<String>>, AskError> {
        /// Nothing is asked: whoever goes on will say what.
        const NOBODY_ASKS: &str = "-";
        if self.attach.is_empty() {
            return Ok(None);
        }
        let ask = Ask {
            prompt: NOBODY_ASKS,
            session: Some(session),
            model,
        };
        self.fill(&self.attach, &ask).map(Some)
    }

    /// Whether a start takes a session's id of our choice; else the agent chooses one and tells it.
    #[must_use]
    pub fn takes_session(&self) -> bool {
        self.start.iter().any(|part| match part {
            Part::One(argument) => Holder::Session.is_in(argument),
            Part::Some(arguments) => arguments
                .iter()
                .any(|argument| Holder::Session.is_in(argument)),
        })
    }

    fn fill(&self, parts: &[Part], ask: &Ask<'_>) -> Result<Vec<String>, AskError> {
        check_prompt(ask.prompt)?;
        let ask = &self.by_input(ask)?;
        for (what, value) in [("the session", ask.session), ("the model", ask.model)] {
            if let Some(value) = value {
                check_value(what, value)?;
            }
        }
        let mut argv: Vec<String> = Vec::new();
        for part in parts {
            match part {
                Part::One(argument) => self.push(argument, ask, &mut argv)?,
                Part::Some(arguments) => {
                    let known = |argument: &String| first_missing(argument, ask).is_none();
                    if arguments.iter().all(known) {
                        for argument in arguments {
                            self.push(argument, ask, &mut argv)?;
                        }
                    }
                }
            }
        }
        Ok(argv)
    }

    /// The same with what stands for a prompt that is given on standard input.
    fn by_input<'a>(&'a self, ask: &Ask<'a>) -> Result<Ask<'a>, ArgumentError> {
        if !is_for_input(ask.prompt) {
            return Ok(*ask);
        }
        match &self.prompt_by_input {
            Some(stands) => Ok(Ask {
                prompt: stands,
                ..*ask
            }),
            None => Err(ArgumentError::PromptTooLong {
                bytes: ask.prompt.len(),
            }),
        }
    }

    fn push(&self, argument: &str, ask: &Ask<'_>, argv: &mut Vec<String>) -> Result<(), AskError> {
        if let Some(missing) = first_missing(argument, ask) {
            return Err(AskError::Missing {
                agent: self.name.clone(),
                what: missing.name(),
            });
        }
        let behind_dashes = argv.last().is_some_and(|before| before == "--");
        let bare = argument == Holder::Prompt.text();
        let by_input = self.prompt_by_input.as_deref() == Some(ask.prompt);
        if bare && !by_input && ask.prompt.starts_with('-') && !behind_dashes {
            return Err(AskError::Dash {
                agent: self.name.clone(),
            });
        }
        argv.push(filled(argument, ask));
        Ok(())
    }
}

/// Fills in from left to right, so that a prompt that holds `{model}` is left as it is.
fn filled(argument: &str, ask: &Ask<'_>) -> String {
    let mut text = String::new();
    let mut rest = argument;
    let next = |rest: &str| {
        Holder::ALL
            .into_iter()
            .filter_map(|holder| rest.find(holder.text()).map(|place| (place, holder)))
            .min_by_key(|(place, _)| *place)
    };
    while let Some((place, holder)) = next(rest) {
        let (before, from) = rest.split_at(place);
        text.push_str(before);
        text.push_str(value(holder, ask).unwrap_or_default());
        rest = from.get(holder.text().len()..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

const fn value<'a>(holder: Holder, ask: &Ask<'a>) -> Option<&'a str> {
    match holder {
        Holder::Prompt => Some(ask.prompt),
        Holder::Session => ask.session,
        Holder::Model => ask.model,
    }
}

fn first_missing(argument: &str, ask: &Ask<'_>) -> Option<Holder> {
    Holder::ALL
        .into_iter()
        .find(|holder| holder.is_in(argument) && value(*holder, ask).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(start: &str) -> Rules {
        Rules::from_toml(&format!(
            "name = \"x\"\nprogram = \"x\"\nneeds_result = false\nstart = {start}\nresume = [\"-r\", \"{{session}}\", \"--\", \"{{prompt}}\"]"
        ))
        .unwrap()
    }

    fn ask<'a>(prompt: &'a str, model: Option<&'a str>) -> Ask<'a> {
        Ask {
            prompt,
            session: None,
            model,
        }
    }

    #[test]
    fn values_are_filled_in() {
        let rules =
            rules(r#"["run", ["--model", "{model}"], "--title={prompt}", "--", "{prompt}"]"#);
        let argv = |model| {
            rules
                .start_argv(&ask("-a {model}", model))
                .unwrap()
                .join("|")
        };
        assert_eq!(
            argv(Some("m")),
            "run|--model|m|--title=-a {model}|--|-a {model}"
        );
        assert_eq!(argv(None), "run|--title=-a {model}|--|-a {model}");
        assert!(!rules.takes_session());
    }

    #[test]
    fn a_session_of_our_choice_is_taken_where_a_start_has_a_place_for_it() {
        for (start, expected) in [
            (r#"["{prompt}"]"#, false),
            (r#"["--id={session}", "{prompt}"]"#, true),
            (r#"[["--id", "{session}"], "{prompt}"]"#, true),
            (r#"[["--model", "{model}"], "{prompt}"]"#, false),
        ] {
            assert_eq!(rules(start).takes_session(), expected, "{start}");
        }
    }

    #[test]
    fn a_person_goes_on_in_the_session_where_the_agent_has_a_way() {
        let mut rules = rules(r#"["{prompt}"]"#);
        assert_eq!(rules.attach_argv("s", None), Ok(None));
        rules.attach = vec![
            Part::One("resume".to_owned()),
            Part::Some(vec!["--model".to_owned(), "{model}".to_owned()]),
            Part::One("{session}".to_owned()),
        ];
        let argv = |model| rules.attach_argv("s", model).unwrap().unwrap().join("|");
        assert_eq!(argv(None), "resume|s");
        assert_eq!(argv(Some("m")), "resume|--model|m|s");
        assert!(rules.attach_argv("-s", None).is_err());
    }

    #[test]
    fn what_cannot_be_asked_is_told() {
        let rules = rules(r#"["--model", "{model}", "{prompt}"]"#);
        for (prompt, model, part) in [
            ("hi", None, "needs a model"),
            ("-hi", Some("m"), "begins with \"-\""),
            (" ", Some("m"), "empty"),
            ("hi", Some("-m"), "an option"),
        ] {
            let error = rules
                .start_argv(&ask(prompt, model))
                .unwrap_err()
                .to_string();
            assert!(error.contains(part), "{error}");
        }
        let error = rules.resume_argv(&ask("hi", None)).unwrap_err().to_string();
        assert_eq!(error, "the agent x needs a session");
        let long = "x".repeat(crate::agent::ARGUMENT_MAX_BYTES + 1);
        let asked = ask(&long, Some("m"));
        let error = rules.start_argv(&asked).unwrap_err().to_string();
        assert!(error.contains("as an argument only"), "{error}");
        let mut by_input = rules.clone();
        by_input.prompt_by_input = Some("-".to_owned());
        assert_eq!(by_input.start_argv(&asked).unwrap(), ["--model", "m", "-"]);
        let mut without = rules;
        without.resume.clear();
        assert!(matches!(
            without.resume_argv(&ask("hi", None)),
            Err(AskError::CannotResume { .. })
        ));
    }
}
