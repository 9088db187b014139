//! Databases of every format that a release has written can be opened, with all that is in them.
//!
//! For each format, `fixtures/` has databases of the program that wrote it. One has definitions and events of all kinds, with
//! corrections, over six weeks, and beside it is what that program exported from it. In another, the events of the first two weeks
//! are forgotten, and beside it are the plots that the program showed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use scale_metrics::commands::check;
use scale_metrics::store::{OpenOptions, Store, StoreError};
use scale_metrics::worker::upgrade;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{TestServer, gunzip};

/// A data directory with this database.
fn directory(name: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("metrics.redb"), fixture(name)).unwrap();
    directory
}

fn open(directory: &TempDir) -> Store {
    Store::open(directory.path(), OpenOptions::verified(1 << 20)).unwrap()
}

fn server(directory: &TempDir) -> TestServer {
    TestServer::start_with(|config| config.storage.data = directory.path().to_path_buf())
}

fn fixture(name: &str) -> Vec<u8> {
    gunzip(&fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures").join(name)).unwrap())
}

#[test]
fn a_database_of_format_1_has_what_its_program_exported() {
    let directory = directory("format-1.redb.gz");
    let store = open(&directory);
    upgrade::run(&store, || {}).unwrap();
    let report = check::run(&store, false).unwrap();
    assert_eq!(report.problems, []);
    assert!(report.events > 500, "{}", report.events);
    store.close();
    let old = server(&directory);
    let exported = fixture("format-1.ndjson.gz");
    assert_eq!(old.get("/v6/export/").body, exported);
    // The stored rollups show what the events give.
    let new = TestServer::start();
    let posted = new.ndjson(std::str::from_utf8(&exported).unwrap());
    assert_eq!(posted.status, 200, "{posted:?}");
    for (name, choices) in [("job-types", 30), ("ingests", 5), ("errors", 0)] {
        let all: Vec<_> = (1..=choices).map(|id| format!("&choice_id={id}")).collect();
        for choices in ["", &all.concat()] {
            for resolution in ["day", "hour"] {
                let query = format!("/v6/metrics/{name}/plot-data/?resolution={resolution}&page_size=1000{choices}");
                let [of_old, of_new] = [&old, &new].map(|server| server.get(&query).json()["results"].take());
                assert_eq!(of_old.as_array().map(Vec::len), of_new.as_array().map(Vec::len));
                for (old, new) in of_old.as_array().unwrap().iter().zip(of_new.as_array().unwrap()) {
                    assert_eq!(old, new, "{query}");
                }
                assert!(of_old[0]["values"].as_array().is_some_and(|values| !values.is_empty()), "{query}");
            }
        }
    }
}

/// The values of a column as a server shows them.
fn values<'a>(results: &'a [Value], column: &str) -> &'a Vec<Value> {
    let series = results.iter().find(|series| series["column"]["name"] == column).unwrap();
    series["values"].as_array().unwrap()
}

#[test]
fn days_whose_events_format_1_had_forgotten_keep_their_numbers_and_have_no_percentiles() {
    let directory = directory("format-1-forgotten.redb.gz");
    let server = server(&directory);
    let results = server.plot("job-types", "ended=2026-11-27&page_size=1000");
    let before: Vec<Value> = serde_json::from_slice(&fixture("format-1-forgotten.json.gz")).unwrap();
    for series in &before {
        let column = series["column"]["name"].as_str().unwrap();
        assert_eq!(values(&results, column), series["values"].as_array().unwrap(), "{column}");
    }
    let (sums, percentiles) = (values(&results, "run_time_sum"), values(&results, "run_time_p95"));
    let first = percentiles[0]["datetime"].as_str().unwrap();
    assert_eq!((sums.len(), first), (26, "2026-11-14T00:00:00"));
    let kept = sums.iter().filter(|value| value["datetime"].as_str().unwrap() >= first);
    assert!(kept.map(|value| &value["datetime"]).eq(percentiles.iter().map(|value| &value["datetime"])));
    // What contains such a day does not know its percentiles either.
    let totals =
        |started: &str| server.get(&format!("/v6/metrics/job-types/totals/?started={started}&ended=2026-11-27"));
    assert_eq!(totals("2026-11-13").json()["all"]["values"]["run_time_p95"], Value::Null);
    assert!(totals("2026-11-13").json()["all"]["values"]["run_time_max"].is_u64());
    assert!(totals("2026-11-14").json()["all"]["values"]["run_time_p95"].is_u64());
    let by_hour = server.plot("job-types", "resolution=hour&ended=2026-11-27&page_size=1000");
    let early = |column| values(&by_hour, column).iter().filter(|it| it["datetime"].as_str().unwrap() < first).count();
    assert!(early("run_time_sum") > 0 && early("run_time_p95") == 0);
    drop(server);
    let report = check::run(&open(&directory), false).unwrap();
    assert_eq!(report.problems, []);
}

#[test]
fn an_upgrade_that_stops_at_any_day_goes_on_at_the_next_start() {
    let whole = directory("format-1.redb.gz");
    upgrade::run(&open(&whole), || {}).unwrap();
    let expected = server(&whole).plot("job-types", "page_size=1000");
    for steps in 1.. {
        let directory = directory("format-1.redb.gz");
        let mut is_done = false;
        let mut starts = 0;
        while !is_done {
            let store = open(&directory);
            starts += 1;
            for _ in 0..steps {
                if is_done {
                    break;
                }
                assert!(store.needs_upgrade());
                assert!(matches!(store.snapshot().map(drop), Err(StoreError::Upgrading)));
                assert!(matches!(store.begin().map(drop), Err(StoreError::Upgrading)));
                is_done = upgrade::step(&store, Duration::ZERO).unwrap();
            }
        }
        assert_eq!(server(&directory).plot("job-types", "page_size=1000"), expected);
        assert_eq!(check::run(&open(&directory), false).unwrap().problems, []);
        if starts == 1 {
            break;
        }
    }
}
