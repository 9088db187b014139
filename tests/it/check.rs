//! `scale-metrics check`: docs/reference.md, The program.

use std::fs;

use tempfile::TempDir;

use crate::support::process::program;
use crate::support::{Serving, builtin_error, failed_execution, ingest, job, strike, with, worked_example};

/// Runs `check` over `data`; its exit status, what it prints and what it complains of.
fn check(directory: &TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = program(directory.path(), &[&["check", "--data", "data"], arguments].concat()).output().unwrap();
    let [said, complaint] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code(), said, complaint)
}

#[test]
fn what_was_posted_replaced_and_killed_checks_out() {
    let directory = TempDir::new().unwrap();
    let mut server = Serving::serve(directory.path());
    let end = "2015-01-02T03:04:05Z";
    server.client.accept(&worked_example());
    server.client.accept(&[
        strike(1, "north"),
        with(ingest(1, 1, "INGESTED", end), serde_json::json!({"file_size": 123})),
        builtin_error(9, "timeout", "SYSTEM"),
        failed_execution(9, 1, 9, end),
        serde_json::json!({"kind": "job", "id": 100, "job_type": 1, "status": "RUNNING"}),
    ]);
    server.client.accept(&[job(1, 1, "FAILED", end), ingest(1, 1, "ERRORED", "2016-01-01T00:00:00Z")]);
    server.kill();
    let (code, said, complaint) = check(&directory, &[]);
    // 12 - 4 definitions, and 3 more events; rollups of a choice and of all: job types on two days, a strike, an error.
    assert_eq!((code, said.as_str()), (Some(0), "checked 11 events and 8 rollups: 0 problems\n"), "{complaint}");
    let again = check(&directory, &["--repair"]);
    assert_eq!((again.0, again.1), (Some(0), said));
}

#[test]
fn without_a_database_or_beside_a_server_there_is_nothing_to_check() {
    let directory = TempDir::new().unwrap();
    let (code, said, complaint) = check(&directory, &[]);
    assert_eq!((code, said.as_str()), (Some(2), ""));
    assert!(complaint.contains("no database in `data`"), "{complaint}");
    assert!(!directory.path().join("data").exists(), "a check makes nothing");
    let _server = Serving::serve(directory.path());
    let (code, said, complaint) = check(&directory, &[]);
    assert_eq!((code, said.as_str()), (Some(2), ""));
    assert!(complaint.contains("open in another process"), "{complaint}");
}

#[test]
fn a_damaged_file_does_not_check_out() {
    let directory = TempDir::new().unwrap();
    let server = Serving::serve(directory.path());
    server.client.accept(&worked_example());
    assert_eq!(server.end("TERM").code(), Some(0));
    assert_eq!(check(&directory, &[]).0, Some(0));
    let file = directory.path().join("data/metrics.redb");
    let whole = fs::read(&file).unwrap();
    // Every name of a definition is in the file once, and covered by a checksum.
    let place = whole.windows(14).position(|text| text == b"worked-example").unwrap();
    let mut damaged = whole;
    damaged[place] ^= 1;
    fs::write(&file, damaged).unwrap();
    let (code, said, complaint) = check(&directory, &[]);
    assert_ne!(code, Some(0), "{said} {complaint}");
    assert!(!complaint.contains("panicked"), "{complaint}");
}
