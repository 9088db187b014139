//! `scale-metrics export` and `GET /v6/export/`: docs/reference.md, The program.

use std::fs;
use std::io::{Read as _, Write as _};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::program;
use crate::support::{
    Client, Serving, TestServer, builtin_error, failed_execution, gunzip, ingest, job, job_type, strike, to_ndjson,
    with, worked_example,
};

/// Runs the program in `directory`; its exit status, what it prints and what it complains of.
fn run(directory: &TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = program(directory.path(), arguments).output().unwrap();
    let [said, complaint] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code(), said, complaint)
}

/// Everything of every metrics type, by hour and choice and by day over all choices.
fn all_numbers(client: &Client) -> Vec<Value> {
    let mut numbers = Vec::new();
    for metrics in ["job-types", "ingests", "errors"] {
        let details = client.get(&format!("/v6/metrics/{metrics}/")).json();
        let ids = details["choices"].as_array().unwrap().iter().map(|choice| format!("&choice_id={}", choice["id"]));
        let ids: String = ids.collect();
        numbers.push(details);
        numbers.push(Value::from(client.plot(metrics, "ended=2100-01-01")));
        numbers.push(Value::from(client.plot(metrics, &format!("resolution=hour&ended=2100-01-01{ids}"))));
    }
    numbers
}

/// Something of every kind, some of it replaced, some of it not over yet.
fn fill(client: &Client) {
    client.accept(&worked_example());
    client.accept(&[
        strike(7, "north \"quoted\" \u{202e}\n"),
        builtin_error(9, "timeout", "SYSTEM"),
        with(ingest(1, 7, "INGESTED", "2015-03-01T00:00:00.000001Z"), json!({
            "file_size": u64::MAX, "transfer_started": "2015-02-28T23:00:00Z", "transfer_ended": "2015-02-28T23:30:00Z",
            "ingest_started": "2015-02-28T23:40:00Z",
        })),
        json!({"kind": "ingest", "id": 2, "status": "INGESTED", "ingest_ended": "2015-03-01T00:00:00Z"}),
        failed_execution(9, 1, 9, "9999-12-31T23:59:59.999999Z"),
        json!({"kind": "job", "id": 100, "job_type": 1, "status": "RUNNING", "last_modified": "2015-01-01T00:00:00Z"}),
    ]);
    client.accept(&[job(1, 1, "FAILED", "1970-01-01T00:00:00Z")]);
}

#[test]
fn what_is_exported_is_imported_with_the_same_numbers() {
    let directory = TempDir::new().unwrap();
    let server = Serving::serve(directory.path());
    fill(&server.client);
    let numbers = all_numbers(&server.client);
    let url = server.client.base().to_owned();
    let (code, from_server, complaint) = run(&directory, &["export", "--url", &url]);
    assert_eq!(code, Some(0), "{complaint}");
    assert!(complaint.contains("objects=18"), "{complaint}");
    assert_eq!(from_server.lines().count(), 18);
    assert_eq!(server.end("TERM").code(), Some(0));

    let (code, said, complaint) = run(&directory, &["export", "--data", "data", "--output", "all.ndjson"]);
    assert_eq!((code, said.as_str()), (Some(0), ""), "{complaint}");
    assert_eq!(fs::read_to_string(directory.path().join("all.ndjson")).unwrap(), from_server);
    let (code, ..) = run(&directory, &["export", "--data", "data", "-o", "all.ndjson.gz"]);
    assert_eq!(code, Some(0));
    let packed = fs::read(directory.path().join("all.ndjson.gz")).unwrap();
    assert_eq!(String::from_utf8(gunzip(&packed)).unwrap(), from_server);

    // A flag goes over a variable; two flags contradict each other.
    let export = |arguments: &[&str]| {
        let arguments = [&["export"], arguments].concat();
        program(directory.path(), &arguments).env("SCALE_METRICS_URL", "http://127.0.0.1:1").output().unwrap()
    };
    let output = export(&["--data", "data"]);
    assert_eq!((output.status.code(), output.stdout), (Some(0), from_server.clone().into_bytes()));
    assert_eq!(export(&[]).status.code(), Some(1), "the variable goes over what nobody said");
    let output = export(&["--data", "data", "--url", &url]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--url"));

    // What is no file stays what it is.
    std::os::unix::fs::symlink("linked.ndjson", directory.path().join("link.ndjson")).unwrap();
    let (code, ..) = run(&directory, &["export", "--data", "data", "--output", "link.ndjson"]);
    assert_eq!(code, Some(0));
    assert!(directory.path().join("link.ndjson").is_symlink());
    assert_eq!(fs::read_to_string(directory.path().join("linked.ndjson")).unwrap(), from_server);

    let (code, _, complaint) = run(&directory, &["import", "--data", "other", "all.ndjson.gz"]);
    assert_eq!(code, Some(0), "{complaint}");
    let other = Serving::start(&mut program(directory.path(), &["--listen", "127.0.0.1:0", "--data", "other"]));
    assert_eq!(all_numbers(&other.client), numbers);
    let (_, again, _) = run(&directory, &["export", "--url", other.client.base()]);
    assert_eq!(again, from_server);
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 6, "no unfinished file stays: {left:?}");
}

#[test]
fn an_empty_database_is_exported_as_nothing() {
    let server = TestServer::start();
    let answer = server.get("/v6/export/");
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    assert_eq!(answer.header("x-total-count"), Some("0"));
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let packed = server.send("GET", "/v6/export/", &[("Accept-Encoding", "gzip")], b"");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(gunzip(&packed.body), b"");
}

#[test]
fn an_export_is_one_state_whatever_is_written_meanwhile() {
    const JOBS: u64 = 60_000;
    let server = TestServer::start();
    let jobs = |end: &str| -> Vec<_> { (1..=JOBS).map(|id| job(id, 1, "COMPLETED", end)).collect() };
    server.accept(&[job_type(1, "a")]);
    server.accept(&jobs("2015-01-20T00:00:00Z"));
    let mut connection = server.connect();
    connection.write_all(b"GET /v6/export/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = vec![0; 1_000];
    connection.read_exact(&mut answer).unwrap();
    // While the client reads nothing, every job ends on an earlier day, then on a later one.
    server.accept(&jobs("2015-01-10T00:00:00Z"));
    server.accept(&jobs("2015-01-30T00:00:00Z"));
    connection.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.to_ascii_lowercase().contains("x-total-count: 60001\r\n"), "{}", &answer[..500]);
    assert_eq!(answer.matches("\"ended\":\"2015-01-20T00:00:00Z\"").count() as u64, JOBS);
    assert_eq!(answer.matches("\"ended\"").count() as u64, JOBS);
    let later = json!([{"datetime": "2015-01-30T00:00:00", "value": JOBS}]);
    assert_eq!(server.values("job-types", "completed_count", ""), later);
}

#[test]
fn many_exports_at_once_are_put_off() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "a")]);
    server.accept(&(1..=60_000).map(|id| job(id, 1, "COMPLETED", "2015-01-20T00:00:00Z")).collect::<Vec<_>>());
    let mut running: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for connection in &mut running {
        connection.write_all(b"GET /v6/export/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        connection.read_exact(&mut [0; 1_000]).unwrap();
    }
    let refused = server.get("/v6/export/");
    refused.assert_refused(503, &["exports"]);
    assert!(refused.header("retry-after").is_some());
    for mut connection in running {
        connection.read_to_end(&mut Vec::new()).unwrap();
    }
    assert_eq!(server.get("/v6/export/").status, 200);
}

#[test]
fn what_goes_wrong_is_said_and_leaves_no_file() {
    let directory = TempDir::new().unwrap();
    let failure = |arguments: &[&str]| {
        let (code, said, complaint) = run(&directory, &[&["export"], arguments].concat());
        assert_eq!(said, "");
        (code, complaint)
    };
    let (code, complaint) = failure(&["--data", "data"]);
    assert!(code == Some(2) && complaint.contains("no database in `data`"), "{complaint}");
    let (code, complaint) = failure(&["--url", "http://127.0.0.1:1", "-o", "all"]);
    assert!(code == Some(1) && complaint.contains("127.0.0.1:1"), "{complaint}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let server = Serving::serve(directory.path());
    let (code, complaint) = failure(&["--data", "data", "-o", "all"]);
    assert!(code == Some(2) && complaint.contains("open in another process"), "{complaint}");
    let url = server.client.base();
    let (code, complaint) = failure(&["--url", url, "-o", "missing/all"]);
    assert!(code == Some(2) && complaint.contains("missing/all"), "{complaint}");
    let (code, complaint) = failure(&["--url", &format!("{url}/elsewhere"), "-o", "all"]);
    assert!(code == Some(1) && complaint.contains("404: Not found."), "{complaint}");
    assert!(!directory.path().join("all").exists() && !directory.path().join("all.part").exists());
}

#[test]
fn what_comes_from_elsewhere_is_exported_line_by_line() {
    let server = TestServer::start();
    fill(&server);
    let lines = server.get("/v6/export/").text();
    let other = TestServer::start();
    assert_eq!(other.ndjson(&lines).json()["created"], 18);
    let back: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let again = other.ndjson(&to_ndjson(&back)).json();
    assert_eq!((again["unchanged"].as_u64(), again["accepted"].as_u64()), (Some(18), Some(18)));
}
