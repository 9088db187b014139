//! Events that are posted again with other content: the old content counts nowhere any more.

use serde_json::json;

use super::{DATA, DAY, END, four, run, server, value};
use crate::support::{TestServer, builtin_error, failed_execution, ingest, job, with, worked_example};

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
