//! scale-metrics: metrics of processing clusters, from posted events to the v6 metrics services.
//!
//! A layer calls any layer below it, none above (`tests/it/tidy.rs` reads this list):
//!
//! - [`commands`]: the command line, a file a command
//! - [`app`]: what starts and stops the server
//! - `supervision`, `descriptors`: threads that must not end by themselves; how many connections the system allows
//! - `dashboard`: the pages
//! - `api`: the HTTP interface
//! - [`worker`]: the rollup task, the one writer
//! - [`ledger`]: what posted objects do to what is stored
//! - [`telemetry`]: the log, and what the server counts of itself
//! - [`config`]: settings, and where each came from
//! - [`store`]: events, definitions and rollups on disk
//! - [`access`]: who may do what
//! - [`tls`]: TLS in pure Rust: what clients trust, the certificate of the server
//! - `gunzip`: unpacking what clients and files pack
//! - [`memory`]: what requests may hold together
//! - [`picture`]: plots as pictures
//! - [`listing`]: which events a question selects, in which order
//! - [`plot`]: a query and its aggregates to series
//! - [`rollup`]: aggregates that merge
//! - [`events`]: what clients post, and what it contributes
//! - [`catalog`]: metrics types, groups, columns, filters
//! - [`time`]: instants, days, ranges, the clock
//! - [`vocabulary`]: words that several layers share: ids, kinds, statuses, categories

pub mod access;
mod api;
pub mod app;
pub mod catalog;
pub mod commands;
pub mod config;
mod dashboard;
mod descriptors;
pub mod events;
mod gunzip;
pub mod ledger;
pub mod listing;
pub mod memory;
pub mod picture;
pub mod plot;
pub mod rollup;
pub mod store;
mod supervision;
pub mod telemetry;
pub mod time;
pub mod tls;
pub mod vocabulary;
pub mod worker;

/// Promises about private items, for `tests/it/promises` and the targets in `fuzz/`. The program calls none of them.
#[doc(hidden)]
pub mod fuzz {
    pub use crate::api::fuzz::{check_gzip, check_query};
    pub use crate::store::fuzz::{check_rollup, check_stored};
}
