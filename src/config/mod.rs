//! EDGE. File and environment become checked settings; errors carry the path of the key.
//!
//! One table, [`keys::KEYS`], says of each setting its name, range, default and meaning; loading, printing, the
//! commented default file, the reference page and reload all read it.

mod budgets;
mod check;
mod file;
pub mod init;
pub mod keys;
pub mod load;
pub mod paths;
mod problem;
pub mod reference;
pub mod reload;
pub mod rights;
pub mod settings;
mod value;

#[cfg(test)]
mod tests;

pub use init::{FoundTools, default_config_text, find_tools};
pub use load::{Effective, Origin, Sources, load};
pub use paths::{PathError, PathOptions, Paths};
pub use problem::{ConfigError, Place, Problem};
pub use reload::{Changes, reloadable_changes};
pub use rights::{Trust, WrongRights, refuse_foreign};
pub use settings::{QuietHours, Settings};
pub use value::Value;
