//! How answers look to people. JSON is not rendered here: it is the API's own.

pub mod budget;
pub mod bytes;
pub mod colour;
pub mod journal;
pub mod outcome;
pub mod table;
pub mod task;
pub mod time;
