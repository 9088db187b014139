//! Queries for rows: one for all keys, or for all floors. A transaction that knows which rows it will read has them fetched while it
//! computes.

use std::mem;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::super::{Floor, Key, RowsError, Table};
use super::connections::{Connection, Connections, finished};
use super::schema;

/// Which rows of a table are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Those with these keys, which are ascending.
    Keys(Vec<Key>),
    /// Those that these floors ask for.
    Floors(Vec<Floor>),
}

impl Wanted {
    /// Fetches the rows, in the order of their keys.
    pub(super) async fn fetch(&self, connection: &Connection, table: Table, is_distributed: bool) -> Fetched {
        let query = self.query(table, is_distributed);
        match self {
            Self::Keys(keys) => {
                let keys: Vec<_> = keys.iter().map(Key::as_bytes).collect();
                query_all(connection, &query, &[&keys]).await
            }
            Self::Floors(floors) => {
                let first: Vec<_> = floors.iter().map(|floor| floor.first.as_bytes()).collect();
                let last: Vec<_> = floors.iter().map(|floor| floor.last.as_bytes()).collect();
                query_all(connection, &query, &[&first, &last]).await
            }
        }
    }

    fn query(&self, table: Table, is_distributed: bool) -> String {
        let name = schema::name(table);
        match self {
            Self::Keys(_) => format!("SELECT key, value FROM {name} WHERE key = ANY($1) ORDER BY key"),
            // Citus has no query for each floor. The greatest key of each shard is the greatest of its digits.
            Self::Floors(_) if is_distributed && schema::is_distributed(table) => format!(
                "SELECT key, value FROM {name} WHERE key IN (SELECT decode(max(encode(key, 'hex') COLLATE \"C\"), 'hex') \
                 FROM unnest($1::bytea[], $2::bytea[]) AS floor (first, last) \
                 JOIN {name} ON key BETWEEN floor.first AND floor.last GROUP BY floor.first, floor.last) ORDER BY key"
            ),
            Self::Floors(_) => format!(
                "SELECT DISTINCT row.key, row.value FROM unnest($1::bytea[], $2::bytea[]) AS floor (first, last) \
                 CROSS JOIN LATERAL (SELECT key, value FROM {name} WHERE key BETWEEN floor.first AND floor.last \
                 ORDER BY key DESC LIMIT 1) AS row ORDER BY row.key"
            ),
        }
    }

    /// How many keys or floors.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Keys(keys) => keys.len(),
            Self::Floors(floors) => floors.len(),
        }
    }

    /// Whether all rows that `other` asks for are among these.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Keys(keys), Self::Keys(others)) => others.iter().all(|key| keys.binary_search(key).is_ok()),
            _ => self == other,
        }
    }

    /// Whether a row is asked for, of those that something which [covers](Self::covers) this asks for.
    fn includes(&self, row: &Row) -> bool {
        match (self, row.try_get::<_, &[u8]>(0)) {
            (Self::Keys(keys), Ok(key)) => keys.binary_search_by(|wanted| wanted.as_bytes().cmp(key)).is_ok(),
            _ => true,
        }
    }
}

type Fetched = Result<Vec<Row>, RowsError>;

/// Runs a query for rows.
pub(super) async fn query_all(connection: &Connection, query: &str, values: &[&(dyn ToSql + Sync)]) -> Fetched {
    let statement = connection.prepared(query).await?;
    Ok(connection.client.query(&statement, values).await?)
}

/// What a transaction has fetched of a table before it reads it.
#[derive(Debug)]
pub(super) struct Prefetched {
    /// The table.
    pub(super) table: Table,
    wanted: Wanted,
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    UnderWay(JoinHandle<Fetched>),
    Here(Vec<Row>),
}

impl Prefetched {
    /// Asks for the rows and does not wait for them. What is sent on the connection from now on comes after that.
    pub(super) async fn ask(
        connections: &Connections,
        connection: &Arc<Connection>,
        table: Table,
        wanted: Wanted,
        is_distributed: bool,
    ) -> Result<Self, RowsError> {
        // The fetch is sent when it is polled first, unless the server has to prepare it.
        connection.prepared(&wanted.query(table, is_distributed)).await?;
        let (of_fetch, to_fetch) = (Arc::clone(connection), wanted.clone());
        let fetch = async move { to_fetch.fetch(&of_fetch, table, is_distributed).await };
        let rows = Rows::UnderWay(connections.send(fetch));
        Ok(Self { table, wanted, rows })
    }

    /// Whether an earlier one is for the same kind of reads.
    pub(super) fn replaces(&self, earlier: &Self) -> bool {
        self.table == earlier.table && mem::discriminant(&self.wanted) == mem::discriminant(&earlier.wanted)
    }

    /// Whether it has all rows that are asked for.
    pub(super) fn has(&self, table: Table, wanted: &Wanted) -> bool {
        self.table == table && self.wanted.covers(wanted)
    }

    /// Waits for the rows. Returns those that are asked for, in the order of their keys.
    pub(super) async fn rows(&mut self, wanted: &Wanted) -> Result<Vec<&Row>, RowsError> {
        if let Rows::UnderWay(fetch) = &mut self.rows {
            self.rows = Rows::Here(finished(fetch).await?);
        }
        match &self.rows {
            Rows::Here(rows) => Ok(rows.iter().filter(|row| wanted.includes(row)).collect()),
            Rows::UnderWay(_) => unreachable!("they have come"),
        }
    }
}
