//! How many round trips each step costs if the database is across a network.

use std::ops::Range;
use std::path::Path;

use scale_metrics::events::Object;
use scale_metrics::events::request::Draft;
use scale_metrics::rollup::{Parts, RollupScope};
use scale_metrics::store::{RollupQuery, Store, StoreError};
use scale_metrics::time::Date;
use scale_metrics::vocabulary::{ChoiceId, MetricsTypeId};
use scale_metrics::worker::commit;

use super::faults::Faults;
use super::remote::Remote;

/// Counts the round trips of a database.
#[derive(Debug, Default)]
struct Trips(Faults);

impl Trips {
    /// Runs `work`. Returns the number of its round trips, and its result.
    fn of<T>(&self, work: impl FnOnce() -> T) -> (u64, T) {
        let count = || self.0.counts()["operations"];
        let before = count();
        let result = work();
        (count() - before, result)
    }
}

const JOB_TYPES: u64 = 200;
const DAYS: u64 = 28;

fn store() -> (Store, Trips) {
    let trips = Trips::default();
    let store = Store::with_rows(Path::new("nowhere"), Box::new(Remote::new(0, trips.0.clone()).database()));
    store.open_first().unwrap();
    (store, trips)
}

fn read(lines: &str, mut draft: Draft) -> Vec<Object> {
    draft.read_ndjson(lines.as_bytes()).unwrap();
    draft.finish().unwrap()
}

/// Returns jobs that ended with `status`, and failed executions, which count in two metrics types.
fn events(ids: Range<u64>, status: &str) -> String {
    let event = |id: u64| {
        let (job_type, day) = (id * 7 % JOB_TYPES + 1, id * 13 % DAYS + 1);
        let common = format!("\"id\": {id}, \"job_type\": {job_type}, \"ended\": \"2015-01-{day:02}T05:00:00Z\"");
        let job = format!("{{\"kind\": \"job\", {common}, \"status\": \"{status}\"}}\n");
        let execution =
            format!("{{\"kind\": \"job_execution\", {common}, \"status\": \"FAILED\", \"error\": {}}}\n", id % 3 + 1);
        job + &execution
    };
    ids.map(event).collect()
}

fn write(store: &Store, objects: Vec<Object>) {
    store.write(|transaction| commit::apply(transaction, &[objects])).unwrap();
}

fn store_with_definitions() -> (Store, Trips) {
    let (store, trips) = store();
    let job_type = |id| format!("{{\"kind\": \"job_type\", \"id\": {id}, \"name\": \"a{id}\", \"version\": \"1\"}}\n");
    let error = |id| {
        format!(
            "{{\"kind\": \"error\", \"id\": {id}, \"name\": \"e{id}\", \"category\": \"DATA\", \"is_builtin\": true}}\n"
        )
    };
    let lines: String = (1..=JOB_TYPES).map(job_type).chain((1..=3).map(error)).collect();
    write(&store, read(&lines, Draft::default()));
    (store, trips)
}

#[test]
fn a_commit_of_ten_thousand_events_takes_few_round_trips() {
    let (store, trips) = store_with_definitions();
    let mut most = 0;
    for (case, ids, status) in [
        ("new events", 1..5_001, "COMPLETED"),
        ("more of the same days", 5_001..10_001, "COMPLETED"),
        ("the same events again", 5_001..10_001, "COMPLETED"),
        ("corrections", 5_001..10_001, "FAILED"),
        ("old and new ones", 7_501..12_501, "CANCELED"),
    ] {
        let objects = read(&events(ids, status), store.snapshot().unwrap().draft());
        assert_eq!(objects.len(), 10_000);
        let (took, ()) = trips.of(|| write(&store, objects));
        assert!(took <= 12, "{case}: {took} round trips");
        most = most.max(took);
    }
    assert!(most > 5, "they are counted");
}

#[test]
fn a_plot_takes_three_round_trips_at_most() {
    let (store, trips) = store_with_definitions();
    write(&store, read(&events(1..5_001, "COMPLETED"), store.snapshot().unwrap().draft()));
    let date = |day: u8| format!("2015-01-{day:02}").parse::<Date>().unwrap();
    let choice = |id| RollupScope::Choice(ChoiceId::new(id).unwrap());
    let all: Vec<_> = (1..=JOB_TYPES).map(choice).collect();
    for scopes in [&[RollupScope::All][..], &all[..1], &all[..20], &all] {
        for is_hourly in [false, true] {
            let (took, values) = trips.of(|| {
                let snapshot = store.snapshot().unwrap();
                let (metrics, dates) = (MetricsTypeId::JobTypes, (date(1), date(28)));
                let query = RollupQuery { metrics, scopes, dates, parts: Parts::COUNTERS };
                let mut values = 0;
                let read = snapshot.rollups::<StoreError>(
                    &query,
                    |_| !is_hourly,
                    || Ok(()),
                    |_, _, _, _| {
                        values += 1;
                        Ok(())
                    },
                );
                read.unwrap();
                values
            });
            assert!(values >= scopes.len(), "there is something to read");
            assert!(took <= 3, "{} choices: {took} round trips", scopes.len());
        }
    }
}
