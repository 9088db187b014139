//! What happens to the program by no fault of its own: it is killed, its disk is full, its file is damaged or
//! moved, many use it at once, it is besieged.
//!
//! Short forms run with all tests; the variables named in `docs/testing.md` make them long.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod damage;
mod disk;
mod kills;
mod linear;
mod many;
mod moved;
#[path = "../it/oracle.rs"]
#[allow(dead_code, reason = "nobody asks for totals here")]
mod oracle;
mod poster;
#[path = "../common/postgres.rs"]
#[allow(dead_code, reason = "it does more in other tests")]
mod postgres;
#[path = "../common/process.rs"]
#[allow(dead_code, reason = "no log is read here")]
mod process;
mod random;
#[path = "../common/relay.rs"]
mod relay;
mod server;
mod shared;
mod siege;
#[path = "../common/skip.rs"]
mod skip;

/// The number that a variable says, so that a run takes longer or goes another way.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}
