//! `system backup`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::render::bytes;

use super::spec::current_dir;

/// Arguments of `system backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The new file [default: backups/TIME.db in the state directory]
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Done {
    path: PathBuf,
    bytes: u64,
}

/// Copies.
///
/// # Errors
/// No daemon, or its refusal.
pub async fn run(args: &BackupArgs, context: &Context) -> Result<u8, CliError> {
    let body = match &args.path {
        Some(path) => serde_json::json!({ "path": absolute(path)? }),
        None => serde_json::json!({}),
    };
    let mut daemon = context.daemon().await?;
    let done: Done = context
        .with_progress("copying the database", daemon.post("/system/backup", &body))
        .await?;
    if context.out.json {
        context.out.json_line(&done)?;
    } else {
        context.out.line(&format!(
            "{}  {}",
            done.path.display(),
            bytes::brief(done.bytes)
        ))?;
    }
    Ok(exit::OK)
}

/// The path as the daemon, which has another working directory, must be told it.
///
/// # Errors
/// The current directory is gone, or the path is no text.
pub fn absolute(path: &Path) -> Result<String, CliError> {
    let path = if path.is_absolute() {
        path.to_owned()
    } else {
        current_dir()?.join(path).components().collect()
    };
    path.into_os_string().into_string().map_err(|path| {
        CliError::usage(format!(
            "the path {} is not UTF-8",
            Path::new(&path).display()
        ))
    })
}
