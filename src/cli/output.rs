//! Where a command's answer goes: stdout, with what is known about the terminal.
//!
//! Invariant: a reader that has gone away is [`CliError::OutputClosed`], never a panic. What a task or a user chose
//! (names, commands) reaches a terminal only through [`plain`], and what it wrote only through [`harmless`], so it cannot
//! move the cursor or repaint the screen. The exception is `task logs`, whose purpose is the bytes as they are.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use super::error::CliError;

/// Columns when neither the terminal nor `COLUMNS` says.
pub const FALLBACK_COLUMNS: usize = 100;
/// Fewer columns are taken as this many.
pub const MIN_COLUMNS: usize = 16;

/// stdout and what is known about it.
#[derive(Debug)]
pub struct Output {
    /// Answers as JSON.
    pub json: bool,
    /// Colour is welcome.
    pub colour: bool,
    /// Columns a table may take.
    pub columns: usize,
    /// stdout is a terminal: what is written acts on it.
    pub stdout_is_terminal: bool,
    /// stderr is a terminal: progress may repaint its line.
    pub stderr_is_terminal: bool,
    /// stdin and stderr are a terminal: questions can be asked.
    pub can_ask: bool,
}

impl Output {
    /// Looks at the process's own streams and environment.
    #[must_use]
    pub fn detect(json: bool) -> Self {
        let stdout_is_terminal = io::stdout().is_terminal();
        let stderr_is_terminal = io::stderr().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            json,
            colour: stdout_is_terminal && !no_colour && !dumb,
            columns: columns(stdout_is_terminal),
            stdout_is_terminal,
            stderr_is_terminal,
            can_ask: stderr_is_terminal && io::stdin().is_terminal(),
        }
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// [`CliError::OutputClosed`] when the reader has gone, otherwise why the write failed.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .map_err(|error| CliError::output(&error))
    }

    /// Writes what a task has written: [`harmless`] on a terminal, as it is elsewhere.
    ///
    /// # Errors
    /// See [`Self::bytes`].
    pub fn task_output(&self, bytes: &[u8]) -> Result<(), CliError> {
        if self.stdout_is_terminal {
            self.bytes(harmless(bytes).as_bytes())
        } else {
            self.bytes(bytes)
        }
    }

    /// Writes a text and a line end.
    ///
    /// # Errors
    /// See [`Self::bytes`].
    pub fn line(&self, text: &str) -> Result<(), CliError> {
        let mut whole = String::with_capacity(text.len() + 1);
        whole.push_str(text);
        whole.push('\n');
        self.bytes(whole.as_bytes())
    }

    /// Writes one value as one line of JSON.
    ///
    /// # Errors
    /// See [`Self::bytes`].
    pub fn json_line<T: Serialize>(&self, value: &T) -> Result<(), CliError> {
        self.line(&to_json(value)?)
    }

    /// Writes an array, one element per line, so that it is JSON and can be searched with line tools.
    ///
    /// # Errors
    /// See [`Self::bytes`].
    pub fn json_array<T: Serialize>(&self, values: &[T]) -> Result<(), CliError> {
        let mut array = JsonArray::default();
        for value in values {
            array.push(self, value)?;
        }
        array.finish(self)
    }
}

/// An array that is written while its elements arrive.
#[derive(Debug, Default)]
pub struct JsonArray {
    begun: bool,
}

impl JsonArray {
    /// Writes one more element.
    ///
    /// # Errors
    /// See [`Output::bytes`].
    pub fn push<T: Serialize>(&mut self, out: &Output, value: &T) -> Result<(), CliError> {
        let before = if self.begun { ",\n" } else { "[\n" };
        self.begun = true;
        out.bytes(format!("{before}{}", to_json(value)?).as_bytes())
    }

    /// Ends the array.
    ///
    /// # Errors
    /// See [`Output::bytes`].
    pub fn finish(self, out: &Output) -> Result<(), CliError> {
        out.bytes(if self.begun { b"\n]\n" } else { b"[]\n" })
    }
}

fn to_json<T: Serialize>(value: &T) -> Result<String, CliError> {
    serde_json::to_string(value)
        .map_err(|error| CliError::failed(format!("failed to write JSON: {error}")))
}

/// Says something on stderr; a stderr that is gone is nobody's loss.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says something beside the answer on stderr: with `json` as one line of JSON, so that every line there is one.
pub fn notice(json: bool, text: &str) {
    if json {
        say(&serde_json::json!({ "notice": text }).to_string());
    } else {
        say(text);
    }
}

/// `text` with control characters and direction marks made visible.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push('⏎'),
            '\t' => shown.push(' '),
            // Marks that reorder what follows on a terminal.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                shown.push('�')
            }
            c if c.is_control() => {
                // Writing into a String cannot fail.
                let _ = write!(shown, "\\x{:02x}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown
}

/// Output of a task with everything that would act on a terminal made visible; lines and tabs stay what they are.
#[must_use]
pub fn harmless(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = match line.strip_suffix('\n') {
            // A terminal does that by itself; as `\x0d` it would stand at every line of some programs.
            Some(line) => (line.strip_suffix('\r').unwrap_or(line), "\n"),
            None => (line, ""),
        };
        for (place, part) in line.split('\t').enumerate() {
            if place > 0 {
                shown.push('\t');
            }
            shown.push_str(&plain(part));
        }
        shown.push_str(end);
    }
    shown
}

fn columns(stdout_is_terminal: bool) -> usize {
    let from_terminal = || {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    };
    let from_environment = || {
        std::env::var("COLUMNS")
            .ok()?
            .parse::<usize>()
            .ok()
            .filter(|columns| *columns > 0)
    };
    let asked = if stdout_is_terminal {
        from_terminal().or_else(from_environment)
    } else {
        from_environment()
    };
    asked.unwrap_or(FALLBACK_COLUMNS).max(MIN_COLUMNS)
}
