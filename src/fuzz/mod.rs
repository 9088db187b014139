//! What has to hold of everything that is parsed, whatever the bytes are: the entrance for fuzzing.
//!
//! Each function takes one input and panics if a promise is broken. The targets in `fuzz/` call them under libFuzzer; the
//! tests in `replay` call them with the corpora there, and with mutations of those. What only its module may see is looked
//! at beside it: `api::fuzz`, `config::fuzz`, `store::fuzz`.
//!
//! Not in the released library: it is there for tests, and with the feature `fuzzing`.

mod aggregates;
mod events;
#[cfg(test)]
mod replay;
mod times;

/// What is done with one input.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its corpus.
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

/// Contributions, 12 bytes each, that are merged and taken out again in any order.
pub fn aggregate(bytes: &[u8]) {
    aggregates::check(bytes);
}

/// A setting: its place among all and what a flag says, or a place behind the last one and a file.
pub fn config(bytes: &[u8]) {
    crate::config::fuzz::check(bytes);
}

/// The body of a request, `application/json`.
pub fn event_json(bytes: &[u8]) {
    events::check_json(bytes);
}

/// The body of a request, `application/x-ndjson`.
pub fn event_ndjson(bytes: &[u8]) {
    events::check_ndjson(bytes);
}

/// The body of a request with `Content-Encoding: gzip`, and a body to be packed.
pub fn gzip(bytes: &[u8]) {
    crate::api::fuzz::check_gzip(bytes);
}

/// The place of a metrics type, and the query string of a request for its plot data.
pub fn query(bytes: &[u8]) {
    crate::api::fuzz::check_query(bytes);
}

/// The sort of a record, and its content with and without a checksum.
pub fn stored(bytes: &[u8]) {
    crate::store::fuzz::check(bytes);
}

/// A date-time, a date or a duration.
pub fn time(bytes: &[u8]) {
    times::check(bytes);
}
