//! `POST /v6/events/`: what is taken in, what is refused and how, sentence by sentence of the contract's section 3.
//!
//! Not here: what the accepted events count (`counting`), and many of them at once (`random_streams`).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde_json::{Value, json};

use crate::support::{
    Answer, Client, TestServer, builtin_error, error, execution, gzip, ingest, job, job_type, strike, to_ndjson, with,
};

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

// Bodies

#[test]
fn a_body_is_one_json_object_an_array_of_them_or_one_object_a_line() {
    let server = server();
    assert_counts(&server.post(job(1, 1, "FAILED", END)), 1, 0, 0, 0);
    assert_counts(&server.post([job(2, 1, "FAILED", END), job(3, 1, "FAILED", END)]), 2, 0, 0, 0);
    let lines = to_ndjson(&[job(4, 1, "FAILED", END), job(5, 1, "FAILED", END)]);
    assert_counts(&server.ndjson(&lines), 2, 0, 0, 0);
    assert_counts(&server.ndjson(&job(6, 1, "FAILED", END).to_string()), 1, 0, 0, 0);
    assert_eq!(total_of_jobs(&server), 6);
}

#[test]
fn blank_lines_of_ndjson_are_skipped() {
    let server = server();
    let lines = format!("\n  \n{}\r\n\r\n\t\n{}", job(1, 1, "FAILED", END), job(2, 1, "FAILED", END));
    assert_counts(&server.ndjson(&lines), 2, 0, 0, 0);
}

#[test]
fn a_body_without_objects_is_fine_and_changes_nothing() {
    let server = server();
    let before = shown(&server);
    for body in ["[]", " [\n] "] {
        assert_counts(&server.send("POST", EVENTS, &[JSON], body.as_bytes()), 0, 0, 0, 0);
    }
    for body in ["", "\n", "\n \r\n\n"] {
        assert_counts(&server.ndjson(body), 0, 0, 0, 0);
        assert_counts(&server.send("POST", EVENTS, &[NDJSON, GZIP], &gzip(body.as_bytes())), 0, 0, 0, 0);
    }
    assert_eq!(shown(&server), before);
}

#[test]
fn an_empty_json_body_is_not_json() {
    let server = server();
    for body in ["", " ", "\n"] {
        server.send("POST", EVENTS, &[JSON], body.as_bytes()).assert_refused(400, &[]);
    }
}

#[test]
fn a_body_that_is_no_json_is_refused_with_the_position() {
    let server = server();
    let good = job(1, 1, "FAILED", END).to_string();
    let refuse = |body: &[u8], line: &str| {
        server.send("POST", EVENTS, &[JSON], body).assert_refused(400, &[line, "column"]);
    };
    refuse(b"[\n\n{\"kind\": job}]", "line 3");
    refuse(format!("{good}\n{good}").as_bytes(), "line 2");
    refuse(format!("[{good},]").as_bytes(), "line 1");
    refuse(format!("[{good}").as_bytes(), "line 1");
    refuse(b"kind=job&id=1", "line 1");
    refuse(b"{'kind': 'job'}", "line 1");
    refuse(b"[{\"kind\": \"job\", \"id\": 01}]", "line 1");
    refuse(b"[{\"kind\": \"job\", \"id\": NaN}]", "line 1");
    refuse(b"[{\"kind\": \"j\x01ob\"}]", "line 1");
    refuse(b"[{\"kind\": \"\xff\"}]", "line 1");
    assert_eq!(total_of_jobs(&server), 0);
}

#[test]
fn ndjson_that_is_no_json_is_refused_with_the_line_from_1() {
    let server = server();
    let good = job(1, 1, "FAILED", END).to_string();
    server.ndjson(&format!("{good}\n\n{{\"kind\": \n{good}")).assert_refused(400, &["line 3"]);
    server.ndjson(&format!("{good}\n{good} {good}\n")).assert_refused(400, &["line 2"]);
    server.ndjson(&good[..good.len() - 1]).assert_refused(400, &["line 1"]);
    let body = [good.as_bytes(), b"\n\n\n{\"kind\": \"\xff\"}"].concat();
    server.send("POST", EVENTS, &[NDJSON], &body).assert_refused(400, &["line 4"]);
    assert_eq!(total_of_jobs(&server), 0);
}

#[test]
fn deep_nesting_is_refused_and_the_server_stays_up() {
    let server = server();
    let deep = "[".repeat(500_000);
    for body in [deep.clone(), format!("{{\"kind\": \"job\", \"id\": {deep}"), "{\"tasks\":".repeat(200_000)] {
        assert_eq!(server.send("POST", EVENTS, &[JSON], body.as_bytes()).status, 400);
        assert_eq!(server.ndjson(&body).status, 400);
    }
    assert_counts(&server.post(job(1, 1, "FAILED", END)), 1, 0, 0, 0);
}

#[test]
fn json_that_is_no_object_is_an_error_of_the_object_as_a_whole() {
    let server = server();
    for wrong in [json!(1), json!("job"), json!(null), json!(true), json!([]), json!([job(1, 1, "FAILED", END)])] {
        let answer = server.post([job(1, 1, "FAILED", END), wrong.clone()]);
        assert_eq!(refused(&answer), BTreeSet::from([(1, None)]), "{wrong}");
        let answer = server.ndjson(&format!("{}\n{wrong}\n", job(1, 1, "FAILED", END)));
        assert_eq!(refused(&answer), BTreeSet::from([(1, None)]), "{wrong}");
    }
    for alone in ["1", "\"job\"", "null", "true"] {
        assert_eq!(server.send("POST", EVENTS, &[JSON], alone.as_bytes()).status, 400, "{alone}");
    }
    assert_eq!(total_of_jobs(&server), 0);
}

#[test]
fn content_types_are_taken_in_any_case_and_with_parameters() {
    let server = server();
    let body = job(1, 1, "FAILED", END).to_string();
    let content_types = [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/x-ndjson",
        "APPLICATION/X-NDJSON",
        "application/x-ndjson; charset=utf-8",
    ];
    for content_type in content_types {
        let answer = server.send("POST", EVENTS, &[("Content-Type", content_type)], body.as_bytes());
        assert_eq!(answer.status, 200, "{content_type}: {}", answer.text());
    }
}

#[test]
fn another_content_type_is_refused_with_415() {
    let server = server();
    let body = job(1, 1, "FAILED", END).to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json", "*/*"] {
        let answer = server.send("POST", EVENTS, &[("Content-Type", content_type)], body.as_bytes());
        answer.assert_refused(415, &[]);
    }
    assert_eq!(total_of_jobs(&server), 0);
}

#[test]
fn another_content_encoding_is_refused_with_415() {
    let server = server();
    let body = job(1, 1, "FAILED", END).to_string();
    for encoding in ["br", "deflate", "zstd", "gzip, gzip", "gzipped"] {
        let headers = [JSON, ("Content-Encoding", encoding)];
        server.send("POST", EVENTS, &headers, body.as_bytes()).assert_refused(415, &[]);
    }
    assert_eq!(total_of_jobs(&server), 0);
}

#[test]
fn a_gzip_body_is_understood_in_every_form() {
    let server = server();
    let [one, two] = [1, 2].map(|id| job(id, 1, "FAILED", END));
    let send = |headers: &[(&str, &str)], body: &str| server.send("POST", EVENTS, headers, &gzip(body.as_bytes()));
    assert_counts(&send(&[JSON, GZIP], &one.to_string()), 1, 0, 0, 0);
    assert_counts(&send(&[JSON, GZIP], &json!([one, two]).to_string()), 1, 0, 1, 0);
    assert_counts(&send(&[NDJSON, GZIP], &to_ndjson(&[one.clone(), two])), 0, 0, 2, 0);
    assert_counts(&send(&[NDJSON, ("Content-Encoding", "GZIP")], &one.to_string()), 0, 0, 1, 0);
}

#[test]
fn a_gzip_body_of_several_members_is_one_body() {
    let server = server();
    let lines = to_ndjson(&[job(1, 1, "FAILED", END), job(2, 1, "FAILED", END)]);
    let (left, right) = lines.as_bytes().split_at(lines.len() / 3);
    let body = [gzip(left), gzip(b""), gzip(right)].concat();
    assert_counts(&server.send("POST", EVENTS, &[NDJSON, GZIP], &body), 2, 0, 0, 0);
}

#[test]
fn a_damaged_gzip_body_is_refused() {
    let server = server();
    let lines = to_ndjson(&[job(1, 1, "FAILED", END), job(2, 1, "FAILED", END)]);
    let whole = gzip(lines.as_bytes());
    let mut wrong_sum = whole.clone();
    let sum = whole.len() - 8;
    wrong_sum[sum] ^= 1;
    let damaged = [
        whole[..whole.len() - 1].to_vec(),
        whole[..whole.len() - 8].to_vec(),
        whole[..whole.len() / 2].to_vec(),
        whole[..5].to_vec(),
        Vec::new(),
        [&whole[..], b"rubbish"].concat(),
        [&whole[..], &whole[..12]].concat(),
        wrong_sum,
        lines.into_bytes(),
    ];
    for body in damaged {
        server.send("POST", EVENTS, &[NDJSON, GZIP], &body).assert_refused(400, &[]);
    }
    assert_eq!(total_of_jobs(&server), 0);
}

#[test]
fn a_body_of_exactly_the_configured_size_is_taken_and_one_byte_more_is_413() {
    let server = server_with(TestServer::start_with(|config| config.server.max_body_bytes = 1000));
    let body = format!("{:<1000}", job(1, 1, "FAILED", END).to_string());
    let larger = format!("{body} ");
    assert_counts(&server.send("POST", EVENTS, &[JSON], body.as_bytes()), 1, 0, 0, 0);
    assert_counts(&server.send("POST", EVENTS, &[JSON, GZIP], &gzip(body.as_bytes())), 0, 0, 1, 0);
    server.send("POST", EVENTS, &[JSON], larger.as_bytes()).assert_refused(413, &[]);
    server.send("POST", EVENTS, &[JSON, GZIP], &gzip(larger.as_bytes())).assert_refused(413, &[]);
}

#[test]
fn a_body_that_unpacks_to_more_than_the_limit_is_413_and_nothing_is_stored() {
    let server = server_with(TestServer::start_with(|config| config.server.max_body_bytes = 100_000));
    let bomb = [to_ndjson(&[job(1, 1, "FAILED", END)]).into_bytes(), vec![b'\n'; 10_000_000]].concat();
    let packed = gzip(&bomb);
    assert!(packed.len() < 100_000);
    server.send("POST", EVENTS, &[NDJSON, GZIP], &packed).assert_refused(413, &[]);
    let in_members = gzip(&vec![b'\n'; 60_000]).repeat(2);
    server.send("POST", EVENTS, &[NDJSON, GZIP], &in_members).assert_refused(413, &[]);
    assert_eq!(total_of_jobs(&server), 0);
}

#[test]
fn a_client_that_sends_far_more_than_the_limit_still_reads_the_413() {
    let server = TestServer::start_with(|config| config.server.max_body_bytes = 1000);
    let mut random = fastrand::Rng::with_seed(413);
    let incompressible: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(4_000_000).collect();
    server.send("POST", EVENTS, &[JSON], &incompressible).assert_refused(413, &[]);
    server.send("POST", EVENTS, &[NDJSON, GZIP], &gzip(&incompressible)).assert_refused(413, &[]);
}

#[test]
fn a_body_that_is_announced_larger_than_the_limit_is_413_without_waiting_for_it() {
    let server = TestServer::start_with(|config| config.server.max_body_bytes = 1000);
    let head =
        b"POST /v6/events/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1001\r\n\r\n";
    assert!(server.raw(head).starts_with("HTTP/1.1 413 "));
}

#[test]
fn a_chunked_body_is_taken_up_to_the_limit_and_then_413() {
    let server = server_with(TestServer::start_with(|config| config.server.max_body_bytes = 1000));
    let chunked = |chunks: &[&str]| {
        let head = format!(
            "POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        );
        let chunks = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()));
        server.raw(head + &chunks.collect::<String>() + "0\r\n\r\n")
    };
    let body = job(1, 1, "FAILED", END).to_string();
    let (left, right) = body.split_at(20);
    let answer = chunked(&[left, right]);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    let spaces = " ".repeat(400);
    let answer = chunked(&["[", &spaces, &spaces, &spaces, "]"]);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn a_body_that_does_not_arrive_in_time_is_408_and_nothing_is_stored() {
    let server = server_with(TestServer::start_with(|config| config.server.body_timeout_s = 1));
    let body = to_ndjson(&[job(1, 1, "FAILED", END)]);
    let answer = server.raw(format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len() + 1
    ));
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("{\"detail\":"), "{answer}");
    assert_eq!(total_of_jobs(&server), 0);
}

// Fields

#[test]
fn every_field_of_every_kind_is_taken() {
    let server = TestServer::start();
    assert_counts(&server.post(full_objects()), 6, 0, 0, 0);
    assert_eq!(choices(&server, "job-types"), json!([without(full_objects()[0].clone(), "kind")]));
    assert_eq!(choices(&server, "ingests"), json!([without(full_objects()[1].clone(), "kind")]));
    assert_eq!(choices(&server, "errors"), json!([without(full_objects()[2].clone(), "kind")]));
}

#[test]
fn text_comes_back_as_it_was_posted() {
    let server = TestServer::start();
    for text in [" two  spaces ", "Grüße, 世界 🛰", "\"quotes\" and \\", "line\nbreak\ttab\u{1}", "null", "<b>&amp;</b>"]
    {
        server.accept(&[with(strike(1, text), json!({ "description": text }))]);
        assert_eq!(
            choices(&server, "ingests")[0],
            json!({ "id": 1, "name": text, "title": text, "description": text })
        );
    }
}

#[test]
fn the_required_fields_are_enough_and_the_others_take_their_defaults() {
    let server = TestServer::start();
    assert_counts(&server.post(least_objects()), 6, 0, 0, 0);
    assert_eq!(
        choices(&server, "job-types"),
        json!([{
            "id": 1, "name": "scale-clock", "version": "1.0", "title": "scale-clock", "description": null,
            "category": null, "author_name": null, "author_url": null, "is_system": false, "is_long_running": false,
            "is_active": true, "is_operational": true, "is_paused": false, "icon_code": null,
        }])
    );
    assert_eq!(
        choices(&server, "ingests"),
        json!([{ "id": 1, "name": "north", "title": "north", "description": null }])
    );
    assert_eq!(choices(&server, "errors"), json!([]), "not built in unless it says so");
    server.accept(&[with(least_objects()[2].clone(), json!({ "is_builtin": true }))]);
    assert_eq!(
        choices(&server, "errors"),
        json!([{
            "id": 1, "name": "no-disk", "title": "no-disk", "description": null, "job_type_name": null,
            "category": "SYSTEM", "is_builtin": true, "should_be_retried": false,
        }])
    );
}

#[test]
fn a_missing_or_null_required_field_is_an_error_of_that_field() {
    let server = server();
    for object in full_objects().into_iter().chain(least_objects()) {
        let kind = object["kind"].as_str().unwrap();
        for field in required(kind) {
            assert_refused_for(&server, &without(object.clone(), field), field);
            assert_refused_for(&server, &with(object.clone(), json!({ *field: null })), field);
        }
        assert_refused_for(&server, &without(object.clone(), "kind"), "kind");
        assert_refused_for(&server, &with(object.clone(), json!({ "kind": null })), "kind");
    }
    let tasks = json!([{ "started": END, "ended": END }]);
    assert_refused_for(&server, &with(full_objects()[4].clone(), json!({ "tasks": tasks })), "tasks");
}

#[test]
fn an_end_is_required_in_a_final_status_only() {
    let server = server();
    let kinds: [(Value, &str, &[&str], &[&str]); 3] = [
        (
            job(1, 1, "", END),
            "ended",
            &["COMPLETED", "FAILED", "CANCELED"],
            &["PENDING", "BLOCKED", "QUEUED", "RUNNING"],
        ),
        (
            with(job(1, 1, "", END), json!({ "kind": "job_execution" })),
            "ended",
            &["COMPLETED", "FAILED", "CANCELED"],
            &["QUEUED", "RUNNING"],
        ),
        (
            ingest(1, 1, "", END),
            "ingest_ended",
            &["DEFERRED", "INGESTED", "ERRORED", "DUPLICATE"],
            &["TRANSFERRING", "TRANSFERRED", "QUEUED", "INGESTING"],
        ),
    ];
    for (object, end, finals, others) in kinds {
        for status in finals {
            let object = with(object.clone(), json!({ "status": status }));
            assert_refused_for(&server, &without(object.clone(), end), end);
            server.accept(&[object]);
        }
        for status in others {
            let object = with(object.clone(), json!({ "status": status }));
            server.accept(&[without(object.clone(), end)]);
            server.accept(&[object]);
        }
    }
}

#[test]
fn a_status_category_or_task_type_that_is_not_listed_is_an_error() {
    let server = server();
    for status in ["", "completed", "DONE", "PENDING ", "TRANSFERRING"] {
        assert_refused_for(&server, &job(1, 1, status, END), "status");
    }
    for status in ["PENDING", "BLOCKED", "INGESTED"] {
        let execution = execution(1, 1, END, END, END);
        assert_refused_for(&server, &with(execution, json!({ "status": status })), "status");
    }
    for status in ["COMPLETED", "RUNNING", "ingested"] {
        assert_refused_for(&server, &ingest(1, 1, status, END), "status");
    }
    for category in ["", "system", "NETWORK"] {
        assert_refused_for(&server, &error(1, "error", category), "category");
    }
    for category in ["SYSTEM", "DATA", "ALGORITHM"] {
        server.accept(&[error(1, "error", category)]);
    }
    for task_type in ["", "job", "MAIN", "setup"] {
        let tasks = json!({ "tasks": [{ "type": "pre" }, { "type": task_type }] });
        assert_refused_for(&server, &with(execution(1, 1, END, END, END), tasks), "tasks");
    }
    for kind in ["", "Job", "job-type", "jobs", "metrics"] {
        assert_refused_for(&server, &with(job(1, 1, "FAILED", END), json!({ "kind": kind })), "kind");
    }
}

#[test]
fn a_wrong_json_type_is_an_error_of_that_field() {
    let server = server();
    let samples =
        [json!(true), json!(1), json!(1.5), json!("1"), json!([]), json!(["x"]), json!({}), json!({ "id": 1 })];
    for object in full_objects() {
        for field in fields(&object) {
            for wrong in &samples {
                let fits = match &object[&field] {
                    Value::Bool(_) => wrong.is_boolean(),
                    Value::Number(_) => wrong.is_u64(),
                    Value::String(_) => wrong.is_string(),
                    Value::Array(_) => *wrong == json!([]),
                    Value::Null | Value::Object(_) => unreachable!("no field is one"),
                };
                if !fits {
                    assert_refused_for(&server, &with(object.clone(), json!({ field.clone(): wrong })), &field);
                }
            }
        }
        for wrong in samples.iter().filter(|wrong| !wrong.is_string()) {
            assert_refused_for(&server, &with(object.clone(), json!({ "kind": wrong })), "kind");
        }
    }
}

#[test]
fn a_problem_inside_a_task_is_an_error_of_tasks() {
    let server = server();
    let wrong = [
        json!(1),
        json!(null),
        json!([]),
        json!({}),
        json!({ "type": 1 }),
        json!({ "type": null, "started": END }),
        json!({ "type": "main", "started": 1 }),
        json!({ "type": "main", "started": "noon" }),
        json!({ "type": "main", "ended": "1969-12-31T23:59:59Z" }),
        json!({ "type": "main", "queued": END }),
    ];
    for task in wrong {
        let tasks = json!({ "tasks": [{ "type": "pre", "started": END, "ended": END }, task] });
        assert_refused_for(&server, &with(execution(1, 1, END, END, END), tasks), "tasks");
    }
}

#[test]
fn the_times_of_a_task_are_optional() {
    let server = server();
    let tasks = json!({ "tasks": [
        { "type": "pull" },
        { "type": "pre", "started": END },
        { "type": "main", "ended": END },
        { "type": "post", "started": null, "ended": null },
    ] });
    server.accept(&[with(execution(1, 1, END, END, END), tasks)]);
}

#[test]
fn an_unknown_field_is_an_error_even_if_another_kind_has_it() {
    let server = server();
    let objects = full_objects();
    let all: BTreeSet<String> =
        objects.iter().flat_map(fields).chain(["colour", "Id", ""].map(str::to_owned)).collect();
    for object in &objects {
        let own = fields(object);
        for field in all.iter().filter(|field| !own.contains(field)) {
            let value = objects.iter().find_map(|object| object.get(field)).cloned().unwrap_or(json!("blue"));
            assert_refused_for(&server, &with(object.clone(), json!({ field: value })), field);
        }
    }
}

#[test]
fn a_field_given_twice_is_an_error() {
    let server = server();
    for object in full_objects() {
        for field in fields(&object).into_iter().chain(["kind".to_owned()]) {
            let body = object.to_string();
            let twice = format!("{}, \"{field}\": {}}}", &body[..body.len() - 1], object[&field]);
            let answer = server.send("POST", EVENTS, &[JSON], twice.as_bytes());
            assert!(refused(&answer).iter().all(|(index, _)| *index == 0), "{twice}");
        }
    }
    let body = r#"{"kind": "job_execution", "id": 1, "job_type": 1, "status": "QUEUED",
        "tasks": [{"type": "pre", "type": "pre"}]}"#;
    let answer = server.send("POST", EVENTS, &[JSON], body.as_bytes());
    assert!(refused(&answer).contains(&(0, Some("tasks".to_owned()))));
}

#[test]
fn a_field_given_twice_is_an_error_even_if_one_is_null() {
    let server = server();
    for twice in ["\"error\": null, \"error\": 1", "\"error\": 1, \"error\": null", "\"error\": null, \"error\": null"]
    {
        let body = format!("{{\"kind\": \"job\", \"id\": 1, \"job_type\": 1, \"status\": \"QUEUED\", {twice}}}");
        refused(&server.send("POST", EVENTS, &[JSON], body.as_bytes()));
    }
}

#[test]
fn the_order_of_the_fields_does_not_matter() {
    let server = server();
    let body = r#"{"ended": "2015-01-01T12:00:00Z", "status": "FAILED", "job_type": 1, "id": 1, "kind": "job"}"#;
    assert_counts(&server.send("POST", EVENTS, &[JSON], body.as_bytes()), 1, 0, 0, 0);
    assert_counts(&server.post(job(1, 1, "FAILED", END)), 0, 0, 1, 0);
}

#[test]
fn json_escapes_mean_what_they_stand_for() {
    let server = server();
    let plain = with(execution(1, 1, END, END, END), json!({ "tasks": [{ "type": "main", "ended": END }] }));
    assert_counts(&server.post(&plain), 1, 0, 0, 0);
    let escaped: String = plain.to_string().chars().map(escape).collect();
    assert_counts(&server.send("POST", EVENTS, &[JSON], escaped.as_bytes()), 0, 0, 1, 0);
    assert_counts(&server.ndjson(&escaped), 0, 0, 1, 0);

    let twice = r#"{"kind": "strike", "id": 3, "name": "a", "n\u0061me": "a"}"#;
    refused(&server.send("POST", EVENTS, &[JSON], twice.as_bytes()));
}

/// Letters, which here stand in strings only, as `\u` and four digits.
fn escape(letter: char) -> String {
    if letter.is_alphabetic() { format!("\\u{:04x}", u32::from(letter)) } else { letter.to_string() }
}

#[test]
fn null_is_the_same_as_absent() {
    let server = server();
    for object in least_objects() {
        server.accept(std::slice::from_ref(&object));
        let kind = object["kind"].as_str().unwrap();
        let full = full_objects().into_iter().find(|full| full["kind"] == kind).unwrap();
        for field in fields(&full).iter().filter(|field| !required(kind).contains(&field.as_str())) {
            assert_counts(&server.post(with(object.clone(), json!({ field: null }))), 0, 0, 1, 0);
        }
    }
}

#[test]
fn a_null_under_a_name_that_the_kind_does_not_have_is_absent_too() {
    let server = server();
    for name in ["nonsense", "ingest_started", "type", "title"] {
        server.accept(&[with(job(1, 1, "FAILED", END), json!({ name: null }))]);
    }
    let task = json!({ "type": "pre", "name": null, "nonsense": null });
    server.accept(&[with(execution(1, 1, END, END, END), json!({ "tasks": [task] }))]);
}

#[test]
fn ids_are_integers_from_1_to_2_to_the_53_less_1() {
    let server = server();
    server.accept(&[
        job_type(LARGEST_ID, "last"),
        strike(LARGEST_ID, "last"),
        builtin_error(LARGEST_ID, "last", "DATA"),
    ]);
    for id in [1, LARGEST_ID] {
        server.accept(&[
            with(job(id, id, "FAILED", END), json!({ "error": id })),
            with(execution(id, id, END, END, END), json!({ "error": id })),
            ingest(id, id, "INGESTED", END),
        ]);
    }
    assert_eq!(choices(&server, "errors")[2]["id"], LARGEST_ID);

    let wrong = ["0", "-1", "9007199254740992", "18446744073709551616", "1.0", "1.5", "1e0", "\"1\"", "true", "[1]"];
    let ids: [(Value, &[&str]); 6] = [
        (job_type(1, "first"), &["id"]),
        (strike(1, "first"), &["id"]),
        (error(1, "first", "DATA"), &["id"]),
        (with(job(1, 1, "FAILED", END), json!({ "error": 1 })), &["id", "job_type", "error"]),
        (with(execution(1, 1, END, END, END), json!({ "error": 1 })), &["id", "job_type", "error"]),
        (ingest(1, 1, "INGESTED", END), &["id", "strike"]),
    ];
    for (object, fields) in ids {
        for field in fields {
            for wrong in wrong {
                let body = object.to_string().replace(&format!("\"{field}\":1"), &format!("\"{field}\":{wrong}"));
                let answer = server.send("POST", EVENTS, &[JSON], body.as_bytes());
                assert_eq!(answer.status, 400, "{body}");
                assert!(refused(&answer).contains(&(0, Some((*field).to_owned()))), "{body}: {}", answer.text());
            }
        }
    }
}

#[test]
fn a_file_size_is_a_whole_number_of_at_least_0() {
    let server = server();
    for size in [0, 1, LARGEST_ID] {
        server.accept(&[with(ingest(1, 1, "INGESTED", END), json!({ "file_size": size }))]);
    }
    for size in [json!(-1), json!(0.5), json!("1")] {
        assert_refused_for(&server, &with(ingest(1, 1, "INGESTED", END), json!({ "file_size": size })), "file_size");
    }
}

// Times

#[test]
fn times_are_iso_8601_with_an_offset_or_z_and_utc_without_one() {
    let same = [
        "2015-01-01T23:30:00Z",
        "2015-01-01T23:30:00",
        "2015-01-01T23:30:00.0",
        "2015-01-01T23:30:00.000000Z",
        "2015-01-01T23:30:00+00:00",
        "2015-01-02T00:30:00+01:00",
        "2015-01-02T05:00:00+05:30",
        "2015-01-02T05:00:00.000+0530",
        "2015-01-01T15:30:00-08:00",
        "2015-01-01T15:30:00-0800",
    ];
    let server = server();
    assert_counts(&server.post(job(1, 1, "FAILED", same[0])), 1, 0, 0, 0);
    for time in same {
        assert_counts(&server.post(job(1, 1, "FAILED", time)), 0, 0, 1, 0);
    }
    assert_eq!(
        server.values("job-types", "total_count", "resolution=hour"),
        json!([{ "datetime": "2015-01-01T23:00:00", "value": 1 }])
    );
}

#[test]
fn times_are_kept_to_the_microsecond_and_what_is_finer_is_cut_off() {
    let server = server();
    assert_counts(&server.post(job(1, 1, "FAILED", "2015-01-01T00:00:00.123456Z")), 1, 0, 0, 0);
    for time in ["2015-01-01T00:00:00.1234569Z", "2015-01-01T00:00:00.123456999Z"] {
        assert_counts(&server.post(job(1, 1, "FAILED", time)), 0, 0, 1, 0);
    }
    assert_counts(&server.post(job(1, 1, "FAILED", "2015-01-01T00:00:00.123457Z")), 0, 1, 0, 0);

    server.accept(&[job(1, 1, "FAILED", "2015-01-01T00:59:59.9999999Z")]);
    assert_eq!(
        server.values("job-types", "total_count", "resolution=hour"),
        json!([{ "datetime": "2015-01-01T00:00:00", "value": 1 }])
    );
}

#[test]
fn times_lie_between_1970_and_9999() {
    let server = server();
    let accepted = [
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00"),
        ("1969-12-31T19:00:00-05:00", "1970-01-01T00:00:00"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:00:00"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:00:00"),
    ];
    for (time, bucket) in accepted {
        server.accept(&[job(1, 1, "FAILED", time)]);
        let values = server.values("job-types", "total_count", "resolution=hour&ended=9999-12-31T23:59:59Z");
        assert_eq!(values, json!([{ "datetime": bucket, "value": 1 }]));
    }
    let refused = [
        "1969-12-31T23:59:59Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:59:59+01:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-00:01",
        "10000-01-01T00:00:00Z",
        "+10000-01-01T00:00:00Z",
        "-2015-01-01T00:00:00Z",
    ];
    for time in refused {
        assert_refused_for(&server, &job(1, 1, "FAILED", time), "ended");
    }
}

#[test]
fn a_time_that_is_no_iso_8601_date_time_is_an_error_of_every_field_that_holds_one() {
    let server = server();
    let wrong = [
        "",
        "now",
        "2015-01-01",
        "2015-01-01T",
        "T12:00:00Z",
        "12:00:00",
        "PT3H",
        "1420070400",
        "2015-02-29T00:00:00Z",
        "2015-04-31T00:00:00Z",
        "2015-13-01T00:00:00Z",
        "2015-00-10T00:00:00Z",
        "2015-01-00T00:00:00Z",
        "2015-01-32T00:00:00Z",
        "2015-01-01T25:00:00Z",
        "2015-01-01T00:60:00Z",
        "2015-01-01T00:00:61Z",
        "2015-01-01T00:00:00.Z",
        "2015-01-01T00:00:00+25:00",
        "2015-01-01T00:00:00+01:60",
        "2015-01-01T00:00:00+1",
        "2015-01-01T00:00:00Zx",
        " 2015-01-01T00:00:00Z",
        "2015-01-01T00:00:00Z ",
        "2015-01-01T00:00:00ZZ",
        "2015-1-1T00:00:00Z",
        "15-01-01T00:00:00Z",
        "2015-01-01T-1:00:00Z",
        "２０15-01-01T00:00:00Z",
    ];
    for time in wrong {
        assert_refused_for(&server, &job(1, 1, "FAILED", time), "ended");
    }
    for object in full_objects() {
        let times = fields(&object)
            .into_iter()
            .filter(|field| object[field].as_str().is_some_and(|text| text.starts_with("2015-")));
        for field in times {
            assert_refused_for(&server, &with(object.clone(), json!({ field.clone(): "2015-01-01" })), &field);
            assert_refused_for(
                &server,
                &with(object.clone(), json!({ field.clone(): "1969-12-31T23:59:59Z" })),
                &field,
            );
        }
    }
}

// Choices

#[test]
fn an_unknown_choice_is_an_error_of_the_field_that_names_it() {
    let server = server();
    for object in [job(1, 1, "FAILED", END), execution(1, 1, END, END, END)] {
        assert_refused_for(&server, &with(object.clone(), json!({ "job_type": 3 })), "job_type");
        assert_refused_for(&server, &with(object, json!({ "error": 3 })), "error");
    }
    assert_refused_for(&server, &ingest(1, 3, "INGESTED", END), "strike");
    assert_refused_for(&server, &json!({ "kind": "job", "id": 1, "job_type": 3, "status": "PENDING" }), "job_type");
}

#[test]
fn a_choice_is_known_to_its_own_kind_only() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "one"), strike(2, "two"), error(3, "three", "DATA")]);
    assert_refused_for(&server, &job(1, 2, "FAILED", END), "job_type");
    assert_refused_for(&server, &with(job(1, 1, "FAILED", END), json!({ "error": 1 })), "error");
    assert_refused_for(&server, &ingest(1, 1, "INGESTED", END), "strike");
}

#[test]
fn a_choice_may_be_defined_earlier_in_the_same_request_but_not_later() {
    let server = TestServer::start();
    let event = job(1, 1, "FAILED", END);
    let late = server.post([event.clone(), job_type(1, "late")]);
    assert_eq!(refused(&late), BTreeSet::from([(0, Some("job_type".to_owned()))]));
    assert_refused_for(&server, &event, "job_type");
    assert_counts(&server.post([job_type(1, "early"), event]), 2, 0, 0, 0);
}

#[test]
fn an_invalid_definition_makes_no_choice_known() {
    let server = server();
    let answer = server.post([without(job_type(3, "third"), "version"), job(1, 3, "FAILED", END)]);
    let expected = [(0, Some("version".to_owned())), (1, Some("job_type".to_owned()))];
    assert_eq!(refused(&answer), BTreeSet::from(expected));
}

#[test]
fn a_choice_stays_known_after_a_restart() {
    let mut server = server();
    server.restart();
    server.accept(&[with(job(1, 2, "FAILED", END), json!({ "error": 2 })), ingest(1, 2, "INGESTED", END)]);
}

#[test]
fn a_later_definition_replaces_the_earlier_one_as_a_whole() {
    let server = TestServer::start();
    server.accept(&full_objects()[..3]);
    assert_counts(&server.post(&least_objects()[..3]), 0, 3, 0, 0);
    assert_eq!(choices(&server, "job-types")[0]["title"], "scale-clock");
    assert_eq!(choices(&server, "job-types")[0]["is_paused"], false);
    assert_eq!(choices(&server, "ingests")[0]["description"], Value::Null);
    assert_eq!(choices(&server, "errors"), json!([]));
    assert_counts(&server.post(&least_objects()[..3]), 0, 0, 3, 0);
}

// Posting again

#[test]
fn the_same_content_again_is_unchanged() {
    let mut server = server();
    server.accept(&full_objects());
    let before = shown(&server);
    assert_counts(&server.post(full_objects()), 0, 0, 6, 0);
    assert_counts(&server.ndjson(&to_ndjson(&full_objects())), 0, 0, 6, 0);
    server.restart();
    assert_counts(&server.post(full_objects()), 0, 0, 6, 0);
    assert_eq!(shown(&server), before);
}

#[test]
fn content_is_compared_with_its_defaults_filled_in() {
    let server = TestServer::start();
    server.accept(&least_objects());
    let job_type = json!({
        "title": "scale-clock", "is_system": false, "is_long_running": false, "is_active": true, "is_operational": true,
        "is_paused": false,
    });
    let error = json!({ "title": "no-disk", "is_builtin": false, "should_be_retried": false });
    let [first, second, third, ..] = least_objects();
    let filled = [with(first, job_type), with(second, json!({ "title": "north" })), with(third, error)];
    assert_counts(&server.post(filled), 0, 0, 3, 0);
}

#[test]
fn a_difference_in_any_field_is_other_content() {
    let server = server();
    let mut ids = 100..;
    for object in full_objects() {
        for field in fields(&object).iter().filter(|field| *field != "id") {
            let other = match (field.as_str(), &object[field]) {
                ("status", _) if object["kind"] == "ingest" => json!("ERRORED"),
                ("status", _) => json!("CANCELED"),
                ("category", Value::String(text)) if text == "SYSTEM" => json!("DATA"),
                ("tasks", Value::Array(tasks)) => tasks.iter().rev().cloned().collect(),
                (_, Value::Bool(value)) => json!(!value),
                (_, Value::Number(_)) => json!(2),
                (_, Value::String(text)) if text.starts_with("2015-") => json!(text.replace(":0", ":3")),
                (_, value) => json!(format!("{value}!")),
            };
            let mut others = vec![with(object.clone(), json!({ field: other }))];
            if !required(object["kind"].as_str().unwrap()).contains(&field.as_str()) {
                others.push(without(object.clone(), field));
            }
            for other in others {
                let id = json!({ "id": ids.next() });
                server.accept(&[with(object.clone(), id.clone())]);
                assert_eq!(server.post(with(other.clone(), id)).json(), counts(0, 1, 0, 0), "{field}: {other}");
            }
        }
    }
}

#[test]
fn a_difference_inside_a_task_is_other_content() {
    let server = server();
    let with_task = |task: Value| with(execution(1, 1, END, END, END), json!({ "tasks": [{ "type": "pre" }, task] }));
    server.accept(&[with_task(json!({ "type": "main", "started": END }))]);
    let others = [
        json!({ "type": "post", "started": END }),
        json!({ "type": "post", "ended": END }),
        json!({ "type": "post" }),
        json!({ "type": "post", "started": "2015-01-01T12:00:00.000001Z" }),
    ];
    for other in others {
        assert_counts(&server.post(with_task(other)), 0, 1, 0, 0);
    }
}

#[test]
fn kinds_have_ids_of_their_own() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "one"), strike(1, "one"), error(1, "one", "DATA")]);
    let answer = server.post([job(1, 1, "FAILED", END), execution(1, 1, END, END, END), ingest(1, 1, "ERRORED", END)]);
    assert_counts(&answer, 3, 0, 0, 0);
}

#[test]
fn an_older_event_with_other_content_is_stale_and_ignored() {
    let server = server();
    let modified = |object: Value, time: &str| with(object, json!({ "last_modified": time }));
    let (older, newer) = ("2015-01-01T12:00:00.000001Z", "2015-01-01T12:00:00.000002Z");
    for (new, old) in [
        (job(1, 1, "COMPLETED", END), job(1, 2, "FAILED", END)),
        (execution(1, 1, END, END, END), execution(1, 2, END, END, END)),
        (ingest(1, 1, "INGESTED", END), ingest(1, 2, "ERRORED", END)),
    ] {
        server.accept(&[modified(new.clone(), newer)]);
        let before = shown(&server);
        assert_counts(&server.post(modified(old.clone(), older)), 0, 0, 0, 1);
        assert_counts(&server.post(modified(new.clone(), older)), 0, 0, 0, 1);
        assert_eq!(shown(&server), before);
        assert_counts(&server.post(modified(new, newer)), 0, 0, 1, 0);
    }
}

#[test]
fn an_event_is_stale_only_if_both_carry_last_modified_and_the_new_one_is_older() {
    let server = server();
    let at = |status: &str, time: Option<&str>| with(job(1, 1, status, END), json!({ "last_modified": time }));
    let (first, second) = (Some("2015-01-01T12:00:00Z"), Some("2015-01-01T12:00:01Z"));
    assert_counts(&server.post(at("FAILED", second)), 1, 0, 0, 0);
    assert_counts(&server.post(at("COMPLETED", second)), 0, 1, 0, 0);
    assert_counts(&server.post(at("FAILED", first)), 0, 0, 0, 1);
    assert_counts(&server.post(at("FAILED", None)), 0, 1, 0, 0);
    assert_counts(&server.post(at("COMPLETED", first)), 0, 1, 0, 0);
    assert_counts(&server.post(at("FAILED", second)), 0, 1, 0, 0);
    assert_eq!(server.values("job-types", "failed_count", "")[0]["value"], 1);
}

#[test]
fn within_a_request_objects_apply_in_order() {
    let server = server();
    let at = |status: &str, time: &str| with(job(1, 1, status, END), json!({ "last_modified": time }));
    let (first, second) = ("2015-01-01T12:00:00Z", "2015-01-01T12:00:01Z");
    let request = [
        at("FAILED", first),
        at("COMPLETED", second),
        at("COMPLETED", second),
        at("FAILED", first),
        job(2, 1, "CANCELED", END),
    ];
    let answer = server.post(&request);
    assert_eq!(answer.json(), json!({ "accepted": 5, "created": 2, "updated": 1, "unchanged": 1, "stale": 1 }));
    assert_eq!(server.values("job-types", "completed_count", "")[0]["value"], 1);
    assert_eq!(total_of_jobs(&server), 2);

    assert_counts(&server.post(&request), 0, 0, 3, 2);
}

#[test]
fn the_last_of_several_definitions_in_a_request_holds() {
    let server = TestServer::start();
    let answer = server.post([job_type(1, "a"), job(1, 1, "FAILED", END), job_type(1, "b"), job_type(1, "b")]);
    assert_counts(&answer, 2, 1, 1, 0);
    assert_eq!(choices(&server, "job-types")[0]["name"], "b");
}

#[test]
fn requests_at_the_same_time_count_each_event_once() {
    let server = server();
    let ids = 1..=40;
    let requests: Vec<Vec<Value>> =
        ids.clone().map(|id| vec![job(id, 1, "FAILED", END), job(id + 1, 1, "FAILED", END)]).collect();
    let client: &Client = &server;
    let created = |request| client.post(request).json()["created"].as_u64().unwrap();
    let created: u64 = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| requests.iter().map(created).sum::<u64>())).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(created, 41);
    assert_eq!(total_of_jobs(&server), 41);
}

#[test]
fn a_full_write_queue_answers_503_with_retry_after_and_posting_again_settles_it() {
    let server = server_with(TestServer::start_with(|config| config.server.queue_bytes = 1));
    let client: &Client = &server;
    let refusals_until_taken = |id: u64| {
        let mut refusals = 0;
        loop {
            let answer = client.post(job(id, 1, "FAILED", END));
            if answer.status == 200 {
                return refusals;
            }
            answer.assert_refused(503, &[]);
            answer.header("Retry-After").unwrap().parse::<u64>().unwrap();
            refusals += 1;
        }
    };
    let refusals: u64 = std::thread::scope(|scope| {
        let post = |ids: RangeInclusive<u64>| ids.map(refusals_until_taken).sum::<u64>();
        let clients: Vec<_> = (0..8).map(|n| scope.spawn(move || post(50 * n + 1..=50 * n + 50))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert!(refusals > 0, "a queue of one byte never filled up");
    assert_eq!(total_of_jobs(&server), 400);
}

// Refusals

#[test]
fn a_refused_request_stores_nothing_of_what_was_valid_in_it() {
    let mut server = server();
    server.accept(&[job(1, 1, "FAILED", END)]);
    let before = shown(&server);
    let valid = [
        job_type(9, "ninth"),
        with(job_type(1, "renamed"), json!({ "is_paused": true })),
        error(1, "error", "SYSTEM"),
        job(1, 2, "COMPLETED", "2015-01-03T00:00:00Z"),
        job(2, 9, "COMPLETED", END),
        execution(2, 1, END, END, END),
        ingest(2, 1, "INGESTED", END),
    ];
    let invalid = job(3, 1, "COMPLETED", "yesterday");
    for place in 0..=valid.len() {
        let mut request = valid.to_vec();
        request.insert(place, invalid.clone());
        let at = u64::try_from(place).unwrap();
        assert_eq!(refused(&server.post(&request)), BTreeSet::from([(at, Some("ended".to_owned()))]));
        assert_eq!(refused(&server.ndjson(&to_ndjson(&request))), BTreeSet::from([(at, Some("ended".to_owned()))]));
    }
    let lines = to_ndjson(&valid);
    assert_eq!(server.ndjson(&format!("{lines}{{")).status, 400);
    assert_eq!(server.send("POST", EVENTS, &[NDJSON, GZIP], &gzip(lines.as_bytes())[..100]).status, 400);
    assert_eq!(shown(&server), before);
    server.restart();
    assert_eq!(shown(&server), before);
    assert_counts(&server.post(valid), 4, 3, 0, 0);
}

#[test]
fn the_detail_says_how_many_events_of_all_are_invalid() {
    let server = server();
    let wrong = |id: u64| without(without(job(id, 1, "FAILED", END), "ended"), "job_type");
    let request = [job(1, 1, "FAILED", END), wrong(2), job(3, 1, "FAILED", END), wrong(4), job(5, 1, "FAILED", END)];
    let answer = server.post(request);
    let places: BTreeSet<u64> = refused(&answer).into_iter().map(|(index, _)| index).collect();
    assert_eq!(places, BTreeSet::from([1, 3]));
    assert_eq!(answer.json()["detail"], "2 of 5 events are invalid; nothing was stored.");
}

#[test]
fn at_most_100_errors_are_listed_but_all_are_counted() {
    let server = server();
    let wrong = |count: u64| (1..=count).map(|id| job(id, 1, "FAILED", "late")).collect::<Vec<_>>();
    for (posted, listed) in [(99, 99), (100, 100), (101, 100), (2500, 100)] {
        let answer = server.post(wrong(posted));
        let expected = (0..listed).map(|index| (index, Some("ended".to_owned()))).collect();
        assert_eq!(refused(&answer), expected);
        let detail = format!("{posted} of {posted} events are invalid; nothing was stored.");
        assert_eq!(answer.json()["detail"], detail);
    }
}

#[test]
fn the_index_counts_objects_not_lines() {
    let server = server();
    let lines = format!("\n{}\n\n\n{}\n", job(1, 1, "FAILED", END), job(2, 1, "FAILED", "late"));
    assert_eq!(refused(&server.ndjson(&lines)), BTreeSet::from([(1, Some("ended".to_owned()))]));
}

#[test]
fn an_object_with_several_problems_is_one_invalid_event_and_no_other_field_is_blamed() {
    let server = server();
    let object = json!({ "kind": "job", "id": 0, "job_type": 7, "status": "DONE", "ended": "late", "colour": 1 });
    let answer = server.post([job(1, 1, "FAILED", END), object, job(2, 1, "FAILED", "late")]);
    let problems = refused(&answer);
    assert!(problems.contains(&(2, Some("ended".to_owned()))), "{problems:?}");
    let wrong = ["id", "job_type", "status", "ended", "colour"];
    let fields: Vec<&str> =
        problems.iter().filter(|(index, _)| *index == 1).map(|(_, field)| field.as_deref().unwrap()).collect();
    assert!(!fields.is_empty() && fields.iter().all(|field| wrong.contains(field)), "{problems:?}");
    assert_eq!(answer.json()["detail"], "2 of 3 events are invalid; nothing was stored.");
}

// Acknowledged

#[test]
fn what_is_acknowledged_shows_at_once_and_after_a_restart() {
    let mut server = server();
    for id in 1..=20 {
        server.accept(&[job(id, 1, "FAILED", END)]);
        assert_eq!(total_of_jobs(&server), id);
    }
    server.restart();
    assert_eq!(total_of_jobs(&server), 20);
}

#[test]
fn a_server_that_stopped_leaves_its_database_to_the_next_one() {
    let mut server = server();
    for id in 1..=20 {
        server.accept(&[job(id, 1, "FAILED", END)]);
        server.restart();
        assert_eq!(total_of_jobs(&server), id);
    }
}

#[test]
fn wait_answers_when_it_shows() {
    let server = server();
    for (id, path) in (1..).zip(["/v6/events/?wait=true", "/v6/events/?wait=false", "/v6/events/?colour=1"]) {
        let body = job(id, 1, "FAILED", END).to_string();
        assert_counts(&server.send("POST", path, &[JSON], body.as_bytes()), 1, 0, 0, 0);
        assert_eq!(total_of_jobs(&server), id);
    }
}
