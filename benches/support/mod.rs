//! What the benches share: generated events, a client that posts them, the released server as a process.
#![allow(dead_code, reason = "each bench uses its part")]

pub(crate) mod client;
pub(crate) mod events;
#[path = "../../tests/common/postgres.rs"]
pub(crate) mod postgres;
#[path = "../../tests/common/process.rs"]
mod process;
pub(crate) mod server;
#[path = "../../tests/common/skip.rs"]
mod skip;
