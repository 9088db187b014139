//! What the server says of itself, for those who run it: its log, and its own counters and histograms.
//!
//! Not here: the metrics that the server is for (`rollup`, `plot`); the HTTP answer of `GET /metrics` (`api::server_metrics`).

pub mod log;
pub mod server_metrics;
