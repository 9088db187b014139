//! A database across a network, in memory: its connections break, its disk runs full, and it crashes, as it is told.
//!
//! What is committed stays, also through a crash. A commit that fails, or that a crash meets, may have taken effect. A broken
//! connection stays broken until the database is opened again, and a transaction that was open on it is undone.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;
use parking_lot::Mutex;
use scale_metrics::store::rows::{
    Cause, Changes, Database, Floor, Key, Numbers, OpenProgress, Order, Read, RowsError, Stamp, Table, Transaction,
    View, Visitor,
};

use super::faults::{Faults, Op, Verdict};

/// One state of the rows and numbers.
#[derive(Debug, Clone, Default)]
struct Rows {
    tables: BTreeMap<Table, BTreeMap<Key, Vec<u8>>>,
    numbers: BTreeMap<String, u64>,
    commits: u64,
}

/// What another server does.
pub(crate) type Act = Box<dyn FnOnce() + Send>;

/// The database's side of the network; clones are the same one.
#[derive(Clone)]
pub(crate) struct Remote {
    faults: Faults,
    committed: Arc<Mutex<Arc<Rows>>>,
    rng: Arc<Mutex<Rng>>,
    /// What another server does right before the next transaction begins.
    interjection: Arc<Mutex<Option<Act>>>,
    /// Whether a visitor has a row.
    is_visiting: Arc<AtomicBool>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")
    }
}

impl Remote {
    /// An empty database; `seed` decides whether a commit that a crash meets takes effect.
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let rng = Arc::new(Mutex::new(Rng::with_seed(seed)));
        Self { faults, committed: Arc::default(), rng, interjection: Arc::default(), is_visiting: Arc::default() }
    }

    /// The same database across a network that has no faults.
    pub(crate) fn without_faults(&self) -> Self {
        Self { faults: Faults::default(), ..self.clone() }
    }

    /// Lets another server act right before the next transaction begins.
    pub(crate) fn interject(&self, act: Act) {
        *self.interjection.lock() = Some(act);
    }

    /// The program's side, which is not connected until it is opened.
    pub(crate) fn database(&self) -> RemoteDatabase {
        RemoteDatabase { remote: self.clone(), connection: Mutex::new(None) }
    }
}

/// A connection to the database, until it breaks.
#[derive(Debug, Clone)]
struct Connection {
    remote: Remote,
    is_broken: Arc<AtomicBool>,
}

impl Connection {
    /// Does an operation, unless the fault forbids; `grows`: it needs space.
    fn run<T>(&self, op: Op, grows: bool, operation: impl FnOnce() -> T) -> Result<T, RowsError> {
        assert!(!self.remote.is_visiting.load(Ordering::Relaxed), "a visitor must not use the database");
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(RowsError::Unavailable(Cause::new("the connection is broken")));
        }
        let verdict = self.remote.faults.decide(op, grows);
        let is_done = match verdict {
            Verdict::Done => return Ok(operation()),
            Verdict::Full => return Err(RowsError::Full(Cause::new("no room"))),
            Verdict::Failed { done } => done,
            Verdict::Crashed => self.remote.rng.lock().bool(),
        };
        self.is_broken.store(true, Ordering::Relaxed);
        if is_done && op == Op::Sync {
            operation();
        }
        Err(RowsError::Unavailable(Cause::new("the connection broke")))
    }
}

/// The program's side of the network.
#[derive(Debug)]
pub(crate) struct RemoteDatabase {
    remote: Remote,
    connection: Mutex<Option<Connection>>,
}

impl RemoteDatabase {
    fn connection(&self) -> Result<Connection, RowsError> {
        self.connection.lock().clone().ok_or(RowsError::Closed)
    }

    /// The committed rows, and the numbers of these names.
    fn rows(&self, names: &[&str]) -> Result<(Connection, Arc<Rows>, Numbers), RowsError> {
        let connection = self.connection()?;
        let rows = connection.run(Op::Read, false, || Arc::clone(&self.remote.committed.lock()))?;
        let numbers = rows.numbers_of(names);
        Ok((connection, rows, numbers))
    }
}

impl Database for RemoteDatabase {
    fn exists(&self) -> Result<bool, RowsError> {
        Ok(!self.remote.committed.lock().numbers.is_empty())
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn open(&self, first_numbers: &[(&str, u64)]) -> Result<(), RowsError> {
        let connection = Connection { remote: self.remote.clone(), is_broken: Arc::default() };
        let is_new = connection.run(Op::Read, false, || self.remote.committed.lock().numbers.is_empty())?;
        if is_new {
            let first = first_numbers.iter().map(|&(name, number)| (name.to_owned(), number)).collect();
            let rows = Rows { numbers: first, ..Rows::default() };
            connection.run(Op::Sync, true, || *self.remote.committed.lock() = Arc::new(rows))?;
        }
        *self.connection.lock() = Some(connection);
        Ok(())
    }

    fn open_progress(&self) -> Arc<OpenProgress> {
        Arc::default()
    }

    fn view(&self, names: &[&str]) -> Result<(Box<dyn View>, Numbers), RowsError> {
        let (connection, rows, numbers) = self.rows(names)?;
        Ok((Box::new(Session { connection, rows }), numbers))
    }

    fn begin(&self, names: &[&str]) -> Result<(Box<dyn Transaction + '_>, Numbers), RowsError> {
        let interjection = self.remote.interjection.lock().take();
        if let Some(act) = interjection {
            act();
        }
        let (connection, rows, numbers) = self.rows(names)?;
        Ok((Box::new(Session { connection, rows }), numbers))
    }

    fn is_usable(&self) -> bool {
        self.connection.lock().as_ref().is_some_and(|connection| !connection.is_broken.load(Ordering::Relaxed))
    }

    fn reopen(&self) -> Result<(), RowsError> {
        *self.connection.lock() = None;
        self.open(&[])
    }

    fn check(&self) -> Result<(), RowsError> {
        self.connection().map(drop)
    }

    fn check_room(&self) -> Result<(), RowsError> {
        self.connection()?.run(Op::Write, true, || ())
    }

    fn probe(&self) -> Result<(), RowsError> {
        let connection = self.connection()?;
        connection.run(Op::Write, true, || ())?;
        connection.run(Op::Sync, false, || ())
    }

    fn checkpoint(&self) -> Result<(), RowsError> {
        self.connection()?.run(Op::Sync, false, || ())
    }

    fn verify(&self) -> Result<bool, RowsError> {
        self.connection()?.run(Op::Read, false, || true)
    }

    fn size_bytes(&self) -> io::Result<u64> {
        let rows = Arc::clone(&self.remote.committed.lock());
        Ok(rows.tables.values().flatten().map(|(key, value)| (key.as_bytes().len() + value.len()) as u64).sum())
    }

    fn close(&self) {
        *self.connection.lock() = None;
    }
}

impl Rows {
    fn table(&self, table: Table, range: Range<Key>) -> impl DoubleEndedIterator<Item = (&Key, &Vec<u8>)> {
        let range = if range.is_empty() { Key::MIN..Key::MIN } else { range };
        self.tables.get(&table).into_iter().flat_map(move |rows| rows.range(range.clone()))
    }

    fn numbers_of(&self, names: &[&str]) -> Numbers {
        names.iter().map(|&name| self.numbers.get(name).copied()).collect()
    }

    fn write(&mut self, changes: &[(Table, &Changes)]) {
        for &(table, changes) in changes {
            let rows = self.tables.entry(table).or_default();
            let keys: Vec<_> = changes.rows().map(|(key, _)| key).collect();
            assert!(keys.is_sorted_by(|a, b| a < b), "changes are sorted, each row has one");
            for (key, value) in changes.rows() {
                match value {
                    Some(value) => _ = rows.insert(key, value.to_vec()),
                    None => _ = rows.remove(&key),
                }
            }
        }
    }
}

/// A view, or a transaction with its own writes.
struct Session {
    connection: Connection,
    rows: Arc<Rows>,
}

impl Session {
    /// Hands rows to the visitor, which must not read.
    fn visit_all<'a>(&self, mut rows: impl Iterator<Item = (&'a Key, &'a Vec<u8>)>, visit: &mut Visitor<'_>) {
        let is_visiting = &self.connection.remote.is_visiting;
        is_visiting.store(true, Ordering::Relaxed);
        let _: ControlFlow<()> = rows.try_for_each(|(key, value)| visit(key.as_bytes(), value));
        is_visiting.store(false, Ordering::Relaxed);
    }
}

impl Read for Session {
    fn stamp(&self) -> Stamp {
        Stamp { era: 0, commits: self.rows.commits }
    }

    fn get(&self, table: Table, keys: &[Key], visit: &mut Visitor<'_>) -> Result<(), RowsError> {
        assert!(keys.is_sorted(), "keys are ascending");
        self.connection.run(Op::Read, false, || {
            let Some(rows) = self.rows.tables.get(&table) else { return };
            self.visit_all(keys.iter().filter_map(|key| rows.get_key_value(key)), visit);
        })
    }

    fn floors(&self, table: Table, floors: &[Floor], visit: &mut Visitor<'_>) -> Result<(), RowsError> {
        assert!(floors.is_sorted_by_key(|floor| (floor.first, floor.last)), "floors are ascending");
        self.connection.run(Op::Read, false, || {
            let found = floors
                .iter()
                .filter_map(|&Floor { first, last }| self.rows.tables.get(&table)?.range(first..=last).next_back());
            let mut found: Vec<_> = found.collect();
            found.dedup();
            self.visit_all(found.into_iter(), visit);
        })
    }

    fn scan(&self, table: Table, range: Range<Key>, order: Order, visit: &mut Visitor<'_>) -> Result<(), RowsError> {
        let rows = self.rows.table(table, range);
        self.connection.run(Op::Read, false, || match order {
            Order::Ascending => self.visit_all(rows, visit),
            Order::Descending => self.visit_all(rows.rev(), visit),
        })
    }

    fn numbers(&self, names: &[&str]) -> Result<Numbers, RowsError> {
        self.connection.run(Op::Read, false, || self.rows.numbers_of(names))
    }
}

impl View for Session {}

impl Transaction for Session {
    fn write(&mut self, changes: &[(Table, &Changes)]) -> Result<(), RowsError> {
        let rows = Arc::make_mut(&mut self.rows);
        self.connection.run(Op::Write, true, || rows.write(changes))
    }

    fn remove_range(&mut self, table: Table, range: Range<Key>) -> Result<(), RowsError> {
        let rows = Arc::make_mut(&mut self.rows).tables.entry(table).or_default();
        self.connection.run(Op::Write, false, || rows.retain(|key, _| !range.contains(key)))
    }

    fn commit(
        self: Box<Self>,
        changes: &[(Table, &Changes)],
        numbers: &[(&str, Option<u64>)],
    ) -> Result<Stamp, RowsError> {
        let Self { connection, mut rows } = *self;
        let after = Arc::make_mut(&mut rows);
        after.commits += 1;
        let stamp = Stamp { era: 0, commits: after.commits };
        after.write(changes);
        for &(name, number) in numbers {
            match number {
                Some(number) => _ = after.numbers.insert(name.to_owned(), number),
                None => _ = after.numbers.remove(name),
            }
        }
        connection.run(Op::Sync, true, || *connection.remote.committed.lock() = rows)?;
        Ok(stamp)
    }
}
