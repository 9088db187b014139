//! `GET /v6/metrics/{name}/events/`: what a result has, orders, pages, limits. That the right events are listed, `random_streams`
//! shows.

use serde_json::{Value, json};

use crate::support::{
    TestServer, builtin_error, error, execution, failed_execution, job, job_type, strike, wait_until, with,
};

const EVENTS: &str = "/v6/metrics/job-types/events/";

fn ids(server: &TestServer, query: &str) -> Vec<(String, u64)> {
    let answer = server.get(&format!("{EVENTS}?{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let id = |event: &Value| (event["kind"].as_str().unwrap().to_owned(), event["id"].as_u64().unwrap());
    answer.json()["results"].as_array().unwrap().iter().map(id).collect()
}

fn jobs(ids: &[u64]) -> Vec<(String, u64)> {
    ids.iter().map(|&id| ("job".to_owned(), id)).collect()
}

#[test]
fn a_result_is_the_event_with_names_and_measures() {
    let server = TestServer::start();
    server.accept(&[
        with(job_type(7, "parse"), json!({"title": "Parse", "version": "2.1"})),
        with(error(3, "bad-input", "DATA"), json!({"title": "Bad input"})),
        with(strike(4, "inbox"), json!({"title": "Inbox"})),
    ]);
    let execution = json!({
        "kind": "job_execution", "id": 11, "job_type": 7, "status": "COMPLETED", "queued": "2015-01-01T09:59:30Z",
        "started": "2015-01-01T10:00:00Z", "ended": "2015-01-01T10:01:30.5Z",
        "tasks": [{"type": "main", "started": "2015-01-01T10:00:01Z", "ended": "2015-01-01T10:01:01Z"}],
        "last_modified": "2015-01-02T00:00:00Z",
    });
    server.accept(&[
        execution,
        with(job(10, 7, "FAILED", "2015-01-01T10:00:00Z"), json!({"error": 3})),
        json!({
            "kind": "ingest", "id": 12, "strike": 4, "status": "INGESTED", "file_size": 1_000,
            "ingest_started": "2015-01-01T10:00:00Z", "ingest_ended": "2015-01-01T10:00:05Z",
        }),
    ]);
    let nothing = json!({
        "queue_time": null, "pre_time": null, "job_time": null, "post_time": null, "run_time": null, "stage_time": null,
    });
    let choice = json!({"id": 7, "title": "Parse", "name": "parse", "version": "2.1"});
    let listed = json!({
        "count": 2, "next": null, "previous": null,
        "results": [
            {
                "kind": "job_execution", "id": 11, "status": "COMPLETED", "ended": "2015-01-01T10:01:30.500000Z",
                "choice": choice, "error": null,
                "measures": with(nothing.clone(), json!({"queue_time": 30, "job_time": 60, "run_time": 90, "stage_time": 30})),
                "job_type": 7, "queued": "2015-01-01T09:59:30Z", "started": "2015-01-01T10:00:00Z",
                "tasks": [{"type": "main", "started": "2015-01-01T10:00:01Z", "ended": "2015-01-01T10:01:01Z"}],
                "last_modified": "2015-01-02T00:00:00Z",
            },
            {
                "kind": "job", "id": 10, "status": "FAILED", "ended": "2015-01-01T10:00:00Z", "choice": choice,
                "error": {"id": 3, "name": "bad-input", "title": "Bad input", "category": "DATA"},
                "measures": nothing, "job_type": 7,
            },
        ],
    });
    assert_eq!(server.get(EVENTS).json(), listed);
    assert_eq!(
        server.get("/v6/metrics/ingests/events/").json()["results"],
        json!([{
            "kind": "ingest", "id": 12, "status": "INGESTED", "ended": "2015-01-01T10:00:05Z",
            "choice": {"id": 4, "title": "Inbox"}, "error": null,
            "measures": {"file_size": 1_000, "transfer_time": null, "ingest_time": 5},
            "strike": 4, "file_size": 1_000, "ingest_started": "2015-01-01T10:00:00Z", "ingest_ended": "2015-01-01T10:00:05Z",
        }])
    );
    let csv = server.get(&format!("{EVENTS}?format=csv&order=ended"));
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(
        csv.text(),
        "kind,id,status,ended,choice_id,choice_title,error_id,error_title,queue_time,pre_time,job_time,post_time,run_time,stage_time\n\
         job,10,FAILED,2015-01-01T10:00:00Z,7,Parse,3,Bad input,,,,,,\n\
         job_execution,11,COMPLETED,2015-01-01T10:01:30.500000Z,7,Parse,,,30,,60,,90,30\n"
    );
}

#[test]
fn texts_in_csv_are_quoted_where_they_must_be() {
    let server = TestServer::start();
    server.accept(&[
        with(job_type(1, "a"), json!({"title": "a \"b\", c"})),
        job(1, 1, "COMPLETED", "2015-01-01T00:00:00Z"),
    ]);
    let csv = server.get(&format!("{EVENTS}?format=csv")).text();
    assert!(csv.contains(",1,\"a \"\"b\"\", c\",,"), "{csv}");
}

#[test]
fn an_order_by_a_measure_leaves_out_what_has_none_and_ties_are_ordered_by_kind_and_id() {
    let server = TestServer::start();
    let at = |second: u64| format!("2015-01-01T00:00:{second:02}Z");
    server.accept(&[
        job_type(1, "a"),
        job(5, 1, "COMPLETED", &at(9)),
        job(4, 1, "COMPLETED", &at(9)),
        execution(4, 1, &at(0), &at(1), &at(9)),
        execution(6, 1, &at(0), &at(2), &at(9)),
        execution(5, 1, &at(0), &at(1), &at(9)),
        execution(9, 1, &at(0), &at(0), &at(40)),
        json!({"kind": "job_execution", "id": 1, "job_type": 1, "status": "COMPLETED", "ended": at(30)}),
    ]);
    let executions = |ids: &[u64]| -> Vec<_> { ids.iter().map(|&id| ("job_execution".to_owned(), id)).collect() };
    assert_eq!(ids(&server, "order=-run_time"), executions(&[9, 4, 5, 6]));
    assert_eq!(ids(&server, "order=run_time"), executions(&[6, 4, 5, 9]));
    assert_eq!(ids(&server, ""), [executions(&[9, 1]), jobs(&[4, 5]), executions(&[4, 5, 6])].concat());
    assert_eq!(ids(&server, "order=-run_time&page_size=2&page=2"), executions(&[5, 6]));
    // In the units of the request, both ends included.
    assert_eq!(ids(&server, "min_run_time=8&max_run_time=8&order=ended"), executions(&[4, 5]));
    assert_eq!(ids(&server, "min_run_time=8001&units=milliseconds"), executions(&[9]));
    let milliseconds = server.get(&format!("{EVENTS}?order=-run_time&units=milliseconds&page_size=1")).json();
    assert_eq!(milliseconds["results"][0]["measures"]["run_time"], 40_000);
}

#[test]
fn executions_that_did_not_complete_are_listed_where_kind_and_status_ask_for_them() {
    let server = TestServer::start();
    let end = "2015-01-01T00:00:00Z";
    server.accept(&[
        job_type(1, "a"),
        builtin_error(2, "b", "SYSTEM"),
        failed_execution(1, 1, 2, end),
        job(1, 1, "FAILED", end),
    ]);
    assert_eq!(ids(&server, ""), jobs(&[1]));
    assert_eq!(ids(&server, "status=FAILED"), jobs(&[1]));
    assert_eq!(ids(&server, "kind=job_execution"), []);
    assert_eq!(ids(&server, "kind=job_execution&status=FAILED"), [("job_execution".to_owned(), 1)]);
    assert_eq!(ids(&server, "kind=job_execution&status=COMPLETED"), []);
    // The error of the execution counts, whatever its status.
    let of_error = server.get("/v6/metrics/errors/events/?job_type=1").json();
    assert_eq!(of_error["results"][0]["choice"], json!({"id": 2, "title": "b"}));
    assert_eq!(of_error["results"][0]["measures"], json!({}));
}

#[test]
fn pages_of_newest_first_go_from_day_to_day() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "a"), job_type(2, "b")]);
    let events: Vec<_> = (1..=60)
        .map(|id| job(id, 1 + id % 2, "COMPLETED", &format!("2015-01-{:02}T00:{:02}:00Z", 1 + id / 10, id % 10)))
        .collect();
    server.accept(&events);
    let newest: Vec<u64> = (1..=60).rev().collect();
    for (page, expected) in newest.chunks(7).enumerate() {
        let query = format!("page_size=7&page={}", page + 1);
        assert_eq!(ids(&server, &query), jobs(expected), "{query}");
    }
    let odd: Vec<u64> = (1..=60).filter(|id| id % 2 == 1).collect();
    assert_eq!(ids(&server, "choice_id=2&order=ended"), jobs(&odd));
    let second = server.get(&format!("{EVENTS}?page_size=7&page=2&order=ended")).json();
    assert_eq!(second["count"], 60);
    let link = |page: &str| format!("{}{EVENTS}?page_size=7{page}&order=ended", server.base());
    assert_eq!(second["next"], link("&page=3"));
    assert_eq!(second["previous"], link(""));
    server.get(&format!("{EVENTS}?page_size=7&page=10")).assert_refused(404, &["Invalid page."]);
    // The first hour of the range is rounded down, and the hour of the end counts as a whole.
    assert_eq!(ids(&server, "started=2015-01-02T00:05:00Z&ended=2015-01-02T00:06:00Z").len(), 10);
}

#[test]
fn far_pages_are_found_without_keeping_what_is_before() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "a")]);
    // Every 7th took as long as all others of its sort, the rest each another time; all on one day.
    let seconds = |id: u64| if id.is_multiple_of(7) { 500 } else { id * 37 % 1_000 };
    let ended = |id: u64| {
        format!("2015-01-01T{:02}:{:02}:{:02}Z", 1 + seconds(id) / 3_600, seconds(id) / 60 % 60, seconds(id) % 60)
    };
    let ids: Vec<u64> = (1..=24_000).collect();
    for part in ids.chunks(6_000) {
        let start = "2015-01-01T01:00:00Z";
        server.accept(&part.iter().map(|&id| execution(id, 1, start, start, &ended(id))).collect::<Vec<_>>());
    }
    let mut longest = ids.clone();
    longest.sort_by_key(|&id| (std::cmp::Reverse(seconds(id)), id));
    for order in ["-run_time", "-ended"] {
        for page in [1, 19, 22, 24, 480] {
            let size = if page > 24 { 50 } else { 1_000 };
            let answer = server.get(&format!("{EVENTS}?order={order}&page_size={size}&page={page}")).json();
            let shown: Vec<_> =
                answer["results"].as_array().unwrap().iter().map(|it| it["id"].as_u64().unwrap()).collect();
            assert_eq!(answer["count"], 24_000);
            assert!(shown == longest[size * (page - 1)..size * page], "page {page} in the order of {order}");
        }
        server.get(&format!("{EVENTS}?order={order}&page_size=1000&page=25")).assert_refused(404, &["Invalid page."]);
    }
}

#[test]
fn what_cannot_be_asked_for_is_refused_with_what_can() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "a"), strike(1, "b")]);
    for (query, words) in [
        ("order=banana", &["order", "banana", "ended", "run_time"][..]),
        ("order=-", &["order"]),
        ("kind=planet", &["kind", "job, job_execution"]),
        ("kind=ingest", &["kind", "job, job_execution"]),
        ("status=RUNNING", &["status", "COMPLETED, FAILED, CANCELED"]),
        ("status=INGESTED", &["status", "COMPLETED"]),
        ("error=x", &["error", "x", "integer"]),
        ("error=77", &["error", "77"]),
        ("error_category=NETWORK", &["error_category", "SYSTEM, DATA, ALGORITHM"]),
        ("min_file_size=1", &["min_file_size", "run_time"]),
        ("max_banana=1", &["max_banana", "run_time"]),
        ("min_run_time=-1", &["min_run_time", "whole number"]),
        ("max_run_time=1.5", &["max_run_time", "whole number"]),
        ("max_run_time=18446744073709551616", &["max_run_time", "2^64"]),
        ("page_size=0", &["page_size"]),
        ("units=hours", &["units"]),
        ("timezone=Mars", &["timezone"]),
        ("choice_id=9", &["choice_id", "9"]),
        ("format=xml", &["format"]),
    ] {
        server.get(&format!("{EVENTS}?{query}")).assert_refused(400, words);
    }
    server
        .get("/v6/metrics/ingests/events/?status=FAILED")
        .assert_refused(400, &["DEFERRED, INGESTED, ERRORED, DUPLICATE"]);
    server.get("/v6/metrics/errors/events/?order=run_time").assert_refused(400, &["none"]);
    server.get("/v6/metrics/errors/events/?job_type=9").assert_refused(400, &["job_type", "9"]);
    // What narrows only other types is ignored, and said to be.
    let ignored = server.get("/v6/metrics/ingests/events/?kind=job&job_type=4");
    assert_eq!((ignored.status, ignored.header("x-ignored-parameters")), (200, Some("kind, job_type")));
}

#[test]
fn no_more_events_are_read_than_a_request_may() {
    let server = TestServer::start_with(|config| config.api.events_scanned = 50);
    server.accept(&[job_type(1, "a")]);
    for day in 1..=3 {
        let events: Vec<_> = (1..=30)
            .map(|id| {
                execution(
                    day * 100 + id,
                    1,
                    "2015-01-01T00:00:00Z",
                    "2015-01-01T00:00:00Z",
                    &format!("2015-01-0{day}T01:00:00Z"),
                )
            })
            .collect();
        server.accept(&events);
    }
    // The newest are on one day.
    assert_eq!(ids(&server, "page_size=10").len(), 10);
    server.get(&format!("{EVENTS}?order=run_time")).assert_refused(400, &["more than 50 events", "shorter time"]);
    assert_eq!(ids(&server, "order=run_time&started=2015-01-02&ended=2015-01-02T23:00:00Z").len(), 30);
}

#[test]
fn days_whose_events_are_forgotten_cannot_be_listed() {
    let mut server = TestServer::start();
    server.accept(&[
        job_type(1, "a"),
        job(1, 1, "COMPLETED", "2015-01-11T12:00:00Z"),
        job(2, 1, "COMPLETED", "2015-01-30T12:00:00Z"),
    ]);
    server.restart_with(|config| {
        config.retention.events_days = 10;
        config.retention.grace_hours = 0;
    });
    wait_until("events are forgotten", || !server.get("/v6/export/").text().contains("2015-01-11"));
    server.get(EVENTS).assert_refused(400, &["2015-01-12", "started=2015-01-12T00:00:00Z"]);
    assert_eq!(ids(&server, "started=2015-01-22"), jobs(&[2]));
    // Where nothing was, nothing is forgotten.
    assert_eq!(ids(&server, "started=2014-01-01&ended=2015-01-10T23:00:00Z"), []);
    server.get(&format!("{EVENTS}?started=2014-01-01&ended=2015-01-11T12:00:00Z")).assert_refused(400, &["2015-01-12"]);
    assert_eq!(ids(&server, "started=2015-01-12"), jobs(&[2]));
}

#[test]
fn an_answer_is_good_until_something_changes() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "a"), job(1, 1, "COMPLETED", "2015-01-01T00:00:00Z")]);
    let first = server.get(EVENTS);
    let tag = first.header("etag").unwrap().to_owned();
    let again = |tag: &str| server.send("GET", EVENTS, &[("If-None-Match", tag)], b"").status;
    assert_eq!(again(&tag), 304);
    server.accept(&[job(1, 1, "FAILED", "2015-01-01T00:00:00Z")]);
    assert_eq!(again(&tag), 200);
    assert_eq!(ids(&server, "status=COMPLETED"), []);
    // A new name is shown at once.
    server.accept(&[with(job_type(1, "a"), json!({"title": "A"}))]);
    assert_eq!(server.get(EVENTS).json()["results"][0]["choice"]["title"], "A");
}
