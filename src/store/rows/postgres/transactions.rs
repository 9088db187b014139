//! Reading and writing rows: one statement for all keys, all floors or a range.

use std::collections::BTreeMap;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{join, join_all, try_join};
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use super::super::{
    Cause, Changes, Floor, Key, Numbers, Order, Read, RowsError, Stamp, Table, Transaction, View, Visitor,
};
use super::connections::{Connection, Connections};
use super::schema;

/// How many rows a scan asks for first, and how many more each next time: most scans are short or end early.
const FIRST_PAGE: i64 = 512;
const NEXT_PAGE: i64 = 4_096;

/// From this many new rows on, `COPY` is faster than an insertion.
const MANY_ROWS: usize = 64;

/// An open transaction, and its connection: a view, or a change while it is made.
#[derive(Debug)]
pub(super) struct Session {
    connections: Arc<Connections>,
    /// `None` once it is over.
    connection: Option<Connection>,
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
            let take_turn = async || {
                let begin = connection.client.batch_execute(schema::BEGIN_WRITING);
                // Both are sent at once. The numbers are read after the turn is there.
                join(begin, numbers(connection, names)).await
            };
            let (mut begun, mut numbers) = take_turn().await;
            if begun.as_ref().is_err_and(|error| error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)) {
                connection.run("ROLLBACK").await?;
                connection.run(schema::END_FROZEN_TURNS).await?;
                (begun, numbers) = take_turn().await;
            }
            begun?;
            numbers
        })
    }

    fn begin(
        connections: Arc<Connections>,
        names: &[&str],
        begin: impl AsyncFnOnce(&Connection, &[&str]) -> Result<Numbers, RowsError>,
    ) -> Result<(Self, Numbers), RowsError> {
        let names: Vec<_> = names.iter().copied().chain([schema::DISTRIBUTED, schema::TURN]).collect();
        let (connection, mut numbers) = connections.wait(async {
            let connection = connections.take().await?;
            let numbers = begin(&connection, &names).await?;
            Ok((connection, numbers))
        })?;
        let stamp = Stamp { era: connection.era, commits: numbers.pop().flatten().unwrap_or(0) };
        let is_distributed = numbers.pop().flatten().is_some();
        let connection = Some(connection);
        Ok((Self { connections, connection, stamp, is_distributed, is_broken: AtomicBool::new(false) }, numbers))
    }

    /// How the changes of each table are written.
    fn rows<'a>(&self, changes: &[(Table, &'a Changes)]) -> Vec<(&'static str, Rows<'a>)> {
        let rows = |&(table, changes): &(Table, &'a Changes)| {
            let are_replaced = self.is_distributed && schema::is_distributed(table);
            (schema::name(table), Rows::of(changes, are_replaced))
        };
        changes.iter().map(rows).collect()
    }

    /// Waits for a step on the connection. After a failed step there is no other.
    fn step<T>(&self, step: impl AsyncFnOnce(&Connection) -> Result<T, RowsError>) -> Result<T, RowsError> {
        let connection = self.connection.as_ref().ok_or(RowsError::Closed)?;
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(RowsError::Unavailable(Cause::new("the transaction has failed")));
        }
        self.connections.wait(step(connection)).inspect_err(|_| self.is_broken.store(true, Ordering::Relaxed))
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
            self.connections.spawn(async move {
                if connection.run("ROLLBACK").await.is_ok() {
                    connections.give_back(connection);
                }
            });
        }
    }
}

impl Read for Session {
    fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn get(&self, table: Table, keys: &[Key], visit: &mut Visitor<'_>) -> Result<(), RowsError> {
        if keys.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = keys.iter().map(Key::as_bytes).collect();
        let query = format!("SELECT key, value FROM {} WHERE key = ANY($1) ORDER BY key", schema::name(table));
        let rows = self.step(async |connection| read(connection, &query, &[&keys]).await)?;
        visit_all(&rows, visit).map(drop)
    }

    fn floors(&self, table: Table, floors: &[Floor], visit: &mut Visitor<'_>) -> Result<(), RowsError> {
        if floors.is_empty() {
            return Ok(());
        }
        let first: Vec<_> = floors.iter().map(|floor| floor.first.as_bytes()).collect();
        let last: Vec<_> = floors.iter().map(|floor| floor.last.as_bytes()).collect();
        let name = schema::name(table);
        let query = if self.is_distributed && schema::is_distributed(table) {
            // Citus has no query for each floor. The greatest key of each shard is the greatest of its digits.
            format!(
                "SELECT key, value FROM {name} WHERE key IN (SELECT decode(max(encode(key, 'hex') COLLATE \"C\"), 'hex') \
                 FROM unnest($1::bytea[], $2::bytea[]) AS floor (first, last) \
                 JOIN {name} ON key BETWEEN floor.first AND floor.last GROUP BY floor.first, floor.last) ORDER BY key"
            )
        } else {
            format!(
                "SELECT DISTINCT row.key, row.value FROM unnest($1::bytea[], $2::bytea[]) AS floor (first, last) \
                 CROSS JOIN LATERAL (SELECT key, value FROM {name} WHERE key BETWEEN floor.first AND floor.last \
                 ORDER BY key DESC LIMIT 1) AS row ORDER BY row.key"
            )
        };
        let rows = self.step(async |connection| read(connection, &query, &[&first, &last]).await)?;
        visit_all(&rows, visit).map(drop)
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
            let rows = self.step(async |connection| read(connection, &query, &[&start, &end, &page]).await)?;
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

async fn read(connection: &Connection, query: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, RowsError> {
    let statement = connection.prepared(query).await?;
    Ok(connection.client.query(&statement, values).await?)
}

/// Visits the rows of an answer, after it has come: a visitor may take as long as it likes. Returns the key of the last row, unless
/// the visitor breaks.
fn visit_all(rows: &[Row], visit: &mut Visitor<'_>) -> Result<Option<Key>, RowsError> {
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
    fn write(&mut self, changes: &[(Table, &Changes)]) -> Result<(), RowsError> {
        let rows = self.rows(changes);
        self.step(async |connection| write(connection, &rows, &[], false).await)
    }

    fn remove_range(&mut self, table: Table, range: Range<Key>) -> Result<(), RowsError> {
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
        let numbers: Vec<_> = numbers.iter().copied().chain([(schema::TURN, Some(stamp.commits))]).collect();
        let rows = self.rows(changes);
        self.step(async |connection| write(connection, &rows, &numbers, true).await)?;
        if let Some(connection) = self.connection.take() {
            self.connections.give_back(connection);
        }
        Ok(stamp)
    }
}

/// The rows of a table to be written, by how. They are written in this order.
#[derive(Default)]
struct Rows<'a> {
    removed: Vec<&'a [u8]>,
    /// Rows whose keys no row has, if there are many.
    copied: Vec<(&'a [u8], &'a [u8])>,
    /// Rows that are inserted, or that replace others.
    keys: Vec<&'a [u8]>,
    values: Vec<&'a [u8]>,
}

impl<'a> Rows<'a> {
    /// If rows of the table `are_replaced`, those with the same keys are removed and all are copied. With Citus, that is three times
    /// as fast: what is inserted goes through the coordinator one by one.
    fn of(changes: &'a Changes, are_replaced: bool) -> Self {
        let mut rows = Self::default();
        let are_many = are_replaced || changes.rows.iter().filter(|change| change.is_new).count() >= MANY_ROWS;
        for change in &changes.rows {
            let key = change.key.as_bytes();
            if change.value.is_none() || (are_replaced && !change.is_new) {
                rows.removed.push(key);
            }
            let Some(value) = change.value.clone() else { continue };
            let value = &changes.values[value];
            if are_many && (change.is_new || are_replaced) {
                rows.copied.push((key, value));
            } else {
                rows.keys.push(key);
                rows.values.push(value);
            }
        }
        rows
    }
}

/// Writes changes and numbers, and commits them if that is wanted. All that is not copied is sent at once.
async fn write(
    connection: &Connection,
    changes: &[(&'static str, Rows<'_>)],
    numbers: &[(&str, Option<u64>)],
    is_last: bool,
) -> Result<(), RowsError> {
    for (table, rows) in changes {
        if !rows.removed.is_empty() && !rows.copied.is_empty() {
            remove(connection, table, &rows.removed).await?;
        }
        if !rows.copied.is_empty() {
            copy(connection, table, &rows.copied).await?;
        }
    }
    let mut statements = Vec::new();
    for (table, rows) in changes {
        if !rows.removed.is_empty() && rows.copied.is_empty() {
            let statement = connection.prepared(&removal(table)).await?;
            statements.push((statement, vec![&rows.removed as &(dyn ToSql + Sync)]));
        }
        if !rows.keys.is_empty() {
            let statement = format!(
                "INSERT INTO {table} SELECT * FROM unnest($1::bytea[], $2::bytea[]) \
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            );
            let statement = connection.prepared(&statement).await?;
            statements.push((statement, vec![&rows.keys, &rows.values]));
        }
    }
    // The last of a name counts.
    let numbers: BTreeMap<_, _> = numbers.iter().copied().collect();
    let gone: Vec<_> = numbers.iter().filter(|(_, number)| number.is_none()).map(|(name, _)| *name).collect();
    let (names, values): (Vec<_>, Vec<_>) =
        numbers.iter().filter_map(|(name, number)| Some((*name, number.as_ref()?.cast_signed()))).unzip();
    if !gone.is_empty() {
        let statement = connection.prepared("DELETE FROM scale_metrics_numbers WHERE name = ANY($1)").await?;
        statements.push((statement, vec![&gone]));
    }
    if !names.is_empty() {
        let statement = "INSERT INTO scale_metrics_numbers SELECT * FROM unnest($1::text[], $2::bigint[]) \
                         ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        statements.push((connection.prepared(statement).await?, vec![&names, &values]));
    }
    let all = join_all(statements.iter().map(|(statement, values)| connection.client.execute(statement, values)));
    if is_last {
        // If a statement before it fails, the server takes `COMMIT` for a `ROLLBACK`.
        let (results, committed) = join(all, connection.run("COMMIT")).await;
        results.into_iter().try_for_each(|result| result.map(drop))?;
        committed
    } else {
        all.await.into_iter().try_for_each(|result| result.map(drop))?;
        Ok(())
    }
}

fn removal(table: &str) -> String {
    format!("DELETE FROM {table} WHERE key = ANY($1)")
}

async fn remove(connection: &Connection, table: &str, keys: &[&[u8]]) -> Result<(), RowsError> {
    let statement = connection.prepared(&removal(table)).await?;
    connection.client.execute(&statement, &[&keys]).await?;
    Ok(())
}

/// Sends new rows as they are.
async fn copy(connection: &Connection, table: &str, rows: &[(&[u8], &[u8])]) -> Result<(), RowsError> {
    let statement = connection.prepared(&format!("COPY {table} (key, value) FROM STDIN BINARY")).await?;
    let sink = connection.client.copy_in(&statement).await?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &[Type::BYTEA, Type::BYTEA]));
    for (key, value) in rows {
        writer.as_mut().write(&[key, value]).await?;
    }
    writer.finish().await?;
    Ok(())
}
