//! A pool of connections to the server. It opens a connection when none is idle, and drops those that broke.
//!
//! Each connection belongs to an era. A new one begins when a connection finds another server process or other tables than the
//! last one did: then a replica may have taken over that lacks the last commits, or a backup was restored.

use std::collections::HashMap;
use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{FromSqlOwned, ToSql};
use tokio_postgres::{Client, Config, NoTls, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::{Cause, RowsError};
use super::{Address, PATIENCE, schema};

/// How many idle connections are kept.
const MOST_IDLE: usize = 8;

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    /// The era of the database ([`super::super::Stamp`]).
    pub(super) era: u64,
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
        let row = self.client.query_one(&self.prepared(&schema::limits()).await?, &[]).await?;
        let (read_only, forbidden): (bool, &str) = (row.try_get(0)?, row.try_get(1)?);
        if !forbidden.is_empty() {
            let message = format!("the user of the database lacks a permission on {forbidden}");
            return Err(RowsError::Unusable(Cause::new(message)));
        }
        if read_only {
            return Err(RowsError::Unavailable(Cause::new("the database can only be read")));
        }
        Ok(())
    }
}

/// All connections of this process.
pub(super) struct Connections {
    runtime: Handle,
    config: Config,
    /// The hosts and the name of the database, for messages.
    place: String,
    tls: Option<MakeRustlsConnect>,
    idle: Mutex<Vec<Arc<Connection>>>,
    /// The era, and what identifies the database in it; empty before the first connection.
    era: Mutex<(u64, String)>,
    /// Whether the server failed since it was seen to work last.
    has_failed: AtomicBool,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

impl Connections {
    pub(super) fn new(runtime: Handle, address: &Address) -> Result<Self, RowsError> {
        Ok(Self {
            runtime,
            config: address.config(),
            place: address.place(),
            tls: address.tls()?,
            idle: Mutex::default(),
            era: Mutex::default(),
            has_failed: AtomicBool::new(false),
        })
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
        if matches!(result, Err(RowsError::Unavailable(_) | RowsError::Unusable(_))) {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Does something while the caller goes on.
    pub(super) fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.runtime.spawn(work)
    }

    /// Polls something once, so that all that it sends is sent before what comes later, and lets it go on while the caller does.
    /// Somebody has to take results: until then nothing else comes through their connection.
    pub(super) fn send<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let mut work = work.boxed();
        match (&mut work).now_or_never() {
            Some(done) => self.runtime.spawn(ready(done)),
            None => self.runtime.spawn(work),
        }
    }

    /// A connection that is idle, or a new one.
    pub(super) async fn take(&self) -> Result<Arc<Connection>, RowsError> {
        loop {
            let Some(connection) = self.idle.lock().pop() else { break };
            if !connection.client.is_closed() && connection.era == self.era.lock().0 {
                return Ok(connection);
            }
        }
        let client = match self.tls.clone() {
            Some(tls) => self.connect(tls).await?,
            None => self.connect(NoTls).await?,
        };
        let mut connection = Connection { client, era: 0, prepared: Mutex::default() };
        connection.run(schema::SETTINGS).await?;
        connection.era = self.era_of(connection.query_one(schema::IDENTITY, &[]).await?);
        Ok(Arc::new(connection))
    }

    async fn connect<T>(&self, tls: T) -> Result<Client, RowsError>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
    {
        let connected = self.config.connect(tls).await.map_err(RowsError::from);
        let (client, connection) = match connected {
            Err(RowsError::Unavailable(cause)) => {
                let message = format!("the database at {} is away", self.place);
                return Err(RowsError::Unavailable(Cause { message, ..cause }));
            }
            connected => connected?,
        };
        self.runtime.spawn(async {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the database broke");
            }
        });
        Ok(client)
    }

    /// The era of a database with this identity.
    fn era_of(&self, identity: String) -> u64 {
        let mut era = self.era.lock();
        if era.1 != identity {
            *era = (era.0 + 1, identity);
        }
        era.0
    }

    /// Keeps a connection on which no transaction is open.
    pub(super) fn give_back(&self, connection: Arc<Connection>) {
        let era = self.era.lock().0;
        let mut idle = self.idle.lock();
        if idle.len() < MOST_IDLE && connection.era == era && !connection.client.is_closed() {
            idle.push(connection);
        }
    }
}

/// Waits for something that was [spawned](Connections::spawn).
pub(super) async fn finished<T>(work: &mut JoinHandle<Result<T, RowsError>>) -> Result<T, RowsError> {
    work.await.unwrap_or_else(|error| {
        Err(RowsError::Unavailable(Cause::with_source("work on the database broke off", error)))
    })
}
