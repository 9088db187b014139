//! The server's own figures, in Prometheus' text format: the answer of `GET /metrics`.
//!
//! Each part of the program counts its operations here. Values that exist anyway (queue, caches, file) are sampled when a client
//! asks for them.
//!
//! Not here: the values that are sampled (`api::server_metrics`).

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};

use crate::vocabulary::string_enum;

/// The content type of the text format.
pub const MEDIA_TYPE: &str = prometheus::TEXT_FORMAT;

/// The bounds of the histograms, in seconds: from half a millisecond to ten seconds.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

string_enum! {
    /// The operations of the database that can fail, beside a commit of requests. The names are labels.
    pub StorageOperation {
        /// Deleting data that is too old.
        Expiry = "expiry",
        /// Checking whether the file is still there.
        File = "file",
        /// Reading for the parked requests.
        Read = "read",
        /// Computing the rollups of a day anew.
        Rebuild = "rebuild",
        /// Opening the database again and trying to write, after a failure.
        Recovery = "recovery",
        /// Checking for room beside the database.
        Room = "room",
        /// Making a checkpoint, so that the file opens at once after a crash.
        Checkpoint = "settle",
    }
}

/// The counters and histograms of one server.
#[derive(Debug)]
pub struct ServerMetrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    objects: IntCounterVec,
    /// Objects that were refused.
    pub invalid: IntCounter,
    /// Events that end in the future.
    pub future: IntCounter,
    commit_seconds: Histogram,
    /// Groups of requests that could not be committed.
    pub commit_failures: IntCounter,
    storage_failures: IntCounterVec,
    /// Rollups that were written.
    pub rollups: IntCounter,
    /// Hours whose smallest or largest observation was looked for again.
    pub recomputed_hours: IntCounter,
    /// Events that were deleted because they are too old.
    pub expired_events: IntCounter,
    /// Rollups that were deleted because they are too old.
    pub expired_rollups: IntCounter,
    /// Answers that were computed.
    pub answers_computed: IntCounter,
    /// Answers that came from the cache.
    pub answers_kept: IntCounter,
    /// Answers that were given up before they were computed.
    pub answers_stopped: IntCounter,
}

impl Default for ServerMetrics {
    fn default() -> Self {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self())).expect(VALID);
        let build = Opts::new("scale_metrics_build_info", "Always 1; the label says which version runs.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        let build = Gauge::with_opts(build).expect(VALID);
        build.set(1.0);
        register(&registry, build);
        let counter = |name, help| register(&registry, IntCounter::new(name, help).expect(VALID));
        let counters =
            |name, help, labels| register(&registry, IntCounterVec::new(Opts::new(name, help), labels).expect(VALID));
        let seconds = |name, help| HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        let storage_failures = counters(
            "scale_metrics_storage_failures_total",
            "What else failed with the database, by what was done.",
            &["operation"],
        );
        for operation in StorageOperation::ALL {
            // The counter then shows as 0.
            let _ = storage_failures.with_label_values(&[operation.name()]);
        }
        Self {
            requests: counters(
                "scale_metrics_http_requests_total",
                "Requests by route, method and status.",
                &["route", "method", "status"],
            ),
            request_seconds: register(
                &registry,
                HistogramVec::new(
                    seconds(
                        "scale_metrics_http_request_duration_seconds",
                        "From the head of a request to the head of its answer, by route.",
                    ),
                    &["route"],
                )
                .expect(VALID),
            ),
            objects: counters(
                "scale_metrics_events_total",
                "Objects that were taken in, by kind and by what became of them.",
                &["kind", "outcome"],
            ),
            invalid: counter(
                "scale_metrics_events_invalid_total",
                "Objects that were refused; nothing of their requests was stored.",
            ),
            future: counter(
                "scale_metrics_events_future_total",
                "Events that were taken in and end more than five minutes after the server's now.",
            ),
            commit_seconds: register(
                &registry,
                Histogram::with_opts(seconds(
                    "scale_metrics_commit_duration_seconds",
                    "What a commit of a group of requests took, synced to disk.",
                ))
                .expect(VALID),
            ),
            commit_failures: counter("scale_metrics_commit_failures_total", "Commits that failed."),
            storage_failures,
            rollups: counter(
                "scale_metrics_rollups_written_total",
                "Rollups that were written: days of a choice or of all.",
            ),
            recomputed_hours: counter(
                "scale_metrics_rollup_hours_recomputed_total",
                "Hours whose smallest or largest observation was looked for again, since a correction may have taken it away.",
            ),
            expired_events: counter(
                "scale_metrics_retention_events_removed_total",
                "Events that were taken away because they are too old.",
            ),
            expired_rollups: counter(
                "scale_metrics_retention_rollups_removed_total",
                "Rollups that were taken away because they are too old.",
            ),
            answers_computed: counter(
                "scale_metrics_answers_computed_total",
                "Answers about metrics that were computed.",
            ),
            answers_kept: counter("scale_metrics_answers_kept_total", "Answers about metrics that were there already."),
            answers_stopped: counter(
                "scale_metrics_answers_stopped_total",
                "Answers about metrics that were given up: their clients were gone, or they took too long.",
            ),
            registry,
        }
    }
}

/// Names and labels are constants, and each name is registered once.
const VALID: &str = "the figures have valid names, each its own";

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    registry.register(Box::new(collector.clone())).expect(VALID);
    collector
}

/// A value that is sampled when a client asks for it.
#[derive(Debug, Clone, Copy)]
pub struct GaugeSample {
    /// The name, without the program's prefix.
    pub name: &'static str,
    /// The description.
    pub help: &'static str,
    /// The current value.
    pub value: f64,
}

impl ServerMetrics {
    /// Counts a request and its duration.
    pub fn count_request(&self, route: &str, method: &str, status: &str, took: Duration) {
        self.requests.with_label_values(&[route, method, status]).inc();
        self.request_seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// Counts objects of a kind with an outcome.
    pub fn count_objects(&self, kind: &str, outcome: &str, number: u64) {
        self.objects.with_label_values(&[kind, outcome]).inc_by(number);
    }

    /// Counts a commit and its duration.
    pub fn count_commit(&self, took: Duration) {
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// Counts a failure of a storage operation other than a commit of requests.
    pub fn count_storage_failure(&self, operation: StorageOperation) {
        self.storage_failures.with_label_values(&[operation.name()]).inc();
    }

    /// All figures as text, including these samples.
    pub fn text(&self, samples: &[GaugeSample]) -> Vec<u8> {
        let now = Registry::new();
        for sample in samples {
            let name = format!("scale_metrics_{}", sample.name);
            let gauge = register(&now, Gauge::new(name, sample.help).expect(VALID));
            gauge.set(sample.value);
        }
        let mut text = Vec::new();
        let families = [now.gather(), self.registry.gather()].concat();
        TextEncoder::new().encode(&families, &mut text).expect("a vector takes all that is written to it");
        text
    }
}
