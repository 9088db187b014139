//! What the benches share: generated events, a client that posts them, the released server as a process.
#![allow(dead_code, reason = "each bench uses its part")]

pub(crate) mod client;
pub(crate) mod events;
pub(crate) mod server;
