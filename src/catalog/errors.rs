//! `errors`: the number of executions that ended with each built-in error.

use super::{Group, Measure, MetricsType};
use crate::vocabulary::MetricsTypeId;

pub(super) fn metrics_type() -> MetricsType {
    MetricsType::new(
        MetricsTypeId::Errors,
        "errors",
        "Errors",
        "Metrics for executions that ended with a built-in error, grouped by error.",
    )
    .filters(&["name", "category"])
    .counts(
        Group { name: "overview", title: "Overview", description: "Overall counts of errors." },
        &[("total_count", "Total Count", "Number of executions that ended with the error.", Measure::BuiltinErrors)],
    )
}
