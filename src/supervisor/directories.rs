//! The state directory and the database's: made for their owner alone, and refused where others could write in them.

use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::lock::canonical;
use super::start::StartError;
use crate::config::{Paths, refuse_foreign};

const DIR_MODE: u32 = 0o700;

/// Makes the state directory and what stands in it, for the owner alone.
///
/// # Errors
/// [`StartError::StateDir`]; [`StartError::Rights`] when one is there and others can write in it.
pub fn make_directories(paths: &Paths) -> Result<(), StartError> {
    for dir in [
        &paths.state_dir,
        &paths.logs_dir,
        &paths.tasks_dir,
        &paths.records_dir,
        &paths.run_dir,
    ] {
        std::fs::DirBuilder::new()
            .mode(DIR_MODE)
            .recursive(true)
            .create(dir)
            .map_err(|source| StartError::StateDir {
                path: dir.clone(),
                source,
            })?;
        check(dir)?;
    }
    Ok(())
}

/// Refuses a database that others could write: its tasks are commands. Its directory counts, because SQLite believes the
/// log that lies beside it.
///
/// # Errors
/// [`StartError::Rights`]. What cannot be looked at is told by who opens it.
pub fn check_database(paths: &Paths) -> Result<(), StartError> {
    let Ok(database) = canonical(&paths.database) else {
        return Ok(());
    };
    if let Some(dir) = database.parent() {
        check(dir)?;
    }
    check(&database)
}

fn check(path: &Path) -> Result<(), StartError> {
    match std::fs::metadata(path) {
        Ok(about) => Ok(refuse_foreign(path, &about)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(StartError::StateDir {
            path: path.to_owned(),
            source,
        }),
    }
}
