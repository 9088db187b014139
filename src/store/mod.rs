//! What is stored: events, the definitions of choices, rollups.
//!
//! The rest of the program knows operations on these nouns, never rows: a [`Transaction`] is one atomic, durable change; a
//! [`Snapshot`] is one state, which no later change touches and which waits for no writer.
//!
//! | module | |
//! | --- | --- |
//! | [`rows`] | where rows are stored: transactions over ordered byte keys and values |
//! | `keys`, `location` | the key of every row |
//! | `codec`, `blocks`, `index_pages`, `rollup_rows`, `definition_rows` | the bytes of every value |
//! | `definitions` | the definitions of recent states, in memory |
//! | `transaction` | writing |
//! | `snapshot`, `observers`, `audit`, `copy`, `retention` | reading; `visit` for visitors that may fail |
//!
//! Not here: which event replaces which, and what that does to a rollup (`ledger`).

mod audit;
mod blocks;
mod codec;
mod copy;
mod definition_rows;
mod definitions;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod index_pages;
mod keys;
mod location;
mod observers;
mod retention;
mod rollup_rows;
pub mod rows;
mod snapshot;
mod transaction;
mod visit;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use audit::{EventCursor, Forgettable, Index, Indexed};
pub use codec::Corrupt;
pub use copy::Copy;
pub use error::StoreError;
pub use observers::{ObserverRead, Observers};
pub use retention::{Retention, RetentionRecord};
pub use rows::redb::{OpenOptions, StorageBackend};
pub use rows::{OpenProgress, RowsError};
pub use snapshot::{RetentionMarks, RollupQuery, Snapshot};
pub use transaction::{Transaction, UnendedCursor};

use definitions::RecentDefinitions;
use rows::Database;
use rows::redb::RedbDatabase;

/// The file in the data directory.
const FILE: &str = "metrics.redb";

/// What is stored, in one database.
#[derive(Debug)]
pub struct Store {
    /// Where copies of the events are made.
    directory: PathBuf,
    rows: Box<dyn Database>,
    definitions: RecentDefinitions,
}

impl Store {
    /// Opens the database in a directory; makes both if they are missing.
    pub fn open(directory: &Path, options: OpenOptions) -> Result<Self, StoreError> {
        let store = Self::unopened(directory, options);
        store.open_first()?;
        Ok(store)
    }

    /// The database in a directory, before [`open_first`](Self::open_first): nothing is read or made so far.
    pub fn unopened(directory: &Path, options: OpenOptions) -> Self {
        Self::with_rows(directory, Box::new(RedbDatabase::in_file(directory.join(FILE), options)))
    }

    /// As [`unopened`](Self::unopened), on something other than a file: `backend` is called whenever the database is opened.
    pub fn with_backend<B: StorageBackend>(
        directory: &Path,
        options: OpenOptions,
        backend: impl Fn() -> io::Result<B> + Send + Sync + 'static,
    ) -> Self {
        Self::with_rows(directory, Box::new(RedbDatabase::with_backend(directory.join(FILE), options, backend)))
    }

    /// A store of rows that are kept elsewhere, before [`open_first`](Self::open_first).
    pub fn with_rows(directory: &Path, rows: Box<dyn Database>) -> Self {
        Self { directory: directory.to_owned(), rows, definitions: RecentDefinitions::default() }
    }

    /// Opens the database for the first time, and makes it if it is missing. Until this returns, reading fails with
    /// [`RowsError::Closed`].
    pub fn open_first(&self) -> Result<(), StoreError> {
        self.rows.open(&[(keys::NUMBER_FORMAT, keys::FORMAT)])?;
        self.read_first().inspect_err(|_| self.rows.close())
    }

    /// Checks the format and reads the definitions, so that no reader has to.
    fn read_first(&self) -> Result<(), StoreError> {
        let (_, numbers) = self.rows.view(&[keys::NUMBER_FORMAT])?;
        match numbers[0] {
            Some(keys::FORMAT) => {}
            found => return Err(StoreError::NewerFormat { found: found.unwrap_or(0), known: keys::FORMAT }),
        }
        self.definitions.clear();
        match self.snapshot() {
            // Damaged definitions fail whatever needs them, and say so then.
            Ok(_) | Err(StoreError::Corrupt(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// How far opening the database has come.
    pub fn open_progress(&self) -> Arc<OpenProgress> {
        self.rows.open_progress()
    }

    /// What is stored now. Fails with [`RowsError::Closed`] while the database is being reopened.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::new(&*self.rows, &self.definitions)
    }

    /// Begins a change. If it is dropped, nothing is changed. After a commit that failed it may be unknown whether it took effect, and
    /// [`reopen`](Self::reopen) settles that.
    pub fn begin(&self) -> Result<Transaction<'_>, StoreError> {
        Transaction::begin(&*self.rows, &self.definitions)
    }

    /// Makes a change and commits it. If `change` fails, nothing is changed.
    pub fn write<T>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = self.begin()?;
        let result = change(&mut transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    /// Whether the database works, as far as anybody knows: if not, only [`reopen`](Self::reopen) helps.
    pub fn is_usable(&self) -> bool {
        self.rows.is_usable()
    }

    /// Closes the database and opens it again, after a failure. From then on it can be read, even if it cannot be written.
    pub fn reopen(&self) -> Result<(), StoreError> {
        self.rows.reopen()?;
        self.read_first()
    }

    /// Looks, without a commit, whether one would be acknowledged.
    pub fn check(&self) -> Result<(), StoreError> {
        Ok(self.rows.check()?)
    }

    /// Looks whether there is room for more.
    pub fn check_room(&self) -> Result<(), StoreError> {
        Ok(self.rows.check_room()?)
    }

    /// Makes a commit that changes nothing, to see whether one succeeds.
    pub fn probe(&self) -> Result<(), StoreError> {
        Ok(self.rows.probe()?)
    }

    /// Does what makes the next start quick, until the next write.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        Ok(self.rows.checkpoint()?)
    }

    /// Lets the database verify itself. Returns whether all was well; if not, it was mended as far as possible.
    pub fn verify(&self) -> Result<bool, StoreError> {
        Ok(self.rows.verify()?)
    }

    /// The size of everything that is stored, in bytes.
    pub fn size_bytes(&self) -> io::Result<u64> {
        self.rows.size_bytes()
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether there is a database in a directory; an error if that cannot be told.
    pub fn exists(directory: &Path) -> Result<bool, StoreError> {
        Ok(RedbDatabase::exists(&directory.join(FILE))?)
    }

    /// Closes the database. Reading and writing fail from then on.
    pub fn close(&self) {
        self.rows.close();
    }
}
