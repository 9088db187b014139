//! How long events and numbers are kept.

use std::time::{Duration, Instant};

use scale_metrics::config::Config;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::{FREE_PORT, Serving, program, refusal};
use crate::support::{Client, TestServer, builtin_error, failed_execution, ingest, job, job_type, strike};

/// Keeps events for 10 days and numbers for 20.
fn ten_and_twenty(config: &mut Config) {
    config.retention.events_days = 10;
    config.retention.rollups_days = 20;
}

/// Waits until the figure has that value.
fn wait_for(client: &Client, figure: &str, value: u64) {
    let line = format!("\nscale_metrics_{figure} {value}\n");
    let start = Instant::now();
    while !client.get("/metrics").text().contains(&line) {
        assert!(start.elapsed() < Duration::from_mins(2), "it never came to {line}");
        std::thread::yield_now();
    }
}

fn jobs_by_day(client: &Client) -> Vec<(String, u64)> {
    let values = client.values("job-types", "completed_count", "");
    let day = |value: &Value| (value["datetime"].as_str().unwrap()[..10].to_owned(), value["value"].as_u64().unwrap());
    values.as_array().unwrap().iter().map(day).collect()
}

#[test]
fn events_older_than_what_is_kept_are_refused_and_told_why() {
    let server = TestServer::start_with(ten_and_twenty);
    server.accept(&[job_type(1, "a"), strike(1, "b"), builtin_error(1, "c", "DATA")]);
    let old = "2015-01-21T23:59:59.999999Z";
    for (event, field) in [
        (job(1, 1, "FAILED", old), "ended"),
        (failed_execution(1, 1, 1, old), "ended"),
        (ingest(1, 1, "ERRORED", old), "ingest_ended"),
    ] {
        let refused = server.post(&event);
        assert_eq!(refused.status, 400);
        let detail = "lies before 2015-01-22; older events are no longer kept";
        assert_eq!(refused.json()["errors"], json!([{"index": 0, "field": field, "detail": detail}]));
    }
    // What has not ended is of no day, and the first day that is kept is kept whole.
    server.accept(&[
        json!({"kind": "job", "id": 2, "job_type": 1, "status": "RUNNING", "ended": old}),
        job(3, 1, "COMPLETED", "2015-01-22T00:00:00Z"),
    ]);
    server.set_now("2015-02-02T00:00:00Z");
    assert_eq!(server.post(job(3, 1, "COMPLETED", "2015-01-22T00:00:00Z")).status, 400);
}

#[test]
fn forgotten_events_leave_their_numbers_until_these_go_too() {
    let mut server = TestServer::start_with(ten_and_twenty);
    server.accept(&[job_type(1, "a"), strike(1, "b")]);
    for day in 22..=31 {
        let end = format!("2015-01-{day}T01:00:00Z");
        let jobs = (0..300).map(|n| job(day * 1_000 + n, 1, "COMPLETED", &end));
        server.accept(&jobs.collect::<Vec<_>>());
        // An ingest without a strike counts nowhere, and goes all the same.
        let homeless = json!({"kind": "ingest", "id": day, "status": "ERRORED", "ingest_ended": end});
        server.accept(&[ingest(100 + day, 1, "ERRORED", &end), homeless]);
    }
    let all = jobs_by_day(&server);
    assert_eq!(all.len(), 10);
    // Events from January 26 on, numbers from January 16 on.
    server.set_now("2015-02-06T12:00:00Z");
    server.restart();
    wait_for(&server, "retention_events_removed_total", 4 * 302);
    assert_eq!(jobs_by_day(&server), all);
    let left = server.get("/v6/export/").text();
    assert_eq!(left.lines().count(), 2 + 6 * 302);
    assert!(!left.contains("2015-01-25") && left.contains("2015-01-26"));
    // One that is still there moves as ever; a forgotten one cannot be taken out of its day any more. Those that counted
    // nowhere are as if they had never been.
    server.accept(&[
        job(26_001, 1, "COMPLETED", "2015-02-06T00:00:00Z"),
        job(22_001, 1, "COMPLETED", "2015-02-06T00:00:00Z"),
        ingest(22, 1, "ERRORED", "2015-02-06T00:00:00Z"),
    ]);
    let moved = jobs_by_day(&server);
    assert_eq!(moved[0], ("2015-01-22".to_owned(), 300));
    assert_eq!(moved[4], ("2015-01-26".to_owned(), 299));
    assert_eq!(moved[10], ("2015-02-06".to_owned(), 2));
    // Numbers from January 30 on, and events from February 9 on.
    let tag = server.get("/v6/metrics/job-types/plot-data/?ended=2015-02-06").header("etag").unwrap().to_owned();
    server.set_now("2015-02-20T00:00:00Z");
    server.restart();
    wait_for(&server, "retention_events_removed_total", 6 * 302 + 2);
    assert_eq!(
        jobs_by_day(&server).iter().map(|(day, _)| day.as_str()).collect::<Vec<_>>(),
        ["2015-01-30", "2015-01-31", "2015-02-06"]
    );
    assert_ne!(server.get("/v6/metrics/job-types/plot-data/?ended=2015-02-06").header("etag"), Some(tag.as_str()));
    assert_eq!(server.plot("job-types", "ended=2015-01-29")[0]["values"], json!([]));
    assert_eq!(
        server.plot("job-types", "ended=2015-01-29T12:00:00Z&resolution=hour&choice_id=1")[0]["values"],
        json!([])
    );
    // A choice and all choices together, of two metrics types, on eight days.
    wait_for(&server, "retention_rollups_removed_total", 4 * 8);
    assert_eq!(server.get("/v6/export/").text().lines().count(), 2);
}

#[test]
fn without_a_server_it_is_said_what_would_go_and_then_it_goes() {
    let directory = TempDir::new().unwrap();
    let run = |arguments: &[&str]| {
        let output = program(directory.path(), arguments).output().unwrap();
        let [said, complaint] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(output.status.success(), "{complaint}");
        said
    };
    let server = Serving::serve(directory.path());
    server.client.accept(&[job_type(1, "a")]);
    for month in 1..=9 {
        let jobs = (0..100).map(|n| job(month * 1_000 + n, 1, "COMPLETED", &format!("2015-0{month}-01T00:00:00Z")));
        server.client.accept(&jobs.collect::<Vec<_>>());
    }
    server.client.accept(&[job(1, 1, "COMPLETED", "2100-01-01T00:00:00Z")]);
    let numbers = jobs_by_day(&server.client);
    assert!(server.end("TERM").success());
    let nothing = run(&["expire", "--dry-run"]);
    assert!(nothing.starts_with("would go: 0 events of 0 days before 1970-01-01\n"), "{nothing}");
    let would = run(&["expire", "--dry-run", "--retention-events-days", "30"]);
    assert!(would.starts_with("would go: 900 events of 9 days before 20"), "{would}");
    assert!(would.ends_with("\nwould go: 0 rollups of 0 days before 1970-01-01\n"), "{would}");
    assert!(run(&["check"]).contains("checked 901 events and 20 rollups: 0 problems"));
    let gone = run(&["expire", "--retention-events-days", "30"]);
    assert!(gone.starts_with("gone: 900 events of 9 days before 20"), "{gone}");
    assert!(run(&["check"]).contains("checked 1 events and 2 rollups: 0 problems"));
    assert!(run(&["check", "--repair"]).contains("0 problems"));

    // They stay forgotten, whatever the settings say from then on.
    let server = Serving::serve(directory.path());
    assert_eq!(jobs_by_day(&server.client), numbers);
    assert_eq!(server.client.post(job(1_000, 1, "COMPLETED", "2015-01-01T00:00:00Z")).status, 400);
    assert!(server.end("TERM").success());
    let gone = run(&["expire", "--retention-events-days", "30", "--retention-rollups-days", "40"]);
    assert!(gone.contains("gone: 0 events") && gone.contains("\ngone: 18 rollups of 9 days before 20"), "{gone}");
    assert!(run(&["check"]).contains("checked 1 events and 2 rollups: 0 problems"));
}

#[test]
fn numbers_are_kept_at_least_as_long_as_events() {
    let directory = TempDir::new().unwrap();
    let serve = |events: &str, rollups: &str| {
        let flags = ["--retention-events-days", events, "--retention-rollups-days", rollups];
        program(directory.path(), &[&["serve", "--listen", FREE_PORT], &flags[..]].concat())
    };
    for (events, rollups) in [("0", "10"), ("11", "10")] {
        assert!(refusal(&mut serve(events, rollups)).contains("retention.rollups_days must not be less"));
    }
    for (events, rollups) in [("10", "0"), ("10", "10"), ("0", "0")] {
        Serving::start(&mut serve(events, rollups));
    }
}
