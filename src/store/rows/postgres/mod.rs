//! A database of rows on a PostgreSQL server, which any number of processes may use at the same time.
//!
//! Each table of rows is one of the server's, with a key and a value of bytes. Every transaction that writes first locks one row
//! (`turn` in `numbers`), so processes take turns commit by commit, and the turn of one that dies ends with its connection. Who waits
//! for the turn ends the connection of a process that has it and does not go on. Another row counts the commits. A view is a read-only
//! transaction in `REPEATABLE READ`, which is one state.
//!
//! The methods of [`Database`] wait for the server, so they must not be called on a thread that serves other work meanwhile.
//! Nothing waits longer than [`PATIENCE`]: a server that does not answer is one that is away.
//!
//! The rejected alternative to the locked row is an election of one writer: a server that cannot tell a slow peer from a dead one
//! would have to wait for a lease to end.

mod address;
mod connections;
mod reads;
mod schema;
mod transactions;
mod writes;

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;

pub use address::{Address, NoAddress};
use connections::{Connection, Connections};
use transactions::Session;

use super::{Cause, Database, Numbers, OpenProgress, RowsError, Stamp, Transaction, View};
use crate::tls;

/// How long the server may take for one step. The wait for the turn of another process is part of it.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A database on a server.
#[derive(Debug)]
pub struct PostgresDatabase {
    /// Drives the connections.
    runtime: Option<Runtime>,
    address: Address,
    progress: Arc<OpenProgress>,
    /// `None` before it is opened, and after it is closed.
    connections: RwLock<Option<Arc<Connections>>>,
}

impl PostgresDatabase {
    /// Returns the database at an address. It has not connected yet.
    pub fn at(address: &Address) -> Result<Self, RowsError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("database")
            .enable_all()
            .build()
            .map_err(|error| RowsError::Unusable(Cause::with_source("the database has no thread", error)))?;
        Ok(Self {
            runtime: Some(runtime),
            address: address.clone(),
            progress: Arc::default(),
            connections: RwLock::default(),
        })
    }

    /// Connections that are not made yet.
    fn connect(&self) -> Result<Arc<Connections>, RowsError> {
        let runtime = self.runtime.as_ref().expect("it is there until this is dropped");
        Ok(Arc::new(Connections::new(runtime.handle().clone(), &self.address)?))
    }

    fn connections(&self) -> Result<Arc<Connections>, RowsError> {
        self.connections.read().clone().ok_or(RowsError::Closed)
    }

    /// Runs a step on a connection of its own.
    fn step<T>(&self, step: impl AsyncFnOnce(&Connection) -> Result<T, RowsError>) -> Result<T, RowsError> {
        let connections = self.connections()?;
        connections.wait(async {
            let connection = connections.take().await?;
            let result = step(&connection).await?;
            connections.give_back(connection);
            Ok(result)
        })
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

impl Database for PostgresDatabase {
    fn exists(&self) -> Result<bool, RowsError> {
        let connections = self.connect()?;
        connections.wait(async { connections.take().await?.query_one(schema::EXISTS, &[]).await })
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn open(&self, first_numbers: &[(&str, u64)]) -> Result<(), RowsError> {
        let connections = self.connect()?;
        connections.wait(async {
            let connection = connections.take().await?;
            if connection.query_one(schema::EXISTS, &[]).await? {
                connections.give_back(connection);
            } else {
                // The tables belong to what identifies the database, so the next connection is a new one.
                connection.run(&schema::creation(first_numbers)).await?;
            }
            Ok(())
        })?;
        *self.connections.write() = Some(connections);
        Ok(())
    }

    fn open_progress(&self) -> Arc<OpenProgress> {
        Arc::clone(&self.progress)
    }

    fn view(&self, names: &[&str]) -> Result<(Box<dyn View>, Numbers), RowsError> {
        let (view, numbers) = Session::begin_reading(self.connections()?, names)?;
        Ok((Box::new(view), numbers))
    }

    fn numbers(&self, names: &[&str]) -> Result<(Stamp, Numbers), RowsError> {
        self.step(async |connection| transactions::stamped_numbers(connection, names).await)
    }

    fn begin(&self, names: &[&str]) -> Result<(Box<dyn Transaction + '_>, Numbers), RowsError> {
        let (transaction, numbers) = Session::begin_writing(self.connections()?, names)?;
        Ok((Box::new(transaction), numbers))
    }

    fn is_usable(&self) -> bool {
        self.connections.read().as_ref().is_some_and(|connections| !connections.have_failed())
    }

    /// Broken connections are replaced by themselves, so it is enough to see that the server works.
    fn reopen(&self) -> Result<(), RowsError> {
        self.check()?;
        self.connections()?.work_again();
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
        let (transaction, _) = self.begin(&[])?;
        transaction.commit(&[], &[]).map(drop)
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
        if let Some(reason) = tls::reason(&error, "sslrootcert=FILE in its address") {
            return Self::Unusable(Cause::new(reason));
        }
        let (variant, message): (fn(Cause) -> Self, _) = match error.code() {
            Some(state) if state.code().starts_with("28") => {
                (Self::Unusable, "the database refuses the user or the password")
            }
            Some(&SqlState::INVALID_CATALOG_NAME) => (Self::Unusable, "there is no such database"),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => (Self::Unusable, "the user of the database lacks a permission"),
            Some(&SqlState::DISK_FULL) => (Self::Full, "the disk of the database is full"),
            Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => (Self::Unavailable, "the database can only be read"),
            None if error.source().is_some_and(|cause| cause.to_string() == "password missing") => {
                (Self::Unusable, "the database wants a password, and its address has none")
            }
            _ => (Self::Unavailable, "the database failed"),
        };
        variant(Cause::with_source(message, error))
    }
}
