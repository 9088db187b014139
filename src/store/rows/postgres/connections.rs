//! A pool of connections to the server. It opens a connection when none is idle, and drops those that broke.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::types::{FromSqlOwned, ToSql};
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::super::{Cause, RowsError};
use super::{PATIENCE, schema};

/// How many idle connections are kept.
const MOST_IDLE: usize = 8;

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    /// The statements that the server has prepared, by their text.
    prepared: Mutex<HashMap<String, Statement>>,
}

impl Connection {
    /// A statement that the server prepares once for the connection.
    pub(super) async fn prepared(&self, statement: &str) -> Result<Statement, RowsError> {
        if let Some(prepared) = self.prepared.lock().get(statement) {
            return Ok(prepared.clone());
        }
        let prepared = self.client.prepare(statement).await?;
        self.prepared.lock().insert(statement.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// Runs some statements without results.
    pub(super) async fn run(&self, statements: &str) -> Result<(), RowsError> {
        Ok(self.client.batch_execute(statements).await?)
    }

    /// The one value that a query has.
    pub(super) async fn query_one<T: FromSqlOwned>(
        &self,
        query: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<T, RowsError> {
        Ok(self.client.query_one(query, values).await?.try_get(0)?)
    }

    /// Asks whether the server can be written.
    pub(super) async fn touch(&self) -> Result<(), RowsError> {
        let read_only: bool =
            self.query_one("SELECT current_setting('transaction_read_only')::bool OR pg_is_in_recovery()", &[]).await?;
        if read_only {
            return Err(RowsError::Unavailable(Cause::new("the database can only be read")));
        }
        Ok(())
    }
}

/// All connections of this process.
#[derive(Debug)]
pub(super) struct Connections {
    runtime: Handle,
    config: Config,
    idle: Mutex<Vec<Connection>>,
    /// Whether the server failed since it was seen to work last.
    has_failed: AtomicBool,
}

impl Connections {
    pub(super) fn new(runtime: Handle, config: Config) -> Self {
        Self { runtime, config, idle: Mutex::default(), has_failed: AtomicBool::new(false) }
    }

    /// Whether the server failed since it was seen to work last.
    pub(super) fn have_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Records that the server works.
    pub(super) fn work_again(&self) {
        self.has_failed.store(false, Ordering::Relaxed);
    }

    /// Waits for a step, up to the patience, and remembers if the server failed.
    pub(super) fn wait<T>(&self, step: impl Future<Output = Result<T, RowsError>>) -> Result<T, RowsError> {
        let result = self.runtime.block_on(async {
            let late = |_| {
                let waited = Duration::as_secs(&PATIENCE);
                Err(RowsError::Unavailable(Cause::new(format!("the database does not answer within {waited} s"))))
            };
            timeout(PATIENCE, step).await.unwrap_or_else(late)
        });
        if matches!(result, Err(RowsError::Unavailable(_))) {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Does something that nobody waits for.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// A connection that is idle, or a new one.
    pub(super) async fn take(&self) -> Result<Connection, RowsError> {
        loop {
            let Some(connection) = self.idle.lock().pop() else { break };
            if !connection.client.is_closed() {
                return Ok(connection);
            }
        }
        let (client, connection) = self.config.connect(NoTls).await?;
        self.runtime.spawn(async {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the database broke");
            }
        });
        let connection = Connection { client, prepared: Mutex::default() };
        connection.run(schema::SETTINGS).await?;
        Ok(connection)
    }

    /// Keeps a connection on which no transaction is open.
    pub(super) fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock();
        if idle.len() < MOST_IDLE && !connection.client.is_closed() {
            idle.push(connection);
        }
    }
}
