//! `job-types`: the outcomes of jobs, and a breakdown of the time of completed executions.

use super::{Group, Measure, MetricsType, Units};
use crate::vocabulary::{ErrorCategory, JobCount, JobTime, MetricsTypeId};

pub(super) fn metrics_type() -> MetricsType {
    let time = |metrics_type: MetricsType, time: JobTime, name, title, observed: &str| {
        let description = match time {
            JobTime::Queue => "How long executions waited before they started.",
            JobTime::Pre => "How long the pre-task of executions ran.",
            JobTime::Job => "How long the main task of executions ran.",
            JobTime::Post => "How long the post-task of executions ran.",
            JobTime::Run => "How long executions took from start to end.",
            JobTime::Stage => "How long executions spent between their tasks.",
        };
        metrics_type.distribution(time as usize, Units::Seconds, Group { name, title, description }, observed)
    };
    let metrics_type = MetricsType::new(
        MetricsTypeId::JobTypes,
        "job-types",
        "Job Types",
        "Metrics for jobs and executions grouped by job type.",
    )
    .filters(&["name", "version"])
    .counts(
        Group { name: "overview", title: "Overview", description: "Overall counts based on job status." },
        &[
            (
                "completed_count",
                "Completed Count",
                "Number of successfully completed jobs.",
                Measure::Counter(JobCount::Completed as usize),
            ),
            (
                "failed_count",
                "Failed Count",
                "Number of jobs that ended in failure.",
                Measure::Counter(JobCount::Failed as usize),
            ),
            (
                "canceled_count",
                "Canceled Count",
                "Number of jobs that were canceled.",
                Measure::Counter(JobCount::Canceled as usize),
            ),
            ("total_count", "Total Count", "Number of jobs that ended: completed, failed or canceled.", Measure::Total),
        ],
    )
    .counts(
        Group {
            name: "errors",
            title: "Errors",
            description: "Counts of ended jobs based on the category of their error.",
        },
        &[
            (
                "error_system_count",
                "System Error Count",
                "Number of jobs that ended with a system error.",
                Measure::ErrorsOf(ErrorCategory::System),
            ),
            (
                "error_data_count",
                "Data Error Count",
                "Number of jobs that ended with a data error.",
                Measure::ErrorsOf(ErrorCategory::Data),
            ),
            (
                "error_algorithm_count",
                "Algorithm Error Count",
                "Number of jobs that ended with an algorithm error.",
                Measure::ErrorsOf(ErrorCategory::Algorithm),
            ),
        ],
    );
    let metrics_type =
        time(metrics_type, JobTime::Queue, "queue_time", "Queue Time", "time spent waiting in the queue");
    let metrics_type = time(metrics_type, JobTime::Pre, "pre_time", "Pre-task Time", "time spent running the pre-task");
    let metrics_type =
        time(metrics_type, JobTime::Job, "job_time", "Job Task Time", "time spent running the main task");
    let metrics_type =
        time(metrics_type, JobTime::Post, "post_time", "Post-task Time", "time spent running the post-task");
    let metrics_type =
        time(metrics_type, JobTime::Run, "run_time", "Run Time", "time spent running the pre, job, and post tasks");
    time(metrics_type, JobTime::Stage, "stage_time", "Stage Time", "time spent outside of the tasks of an execution")
}
