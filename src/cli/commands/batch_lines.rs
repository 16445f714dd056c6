//! The lines of `task create --from`, made whole: what a line does not say itself comes from the flags; key, directory and
//! environment are the submitter's where neither says.
//!
//! A line is checked before it is made whole, by the daemon's own reading: an error speaks of the line as it was written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::api::parse_json;
use crate::api::wire::{ErrorBody, MAX_LINE_BYTES, NewTask};
use crate::cli::environment::Captured;
use crate::cli::error::CliError;
use crate::cli::output::notice;
use crate::supervisor::command::RefusalCode;

use super::spec::{SpecArgs, draw_key, submitter};

/// A line on its way.
#[derive(Debug)]
pub(super) struct Line {
    /// Its number in the file, from 1.
    pub(super) number: u64,
    /// What is sent, with its line end; empty when it is not sent.
    pub(super) text: Bytes,
    /// Why it is not sent.
    pub(super) refused: Option<ErrorBody>,
}

/// The file and what its lines may lack.
pub(super) struct Source {
    reader: Box<dyn BufRead + Send>,
    name: String,
    number: u64,
    cwd: PathBuf,
    /// Of lines that give no environment: the submitter's with `--env`.
    env: Map<String, Value>,
    /// `--env` alone, joined to the environment of lines that give one.
    env_given: Map<String, Value>,
    /// The other flags.
    given: Map<String, Value>,
}

impl Source {
    /// Opens `file`; `-` is stdin. `spec` are the flags, `more` what every line gets beside them.
    ///
    /// # Errors
    /// It cannot be opened or is a directory, or the flags cannot be used.
    pub(super) fn open(
        file: &Path,
        spec: &SpecArgs,
        more: Map<String, Value>,
        json: bool,
    ) -> Result<Self, CliError> {
        let (reader, name) = open(file)?;
        let mut given = spec.given()?;
        given.extend(more);
        let (cwd, captured) = submitter(spec.cwd.as_deref())?;
        let captured = captured.with(&spec.env, &cwd)?;
        let passed: Vec<&str> = match given.get("secrets") {
            Some(Value::Object(secrets)) => secrets.keys().map(String::as_str).collect(),
            Some(_) | None => Vec::new(),
        };
        if let Some(text) = captured.notice(&passed) {
            notice(json, &text);
        }
        let env_given = Captured::default().with(&spec.env, &cwd)?;
        Ok(Self {
            reader,
            name,
            number: 0,
            cwd,
            env: values(captured.env),
            env_given: values(env_given.env),
            given,
        })
    }

    /// The next line that is not blank; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read, or no key can be drawn.
    pub(super) fn next(&mut self) -> Result<Option<Line>, CliError> {
        loop {
            let mut raw = Vec::new();
            let limit = MAX_LINE_BYTES as u64 + 1;
            let mut limited = io::Read::take(&mut self.reader, limit);
            let read = limited.read_until(b'\n', &mut raw);
            match read {
                Ok(0) => return Ok(None),
                Ok(_) => self.number += 1,
                Err(error) => return Err(self.unreadable(&error)),
            }
            if raw.len() > MAX_LINE_BYTES {
                self.skip_line()?;
                return Ok(Some(self.refuse(
                    RefusalCode::TooLarge,
                    format!("longer than {MAX_LINE_BYTES} bytes"),
                )));
            }
            if raw.trim_ascii().is_empty() {
                continue;
            }
            return match checked(raw.trim_ascii_end()) {
                Ok(object) => self.whole(object).map(Some),
                Err(error) => Ok(Some(self.refuse(error.code, error.message))),
            };
        }
    }

    fn whole(&self, mut object: Map<String, Value>) -> Result<Line, CliError> {
        self.join_flags(&mut object);
        if absent(&object, "key") {
            object.insert("key".to_owned(), Value::String(draw_key()?));
        }
        let relative = object
            .get("cwd")
            .and_then(Value::as_str)
            .map(|dir| self.cwd.join(dir));
        let cwd = relative.unwrap_or_else(|| self.cwd.clone());
        if object
            .get("cwd")
            .is_none_or(|cwd| cwd.is_null() || cwd.is_string())
        {
            object.insert(
                "cwd".to_owned(),
                Value::String(cwd.to_string_lossy().into_owned()),
            );
        }
        let env = self.env_for(&object);
        object.insert("env".to_owned(), Value::Object(env));
        let mut text = Value::Object(object).to_string();
        text.push('\n');
        if text.len() > MAX_LINE_BYTES {
            let why = format!(
                "longer than {MAX_LINE_BYTES} bytes with the environment that goes with it"
            );
            return Ok(self.refuse(RefusalCode::TooLarge, why));
        }
        Ok(Line {
            number: self.number,
            text: text.into(),
            refused: None,
        })
    }

    /// The flags, where the line does not say it itself; secrets are joined by their names.
    fn join_flags(&self, object: &mut Map<String, Value>) {
        let times_itself = !absent(object, "at");
        for (field, value) in &self.given {
            // The words belong to the time of the flag.
            if absent(object, field) && !(times_itself && field == "at_written") {
                object.insert(field.clone(), value.clone());
            }
        }
        let own_env = object.get("env").and_then(Value::as_object).cloned();
        let own_env = own_env.unwrap_or_default();
        let (Some(Value::Object(given)), Some(Value::Object(secrets))) =
            (self.given.get("secrets"), object.get_mut("secrets"))
        else {
            return;
        };
        for (name, reference) in given {
            if own_env.contains_key(name) {
                // The line has a plain value of that name, and the line's own value counts.
                secrets.remove(name);
            } else if !secrets.contains_key(name) {
                secrets.insert(name.clone(), reference.clone());
            }
        }
    }

    /// The line's own environment with `--env`, or the submitter's with the line's directory; without what is a secret.
    fn env_for(&self, object: &Map<String, Value>) -> Map<String, Value> {
        let mut env = match object.get("env") {
            Some(Value::Object(own)) => {
                let mut env = self.env_given.clone();
                // `PWD` is the flag's directory there, and speaks for lines without an environment only.
                env.remove("PWD");
                without_secrets(&mut env, object);
                env.extend(own.clone());
                return env;
            }
            Some(_) | None => self.env.clone(),
        };
        without_secrets(&mut env, object);
        if let Some(cwd) = object.get("cwd") {
            env.insert("PWD".to_owned(), cwd.clone());
        }
        env
    }

    fn refuse(&self, code: RefusalCode, message: String) -> Line {
        Line {
            number: self.number,
            text: Bytes::new(),
            refused: Some(ErrorBody { code, message }),
        }
    }

    /// Passes over the rest of a line that is too long, without keeping it.
    fn skip_line(&mut self) -> Result<(), CliError> {
        loop {
            let (used, done) = match self.reader.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(buffer) => match buffer.iter().position(|byte| *byte == b'\n') {
                    Some(place) => (place + 1, true),
                    None => (buffer.len(), false),
                },
                Err(error) => return Err(self.unreadable(&error)),
            };
            self.reader.consume(used);
            if done {
                return Ok(());
            }
        }
    }

    fn unreadable(&self, error: &io::Error) -> CliError {
        CliError::failed(format!(
            "failed to read {} after line {}: {error}",
            self.name, self.number
        ))
    }
}

fn open(file: &Path) -> Result<(Box<dyn BufRead + Send>, String), CliError> {
    if file == Path::new("-") {
        return Ok((Box::new(BufReader::new(io::stdin())), "stdin".to_owned()));
    }
    let name = file.display().to_string();
    let failed = |error: io::Error| CliError::usage(format!("failed to open {name}: {error}"));
    let opened = File::open(file).map_err(failed)?;
    // A directory can be opened, and fails only when it is read.
    if opened.metadata().map_err(failed)?.is_dir() {
        return Err(CliError::usage(format!(
            "--from {name}: a directory; give a file of one JSON object per line"
        )));
    }
    Ok((Box::new(BufReader::new(opened)), name))
}

/// The line as an object, once it is known to be a submission: no field unknown, twice or of a wrong type.
fn checked(raw: &[u8]) -> Result<Map<String, Value>, ErrorBody> {
    parse_json::<NewTask>(raw).map_err(|error| ErrorBody {
        code: error.0.code,
        // Its number in the file is told before it.
        message: error.0.message.replace(" at line 1 column ", " at column "),
    })?;
    serde_json::from_slice(raw).map_err(|error| ErrorBody {
        code: RefusalCode::BadRequest,
        message: format!("not a JSON object: {error}"),
    })
}

fn absent(object: &Map<String, Value>, field: &str) -> bool {
    object.get(field).is_none_or(Value::is_null)
}

/// A secret is resolved at launch; a value beside it would be stored, and is refused.
fn without_secrets(env: &mut Map<String, Value>, object: &Map<String, Value>) {
    if let Some(Value::Object(secrets)) = object.get("secrets") {
        env.retain(|name, _| !secrets.contains_key(name));
    }
}

fn values(env: BTreeMap<String, String>) -> Map<String, Value> {
    env.into_iter()
        .map(|(name, value)| (name, Value::String(value)))
        .collect()
}
