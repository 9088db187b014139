//! Databases of every format that a release has written can be opened, with all that is in them.
//!
//! For each format, `fixtures/` has a database, and what the program that made it exported from it: definitions and events of all
//! kinds, with corrections, over six weeks.

use std::fs;
use std::path::Path;

use scale_metrics::commands::check;
use scale_metrics::store::{OpenOptions, Store};

use crate::support::{TestServer, gunzip};

fn fixture(name: &str) -> Vec<u8> {
    gunzip(&fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures").join(name)).unwrap())
}

#[test]
fn a_database_of_format_1_has_what_its_program_exported() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("metrics.redb"), fixture("format-1.redb.gz")).unwrap();
    let store = Store::open(directory.path(), OpenOptions::verified(1 << 20)).unwrap();
    let report = check::run(&store, false).unwrap();
    assert_eq!(report.problems, []);
    assert!(report.events > 500, "{}", report.events);
    store.close();
    let old = TestServer::start_with(|config| config.storage.data = directory.path().to_path_buf());
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
                let values = old.get(&query).json()["results"].clone();
                assert_eq!(values, new.get(&query).json()["results"], "{query}");
                assert!(values[0]["values"].as_array().is_some_and(|values| !values.is_empty()), "{query}");
            }
        }
    }
}
