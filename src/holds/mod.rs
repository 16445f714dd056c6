//! PURE. What closes an account, until when, who is the probe, and how tasks go on when it opens.
//!
//! An [`Account`] is a value: it is told how runs ended ([`Account::block`], [`Account::observe`], [`Account::served`],
//! [`Account::ended`]) and what a person wishes ([`Account::set`], [`Account::clear`]), it is asked ([`Account::gate`],
//! [`Account::next_look`]), and a run starts only through [`Account::start`]. It is stored as JSON, whole.
//!
//! The promises, proved in `tests/holds.rs`:
//! - A hold is only lengthened, except by a person; it ends by a verified success or by a person, never by time alone.
//! - Nothing starts under a hold but one probe, and that only when the time of every hold over its model has come.
//! - A hold with a time is bounded: whatever was announced, its time comes within `hold_max_ms` (twice that at most where the
//!   clock was set back meanwhile).
//! - What a run says that was going before the hold began counts no strike.
//! - A wrong clock lets a probe through too early, which does no harm, or makes the wait longer within the bound.
//!
//! Invariant: knows no clock, file, socket, process, thread or random state; time and chance come in as values. Total: no
//! input panics. What waits, and in which order, is the store's index; this room says how two waiting tasks compare.

mod account;
mod gate;
mod hold;
mod kind;
mod model;
mod order;
mod own;
mod policy;
mod release;
mod wait;
mod window;

#[cfg(test)]
mod tests;

pub use account::{Account, Hit, SetError, Wish};
pub use gate::{Ask, Gate, Start, Why};
pub use hold::{Change, Held, Hold, Probe, Run};
pub use kind::{HoldKind, UnknownKind};
pub use model::same_model;
pub use order::{Waiting, goes_first};
pub use own::{Own, OwnProbe};
pub use policy::{Backoff, Overage, Policy};
pub use release::Release;
pub use window::{Scope, Seen};
