//! The HTTP API of the real daemon over its real socket.

mod bad_input;
mod batch;
mod connections;
mod daemon;
mod keys;
mod schema;
mod streams;
