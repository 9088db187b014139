//! `GET /v6/metrics/{name}/plot-data/`: the layout of the answer and of its values, on the worked example and on a few
//! jobs of several choices. Which parameters select what is in `params`.

use scale_metrics::config::Dialect;
use serde_json::{Value, json};

use crate::metrics_list::{TYPES, column_names};
use crate::support::{
    TestServer, WORKED_TIMES, builtin_error, execution, failed_execution, ingest, job, job_type, strike, with,
    worked_example,
};

/// The one value of every column on the day of the worked example, in catalogue order.
#[rustfmt::skip]
const WORKED_DAY: [i64; 49] = [
    2, 3, 1, 6,
    1, 1, 1,
    8404, 602, 7802, 4202, 602, 7802, 7802,
    7560, 2156, 5404, 3780, 2156, 5404, 5404,
    9610, 3002, 6608, 4805, 3002, 6608, 6608,
    12014, 4202, 7812, 6007, 4202, 7812, 7812,
    70870, 21014, 49856, 35435, 21014, 49856, 49856,
    41686, 11654, 30032, 20843, 11654, 30032, 30032,
];

fn server_with_worked_example() -> TestServer {
    let server = TestServer::start();
    server.accept(&worked_example());
    server
}

/// The column definitions of a type as the list shows them.
fn definitions(server: &TestServer, metrics_type: &str) -> Vec<Value> {
    let details = server.get(&format!("/v6/metrics/{metrics_type}/")).json();
    details["columns"].as_array().unwrap().clone()
}

/// Three job types with jobs on three days, posted in no order at all.
fn server_with_three_job_types() -> TestServer {
    let server = TestServer::start();
    server.accept(&[
        job_type(30, "c"),
        job_type(2, "a"),
        job_type(10, "b"),
        job(1, 10, "COMPLETED", "2015-01-03T05:00:00Z"),
        job(2, 2, "COMPLETED", "2015-01-03T23:59:59.999999Z"),
        job(3, 30, "COMPLETED", "2015-01-01T00:00:00Z"),
        job(4, 2, "COMPLETED", "2015-01-02T12:34:56Z"),
        job(5, 2, "COMPLETED", "2015-01-02T12:59:59Z"),
        job(6, 2, "FAILED", "2015-01-01T07:00:00Z"),
        job(7, 10, "COMPLETED", "2015-01-01T07:30:00Z"),
    ]);
    server
}

#[test]
fn the_worked_example_by_day() {
    let server = server_with_worked_example();
    let results: Vec<Value> = definitions(&server, "job-types")
        .into_iter()
        .zip(WORKED_DAY)
        .map(|(column, value)| {
            json!({
                "column": column,
                "min_x": "2015-01-01",
                "max_x": "2015-01-01",
                "min_y": value,
                "max_y": value,
                "values": [{"datetime": "2015-01-01T00:00:00", "value": value}],
            })
        })
        .collect();
    assert_eq!(results.len(), 49);
    let answer = server.get("/v6/metrics/job-types/plot-data/");
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("application/json"));
    assert_eq!(answer.json(), json!({"count": 49, "next": null, "previous": null, "results": results}));
}

#[test]
fn the_worked_example_by_hour() {
    let server = server_with_worked_example();
    let mut expected = Vec::new();
    for (column, value) in definitions(&server, "job-types").into_iter().zip(WORKED_DAY).take(7) {
        expected.push(json!({
            "column": column, "min_x": "2015-01-01", "max_x": "2015-01-01", "min_y": 0, "max_y": value,
            "values": [
                {"datetime": "2015-01-01T00:00:00", "value": value},
                {"datetime": "2015-01-01T06:00:00", "value": 0},
                {"datetime": "2015-01-01T16:00:00", "value": 0},
            ],
        }));
    }
    // By hour, every statistic of a measure shows the time of one execution.
    let times = WORKED_TIMES.into_iter().flat_map(|times| [times; 7]);
    for (column, (measure, first, second)) in definitions(&server, "job-types").into_iter().skip(7).zip(times) {
        assert_eq!(column["group"], measure);
        expected.push(json!({
            "column": column, "min_x": "2015-01-01", "max_x": "2015-01-01", "min_y": first, "max_y": second,
            "values": [
                {"datetime": "2015-01-01T06:00:00", "value": first},
                {"datetime": "2015-01-01T16:00:00", "value": second},
            ],
        }));
    }
    let answer = server.get("/v6/metrics/job-types/plot-data/?resolution=hour");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"count": 49, "next": null, "previous": null, "results": expected}));
}

#[test]
fn the_worked_example_is_the_same_after_a_restart() {
    let mut server = server_with_worked_example();
    let urls = ["/v6/metrics/job-types/plot-data/", "/v6/metrics/job-types/plot-data/?resolution=hour&choice_id=1"];
    let before = urls.map(|url| server.get(url).json());
    server.restart();
    assert_eq!(urls.map(|url| server.get(url).json()), before);
}

#[test]
fn count_is_the_number_of_columns_selected() {
    let server = TestServer::start();
    for metrics_type in TYPES {
        let body = server.get(&format!("/v6/metrics/{metrics_type}/plot-data/")).json();
        assert_eq!(body["count"], column_names(metrics_type).len());
    }
    let body = server.get("/v6/metrics/job-types/plot-data/?group=errors&column=run_time_min").json();
    assert_eq!(body["count"], 4);
}

#[test]
fn a_result_carries_the_definition_of_its_column() {
    let server = TestServer::start();
    for metrics_type in TYPES {
        let found: Vec<Value> =
            server.plot(metrics_type, "").into_iter().map(|result| result["column"].clone()).collect();
        assert_eq!(found, definitions(&server, metrics_type));
    }
}

#[test]
fn every_selected_column_has_a_result_even_without_values() {
    let server = TestServer::start();
    for metrics_type in TYPES {
        let expected: Vec<Value> = definitions(&server, metrics_type)
            .into_iter()
            .map(|column| {
                json!({"column": column, "min_x": null, "max_x": null, "min_y": null, "max_y": null, "values": []})
            })
            .collect();
        assert_eq!(server.plot(metrics_type, ""), expected);
        assert_eq!(server.plot(metrics_type, "resolution=hour"), expected);
    }
}

#[test]
fn values_come_oldest_first() {
    let server = server_with_three_job_types();
    let by_day = json!([
        {"datetime": "2015-01-01T00:00:00", "value": 3},
        {"datetime": "2015-01-02T00:00:00", "value": 2},
        {"datetime": "2015-01-03T00:00:00", "value": 2},
    ]);
    assert_eq!(server.values("job-types", "total_count", ""), by_day);
    let by_hour = json!([
        {"datetime": "2015-01-01T00:00:00", "value": 1},
        {"datetime": "2015-01-01T07:00:00", "value": 2},
        {"datetime": "2015-01-02T12:00:00", "value": 2},
        {"datetime": "2015-01-03T05:00:00", "value": 1},
        {"datetime": "2015-01-03T23:00:00", "value": 1},
    ]);
    assert_eq!(server.values("job-types", "total_count", "resolution=hour"), by_hour);
}

#[test]
fn values_of_one_time_come_by_choice_id() {
    let server = server_with_three_job_types();
    let by_day = json!([
        {"id": 2, "datetime": "2015-01-01T00:00:00", "value": 1},
        {"id": 10, "datetime": "2015-01-01T00:00:00", "value": 1},
        {"id": 30, "datetime": "2015-01-01T00:00:00", "value": 1},
        {"id": 2, "datetime": "2015-01-02T00:00:00", "value": 2},
        {"id": 2, "datetime": "2015-01-03T00:00:00", "value": 1},
        {"id": 10, "datetime": "2015-01-03T00:00:00", "value": 1},
    ]);
    let asked = "choice_id=30&choice_id=2&choice_id=10";
    assert_eq!(server.values("job-types", "total_count", asked), by_day);
    let by_hour = json!([
        {"id": 30, "datetime": "2015-01-01T00:00:00", "value": 1},
        {"id": 2, "datetime": "2015-01-01T07:00:00", "value": 1},
        {"id": 10, "datetime": "2015-01-01T07:00:00", "value": 1},
        {"id": 2, "datetime": "2015-01-02T12:00:00", "value": 2},
        {"id": 10, "datetime": "2015-01-03T05:00:00", "value": 1},
        {"id": 2, "datetime": "2015-01-03T23:00:00", "value": 1},
    ]);
    assert_eq!(server.values("job-types", "total_count", &format!("{asked}&resolution=hour")), by_hour);
}

#[test]
fn with_one_choice_selected_the_id_is_left_out() {
    let server = server_with_three_job_types();
    let expected = json!([
        {"datetime": "2015-01-01T00:00:00", "value": 1},
        {"datetime": "2015-01-03T00:00:00", "value": 1},
    ]);
    assert_eq!(server.values("job-types", "total_count", "choice_id=10"), expected);
    assert_eq!(server.values("job-types", "total_count", "choice_id=10&choice_id=10"), expected, "still one choice");
    assert_eq!(server.values("job-types", "total_count", "name=b"), expected, "a filter selects as well");
    assert_eq!(server.values("job-types", "total_count", "choice_id=2&choice_id=10&name=b"), expected);
}

#[test]
fn with_several_choices_selected_the_id_is_given_even_if_only_one_has_values() {
    let server = server_with_three_job_types();
    let expected = json!([{"id": 2, "datetime": "2015-01-02T00:00:00", "value": 2}]);
    let one_day = "started=2015-01-02&ended=2015-01-02T23:00:00Z";
    let selected = format!("choice_id=2&choice_id=30&{one_day}");
    assert_eq!(server.values("job-types", "total_count", &selected), expected);
    let filtered = format!("version=1.0&{one_day}");
    assert_eq!(server.values("job-types", "total_count", &filtered), expected);
}

#[test]
fn without_a_choice_selection_values_are_over_all_choices() {
    let server = TestServer::start();
    let midnight = "2015-01-01T00:00:00Z";
    let run = |id, job_type, ended| execution(id, job_type, midnight, midnight, ended);
    server.accept(&[
        job_type(1, "a"),
        job_type(2, "b"),
        run(1, 1, "2015-01-01T00:00:10Z"),
        run(2, 1, "2015-01-01T00:00:20Z"),
        run(3, 2, "2015-01-01T00:01:00Z"),
    ]);
    let shown = |query: &str| -> Vec<Value> {
        server.plot("job-types", query).iter().map(|result| result["values"][0]["value"].clone()).collect()
    };
    assert_eq!(
        shown("group=run_time"),
        [90, 10, 60, 30, 20, 60, 60],
        "the average is of all executions, not of two averages"
    );
    assert_eq!(shown("group=run_time&choice_id=1"), [30, 10, 20, 15, 10, 20, 20]);
    assert_eq!(shown("group=run_time&choice_id=2"), [60, 60, 60, 60, 60, 60, 60]);
}

#[test]
fn bounds_are_of_the_values_given() {
    let server = server_with_three_job_types();
    let bounds = |query: &str| {
        let result = server.plot("job-types", &format!("column=total_count&{query}")).remove(0);
        json!([result["min_x"], result["max_x"], result["min_y"], result["max_y"]])
    };
    assert_eq!(bounds(""), json!(["2015-01-01", "2015-01-03", 2, 3]));
    assert_eq!(bounds("resolution=hour"), json!(["2015-01-01", "2015-01-03", 1, 2]));
    assert_eq!(bounds("choice_id=2&choice_id=10"), json!(["2015-01-01", "2015-01-03", 1, 2]));
    assert_eq!(bounds("started=2015-01-02"), json!(["2015-01-02", "2015-01-03", 2, 2]));
    assert_eq!(bounds("choice_id=30"), json!(["2015-01-01", "2015-01-01", 1, 1]));
}

#[test]
fn bounds_of_a_column_with_gaps_are_of_its_own_values() {
    let server = TestServer::start();
    server.accept(&[
        job_type(1, "a"),
        job(1, 1, "COMPLETED", "2015-01-01T00:00:00Z"),
        execution(1, 1, "2015-01-02T00:00:00Z", "2015-01-02T00:00:05Z", "2015-01-02T00:00:05Z"),
        job(2, 1, "COMPLETED", "2015-01-03T00:00:00Z"),
    ]);
    let result = server.plot("job-types", "column=queue_time_max").remove(0);
    assert_eq!(
        with(result, json!({"column": null})),
        json!({
            "column": null, "min_x": "2015-01-02", "max_x": "2015-01-02", "min_y": 5, "max_y": 5,
            "values": [{"datetime": "2015-01-02T00:00:00", "value": 5}],
        })
    );
}

#[test]
fn in_a_bucket_every_count_has_a_value_and_a_distribution_without_observations_has_none() {
    let server = TestServer::start();
    server.accept(&[
        job_type(1, "a"),
        job(1, 1, "CANCELED", "2015-01-01T10:00:00Z"),
        strike(1, "s"),
        ingest(1, 1, "DEFERRED", "2015-01-01T10:00:00Z"),
    ]);
    for (metrics_type, zero, counts) in [("job-types", "completed_count", 7), ("ingests", "ingested_count", 5)] {
        let results = server.plot(metrics_type, "");
        for result in &results[..counts] {
            assert_eq!(result["values"].as_array().unwrap().len(), 1, "{}", result["column"]["name"]);
        }
        for result in &results[counts..] {
            assert_eq!(result["values"], json!([]), "{}", result["column"]["name"]);
            assert_eq!(result["min_y"], Value::Null);
        }
        let expected = json!([{"datetime": "2015-01-01T00:00:00", "value": 0}]);
        assert_eq!(server.values(metrics_type, zero, ""), expected);
    }
}

#[test]
fn values_show_at_once_after_the_post_was_acknowledged() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "a")]);
    for id in 1..=20_u64 {
        server.accept(&[job(id, 1, "COMPLETED", "2015-01-01T00:00:00Z")]);
        let expected = json!([{"datetime": "2015-01-01T00:00:00", "value": id}]);
        assert_eq!(server.values("job-types", "total_count", ""), expected);
        assert_eq!(server.values("job-types", "total_count", "choice_id=1&resolution=hour"), expected);
    }
}

#[test]
fn ingests_and_errors_are_plotted_as_job_types_are() {
    let server = TestServer::start();
    server.accept(&[
        strike(1, "north"),
        strike(2, "south"),
        with(ingest(1, 1, "INGESTED", "2015-01-01T06:30:00Z"), json!({"file_size": 100})),
        with(ingest(2, 2, "DUPLICATE", "2015-01-01T06:40:00Z"), json!({"file_size": 25})),
        job_type(1, "a"),
        builtin_error(7, "timeout", "SYSTEM"),
        failed_execution(1, 1, 7, "2015-01-02T01:00:00Z"),
    ]);
    assert_eq!(
        server.values("ingests", "file_size_avg", "resolution=hour"),
        json!([{"datetime": "2015-01-01T06:00:00", "value": 62}])
    );
    assert_eq!(
        server.values("ingests", "total_count", "choice_id=1&choice_id=2"),
        json!([
            {"id": 1, "datetime": "2015-01-01T00:00:00", "value": 1},
            {"id": 2, "datetime": "2015-01-01T00:00:00", "value": 1},
        ])
    );
    assert_eq!(
        server.values("errors", "total_count", "choice_id=7"),
        json!([{"datetime": "2015-01-02T00:00:00", "value": 1}])
    );
}

#[test]
fn the_first_and_the_last_day_that_can_be_posted_are_plotted() {
    let server = TestServer::start();
    server.set_now("9999-12-31T23:59:59Z");
    server.accept(&[
        job_type(1, "a"),
        job(1, 1, "COMPLETED", "1970-01-01T00:00:00Z"),
        job(2, 1, "COMPLETED", "9999-12-31T23:59:59.999999Z"),
    ]);
    let expected = json!([
        {"datetime": "1970-01-01T00:00:00", "value": 1},
        {"datetime": "9999-12-31T23:00:00", "value": 1},
    ]);
    assert_eq!(server.values("job-types", "total_count", "resolution=hour"), expected);
    let result = server.plot("job-types", "column=total_count").remove(0);
    assert_eq!(json!([result["min_x"], result["max_x"]]), json!(["1970-01-01", "9999-12-31"]));
}

#[test]
fn an_unknown_type_has_no_plot_data() {
    let server = TestServer::start();
    for path in
        ["/v6/metrics/jobs/plot-data/", "/v6/metrics/JOB-TYPES/plot-data/", "/v6/metrics/jobs/plot-data/?page=1"]
    {
        let answer = server.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json(), json!({"detail": "Not found."}), "{path}");
    }
}

/// Two job types, one job each, and a server that answers as Scale's own does.
fn server_in_scale_dialect() -> TestServer {
    let server = TestServer::start_with(|config| config.api.dialect = Dialect::Scale);
    server.accept(&[
        job_type(1, "a"),
        job_type(2, "b"),
        job(1, 1, "COMPLETED", "2015-01-01T05:00:00Z"),
        job(2, 2, "COMPLETED", "2015-01-01T06:00:00Z"),
    ]);
    server
}

#[test]
fn in_scales_dialect_the_resolution_defaults_to_hour() {
    let server = server_in_scale_dialect();
    let by_hour = json!([
        {"datetime": "2015-01-01T05:00:00", "value": 1},
        {"datetime": "2015-01-01T06:00:00", "value": 1},
    ]);
    assert_eq!(server.values("job-types", "total_count", ""), by_hour);
    assert_eq!(server.values("job-types", "total_count", "resolution=null"), by_hour);
    let by_day = json!([{"datetime": "2015-01-01T00:00:00", "value": 2}]);
    assert_eq!(server.values("job-types", "total_count", "resolution=day"), by_day);
}

#[test]
fn in_scales_dialect_the_id_is_given_as_soon_as_any_choice_is_selected() {
    let server = server_in_scale_dialect();
    let one = json!([{"id": 1, "datetime": "2015-01-01T05:00:00", "value": 1}]);
    assert_eq!(server.values("job-types", "total_count", "choice_id=1"), one);
    assert_eq!(server.values("job-types", "total_count", "name=a"), one);
    let two = json!([
        {"id": 1, "datetime": "2015-01-01T00:00:00", "value": 1},
        {"id": 2, "datetime": "2015-01-01T00:00:00", "value": 1},
    ]);
    assert_eq!(server.values("job-types", "total_count", "choice_id=1&choice_id=2&resolution=day"), two);
    let all = json!([{"datetime": "2015-01-01T00:00:00", "value": 2}]);
    assert_eq!(server.values("job-types", "total_count", "resolution=day"), all);
}
