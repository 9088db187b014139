//! `ingests`: the outcomes of the ingests of each strike, the sizes of their files, and their durations.

use super::{Measure, MetricsType, Percentiles, Units};
use crate::vocabulary::IngestCount::{Deferred, Duplicate, Errored, Ingested};
use crate::vocabulary::IngestObservation::{FileSize, IngestTime, TransferTime};
use crate::vocabulary::{IngestCount, MetricsTypeId};

pub(super) fn metrics_type(percentiles: &Percentiles) -> MetricsType {
    let of = |count: IngestCount| Measure::Counter(count as usize);
    let description = "Metrics for ingested files grouped by strike.";
    let total = "Number of ingests that ended: deferred, ingested, errored or duplicate.";
    MetricsType::new(MetricsTypeId::Ingests, "ingests", "Ingests", description, &["name"])
        .group("overview", "Overview", "Overall counts based on ingest status.")
        .count("deferred_count", "Deferred Count", "Number of deferred ingests.", of(Deferred))
        .count("ingested_count", "Ingested Count", "Number of successfully completed ingests.", of(Ingested))
        .count("errored_count", "Errored Count", "Number of ingests that ended in failure.", of(Errored))
        .count(
            "duplicate_count",
            "Duplicate Count",
            "Number of ingests of files that were there already.",
            of(Duplicate),
        )
        .count("total_count", "Total Count", total, Measure::Total)
        .group("file_size", "File Size", "How large the files were.")
        .distribution(FileSize as usize, Units::Bytes, "size of the files", percentiles)
        .group("transfer_time", "Transfer Time", "How long the files took to arrive.")
        .distribution(TransferTime as usize, Units::Seconds, "time spent transferring files", percentiles)
        .group("ingest_time", "Ingest Time", "How long arrived files took to be ingested.")
        .distribution(IngestTime as usize, Units::Seconds, "time spent ingesting files", percentiles)
}
