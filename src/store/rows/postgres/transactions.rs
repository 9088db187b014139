//! Reading and writing rows: one statement for all keys, all floors or a range.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{join, try_join};
use parking_lot::Mutex;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::super::{
    Cause, Changes, Floor, Key, Numbers, Order, Read, RowsError, Stamp, Table, Transaction, View, Visitor,
};
use super::connections::{Connection, Connections, finished};
use super::reads::{Prefetched, Wanted, query_all};
use super::schema;
use super::writes::{Sent, Writes};

/// How many rows a scan asks for first, and how many more each next time: most scans are short or end early.
const FIRST_PAGE: i64 = 512;
const NEXT_PAGE: i64 = 4_096;

/// How many rows of a table are fetched before they are read, at most: some megabytes.
const MOST_PREFETCHED: usize = 8_192;

/// An open transaction, and its connection: a view, or a change while it is made.
#[derive(Debug)]
pub(super) struct Session {
    connections: Arc<Connections>,
    /// `None` once it is over.
    connection: Option<Arc<Connection>>,
    /// The writes that were sent, and whose results nobody has waited for yet.
    sent: Mutex<Vec<Sent>>,
    /// What was fetched before it is read, of tables that were not written since.
    prefetched: Mutex<Vec<Prefetched>>,
    stamp: Stamp,
    /// Whether Citus distributes some of the tables ([`schema::is_distributed`]).
    is_distributed: bool,
    /// Whether a step failed. Then it is unknown what the connection still does, so it is closed.
    is_broken: AtomicBool,
}

impl Session {
    /// Begins a transaction that reads one state, and reads some numbers.
    pub(super) fn begin_reading(connections: Arc<Connections>, names: &[&str]) -> Result<(Self, Numbers), RowsError> {
        Self::begin(connections, names, async |connection, names| {
            // Both are sent at once.
            let ((), numbers) = try_join(connection.run(schema::BEGIN_READING), numbers(connection, names)).await?;
            Ok(numbers)
        })
    }

    /// Waits for the turn, begins a transaction that writes, and reads some numbers.
    pub(super) fn begin_writing(connections: Arc<Connections>, names: &[&str]) -> Result<(Self, Numbers), RowsError> {
        Self::begin(connections, names, async |connection, names| {
            for wait in schema::TURN_WAITS {
                // Both are sent at once. The numbers are read after the turn is there.
                let begin = schema::begin_writing(wait);
                let (taken, numbers) = join(connection.client.batch_execute(&begin), numbers(connection, names)).await;
                if taken.as_ref().is_err_and(|error| error.code() == Some(&SqlState::QUERY_CANCELED)) {
                    connection.run("ROLLBACK").await?;
                    connection.run(schema::END_FROZEN_TURNS).await?;
                    continue;
                }
                taken?;
                return numbers;
            }
            Err(RowsError::Unavailable(Cause::new("other servers hold the turn for too long")))
        })
    }

    fn begin(
        connections: Arc<Connections>,
        names: &[&str],
        begin: impl AsyncFnOnce(&Connection, &[&str]) -> Result<Numbers, RowsError>,
    ) -> Result<(Self, Numbers), RowsError> {
        let names: Vec<_> = names.iter().copied().chain([schema::DISTRIBUTED, schema::COMMITS]).collect();
        let (connection, mut numbers) = connections.wait(async {
            let connection = connections.take().await?;
            let numbers = begin(&connection, &names).await?;
            Ok((connection, numbers))
        })?;
        let stamp = Stamp { era: connection.era, commits: numbers.pop().flatten().unwrap_or(0) };
        let is_distributed = numbers.pop().flatten().is_some();
        let session = Self {
            connections,
            connection: Some(connection),
            sent: Mutex::default(),
            prefetched: Mutex::default(),
            stamp,
            is_distributed,
            is_broken: AtomicBool::new(false),
        };
        Ok((session, numbers))
    }

    /// Waits for a step on the connection. After a failed step there is no other.
    fn step<T>(&self, step: impl AsyncFnOnce(&Arc<Connection>) -> Result<T, RowsError>) -> Result<T, RowsError> {
        let connection = self.usable()?;
        self.wait(step(connection))
    }

    fn usable(&self) -> Result<&Arc<Connection>, RowsError> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(RowsError::Unavailable(Cause::new("the transaction has failed")));
        }
        self.connection.as_ref().ok_or(RowsError::Closed)
    }

    /// Waits for a step. After a write that failed everything fails; then its failure is what went wrong.
    fn wait<T>(&self, step: impl Future<Output = Result<T, RowsError>>) -> Result<T, RowsError> {
        let step = async {
            match step.await {
                Ok(done) => Ok(done),
                Err(error) => self.finish_writes().await.and(Err(error)),
            }
        };
        self.connections.wait(step).inspect_err(|_| self.is_broken.store(true, Ordering::Relaxed))
    }

    /// Waits for the results of all writes.
    async fn finish_writes(&self) -> Result<(), RowsError> {
        let sent = std::mem::take(&mut *self.sent.lock());
        for mut write in sent {
            finished(&mut write).await?;
        }
        Ok(())
    }

    /// Reads rows, which may have been fetched already.
    fn read(&self, table: Table, wanted: &Wanted, visit: &mut Visitor<'_>) -> Result<(), RowsError> {
        let mut prefetched = self.prefetched.lock();
        if let Some(prefetched) = prefetched.iter_mut().find(|prefetched| prefetched.has(table, wanted)) {
            self.usable()?;
            return visit_all(self.wait(prefetched.rows(wanted))?, visit).map(drop);
        }
        drop(prefetched);
        let rows = self.step(async |connection| wanted.fetch(connection, table, self.is_distributed).await)?;
        visit_all(&rows, visit).map(drop)
    }

    /// Asks for rows that will be read, unless these are too many.
    fn ask(&self, table: Table, wanted: Wanted) -> Result<(), RowsError> {
        if !(1..=MOST_PREFETCHED).contains(&wanted.len()) {
            return Ok(());
        }
        let prefetched = self.step(async |connection| {
            Prefetched::ask(&self.connections, connection, table, wanted, self.is_distributed).await
        })?;
        let mut earlier = self.prefetched.lock();
        earlier.retain(|earlier| !prefetched.replaces(earlier));
        earlier.push(prefetched);
        Ok(())
    }
}

impl Drop for Session {
    /// Ends the transaction without a change, unless it is over.
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && !self.is_broken.load(Ordering::Relaxed)
        {
            let connections = Arc::clone(&self.connections);
            // Nobody waits for it: the next one who uses the connection comes after it.
            drop(self.connections.spawn(async move {
                if connection.run("ROLLBACK").await.is_ok() {
                    connections.give_back(connection);
                }
            }));
        }
    }
}

impl Read for Session {
    fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn get(&self, table: Table, keys: &[Key], visit: &mut Visitor<'_>) -> Result<(), RowsError> {
        if keys.is_empty() { Ok(()) } else { self.read(table, &Wanted::Keys(keys.to_vec()), visit) }
    }

    fn floors(&self, table: Table, floors: &[Floor], visit: &mut Visitor<'_>) -> Result<(), RowsError> {
        if floors.is_empty() { Ok(()) } else { self.read(table, &Wanted::Floors(floors.to_vec()), visit) }
    }

    fn scan(&self, table: Table, range: Range<Key>, order: Order, visit: &mut Visitor<'_>) -> Result<(), RowsError> {
        let direction = match order {
            Order::Ascending => "ASC",
            Order::Descending => "DESC",
        };
        let name = schema::name(table);
        let query =
            format!("SELECT key, value FROM {name} WHERE key >= $1 AND key < $2 ORDER BY key {direction} LIMIT $3");
        let (mut from, mut to) = (range.start, range.end);
        let mut page = FIRST_PAGE;
        while from < to {
            let (start, end) = (from.as_bytes(), to.as_bytes());
            let rows = self.step(async |connection| query_all(connection, &query, &[&start, &end, &page]).await)?;
            let has_more = i64::try_from(rows.len()) == Ok(page);
            let Some(last) = visit_all(&rows, visit)?.filter(|_| has_more) else { break };
            match order {
                Order::Ascending => from = last.successor(),
                Order::Descending => to = last,
            }
            page = NEXT_PAGE;
        }
        Ok(())
    }

    fn numbers(&self, names: &[&str]) -> Result<Numbers, RowsError> {
        self.step(async |connection| numbers(connection, names).await)
    }
}

/// Visits the rows of an answer, after it has come: a visitor may take as long as it likes. Returns the key of the last row, unless
/// the visitor breaks.
fn visit_all<'r>(rows: impl IntoIterator<Item = &'r Row>, visit: &mut Visitor<'_>) -> Result<Option<Key>, RowsError> {
    let mut last = None;
    for row in rows {
        let key: &[u8] = row.try_get(0)?;
        if visit(key, row.try_get(1)?).is_break() {
            return Ok(None);
        }
        last = Some(Key::new(key));
    }
    Ok(last)
}

/// Some numbers of the current state, and its stamp.
pub(super) async fn stamped_numbers(connection: &Connection, names: &[&str]) -> Result<(Stamp, Numbers), RowsError> {
    let names: Vec<_> = names.iter().copied().chain([schema::COMMITS]).collect();
    let mut numbers = numbers(connection, &names).await?;
    let stamp = Stamp { era: connection.era, commits: numbers.pop().flatten().unwrap_or(0) };
    Ok((stamp, numbers))
}

async fn numbers(connection: &Connection, names: &[&str]) -> Result<Numbers, RowsError> {
    let statement = "SELECT name, value FROM scale_metrics_numbers WHERE name = ANY($1)";
    let statement = connection.prepared(statement).await?;
    let rows = connection.client.query(&statement, &[&names]).await?;
    let mut numbers = vec![None; names.len()];
    for row in rows {
        let (name, number): (&str, i64) = (row.try_get(0)?, row.try_get(1)?);
        for (place, _) in names.iter().enumerate().filter(|(_, wanted)| **wanted == name) {
            numbers[place] = Some(number.cast_unsigned());
        }
    }
    Ok(numbers)
}

impl View for Session {}

impl Transaction for Session {
    fn prefetch(&mut self, table: Table, keys: &mut dyn Iterator<Item = Key>) -> Result<(), RowsError> {
        let mut wanted = Vec::new();
        for key in keys {
            if wanted.last() != Some(&key) {
                wanted.push(key);
            }
        }
        wanted.sort_unstable();
        wanted.dedup();
        self.ask(table, Wanted::Keys(wanted))
    }

    fn prefetch_floors(&mut self, table: Table, floors: &[Floor]) -> Result<(), RowsError> {
        self.ask(table, Wanted::Floors(floors.to_vec()))
    }

    /// The server writes while the caller goes on.
    fn write(&mut self, changes: &[(Table, &Changes)]) -> Result<(), RowsError> {
        let written = |table| changes.iter().any(|(written, changes)| *written == table && !changes.is_empty());
        self.prefetched.get_mut().retain(|prefetched| !written(prefetched.table));
        let writes = Writes::of(changes, self.is_distributed);
        if writes.are_none() {
            return Ok(());
        }
        let sent = self.step(async |connection| writes.send(&self.connections, connection).await)?;
        self.sent.get_mut().push(sent);
        Ok(())
    }

    fn remove_range(&mut self, table: Table, range: Range<Key>) -> Result<(), RowsError> {
        self.prefetched.get_mut().retain(|prefetched| prefetched.table != table);
        let (start, end) = (range.start.as_bytes(), range.end.as_bytes());
        let statement = format!("DELETE FROM {} WHERE key >= $1 AND key < $2", schema::name(table));
        self.step(async |connection| {
            let statement = connection.prepared(&statement).await?;
            connection.client.execute(&statement, &[&start, &end]).await?;
            Ok(())
        })
    }

    fn commit(
        mut self: Box<Self>,
        changes: &[(Table, &Changes)],
        numbers: &[(&str, Option<u64>)],
    ) -> Result<Stamp, RowsError> {
        let stamp = Stamp { commits: self.stamp.commits + 1, ..self.stamp };
        let numbers: Vec<_> = numbers.iter().copied().chain([(schema::COMMITS, Some(stamp.commits))]).collect();
        let mut writes = Writes::of(changes, self.is_distributed);
        writes.add_numbers(&numbers);
        self.step(async |connection| writes.commit(connection, self.finish_writes()).await)?;
        if let Some(connection) = self.connection.take() {
            self.connections.give_back(connection);
        }
        Ok(stamp)
    }
}
