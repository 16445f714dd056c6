//! EDGE. One event enum in, the pure rooms decide, effects go out after the commit.
//!
//! # How it works
//!
//! Doors and carriers send [`event::SupervisorEvent`]s. The [`engine`] gathers what waits into one transaction of the
//! store, lets the [`handler`] decide each event, gives free slots to waiting tasks in the same transaction, commits, and
//! only then releases effects and replies. The [`carriers`] carry effects out: an attendant for each attempt launches its
//! worker, watches it, carries intents to its door, and at its end goes through [`recover`]y, which is the same code that
//! takes attempts of an earlier daemon back.
//!
//! Invariants: nothing is launched or signalled before the commit it follows from; what the carriers know can be lost at
//! any instant, records and rows tell the next daemon the same; no timer ticks while nothing waits for a time.

pub mod account;
pub mod agents;
mod attend;
pub mod budgets;
pub mod by_hand;
pub mod carriers;
pub mod clock;
pub mod command;
mod contract;
pub mod directories;
pub mod engine;
pub mod event;
mod forget;
pub mod ground;
pub mod handle;
pub mod handler;
mod home;
mod housekeeping;
pub mod installed;
pub mod launch;
pub mod leases;
mod listen;
pub mod lock;
pub mod mcp;
mod news;
pub mod notice;
mod place;
pub mod pulse;
pub mod readers;
pub mod recover;
pub mod retain;
mod small_file;
pub mod start;
pub mod steps;
mod strays;
mod tell;
pub mod terminal;
mod timer;
pub mod transition;
pub mod unlaunched;
mod unwritten;
pub mod view;
pub mod world;

pub use handle::Handle;
pub use start::{StartOptions, Supervisor, start};
