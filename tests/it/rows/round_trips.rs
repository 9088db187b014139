//! A database that counts round trips, to test the cost of each step if the database is across a network.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use scale_metrics::events::Object;
use scale_metrics::events::request::Draft;
use scale_metrics::rollup::{Parts, RollupScope};
use scale_metrics::store::rows::redb::{OpenOptions, RedbDatabase};
use scale_metrics::store::rows::{
    Changes, Database, Floor, Key, Numbers, OpenProgress, Order, Read, RowsError, Table, Transaction, View, Visitor,
};
use scale_metrics::store::{RollupQuery, Store, StoreError};
use scale_metrics::time::Date;
use scale_metrics::vocabulary::{ChoiceId, MetricsTypeId};
use scale_metrics::worker::commit;
use tempfile::TempDir;

/// Wraps another database and counts its round trips.
#[derive(Debug)]
struct CountedDatabase<D> {
    inner: D,
    trips: Trips,
}

/// The number of round trips so far.
#[derive(Debug, Clone, Default)]
struct Trips(Arc<AtomicUsize>);

impl Trips {
    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs `work`. Returns the number of its round trips, and its result.
    fn of<T>(&self, work: impl FnOnce() -> T) -> (usize, T) {
        let before = self.0.load(Ordering::Relaxed);
        let result = work();
        (self.0.load(Ordering::Relaxed) - before, result)
    }
}

impl<D> CountedDatabase<D> {
    fn new(inner: D, trips: Trips) -> Self {
        Self { inner, trips }
    }
}

struct Counted<T: ?Sized> {
    trips: Trips,
    inner: Box<T>,
}

impl<T: Read + ?Sized> Read for Counted<T> {
    fn get(&self, table: Table, keys: &[Key], visit: &mut Visitor<'_>) -> Result<(), RowsError> {
        self.trips.add();
        self.inner.get(table, keys, visit)
    }

    fn floors(&self, table: Table, floors: &[Floor], visit: &mut Visitor<'_>) -> Result<(), RowsError> {
        self.trips.add();
        self.inner.floors(table, floors, visit)
    }

    fn scan(&self, table: Table, range: Range<Key>, order: Order, visit: &mut Visitor<'_>) -> Result<(), RowsError> {
        self.trips.add();
        self.inner.scan(table, range, order, visit)
    }

    fn numbers(&self, names: &[&str]) -> Result<Numbers, RowsError> {
        self.trips.add();
        self.inner.numbers(names)
    }
}

impl View for Counted<dyn View> {}

impl Transaction for Counted<dyn Transaction + '_> {
    fn write(&mut self, changes: &[(Table, &Changes)]) -> Result<(), RowsError> {
        self.trips.add();
        self.inner.write(changes)
    }

    fn remove_range(&mut self, table: Table, range: Range<Key>) -> Result<(), RowsError> {
        self.trips.add();
        self.inner.remove_range(table, range)
    }

    fn commit(
        self: Box<Self>,
        changes: &[(Table, &Changes)],
        numbers: &[(&str, Option<u64>)],
    ) -> Result<(), RowsError> {
        self.trips.add();
        self.inner.commit(changes, numbers)
    }
}

impl<D: Database> Database for CountedDatabase<D> {
    fn open(&self, first_numbers: &[(&str, u64)]) -> Result<(), RowsError> {
        self.inner.open(first_numbers)
    }

    fn open_progress(&self) -> Arc<OpenProgress> {
        self.inner.open_progress()
    }

    fn view(&self, names: &[&str]) -> Result<(Box<dyn View>, Numbers), RowsError> {
        self.trips.add();
        let (inner, numbers) = self.inner.view(names)?;
        Ok((Box::new(Counted { trips: self.trips.clone(), inner }), numbers))
    }

    fn begin(&self, names: &[&str]) -> Result<(Box<dyn Transaction + '_>, Numbers), RowsError> {
        self.trips.add();
        let (inner, numbers) = self.inner.begin(names)?;
        Ok((Box::new(Counted { trips: self.trips.clone(), inner }), numbers))
    }

    fn is_usable(&self) -> bool {
        self.inner.is_usable()
    }

    fn reopen(&self) -> Result<(), RowsError> {
        self.inner.reopen()
    }

    fn check(&self) -> Result<(), RowsError> {
        self.inner.check()
    }

    fn check_room(&self) -> Result<(), RowsError> {
        self.inner.check_room()
    }

    fn probe(&self) -> Result<(), RowsError> {
        self.inner.probe()
    }

    fn checkpoint(&self) -> Result<(), RowsError> {
        self.inner.checkpoint()
    }

    fn verify(&self) -> Result<bool, RowsError> {
        self.inner.verify()
    }

    fn size_bytes(&self) -> io::Result<u64> {
        self.inner.size_bytes()
    }

    fn close(&self) {
        self.inner.close();
    }
}

const JOB_TYPES: u64 = 200;
const DAYS: u64 = 28;

fn store() -> (TempDir, Store, Trips) {
    let (directory, trips) = (tempfile::tempdir().unwrap(), Trips::default());
    let rows = RedbDatabase::in_file(directory.path().join("rows"), OpenOptions::verified(1 << 24));
    let store = Store::with_rows(directory.path(), Box::new(CountedDatabase::new(rows, trips.clone())));
    store.open_first().unwrap();
    (directory, store, trips)
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

fn store_with_definitions() -> (TempDir, Store, Trips) {
    let (directory, store, trips) = store();
    let job_type = |id| format!("{{\"kind\": \"job_type\", \"id\": {id}, \"name\": \"a{id}\", \"version\": \"1\"}}\n");
    let error = |id| {
        format!(
            "{{\"kind\": \"error\", \"id\": {id}, \"name\": \"e{id}\", \"category\": \"DATA\", \"is_builtin\": true}}\n"
        )
    };
    let lines: String = (1..=JOB_TYPES).map(job_type).chain((1..=3).map(error)).collect();
    write(&store, read(&lines, Draft::default()));
    (directory, store, trips)
}

#[test]
fn a_commit_of_ten_thousand_events_takes_few_round_trips() {
    let (_directory, store, trips) = store_with_definitions();
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
    let (_directory, store, trips) = store_with_definitions();
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
                let read = if is_hourly {
                    snapshot.hours::<StoreError>(
                        &query,
                        || Ok(()),
                        |_, _, _, _| {
                            values += 1;
                            Ok(())
                        },
                    )
                } else {
                    snapshot.days::<StoreError>(
                        &query,
                        || Ok(()),
                        |_, _, _| {
                            values += 1;
                            Ok(())
                        },
                    )
                };
                read.unwrap();
                values
            });
            assert!(values >= scopes.len(), "there is something to read");
            assert!(took <= 3, "{} choices: {took} round trips", scopes.len());
        }
    }
}
