//! A database of rows on a PostgreSQL server, which any number of processes may use at the same time.
//!
//! Each table of rows is one of the server's, with a key and a value of bytes. Every transaction that writes first locks one row
//! (`turn` in `numbers`), so processes take turns commit by commit, and the turn of one that dies ends with its connection. A view
//! is a read-only transaction in `REPEATABLE READ`, which is one state.
//!
//! The methods of [`Database`] wait for the server, so they must not be called on a thread that serves other work meanwhile.
//! Nothing waits longer than [`PATIENCE`]: a server that does not answer is one that is away.
//!
//! The rejected alternative to the locked row is an election of one writer: a server that cannot tell a slow peer from a dead one
//! would have to wait for a lease to end.

mod connections;
mod schema;
mod transactions;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::runtime::Runtime;
use tokio_postgres::Config;
use tokio_postgres::error::SqlState;

use connections::{Connection, Connections};
use transactions::{PostgresTransaction, PostgresView};

use super::{Cause, Database, Numbers, OpenProgress, RowsError, Transaction, View};

/// How long the server may take for one step. The wait for the turn of another process is part of it.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A database on a server.
#[derive(Debug)]
pub struct PostgresDatabase {
    /// Drives the connections.
    runtime: Option<Runtime>,
    config: Config,
    /// `None` before it is opened, and after it is closed.
    connections: RwLock<Option<Arc<Connections>>>,
    /// Whether something failed since it was opened.
    has_failed: Arc<AtomicBool>,
}

impl PostgresDatabase {
    /// Returns the database at an address: a URL that begins with `postgres://`, or the pairs of names and values of `libpq`.
    pub fn at(address: &str) -> Result<Self, RowsError> {
        let mut config: Config = address
            .parse()
            .map_err(|error| RowsError::Unusable(Cause::with_source("the address of the database is wrong", error)))?;
        if config.get_application_name().is_none() {
            config.application_name("scale-metrics");
        }
        config.connect_timeout(*config.get_connect_timeout().unwrap_or(&Duration::from_secs(5)));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("database")
            .enable_all()
            .build()
            .map_err(|error| RowsError::Unusable(Cause::with_source("the database has no thread", error)))?;
        Ok(Self { runtime: Some(runtime), config, connections: RwLock::default(), has_failed: Arc::default() })
    }

    fn connections(&self) -> Result<Arc<Connections>, RowsError> {
        self.connections.read().clone().ok_or(RowsError::Closed)
    }

    /// Runs a step on a connection of its own, and remembers if it failed.
    fn step<T>(&self, step: impl AsyncFnOnce(&Connection) -> Result<T, RowsError>) -> Result<T, RowsError> {
        let connections = self.connections()?;
        let result = connections.wait(async {
            let connection = connections.take().await?;
            let result = step(&connection).await?;
            connections.give_back(connection);
            Ok(result)
        });
        result.inspect_err(|error| self.note(error))
    }

    fn note(&self, error: &RowsError) {
        note(&self.has_failed, error);
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        // The last owner may be an asynchronous task, which must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Remembers a failure that ends only when the database is opened again.
fn note(has_failed: &AtomicBool, error: &RowsError) {
    if matches!(error, RowsError::Unavailable(_)) {
        has_failed.store(true, Ordering::Relaxed);
    }
}

impl Database for PostgresDatabase {
    fn open(&self, first_numbers: &[(&str, u64)]) -> Result<(), RowsError> {
        let runtime = self.runtime.as_ref().expect("it is there until this is dropped");
        let connections = Arc::new(Connections::new(runtime.handle().clone(), self.config.clone()));
        connections.wait(async {
            let connection = connections.take().await?;
            if !connection.query_one(schema::EXISTS, &[]).await? {
                connection.run(&schema::creation(first_numbers)).await?;
            }
            connections.give_back(connection);
            Ok(())
        })?;
        *self.connections.write() = Some(connections);
        self.has_failed.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn open_progress(&self) -> Arc<OpenProgress> {
        Arc::default()
    }

    fn view(&self, names: &[&str]) -> Result<(Box<dyn View>, Numbers), RowsError> {
        let connections = self.connections()?;
        let viewed = PostgresView::begin(connections, Arc::clone(&self.has_failed), names);
        let (view, numbers) = viewed.inspect_err(|error| self.note(error))?;
        Ok((Box::new(view), numbers))
    }

    fn begin(&self, names: &[&str]) -> Result<(Box<dyn Transaction + '_>, Numbers), RowsError> {
        let connections = self.connections()?;
        let begun = PostgresTransaction::begin(connections, Arc::clone(&self.has_failed), names);
        let (transaction, numbers) = begun.inspect_err(|error| self.note(error))?;
        Ok((Box::new(transaction), numbers))
    }

    fn is_usable(&self) -> bool {
        self.connections.read().is_some() && !self.has_failed.load(Ordering::Relaxed)
    }

    fn reopen(&self) -> Result<(), RowsError> {
        // Connections that break are replaced by themselves. What has to be seen is that there is a server.
        self.step(async |connection| connection.touch().await)?;
        self.has_failed.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn check(&self) -> Result<(), RowsError> {
        self.step(async |connection| connection.touch().await)
    }

    /// The server says so only when it is full.
    fn check_room(&self) -> Result<(), RowsError> {
        self.connections().map(drop)
    }

    fn probe(&self) -> Result<(), RowsError> {
        self.step(async |connection| connection.run(schema::TAKE_A_TURN).await)
    }

    fn checkpoint(&self) -> Result<(), RowsError> {
        self.connections().map(drop)
    }

    /// The server's checksums are its own; every value has one of ours.
    fn verify(&self) -> Result<bool, RowsError> {
        self.connections().map(|_| true)
    }

    fn size_bytes(&self) -> io::Result<u64> {
        self.step(async |connection| {
            let size: i64 = connection.query_one(schema::SIZE, &[]).await?;
            Ok(size.unsigned_abs())
        })
        .map_err(io::Error::other)
    }

    fn close(&self) {
        *self.connections.write() = None;
    }
}

impl From<tokio_postgres::Error> for RowsError {
    fn from(error: tokio_postgres::Error) -> Self {
        let state = error.code().cloned();
        let is = |states: &[SqlState]| state.as_ref().is_some_and(|state| states.contains(state));
        let class = state.as_ref().map(|state| state.code().get(..2).unwrap_or_default().to_owned());
        let unusable = |message: &str, error| Self::Unusable(Cause::with_source(message, error));
        match class.as_deref() {
            Some("28") => unusable("the database refuses the user or the password", error),
            Some("53") if is(&[SqlState::DISK_FULL]) => {
                Self::Full(Cause::with_source("the disk of the database is full", error))
            }
            _ if is(&[SqlState::INVALID_CATALOG_NAME]) => unusable("there is no such database", error),
            _ if is(&[SqlState::INSUFFICIENT_PRIVILEGE]) => {
                unusable("the user of the database lacks a permission", error)
            }
            _ if is(&[SqlState::READ_ONLY_SQL_TRANSACTION]) => {
                Self::Unavailable(Cause::with_source("the database can only be read", error))
            }
            _ if is(&[SqlState::LOCK_NOT_AVAILABLE]) => {
                Self::Unavailable(Cause::with_source("another server holds the turn for too long", error))
            }
            _ => Self::Unavailable(Cause::with_source("the database failed", error)),
        }
    }
}
