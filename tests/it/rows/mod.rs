//! Rows and where they are stored: what every database has to do, and how many round trips the store needs.

mod conformance;
#[path = "../../sim/faults.rs"]
#[allow(dead_code, reason = "here, nothing goes wrong")]
mod faults;
mod postgres;
#[path = "../../sim/remote.rs"]
#[allow(dead_code, reason = "there is no other server here")]
mod remote;
mod round_trips;
