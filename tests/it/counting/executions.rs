//! What a job execution counts: its times, and its error.

use serde_json::{Value, json};

use super::{DATA, DAY, END, FINAL, SYSTEM, assert_no_value, execution_with, four, run, server, task, value};
use crate::support::{execution, failed_execution, ingest, with};

#[test]
fn only_a_completed_execution_brings_observations() {
    let server = server();
    for (id, status) in (1..).zip(["FAILED", "CANCELED", "QUEUED", "RUNNING"]) {
        server.accept(&[with(run(id, "30"), json!({ "status": status }))]);
    }
    for column in ["total_count", "run_time_sum", "stage_time_sum"] {
        assert_no_value(&server, "job-types", column);
    }
    server.accept(&[run(5, "30")]);
    assert_eq!(four(&server, "job-types", "run_time"), [30; 4]);
}

#[test]
fn an_executions_measures_are_the_times_between_its_steps() {
    let server = server();
    server.accept(&[execution_with(&json!([
        task("pull", "10:00:00", "10:00:07"),
        task("pre", "10:01:00", "10:01:11"),
        task("main", "10:10:00", "11:10:00"),
        task("post", "11:20:00", "11:20:13"),
    ]))]);
    assert_eq!(four(&server, "job-types", "queue_time"), [3600; 4]);
    assert_eq!(four(&server, "job-types", "pre_time"), [11; 4]);
    assert_eq!(four(&server, "job-types", "job_time"), [3600; 4]);
    assert_eq!(four(&server, "job-types", "post_time"), [13; 4]);
    assert_eq!(four(&server, "job-types", "run_time"), [7200; 4]);
    assert_eq!(four(&server, "job-types", "stage_time"), [7200 - 7 - 11 - 3600 - 13; 4]);
}

#[test]
fn the_first_task_of_its_type_that_has_both_times_counts() {
    let server = server();
    let cut = |mut task: Value, missing: &str| {
        task.as_object_mut().unwrap().remove(missing);
        task
    };
    let mut tasks = Vec::new();
    for of in ["pull", "pre", "main", "post"] {
        tasks.push(cut(task(of, "10:00:00", "10:00:01"), "started"));
        tasks.push(cut(task(of, "10:00:00", "10:00:02"), "ended"));
    }
    for (of, ended) in [("post", "10:00:50"), ("main", "10:00:40"), ("pre", "10:00:30"), ("pull", "10:00:20")] {
        tasks.push(task(of, "10:00:00", ended));
        tasks.push(task(of, "09:00:00", "11:00:00"));
    }
    server.accept(&[execution_with(&json!(tasks))]);
    assert_eq!(four(&server, "job-types", "pre_time"), [30; 4]);
    assert_eq!(four(&server, "job-types", "job_time"), [40; 4]);
    assert_eq!(four(&server, "job-types", "post_time"), [50; 4]);
    assert_eq!(four(&server, "job-types", "stage_time"), [7200 - 20 - 30 - 40 - 50; 4]);
}

#[test]
fn missing_tasks_are_0_in_stage_time_and_no_observations_of_their_own() {
    let server = server();
    server.accept(&[execution_with(&json!([task("main", "10:00:00", "10:00:40")]))]);
    assert_eq!(four(&server, "job-types", "stage_time"), [7160; 4]);
    assert_no_value(&server, "job-types", "pre_time_sum");
    assert_no_value(&server, "job-types", "post_time_sum");
}

#[test]
fn stage_time_is_at_least_0() {
    let server = server();
    let tasks = json!([task("pre", "10:00:00", "11:30:00"), task("main", "10:00:00", "11:30:00")]);
    server.accept(&[execution_with(&tasks)]);
    assert_eq!(four(&server, "job-types", "stage_time"), [0; 4]);
}

#[test]
fn each_part_of_stage_time_is_cut_at_0_before() {
    let server = server();
    server.accept(&[execution_with(&json!([
        task("pull", "10:30:00", "10:00:00"),
        task("pre", "11:00:00", "10:00:00"),
        task("main", "10:00:00", "10:10:00"),
    ]))]);
    assert_eq!(four(&server, "job-types", "stage_time"), [7200 - 600; 4]);
}

#[test]
fn an_observation_needs_both_its_times() {
    let tasks = json!([task("main", "10:00:00", "10:00:40"), { "type": "pre" }]);
    let unqueued = server();
    unqueued.accept(&[with(execution_with(&tasks), json!({ "queued": null }))]);
    assert_no_value(&unqueued, "job-types", "queue_time_avg");
    assert_eq!(four(&unqueued, "job-types", "run_time"), [7200; 4]);

    let unstarted = server();
    unstarted.accept(&[with(execution_with(&tasks), json!({ "started": null }))]);
    for column in ["queue_time_sum", "pre_time_min", "run_time_max", "stage_time_avg"] {
        assert_no_value(&unstarted, "job-types", column);
    }
    assert_eq!(four(&unstarted, "job-types", "job_time"), [40; 4]);
}

#[test]
fn a_negative_observation_counts_as_0() {
    let server = server();
    let late = "2015-01-01T13:00:00Z";
    server.accept(&[
        with(
            execution(1, 1, "2015-01-01T14:00:00Z", late, END),
            json!({
                "tasks": [
                    task("pre", "10:00:01", "10:00:00"),
                    task("main", "10:00:01", "10:00:00"),
                    task("post", "10:00:01", "10:00:00"),
                ],
            }),
        ),
        with(
            ingest(1, 1, "INGESTED", END),
            json!({
                "transfer_started": END, "transfer_ended": "2015-01-01T11:00:00Z", "ingest_started": late,
            }),
        ),
    ]);
    for measure in ["queue_time", "pre_time", "job_time", "post_time", "run_time", "stage_time"] {
        assert_eq!(four(&server, "job-types", measure), [0; 4], "{measure}");
    }
    assert_eq!(four(&server, "ingests", "transfer_time"), [0; 4]);
    assert_eq!(four(&server, "ingests", "ingest_time"), [0; 4]);

    // It is an observation like any other.
    server.accept(&[run(2, "50")]);
    assert_eq!(four(&server, "job-types", "run_time"), [10, 0, 10, 5]);
}

#[test]
fn a_final_execution_with_a_built_in_error_adds_one_to_that_errors_total() {
    for status in FINAL {
        let server = server();
        server.accept(&[with(failed_execution(1, 1, DATA, END), json!({ "status": status }))]);
        assert_eq!(value(&server, "errors", "total_count"), 1, "{status}");
        let of_error = |id: u64| server.values("errors", "total_count", &format!("choice_id={id}"));
        assert_eq!(of_error(DATA), json!([{ "datetime": DAY, "value": 1 }]), "{status}");
        assert_eq!(of_error(SYSTEM), json!([]), "{status}");
    }
}

#[test]
fn an_execution_that_is_not_final_counts_nowhere_even_with_an_end_and_an_error() {
    let server = server();
    for (id, status) in (1..).zip(["QUEUED", "RUNNING"]) {
        server.accept(&[with(failed_execution(id, 1, DATA, END), json!({ "status": status }))]);
    }
    assert_no_value(&server, "errors", "total_count");
    assert_no_value(&server, "job-types", "total_count");
}

#[test]
fn a_completed_execution_with_a_built_in_error_counts_in_both_types() {
    let server = server();
    server.accept(&[with(run(1, "30"), json!({ "error": DATA }))]);
    assert_eq!(value(&server, "errors", "total_count"), 1);
    assert_eq!(four(&server, "job-types", "run_time"), [30; 4]);
    assert_eq!(value(&server, "job-types", "error_data_count"), 0, "a job's error counts there, not an execution's");
}

#[test]
fn an_execution_that_failed_makes_no_bucket_of_its_job_type() {
    let server = server();
    server.accept(&[failed_execution(1, 1, DATA, END)]);
    assert_no_value(&server, "job-types", "total_count");
}
