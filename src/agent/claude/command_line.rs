//! A command line that a user wrote, `claude -p "fix the tests" --model opus`, read as a wish for an agent run.
//!
//! What is understood becomes the same [`Options`] as a prompt task has; the flags that make the output a stream are added,
//! and [`CommandLine::added`] says which, so that a person can be shown what runs. What asks the program itself for
//! something (`claude mcp list`) is a plain command. What would not do what it says is refused.

use crate::agent::argument;

use super::argv::{self, Options, PermissionMode, STREAM};
use super::flags::{self, Takes};
use super::line_error::{LINE_MAX_BYTES, LineError};
use super::shell_words::{Words, words};

const MICRO_PER_USD: f64 = 1e6;

/// What a command line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reader {
    /// Another program's.
    Other,
    /// Claude Code's, but no run of an agent that we could drive.
    Plain {
        /// Why, for a person.
        why: String,
    },
    /// A run of the agent.
    Driven(Box<CommandLine>),
}

/// A run of the agent, as its user wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The program, as written.
    pub program: String,
    /// What is asked; `None` only where a session is resumed at a tool call.
    pub prompt: Option<String>,
    /// `--session-id`: the id of a new session.
    pub session: Option<String>,
    /// `--resume`: the id of the session that goes on.
    pub resume: Option<String>,
    /// The rest.
    pub options: Options,
    /// What we add, as it would be written: `-p`, `--output-format stream-json`, `--verbose`.
    pub added: Vec<String>,
    /// What we leave out because it contradicts that: `--output-format json`.
    pub left_out: Vec<String>,
}

/// Reads a program and its arguments.
///
/// # Errors
/// When it is Claude Code's and would not do what it says.
pub fn read_argv(words: &[String]) -> Result<Reader, LineError> {
    let Some((program, arguments)) = words.split_first() else {
        return Ok(Reader::Other);
    };
    if !is_claude(program) {
        return Ok(Reader::Other);
    }
    if let Some(why) = plain(arguments) {
        return Ok(Reader::Plain { why });
    }
    let mut line = CommandLine {
        program: program.clone(),
        ..CommandLine::default()
    };
    let mut stream = Given::default();
    Walk {
        rest: arguments,
        line: &mut line,
        given: &mut stream,
    }
    .all()?;
    finish(&mut line, &stream)?;
    Ok(Reader::Driven(Box::new(line)))
}

/// Reads a line as it would be typed in a shell. Only simple ones are understood: words and quotes.
///
/// # Errors
/// When it is Claude Code's and would not do what it says.
pub fn read_shell(line: &str) -> Result<Reader, LineError> {
    let head = line.split_whitespace().next().unwrap_or_default();
    if !is_claude(head) {
        return Ok(Reader::Other);
    }
    if line.len() > LINE_MAX_BYTES {
        return Err(LineError::TooLong { bytes: line.len() });
    }
    match words(line) {
        Words::Simple(words) => read_argv(&words),
        Words::Shell(letter) => Ok(Reader::Plain {
            why: format!("{letter:?} is for a shell; give the agent's command line without it"),
        }),
        Words::Open => Err(LineError::Quote { line: short(line) }),
    }
}

/// Whether a program's name or path is Claude Code's.
#[must_use]
pub fn is_claude(program: &str) -> bool {
    program.rsplit('/').next() == Some("claude")
}

/// Why the arguments are no run that we could drive.
fn plain(arguments: &[String]) -> Option<String> {
    let first = arguments.first()?.as_str();
    if flags::SUBCOMMANDS.contains(&first) {
        return Some(format!("{first:?} is a command of the program itself"));
    }
    let until = arguments.iter().position(|argument| argument == "--");
    let options = arguments.get(..until.unwrap_or(arguments.len()))?;
    for argument in options {
        let why = match argument.as_str() {
            "-h" | "--help" | "-v" | "--version" => "it only asks the program about itself",
            "--bg" | "--background" => "it runs in the background, out of our sight",
            "--cloud" | "--teleport" | "--desktop" => "it runs elsewhere",
            "--input-format=stream-json" => "it reads its prompts from its input",
            _ => continue,
        };
        return Some(why.to_owned());
    }
    let pairs = options.iter().zip(options.iter().skip(1));
    pairs
        .map(|(flag, value)| (flag.as_str(), value.as_str()))
        .any(|pair| pair == ("--input-format", "stream-json"))
        .then(|| "it reads its prompts from its input".to_owned())
}

/// Which of the flags that we need are there already.
#[derive(Debug, Default)]
struct Given {
    print: bool,
    verbose: bool,
    format: Option<String>,
    /// `claude code`, the form of an older wrapper: its prompt is the value of `--query`.
    code: bool,
}

/// Goes through the arguments once.
struct Walk<'a> {
    rest: &'a [String],
    line: &'a mut CommandLine,
    given: &'a mut Given,
}

impl Walk<'_> {
    fn all(mut self) -> Result<(), LineError> {
        if self.rest.first().is_some_and(|first| first == "code") {
            self.given.code = true;
            self.next();
        }
        while let Some(argument) = self.next() {
            if argument == "--" {
                while let Some(prompt) = self.next() {
                    self.prompt(prompt)?;
                }
            } else if argument.len() > 1 && argument.starts_with('-') {
                self.flag(&argument)?;
            } else {
                self.prompt(argument)?;
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Option<String> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first.clone())
    }

    /// The next argument, unless it is an option.
    fn next_value(&mut self) -> Option<String> {
        let first = self.rest.first()?;
        if first.starts_with('-') {
            None
        } else {
            self.next()
        }
    }

    fn prompt(&mut self, prompt: String) -> Result<(), LineError> {
        if let Some(first) = &self.line.prompt {
            return Err(LineError::TwoPrompts {
                first: short(first),
                second: short(&prompt),
            });
        }
        self.line.prompt = Some(prompt);
        Ok(())
    }

    fn flag(&mut self, argument: &str) -> Result<(), LineError> {
        let (flag, glued) = match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
            Some(_) | None => (argument, None),
        };
        let mut values = Vec::new();
        match (flags::takes(flag), glued) {
            (_, Some(value)) => values.push(value),
            (Some(Takes::Nothing), None) => {}
            (Some(Takes::One), None) => {
                values.push(self.next().ok_or_else(|| LineError::NoValue {
                    flag: flag.to_owned(),
                })?)
            }
            (Some(Takes::Perhaps), None) => values.extend(self.next_value()),
            (Some(Takes::Many), None) => {
                while let Some(value) = self.next_value() {
                    values.push(value);
                }
            }
            (None, None) => {
                if let Some(next) = self.rest.first().filter(|next| !next.starts_with('-')) {
                    return Err(LineError::Unknown {
                        flag: flag.to_owned(),
                        next: short(next),
                    });
                }
            }
        }
        self.option(flag, argument, values)
    }

    /// One option with its values.
    fn option(&mut self, flag: &str, argument: &str, values: Vec<String>) -> Result<(), LineError> {
        let first = values.first().cloned();
        let options = &mut self.line.options;
        match flag {
            "-p" | "--print" => self.given.print = true,
            "--verbose" => self.given.verbose = true,
            "--output-format" => self.given.format = first,
            // The default; nothing else is driven.
            "--input-format" => {}
            "--query" if self.given.code => {
                if let Some(prompt) = first {
                    self.prompt(prompt)?;
                }
            }
            "-c" | "--continue" => {
                return Err(LineError::Continue {
                    flag: flag.to_owned(),
                });
            }
            "--session-id" => self.line.session = first,
            "-r" | "--resume" => self.line.resume = Some(session(flag, first)?),
            "--model" => options.model = first,
            "--permission-mode" => options.permission_mode = Some(mode(flag, first)?),
            "--dangerously-skip-permissions" => {
                options.permission_mode = Some(PermissionMode::BypassPermissions);
            }
            "--max-turns" => options.max_turns = Some(turns(flag, first)?),
            "--max-budget-usd" => options.max_budget_micro_usd = Some(budget(flag, first)?),
            "--allowedTools" | "--allowed-tools" => {
                options
                    .allowed_tools
                    .extend(values.iter().flat_map(|list| tools(list)));
            }
            _ if argument.contains('=') => options.extra_args.push(argument.to_owned()),
            _ => {
                options.extra_args.push(flag.to_owned());
                options.extra_args.extend(values);
            }
        }
        Ok(())
    }
}

fn finish(line: &mut CommandLine, given: &Given) -> Result<(), LineError> {
    match &line.prompt {
        Some(prompt) => argument::check_prompt(prompt).map_err(argv::ArgvError::from)?,
        None if line.resume.is_none() => return Err(LineError::NoPrompt),
        None => {}
    }
    if !given.print {
        line.added.push("-p".to_owned());
    }
    let stream = given.format.as_deref() == Some("stream-json");
    if !stream {
        line.added.push(STREAM[0].join(" "));
        if let Some(format) = &given.format {
            line.left_out.push(format!("--output-format {format}"));
        }
    }
    if !given.verbose {
        line.added.push(STREAM[1].join(" "));
    }
    // What the agent would refuse is refused now: with any session's id in place of the one that is chosen later.
    let any = "00000000-0000-4000-8000-000000000000";
    let session = line
        .resume
        .as_deref()
        .or(line.session.as_deref())
        .unwrap_or(any);
    argv::Resume {
        session,
        prompt: line.prompt.as_deref(),
        options: &line.options,
    }
    .argv()?;
    Ok(())
}

fn session(flag: &str, value: Option<String>) -> Result<String, LineError> {
    let value = value.unwrap_or_default();
    if argv::is_session(&value) {
        return Ok(value);
    }
    Err(LineError::Value {
        flag: flag.to_owned(),
        value: short(&value),
        expected: "the id of a session, a UUID",
    })
}

fn mode(flag: &str, value: Option<String>) -> Result<PermissionMode, LineError> {
    let value = value.unwrap_or_default();
    PermissionMode::of_name(&value).ok_or_else(|| LineError::Value {
        flag: flag.to_owned(),
        value: short(&value),
        expected: "acceptEdits, default, dontAsk, plan, auto or bypassPermissions",
    })
}

fn turns(flag: &str, value: Option<String>) -> Result<u32, LineError> {
    let value = value.unwrap_or_default();
    value.parse().map_err(|_| LineError::Value {
        flag: flag.to_owned(),
        value: short(&value),
        expected: "a whole number",
    })
}

fn budget(flag: &str, value: Option<String>) -> Result<u64, LineError> {
    let value = value.unwrap_or_default();
    let usd: f64 = value.parse().unwrap_or(f64::NAN);
    if !(1.0 / MICRO_PER_USD..=1e9).contains(&usd) {
        return Err(LineError::Value {
            flag: flag.to_owned(),
            value: short(&value),
            expected: "US dollars, more than 0, such as 2.50",
        });
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within 1 and 1e15, checked above"
    )]
    let micro = (usd * MICRO_PER_USD).round() as u64;
    Ok(micro)
}

/// A list of tools, by commas or spaces outside of parentheses: `Edit, Bash(git log:*)`.
fn tools(list: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let mut tools = vec![String::new()];
    for letter in list.chars() {
        match letter {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            ',' | ' ' if depth == 0 => {
                tools.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(tool) = tools.last_mut() {
            tool.push(letter);
        }
    }
    tools.retain(|tool| !tool.is_empty());
    tools
}

fn short(text: &str) -> String {
    const SHORT_CHARS: usize = 60;
    text.chars().take(SHORT_CHARS).collect()
}

#[cfg(test)]
mod tests;
