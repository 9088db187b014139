//! What every [`Database`] has to do: random transactions, compared with maps.
//!
//! The test of an implementation calls [`conforms`] with a new, empty database of its kind.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use scale_metrics::store::rows::postgres::PostgresDatabase;
use scale_metrics::store::rows::redb::{OpenOptions, RedbDatabase};
use scale_metrics::store::rows::{Changes, Database, Floor, Key, Order, Read, Table, Visitor};

use super::faults::Faults;
use super::remote::Remote;
use crate::support::postgres::Postgres;

/// The rows of a database, as maps.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    rows: BTreeMap<(Table, Key), Vec<u8>>,
    numbers: BTreeMap<&'static str, u64>,
}

const NAMES: [&str; 3] = ["format", "a", "b"];
const KEYS: u8 = 60;

/// What a transaction does in one step.
#[derive(Debug, Clone)]
enum Step {
    /// Each row gets a value, or goes.
    Write(Vec<(Table, u8, Option<Vec<u8>>)>),
    RemoveRange(Table, u8, u8),
}

#[derive(Debug, Clone)]
struct AnyTransaction {
    steps: Vec<Step>,
    numbers: Vec<(&'static str, Option<u64>)>,
    /// Whether it says before each step what is read after it.
    prefetches: bool,
    is_committed: bool,
}

/// What is read after each step.
#[derive(Debug, Clone)]
struct Reads {
    table: Table,
    keys: Vec<u8>,
    range: (u8, u8),
    most: usize,
}

fn any_transactions() -> impl Strategy<Value = Vec<(AnyTransaction, Reads)>> {
    let table = || select(&Table::ALL[..]);
    let row = (table(), 0..KEYS, proptest::option::weighted(0.8, vec(any::<u8>(), 0..40)));
    let step = prop_oneof![
        8 => vec(row, 0..40).prop_map(Step::Write),
        1 => (table(), 0..KEYS, 0..KEYS).prop_map(|(table, start, end)| Step::RemoveRange(table, start, end)),
    ];
    let numbers = vec((select(&NAMES[1..]), proptest::option::of(any::<u64>())), 0..3);
    let transaction = (vec(step, 0..4), numbers, any::<bool>(), prop::bool::weighted(0.8)).prop_map(
        |(steps, numbers, prefetches, is_committed)| AnyTransaction { steps, numbers, prefetches, is_committed },
    );
    let reads = (table(), vec(0..KEYS, 0..12), (0..KEYS, 0..KEYS), 0..20_usize)
        .prop_map(|(table, keys, range, most)| Reads { table, keys, range, most });
    vec((transaction, reads), 1..8)
}

/// Keys have a width of their own in each table.
fn key(table: Table, number: u8) -> Key {
    let width = match table {
        Table::Definitions | Table::Index => 9,
        Table::Blocks => 21,
        Table::Rollups => 13,
        Table::Totals => 5,
    };
    let mut bytes = vec![7; width];
    bytes[width - 2] = number / 16;
    bytes[width - 1] = number % 16;
    Key::new(&bytes)
}

impl Reads {
    /// The keys, ascending.
    fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<_> = self.keys.iter().map(|&number| key(self.table, number)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Floors at the keys. Groups of sixteen keys have the same first one.
    fn floors(&self) -> Vec<Floor> {
        let mut numbers = self.keys.clone();
        numbers.sort_unstable();
        numbers.iter().map(|&n| Floor { first: key(self.table, n / 16 * 16), last: key(self.table, n) }).collect()
    }
}

impl Model {
    fn range(&self, table: Table, range: &Range<Key>) -> Vec<(Key, Vec<u8>)> {
        let rows = self.rows.iter().filter(|((of, key), _)| *of == table && range.contains(key));
        rows.map(|((_, key), value)| (*key, value.clone())).collect()
    }

    /// Asserts that everything that can be read is as in this model.
    fn assert_reads(&self, rows: &dyn Read, reads: &Reads) {
        let Reads { table, range: (start, end), most, .. } = reads;
        let collect = |read: &dyn Fn(&mut Visitor<'_>)| {
            let mut found = Vec::new();
            read(&mut |key, value| {
                found.push((Key::new(key), value.to_vec()));
                ControlFlow::Continue(())
            });
            found
        };
        let wanted = reads.keys();
        let expected: Vec<_> =
            wanted.iter().filter_map(|key| Some((*key, self.rows.get(&(*table, *key))?.clone()))).collect();
        assert_eq!(collect(&|visit| rows.get(*table, &wanted, visit).unwrap()), expected, "get");

        let range = key(*table, *start)..key(*table, *end);
        let mut expected = self.range(*table, &range);
        assert_eq!(collect(&|visit| rows.scan(*table, range.clone(), Order::Ascending, visit).unwrap()), expected);
        expected.reverse();
        assert_eq!(collect(&|visit| rows.scan(*table, range.clone(), Order::Descending, visit).unwrap()), expected);
        let mut visited = 0;
        rows.scan(*table, Key::MIN..Key::MAX, Order::Ascending, &mut |_, _| {
            visited += 1;
            if visited >= *most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
        assert_eq!(
            visited,
            self.range(*table, &(Key::MIN..Key::MAX)).len().min((*most).max(1)),
            "a scan ends when it is told"
        );

        let floors = reads.floors();
        let mut expected: Vec<_> = floors
            .iter()
            .filter_map(|floor| self.range(*table, &(floor.first..floor.last.successor())).pop())
            .collect();
        expected.dedup();
        assert_eq!(collect(&|visit| rows.floors(*table, &floors, visit).unwrap()), expected, "floors {floors:?}");

        let numbers: Vec<_> = NAMES.iter().map(|name| self.numbers.get(name).copied()).collect();
        assert_eq!(rows.numbers(&NAMES).unwrap(), numbers);
    }
}

/// Runs these transactions, and compares what is read with the model after each step, in the transaction and in views.
fn conforms(database: &dyn Database, transactions: &[(AnyTransaction, Reads)]) {
    database.open(&[("format", 1)]).unwrap();
    let mut model = Model { numbers: [("format", 1)].into(), ..Model::default() };
    for (AnyTransaction { steps, numbers, prefetches, is_committed }, reads) in transactions {
        let (view, first) = database.view(&["format", "missing"]).unwrap();
        assert_eq!(first, [Some(1), None]);
        let before = model.clone();
        let (mut transaction, first) = database.begin(&["format"]).unwrap();
        assert_eq!(first, [Some(1)]);
        for step in steps {
            if *prefetches {
                // Others than those that are read, too.
                let mut keys = (0..KEYS / 2).map(|number| key(reads.table, number)).chain(reads.keys()).rev();
                transaction.prefetch(reads.table, &mut keys).unwrap();
                transaction.prefetch_floors(reads.table, &reads.floors()).unwrap();
            }
            match step {
                Step::Write(rows) => {
                    let mut changes: BTreeMap<Table, Changes> = BTreeMap::new();
                    let rows: BTreeMap<_, _> = rows.iter().map(|(table, n, value)| ((*table, *n), value)).collect();
                    for ((table, number), value) in rows.into_iter().rev() {
                        let (changes, place) = (changes.entry(table).or_default(), (table, key(table, number)));
                        match value {
                            Some(value) if model.rows.contains_key(&place) => changes.replace(place.1, value),
                            Some(value) => changes.insert(place.1, value),
                            None => changes.remove(place.1),
                        }
                        match value {
                            Some(value) => _ = model.rows.insert(place, value.clone()),
                            None => _ = model.rows.remove(&place),
                        }
                    }
                    changes.values_mut().for_each(Changes::sort);
                    transaction
                        .write(&changes.iter().map(|(table, changes)| (*table, changes)).collect::<Vec<_>>())
                        .unwrap();
                }
                Step::RemoveRange(table, start, end) => {
                    let range = key(*table, *start)..key(*table, (*start).max(*end));
                    transaction.remove_range(*table, range.clone()).unwrap();
                    model.rows.retain(|(of, key), _| of != table || !range.contains(key));
                }
            }
            model.assert_reads(&*transaction, reads);
            before.assert_reads(&*view, reads);
        }
        if *is_committed {
            transaction.commit(&[], numbers).unwrap();
            for (name, number) in numbers {
                match number {
                    Some(number) => _ = model.numbers.insert(name, *number),
                    None => _ = model.numbers.remove(name),
                }
            }
        } else {
            drop(transaction);
            model = before.clone();
        }
        before.assert_reads(&*view, reads);
        drop(view);
        model.assert_reads(&*database.view(&[]).unwrap().0, reads);
    }
    database.checkpoint().unwrap();
    database.reopen().unwrap();
    for table in Table::ALL {
        let reads = Reads { table, keys: (0..KEYS).collect(), range: (0, KEYS), most: 3 };
        model.assert_reads(&*database.view(&[]).unwrap().0, &reads);
    }
    database.close();
    assert!(database.view(&[]).is_err());
}

fn at(address: &str) -> PostgresDatabase {
    PostgresDatabase::at(&address.parse().unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_database_in_a_file_does_what_every_database_does(transactions in any_transactions()) {
        let directory = tempfile::tempdir().unwrap();
        conforms(&RedbDatabase::in_file(directory.path().join("rows"), OpenOptions::verified(1 << 20)), &transactions);
    }

    #[test]
    fn a_database_on_a_server_does_what_every_database_does(transactions in any_transactions()) {
        let Some(server) = Postgres::shared() else { return Ok(()) };
        conforms(&at(&server.new_database()), &transactions);
    }

    /// Where Citus is installed, some of the tables are read and written another way. Here it seems to be, and distributes nothing.
    #[test]
    fn a_database_that_citus_distributes_does_what_every_database_does(transactions in any_transactions()) {
        let Some(server) = Postgres::shared() else { return Ok(()) };
        let address = server.new_database();
        server.psql(&address, "CREATE FUNCTION create_distributed_table(regclass, text) RETURNS void LANGUAGE sql AS ''");
        conforms(&at(&address), &transactions);
        assert_eq!(server.psql(&address, "SELECT value FROM scale_metrics_numbers WHERE name = 'distributed'"), "1");
    }

    #[test]
    fn the_remote_database_of_the_simulation_does_what_every_database_does(transactions in any_transactions()) {
        conforms(&Remote::new(0, Faults::default()).database(), &transactions);
    }
}
