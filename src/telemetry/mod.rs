//! Telemetry for operators: the log, counters and histograms of the server itself, and the text of errors.
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
