//! Where an event counts: its hour, its day and its choice.

use serde_json::{Value, json};

use super::{DATA, END, run, server};
use crate::support::{failed_execution, ingest, job, with};

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
