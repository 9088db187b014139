//! `scale-metrics check`: docs/reference.md, The program.

use std::fs;
use std::ops::ControlFlow;

use scale_metrics::commands::check::{Problem, run};
use scale_metrics::events::request::Draft;
use scale_metrics::rollup::{Rollup, RollupKey, RollupScope};
use scale_metrics::store::rows::redb::RedbDatabase;
use scale_metrics::store::rows::{Changes, Database as _, Key, Order, Table};
use scale_metrics::store::{OpenOptions, Store};
use scale_metrics::time::Date;
use scale_metrics::vocabulary::{ChoiceId, MetricsTypeId};
use scale_metrics::worker::commit;
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
fn what_is_left_after_deletions_and_a_kill_checks_out() {
    let directory = TempDir::new().unwrap();
    let mut server = Serving::serve(directory.path());
    let jobs: Vec<_> = (1..=700).map(|id| job(id, 1, "FAILED", "2015-01-02T03:04:05Z")).collect();
    server.client.accept(&worked_example());
    server.client.accept(&jobs);
    // Whole blocks, parts of blocks, the longest execution, and one that is not there.
    let keys = (3..=690).map(|id| serde_json::json!({"kind": "job", "id": id}));
    let executions = [2, 77].map(|id| serde_json::json!({"kind": "job_execution", "id": id}));
    let keys: Vec<_> = keys.chain(executions).collect();
    let body = serde_json::to_vec(&keys).unwrap();
    let answer = server.client.send("POST", "/v6/events/delete/", &[("Content-Type", "application/json")], &body);
    assert_eq!(answer.json(), serde_json::json!({"deleted": 689, "missing": 1}));
    server.kill();
    let (code, said, complaint) = check(&directory, &[]);
    // The jobs 1, 2 and 691 to 700, and an execution; rollups of the choice and of all, on two days.
    assert_eq!((code, said.as_str()), (Some(0), "checked 13 events and 4 rollups: 0 problems\n"), "{complaint}");
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

// What is found and what is repaired, row by row.

const EVENTS: &str = r#"
    {"kind": "job_type", "id": 1, "name": "a", "version": "1"}
    {"kind": "job_type", "id": 2, "name": "b", "version": "1"}
    {"kind": "error", "id": 5, "name": "lost", "category": "SYSTEM", "is_builtin": true}
    {"kind": "job", "id": 1, "job_type": 1, "status": "COMPLETED", "ended": "2015-01-01T01:00:00Z"}
    {"kind": "job", "id": 2, "job_type": 2, "status": "FAILED", "error": 5, "ended": "2015-01-01T02:00:00Z"}
    {"kind": "job", "id": 3, "job_type": 1, "status": "RUNNING"}
    {"kind": "job", "id": 700, "job_type": 1, "status": "CANCELED", "ended": "1970-01-01T00:00:00Z"}
    {"kind": "job_execution", "id": 1, "job_type": 1, "status": "COMPLETED",
        "started": "2015-01-01T00:10:00Z", "ended": "2015-01-01T01:00:00Z"}
    {"kind": "job_execution", "id": 2, "job_type": 2, "status": "FAILED", "error": 5, "ended": "2015-01-02T02:00:00Z"}
"#;

fn open(directory: &TempDir) -> Store {
    Store::open(directory.path(), OpenOptions::verified(1 << 20)).unwrap()
}

/// A store with these events.
fn store() -> (TempDir, Store) {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let mut draft = Draft::default();
    draft.read_ndjson(EVENTS.trim().replace(",\n", ", ").as_bytes()).unwrap();
    let objects = draft.finish().unwrap();
    store.write(|transaction| commit::apply(transaction, &[objects])).unwrap();
    (directory, store)
}

/// Replaces the rows whose keys begin like this by bytes that mean nothing. If there are none, makes one with this key. Nobody
/// has the database open.
fn damage(directory: &TempDir, table: Table, beginning: &[u8]) {
    let rows = RedbDatabase::in_file(directory.path().join("metrics.redb"), OpenOptions::verified(1 << 20));
    rows.open(&[]).unwrap();
    let (transaction, _) = rows.begin(&[]).unwrap();
    let mut changes = Changes::default();
    let mut replace = |key: &[u8]| changes.replace(Key::new(key), b"no");
    let mut found = 0;
    let visit = &mut |key: &[u8], _: &[u8]| {
        if !key.starts_with(beginning) {
            return ControlFlow::Break(());
        }
        found += 1;
        replace(key);
        ControlFlow::Continue(())
    };
    transaction.scan(table, Key::new(beginning)..Key::MAX, Order::Ascending, visit).unwrap();
    if found == 0 {
        replace(beginning);
    }
    changes.sort();
    transaction.commit(&[(table, &changes)], &[]).unwrap();
    rows.close();
}

/// Damages the row of a rollup.
fn damage_rollup(directory: &TempDir, RollupKey { date, metrics, scope }: RollupKey) {
    let (days, metrics) = (date.days().to_be_bytes(), [metrics as u8]);
    match scope {
        RollupScope::All => damage(directory, Table::Totals, &[&metrics[..], &days].concat()),
        RollupScope::Choice(choice) => {
            damage(directory, Table::Rollups, &[&days[..], &choice.get().to_be_bytes(), &metrics].concat());
        }
    }
}

fn key(metrics: MetricsTypeId, choice: Option<u64>, date: &str) -> RollupKey {
    let scope = choice.map_or(RollupScope::All, |id| RollupScope::Choice(ChoiceId::new(id).unwrap()));
    RollupKey { date: date.parse().unwrap(), metrics, scope }
}

#[test]
fn what_fits_together_has_no_problems() {
    let (_directory, store) = store();
    let report = run(&store, false).unwrap();
    assert_eq!(report.problems, []);
    // Two job types and all on the first day of 2015, one and all in 1970, an error and all on the second day.
    assert_eq!((report.events, report.rollups), (6, 7));
}

#[test]
fn rollups_that_differ_are_found_and_repaired() {
    let (_directory, store) = store();
    let jobs = MetricsTypeId::JobTypes;
    let wrong = key(jobs, Some(1), "2015-01-01");
    let missing = key(jobs, None, "1970-01-01");
    let too_many = key(MetricsTypeId::Ingests, Some(9), "2020-02-29");
    let before = store.snapshot().unwrap().rollups_of(wrong.date).unwrap();
    store
        .write(|transaction| {
            let mut rollup = before[&wrong].clone();
            rollup.hour_mut(1).counters[0] += 1;
            rollup.hour_mut(23).events += 1;
            transaction.replace_rollup(missing, &Rollup::default());
            transaction.replace_rollup(wrong, &rollup);
            transaction.replace_rollup(too_many, &rollup);
            Ok(())
        })
        .unwrap();
    let problem = |key, hours: &[u8]| Problem::Rollup { key, hours: hours.to_vec() };
    let expected = [problem(missing, &[0]), problem(wrong, &[1, 23]), problem(too_many, &[1, 23])];
    assert_eq!(run(&store, false).unwrap().problems, expected);
    assert_eq!(run(&store, true).unwrap().problems, expected);
    assert_eq!(run(&store, false).unwrap().problems, []);
    assert_eq!(store.snapshot().unwrap().rollups_of(wrong.date).unwrap(), before);
    assert_eq!(
        expected[1].to_string(),
        "job-types of 2015-01-01, choice 1: the rollup is not what the events add up to, in the hours 1, 23"
    );
}

#[test]
fn damaged_rows_are_told_one_by_one_and_what_follows_from_events_is_repaired() {
    let (directory, store) = store();
    let jobs = MetricsTypeId::JobTypes;
    let of_choice = key(jobs, Some(1), "2015-01-01");
    let of_all = key(jobs, None, "2015-01-01");
    let without_events = key(jobs, Some(9), "2015-01-02");
    let before = store.snapshot().unwrap().rollups_of(of_all.date).unwrap();
    store.close();
    for key in [of_choice, of_all, without_events] {
        damage_rollup(&directory, key);
    }
    // The pages of the ids from 0 to 255.
    damage(&directory, Table::Index, &0_u64.to_be_bytes());
    let store = open(&directory);
    let problem = |key, hours: &[u8]| Problem::Rollup { key, hours: hours.to_vec() };
    let expected = [
        problem(of_all, &[1, 2]),
        problem(of_choice, &[1]),
        problem(without_events, &[]),
        // Job 700 is on another page than the others.
        Problem::NotIndexed(5),
    ];
    assert_eq!(run(&store, false).unwrap().problems, expected);
    assert_eq!(run(&store, true).unwrap().problems, expected);
    assert_eq!(run(&store, false).unwrap().problems, []);
    assert_eq!(store.snapshot().unwrap().rollups_of(of_all.date).unwrap(), before);
    assert_eq!(
        expected[2].to_string(),
        "job-types of 2015-01-02, choice 9: the rollup is damaged, and there are no events"
    );
}

#[test]
fn a_day_with_damaged_events_does_not_hide_what_is_wrong_elsewhere() {
    let (directory, store) = store();
    let day: Date = "2015-01-01".parse().unwrap();
    let wrong = key(MetricsTypeId::Errors, Some(5), "2015-01-02");
    store
        .write(|transaction| {
            transaction.replace_rollup(wrong, &Rollup::default());
            Ok(())
        })
        .unwrap();
    store.close();
    damage(&directory, Table::Blocks, &day.days().to_be_bytes());
    let store = open(&directory);
    for repair in [false, true] {
        let problems = run(&store, repair).unwrap().problems;
        let [Problem::Damaged { day: Some(found), .. }, Problem::Rollup { key, .. }] = &problems[..] else {
            panic!("{problems:?}");
        };
        assert_eq!((*found, *key), (day, wrong));
    }
    let problems = run(&store, false).unwrap().problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(
        problems[0].to_string(),
        "the events of 2015-01-01 cannot be read (stored data is damaged: a record is too short); restore a backup"
    );
}
