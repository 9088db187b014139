//! `POST /v6/events/`: what is taken in, what is refused and how, rule by rule of docs/reference.md, Posting events.
//!
//! Not here: what the accepted events count (`counting`), and many of them at once (`random_streams`).

mod again;
mod bodies;
mod fields;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Answer, TestServer, builtin_error, job_type, strike};

const EVENTS: &str = "/v6/events/";
const END: &str = "2015-01-01T12:00:00Z";
const JSON: (&str, &str) = ("Content-Type", "application/json");
const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");
const GZIP: (&str, &str) = ("Content-Encoding", "gzip");
const LARGEST_ID: u64 = (1 << 53) - 1;

/// A server that knows job types, strikes and errors 1 and 2.
fn server() -> TestServer {
    server_with(TestServer::start())
}

fn server_with(server: TestServer) -> TestServer {
    for id in [1, 2] {
        server.accept(&[job_type(id, "job-type"), strike(id, "strike"), builtin_error(id, "error", "DATA")]);
    }
    server
}

/// One object of each kind with every field given.
fn full_objects() -> [Value; 6] {
    [
        json!({
            "kind": "job_type", "id": 1, "name": "scale-clock", "version": "1.0", "title": "Scale Clock",
            "description": "Ticks.", "category": "system", "author_name": "Ada", "author_url": "http://ada.example/",
            "is_system": true, "is_long_running": true, "is_active": false, "is_operational": false,
            "is_paused": true, "icon_code": "f013",
        }),
        json!({
            "kind": "strike", "id": 1, "name": "north", "title": "North", "description": "Watches the north.",
        }),
        json!({
            "kind": "error", "id": 1, "name": "no-disk", "category": "SYSTEM", "title": "No Disk",
            "description": "A disk is missing.", "job_type_name": "scale-clock", "is_builtin": true,
            "should_be_retried": true,
        }),
        json!({
            "kind": "job", "id": 1, "job_type": 1, "status": "FAILED", "ended": END, "error": 1,
            "last_modified": "2015-01-01T12:00:01Z",
        }),
        json!({
            "kind": "job_execution", "id": 1, "job_type": 1, "status": "COMPLETED", "ended": END,
            "queued": "2015-01-01T10:00:00Z", "started": "2015-01-01T11:00:00Z", "error": 1,
            "tasks": [
                { "type": "pull", "started": "2015-01-01T11:00:01Z", "ended": "2015-01-01T11:00:02Z" },
                { "type": "pre", "started": "2015-01-01T11:00:03Z", "ended": "2015-01-01T11:00:05Z" },
                { "type": "main", "started": "2015-01-01T11:00:06Z", "ended": "2015-01-01T11:00:09Z" },
                { "type": "post", "started": "2015-01-01T11:00:10Z", "ended": "2015-01-01T11:00:14Z" },
            ],
            "last_modified": "2015-01-01T12:00:01Z",
        }),
        json!({
            "kind": "ingest", "id": 1, "status": "INGESTED", "ingest_ended": END, "strike": 1, "file_size": 5,
            "transfer_started": "2015-01-01T10:00:00Z", "transfer_ended": "2015-01-01T11:00:00Z",
            "ingest_started": "2015-01-01T11:30:00Z", "last_modified": "2015-01-01T12:00:01Z",
        }),
    ]
}

/// What a kind cannot do without.
fn required(kind: &str) -> &'static [&'static str] {
    match kind {
        "job_type" => &["id", "name", "version"],
        "strike" => &["id", "name"],
        "error" => &["id", "name", "category"],
        "job" | "job_execution" => &["id", "job_type", "status", "ended"],
        "ingest" => &["id", "status", "ingest_ended"],
        _ => unreachable!("{kind} is no kind"),
    }
}

/// One object of each kind with the required fields alone.
fn least_objects() -> [Value; 6] {
    full_objects().map(|mut object| {
        let needed = required(object["kind"].as_str().unwrap());
        object.as_object_mut().unwrap().retain(|field, _| field == "kind" || needed.contains(&field.as_str()));
        object
    })
}

fn fields(object: &Value) -> Vec<String> {
    object.as_object().unwrap().keys().filter(|field| *field != "kind").cloned().collect()
}

fn without(mut object: Value, field: &str) -> Value {
    object.as_object_mut().unwrap().remove(field);
    object
}

/// The answer to a request that is accepted.
fn counts(created: u64, updated: u64, unchanged: u64, stale: u64) -> Value {
    json!({
        "accepted": created + updated + unchanged + stale,
        "created": created, "updated": updated, "unchanged": unchanged, "stale": stale,
    })
}

#[track_caller]
fn assert_counts(answer: &Answer, created: u64, updated: u64, unchanged: u64, stale: u64) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json(), counts(created, updated, unchanged, stale));
}

/// Index and field of each entry of a refusal, whose shape is checked.
#[track_caller]
fn refused(answer: &Answer) -> BTreeSet<(u64, Option<String>)> {
    assert_eq!(answer.status, 400, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["detail", "errors"]);
    assert!(body["detail"].as_str().unwrap().ends_with("invalid; nothing was stored."), "{body}");
    let entries = body["errors"].as_array().unwrap();
    assert!((1..=100).contains(&entries.len()), "{} entries", entries.len());
    let entry = |entry: &Value| {
        assert_eq!(entry.as_object().unwrap().keys().collect::<Vec<_>>(), ["detail", "field", "index"]);
        assert!(!entry["detail"].as_str().unwrap().is_empty(), "{entry}");
        (entry["index"].as_u64().unwrap(), serde_json::from_value(entry["field"].clone()).unwrap())
    };
    entries.iter().map(entry).collect()
}

/// Asserts that `object`, posted alone, is refused because of `field`.
#[track_caller]
fn assert_refused_for(server: &TestServer, object: &Value, field: &str) {
    let answer = server.post(object);
    assert_eq!(answer.status, 400, "{object} was accepted, in spite of {field}");
    let problems = refused(&answer);
    assert!(problems.contains(&(0, Some(field.to_owned()))), "{object}: no {field} in {problems:?}");
}

/// Everything that the read endpoints show.
fn shown(server: &TestServer) -> Vec<Value> {
    let mut shown = Vec::new();
    for metrics_type in ["job-types", "ingests", "errors"] {
        shown.push(server.get(&format!("/v6/metrics/{metrics_type}/")).json());
        shown.extend(server.plot(metrics_type, "resolution=hour&ended=9999-12-31T23:59:59Z"));
    }
    shown
}

/// How many jobs are counted, of all times.
fn total_of_jobs(server: &TestServer) -> u64 {
    let values = server.values("job-types", "total_count", "ended=9999-12-31T23:59:59Z");
    values.as_array().unwrap().iter().map(|value| value["value"].as_u64().unwrap()).sum()
}

fn choices(server: &TestServer, metrics_type: &str) -> Value {
    server.get(&format!("/v6/metrics/{metrics_type}/")).json()["choices"].clone()
}
