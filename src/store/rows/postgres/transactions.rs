//! Reading and writing rows: one statement for all keys, all floors or a range.

use std::collections::BTreeMap;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt as _;
use futures_util::future::{join_all, try_join};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use super::super::{Changes, Floor, Key, Numbers, Order, Read, RowsError, Table, Transaction, View, Visitor};
use super::connections::{Connection, Connections};
use super::schema;

/// How many rows a scan asks for first, and how many more each next time: most scans are short or end early.
const FIRST_PAGE: i64 = 512;
const NEXT_PAGE: i64 = 8_192;

/// From this many new rows on, `COPY` is faster than an insertion.
const MANY_ROWS: usize = 64;

/// An open transaction, and its connection: a view, or a change while it is made.
#[derive(Debug)]
pub(super) struct Session {
    connections: Arc<Connections>,
    /// `None` once it is over.
    connection: Option<Connection>,
    /// Whether a step failed. Then it is unknown what the connection still does, so it is closed.
    is_broken: AtomicBool,
}

impl Session {
    /// Begins a transaction with these statements, and reads some numbers.
    pub(super) fn begin(
        connections: Arc<Connections>,
        begin: &str,
        names: &[&str],
    ) -> Result<(Self, Numbers), RowsError> {
        let (connection, numbers) = connections.wait(async {
            let connection = connections.take().await?;
            // Both are sent at once. The numbers are read after the turn is there.
            let ((), numbers) = try_join(connection.run(begin), numbers(&connection, names)).await?;
            Ok((connection, numbers))
        })?;
        Ok((Self { connections, connection: Some(connection), is_broken: AtomicBool::new(false) }, numbers))
    }

    /// Waits for a step on the connection.
    fn step<T>(&self, step: impl AsyncFnOnce(&Connection) -> Result<T, RowsError>) -> Result<T, RowsError> {
        let connection = self.connection.as_ref().ok_or(RowsError::Closed)?;
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
    fn get(&self, table: Table, keys: &[Key], visit: &mut Visitor<'_>) -> Result<(), RowsError> {
        if keys.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = keys.iter().map(Key::as_bytes).collect();
        let query = format!("SELECT key, value FROM {} WHERE key = ANY($1) ORDER BY key", schema::name(table));
        self.step(async |connection| visit_rows(connection, &query, &[&keys], visit).await.map(drop))
    }

    fn floors(&self, table: Table, floors: &[Floor], visit: &mut Visitor<'_>) -> Result<(), RowsError> {
        if floors.is_empty() {
            return Ok(());
        }
        let first: Vec<_> = floors.iter().map(|floor| floor.first.as_bytes()).collect();
        let last: Vec<_> = floors.iter().map(|floor| floor.last.as_bytes()).collect();
        let query = format!(
            "SELECT DISTINCT row.key, row.value FROM unnest($1::bytea[], $2::bytea[]) AS floor (first, last) \
             CROSS JOIN LATERAL (SELECT key, value FROM {} WHERE key BETWEEN floor.first AND floor.last \
             ORDER BY key DESC LIMIT 1) AS row ORDER BY row.key",
            schema::name(table)
        );
        self.step(async |connection| visit_rows(connection, &query, &[&first, &last], visit).await.map(drop))
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
            let visited =
                self.step(async |connection| visit_rows(connection, &query, &[&start, &end, &page], visit).await)?;
            let Some(last) = visited.last.filter(|_| !visited.is_broken && visited.rows == page) else { break };
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

/// What a query visited.
struct Visited {
    rows: i64,
    last: Option<Key>,
    is_broken: bool,
}

async fn visit_rows(
    connection: &Connection,
    query: &str,
    values: &[&(dyn ToSql + Sync)],
    visit: &mut Visitor<'_>,
) -> Result<Visited, RowsError> {
    let statement = connection.prepared(query).await?;
    let values = values.iter().map(|value| *value as &(dyn ToSql + Sync));
    let mut rows = pin!(connection.client.query_raw(&statement, values).await?);
    let mut visited = Visited { rows: 0, last: None, is_broken: false };
    while let Some(row) = rows.next().await {
        let row = row?;
        let (key, value): (&[u8], &[u8]) = (row.try_get(0)?, row.try_get(1)?);
        visited.rows += 1;
        visited.last = Some(Key::new(key));
        if visit(key, value).is_break() {
            visited.is_broken = true;
            break;
        }
    }
    Ok(visited)
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
        self.step(async |connection| write(connection, changes, &[], false).await)
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
    ) -> Result<(), RowsError> {
        self.step(async |connection| write(connection, changes, numbers, true).await)?;
        if let Some(connection) = self.connection.take() {
            self.connections.give_back(connection);
        }
        Ok(())
    }
}

/// The rows of a table to be written, by how.
#[derive(Default)]
struct Rows<'a> {
    removed: Vec<&'a [u8]>,
    keys: Vec<&'a [u8]>,
    values: Vec<&'a [u8]>,
    /// New rows, if there are many.
    new: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Rows<'a> {
    fn of(changes: &'a Changes) -> Self {
        let mut rows = Self::default();
        let are_many = changes.rows.iter().filter(|change| change.is_new).count() >= MANY_ROWS;
        for change in &changes.rows {
            let key = change.key.as_bytes();
            match &change.value {
                None => rows.removed.push(key),
                Some(value) if change.is_new && are_many => rows.new.push((key, &changes.values[value.clone()])),
                Some(value) => {
                    rows.keys.push(key);
                    rows.values.push(&changes.values[value.clone()]);
                }
            }
        }
        rows
    }
}

/// Writes changes and numbers, and commits them if that is wanted. All that is not copied is sent at once.
async fn write(
    connection: &Connection,
    changes: &[(Table, &Changes)],
    numbers: &[(&str, Option<u64>)],
    is_last: bool,
) -> Result<(), RowsError> {
    let changes: Vec<_> = changes.iter().map(|&(table, changes)| (schema::name(table), Rows::of(changes))).collect();
    for (table, rows) in &changes {
        if !rows.new.is_empty() {
            copy(connection, table, &rows.new).await?;
        }
    }
    let mut statements = Vec::new();
    for (table, rows) in &changes {
        if !rows.removed.is_empty() {
            let statement = connection.prepared(&format!("DELETE FROM {table} WHERE key = ANY($1)")).await?;
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
        let (results, committed) = futures_util::future::join(all, connection.run("COMMIT")).await;
        results.into_iter().try_for_each(|result| result.map(drop))?;
        committed
    } else {
        all.await.into_iter().try_for_each(|result| result.map(drop))?;
        Ok(())
    }
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
