//! What every command gets: where the daemon is and where the answer goes.

use std::future::Future;
use std::time::Duration;

use crate::config::PathOptions;
use crate::crash;

use super::clock;
use super::conn::Daemon;
use super::duration;
use super::error::CliError;
use super::output::{Output, say};

/// What every command gets.
#[derive(Debug)]
pub struct Context {
    /// Where the answer goes.
    pub out: Output,
    /// What the command line says about places.
    pub places: PathOptions,
}

/// A daemon that went away while it was needed is looked for this long: it may be restarting.
const RESTART_PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks for it.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Work that takes longer than this says so on stderr.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);

/// How long a daemon that went away while it was needed is looked for.
pub fn restart_patience() -> Duration {
    crash::patience(RESTART_PATIENCE)
}

impl Context {
    /// Connects to the daemon.
    ///
    /// # Errors
    /// No daemon answers, or its socket may not be used.
    pub async fn daemon(&self) -> Result<Daemon, CliError> {
        Daemon::find(&self.places).await
    }

    /// Connects anew after the daemon went away, and says so on stderr. To the same place: another daemon knows other tasks.
    ///
    /// # Errors
    /// None comes back within `patience`.
    pub async fn find_again(
        &self,
        daemon: &mut Daemon,
        patience: Duration,
    ) -> Result<(), CliError> {
        if self.out.stderr_is_terminal {
            repaint("");
        }
        say("the daemon went away, looking for it");
        let begun = clock::instant();
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            let waited = clock::instant().saturating_duration_since(begun);
            match daemon.another().await {
                Ok(fresh) => {
                    *daemon = fresh;
                    return Ok(());
                }
                Err(error) if !error.is_no_daemon() || waited >= patience => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
    }

    /// Does `work`; when it takes longer than a second, says so on stderr: on a terminal a line that counts, elsewhere
    /// one line once.
    pub async fn with_progress<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let begun = clock::instant();
        let mut work = std::pin::pin!(work);
        let mut shown = false;
        let done = loop {
            match tokio::time::timeout(PROGRESS_AFTER, &mut work).await {
                Ok(done) => break done,
                Err(_) if self.out.stderr_is_terminal => {
                    let seconds = clock::instant().saturating_duration_since(begun).as_secs();
                    repaint(&format!("{what}… {}", duration::format(seconds * 1000)));
                    shown = true;
                }
                // Whoever reads JSON reads every line as JSON.
                Err(_) if !shown && !self.out.json => {
                    say(&format!("{what}…"));
                    shown = true;
                }
                Err(_) => {}
            }
        };
        if shown && self.out.stderr_is_terminal {
            repaint("");
        }
        done
    }
}

/// Writes over the current line of the terminal behind stderr.
pub fn repaint(text: &str) {
    use std::io::Write as _;
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "\r\x1b[K{text}");
    let _ = stderr.flush();
}
