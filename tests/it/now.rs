//! `GET /v6/metrics/{name}/now/` and `GET /v6/events/{kind}/{id}/`: what has not ended, and one event.

use serde_json::{Value, json};

use crate::support::{TestServer, error, execution, ingest, job, job_type, strike, with};

const NOW: &str = "/v6/metrics/job-types/now/";

/// A server with events of two job types and of a strike that have not ended, and others.
fn server_with_open_events() -> TestServer {
    let server = TestServer::start();
    let at = |hour: u64| format!("2015-01-01T{hour:02}:00:00Z");
    let open = |kind: &str, id: u64, of: u64, status: &str, times: Value| {
        with(json!({"kind": kind, "id": id, "job_type": of, "status": status}), times)
    };
    server.accept(&[
        with(job_type(1, "a"), json!({"title": "A"})),
        job_type(2, "b"),
        job_type(3, "c"),
        with(strike(1, "s"), json!({"title": "S"})),
        open("job", 1, 1, "RUNNING", json!({"last_modified": at(5)})),
        open("job", 2, 1, "RUNNING", json!({"last_modified": at(4)})),
        open("job", 3, 1, "PENDING", json!({})),
        open("job", 4, 2, "BLOCKED", json!({"last_modified": at(9), "ended": at(1)})),
        open("job_execution", 1, 1, "RUNNING", json!({"queued": at(2), "started": at(3)})),
        open("job_execution", 2, 2, "QUEUED", json!({"queued": at(7), "last_modified": at(1)})),
        job(5, 3, "COMPLETED", &at(1)),
        execution(5, 3, &at(0), &at(1), &at(2)),
        json!({"kind": "ingest", "id": 1, "strike": 1, "status": "INGESTING", "transfer_started": at(2), "ingest_started": at(3)}),
        json!({"kind": "ingest", "id": 2, "strike": 1, "status": "TRANSFERRED"}),
        json!({"kind": "ingest", "id": 3, "status": "QUEUED", "transfer_started": at(1)}),
        ingest(4, 1, "ERRORED", &at(1)),
        json!({"kind": "ingest", "id": 5, "status": "INGESTED", "ingest_ended": at(1)}),
    ]);
    server
}

fn of(count: u64, hour: Option<u64>) -> Value {
    json!({"count": count, "oldest": hour.map(|hour| format!("2015-01-01T{hour:02}:00:00Z"))})
}

#[test]
fn what_has_not_ended_is_counted_by_choice_and_status() {
    let server = server_with_open_events();
    let first = json!({"RUNNING": of(3, Some(2)), "PENDING": of(1, None)});
    let second = json!({"BLOCKED": of(1, Some(9)), "QUEUED": of(1, Some(7))});
    let all =
        json!({"RUNNING": of(3, Some(2)), "PENDING": of(1, None), "BLOCKED": of(1, Some(9)), "QUEUED": of(1, Some(7))});
    let result = |id: u64, title: &str, name: &str, statuses: &Value| json!({"id": id, "title": title, "name": name, "version": "1.0", "statuses": statuses});
    assert_eq!(
        server.get(NOW).json(),
        json!({
            "count": 2, "next": null, "previous": null, "all": {"statuses": all},
            "results": [result(1, "A", "a", &first), result(2, "b", "b", &second)],
        })
    );
    let executions = server.get(&format!("{NOW}?kind=job_execution&choice_id=1")).json();
    assert_eq!(executions["all"]["statuses"], json!({"RUNNING": of(1, Some(2))}));
    let page = server.get(&format!("{NOW}?page_size=1&page=2")).json();
    assert_eq!(json!([page["count"], page["results"][0]["id"], page["all"]["statuses"]]), json!([2, 2, all]));
    let ingests = server.get("/v6/metrics/ingests/now/").json();
    let statuses = json!({"INGESTING": of(1, Some(2)), "TRANSFERRED": of(1, None)});
    assert_eq!(ingests["results"], json!([{"id": 1, "title": "S", "statuses": statuses}]));
    server.get("/v6/metrics/errors/now/").assert_refused(404, &["Not found."]);
    server.get(&format!("{NOW}?kind=ingest")).assert_refused(400, &["job, job_execution"]);
    server.get(&format!("{NOW}?page=2")).assert_refused(404, &["Invalid page."]);
}

#[test]
fn what_ends_or_goes_on_is_seen_at_once() {
    let server = server_with_open_events();
    let count = |status: &str| server.get(NOW).json()["all"]["statuses"][status]["count"].clone();
    assert_eq!((count("RUNNING"), count("PENDING")), (json!(3), json!(1)));
    server.accept(&[json!({"kind": "job", "id": 3, "job_type": 1, "status": "RUNNING"})]);
    assert_eq!((count("RUNNING"), count("PENDING")), (json!(4), Value::Null));
    server.accept(&[job(3, 1, "FAILED", "2015-01-01T00:00:00Z")]);
    assert_eq!(count("RUNNING"), 3);
}

#[test]
fn one_event_is_shown_as_it_is_stored() {
    let server = server_with_open_events();
    let one = |path: &str| server.get(&format!("/v6/events/{path}/"));
    assert_eq!(one("job/3").json(), json!({"kind": "job", "id": 3, "job_type": 1, "status": "PENDING"}));
    assert_eq!(
        one("ingest/1").json(),
        json!({
            "kind": "ingest", "id": 1, "strike": 1, "status": "INGESTING", "transfer_started": "2015-01-01T02:00:00Z",
            "ingest_started": "2015-01-01T03:00:00Z",
        })
    );
    server.accept(&[error(9, "e", "DATA"), with(job(5, 3, "FAILED", "2015-01-02T00:00:00Z"), json!({"error": 9}))]);
    let changed = one("job/5");
    assert_eq!(
        changed.json(),
        json!({"kind": "job", "id": 5, "job_type": 3, "status": "FAILED", "ended": "2015-01-02T00:00:00Z", "error": 9})
    );
    let tag = changed.header("etag").unwrap();
    assert_eq!(server.send("GET", "/v6/events/job/5/", &[("If-None-Match", tag)], b"").status, 304);
    assert_eq!(server.get("/v6/events/job/5").status, 308);
    for path in ["job/77", "job_execution/3", "ingest/9007199254740991"] {
        one(path).assert_refused(404, &["Not found."]);
    }
    one("planet/1").assert_refused(400, &["kind", "job, job_execution, ingest"]);
    for id in ["abc", "0", "-1", "1.0", "9007199254740992", "%31%30x"] {
        one(&format!("job/{id}")).assert_refused(400, &["id", "integer from 1 to"]);
    }
}
