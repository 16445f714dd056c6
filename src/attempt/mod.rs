//! PURE. What one attempt is made of: its record as bytes, the words between daemon and worker, recovery's plan.
//!
//! Invariant: knows no clock, file, socket or process; facts come in as values, actions go out as values.

pub mod protocol;
pub mod record;
pub mod recovery;
pub mod spec;
