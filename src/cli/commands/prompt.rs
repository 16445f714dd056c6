//! The flags that ask an agent something: the prompt, its chunks, and who is asked.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::api::wire::NewPrompt;
use crate::budget::{self, Budget};
use crate::cli::error::CliError;
use crate::cli::output::plain;
use crate::task::Prompt;

/// What an agent is asked, and which one.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Agents")]
pub struct PromptArgs {
    /// Ask an agent this, instead of running a command; @FILE reads it from a file, @- from stdin
    #[arg(long, value_name = "TEXT|@FILE")]
    pub prompt: Option<String>,
    /// Which agent [default: claude]
    #[arg(long, value_name = "AGENT", requires = "prompt")]
    pub agent: Option<String>,
    /// On which account [default: the agent's own login]
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Where it goes on when it would wait too long for its account (repeatable, in this order)
    #[arg(long, value_name = "AGENT[:ACCOUNT]")]
    pub fallback: Vec<String>,
    /// Which model [default: the setting for the task's type, else the agent's own choice]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// The project to work in: as --cwd
    #[arg(
        long,
        value_name = "PROJECT",
        requires = "prompt",
        conflicts_with = "cwd"
    )]
    pub session: Option<PathBuf>,
    /// Ask the prompt once for this text, which stands at {chunk} (repeatable; the task is of type heavy_context)
    #[arg(long, value_name = "TEXT", requires = "prompt")]
    pub chunk: Vec<String>,
    /// Ask it once for each line of this file
    #[arg(long, value_name = "FILE", requires = "prompt")]
    pub chunk_lines: Option<PathBuf>,
    /// Ask it once for each file that this pattern names, as in 'src/*.rs'
    #[arg(long, value_name = "GLOB", requires = "prompt")]
    pub chunk_files: Option<String>,
    /// A further argument for the agent's program (repeatable)
    #[arg(
        long,
        value_name = "ARG",
        requires = "prompt",
        allow_hyphen_values = true
    )]
    pub agent_arg: Vec<String>,
    /// What the task may use up: money ('$5', 5usd), tokens ('200k tokens'), time (30m), or several ('$5, 30m');
    /// when it is used up the task is paused
    #[arg(
        long,
        value_name = "BUDGET",
        allow_negative_numbers = true,
        value_parser = budget::parse
    )]
    pub budget: Option<Budget>,
}

impl PromptArgs {
    /// What is asked, or what is said about the run of a command line of Claude Code; `None` when nothing is. Relative paths
    /// are looked up below `cwd`.
    ///
    /// # Errors
    /// A file that cannot be read, is too long or is no text; a pattern that names nothing.
    pub fn into_prompt(self, cwd: &Path) -> Result<Option<NewPrompt>, CliError> {
        if self.prompt.is_none() && self.of_a_run().is_none() {
            return Ok(None);
        }
        let text = match &self.prompt {
            Some(given) => Some(match given.strip_prefix('@') {
                Some("-") => read_text("stdin", std::io::stdin().lock(), "--prompt")?,
                Some(path) => read_file(Path::new(path), "--prompt")?,
                None => given.clone(),
            }),
            None => None,
        };
        let chunks = self.chunks(cwd)?;
        let budget = self.budget.unwrap_or(Budget::NONE);
        Ok(Some(NewPrompt {
            text,
            agent: self.agent,
            account: self.account,
            fallback: self.fallback,
            model: self.model,
            chunks,
            args: self.agent_arg,
            budget_micro_usd: budget.micro_usd,
            budget_tokens: budget.tokens,
            budget_run_ms: budget.run_ms,
        }))
    }

    /// The first flag that was given of those that are also about the run of a command line.
    #[must_use]
    pub fn of_a_run(&self) -> Option<&'static str> {
        let given = [
            ("--account", self.account.is_some()),
            ("--fallback", !self.fallback.is_empty()),
            ("--model", self.model.is_some()),
            ("--budget", self.budget.is_some()),
        ];
        given.iter().find(|(_, is)| *is).map(|(flag, _)| *flag)
    }

    fn chunks(&self, cwd: &Path) -> Result<Vec<String>, CliError> {
        let mut chunks = self.chunk.clone();
        if let Some(path) = &self.chunk_lines {
            let text = read_file(path, "--chunk-lines")?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            chunks.extend(lines.map(str::to_owned));
            if chunks.is_empty() {
                return Err(CliError::usage(format!(
                    "--chunk-lines {}: the file has no lines",
                    plain(&path.to_string_lossy())
                )));
            }
        }
        if let Some(pattern) = &self.chunk_files {
            chunks.extend(matching(pattern, cwd)?);
        }
        if chunks.len() > Prompt::CHUNKS_MAX {
            return Err(CliError::usage(format!(
                "{} chunks; a task has at most {}",
                chunks.len(),
                Prompt::CHUNKS_MAX
            )));
        }
        Ok(chunks)
    }
}

/// The files that a pattern names, in their order; relative ones as seen from `cwd`.
fn matching(pattern: &str, cwd: &Path) -> Result<Vec<String>, CliError> {
    let wrong = |why: String| CliError::usage(format!("--chunk-files {}: {why}", plain(pattern)));
    let absolute = glob::Pattern::escape(&cwd.to_string_lossy());
    let whole = if Path::new(pattern).is_absolute() {
        pattern.to_owned()
    } else {
        format!("{absolute}/{pattern}")
    };
    let paths = glob::glob(&whole).map_err(|error| wrong(error.to_string()))?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|error| wrong(error.to_string()))?;
        if path.is_dir() {
            continue;
        }
        let shown = path.strip_prefix(cwd).unwrap_or(&path);
        let text = shown
            .to_str()
            .ok_or_else(|| wrong(format!("{} is not UTF-8", shown.display())))?;
        files.push(text.to_owned());
        if files.len() > Prompt::CHUNKS_MAX {
            return Err(wrong(format!(
                "names more than {} files",
                Prompt::CHUNKS_MAX
            )));
        }
    }
    if files.is_empty() {
        return Err(wrong("names no file".to_owned()));
    }
    Ok(files)
}

fn read_file(path: &Path, flag: &str) -> Result<String, CliError> {
    let name = plain(&path.to_string_lossy());
    let file = std::fs::File::open(path)
        .map_err(|error| CliError::usage(format!("{flag} @{name}: {error}")))?;
    read_text(&name, file, flag)
}

/// At most what a prompt may have: a larger file is refused before it is read whole.
fn read_text(name: &str, from: impl std::io::Read, flag: &str) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    let limit = Prompt::PROMPT_MAX_BYTES as u64;
    from.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| CliError::usage(format!("{flag} @{name}: {error}")))?;
    if bytes.len() as u64 > limit {
        return Err(CliError::usage(format!(
            "{flag} @{name}: longer than {limit} bytes; let the prompt name the file instead"
        )));
    }
    String::from_utf8(bytes)
        .map(|text| text.trim_end().to_owned())
        .map_err(|error| {
            let place = error.utf8_error().valid_up_to();
            CliError::usage(format!("{flag} @{name}: not UTF-8 (from byte {place} on)"))
        })
}
