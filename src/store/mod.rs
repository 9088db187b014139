//! The store: events, the definitions of choices, and rollups, in one database.
//!
//! The rest of the program uses operations on these nouns and never sees rows. A [`Transaction`] is one atomic, durable change. A
//! [`Snapshot`] is one state: no later change affects it, and it never waits for a writer.
//!
//! | module | |
//! | --- | --- |
//! | [`rows`] | where rows are stored: transactions over ordered byte keys and values |
//! | `keys`, `location` | the key of every row |
//! | `codec`, `blocks`, `index_pages`, `rollup_rows`, `histograms`, `definition_rows` | the bytes of every value |
//! | `version`, `definitions` | the version of a state; the definitions of recent versions, in memory |
//! | `transaction` | writing |
//! | `writer` | whether other processes write, too |
//! | `format`, `upgrade` | databases of earlier formats |
//! | `snapshot`, `outlines`, `single_events`, `contributions`, `observers`, `audit`, `copy`, `retention` | reading; `reads` by the keys of a table |
//!
//! Not here: which event replaces which, and what that does to a rollup (`ledger`).

mod audit;
mod blocks;
mod codec;
mod contributions;
mod copy;
mod definition_rows;
mod definitions;
mod error;
mod format;
pub(crate) mod fuzz;
mod histograms;
mod index_pages;
mod keys;
mod location;
mod observers;
mod outlines;
mod reads;
mod retention;
mod rollup_rows;
pub mod rows;
mod single_events;
mod snapshot;
mod transaction;
mod upgrade;
mod version;
mod writer;

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use audit::{BLOCKS_AT_ONCE, EventCursor, Forgettable, Indexed, StoredEvents};
pub use codec::Corrupt;
pub use copy::EventCopy;
pub use error::StoreError;
pub use observers::{ObserverRead, Observers};
pub use outlines::{Detail, OutlineQuery};
pub use retention::{Retention, RetentionRecord};
pub use rows::redb::{OpenOptions, StorageBackend};
pub use rows::{OpenProgress, RowsError};
pub use snapshot::{Part, RetentionMarks, RollupQuery, Snapshot, StoreState};
pub use transaction::Transaction;
pub use version::Version;

use definitions::RecentDefinitions;
use format::Upgrade;
use rows::Database;
use rows::postgres::PostgresDatabase;
use rows::redb::RedbDatabase;
use writer::Writer;

/// The name of the database file in the data directory.
const FILE: &str = "metrics.redb";

/// The store: one database.
#[derive(Debug)]
pub struct Store {
    /// The directory in which copies of the events are made.
    directory: PathBuf,
    rows: Box<dyn Database>,
    definitions: RecentDefinitions,
    writer: Writer,
    /// Whether the database has to be upgraded before it can be used.
    needs_upgrade: AtomicBool,
}

impl Store {
    /// Opens the database in a directory. Creates both if they are missing.
    pub fn open(directory: &Path, options: OpenOptions) -> Result<Self, StoreError> {
        let store = Self::unopened(directory, options);
        store.open_first()?;
        Ok(store)
    }

    /// Returns the store of a directory before [`open_first`](Self::open_first). It has read and created nothing yet.
    pub fn unopened(directory: &Path, options: OpenOptions) -> Self {
        Self::with_rows(directory, Box::new(RedbDatabase::in_file(directory.join(FILE), options)))
    }

    /// Returns the store in the database on a server, before [`open_first`](Self::open_first). Copies of the events are made in the
    /// directory for temporary files.
    pub fn on_server(database: PostgresDatabase) -> Self {
        Self::with_rows(&env::temp_dir(), Box::new(database))
    }

    /// Like [`unopened`](Self::unopened), but the database is not in a file: the store calls `backend` whenever it opens the
    /// database.
    pub fn with_backend<B: StorageBackend>(
        directory: &Path,
        options: OpenOptions,
        backend: impl Fn() -> io::Result<B> + Send + Sync + 'static,
    ) -> Self {
        Self::with_rows(directory, Box::new(RedbDatabase::with_backend(directory.join(FILE), options, backend)))
    }

    /// Returns a store on the given rows, before [`open_first`](Self::open_first).
    pub fn with_rows(directory: &Path, rows: Box<dyn Database>) -> Self {
        Self {
            directory: directory.to_owned(),
            rows,
            definitions: RecentDefinitions::default(),
            writer: Writer::default(),
            needs_upgrade: AtomicBool::new(false),
        }
    }

    /// Opens the database for the first time, and creates it if it is missing. Until this returns, reads fail with
    /// [`RowsError::Closed`]. If it then [needs an upgrade](Self::needs_upgrade), they fail with [`StoreError::Upgrading`] until that
    /// is done.
    pub fn open_first(&self) -> Result<(), StoreError> {
        self.rows.open(&[(keys::NUMBER_FORMAT, keys::FORMAT)])?;
        self.read_first().inspect_err(|_| self.rows.close())
    }

    /// Looks at the format and reads the definitions, so that readers find them in memory.
    fn read_first(&self) -> Result<(), StoreError> {
        self.look_for_upgrade()?;
        self.definitions.clear();
        match Snapshot::of_upgrade(&*self.rows, &self.definitions) {
            // If definitions are damaged, every operation that needs them fails and reports it then.
            Ok(_) | Err(StoreError::Corrupt(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns the progress of opening the database.
    pub fn open_progress(&self) -> Arc<OpenProgress> {
        self.rows.open_progress()
    }

    /// Returns a snapshot of the current state. Fails with [`RowsError::Closed`] while the database is being reopened.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.refuse_while_upgrading()?;
        Snapshot::new(&*self.rows, &self.definitions)
    }

    /// Returns what is known of the current state. Across a network, this costs less than a snapshot.
    pub fn look(&self) -> Result<StoreState, StoreError> {
        self.refuse_while_upgrading()?;
        StoreState::look(&*self.rows, &self.definitions)
    }

    /// Returns a snapshot for the writer of this process, which so notices whether others have written.
    pub fn snapshot_of_writer(&self) -> Result<Snapshot, StoreError> {
        let snapshot = self.snapshot()?;
        self.writer.notice(snapshot.rows().stamp());
        Ok(snapshot)
    }

    /// How often the writer of this process, when it began a transaction or took a snapshot, found that another process had
    /// written since. What the writer knew of the stored state is outdated then.
    pub fn changes_of_others(&self) -> u64 {
        self.writer.changes_of_others()
    }

    /// Whether the database is across a network, so that every call may wait, and other processes may write.
    pub fn is_remote(&self) -> bool {
        self.rows.is_remote()
    }

    /// Begins a transaction. Dropping it changes nothing. If a commit fails, its outcome may be unknown; [`reopen`](Self::reopen)
    /// settles that.
    pub fn begin(&self) -> Result<Transaction<'_>, StoreError> {
        self.refuse_while_upgrading()?;
        Transaction::begin(&*self.rows, &self.definitions, &self.writer)
    }

    fn refuse_while_upgrading(&self) -> Result<(), StoreError> {
        if self.needs_upgrade() { Err(StoreError::Upgrading) } else { Ok(()) }
    }

    /// Runs `change` in a transaction and commits it. If `change` fails, nothing is changed.
    pub fn write<T>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = self.begin()?;
        let result = change(&mut transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    /// Whether the database works, as far as is known. If it does not, only [`reopen`](Self::reopen) helps.
    pub fn is_usable(&self) -> bool {
        self.rows.is_usable()
    }

    /// Closes the database and opens it again, after a failure. After that it can be read, even if it cannot be written.
    pub fn reopen(&self) -> Result<(), StoreError> {
        self.rows.reopen()?;
        self.read_first()
    }

    /// Checks, without a commit, whether a commit would be acknowledged. Another process may have changed the format meanwhile.
    pub fn check(&self) -> Result<(), StoreError> {
        self.rows.check()?;
        if self.is_remote() && self.look_for_upgrade()? != Upgrade::Done {
            return Err(StoreError::Upgrading);
        }
        Ok(())
    }

    /// Checks whether the disk has room for more data.
    pub fn check_room(&self) -> Result<(), StoreError> {
        Ok(self.rows.check_room()?)
    }

    /// Makes a commit that changes nothing, to find out whether a commit succeeds.
    pub fn probe(&self) -> Result<(), StoreError> {
        Ok(self.rows.probe()?)
    }

    /// Makes a checkpoint, so that the next start is quick. The next write ends this effect.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        Ok(self.rows.checkpoint()?)
    }

    /// Lets the database verify itself. Returns whether it was intact; if not, it was repaired as far as possible.
    pub fn verify(&self) -> Result<bool, StoreError> {
        Ok(self.rows.verify()?)
    }

    /// Returns the size of all stored data, in bytes.
    pub fn size_bytes(&self) -> io::Result<u64> {
        self.rows.size_bytes()
    }

    /// Returns the data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether the database was created. Creates nothing. Returns an error if this cannot be determined.
    pub fn exists(&self) -> Result<bool, StoreError> {
        Ok(self.rows.exists()?)
    }

    /// Closes the database. All later reads and writes fail.
    pub fn close(&self) {
        self.rows.close();
    }
}
