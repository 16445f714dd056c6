//! EDGE. HTTP/1.1 + JSON on the control socket.
//!
//! A request is parsed and checked here, becomes a command of the supervisor or a query of the store, and its reply goes
//! out after the commit. Nothing is decided here. [`wire`] is the JSON, shared with the client.
//!
//! Invariants: a peer can neither make us use unbounded memory (bodies, lines, headers, connections are bounded) nor hold
//! a connection for ever without saying something; whatever it sends, it gets one clear error and the daemon goes on.

mod accounts;
mod actions;
mod agents;
mod batch;
mod budgets;
mod by_hand;
mod convert;
pub mod driven;
mod error;
mod events;
mod extract;
mod grown;
mod installed;
mod lease;
mod lines;
mod listen;
mod logs;
mod looks;
mod money;
mod peer;
mod router;
mod server;
mod submit;
mod system;
mod tasks;
mod turned_away;
pub mod wire;

pub use error::{ApiError, ApiResult};
pub use lease::end_orphaned_runs;
pub use listen::{BindError, Doors};
pub use router::parse_json;
pub use server::serve;
