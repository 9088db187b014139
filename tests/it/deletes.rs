//! `DELETE /v6/events/{kind}/{id}/` and `POST /v6/events/delete/`. That numbers are then as if the events had never been posted,
//! `random_streams` shows.

use serde_json::{Value, json};

use crate::support::{TestServer, builtin_error, execution, failed_execution, job, job_type, strike, with};

const DELETE: &str = "/v6/events/delete/";
const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn delete(server: &TestServer, path: &str) -> (u16, Value) {
    let answer = server.send("DELETE", &format!("/v6/events/{path}/"), &[], b"");
    (answer.status, answer.json())
}

fn delete_many(server: &TestServer, keys: &Value) -> Value {
    let answer = server.send("POST", DELETE, &[JSON], keys.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn a_deleted_event_is_gone_from_every_number_and_new_when_it_is_posted_again() {
    let mut server = TestServer::start();
    let at = |second: u64| format!("2015-01-01T00:00:{second:02}Z");
    let run = |id: u64, seconds: u64| execution(id, 1, &at(0), &at(0), &at(seconds));
    server.accept(&[job_type(1, "a"), builtin_error(2, "b", "SYSTEM"), run(1, 10), run(2, 20), run(3, 30)]);
    server.accept(&[job(1, 1, "FAILED", &at(1)), failed_execution(4, 1, 2, &at(1))]);
    let value = |server: &TestServer, of: &str, column: &str| server.values(of, column, "")[0]["value"].clone();
    assert_eq!(delete(&server, "job_execution/3"), (200, json!({"deleted": 1})));
    assert_eq!(value(&server, "job-types", "run_time_max"), 20);
    assert_eq!(delete(&server, "job_execution/1"), (200, json!({"deleted": 1})));
    assert_eq!(value(&server, "job-types", "run_time_min"), 20);
    assert_eq!(delete(&server, "job_execution/4"), (200, json!({"deleted": 1})));
    assert_eq!(server.values("errors", "total_count", ""), json!([]));
    assert_eq!(delete(&server, "job_execution/4").0, 404);
    assert_eq!(server.get("/v6/events/job_execution/4/").status, 404);
    server.restart();
    assert_eq!(value(&server, "job-types", "run_time_sum"), 20);
    assert!(!server.get("/v6/export/").text().contains("\"id\":3"), "an export has no deleted event");
    let again = server.post(json!([run(3, 40), run(2, 20)])).json();
    assert_eq!(json!([again["created"], again["unchanged"]]), json!([1, 1]));
    assert_eq!(value(&server, "job-types", "run_time_max"), 40);
    // Also if what was there was modified later.
    server.accept(&[with(job(9, 1, "FAILED", &at(1)), json!({"last_modified": "2015-01-02T00:00:00Z"}))]);
    assert_eq!(delete(&server, "job/9").0, 200);
    let older = with(job(9, 1, "FAILED", &at(1)), json!({"last_modified": "2015-01-01T00:00:00Z"}));
    assert_eq!(server.post(older).json()["created"], 1);
}

#[test]
fn many_are_deleted_at_once_or_none() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "a"), strike(1, "b")]);
    let jobs: Vec<_> = (1..=500).map(|id| job(id, 1, "COMPLETED", "2015-01-01T00:00:00Z")).collect();
    server.accept(&jobs);
    server.accept(&[json!({"kind": "job", "id": 1_000, "job_type": 1, "status": "RUNNING"})]);
    let key = |id: u64| json!({"kind": "job", "id": id});
    let count = || server.values("job-types", "total_count", "")[0]["value"].clone();
    assert_eq!(delete_many(&server, &json!([])), json!({"deleted": 0, "missing": 0}));
    assert_eq!(delete_many(&server, &key(1)), json!({"deleted": 1, "missing": 0}));
    let some: Vec<_> = [2, 3, 3, 777, 1_000].map(key).into();
    assert_eq!(delete_many(&server, &json!(some)), json!({"deleted": 3, "missing": 2}));
    assert_eq!(count(), 497);
    let wrong = json!([key(4), {"kind": "planet", "id": 1}, {"kind": "job", "id": "5"}, {"kind": "job"}, 7, with(key(5), json!({"a": 1}))]);
    let refused = server.send("POST", DELETE, &[JSON], wrong.to_string().as_bytes());
    assert_eq!(refused.status, 400);
    let fields: Vec<_> =
        refused.json()["errors"].as_array().unwrap().iter().map(|it| json!([it["index"], it["field"]])).collect();
    assert_eq!(json!(fields), json!([[1, "kind"], [2, "id"], [3, "id"], [4, null], [5, "a"]]));
    assert_eq!(count(), 497, "nothing was deleted");
    let lines: Vec<_> = (4..=500).map(|id| key(id).to_string()).collect();
    let all = server.send("POST", DELETE, &[NDJSON], lines.join("\n\n").as_bytes());
    assert_eq!(all.json(), json!({"deleted": 497, "missing": 0}));
    assert_eq!(server.values("job-types", "total_count", ""), json!([]));
    assert_eq!(server.get("/v6/metrics/job-types/now/").json()["count"], 0);
}

#[test]
fn what_cannot_be_deleted_is_refused_and_why() {
    let server = TestServer::start();
    for (path, words) in [("planet/1", &["kind", "job, job_execution, ingest"][..]), ("job/x", &["id", "integer"])] {
        let answer = server.send("DELETE", &format!("/v6/events/{path}/"), &[], b"");
        answer.assert_refused(400, words);
    }
    for (headers, body, status) in [
        (&[JSON][..], "{", 400),
        (&[JSON], "[1", 400),
        (&[NDJSON], "{}\n{", 400),
        (&[("Content-Type", "text/plain")], "[]", 415),
    ] {
        assert_eq!(server.send("POST", DELETE, headers, body.as_bytes()).status, status, "{body}");
    }
    let methods = server.send("PUT", "/v6/events/job/1/", &[JSON], b"{}");
    assert_eq!((methods.status, methods.header("allow")), (405, Some("DELETE, GET, HEAD")));
    assert_eq!(server.send("DELETE", "/v6/events/job/1", &[], b"").status, 308);
}
