//! `ingests`: the outcomes of the ingests of each strike, the sizes of their files, and their durations.

use super::{Group, Measure, MetricsType, Units};
use crate::vocabulary::{IngestCount, IngestObservation, MetricsTypeId};

pub(super) fn metrics_type() -> MetricsType {
    MetricsType::new(MetricsTypeId::Ingests, "ingests", "Ingests", "Metrics for ingested files grouped by strike.")
        .filters(&["name"])
        .counts(
            Group { name: "overview", title: "Overview", description: "Overall counts based on ingest status." },
            &[
                (
                    "deferred_count",
                    "Deferred Count",
                    "Number of deferred ingests.",
                    Measure::Counter(IngestCount::Deferred as usize),
                ),
                (
                    "ingested_count",
                    "Ingested Count",
                    "Number of successfully completed ingests.",
                    Measure::Counter(IngestCount::Ingested as usize),
                ),
                (
                    "errored_count",
                    "Errored Count",
                    "Number of ingests that ended in failure.",
                    Measure::Counter(IngestCount::Errored as usize),
                ),
                (
                    "duplicate_count",
                    "Duplicate Count",
                    "Number of ingests of files that were there already.",
                    Measure::Counter(IngestCount::Duplicate as usize),
                ),
                (
                    "total_count",
                    "Total Count",
                    "Number of ingests that ended: deferred, ingested, errored or duplicate.",
                    Measure::Total,
                ),
            ],
        )
        .distribution(
            IngestObservation::FileSize as usize,
            Units::Bytes,
            Group { name: "file_size", title: "File Size", description: "How large the files were." },
            "size of the files",
        )
        .distribution(
            IngestObservation::TransferTime as usize,
            Units::Seconds,
            Group { name: "transfer_time", title: "Transfer Time", description: "How long the files took to arrive." },
            "time spent transferring files",
        )
        .distribution(
            IngestObservation::IngestTime as usize,
            Units::Seconds,
            Group {
                name: "ingest_time",
                title: "Ingest Time",
                description: "How long arrived files took to be ingested.",
            },
            "time spent ingesting files",
        )
}
