//! `GET /v6/metrics/{name}/breakdown/`: what a result has, orders, pages, limits. That the numbers are right, `random_streams` shows.

use serde_json::{Value, json};

use crate::support::{TestServer, builtin_error, error, execution, failed_execution, job, job_type, strike, with};

const BREAKDOWN: &str = "/v6/metrics/job-types/breakdown/";

fn groups(server: &TestServer, query: &str) -> Vec<(Value, u64)> {
    let answer = server.get(&format!("{BREAKDOWN}?{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let group = |result: &Value| (result["group"].clone(), result["count"].as_u64().unwrap());
    answer.json()["results"].as_array().unwrap().iter().map(group).collect()
}

#[test]
fn a_result_has_its_group_its_count_and_its_measures() {
    let server = TestServer::start();
    server.accept(&[
        with(job_type(7, "parse"), json!({"title": "Parse"})),
        with(error(3, "bad-input", "DATA"), json!({"title": "Bad, input"})),
        execution(1, 7, "2015-01-01T00:00:00Z", "2015-01-01T00:00:10Z", "2015-01-01T00:00:30Z"),
        execution(2, 7, "2015-01-01T00:00:00Z", "2015-01-01T00:00:10Z", "2015-01-01T00:00:40.5Z"),
        with(job(1, 7, "FAILED", "2015-01-01T00:00:00Z"), json!({"error": 3})),
    ]);
    let nothing =
        json!({"n": 0, "sum": null, "min": null, "max": null, "avg": null, "p50": null, "p95": null, "p99": null});
    let of = |n: u64, sum: u64, min: u64, max: u64, avg: u64| json!({"n": n, "sum": sum, "min": min, "max": max, "avg": avg, "p50": min, "p95": max, "p99": max});
    let measures = |queue: Value, run: Value| {
        json!({
            "queue_time": queue, "pre_time": nothing, "job_time": nothing, "post_time": nothing, "run_time": run, "stage_time": run,
        })
    };
    let choice = json!({"id": 7, "title": "Parse", "name": "parse", "version": "1.0"});
    let error = json!({"id": 3, "name": "bad-input", "title": "Bad, input", "category": "DATA"});
    assert_eq!(
        server.get(&format!("{BREAKDOWN}?by=choice&by=error")).json(),
        json!({
            "count": 2, "next": null, "previous": null, "total": 3,
            "results": [
                {
                    "group": {"choice": choice, "error": null}, "count": 2,
                    "measures": measures(of(2, 20, 10, 10, 10), of(2, 50, 20, 30, 25)),
                },
                {"group": {"choice": choice, "error": error}, "count": 1, "measures": measures(nothing.clone(), nothing.clone())},
            ],
        })
    );
    let csv = server.get(&format!("{BREAKDOWN}?by=error,status&format=csv&kind=job")).text();
    let (header, line) = csv.trim_end().split_once('\n').unwrap();
    assert!(header.starts_with("error_id,error_title,status,count,queue_time_n,queue_time_sum,"), "{header}");
    assert!(line.starts_with("3,\"Bad, input\",FAILED,1,0,,,,,,,,0,"), "{line}");
    assert_eq!(header.split(',').count(), 4 + 6 * 8);
}

#[test]
fn the_largest_groups_come_first_and_pages_follow() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "a"), job_type(2, "b"), job_type(3, "c")]);
    let jobs: Vec<_> =
        [3, 1, 3, 2, 3, 1].iter().zip(1..).map(|(&of, id)| job(id, of, "COMPLETED", "2015-01-01T00:00:00Z")).collect();
    server.accept(&jobs);
    server.accept(&[job(7, 2, "FAILED", "2015-01-01T00:00:00Z"), job(8, 1, "FAILED", "2015-01-01T00:00:00Z")]);
    let ids = |query: &str| -> Vec<_> {
        groups(&server, query)
            .into_iter()
            .map(|(group, count)| (group["choice"]["id"].as_u64().unwrap(), count))
            .collect()
    };
    assert_eq!(ids("by=choice"), [(1, 3), (3, 3), (2, 2)]);
    assert_eq!(ids("by=choice&page_size=2&page=2"), [(2, 2)]);
    server.get(&format!("{BREAKDOWN}?by=choice&page_size=2&page=3")).assert_refused(404, &["Invalid page."]);
    let page = server.get(&format!("{BREAKDOWN}?by=choice&page_size=1")).json();
    assert_eq!(json!([page["count"], page["total"], page["results"].as_array().unwrap().len()]), json!([3, 8, 1]));
    assert_eq!(page["next"], format!("{}{BREAKDOWN}?by=choice&page_size=1&page=2", server.base()));
    assert_eq!(
        groups(&server, "by=status&choice_id=2"),
        [(json!({"status": "COMPLETED"}), 1), (json!({"status": "FAILED"}), 1)]
    );
}

#[test]
fn hours_and_days_of_the_week_are_those_of_local_clocks() {
    let server = TestServer::start();
    // January 1, 2015, is a Thursday.
    server.accept(&[job_type(1, "a"), job(1, 1, "COMPLETED", "2015-01-01T23:30:00Z")]);
    assert_eq!(groups(&server, "by=weekday&by=hour"), [(json!({"weekday": 4, "hour": 23}), 1)]);
    assert_eq!(groups(&server, "by=hour&by=weekday&timezone=Asia/Kolkata"), [(json!({"hour": 5, "weekday": 5}), 1)]);
}

#[test]
fn the_time_that_failed_runs_took_can_be_seen() {
    let server = TestServer::start();
    let failed = |id: u64, seconds: u64| {
        let ended = format!("2015-01-01T00:00:{seconds:02}Z");
        with(failed_execution(id, 1, 2, &ended), json!({"started": "2015-01-01T00:00:00Z"}))
    };
    server.accept(&[job_type(1, "a"), builtin_error(2, "b", "SYSTEM"), failed(1, 10), failed(2, 20)]);
    let answer = server.get(&format!("{BREAKDOWN}?by=error&kind=job_execution&status=FAILED")).json();
    assert_eq!(answer["results"][0]["measures"]["run_time"]["avg"], 15);
    assert_eq!(groups(&server, "by=error&kind=job_execution"), []);
    let of_type = server.get("/v6/metrics/errors/breakdown/?by=choice&by=job_type").json();
    let expected =
        json!({"choice": {"id": 2, "title": "b"}, "job_type": {"id": 1, "title": "a", "name": "a", "version": "1.0"}});
    assert_eq!(json!([of_type["results"][0]["group"], of_type["results"][0]["measures"]]), json!([expected, {}]));
}

#[test]
fn what_cannot_be_asked_for_is_refused_with_what_can() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "a"), strike(1, "b")]);
    for (query, words) in [
        ("", &["by", "choice, status, error, error_category, hour, weekday"][..]),
        ("by=choice&by=status&by=error", &["one or two of"]),
        ("by=choice,status,error", &["one or two of"]),
        ("by=banana", &["banana", "one or two of"]),
        ("by=job_type", &["job_type", "one or two of"]),
        ("by=status&kind=planet", &["kind"]),
        ("by=status&min_banana=1", &["min_banana"]),
        ("by=status&page_size=x", &["page_size"]),
    ] {
        server.get(&format!("{BREAKDOWN}?{query}")).assert_refused(400, words);
    }
    assert_eq!(server.get("/v6/metrics/errors/breakdown/?by=job_type").json()["total"], 0);
    for same in [
        "by=hour,weekday",
        "by=hour,%20weekday",
        "by=hour&by=weekday",
        "by=hour&by=weekday&by=hour",
        "by=hour,hour,weekday",
    ] {
        assert_eq!(server.get(&format!("{BREAKDOWN}?{same}")).status, 200, "{same}");
    }
}

#[test]
fn there_are_no_more_groups_and_events_than_a_request_may_ask_for() {
    let server = TestServer::start_with(|config| config.api.events_scanned = 11_000);
    let definitions: Vec<_> = (1..=10_001).map(|id| job_type(id, "a")).collect();
    server.accept(&definitions);
    let jobs: Vec<_> = (1..=10_001).map(|id| job(id, id, "COMPLETED", "2015-01-01T00:00:00Z")).collect();
    server.accept(&jobs[..10_000]);
    assert_eq!(server.get(&format!("{BREAKDOWN}?by=choice")).json()["count"], 10_000);
    server.accept(&jobs[10_000..]);
    server.get(&format!("{BREAKDOWN}?by=choice")).assert_refused(400, &["more than 10000 groups"]);
    assert_eq!(groups(&server, "by=status"), [(json!({"status": "COMPLETED"}), 10_001)]);
    let more: Vec<_> = (1..=1_000).map(|id| job(20_000 + id, 1, "COMPLETED", "2015-01-02T00:00:00Z")).collect();
    server.accept(&more);
    server
        .get(&format!("{BREAKDOWN}?by=status"))
        .assert_refused(400, &["more than 11000 events", "api.events_scanned"]);
}
