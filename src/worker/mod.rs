//! EDGE. Executes one attempt: record, agent, pipes, limits, door.
//!
//! One thread, no runtime, one `poll` loop; it knows no database and no settings, only its hand-over. It outlives the
//! daemon: nothing here needs one. Invariants:
//! - No agent is started before `started` is on the disk; the worker does not leave before `exit` is there too, or the
//!   daemon has committed it (asked for at the door).
//! - When it leaves with code 0, no process of the attempt's tree is left: as the subreaper of all of them it has no
//!   children any more. What a command leaves running in the background is ended, too.
//! - Nobody who reads or does not read its pipe, its log or its door can block it or end it.
//!
//! All durations are of the monotonic clock: time for which the machine is suspended counts for no limit.

mod answers;
pub mod client;
mod contract;
mod door;
mod idle;
mod judge;
mod main;
mod news;
mod run;
mod socket;
mod stop;
mod trying;
mod turn;

pub use main::{LEFT_UNRECORDED, REFUSED, main};
