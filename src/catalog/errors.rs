//! `errors`: the number of executions that ended with each built-in error.

use super::{Measure, MetricsType, Percentiles};
use crate::vocabulary::MetricsTypeId;

pub(super) fn metrics_type(_: &Percentiles) -> MetricsType {
    let description = "Metrics for executions that ended with a built-in error, grouped by error.";
    MetricsType::new(MetricsTypeId::Errors, "errors", "Errors", description, &["name", "category"])
        .group("overview", "Overview", "Overall counts of errors.")
        .count("total_count", "Total Count", "Number of executions that ended with the error.", Measure::BuiltinErrors)
}
