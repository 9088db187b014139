//! The worked example in full.

use serde_json::{Value, json};

use super::DAY;
use crate::support::{TestServer, WORKED_TIMES, worked_example};

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
        ("queue_time_p50", 602),
        ("queue_time_p95", 7802),
        ("queue_time_p99", 7802),
        ("pre_time_sum", 7560),
        ("pre_time_min", 2156),
        ("pre_time_max", 5404),
        ("pre_time_avg", 3780),
        ("pre_time_p50", 2156),
        ("pre_time_p95", 5404),
        ("pre_time_p99", 5404),
        ("job_time_sum", 9610),
        ("job_time_min", 3002),
        ("job_time_max", 6608),
        ("job_time_avg", 4805),
        ("job_time_p50", 3002),
        ("job_time_p95", 6608),
        ("job_time_p99", 6608),
        ("post_time_sum", 12014),
        ("post_time_min", 4202),
        ("post_time_max", 7812),
        ("post_time_avg", 6007),
        ("post_time_p50", 4202),
        ("post_time_p95", 7812),
        ("post_time_p99", 7812),
        ("run_time_sum", 70870),
        ("run_time_min", 21014),
        ("run_time_max", 49856),
        ("run_time_avg", 35435),
        ("run_time_p50", 21014),
        ("run_time_p95", 49856),
        ("run_time_p99", 49856),
        ("stage_time_sum", 41686),
        ("stage_time_min", 11654),
        ("stage_time_max", 30032),
        ("stage_time_avg", 20843),
        ("stage_time_p50", 11654),
        ("stage_time_p95", 30032),
        ("stage_time_p99", 30032),
    ];
    let expected = expected.map(|(column, value)| (column.to_owned(), json!([{ "datetime": DAY, "value": value }])));
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
    let at = |time: &str, value: u64| json!({ "datetime": format!("2015-01-01T{time}"), "value": value });
    let mut expected = Vec::new();
    for (column, value) in counts {
        expected.push((column.to_owned(), json!([at("00:00:00", value), at("06:00:00", 0), at("16:00:00", 0)])));
    }
    for (measure, first, second) in WORKED_TIMES {
        for aggregate in ["sum", "min", "max", "avg", "p50", "p95", "p99"] {
            let column = format!("{measure}_{aggregate}");
            expected.push((column, json!([at("06:00:00", first), at("16:00:00", second)])));
        }
    }
    assert_plot(&server, "resolution=hour", &expected);
    assert_plot(&server, "resolution=hour&choice_id=1", &expected);
}

/// Asserts names, order and values of all columns of job types.
#[track_caller]
fn assert_plot(server: &TestServer, query: &str, expected: &[(String, Value)]) {
    let results = server.plot("job-types", query);
    let shown = results.iter().map(|result| {
        let name = result["column"]["name"].as_str().unwrap();
        (name.to_owned(), result["values"].clone())
    });
    let shown: Vec<(String, Value)> = shown.collect();
    assert_eq!(shown, expected, "{query}");
}
