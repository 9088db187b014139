//! What is counted: the rules of docs/reference.md, Counting, one by one, and its worked example in full; a module for each
//! promise.
//!
//! Not here: many events at once (`random_streams`), and how values are asked for (`plot_data`).

mod buckets;
mod corrections;
mod executions;
mod ingests;
mod jobs;
mod redefinitions;
mod sums;
mod worked_example;

use serde_json::{Value, json};

use crate::support::{TestServer, builtin_error, error, execution, job_type, strike, with};

const DAY: &str = "2015-01-01T00:00:00";
const END: &str = "2015-01-01T12:00:00Z";
const FINAL: [&str; 3] = ["COMPLETED", "FAILED", "CANCELED"];
const SYSTEM: u64 = 1;
const DATA: u64 = 2;
const ALGORITHM: u64 = 3;
/// An error that is not built in.
const HOMEMADE: u64 = 4;

/// A server that knows job types 1 and 2, strikes 1 and 2, and four errors.
fn server() -> TestServer {
    let server = TestServer::start();
    server.accept(&[
        job_type(1, "first"),
        job_type(2, "second"),
        strike(1, "first"),
        strike(2, "second"),
        builtin_error(SYSTEM, "no-disk", "SYSTEM"),
        builtin_error(DATA, "bad-file", "DATA"),
        builtin_error(ALGORITHM, "diverged", "ALGORITHM"),
        error(HOMEMADE, "homemade", "ALGORITHM"),
    ]);
    server
}

/// The only value of a column by day, over all choices.
#[track_caller]
fn value(server: &TestServer, metrics_type: &str, column: &str) -> u64 {
    let values = server.values(metrics_type, column, "");
    assert_eq!(values.as_array().unwrap().len(), 1, "{column}: {values}");
    values[0]["value"].as_u64().unwrap()
}

/// The sum, smallest, largest and average of a measure on the only day there is.
#[track_caller]
fn four(server: &TestServer, metrics_type: &str, measure: &str) -> [u64; 4] {
    ["sum", "min", "max", "avg"].map(|aggregate| value(server, metrics_type, &format!("{measure}_{aggregate}")))
}

#[track_caller]
fn assert_no_value(server: &TestServer, metrics_type: &str, column: &str) {
    assert_eq!(server.values(metrics_type, column, ""), json!([]), "{column}");
}

/// The columns that have a value other than 0 on the only day there is.
#[track_caller]
fn nonzero(server: &TestServer, metrics_type: &str) -> Value {
    let results = server.plot(metrics_type, "");
    let shown = results.iter().filter_map(|result| {
        let values = result["values"].as_array().unwrap();
        assert!(values.len() <= 1, "{result}");
        let value = values.first()?["value"].clone();
        (value != 0).then(|| (result["column"]["name"].as_str().unwrap().to_owned(), value))
    });
    Value::Object(shown.collect())
}

/// An execution of type 1 that ended at [`END`] after so many seconds, without tasks and queue time.
fn run(id: u64, seconds: &str) -> Value {
    let started = format!("2015-01-01T11:59:{seconds}Z");
    with(execution(id, 1, "", &started, END), json!({ "queued": null }))
}

fn task(of: &str, started: &str, ended: &str) -> Value {
    json!({ "type": of, "started": format!("2015-01-01T{started}Z"), "ended": format!("2015-01-01T{ended}Z") })
}

/// A completed execution from 10:00:00 to 12:00:00, queued at 09:00:00, with these tasks.
fn execution_with(tasks: &Value) -> Value {
    let execution = execution(1, 1, "2015-01-01T09:00:00Z", "2015-01-01T10:00:00Z", END);
    with(execution, json!({ "tasks": tasks }))
}
