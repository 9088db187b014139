//! `job-types`: the outcomes of jobs, and a breakdown of the time of completed executions.

use super::{Measure, MetricsType, Percentiles, Units};
use crate::vocabulary::ErrorCategory::{Algorithm, Data, System};
use crate::vocabulary::JobCount::{Canceled, Completed, Failed};
use crate::vocabulary::JobTime::{Job, Post, Pre, Queue, Run, Stage};
use crate::vocabulary::{JobCount, MetricsTypeId};

pub(super) fn metrics_type(percentiles: &Percentiles) -> MetricsType {
    let of = |count: JobCount| Measure::Counter(count as usize);
    let errors = Measure::ErrorsOf;
    let description = "Metrics for jobs and executions grouped by job type.";
    MetricsType::new(MetricsTypeId::JobTypes, "job-types", "Job Types", description, &["name", "version"])
        .group("overview", "Overview", "Overall counts based on job status.")
        .count("completed_count", "Completed Count", "Number of successfully completed jobs.", of(Completed))
        .count("failed_count", "Failed Count", "Number of jobs that ended in failure.", of(Failed))
        .count("canceled_count", "Canceled Count", "Number of jobs that were canceled.", of(Canceled))
        .count(
            "total_count",
            "Total Count",
            "Number of jobs that ended: completed, failed or canceled.",
            Measure::Total,
        )
        .group("errors", "Errors", "Counts of ended jobs based on the category of their error.")
        .count(
            "error_system_count",
            "System Error Count",
            "Number of jobs that ended with a system error.",
            errors(System),
        )
        .count("error_data_count", "Data Error Count", "Number of jobs that ended with a data error.", errors(Data))
        .count(
            "error_algorithm_count",
            "Algorithm Error Count",
            "Number of jobs that ended with an algorithm error.",
            errors(Algorithm),
        )
        .group("queue_time", "Queue Time", "How long executions waited before they started.")
        .distribution(Queue as usize, Units::Seconds, "time spent waiting in the queue", percentiles)
        .group("pre_time", "Pre-task Time", "How long the pre-task of executions ran.")
        .distribution(Pre as usize, Units::Seconds, "time spent running the pre-task", percentiles)
        .group("job_time", "Job Task Time", "How long the main task of executions ran.")
        .distribution(Job as usize, Units::Seconds, "time spent running the main task", percentiles)
        .group("post_time", "Post-task Time", "How long the post-task of executions ran.")
        .distribution(Post as usize, Units::Seconds, "time spent running the post-task", percentiles)
        .group("run_time", "Run Time", "How long executions took from start to end.")
        .distribution(Run as usize, Units::Seconds, "time spent running the pre, job, and post tasks", percentiles)
        .group("stage_time", "Stage Time", "How long executions spent between their tasks.")
        .distribution(Stage as usize, Units::Seconds, "time spent outside of the tasks of an execution", percentiles)
}
