//! Where things are: the state directory and what lies in it, the configuration file, the control socket.
//!
//! Three layouts: the **service** (root, or under systemd with `STATE_DIRECTORY`) follows the FHS, a **user** follows
//! XDG, and `--state-dir` puts everything into one directory. [`Paths::resolve`] is pure over [`Given`]; only
//! [`Given::of_process`] reads the environment.
//!
//! Invariants: every path is absolute; one state directory always gives the same socket, so that a daemon and
//! `taskctl --state-dir` meet.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::rights::{Trust, refuse_foreign};

/// The service's state directory.
pub const SERVICE_STATE_DIR: &str = "/var/lib/auto-claude";
/// The service's configuration directory.
pub const SERVICE_CONFIG_DIR: &str = "/etc/auto-claude";
/// The service's runtime directory.
pub const SERVICE_RUNTIME_DIR: &str = "/run/auto-claude";
/// The variable that names the control socket to `taskctl`.
pub const SOCKET_VAR: &str = "AUTO_CLAUDE_SOCKET";
/// Names the control socket of the daemon that started a task, in the task's environment: a default place, which every
/// place that somebody named goes before.
pub const DAEMON_SOCKET_VAR: &str = "AUTO_CLAUDE_DAEMON_SOCKET";
/// The name of the control socket.
pub const SOCKET_NAME: &str = "auto-claude.sock";
/// The name of the configuration file.
pub const CONFIG_NAME: &str = "config.toml";
/// The name of our directory below the XDG base directories.
const APP_DIR: &str = "auto-claude";
/// Longest path of a Unix socket, in bytes: `sun_path` without its closing zero.
pub const MAX_SOCKET_PATH_BYTES: usize = 107;

/// What the environment says about places. Empty and relative values count as absent where XDG says so.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The working directory, for relative `--state-dir`, `--config`, `--socket`.
    pub cwd: PathBuf,
    /// Whether the effective user is root.
    pub is_root: bool,
    /// `HOME`.
    pub home: Option<OsString>,
    /// `XDG_STATE_HOME`.
    pub xdg_state_home: Option<OsString>,
    /// `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<OsString>,
    /// systemd's `STATE_DIRECTORY` (the first of a list counts).
    pub state_directory: Option<OsString>,
    /// systemd's `CONFIGURATION_DIRECTORY`.
    pub configuration_directory: Option<OsString>,
    /// systemd's `RUNTIME_DIRECTORY`.
    pub runtime_directory: Option<OsString>,
    /// `AUTO_CLAUDE_SOCKET`.
    pub auto_claude_socket: Option<OsString>,
    /// `AUTO_CLAUDE_DAEMON_SOCKET`.
    pub daemon_socket: Option<OsString>,
}

impl Given {
    /// What this process was given.
    #[must_use]
    pub fn of_process() -> Self {
        let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            // A deleted working directory only matters to relative paths; they then fail to open, by name.
            cwd: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            is_root: rustix::process::geteuid().is_root(),
            home: var("HOME"),
            xdg_state_home: var("XDG_STATE_HOME"),
            xdg_config_home: var("XDG_CONFIG_HOME"),
            state_directory: var("STATE_DIRECTORY"),
            configuration_directory: var("CONFIGURATION_DIRECTORY"),
            runtime_directory: var("RUNTIME_DIRECTORY"),
            auto_claude_socket: var(SOCKET_VAR),
            daemon_socket: var(DAEMON_SOCKET_VAR),
        }
    }
}

/// What the command line says about places.
#[derive(Debug, Clone, Default)]
pub struct PathOptions {
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--socket` (of `taskctl`: a daemon's socket follows from its state directory).
    pub socket: Option<PathBuf>,
}

/// Why there are no places.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Neither `HOME` nor a state directory.
    #[error(
        "find the state directory: HOME is not set to an absolute path; set it or give --state-dir DIR"
    )]
    NoHome,
    /// The socket's path does not fit the kernel's address.
    #[error(
        "use the socket {path}: its path has {bytes} bytes, the system takes {MAX_SOCKET_PATH_BYTES}; choose a shorter --state-dir"
    )]
    SocketTooLong {
        /// The path.
        path: String,
        /// Its length.
        bytes: usize,
    },
    /// What stands in the state directory's place cannot be one.
    #[error("use the state directory {path}: {why}")]
    StateDir {
        /// The path.
        path: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// A path that cannot be used at all.
    #[error("use {option}: {why}")]
    Unusable {
        /// The option.
        option: &'static str,
        /// What is wrong.
        why: &'static str,
    },
}

/// Where everything of one daemon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The state directory: one daemon each.
    pub state_dir: PathBuf,
    /// The configuration file to load; `None` = there is none, the defaults hold.
    pub config_file: Option<PathBuf>,
    /// Where `init` writes the configuration, existing or not.
    pub config_target: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// The database, unless the settings name another; see [`Paths::with_database`].
    pub database: PathBuf,
    /// The daemon's own logs.
    pub logs_dir: PathBuf,
    /// One directory per task.
    pub tasks_dir: PathBuf,
    /// The attempts' records.
    pub records_dir: PathBuf,
    /// The workers' sockets.
    pub run_dir: PathBuf,
    /// The lock that is held for the daemon's life.
    pub lock_file: PathBuf,
}

impl Paths {
    /// Finds all places. `is_file` tells whether a configuration file is there (anything but "not found" counts as
    /// there, so that a broken one is reported and not passed over).
    ///
    /// # Errors
    /// No home and no `--state-dir`, or an empty option.
    pub fn resolve(
        given: &Given,
        options: &PathOptions,
        is_file: &dyn Fn(&Path) -> bool,
    ) -> Result<Self, PathError> {
        let config = option("--config", given, options.config.as_deref())?;
        let explicit = option("--state-dir", given, options.state_dir.as_deref())?;
        let (state_dir, config_target) = match explicit {
            Some(dir) => (dir.clone(), dir.join(CONFIG_NAME)),
            None => (default_state_dir(given)?, default_config(given)?),
        };
        let socket = match option("--socket", given, options.socket.as_deref())? {
            Some(socket) => socket,
            None => socket_of(given, &state_dir),
        };
        let config_target = config.clone().unwrap_or(config_target);
        let found = is_file(&config_target).then(|| config_target.clone());
        Ok(Self {
            // A file that was asked for by name is loaded, or reported as missing; never passed over.
            config_file: config.or(found),
            config_target,
            socket,
            database: state_dir.join("auto-claude.db"),
            logs_dir: state_dir.join("logs"),
            tasks_dir: state_dir.join("tasks"),
            records_dir: state_dir.join("records"),
            run_dir: state_dir.join("run"),
            lock_file: state_dir.join("auto-claude.lock"),
            state_dir,
        })
    }

    /// [`Self::resolve`] with this process's environment and file system.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn of_process(options: &PathOptions) -> Result<Self, PathError> {
        Self::resolve(&Given::of_process(), options, &config_may_exist)
    }

    /// The same places with the database where the settings put it.
    #[must_use]
    pub fn with_database(mut self, settings: &super::Settings) -> Self {
        if let Some(path) = &settings.database_path {
            self.database.clone_from(path);
        }
        self
    }
}

/// Checks that `dir`, where it is there already, is a directory that may be believed.
///
/// # Errors
/// [`PathError::StateDir`].
pub fn check_state_dir(dir: &Path, trust: Trust) -> Result<(), PathError> {
    let refuse = |why: String| {
        Err(PathError::StateDir {
            path: dir.display().to_string(),
            why,
        })
    };
    let about = match std::fs::metadata(dir) {
        Ok(about) => about,
        // It will be made.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return refuse(error.to_string()),
    };
    if !about.is_dir() {
        return refuse("it is a file, not a directory; choose another --state-dir".to_owned());
    }
    match refuse_foreign(dir, &about) {
        Err(wrong) if trust == Trust::Own => refuse(format!("wrong rights: it {}", wrong.why)),
        Err(_) | Ok(()) => Ok(()),
    }
}

fn config_may_exist(path: &Path) -> bool {
    !matches!(std::fs::symlink_metadata(path), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
}

/// The sockets `taskctl` tries, in order. A place that was named is the only one: going on to another daemon would
/// send the work to where nobody looks for it. Inside a task the task's own daemon is the default place.
///
/// # Errors
/// An empty option, or a socket path the system cannot take.
pub fn candidate_sockets(given: &Given, options: &PathOptions) -> Result<Vec<PathBuf>, PathError> {
    let from_env = |path: &Option<OsString>| path.as_deref().map(|path| given.cwd.join(path));
    let named = match option("--socket", given, options.socket.as_deref())?
        .or_else(|| from_env(&given.auto_claude_socket))
    {
        Some(socket) => Some(socket),
        None => option("--state-dir", given, options.state_dir.as_deref())?
            .map(|dir| socket_of(given, &dir)),
    };
    if let Some(socket) = named.or_else(|| from_env(&given.daemon_socket)) {
        check_socket(&socket)?;
        return Ok(vec![socket]);
    }
    let mut sockets = Vec::new();
    if let Some(dir) = user_state_dir(given) {
        sockets.push(dir.join(SOCKET_NAME));
    }
    sockets.push(Path::new(SERVICE_RUNTIME_DIR).join(SOCKET_NAME));
    if given.is_root || given.state_directory.is_some() {
        // Where the daemon of this very environment would be comes first.
        let own = socket_of(given, &default_state_dir(given)?);
        sockets.retain(|socket| *socket != own);
        sockets.insert(0, own);
    }
    sockets.retain(|socket| check_socket(socket).is_ok());
    Ok(sockets)
}

/// Checks that the system can take `path` as a socket's address.
///
/// # Errors
/// [`PathError::SocketTooLong`].
pub fn check_socket(path: &Path) -> Result<(), PathError> {
    let bytes = path.as_os_str().len();
    if bytes > MAX_SOCKET_PATH_BYTES {
        return Err(PathError::SocketTooLong {
            path: path.display().to_string(),
            bytes,
        });
    }
    Ok(())
}

/// An option's path, absolute.
fn option(
    name: &'static str,
    given: &Given,
    path: Option<&Path>,
) -> Result<Option<PathBuf>, PathError> {
    let Some(path) = path else { return Ok(None) };
    if path.as_os_str().is_empty() {
        return Err(PathError::Unusable {
            option: name,
            why: "the path is empty",
        });
    }
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(PathError::Unusable {
            option: name,
            why: "the path holds a zero byte",
        });
    }
    // Without `.` and a closing slash, so that the same directory gives the same text.
    Ok(Some(given.cwd.join(path).components().collect()))
}

/// The socket of a state directory: inside it, but for the service's, which lies where other users may reach it.
fn socket_of(given: &Given, state_dir: &Path) -> PathBuf {
    let of_systemd = first(given.state_directory.as_ref()).is_some_and(|dir| dir == state_dir);
    let runtime = first(given.runtime_directory.as_ref()).filter(|_| of_systemd);
    match runtime {
        Some(dir) => dir.join(SOCKET_NAME),
        None if state_dir == Path::new(SERVICE_STATE_DIR) => {
            Path::new(SERVICE_RUNTIME_DIR).join(SOCKET_NAME)
        }
        None => state_dir.join(SOCKET_NAME),
    }
}

fn default_state_dir(given: &Given) -> Result<PathBuf, PathError> {
    if let Some(dir) = first(given.state_directory.as_ref()) {
        return Ok(dir);
    }
    if given.is_root {
        return Ok(PathBuf::from(SERVICE_STATE_DIR));
    }
    user_state_dir(given).ok_or(PathError::NoHome)
}

fn default_config(given: &Given) -> Result<PathBuf, PathError> {
    if given.state_directory.is_some() || given.is_root {
        let dir = first(given.configuration_directory.as_ref())
            .unwrap_or_else(|| PathBuf::from(SERVICE_CONFIG_DIR));
        return Ok(dir.join(CONFIG_NAME));
    }
    let base = absolute(given.xdg_config_home.as_ref())
        .or_else(|| Some(absolute(given.home.as_ref())?.join(".config")));
    base.map(|base| base.join(APP_DIR).join(CONFIG_NAME))
        .ok_or(PathError::NoHome)
}

fn user_state_dir(given: &Given) -> Option<PathBuf> {
    let base = absolute(given.xdg_state_home.as_ref())
        .or_else(|| Some(absolute(given.home.as_ref())?.join(".local/state")));
    base.map(|base| base.join(APP_DIR))
}

/// A base directory; the XDG specification has relative ones ignored.
fn absolute(value: Option<&OsString>) -> Option<PathBuf> {
    value.map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The first of systemd's list of directories.
fn first(value: Option<&OsString>) -> Option<PathBuf> {
    let bytes = value?.as_bytes().split(|byte| *byte == b':').next()?;
    absolute(Some(&OsString::from_vec(bytes.to_vec())))
}
