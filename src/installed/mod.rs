//! EDGE. What is installed of agents, asked of the programs themselves: their version, whether they have a login, whether
//! they keep the contract that their driver relies on.
//!
//! Invariants:
//! - Nothing here does work, and nothing here is paid for: a version and a login are told without a request, and the contract
//!   is checked against an answerer of our own on loopback, with a credential that no server knows.
//! - A program that hangs, floods or is none costs bounded time and memory and is told in one line.
//! - What a program has not said is unknown. It is never guessed in its favour.

mod answerer;
mod canary;
mod contract;
mod look;
mod scratch;
mod verified;

pub use crate::agent::claude::installed::TRIED;
pub use crate::agent::{Standing, Version};
pub use canary::{CanaryError, check};
pub use contract::{Clause, Contract};
pub use look::{LoginState, login, version};
pub use scratch::session_id;
pub use verified::{Identity, VERIFIED_FILE, Verified, load, remember};
