//! What a submission may say: [`TaskSpec::check`]. Only a spec that passes is stored, so nothing after it checks again.
//!
//! Invariant: knows only the values. Whether the directory exists or a predecessor is known is asked where that can be seen.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Prompt;
use super::spec::{Command, RetryOn, SecretRef, TaskSpec};

/// Longest name and exclusive key, in characters.
pub const NAME_MAX_CHARS: usize = 200;
/// Longest description, in characters.
pub const DESCRIPTION_MAX_CHARS: usize = 10_000;
/// Longest single argument, command line, or `NAME=value`: Linux's limit is 131,072 with the ending NUL.
pub const ARG_MAX_BYTES: usize = 131_071;
/// All arguments together, and all of the environment together.
pub const ARGS_MAX_BYTES: usize = 1024 * 1024;
/// Longest path: Linux's limit is 4,096 with the ending NUL.
pub const PATH_MAX_BYTES: usize = 4095;
/// Most predecessors.
pub const AFTER_MAX: usize = 64;
/// Most secrets.
pub const SECRETS_MAX: usize = 64;
/// Most kinds of failure to retry: every exit code and every word.
pub const RETRY_ON_MAX: usize = 260;
/// Longest wall or idle time: a year.
pub const TIMEOUT_MAX_SECONDS: u64 = 31_536_000;
/// Longest command line of a notice.
pub const NOTIFY_MAX_BYTES: usize = 4096;
/// Most retries.
pub const RETRIES_MAX: u32 = 1000;

/// A submission asks for something that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct SpecError {
    /// The field, as in JSON.
    pub field: &'static str,
    /// What is wrong with it and what is allowed.
    pub problem: String,
}

type Checked = Result<(), SpecError>;

fn wrong(field: &'static str, problem: impl Into<String>) -> SpecError {
    SpecError {
        field,
        problem: problem.into(),
    }
}

fn ensure(holds: bool, field: &'static str, problem: impl FnOnce() -> String) -> Checked {
    if holds {
        Ok(())
    } else {
        Err(wrong(field, problem()))
    }
}

impl TaskSpec {
    /// Whether every field is inside its documented range.
    ///
    /// # Errors
    /// The first field that is not, with what is allowed.
    pub fn check(&self) -> Checked {
        label("name", &self.name)?;
        let chars = self.description.chars().count();
        ensure(chars <= DESCRIPTION_MAX_CHARS, "description", || {
            format!("has {chars} characters; at most {DESCRIPTION_MAX_CHARS} are kept")
        })?;
        no_nul("description", &self.description)?;
        self.command.check()?;
        absolute("cwd", &self.cwd)?;
        self.check_env()?;
        self.check_secrets()?;
        ensure(self.after.len() <= AFTER_MAX, "after", || {
            format!(
                "names {} tasks; at most {AFTER_MAX} can be waited for",
                self.after.len()
            )
        })?;
        seconds("timeout_seconds", self.timeout_seconds)?;
        seconds("idle_timeout_seconds", self.idle_timeout_seconds)?;
        let retries = self.max_retries.unwrap_or(0);
        ensure(retries <= RETRIES_MAX, "max_retries", || {
            format!("is {retries}; allowed is 0 to {RETRIES_MAX}")
        })?;
        ensure(self.retry_on.len() <= RETRY_ON_MAX, "retry_on", || {
            format!(
                "names {} failures; at most {RETRY_ON_MAX}",
                self.retry_on.len()
            )
        })?;
        ensure(
            !self.retry_on.contains(&RetryOn::Code(0)),
            "retry_on",
            || "exit code 0 is no failure; allowed is 1 to 255".to_owned(),
        )?;
        for (field, text) in [("exclusive", &self.exclusive), ("batch", &self.batch)] {
            text.as_deref().map_or(Ok(()), |text| label(field, text))?;
        }
        self.notify.as_deref().map_or(Ok(()), notify_command)
    }

    fn check_env(&self) -> Checked {
        let mut total = 0_usize;
        for (name, value) in &self.env {
            env_name("env", name)?;
            ensure(!value.contains('\0'), "env", || {
                format!("the value of {name:?} has a NUL")
            })?;
            let bytes = name.len().saturating_add(value.len()).saturating_add(1);
            ensure(bytes <= ARG_MAX_BYTES, "env", || {
                format!(
                    "{name:?} and its value have {bytes} bytes; the system takes {ARG_MAX_BYTES}"
                )
            })?;
            total = total.saturating_add(bytes);
        }
        ensure(total <= ARGS_MAX_BYTES, "env", || {
            format!("has {total} bytes in all; at most {ARGS_MAX_BYTES}")
        })
    }

    fn check_secrets(&self) -> Checked {
        const FIELD: &str = "secrets";
        ensure(self.secrets.len() <= SECRETS_MAX, FIELD, || {
            format!("has {} entries; at most {SECRETS_MAX}", self.secrets.len())
        })?;
        for (name, source) in &self.secrets {
            env_name(FIELD, name)?;
            ensure(!self.env.contains_key(name), FIELD, || {
                format!("{name:?} is given as a plain variable too; give it once")
            })?;
            match source {
                SecretRef::File(path) => absolute(FIELD, path)?,
                SecretRef::Env(from) => env_name(FIELD, from)?,
                SecretRef::Credential(id) => {
                    let plain = !id.contains('/') && id != "." && id != "..";
                    ensure(plain, FIELD, || {
                        format!("the credential {id:?} is no plain name")
                    })?;
                    label(FIELD, id)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a notice can be told so.
///
/// # Errors
/// What is wrong, and what is allowed.
pub fn notify_command(line: &str) -> Checked {
    const FIELD: &str = "notify";
    ensure(!line.trim().is_empty(), FIELD, || "is empty".to_owned())?;
    no_nul(FIELD, line)?;
    ensure(line.len() <= NOTIFY_MAX_BYTES, FIELD, || {
        format!(
            "has {} bytes; at most {NOTIFY_MAX_BYTES}, put more into a script",
            line.len()
        )
    })
}

impl Command {
    /// Whether the system can run it: not empty, no NUL, short enough.
    ///
    /// # Errors
    /// What is wrong, and what is allowed.
    pub fn check(&self) -> Checked {
        const FIELD: &str = "command";
        match self {
            Self::Line(line) => {
                ensure(!line.trim().is_empty(), FIELD, || "is empty".to_owned())?;
                argument(FIELD, line)
            }
            Self::Argv(argv) => {
                let program = argv.first().map_or("", String::as_str);
                ensure(!program.is_empty(), FIELD, || "names no program".to_owned())?;
                argv.iter().try_for_each(|arg| argument(FIELD, arg))?;
                let total = argv
                    .iter()
                    .fold(0_usize, |sum, arg| sum.saturating_add(arg.len() + 1));
                ensure(total <= ARGS_MAX_BYTES, FIELD, || {
                    format!("has {total} bytes in all; at most {ARGS_MAX_BYTES}")
                })
            }
            Self::Prompt(prompt) => prompt.check(),
        }
    }
}

impl Prompt {
    /// Longest prompt, in bytes: as much as any other command may have. Some agents take no more than one argument holds
    /// ([`ARG_MAX_BYTES`]).
    pub const PROMPT_MAX_BYTES: usize = ARGS_MAX_BYTES;
    /// Most chunks of one task.
    pub const CHUNKS_MAX: usize = 10_000;
    /// Most further arguments.
    pub const ARGS_MAX: usize = 256;
    /// Most places to go on at.
    pub const FALLBACKS_MAX: usize = 8;
    /// Longest name of an agent, an account or a model, in characters.
    pub const NAME_MAX_CHARS: usize = 80;

    /// Whether an agent can be asked this.
    ///
    /// # Errors
    /// What is wrong, and what is allowed.
    pub fn check(&self) -> Checked {
        ensure(!self.prompt.trim().is_empty(), "prompt", || {
            "is empty".to_owned()
        })?;
        no_nul("prompt", &self.prompt)?;
        let bytes = self.prompt.len();
        ensure(bytes <= Self::PROMPT_MAX_BYTES, "prompt", || {
            format!(
                "has {bytes} bytes; at most {} (put more into a file, and let the prompt name it)",
                Self::PROMPT_MAX_BYTES
            )
        })?;
        plain_name("agent", &self.agent)?;
        plain_name("account", &self.account)?;
        if let Some(model) = &self.model {
            label("model", model)?;
            ensure(
                model.chars().count() <= Self::NAME_MAX_CHARS && !model.starts_with('-'),
                "model",
                || format!("{:?} is no name of a model", super::id::clip(model)),
            )?;
        }
        self.budget()
            .check()
            .map_err(|problem| wrong("budget", problem))?;
        self.check_fallback()?;
        self.args.iter().try_for_each(|arg| argument("args", arg))?;
        ensure(self.args.len() <= Self::ARGS_MAX, "args", || {
            format!(
                "has {} entries; at most {}",
                self.args.len(),
                Self::ARGS_MAX
            )
        })?;
        self.check_chunks()
    }

    /// Each place once, and none where it is anyway: it never goes back.
    fn check_fallback(&self) -> Checked {
        const FIELD: &str = "fallback";
        let count = self.fallback.len();
        ensure(count <= Self::FALLBACKS_MAX, FIELD, || {
            format!("names {count} places; at most {}", Self::FALLBACKS_MAX)
        })?;
        let mut known = vec![(&self.agent, &self.account)];
        for place in &self.fallback {
            plain_name(FIELD, &place.agent)?;
            plain_name(FIELD, &place.account)?;
            let pair = (&place.agent, &place.account);
            ensure(!known.contains(&pair), FIELD, || {
                format!("{place} is named twice, or is where the task begins: it never goes back")
            })?;
            known.push(pair);
        }
        Ok(())
    }

    fn check_chunks(&self) -> Checked {
        const FIELD: &str = "chunks";
        let count = self.chunks.len();
        ensure(count <= Self::CHUNKS_MAX, FIELD, || {
            format!("has {count} entries; at most {}", Self::CHUNKS_MAX)
        })?;
        let has_place = self.prompt.contains(Self::CHUNK);
        ensure(has_place || count == 0, "prompt", || {
            format!("has no {} although there are chunks", Self::CHUNK)
        })?;
        let total: usize = self.chunks.iter().map(String::len).sum();
        ensure(total <= ARGS_MAX_BYTES, FIELD, || {
            format!("has {total} bytes in all; at most {ARGS_MAX_BYTES}")
        })?;
        let places = self.prompt.matches(Self::CHUNK).count();
        let longest = self.chunks.iter().map(String::len).max().unwrap_or(0);
        let filled = self
            .prompt
            .len()
            .saturating_add(longest.saturating_mul(places));
        let limit = Self::PROMPT_MAX_BYTES;
        ensure(count == 0 || filled <= limit, "prompt", || {
            format!("has {filled} bytes with its longest chunk; at most {limit}")
        })?;
        self.chunks.iter().try_for_each(|chunk| {
            no_nul(FIELD, chunk)?;
            ensure(!chunk.trim().is_empty(), FIELD, || {
                "has an empty entry".to_owned()
            })
        })
    }
}

/// A name that can stand in a path and in a key: letters, digits, `-`, `_` and `.`, not first.
fn plain_name(field: &'static str, name: &str) -> Checked {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let plain = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(fits)
        && name.len() <= Prompt::NAME_MAX_CHARS;
    ensure(plain, field, || {
        format!(
            "{:?} is no plain name (1 to {} letters, digits, -, _ and ., a letter or digit first)",
            super::id::clip(name),
            Prompt::NAME_MAX_CHARS
        )
    })
}

fn argument(field: &'static str, text: &str) -> Checked {
    no_nul(field, text)?;
    ensure(text.len() <= ARG_MAX_BYTES, field, || {
        format!(
            "has an argument of {} bytes; the system takes {ARG_MAX_BYTES} (put more into a file)",
            text.len()
        )
    })
}

/// One line that can be shown in a table.
fn label(field: &'static str, text: &str) -> Checked {
    let chars = text.chars().count();
    ensure((1..=NAME_MAX_CHARS).contains(&chars), field, || {
        format!("has {chars} characters; allowed is 1 to {NAME_MAX_CHARS}")
    })?;
    ensure(!text.chars().any(char::is_control), field, || {
        "has a control character (a line break, a tab, an escape)".to_owned()
    })
}

fn no_nul(field: &'static str, text: &str) -> Checked {
    ensure(!text.contains('\0'), field, || {
        "has a NUL character".to_owned()
    })
}

fn absolute(field: &'static str, path: &Path) -> Checked {
    let bytes = path.as_os_str().as_bytes();
    ensure(path.is_absolute(), field, || {
        format!("{path:?} is not an absolute path")
    })?;
    ensure(!bytes.contains(&0), field, || {
        "has a NUL character".to_owned()
    })?;
    ensure(bytes.len() <= PATH_MAX_BYTES, field, || {
        format!(
            "has {} bytes; the system takes {PATH_MAX_BYTES}",
            bytes.len()
        )
    })
}

fn env_name(field: &'static str, name: &str) -> Checked {
    let fits = !name.is_empty() && !name.contains(['=', '\0']);
    ensure(fits, field, || {
        format!(
            "{:?} is no name of a variable (no `=`, no NUL, not empty)",
            super::id::clip(name)
        )
    })
}

fn seconds(field: &'static str, value: Option<u64>) -> Checked {
    let Some(value) = value else { return Ok(()) };
    ensure((1..=TIMEOUT_MAX_SECONDS).contains(&value), field, || {
        format!("is {value}; allowed is 1 to {TIMEOUT_MAX_SECONDS}")
    })
}

#[cfg(test)]
mod tests;
