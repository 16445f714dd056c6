//! What every command begins with: where things are, which settings hold; and `init` and `check-config`.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::answer::Answer;
use super::error::ExitError;
use crate::config::paths::check_state_dir;
use crate::config::{
    Effective, PathOptions, Paths, Sources, Trust, default_config_text, find_tools, load,
};
use crate::store::Store;
use crate::supervisor::agents;
use crate::supervisor::directories::{check_database, make_directories};
use crate::supervisor::lock::DaemonLock;
use crate::supervisor::start::open_options;

/// Where things are, and the settings that hold there.
#[derive(Debug)]
pub struct Place {
    /// Where things are, the database's place included.
    pub paths: Paths,
    /// The settings with their origins.
    pub effective: Effective,
}

impl Place {
    /// From the command line's words, the environment and the configuration file. What others could have written is
    /// refused: the settings name programs that are run.
    ///
    /// # Errors
    /// One clear message with the code [`ExitError::USAGE`].
    pub fn resolve(options: &PathOptions) -> Result<Self, ExitError> {
        Self::find(options, Trust::Own)
    }

    /// The same for who runs nothing: root may look at what belongs to the service's user.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn look(options: &PathOptions) -> Result<Self, ExitError> {
        Self::find(options, Trust::Any)
    }

    fn find(options: &PathOptions, trust: Trust) -> Result<Self, ExitError> {
        let paths = Paths::of_process(options)?;
        check_state_dir(&paths.state_dir, trust)?;
        let sources = Sources {
            trust,
            ..Sources::of_process(paths.config_file.clone())
        };
        let effective = load(&sources)?;
        let paths = paths.with_database(&effective.settings);
        Ok(Self { paths, effective })
    }
}

/// Makes the state directory, the database and a commented configuration. What is there already stays as it is.
/// Returns what was done.
///
/// # Errors
/// When something cannot be made.
pub fn init(options: &PathOptions) -> Result<Answer, ExitError> {
    let place = Place::resolve(options)?;
    let mut made = Made::default();
    let existed = place.paths.state_dir.exists();
    make_directories(&place.paths)?;
    check_database(&place.paths)?;
    made.note(existed, "state directory", &place.paths.state_dir);
    let existed = place.paths.database.exists();
    // A daemon that runs has the database open, and has made it.
    match DaemonLock::try_take(&place.paths, "auto-claude init") {
        Ok(_lock) => {
            let store = Store::open(
                &open_options(&place.paths, &place.effective.settings),
                crate::supervisor::clock::now(),
            )
            .map_err(crate::supervisor::start::StartError::Open)?;
            store.close().map_err(|error| ExitError::of(&error))?;
        }
        Err(error) if !existed => {
            return Err(crate::supervisor::start::StartError::Lock(error).into());
        }
        Err(_) => {}
    }
    made.note(existed, "database", &place.paths.database);
    let config = &place.paths.config_target;
    let existed = config.exists();
    if !existed {
        let tools = find_tools(&std::env::var_os("PATH").unwrap_or_default());
        write_new(config, &default_config_text(&tools)).map_err(|error| {
            ExitError::failed(format!("cannot write {}: {error}", config.display()))
        })?;
    }
    made.note(existed, "configuration", config);
    Ok(Answer {
        lines: made.lines,
        json: serde_json::json!({
            "state_dir": place.paths.state_dir.to_string_lossy(),
            "database": place.paths.database.to_string_lossy(),
            "config": config.to_string_lossy(),
            "created": made.created,
        }),
    })
}

/// What `init` found and made.
#[derive(Default)]
struct Made {
    lines: Vec<String>,
    created: Vec<String>,
}

impl Made {
    fn note(&mut self, existed: bool, what: &str, path: &Path) {
        let how = if existed {
            "was there, unchanged"
        } else {
            self.created.push(path.to_string_lossy().into_owned());
            "made"
        };
        self.lines
            .push(format!("{what}: {} ({how})", path.display()));
    }
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The settings in force and where each came from.
///
/// # Errors
/// Every problem of the configuration, at once; then those of the files that it names.
pub fn check_config(options: &PathOptions, json: bool) -> Result<String, ExitError> {
    let place = Place::resolve(options)?;
    let unreadable = agents::unreadable(&place.effective.settings);
    if !unreadable.is_empty() {
        return Err(ExitError {
            message: format!(
                "load the settings: agent_files: {}",
                unreadable.join("\n  ")
            ),
            code: ExitError::USAGE,
        });
    }
    if json {
        let text =
            serde_json::to_string_pretty(&place.effective.to_json()).map_err(ExitError::failed)?;
        return Ok(text + "\n");
    }
    Ok(place.effective.render())
}

/// Whether this process was started as a service of systemd with a journal.
#[must_use]
pub fn under_journal() -> bool {
    std::env::var_os("JOURNAL_STREAM")
        .as_deref()
        .is_some_and(|value| value != OsStr::new(""))
}
