//! One small file per command: its arguments and what it does.

pub mod account;
pub mod act;
pub mod backup;
pub mod batch;
mod batch_lines;
pub mod checkpoint;
pub mod claims;
pub mod cleanup;
pub mod confirm;
pub mod cost;
pub mod create;
pub mod edit;
pub mod generate;
pub mod init;
pub mod limits;
pub mod list;
pub mod logs;
pub mod prompt;
pub mod reset;
pub mod result;
pub mod show;
pub mod spec;
pub mod status;
pub mod stop_all;
pub mod wait;
pub mod workers;
