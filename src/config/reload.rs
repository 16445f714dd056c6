//! What changes between two loads, and what of it can be taken over by a running daemon. Pure.

use super::keys::{KEYS, Reload};
use super::settings::Settings;

/// The names of changed settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Taken over at once; a running attempt keeps what it was started with.
    pub applied: Vec<&'static str>,
    /// Kept as they were until the daemon is started again.
    pub needs_restart: Vec<&'static str>,
}

/// Compares the settings in force with newly loaded ones.
#[must_use]
pub fn reloadable_changes(old: &Settings, new: &Settings) -> Changes {
    let mut changes = Changes::default();
    for key in KEYS.iter().filter(|key| key.get(old) != key.get(new)) {
        match key.reload {
            Reload::Applied => changes.applied.push(key.name),
            Reload::NeedsRestart => changes.needs_restart.push(key.name),
        }
    }
    changes
}

/// The settings a running daemon goes on with: `new`, with what needs a restart kept from `old`.
#[must_use]
pub fn reloaded(old: &Settings, new: &Settings) -> Settings {
    let mut settings = new.clone();
    for key in KEYS.iter().filter(|key| key.reload == Reload::NeedsRestart) {
        key.set(&mut settings, &key.get(old));
    }
    settings
}
