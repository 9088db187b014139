//! What a transaction writes: statements with the values of many rows, ready to be sent.

use std::collections::BTreeMap;
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use futures_util::future::{join_all, join3};
use tokio::task::JoinHandle;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{IsNull, ToSql, Type, accepts, to_sql_checked};

use super::super::{Changes, Key, RowsError, Table};
use super::connections::{Connection, Connections};
use super::schema;

/// Rows of a table.
type Rows = (&'static str, Vec<(Key, Vec<u8>)>);

/// A statement and its values.
type Statement = (String, Vec<Box<dyn ToSql + Sync + Send>>);

/// Some rows and numbers to be written. The parts are in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Writes {
    removals: Vec<Statement>,
    copies: Vec<Rows>,
    insertions: Vec<Statement>,
}

impl Writes {
    /// The changes of some tables. Of tables that Citus distributes, rows with the same keys are removed and all are copied. That is
    /// three times as fast there: what is inserted goes through the coordinator row by row.
    pub(super) fn of(changes: &[(Table, &Changes)], is_distributed: bool) -> Self {
        let mut writes = Self::default();
        for &(table, changes) in changes {
            let name = schema::name(table);
            let is_distributed = is_distributed && schema::is_distributed(table);
            let (mut removed, mut copied) = (ByteStrings::default(), Vec::new());
            let [mut new, mut replaced] = [(); 2].map(|()| [ByteStrings::default(), ByteStrings::default()]);
            for change in &changes.rows {
                let key = change.key.as_bytes();
                if change.value.is_none() || (is_distributed && !change.is_new) {
                    removed.push(key);
                }
                let Some(value) = change.value.clone() else { continue };
                let value = &changes.values[value];
                if is_distributed {
                    copied.push((change.key, value.to_vec()));
                } else {
                    let [keys, values] = if change.is_new { &mut new } else { &mut replaced };
                    keys.push(key);
                    values.push(value);
                }
            }
            if removed.count > 0 {
                let statement = format!("DELETE FROM {name} WHERE key = ANY($1)");
                writes.removals.push((statement, vec![Box::new(removed)]));
            }
            if !copied.is_empty() {
                writes.copies.push((name, copied));
            }
            let insertion = format!("INSERT INTO {name} SELECT * FROM unnest($1::bytea[], $2::bytea[])");
            let replacement = format!("{insertion} ON CONFLICT (key) DO UPDATE SET value = excluded.value");
            for (statement, [keys, values]) in [(insertion, new), (replacement, replaced)] {
                if keys.count > 0 {
                    writes.insertions.push((statement, vec![Box::new(keys), Box::new(values)]));
                }
            }
        }
        writes
    }

    /// Adds numbers; `None` removes one. The last of a name counts.
    pub(super) fn add_numbers(&mut self, numbers: &[(&str, Option<u64>)]) {
        let numbers: BTreeMap<_, _> = numbers.iter().copied().collect();
        let (mut gone, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (name, number) in numbers {
            match number {
                Some(number) => {
                    names.push(name.to_owned());
                    values.push(number.cast_signed());
                }
                None => gone.push(name.to_owned()),
            }
        }
        if !gone.is_empty() {
            let statement = "DELETE FROM scale_metrics_numbers WHERE name = ANY($1)".to_owned();
            self.removals.push((statement, vec![Box::new(gone)]));
        }
        if !names.is_empty() {
            let statement = "INSERT INTO scale_metrics_numbers SELECT * FROM unnest($1::text[], $2::bigint[]) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            self.insertions.push((statement.to_owned(), vec![Box::new(names), Box::new(values)]));
        }
    }

    /// Whether there is nothing to write.
    pub(super) fn are_none(&self) -> bool {
        self.removals.is_empty() && self.copies.is_empty() && self.insertions.is_empty()
    }

    /// Sends everything, and does not wait for the results of what is sent last. What is sent from now on comes after that.
    pub(super) async fn send(self, connections: &Connections, connection: &Arc<Connection>) -> Result<Sent, RowsError> {
        let statements = self.send_copies(connection).await?;
        let of_run = Arc::clone(connection);
        Ok(connections.send(async move { statements.run(&of_run).await }))
    }

    /// Sends everything, and commits what was sent on the connection.
    pub(super) async fn commit(
        self,
        connection: &Connection,
        earlier: impl Future<Output = Result<(), RowsError>>,
    ) -> Result<(), RowsError> {
        let statements = self.send_copies(connection).await?;
        // If a statement fails, the server takes `COMMIT` for a `ROLLBACK`.
        let (earlier, last, committed) = join3(earlier, statements.run(connection), connection.run("COMMIT")).await;
        earlier.and(last).and(committed)
    }

    /// Prepares all statements, so that they can be sent at once. If there is something to copy, sends that and the removals before
    /// it, and waits; otherwise sends nothing yet.
    async fn send_copies(mut self, connection: &Connection) -> Result<Prepared, RowsError> {
        if !self.copies.is_empty() {
            Prepared::new(connection, std::mem::take(&mut self.removals)).await?.run(connection).await?;
            self.copy(connection).await?;
        }
        self.removals.append(&mut self.insertions);
        Prepared::new(connection, self.removals).await
    }

    async fn copy(&self, connection: &Connection) -> Result<(), RowsError> {
        for (table, rows) in &self.copies {
            let statement = connection.prepared(&format!("COPY {table} (key, value) FROM STDIN BINARY")).await?;
            let sink = connection.client.copy_in(&statement).await?;
            let mut writer = pin!(BinaryCopyInWriter::new(sink, &[Type::BYTEA, Type::BYTEA]));
            for (key, value) in rows {
                writer.as_mut().write(&[&key.as_bytes(), value]).await?;
            }
            writer.finish().await?;
        }
        Ok(())
    }
}

/// A write that was sent, and whose results may not have come yet.
pub(super) type Sent = JoinHandle<Result<(), RowsError>>;

/// Statements that the server has prepared, with their values.
struct Prepared(Vec<(tokio_postgres::Statement, Vec<Box<dyn ToSql + Sync + Send>>)>);

impl Prepared {
    async fn new(connection: &Connection, statements: Vec<Statement>) -> Result<Self, RowsError> {
        let mut prepared = Vec::with_capacity(statements.len());
        for (statement, values) in statements {
            prepared.push((connection.prepared(&statement).await?, values));
        }
        Ok(Self(prepared))
    }

    /// Sends all of them, in their order, when this is polled first, and waits for their results.
    async fn run(&self, connection: &Connection) -> Result<(), RowsError> {
        let run = self.0.iter().map(|(statement, values)| async move {
            let values: Vec<_> = values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
            connection.client.execute(statement, &values).await
        });
        for result in join_all(run).await {
            result?;
        }
        Ok(())
    }
}

/// An array of byte strings, encoded as the server takes it.
#[derive(Debug, Default)]
struct ByteStrings {
    count: i32,
    /// Each with its length before it.
    encoded: Vec<u8>,
}

impl ByteStrings {
    fn push(&mut self, bytes: &[u8]) {
        self.count += 1;
        let length = i32::try_from(bytes.len()).expect("a value is shorter than 2 GB");
        self.encoded.extend_from_slice(&length.to_be_bytes());
        self.encoded.extend_from_slice(bytes);
    }
}

impl ToSql for ByteStrings {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        // One dimension, no nulls, the type of the elements; their number, and the index of the first.
        out.put_i32(1);
        out.put_i32(0);
        out.put_u32(Type::BYTEA.oid());
        out.put_i32(self.count);
        out.put_i32(1);
        out.put_slice(&self.encoded);
        Ok(IsNull::No)
    }

    accepts!(BYTEA_ARRAY);
    to_sql_checked!();
}
