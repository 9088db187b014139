//! How long events and numbers are kept.

use std::process::Command;
use std::time::Duration;

use scale_metrics::config::Config;
use scale_metrics::store::{OpenOptions, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::{FREE_PORT, program, refusal};
use crate::support::skip::skip;
use crate::support::{
    Client, NOW, Serving, TestServer, builtin_error, failed_execution, ingest, job, job_type, strike, wait_until,
};

/// Keeps events for 10 days and numbers for 20.
fn ten_and_twenty(config: &mut Config) {
    config.retention.events_days = 10;
    config.retention.rollups_days = 20;
}

/// Waits until the figure has that value.
fn wait_for(client: &Client, figure: &str, value: u64) {
    let line = format!("\nscale_metrics_{figure} {value}\n");
    wait_until(&line, || client.get("/metrics").text().contains(&line));
}

/// Waits until an export has so many lines, when everything that is too old is deleted: the server that ran before may have
/// deleted some of it, so figures do not tell.
fn wait_for_lines(client: &Client, lines: usize) {
    wait_until(&format!("{lines} lines are left"), || client.get("/v6/export/").text().lines().count() == lines);
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
    wait_for_lines(&server, 2 + 6 * 302);
    assert_eq!(jobs_by_day(&server), all);
    let left = server.get("/v6/export/").text();
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
    wait_for_lines(&server, 2);
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
    wait_until("the rollups of eight days are deleted", || {
        server.restart_after(|directory| {
            let store = Store::open(directory, OpenOptions::verified(1 << 20)).unwrap();
            let snapshot = store.snapshot().unwrap();
            (22..=29).all(|day| snapshot.rollups_of(format!("2015-01-{day}").parse().unwrap()).unwrap().is_empty())
        })
    });
    assert_eq!(server.get("/v6/export/").text().lines().count(), 2);
}

#[test]
fn what_is_deleted_is_counted() {
    let mut server = TestServer::start();
    let old = |id| job(id, 1, "COMPLETED", "2014-12-01T00:00:00Z");
    server.accept(&[job_type(1, "a"), old(1), old(2), old(3), job(4, 1, "FAILED", NOW)]);
    server.restart_with(|config| {
        ten_and_twenty(config);
        config.retention.grace_hours = 0;
    });
    wait_for(&server, "retention_events_removed_total", 3);
    // Of the choice, and of all choices together.
    wait_for(&server, "retention_rollups_removed_total", 2);
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

#[test]
fn an_error_that_is_defined_anew_moves_the_numbers_of_forgotten_days_too() {
    let mut server = TestServer::start_with(ten_and_twenty);
    let defined = |category: &str, is_builtin: bool| {
        let mut error = builtin_error(1, "c", category);
        error["is_builtin"] = is_builtin.into();
        error
    };
    server.accept(&[job_type(1, "a"), defined("DATA", true)]);
    let end = "2015-01-25T01:00:00Z";
    let mut failed = job(1, 1, "FAILED", end);
    failed["error"] = 1.into();
    server.accept(&[failed, failed_execution(1, 1, 1, end), failed_execution(2, 1, 1, end)]);
    server.set_now("2015-02-06T00:00:00Z");
    server.restart();
    wait_for_lines(&server, 2);
    let counts = |client: &Client| {
        let count = |metrics, column, query: &str| {
            let values = client.values(metrics, column, query);
            values.as_array().unwrap().iter().map(|value| value["value"].as_u64().unwrap()).sum::<u64>()
        };
        let category =
            |column| count("job-types", column, "") + count("job-types", column, "choice_id=1&resolution=hour");
        [category("error_data_count"), category("error_system_count"), count("errors", "total_count", "")]
    };
    assert_eq!(counts(&server), [2, 0, 2]);
    server.accept(&[defined("SYSTEM", true)]);
    assert_eq!(counts(&server), [0, 2, 2]);
    server.accept(&[defined("SYSTEM", false)]);
    assert_eq!(counts(&server), [0, 2, 0]);
    server.accept(&[defined("DATA", true)]);
    assert_eq!(counts(&server), [2, 0, 2]);
}

/// A server that keeps events for 30 days, and jobs of three days: of a day before, and 20 and 29 days before.
fn with_three_days() -> TestServer {
    let server = TestServer::start_with(|config| config.retention.events_days = 30);
    server.accept(&[job_type(1, "a")]);
    for (id, day) in [(1, "2015-01-03"), (2, "2015-01-12"), (3, "2015-01-31")] {
        server.accept(&[job(id, 1, "COMPLETED", &format!("{day}T00:00:00Z"))]);
    }
    server
}

fn exported(client: &Client) -> usize {
    client.get("/v6/export/").text().lines().count() - 1
}

#[test]
fn a_clock_that_jumps_deletes_nothing_hides_nothing_and_refuses_nothing() {
    let mut server = with_three_days();
    let (all, tag) =
        (jobs_by_day(&server), server.get("/v6/metrics/job-types/plot-data/").header("etag").map(str::to_owned));
    for clock in ["2099-01-01T00:00:00Z", "2015-03-18T00:00:00Z"] {
        server.set_clock(clock);
        // The first look of a server that starts is over before it answers.
        server.restart();
        assert_eq!((exported(&server), jobs_by_day(&server)), (3, all.clone()), "{clock}");
        server
            .accept(&[job(3, 1, "COMPLETED", "2015-01-31T00:00:00Z"), job(1, 1, "COMPLETED", "2015-01-03T00:00:00Z")]);
        let figures = server.get("/metrics").text();
        assert!(figures.contains("\nscale_metrics_retention_clock_trusted 0\n"), "{figures}");
        assert!(figures.contains("\nscale_metrics_retention_waiting_seconds 86400\n"), "{figures}");
        assert_eq!(server.get("/readyz").status, 200);
    }
    server.set_clock("2015-02-01T00:10:00Z");
    server.restart();
    assert_eq!((exported(&server), jobs_by_day(&server)), (3, all));
    assert_eq!(server.get("/v6/metrics/job-types/plot-data/").header("etag").map(str::to_owned), tag);
    assert!(server.get("/metrics").text().contains("\nscale_metrics_retention_clock_trusted 1\n"));
    // By the clock that is right, all is as ever.
    assert_eq!(server.post(job(4, 1, "COMPLETED", "2015-01-01T00:00:00Z")).status, 400);
    server.accept(&[job(4, 1, "COMPLETED", "2015-01-02T00:00:00Z")]);
}

#[test]
fn a_clock_that_runs_on_undisturbed_is_believed_in_the_end() {
    let mut server = with_three_days();
    server.set_clock("2015-03-18T00:00:00Z");
    server.restart();
    server.set_now("2015-03-18T23:00:00Z");
    server.restart();
    assert_eq!(exported(&server), 3);
    server.set_now("2015-03-19T00:00:00Z");
    server.restart();
    wait_for_lines(&server, 1);
    assert_eq!(jobs_by_day(&server).len(), 3);
    assert!(server.get("/metrics").text().contains("\nscale_metrics_retention_waiting_seconds 0\n"));
    // What was deleted must not be counted twice; a day that never had anything is open as long as the settings say.
    server.set_clock("2015-02-01T00:10:00Z");
    server.restart();
    assert_eq!(server.post(job(9, 1, "COMPLETED", "2015-01-31T00:00:00Z")).status, 400);
    server.accept(&[job(9, 1, "COMPLETED", "2015-02-01T00:00:00Z")]);
}

#[test]
fn shorter_periods_wait_for_the_grace_period_and_a_mistake_loses_nothing() {
    let mut server = with_three_days();
    let short = |config: &mut Config| config.retention.events_days = 1;
    server.restart_with(short);
    assert_eq!((exported(&server), jobs_by_day(&server).len()), (3, 3));
    assert!(server.get("/metrics").text().contains("\nscale_metrics_retention_waiting_seconds 86400\n"));
    // The settings in force decide what is accepted.
    let refused = server.post(job(4, 1, "COMPLETED", "2015-01-12T00:00:00Z"));
    assert_eq!(refused.json()["errors"][0]["detail"], "lies before 2015-01-31; older events are no longer kept");
    server.restart_with(|config| config.retention.events_days = 30);
    server.accept(&[job(4, 1, "COMPLETED", "2015-01-12T00:00:00Z"), job(2, 1, "CANCELED", "2015-01-12T00:00:00Z")]);
    assert_eq!(exported(&server), 4);

    server.restart_with(short);
    server.set_now("2015-02-01T23:00:00Z");
    server.restart();
    assert_eq!(exported(&server), 4);
    server.set_now("2015-02-02T01:00:00Z");
    server.restart();
    wait_for_lines(&server, 2);

    server.restart_with(|config| {
        config.retention.events_days = 30;
        config.retention.grace_hours = 0;
    });
    server.restart_with(short);
    server.set_now("2015-02-10T00:00:00Z");
    server.restart();
    wait_for_lines(&server, 1);
}

/// The variables by which `faketime` has a program see `time` when it starts; `None`, and a line that says so, where it is not
/// installed.
fn faketime(time: &str) -> Option<Vec<(String, String)>> {
    let Ok(output) = Command::new("faketime").args([time, "env"]).output() else {
        skip("there is no `faketime` (Debian package faketime), so no program is run by a wrong clock");
        return None;
    };
    let output = String::from_utf8(output.stdout).unwrap();
    let variables = output.lines().filter_map(|line| line.split_once('='));
    let wanted = variables.filter(|(name, _)| ["LD_PRELOAD", "FAKETIME"].contains(name));
    let found: Vec<_> = wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(found.len(), 2, "faketime works otherwise than it did: {output}");
    Some(found)
}

/// The program by a clock that shows that when it starts.
fn at(clock: &[(String, String)], directory: &TempDir, arguments: &[&str]) -> Command {
    let mut command = program(directory.path(), arguments);
    command.envs(clock.iter().cloned());
    command
}

const SERVE_30_DAYS: [&str; 5] = ["serve", "--listen", FREE_PORT, "--retention-events-days", "30"];

/// A job that ended so many days ago by the clock that is right.
fn job_ago(id: u64, days: u64) -> Value {
    let ended = std::time::SystemTime::now() - Duration::from_hours(24 * days);
    let us = ended.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_micros();
    let ended = scale_metrics::time::Timestamp::from_micros(us.try_into().unwrap()).unwrap();
    job(id, 1, "COMPLETED", &ended.to_string())
}

#[test]
fn a_server_that_starts_by_a_wrong_clock_loses_nothing() {
    let (Some(far), Some(near)) = (faketime("2099-01-01 00:00:00"), faketime("+45 days")) else { return };
    let directory = TempDir::new().unwrap();
    let server = Serving::start(&mut program(directory.path(), &SERVE_30_DAYS));
    server.client.accept(&[job_type(1, "a"), job_ago(1, 0), job_ago(2, 10), job_ago(3, 29)]);
    assert!(server.end("TERM").success());
    for clock in [far, near] {
        let server = Serving::start(&mut at(&clock, &directory, &SERVE_30_DAYS));
        server.client.accept(&[job_ago(4, 5)]);
        assert_eq!(exported(&server.client), 4);
        let figures = server.client.get("/metrics").text();
        assert!(figures.contains("\nscale_metrics_retention_clock_trusted 0\n"), "{figures}");
        assert!(server.end("TERM").success());
    }
    let server = Serving::start(&mut program(directory.path(), &SERVE_30_DAYS));
    server.client.accept(&[job_ago(5, 0), job_ago(6, 29)]);
    assert_eq!((exported(&server.client), jobs_by_day(&server.client).len()), (6, 4));
    assert!(server.client.get("/metrics").text().contains("\nscale_metrics_retention_clock_trusted 1\n"));
    assert!(server.end("TERM").success());
}

#[test]
fn expire_by_a_wrong_clock_deletes_nothing_unless_it_is_confirmed_and_days_can_be_opened_again() {
    let Some(wrong) = faketime("2099-06-01 12:00:00") else { return };
    let directory = TempDir::new().unwrap();
    let server = Serving::start(&mut program(directory.path(), &SERVE_30_DAYS));
    server.client.accept(&[job_type(1, "a"), job_ago(1, 0), job_ago(2, 10), job_ago(3, 29)]);
    assert!(server.end("TERM").success());
    let said_and_noted = |command: &mut Command| {
        let output = command.output().unwrap();
        let [said, noted] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(output.status.success(), "{noted}");
        (said, noted)
    };
    let said = |command: &mut Command| said_and_noted(command).0;
    let expire = ["expire", "--retention-events-days", "30"];
    let expire_and = |more: &[&'static str]| [&expire[..], more].concat();
    let refused = refusal(&mut at(&wrong, &directory, &expire));
    for part in ["the clock says 2099-06-01T1", "nothing was deleted", "--confirm 2099-05-01"] {
        assert!(refused.contains(part), "{refused}");
    }
    let (would, noted) = said_and_noted(&mut at(&wrong, &directory, &expire_and(&["--dry-run"])));
    assert!(would.starts_with("would go: 3 events of 3 days before 2099-05-01\n"), "{would}");
    assert!(noted.contains("`expire` needs --confirm 2099-05-01") && noted.contains("waits for 24 hours"), "{noted}");
    let other = refusal(&mut at(&wrong, &directory, &expire_and(&["--confirm", "2099-04-30"])));
    assert!(other.contains("--confirm 2099-04-30") && other.contains("2099-05-01"), "{other}");
    // By the clock that is right there is nothing to delete, and nothing is wrong.
    assert!(said(&mut program(directory.path(), &expire)).starts_with("gone: 0 events"));

    let gone = said(&mut at(&wrong, &directory, &expire_and(&["--confirm", "2099-05-01"])));
    assert!(gone.starts_with("gone: 3 events of 3 days before 2099-05-01\n"), "{gone}");
    let server = Serving::start(&mut program(directory.path(), &SERVE_30_DAYS));
    assert_eq!((exported(&server.client), jobs_by_day(&server.client).len()), (0, 3));
    assert_eq!(server.client.post(job_ago(3, 29)).status, 400);
    assert!(server.end("TERM").success());
    let reopen = ["expire", "--reopen", "2015-01-01"];
    let lossy = refusal(&mut program(directory.path(), &reopen));
    assert!(lossy.contains("3 of these days") && lossy.contains("--drop-numbers"), "{lossy}");
    let would = said(program(directory.path(), &reopen).arg("--dry-run"));
    assert!(would.contains("would lose: the numbers of events that are gone, on 3 days from"), "{would}");
    let opened = said(program(directory.path(), &reopen).arg("--drop-numbers"));
    assert!(opened.ends_with("events are kept from 2015-01-01 on\n"), "{opened}");
    let server = Serving::start(&mut program(directory.path(), &SERVE_30_DAYS));
    assert_eq!(jobs_by_day(&server.client), []);
    server.client.accept(&[job_ago(1, 0), job_ago(2, 10), job_ago(3, 29)]);
    assert_eq!(jobs_by_day(&server.client).len(), 3);
    assert!(server.end("TERM").success());
    assert!(said(&mut program(directory.path(), &["check"])).contains("checked 3 events and 6 rollups: 0 problems"));
}

#[test]
fn a_clock_before_1970_stops_the_start_with_one_line() {
    let Some(wrong) = faketime("1960-01-01 00:00:00") else { return };
    let directory = TempDir::new().unwrap();
    Serving::serve(directory.path()).end("TERM");
    for arguments in [&["serve", "--listen", FREE_PORT][..], &["demo", "--listen", FREE_PORT], &["expire"]] {
        let refused = refusal(&mut at(&wrong, &directory, arguments));
        assert!(refused.contains("the system clock shows a time before 1970-01-01"), "{refused}");
    }
}
