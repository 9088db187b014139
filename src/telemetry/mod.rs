//! What the server says of itself, for those who run it: its log, its own counters and histograms, and the text of an error.
//!
//! Not here: the metrics that the server is for (`rollup`, `plot`); the HTTP answer of `GET /metrics` (`api::server_metrics`).

pub mod log;
pub mod server_metrics;

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
