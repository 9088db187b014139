//! What the server tells of itself: its figures and its log. docs/reference.md has the rules.

#![expect(clippy::float_cmp, reason = "what is counted is whole")]

use std::collections::BTreeMap;
use std::io::Write as _;

use scale_metrics::access::{Scope, Token};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::support::process::{FREE_PORT, program};
use crate::support::{Client, Serving, TestServer, error, job, job_type, wait_until, with, worked_example};

/// The figures by name and labels, as they are written.
fn figures(client: &Client) -> BTreeMap<String, f64> {
    let answer = client.get("/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));
    let mut types = BTreeMap::new();
    let mut figures = BTreeMap::new();
    for line in answer.text().lines() {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["#", "HELP", name, ..] => assert!(line.ends_with('.') || name.starts_with("process_"), "{line}"),
            ["#", "TYPE", name, kind] => {
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(types.insert(name.to_owned(), kind.to_owned()), None, "{line}");
            }
            [.., value] => {
                // A label may have spaces in it.
                let (name, _) = line.rsplit_once(' ').unwrap();
                assert_eq!(figures.insert(name.to_owned(), value.parse().unwrap()), None, "{line}");
            }
            [] => panic!("an empty line"),
        }
    }
    figures
}

#[test]
fn the_figures_count_requests_by_route_and_status() {
    let server = TestServer::start();
    for _ in 0..3 {
        assert_eq!(server.get("/v6/metrics/?page_size=1").status, 200);
    }
    server.get("/v6/metrics/?page=9");
    server.send("HEAD", "/v6/metrics/job-types/plot-data/", &[], b"");
    server.send("DELETE", "/v6/events/", &[], b"");
    server.get("/v6/metrics/nothing/");
    server.raw("BREW /coffee?x=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let figures = figures(&server);
    let requests = |route: &str, method: &str, status: u16| {
        let labels = format!("{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}");
        figures.get(&format!("scale_metrics_http_requests_total{labels}")).copied()
    };
    assert_eq!(requests("/v6/metrics/", "GET", 200), Some(3.0));
    assert_eq!(requests("/v6/metrics/", "GET", 404), Some(1.0));
    assert_eq!(requests("/v6/metrics/job-types/plot-data/", "HEAD", 200), Some(1.0));
    assert_eq!(requests("/v6/events/", "DELETE", 405), Some(1.0));
    assert_eq!(requests("other", "GET", 404), Some(1.0));
    assert_eq!(requests("other", "other", 404), Some(1.0));
    let seconds = "scale_metrics_http_request_duration_seconds";
    assert_eq!(figures[&format!("{seconds}_count{{route=\"/v6/metrics/\"}}")], 4.0);
    assert_eq!(figures[&format!("{seconds}_bucket{{route=\"/v6/metrics/\",le=\"+Inf\"}}")], 4.0);
    assert!(figures[&format!("{seconds}_sum{{route=\"/v6/metrics/\"}}")] > 0.0);
}

#[test]
fn the_figures_count_what_became_of_the_objects() {
    let server = TestServer::start();
    server.accept(&worked_example());
    server.accept(&worked_example());
    server.accept(&[job(1, 1, "FAILED", "2015-01-02T00:00:00Z"), error(1, "system-error", "DATA")]);
    let late = json!({"last_modified": "2015-01-03T00:00:00Z"});
    server.accept(&[with(job(2, 1, "FAILED", "2015-01-02T00:00:00Z"), late)]);
    let early = json!({"last_modified": "2015-01-01T00:00:00Z"});
    server.accept(&[with(job(2, 1, "CANCELED", "2015-01-02T00:00:00Z"), early)]);
    assert_eq!(server.post([job(9, 1, "FAILED", "nonsense"), job(10, 77, "FAILED", "2015-01-01")]).status, 400);
    let figures = figures(&server);
    let objects = |kind: &str, outcome: &str| {
        let name = format!("scale_metrics_events_total{{kind=\"{kind}\",outcome=\"{outcome}\"}}");
        figures.get(&name).copied().unwrap_or_default()
    };
    assert_eq!([objects("job_type", "created"), objects("job_type", "unchanged")], [1.0, 1.0]);
    assert_eq!(
        ["created", "updated", "unchanged", "stale"].map(|outcome| objects("job", outcome)),
        [6.0, 2.0, 6.0, 1.0]
    );
    assert_eq!([objects("job_execution", "created"), objects("error", "updated")], [2.0, 1.0]);
    assert_eq!(figures["scale_metrics_events_invalid_total"], 2.0);
    assert_eq!(figures["scale_metrics_commit_duration_seconds_count"], 5.0);
    assert_eq!(figures["scale_metrics_commit_failures_total"], 0.0);
    // The worked example: a job type and all. Then job 1 moves to another day, and job 2 follows.
    assert!(figures["scale_metrics_rollups_written_total"] >= 2.0 + 4.0 + 4.0, "{figures:?}");
}

#[test]
fn the_figures_show_what_there_is_at_the_moment() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "a"), job(1, 1, "FAILED", "2015-01-01T00:00:00Z")]);
    for _ in 0..3 {
        server.plot("job-types", "");
    }
    let figures = figures(&server);
    for (name, value) in [
        ("ready", 1.0),
        ("queue_requests", 0.0),
        ("queue_bytes", 0.0),
        ("queue_limit_bytes", f64::from(64 << 20)),
        ("answer_limit_bytes", f64::from(512 << 20)),
        ("answers_cached", 1.0),
        ("answers_computed_total", 1.0),
        ("answers_kept_total", 2.0),
        ("rollup_version", 1.0),
        (concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ] {
        assert_eq!(figures[&format!("scale_metrics_{name}")], value, "{name}");
    }
    assert!(figures["scale_metrics_database_bytes"] > 4_096.0);
    assert!(figures["scale_metrics_answer_bytes"] > 1_000.0);
    assert!(figures["process_resident_memory_bytes"] > 1e6);
}

#[test]
fn a_request_has_the_id_that_its_client_chose_or_one_of_its_own() {
    let server = TestServer::start();
    let id = |chosen: &str| {
        let answer = server.send("GET", "/v6/metrics/", &[("X-Request-Id", chosen)], b"");
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id("0f-a.B_3:/+="), "0f-a.B_3:/+=");
    let too_long = "x".repeat(129);
    let mut own: Vec<_> = ["", "a b", "\"quoted\"", &too_long].map(id).to_vec();
    own.push(server.get("/nowhere").header("x-request-id").unwrap().to_owned());
    assert!(own.iter().all(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())), "{own:?}");
    own.sort();
    own.dedup();
    assert_eq!(own.len(), 5, "each has another");
}

#[test]
fn nothing_is_taken_for_what_it_is_not() {
    let server = TestServer::start();
    for path in ["/", "/healthz", "/metrics", "/v6/metrics/", "/v6/metrics/errors/plot-data/?format=csv", "/nowhere"] {
        let answer = server.get(path);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
    }
}

/// The log of a server that some requests went to, with tokens and without, good and bad ones.
fn log(format: &str) -> Vec<String> {
    let directory = TempDir::new().unwrap();
    let arguments = ["serve", "--listen", FREE_PORT, "--log-format", format];
    let server = Serving::start(&mut program(directory.path(), &arguments));
    let client = &server.client;
    let secret = [("Authorization", "Bearer 5ecret"), ("X-Request-Id", "chosen")];
    client.send("GET", "/v6/metrics/?page_size=1&q=%0A", &secret, b"");
    client.ndjson("{");
    client.raw("GET /a\"{} HTTP/1.1\r\nHost: x\r\nAuthorization: Token 5ecret\r\nConnection: close\r\n\r\n");
    client.get(&format!("/{}", "long".repeat(1_000)));
    client.get("/v6/metrics/?access_token=5ecret&page_size=1");
    client.raw("nonsense\r\n\r\n");
    let log = server.end_for_log();
    assert!(!log.contains("5ecret"), "{log}");
    log.lines().map(str::to_owned).collect()
}

#[test]
fn the_log_has_one_object_a_request() {
    let lines: Vec<Value> = log("json").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let requests: Vec<_> = lines.iter().filter(|line| line["message"] == "request").collect();
    assert_eq!((requests.len(), lines.len()), (6, 8), "{lines:#?}");
    assert_eq!(requests[0]["method"], "GET");
    assert_eq!(requests[0]["path"], "/v6/metrics/?page_size=1&q=%0A");
    assert_eq!(requests[0]["status"], 200);
    assert_eq!(requests[0]["request_id"], "chosen");
    assert_eq!(requests[0]["client"], "127.0.0.1");
    assert_eq!(requests[0]["level"], "INFO");
    assert!(requests[0]["bytes"].as_u64().unwrap() > 1_000);
    assert!(requests[0]["elapsed_ms"].as_f64().unwrap() > 0.0);
    assert!(requests[0]["timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!((&requests[1]["path"], &requests[1]["status"]), (&json!("/v6/events/"), &json!(400)));
    assert_eq!((&requests[2]["path"], &requests[2]["status"]), (&json!("/a\"{}"), &json!(404)));
    assert!(requests.iter().all(|line| line.get("gone").is_none()), "{requests:#?}");
    assert!(requests[..5].iter().all(|line| line.get("error").is_none()), "{requests:#?}");
    assert_eq!(requests[4]["path"], "/v6/metrics/?access_token=***&page_size=1");
    assert_eq!(
        (&requests[5]["method"], &requests[5]["path"], &requests[5]["status"]),
        (&json!("-"), &json!("-"), &json!(400))
    );
    assert!(requests[5]["error"].as_str().unwrap().contains("malformed"), "{requests:#?}");
    let long = requests[3]["path"].as_str().unwrap();
    assert!(long.len() < 1_010 && long.ends_with('…'), "{long}");
}

#[test]
fn the_log_has_one_line_a_request() {
    let lines = log("text");
    let requests: Vec<_> = lines.iter().filter(|line| line.contains(" INFO request ")).collect();
    assert_eq!(requests.len(), 6, "{lines:#?}");
    let first = r#" method=GET path="/v6/metrics/?page_size=1&q=%0A" status=200 bytes="#;
    assert!(requests[0].contains(first) && requests[0].contains(" request_id=chosen"), "{}", requests[0]);
    assert!(requests[2].contains(r#" path="/a\"{}" status=404 "#), "{}", requests[2]);
    assert!(lines.iter().all(|line| line.starts_with("20") && line.contains("Z  INFO ")), "{lines:#?}");
}

#[test]
fn tokens_are_never_logged_wherever_in_a_request_they_stand() {
    let directory = TempDir::new().unwrap();
    let (made, token) = Token::make("made", &[Scope::Read]).unwrap();
    // Another program's, of which only the hash is known here.
    let chosen = "correct/horse+battery==".to_owned();
    let hash = Sha256::digest(&chosen).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let tokens = format!("{token},chosen:write:{hash}");
    let arguments =
        ["serve", "--listen", FREE_PORT, "--log-format", "json", "--log-level", "debug", "--tokens", &tokens];
    let server = Serving::start(&mut program(directory.path(), &arguments));
    let client = &server.client;
    let mut sent = 0;
    for secret in [&made, &chosen, &Token::make("unknown", &[Scope::Read]).unwrap().0] {
        let escaped = secret.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
        let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        for secret in [secret, &escaped, &encoded] {
            for path in [
                "/TOKEN",
                "/v6/metrics/TOKEN/",
                "/v6/metrics/job-types/TOKEN",
                "/v6/metrics/?page=TOKEN",
                "/v6/metrics/?TOKEN",
                "/v6/metrics/?TOKEN=1",
                "/v6/metrics/job-types/plot-data/?column=TOKEN&started=TOKEN",
                "/v6/metrics/?q=Bearer%20TOKEN",
            ] {
                let authorization = format!("Bearer {secret}");
                let headers =
                    [("X-Request-Id", secret.as_str()), ("Authorization", &authorization), ("Referer", secret)];
                let answer = client.send("GET", &path.replace("TOKEN", secret), &headers, b"");
                assert_ne!(answer.header("x-request-id"), Some(secret.as_str()));
                sent += 1;
            }
        }
        // A method is made of letters.
        client.raw(format!("{made} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        client.raw(format!("GET http://{made}@x/{made} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        client.send("POST", "/v6/events/", &[("Content-Type", secret), ("Origin", secret)], secret.as_bytes());
        sent += 3;
    }
    let figures = client.send("GET", "/metrics", &[("Authorization", &format!("Bearer {made}"))], b"");
    assert_eq!(figures.status, 200);
    let log = server.end_for_log();
    assert_eq!(log.lines().filter(|line| line.contains("\"request\"")).count(), sent + 1, "{log}");
    for text in [log.to_lowercase(), figures.text().to_lowercase()] {
        assert!(!text.contains(&made) && !text.contains("horse") && !text.contains("%68%6f%72%73%65"), "{text}");
        // Not even a part of one that looks so.
        let longest = text.split(|letter: char| !letter.is_ascii_hexdigit()).map(str::len).max().unwrap();
        assert!(longest < 64, "{text}");
    }
    assert!(log.contains("\"path\":\"/v6/metrics/?q=***\""), "{log}");
}

#[test]
fn the_log_says_when_a_client_went_away() {
    let directory = TempDir::new().unwrap();
    let arguments = ["serve", "--listen", FREE_PORT, "--log-format", "json"];
    let server = Serving::start(&mut program(directory.path(), &arguments));
    let mut connection = server.client.connect();
    let head = "POST /v6/events/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[";
    connection.write_all(head.as_bytes()).unwrap();
    // Whoever is asked next has taken up the first request before.
    assert_eq!(server.client.get("/healthz").status, 200);
    drop(connection);
    let log = server.end_for_log();
    let post = log.lines().find(|line| line.contains("POST")).unwrap_or_else(|| panic!("{log}"));
    let post: Value = serde_json::from_str(post).unwrap();
    // It may be found out by the missing body, or with the answer that nobody takes.
    assert!(post["status"] == 400 || post["gone"] == true, "{post}");
}

#[test]
fn the_health_command_tells_whether_a_server_is_ready() {
    let directory = TempDir::new().unwrap();
    let health = |arguments: &[&str]| {
        let output = program(directory.path(), &[&["health"], arguments].concat()).output().unwrap();
        let [said, complaint] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), said, complaint)
    };
    let arguments = ["serve", "--listen", FREE_PORT, "--stop-delay-s", "3600"];
    let server = Serving::start(&mut program(directory.path(), &arguments));
    let (url, port) = (server.client.base().to_owned(), server.client.address().port());
    assert_eq!(health(&["--url", &url]), (Some(0), "ready\n".to_owned(), String::new()));
    // A server that listens everywhere is asked here.
    assert_eq!(health(&["--listen", &format!("0.0.0.0:{port}")]).0, Some(0));
    let (code, said, complaint) = health(&["--url", &format!("{url}/elsewhere")]);
    assert!((code, said.as_str()) == (Some(1), "") && complaint.contains("404"), "{complaint}");
    server.signal("TERM");
    wait_until("it says that it stops", || server.client.get("/readyz").status == 503);
    let (code, _, complaint) = health(&["--url", &url]);
    assert!(code == Some(1) && complaint.contains("503") && complaint.contains("is stopping"), "{complaint}");
    assert_eq!(server.end("TERM").code(), Some(0));
    let (code, _, complaint) = health(&["--url", &url]);
    assert!(code == Some(1) && complaint.contains(&port.to_string()), "{complaint}");
}
