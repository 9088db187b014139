//! What is counted: the rules of the contract's section 4, one by one, and its worked example in full.
//!
//! Not here: many events at once (`random_streams`), and how values are asked for (`plot_data`).

use serde_json::{Value, json};

use crate::support::{
    TestServer, builtin_error, error, execution, failed_execution, ingest, job, job_type, strike, with, worked_example,
};

const DAY: &str = "2015-01-01T00:00:00";
const END: &str = "2015-01-01T12:00:00Z";
const FINAL: [&str; 3] = ["COMPLETED", "FAILED", "CANCELED"];
const SYSTEM: u64 = 1;
const DATA: u64 = 2;
const ALGORITHM: u64 = 3;
/// An error that is not built in.
const HOMEMADE: u64 = 4;

/// A server that knows job types 1 and 2, strikes 1 and 2, and four errors.
fn server() -> TestServer {
    let server = TestServer::start();
    server.accept(&[
        job_type(1, "first"),
        job_type(2, "second"),
        strike(1, "first"),
        strike(2, "second"),
        builtin_error(SYSTEM, "no-disk", "SYSTEM"),
        builtin_error(DATA, "bad-file", "DATA"),
        builtin_error(ALGORITHM, "diverged", "ALGORITHM"),
        error(HOMEMADE, "homemade", "ALGORITHM"),
    ]);
    server
}

/// The only value of a column by day, over all choices.
#[track_caller]
fn value(server: &TestServer, metrics_type: &str, column: &str) -> u64 {
    let values = server.values(metrics_type, column, "");
    assert_eq!(values.as_array().unwrap().len(), 1, "{column}: {values}");
    values[0]["value"].as_u64().unwrap()
}

/// The sum, smallest, largest and average of a measure on the only day there is.
#[track_caller]
fn four(server: &TestServer, metrics_type: &str, measure: &str) -> [u64; 4] {
    ["sum", "min", "max", "avg"].map(|aggregate| value(server, metrics_type, &format!("{measure}_{aggregate}")))
}

#[track_caller]
fn assert_no_value(server: &TestServer, metrics_type: &str, column: &str) {
    assert_eq!(server.values(metrics_type, column, ""), json!([]), "{column}");
}

/// The columns that have a value other than 0 on the only day there is.
#[track_caller]
fn nonzero(server: &TestServer, metrics_type: &str) -> Value {
    let results = server.plot(metrics_type, "");
    let shown = results.iter().filter_map(|result| {
        let values = result["values"].as_array().unwrap();
        assert!(values.len() <= 1, "{result}");
        let value = values.first()?["value"].clone();
        (value != 0).then(|| (result["column"]["name"].as_str().unwrap().to_owned(), value))
    });
    Value::Object(shown.collect())
}

/// An execution of type 1 that ended at [`END`] after so many seconds, without tasks and queue time.
fn run(id: u64, seconds: &str) -> Value {
    let started = format!("2015-01-01T11:59:{seconds}Z");
    with(execution(id, 1, "", &started, END), json!({ "queued": null }))
}

fn task(of: &str, started: &str, ended: &str) -> Value {
    json!({ "type": of, "started": format!("2015-01-01T{started}Z"), "ended": format!("2015-01-01T{ended}Z") })
}

/// A completed execution from 10:00:00 to 12:00:00, queued at 09:00:00, with these tasks.
fn execution_with(tasks: &Value) -> Value {
    let execution = execution(1, 1, "2015-01-01T09:00:00Z", "2015-01-01T10:00:00Z", END);
    with(execution, json!({ "tasks": tasks }))
}

#[test]
fn the_worked_example_by_day() {
    let server = TestServer::start();
    server.accept(&worked_example());
    let expected = [
        ("completed_count", 2),
        ("failed_count", 3),
        ("canceled_count", 1),
        ("total_count", 6),
        ("error_system_count", 1),
        ("error_data_count", 1),
        ("error_algorithm_count", 1),
        ("queue_time_sum", 8404),
        ("queue_time_min", 602),
        ("queue_time_max", 7802),
        ("queue_time_avg", 4202),
        ("pre_time_sum", 7560),
        ("pre_time_min", 2156),
        ("pre_time_max", 5404),
        ("pre_time_avg", 3780),
        ("job_time_sum", 9610),
        ("job_time_min", 3002),
        ("job_time_max", 6608),
        ("job_time_avg", 4805),
        ("post_time_sum", 12014),
        ("post_time_min", 4202),
        ("post_time_max", 7812),
        ("post_time_avg", 6007),
        ("run_time_sum", 70870),
        ("run_time_min", 21014),
        ("run_time_max", 49856),
        ("run_time_avg", 35435),
        ("stage_time_sum", 41686),
        ("stage_time_min", 11654),
        ("stage_time_max", 30032),
        ("stage_time_avg", 20843),
    ];
    let expected = expected.map(|(column, value)| (column, json!([{ "datetime": DAY, "value": value }])));
    assert_plot(&server, "", &expected);
    assert_plot(&server, "choice_id=1", &expected);
}

#[test]
fn the_worked_example_by_hour() {
    let server = TestServer::start();
    server.accept(&worked_example());
    let counts = [
        ("completed_count", 2),
        ("failed_count", 3),
        ("canceled_count", 1),
        ("total_count", 6),
        ("error_system_count", 1),
        ("error_data_count", 1),
        ("error_algorithm_count", 1),
    ];
    let measures = [
        (["queue_time_sum", "queue_time_min", "queue_time_max", "queue_time_avg"], 602, 7802),
        (["pre_time_sum", "pre_time_min", "pre_time_max", "pre_time_avg"], 2156, 5404),
        (["job_time_sum", "job_time_min", "job_time_max", "job_time_avg"], 3002, 6608),
        (["post_time_sum", "post_time_min", "post_time_max", "post_time_avg"], 4202, 7812),
        (["run_time_sum", "run_time_min", "run_time_max", "run_time_avg"], 21014, 49856),
        (["stage_time_sum", "stage_time_min", "stage_time_max", "stage_time_avg"], 11654, 30032),
    ];
    let at = |time: &str, value: u64| json!({ "datetime": format!("2015-01-01T{time}"), "value": value });
    let mut expected = Vec::new();
    for (column, value) in counts {
        expected.push((column, json!([at("00:00:00", value), at("06:00:00", 0), at("16:00:00", 0)])));
    }
    for (columns, first, second) in measures {
        for column in columns {
            expected.push((column, json!([at("06:00:00", first), at("16:00:00", second)])));
        }
    }
    assert_plot(&server, "resolution=hour", &expected);
    assert_plot(&server, "resolution=hour&choice_id=1", &expected);
}

/// Asserts names, order and values of all columns of job types.
#[track_caller]
fn assert_plot(server: &TestServer, query: &str, expected: &[(&str, Value)]) {
    let results = server.plot("job-types", query);
    let shown: Vec<(&str, Value)> =
        results.iter().map(|result| (result["column"]["name"].as_str().unwrap(), result["values"].clone())).collect();
    assert_eq!(shown, expected, "{query}");
}

#[test]
fn a_final_job_adds_one_to_its_status_count_and_to_the_total() {
    for (status, column) in FINAL.iter().zip(["completed_count", "failed_count", "canceled_count"]) {
        let server = server();
        server.accept(&[job(1, 1, status, END)]);
        assert_eq!(nonzero(&server, "job-types"), json!({ column: 1, "total_count": 1 }));
        assert_eq!(nonzero(&server, "errors"), json!({}));
    }
}

#[test]
fn a_job_that_is_not_final_counts_nowhere_even_with_an_end_and_an_error() {
    let server = server();
    for (id, status) in (1..).zip(["PENDING", "BLOCKED", "QUEUED", "RUNNING"]) {
        server.accept(&[with(job(id, 1, status, END), json!({ "error": DATA }))]);
    }
    assert_no_value(&server, "job-types", "total_count");
    assert_no_value(&server, "errors", "total_count");
}

#[test]
fn a_final_job_with_an_error_adds_one_to_the_errors_category_whatever_its_status() {
    let columns = ["error_system_count", "error_data_count", "error_algorithm_count"];
    for (error, column) in [SYSTEM, DATA, ALGORITHM].into_iter().zip(columns) {
        for status in FINAL {
            let server = server();
            server.accept(&[with(job(1, 1, status, END), json!({ "error": error }))]);
            let status_count = format!("{}_count", status.to_lowercase());
            assert_eq!(nonzero(&server, "job-types"), json!({ status_count: 1, "total_count": 1, column: 1 }));
        }
    }
}

#[test]
fn an_error_that_is_not_built_in_counts_in_its_category_but_is_no_choice_of_errors() {
    let server = server();
    server
        .accept(&[with(job(1, 1, "FAILED", END), json!({ "error": HOMEMADE })), failed_execution(1, 1, HOMEMADE, END)]);
    assert_eq!(value(&server, "job-types", "error_algorithm_count"), 1);
    assert_no_value(&server, "errors", "total_count");
}

#[test]
fn a_job_with_an_error_does_not_count_in_errors() {
    let server = server();
    server.accept(&[with(job(1, 1, "FAILED", END), json!({ "error": DATA }))]);
    assert_no_value(&server, "errors", "total_count");
}

#[test]
fn an_event_counts_in_the_utc_hour_and_day_that_its_end_falls_in() {
    let server = server();
    let ends = [
        "2015-01-01T00:00:00Z",
        "2015-01-01T23:59:59.999999Z",
        "2015-01-02T00:00:00.000000Z",
        "2015-01-02T01:30:00+05:30", // 20:00 the day before
    ];
    for (id, ended) in (1..).zip(ends) {
        server.accept(&[job(id, 1, "FAILED", ended), failed_execution(id, 1, DATA, ended)]);
        server.accept(&[ingest(id, 1, "ERRORED", ended)]);
    }
    for metrics_type in ["job-types", "ingests", "errors"] {
        assert_eq!(
            server.values(metrics_type, "total_count", "resolution=hour"),
            json!([
                { "datetime": "2015-01-01T00:00:00", "value": 1 },
                { "datetime": "2015-01-01T20:00:00", "value": 1 },
                { "datetime": "2015-01-01T23:00:00", "value": 1 },
                { "datetime": "2015-01-02T00:00:00", "value": 1 },
            ])
        );
        assert_eq!(
            server.values(metrics_type, "total_count", "resolution=day"),
            json!([
                { "datetime": "2015-01-01T00:00:00", "value": 3 },
                { "datetime": "2015-01-02T00:00:00", "value": 1 },
            ])
        );
    }
}

#[test]
fn each_choice_counts_its_own_events_and_all_together_count_them_all() {
    let server = server();
    server.accept(&[
        job(1, 1, "COMPLETED", END),
        job(2, 2, "COMPLETED", END),
        job(3, 2, "COMPLETED", END),
        ingest(1, 1, "DEFERRED", END),
        ingest(2, 2, "DEFERRED", END),
        ingest(3, 2, "DEFERRED", END),
        failed_execution(1, 1, 1, END),
        failed_execution(2, 1, 2, END),
        failed_execution(3, 2, 2, END),
    ]);
    for metrics_type in ["job-types", "ingests", "errors"] {
        let of = |choice: &str| server.values(metrics_type, "total_count", choice)[0]["value"].clone();
        assert_eq!([of("choice_id=1"), of("choice_id=2"), of("")], [1, 2, 3], "{metrics_type}");
    }
}

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

#[test]
fn a_final_ingest_adds_one_to_its_status_count_and_to_the_total() {
    for status in ["DEFERRED", "INGESTED", "ERRORED", "DUPLICATE"] {
        let server = server();
        server.accept(&[ingest(1, 1, status, END)]);
        let column = format!("{}_count", status.to_lowercase());
        assert_eq!(nonzero(&server, "ingests"), json!({ column: 1, "total_count": 1 }));
    }
}

#[test]
fn an_ingest_that_is_not_final_or_has_no_strike_counts_nowhere() {
    let server = server();
    let times = json!({ "file_size": 5, "transfer_started": END, "transfer_ended": END, "ingest_started": END });
    for (id, status) in (1..).zip(["TRANSFERRING", "TRANSFERRED", "QUEUED", "INGESTING"]) {
        server.accept(&[with(ingest(id, 1, status, END), times.clone())]);
    }
    server.accept(&[with(with(ingest(9, 1, "INGESTED", END), times), json!({ "strike": null }))]);
    for column in ["total_count", "file_size_sum", "transfer_time_sum", "ingest_time_sum"] {
        assert_no_value(&server, "ingests", column);
    }
}

#[test]
fn a_final_ingest_observes_its_size_and_transfer_and_its_ingest_only_if_ingested() {
    for status in ["DEFERRED", "INGESTED", "ERRORED", "DUPLICATE"] {
        let server = server();
        server.accept(&[with(
            ingest(1, 1, status, END),
            json!({
                "file_size": 1_234_567,
                "transfer_started": "2015-01-01T11:00:00Z",
                "transfer_ended": "2015-01-01T11:00:08Z",
                "ingest_started": "2015-01-01T11:59:01Z",
            }),
        )]);
        assert_eq!(four(&server, "ingests", "file_size"), [1_234_567; 4], "{status}");
        assert_eq!(four(&server, "ingests", "transfer_time"), [8; 4], "{status}");
        if status == "INGESTED" {
            assert_eq!(four(&server, "ingests", "ingest_time"), [59; 4]);
        } else {
            assert_no_value(&server, "ingests", "ingest_time_sum");
        }
    }
}

#[test]
fn an_ingest_without_size_or_times_counts_but_observes_nothing() {
    let server = server();
    server.accept(&[with(ingest(1, 1, "INGESTED", END), json!({ "transfer_ended": END }))]);
    assert_eq!(value(&server, "ingests", "ingested_count"), 1);
    for column in ["file_size_sum", "transfer_time_min", "ingest_time_avg"] {
        assert_no_value(&server, "ingests", column);
    }
}

#[test]
fn observations_are_summed_in_microseconds_and_rounded_down_once_at_the_end() {
    let server = server();
    server.accept(&[run(1, "58.500001"), run(2, "58.500001"), run(3, "58.500001"), run(4, "59.500003")]);
    // 3 × 1.499999 s and 0.499997 s are 4.999994 s.
    assert_eq!(four(&server, "job-types", "run_time"), [4, 0, 1, 1]);
    server.accept(&[run(5, "59.999994")]);
    assert_eq!(four(&server, "job-types", "run_time"), [5, 0, 1, 1], "exactly 5 s");
}

#[test]
fn sums_do_not_overflow_64_bits_of_microseconds() {
    let server = server();
    server.set_now("9999-12-31T23:59:59Z");
    let ended = "9999-12-31T23:59:59.999999Z";
    let whole_time = |id| execution(id, 1, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", ended);
    server.accept(&(1..=100).map(whole_time).collect::<Vec<_>>());
    // 100 × 253402300799.999999 s
    let expected = [25_340_230_079_999, 253_402_300_799, 253_402_300_799, 253_402_300_799];
    assert_eq!(four(&server, "job-types", "run_time"), expected);

    server.accept(&[with(whole_time(1), json!({ "started": ended }))]);
    let expected = [25_086_827_779_199, 0, 253_402_300_799, 250_868_277_791];
    assert_eq!(four(&server, "job-types", "run_time"), expected);
}

#[test]
fn an_average_is_the_total_over_the_number_of_observations_never_an_average_of_averages() {
    let server = server();
    // One choice's average is 40 s, the other's 2 s.
    let two_seconds =
        |id: u64, ended: &str, started: &str| with(execution(id, 2, "", started, ended), json!({ "queued": null }));
    server.accept(&[
        run(1, "20"),
        two_seconds(2, "2015-01-01T03:00:00Z", "2015-01-01T02:59:58Z"),
        two_seconds(3, "2015-01-01T04:00:00Z", "2015-01-01T03:59:58Z"),
        two_seconds(4, "2015-01-01T04:00:00Z", "2015-01-01T03:59:58Z"),
    ]);
    assert_eq!(four(&server, "job-types", "run_time"), [46, 2, 40, 11], "across choices and hours");
    let hours = server.values("job-types", "run_time_avg", "resolution=hour&choice_id=2");
    assert_eq!(
        hours,
        json!([{ "datetime": "2015-01-01T03:00:00", "value": 2 }, { "datetime": "2015-01-01T04:00:00", "value": 2 }])
    );
}

#[test]
fn zero_is_a_value_like_any_other() {
    let server = server();
    let sized = |id: u64, size: u64| with(ingest(id, 1, "DEFERRED", END), json!({ "file_size": size }));
    server.accept(&[sized(1, 0)]);
    assert_eq!(four(&server, "ingests", "file_size"), [0; 4]);
    server.accept(&[sized(2, 9)]);
    assert_eq!(four(&server, "ingests", "file_size"), [9, 0, 9, 4]);
}

#[test]
fn a_sum_beyond_64_bits_is_exact_among_small_ones() {
    let server = server();
    let sized = |id: u64, day: u64, size: u64| {
        with(ingest(id, 1, "INGESTED", &format!("2015-01-0{day}T12:00:00Z")), json!({ "file_size": size }))
    };
    let huge = u64::MAX - 1;
    server.accept(&[sized(1, 1, 7), sized(2, 2, huge), sized(3, 2, huge), sized(4, 2, huge), sized(5, 3, 8)]);
    let path = "/v6/metrics/ingests/plot-data/?column=file_size_sum&column=file_size_avg";
    // As text: few JSON readers have such numbers.
    let answer = server.get(path).text();
    let sum = "55340232221128654842";
    assert!(answer.contains(&format!(r#""min_y":7,"max_y":{sum}"#)), "{answer}");
    let values = |of_second: &str| {
        let values = [("01", "7"), ("02", of_second), ("03", "8")];
        let value = values.map(|(day, value)| format!(r#"{{"datetime":"2015-01-{day}T00:00:00","value":{value}}}"#));
        format!(r#""values":[{}]"#, value.join(","))
    };
    assert!(answer.contains(&values(sum)), "{answer}");
    assert!(answer.contains(&values("18446744073709551614")), "{answer}");
    let csv = server.get(&format!("{path}&format=csv")).text();
    assert!(csv.contains(&format!("file_size_sum,,2015-01-02T00:00:00,{sum}\n")), "{csv}");
}

#[test]
fn a_completed_execution_makes_a_bucket_even_if_it_brings_no_observation() {
    let server = server();
    server.accept(&[with(run(1, "00"), json!({ "started": null }))]);
    for result in server.plot("job-types", "resolution=hour") {
        let expected = if result["column"]["units"] == "count" {
            json!([{ "datetime": "2015-01-01T12:00:00", "value": 0 }])
        } else {
            json!([])
        };
        assert_eq!(result["values"], expected, "{}", result["column"]["name"]);
    }
}

#[test]
fn a_bucket_without_events_does_not_exist() {
    let server = server();
    server.accept(&[job(1, 1, "FAILED", "2015-01-01T01:00:00Z"), job(2, 1, "FAILED", "2015-01-03T03:00:00Z")]);
    let starts = |query: &str| -> Vec<Value> {
        let values = server.values("job-types", "completed_count", query);
        values.as_array().unwrap().iter().map(|value| value["datetime"].clone()).collect()
    };
    assert_eq!(starts("resolution=day"), ["2015-01-01T00:00:00", "2015-01-03T00:00:00"]);
    assert_eq!(starts("resolution=hour"), ["2015-01-01T01:00:00", "2015-01-03T03:00:00"]);
    assert_eq!(starts("choice_id=2"), [""; 0]);
}

#[test]
fn an_event_that_is_no_longer_final_is_taken_out_again_and_its_empty_bucket_with_it() {
    let server = server();
    server.accept(&[
        with(job(1, 1, "FAILED", END), json!({ "error": DATA })),
        with(run(1, "30"), json!({ "error": DATA })),
        ingest(1, 1, "INGESTED", END),
    ]);
    server.accept(&[
        with(job(1, 1, "QUEUED", END), json!({ "error": DATA })),
        with(run(1, "30"), json!({ "error": DATA, "status": "RUNNING" })),
        ingest(1, 1, "INGESTING", END),
    ]);
    for metrics_type in ["job-types", "ingests", "errors"] {
        for resolution in ["day", "hour"] {
            let query = format!("resolution={resolution}");
            assert_eq!(server.values(metrics_type, "total_count", &query), json!([]), "{metrics_type}");
        }
    }
}

#[test]
fn an_event_that_moves_is_counted_only_where_it_is_now() {
    let server = server();
    server.accept(&[job(1, 1, "FAILED", END), job(2, 1, "COMPLETED", END)]);
    server.accept(&[job(1, 2, "COMPLETED", "2015-01-05T06:00:00Z")]);
    assert_eq!(
        server.values("job-types", "total_count", "choice_id=1&choice_id=2&resolution=hour"),
        json!([
            { "id": 1, "datetime": "2015-01-01T12:00:00", "value": 1 },
            { "id": 2, "datetime": "2015-01-05T06:00:00", "value": 1 },
        ])
    );
    assert_eq!(
        server.values("job-types", "failed_count", ""),
        json!([{ "datetime": DAY, "value": 0 }, { "datetime": "2015-01-05T00:00:00", "value": 0 }])
    );
}

#[test]
fn taking_out_the_smallest_or_largest_leaves_the_next_one() {
    let server = server();
    server.accept(&[run(1, "50"), run(2, "40"), run(3, "30"), run(4, "10")]);
    assert_eq!(four(&server, "job-types", "run_time"), [110, 10, 50, 27]);
    server.accept(&[with(run(1, "50"), json!({ "status": "CANCELED" }))]);
    assert_eq!(four(&server, "job-types", "run_time"), [100, 20, 50, 33]);
    server.accept(&[with(run(4, "10"), json!({ "status": "CANCELED" }))]);
    assert_eq!(four(&server, "job-types", "run_time"), [50, 20, 30, 25]);
    server.accept(&[run(2, "45"), run(3, "35")]);
    assert_eq!(four(&server, "job-types", "run_time"), [40, 15, 25, 20]);
}

#[test]
fn an_hour_may_lose_its_smallest_and_then_its_last_observation_in_one_request() {
    let server = server();
    let sized = |id, strike, end, size: u64| with(ingest(id, strike, "INGESTED", end), json!({ "file_size": size }));
    server.accept(&[sized(1, 1, END, 5), sized(2, 1, END, 9)]);
    server.accept(&[sized(1, 1, "2015-01-01T13:00:00Z", 5), sized(2, 2, END, 9)]);
    assert_eq!(four(&server, "ingests", "file_size"), [14, 5, 9, 7]);
    for (strike, size) in [(1, 5), (2, 9)] {
        let sums = server.values("ingests", "file_size_sum", &format!("choice_id={strike}"));
        assert_eq!(sums[0]["value"], size, "strike {strike}");
    }
}

#[test]
fn an_error_in_another_category_moves_the_jobs_that_name_it() {
    let server = server();
    let failed = |id: u64, error: u64, ended: &str| with(job(id, 1, "FAILED", ended), json!({ "error": error }));
    server.accept(&[failed(1, DATA, END), failed(2, DATA, "2015-01-02T00:00:00Z"), failed(3, SYSTEM, END)]);
    server.accept(&[builtin_error(DATA, "bad-file", "SYSTEM")]);
    let counts = |column: &str| -> Vec<Value> {
        let values = server.values("job-types", column, "");
        values.as_array().unwrap().iter().map(|value| value["value"].clone()).collect()
    };
    assert_eq!(counts("error_data_count"), [0, 0]);
    assert_eq!(counts("error_system_count"), [2, 1]);
    assert_eq!(counts("failed_count"), [2, 1]);
}

#[test]
fn an_error_that_becomes_built_in_counts_from_its_first_execution_and_no_longer_when_it_ceases_to_be() {
    let server = server();
    server.accept(&[failed_execution(1, 1, HOMEMADE, END), failed_execution(2, 1, DATA, END)]);
    assert_eq!(value(&server, "errors", "total_count"), 1);

    server.accept(&[builtin_error(HOMEMADE, "homemade", "ALGORITHM")]);
    assert_eq!(value(&server, "errors", "total_count"), 2);
    let own = server.values("errors", "total_count", &format!("choice_id={HOMEMADE}"));
    assert_eq!(own, json!([{ "datetime": DAY, "value": 1 }]));

    server.accept(&[error(HOMEMADE, "homemade", "ALGORITHM"), error(DATA, "bad-file", "DATA")]);
    assert_no_value(&server, "errors", "total_count");
}

#[test]
fn an_error_counts_anew_in_the_order_of_the_request_that_redefines_it() {
    let server = server();
    server.accept(&[
        failed_execution(1, 1, HOMEMADE, END),
        with(job(1, 1, "FAILED", END), json!({ "error": HOMEMADE })),
        builtin_error(HOMEMADE, "homemade", "DATA"),
        failed_execution(2, 1, HOMEMADE, END),
        with(job(2, 1, "FAILED", END), json!({ "error": HOMEMADE })),
    ]);
    assert_eq!(value(&server, "errors", "total_count"), 2);
    assert_eq!(value(&server, "job-types", "error_data_count"), 2);
    assert_eq!(value(&server, "job-types", "error_algorithm_count"), 0);
}

#[test]
fn every_value_is_the_same_after_a_restart() {
    let mut server = server();
    server.accept(&worked_example());
    server.accept(&[
        builtin_error(DATA, "bad-file", "DATA"),
        failed_execution(3, 1, DATA, END),
        with(ingest(1, 2, "INGESTED", END), json!({ "file_size": 7 })),
    ]);
    let plots = |server: &TestServer| {
        ["job-types", "ingests", "errors"].map(|metrics_type| server.plot(metrics_type, "resolution=hour"))
    };
    let before = plots(&server);
    assert_eq!(value(&server, "errors", "total_count"), 1);
    server.restart();
    assert_eq!(plots(&server), before);
}
