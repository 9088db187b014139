//! Entry points for fuzzing: properties of every parser that must hold for all input bytes.
//!
//! Each function takes one input and panics if a property is violated. The targets in `fuzz/` call them under libFuzzer. The
//! tests in `replay` call them with the corpora in that directory, and with mutations of those. Checks that need private items
//! are beside their modules: `api::fuzz`, `config::fuzz`, `store::fuzz`.
//!
//! Not in the released library: this module exists in tests, and with the feature `fuzzing`.

mod aggregates;
mod events;
#[cfg(test)]
mod replay;
mod times;

/// A function that checks one input.
pub type Target = fn(&[u8]);

/// All targets by name. The name of a target is also that of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("aggregate", aggregate),
    ("config", config),
    ("event_json", event_json),
    ("event_ndjson", event_ndjson),
    ("gzip", gzip),
    ("query", query),
    ("stored", stored),
    ("time", time),
];

/// Contributions of 12 bytes each, which are merged and removed again in any order.
pub fn aggregate(bytes: &[u8]) {
    aggregates::check(bytes);
}

/// A setting: its index among all settings and the value of a flag, or an index behind the last one and a configuration file.
pub fn config(bytes: &[u8]) {
    crate::config::fuzz::check(bytes);
}

/// The body of a request with `application/json`.
pub fn event_json(bytes: &[u8]) {
    events::check_json(bytes);
}

/// The body of a request with `application/x-ndjson`.
pub fn event_ndjson(bytes: &[u8]) {
    events::check_ndjson(bytes);
}

/// The body of a request with `Content-Encoding: gzip`, and a body to be compressed.
pub fn gzip(bytes: &[u8]) {
    crate::api::fuzz::check_gzip(bytes);
}

/// The index of a metrics type, and the query string of a request for its plot data.
pub fn query(bytes: &[u8]) {
    crate::api::fuzz::check_query(bytes);
}

/// The type of a record, and its content, which is tried with and without a checksum.
pub fn stored(bytes: &[u8]) {
    crate::store::fuzz::check(bytes);
}

/// A date-time, a date or a duration.
pub fn time(bytes: &[u8]) {
    times::check(bytes);
}
