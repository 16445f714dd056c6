//! EDGE, and only with the feature `sim`. The supervisor in a deterministic simulation: the real pure rooms, the real handler,
//! the real recovery and the real store, in a world where one seed decides everything.
//!
//! | part | what it is |
//! |---|---|
//! | [`disk`] | SQLite's files, of which a power loss takes back what was not synced |
//! | [`machine`] | clocks, processes, record files |
//! | [`worker`] | workers and their agents, step by step |
//! | [`server`] | the server behind the accounts: limits, and resets that move |
//! | [`client`] | what clients ask |
//! | [`money`] | which budgets there are, and what agents use up |
//! | [`notices`] | who wants to be told, and how they are |
//! | [`daemon`], [`attendant`] | the daemon around the real handler and store, one effect at a time |
//! | [`judge`], [`truth`] | what must hold after every step, and what truly happened |
//! | [`world`] | all of that, and one step after the other |
//! | [`mod@run`], [`shrink`] | lives from a seed, scripts, shorter scripts |
//! | [`bug`] | mistakes that are built in on demand and must be found |
//!
//! Invariants: no clock, no chance and no order of a hash map reaches a run; two runs of a seed have the same trace to the byte.
//! What is real here is named in `docs/proof.md`, and what is modelled.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a step, a bug or a refusal that is not named where something special is done about some does nothing special there"
)]

pub mod attendant;
pub mod bug;
pub mod chance;
pub mod client;
pub mod daemon;
pub mod disk;
mod due;
mod faults;
mod heal;
pub mod judge;
pub mod machine;
mod meanwhile;
pub mod met;
mod mistakes;
pub mod money;
pub mod notices;
pub mod observe;
pub mod op;
pub mod run;
pub mod scenario;
pub mod server;
pub mod shrink;
pub mod truth;
pub mod worker;
pub mod world;

pub use bug::Bug;
pub use op::{Op, OpKind};
pub use run::{Failed, Options, Passed, play, run};
pub use scenario::Scenario;
pub use world::{Setup, World};
