//! auto-claude runs AI coding agents, and any other command, unattended.
//!
//! # Theory of operation
//!
//! One daemon per state directory (`auto-claude serve`) keeps tasks in an embedded database and gives each running
//! attempt a small worker process of its own. The worker runs the agent, keeps its output, enforces its limits and
//! writes down how it ended; it outlives the daemon. What to do about an event is decided by pure code from facts;
//! everything else is an edge.
//!
//! A room (module) imports only from rooms above it in this list:
//!
//! | room | kind | what it holds |
//! |---|---|---|
//! | [`budget`] | pure | what runs may use up: budgets, shares, forecasts |
//! | [`task`] | pure | id, task, lifecycle, the transition table, outcome, retry decision |
//! | [`holds`] | pure | what closes an account, until when, who is its probe, how tasks go on |
//! | [`schedule`] | pure | backoff, restart intensity, quiet hours, what may be claimed |
//! | [`agent`] | pure | drivers: command lines of agents, their output → facts and outcome |
//! | [`attempt`] | pure | the attempt's record as bytes, the worker's protocol, recovery's plan |
//! | [`config`] | edge | file + environment → checked settings |
//! | [`store`] | edge | SQLite: the only place with SQL |
//! | [`process`] | edge | identity, spawn, trees, cgroups; the only place with unsafe code |
//! | [`record`] | edge | the attempt's record file: lock and record in one inode |
//! | [`checkpoint`] | edge | atomic checkpoint files |
//! | [`output`] | edge | the output log of a task: raw bytes and their index |
//! | [`worker`] | edge | executes one attempt |
//! | [`installed`] | edge | what is installed of agents: version, login, contract |
//! | [`logs`] | edge | the daemon's own log |
//! | [`supervisor`] | edge | one event enum in, decisions by pure rooms, effects out |
//! | [`api`] | edge | HTTP on the control socket |
//! | [`cli`] | edge | the command lines, `taskctl`'s commands and rendering |
//! | [`daemon`] | edge | wires the rooms into the program `auto-claude` |
//!
//! With the feature `sim` there is one more, `sim`: the world in which the supervisor is simulated. Shipped binaries carry none
//! of it.
//!
//! [`crash`] holds the crash points and the shorter waits of the tests (shipped binaries carry none of it), [`crc`] the checksum of what is
//! read back after a crash.

pub mod agent;
pub mod api;
pub mod attempt;
pub mod budget;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod crash;
pub mod crc;
pub mod daemon;
pub mod holds;
pub mod installed;
pub mod logs;
pub mod output;
pub mod process;
pub mod record;
pub mod schedule;
#[cfg(feature = "sim")]
pub mod sim;
pub mod store;
pub mod supervisor;
pub mod task;
pub mod worker;
