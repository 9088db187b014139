//! What is kept: events, definitions of choices, rollups, in one `redb` file.
//!
//! The rest of the program knows operations on these nouns, never tables: [`Store::write`] runs one atomic, synced
//! [`Batch`]; [`Store::snapshot`] gives a [`Snapshot`] that no later write changes and that waits for no writer. `tables`
//! reads as the file format; `blocks`, `index_pages`, `rollup_rows` and `codec` say what the bytes mean.
//!
//! Not here: which event replaces which, and what that does to a rollup (`worker`).

mod audit;
mod batch;
mod blocks;
mod codec;
mod copy;
mod damage;
mod definitions;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod index_pages;
mod observers;
mod retention;
mod rollup_rows;
mod snapshot;
mod tables;

use std::convert::Infallible;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::ControlFlow;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable};

pub use audit::{EventCursor, Forgettable, Index, Indexed};
pub use batch::{Batch, Change, Homeless, StoredEvents, StoredRollups};
pub use codec::Corrupt;
pub use copy::Copy;
pub use file::{Displacement, OpenProgress};
pub use observers::{Observers, Read};
pub use redb::StorageBackend;
pub use retention::{Retention, RetentionRecord};
pub use snapshot::{Kept, Snapshot, Wanted};

use damage::{Guard, guarded};
use definitions::RecentDefinitions;
use file::DatabaseFile;
use tables::DefinitionKey;

use crate::catalog::MetricsTypeId;
use crate::events::{Choice, Choices};

/// The file in the data directory.
const FILE: &str = "metrics.redb";

/// How much room there has to be beside the database before writing is tried again, in bytes: for some commits.
const ROOM_BYTES: usize = 1 << 20;

/// Why the store cannot do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data directory cannot be made or written, or has no room left.
    #[error("the data directory `{}` cannot be used", .path.display())]
    Directory {
        /// The data directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has the database open.
    #[error("the database `{}` is open in another process (hint: stop that first)", .0.display())]
    InUse(PathBuf),
    /// The file cannot be opened as a database.
    #[error("the database `{}` cannot be opened", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What `redb` says.
        source: redb::Error,
    },
    /// The file is a database, but none of ours.
    #[error("the database `{}` is another program's", .0.display())]
    Foreign(PathBuf),
    /// A later version of this program wrote the file.
    #[error("the database has format {found}, this program reads up to format {known}")]
    NewerFormat {
        /// The format of the file.
        found: u64,
        /// The newest format that is known here.
        known: u64,
    },
    /// The file is no longer the one that was opened: what was written to it may be lost at the next start.
    #[error("the database file `{}` {displacement}", .path.display())]
    Displaced {
        /// Where it was opened.
        path: PathBuf,
        /// What happened to it.
        displacement: Displacement,
    },
    /// A copy of the events cannot be read again.
    #[error("a copy of the events cannot be read")]
    Copy(#[source] io::Error),
    /// The program is stopping, or the database failed, and is not open again yet.
    #[error("the database is closed")]
    Closed,
    /// Reading or writing failed.
    #[error("the database failed")]
    Database(#[source] redb::Error),
    /// What was read is damaged.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// `redb` cannot go on with what stands in the file.
    #[error("the database is damaged: {0}")]
    Damaged(String),
}

impl StoreError {
    fn open(path: &Path, error: redb::Error) -> Self {
        let path = path.to_owned();
        if matches!(error, redb::Error::DatabaseAlreadyOpen) {
            Self::InUse(path)
        } else {
            Self::Open { path, source: error }
        }
    }
}

macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                Self::Database(error.into())
            }
        }
    )*};
}
from_redb!(TransactionError, TableError, StorageError, CommitError, CursorError, SetDurabilityError);

/// How a database is opened.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// Bounds the page cache, in bytes.
    pub cache_bytes: usize,
    /// Whether all of the file is verified first, by the checksums of its pages: a damaged one is refused then. Without, a file
    /// that was settled or closed in order is trusted, and opens at once.
    pub verify: bool,
}

impl Opening {
    /// With all of the file verified.
    pub fn verified(cache_bytes: usize) -> Self {
        Self { cache_bytes, verify: true }
    }
}

/// Opens the database where its bytes are.
type Opener = dyn Fn(&redb::Builder) -> Result<Database, DatabaseError> + Send + Sync;

/// What the bytes of the database are on.
enum Medium {
    File(DatabaseFile),
    Other(Box<Opener>),
}

impl fmt::Debug for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Medium")
    }
}

/// The database, while it is open.
#[derive(Debug)]
struct Open {
    database: Database,
    guard: Arc<Guard>,
}

/// What is kept, in one file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    medium: Medium,
    opening: Opening,
    /// `None` before it is opened, and while it is closed after a failure. Locked for writing only to close and open it again.
    open: RwLock<Option<Open>>,
    /// The file is damaged, or was.
    distrusted: AtomicBool,
    choices: RecentDefinitions,
}

impl Store {
    /// Opens the database in a directory; makes both if they are missing.
    pub fn open(directory: &Path, opening: Opening) -> Result<Self, StoreError> {
        Self::unopened(directory, opening).opened()
    }

    /// Opens the database on something else than a file: on what `medium` gives, which is asked whenever the database is
    /// opened, [`reopen`](Self::reopen) included. Copies of the events are still made in `directory`, and errors name the file
    /// that would be there.
    pub fn on<B: StorageBackend>(
        directory: &Path,
        opening: Opening,
        medium: impl Fn() -> io::Result<B> + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        Self::unopened_on(directory, opening, medium).opened()
    }

    /// The database in a directory, before [`open_first`](Self::open_first): nothing is read or made so far.
    pub fn unopened(directory: &Path, opening: Opening) -> Self {
        let path = directory.join(FILE);
        Self::new(path.clone(), opening, Medium::File(DatabaseFile::new(path)))
    }

    /// As [`on`](Self::on), before [`open_first`](Self::open_first).
    pub fn unopened_on<B: StorageBackend>(
        directory: &Path,
        opening: Opening,
        medium: impl Fn() -> io::Result<B> + Send + Sync + 'static,
    ) -> Self {
        let medium = move |builder: &redb::Builder| {
            builder.create_with_backend(medium().map_err(|error| DatabaseError::Storage(error.into()))?)
        };
        Self::new(directory.join(FILE), opening, Medium::Other(Box::new(medium)))
    }

    fn new(path: PathBuf, opening: Opening, medium: Medium) -> Self {
        let (distrusted, choices) = (AtomicBool::new(false), RecentDefinitions::default());
        Self { path, medium, opening, open: RwLock::default(), distrusted, choices }
    }

    fn opened(self) -> Result<Self, StoreError> {
        self.open_first()?;
        Ok(self)
    }

    /// Opens the database for the first time; makes the directory and the file if they are missing. Until this returns, reading
    /// fails with [`StoreError::Closed`].
    pub fn open_first(&self) -> Result<(), StoreError> {
        let mut open = self.open.write();
        if matches!(self.medium, Medium::File(_)) {
            let directory = self.directory();
            let failed = |source| StoreError::Directory { path: directory.to_owned(), source };
            make_directory(directory).map_err(failed)?;
            if !self.path.try_exists().map_err(failed)? {
                make_file(directory, &self.path)?;
            }
        }
        *open = Some(self.open_database(self.opening)?);
        Ok(())
    }

    /// How far opening the database has come; how much was read is known of files only.
    pub fn open_progress(&self) -> Arc<OpenProgress> {
        match &self.medium {
            Medium::File(file) => Arc::clone(file.progress()),
            Medium::Other(_) => Arc::default(),
        }
    }

    /// Whether the file that was opened is still at its path, with all that was written to it. [`StoreError::Displaced`] if not: then
    /// nothing is acknowledged, and if its content is no longer ours, nothing is read either.
    pub fn check_file(&self) -> Result<(), StoreError> {
        let open = self.open.read();
        self.check_file_of(open.as_ref())
    }

    fn check_file_of(&self, open: Option<&Open>) -> Result<(), StoreError> {
        let Medium::File(file) = &self.medium else { return Ok(()) };
        let checked = file.check();
        if file.is_sealed()
            && let Some(open) = open
        {
            // Where it comes back, all of it is verified.
            open.guard.distrust();
        }
        checked
    }

    /// Opens the database, and reads the definitions, so that no reader has to.
    fn open_database(&self, opening: Opening) -> Result<Open, StoreError> {
        let open = Open::new(&self.path, &self.medium, opening)?;
        self.choices.clear();
        match open.guard.run(|| self.snapshot_of(&open)) {
            // Damaged definitions fail whatever needs them, and say so then.
            Ok(_) | Err(StoreError::Corrupt(_)) => Ok(open),
            Err(error) => Err(error),
        }
    }

    /// What is stored now. Later writes do not change it. [`StoreError::Closed`] while the database is opened again: nobody is
    /// kept waiting for that.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let open = self.open.try_read().ok_or(StoreError::Closed)?;
        let open = open.as_ref().ok_or(StoreError::Closed)?;
        if let Medium::File(file) = &self.medium {
            // Otherwise, old pages from memory and others' from the file would make up a state that never was.
            file.refuse_if_sealed()?;
        }
        open.guard.run(|| self.snapshot_of(open))
    }

    fn snapshot_of(&self, open: &Open) -> Result<Snapshot, StoreError> {
        Snapshot::new(open.database.begin_read()?, Arc::clone(&open.guard), &self.choices)
    }

    /// Runs one batch of changes and commits it, synced to disk. If anything fails, nothing is changed; after a failed
    /// commit it may be unknown whether it took effect, and [`reopen`](Self::reopen) finds out.
    pub fn write<T>(&self, change: impl FnOnce(&mut Batch<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let written = self.write_if(|batch| change(batch).map(ControlFlow::<Infallible, T>::Continue))?;
        let ControlFlow::Continue(result) = written;
        Ok(result)
    }

    /// Like [`write`](Self::write), but the batch may decide against itself: on `Break`, nothing is changed.
    pub fn write_if<B, T>(
        &self,
        change: impl FnOnce(&mut Batch<'_>) -> Result<ControlFlow<B, T>, StoreError>,
    ) -> Result<ControlFlow<B, T>, StoreError> {
        let open = self.open.read();
        let open = open.as_ref().ok_or(StoreError::Closed)?;
        open.guard.run(|| {
            self.check_file_of(Some(open))?;
            let transaction = open.database.begin_write()?;
            let choices = Arc::clone(self.snapshot_of(open)?.choices());
            let mut batch = Batch::new(&transaction, choices)?;
            let result = change(&mut batch)?;
            if result.is_break() {
                drop(batch);
                transaction.abort()?;
                return Ok(result);
            }
            let definitions = batch.finish()?;
            self.choices.commit(definitions, || Ok(transaction.commit()?))?;
            // It may have been moved since; then nobody may be told that this is stored.
            self.check_file_of(Some(open))?;
            Ok(result)
        })
    }

    /// Whether the database can be read and written as far as anybody knows: if not, only [`reopen`](Self::reopen) helps.
    pub fn is_usable(&self) -> bool {
        self.open.try_read().is_some_and(|open| open.as_ref().is_some_and(|open| !open.guard.has_failed()))
    }

    /// Closes the database and opens it again: the way out after a failure. What is stored can be read from then on, whether
    /// anything can be written or not. Where `redb` met damage, all of the file is verified first. Only the file that was open
    /// before is opened: where that is not at its path any more, what is open stays open.
    pub fn reopen(&self) -> Result<(), StoreError> {
        let mut open = self.open.write();
        self.check_file_of(open.as_ref())?;
        if open.as_ref().is_some_and(|open| open.guard.has_met_damage()) {
            self.distrusted.store(true, Ordering::Relaxed);
        }
        close_database(open.take());
        let verify = self.opening.verify || self.distrusted.load(Ordering::Relaxed);
        *open = Some(self.open_database(Opening { verify, ..self.opening })?);
        Ok(())
    }

    /// Finds out whether anything can be written: there has to be room beside the database, and a commit that changes nothing
    /// has to succeed. Asking for room first keeps a full disk from failing that commit, which would end all reading until the
    /// database is opened again.
    pub fn try_writing(&self) -> Result<(), StoreError> {
        self.check_file()?;
        self.find_room()?;
        self.commit_nothing(false)
    }

    /// Whether there is room beside the database. What else may be wrong with the directory, the database may not mind.
    pub fn find_room(&self) -> Result<(), StoreError> {
        let fill = || {
            let mut file = tempfile::tempfile_in(self.directory())?;
            file.write_all(&vec![0; ROOM_BYTES])?;
            file.sync_data()
        };
        match fill() {
            Err(source) if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                Err(StoreError::Directory { path: self.directory().to_owned(), source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Leaves the file so that it opens at once even after a crash, until the next write: what that needs is written with
    /// this commit. Costs about as much as the commit of a small request; the more so, the larger the file.
    pub fn settle(&self) -> Result<(), StoreError> {
        self.commit_nothing(true)
    }

    /// A commit that changes nothing, but has to be written.
    fn commit_nothing(&self, quick_repair: bool) -> Result<(), StoreError> {
        let open = self.open.read();
        let open = open.as_ref().ok_or(StoreError::Closed)?;
        self.check_file_of(Some(open))?;
        open.commit_nothing(quick_repair)?;
        self.check_file_of(Some(open))
    }

    /// Lets the database verify its file. Returns whether all was well; if not, it was mended as far as possible.
    pub fn verify_file(&self) -> Result<bool, StoreError> {
        let mut open = self.open.write();
        let Open { database, guard } = open.as_mut().ok_or(StoreError::Closed)?;
        guard.run(|| database.check_integrity().map_err(|error| StoreError::Database(error.into())))
    }

    /// How long the file is, in bytes.
    pub fn file_bytes(&self) -> io::Result<u64> {
        Ok(fs::metadata(&self.path)?.len())
    }

    /// Where the database is kept.
    pub fn directory(&self) -> &Path {
        self.path.parent().expect("the file is in a directory")
    }

    /// Whether there is a database in a directory; an error if that cannot be told.
    pub fn exists(directory: &Path) -> Result<bool, StoreError> {
        let failed = |source| StoreError::Directory { path: directory.to_owned(), source };
        directory.join(FILE).try_exists().map_err(failed)
    }

    /// Closes the database, so that another process may open it. Reading and writing fail from then on.
    pub fn close(&self) {
        let mut open = self.open.write();
        // What others put into the file is not written over.
        if let Err(error) = self.check_file_of(open.as_ref()) {
            tracing::warn!("while it was open, {error}");
        }
        close_database(open.take());
    }
}

impl Open {
    fn new(path: &Path, medium: &Medium, opening: Opening) -> Result<Self, StoreError> {
        guarded(|| {
            let mut builder = redb::Builder::new();
            builder.set_cache_size(opening.cache_bytes).set_check_integrity_on_open(opening.verify);
            let database = match medium {
                Medium::File(file) => file.open(&builder)?,
                Medium::Other(open) => open(&builder).map_err(|error| StoreError::open(path, error.into()))?,
            };
            prepare_format(&database, path)?;
            Ok(Self { database, guard: Arc::default() })
        })
    }

    /// A commit that changes nothing, but has to be written.
    fn commit_nothing(&self, quick_repair: bool) -> Result<(), StoreError> {
        self.guard.run(|| {
            let mut transaction = self.database.begin_write()?;
            transaction.set_quick_repair(quick_repair);
            transaction.open_table(tables::META)?.insert(tables::META_FORMAT, tables::FORMAT)?;
            Ok(transaction.commit()?)
        })
    }
}

fn close_database(open: Option<Open>) {
    let Some(Open { database, .. }) = open else { return };
    if let Err(error) = guarded(|| database.close().map_err(|error| StoreError::Database(error.into()))) {
        // Nothing is lost: what was committed is on disk, and the next open looks through the file.
        tracing::debug!(%error, "the database did not close in order");
    }
}

/// Makes a directory, and those above it that are missing.
fn make_directory(directory: &Path) -> io::Result<()> {
    let missing: Vec<_> = directory.ancestors().take_while(|above| !above.exists()).collect();
    fs::create_dir_all(directory)?;
    for made in missing {
        // A relative path ends with an empty one, which is no directory.
        match made.parent() {
            Some(parent) if parent.as_os_str().is_empty() => sync_names(Path::new("."))?,
            Some(parent) => sync_names(parent)?,
            None => {}
        }
    }
    Ok(())
}

/// What is in a directory is there after a crash, too.
fn sync_names(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes a new database beside its place, and puts it there when it is whole. So a file that is empty is damaged, however
/// early the program was ended that made it.
fn make_file(directory: &Path, path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Directory { path: directory.to_owned(), source };
    let mut builder = tempfile::Builder::new();
    builder.prefix(FILE);
    // As any file that is made, but for what the process leaves out.
    #[cfg(unix)]
    builder.permissions(fs::Permissions::from_mode(0o666));
    let new = builder.tempfile_in(directory).map_err(failed)?;
    guarded(|| {
        let open = |error: DatabaseError| StoreError::open(path, error.into());
        let database = redb::Builder::new().create(new.path()).map_err(open)?;
        prepare_format(&database, path)?;
        database.close().map_err(open)
    })?;
    match new.persist_noclobber(path) {
        Ok(_) => sync_names(directory).map_err(failed),
        // Another process was faster.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error.error)),
    }
}

/// Makes the tables of a new database; refuses a newer format. An older format would be migrated here.
fn prepare_format(database: &Database, path: &Path) -> Result<(), StoreError> {
    let transaction = database.begin_write()?;
    let is_new = transaction.list_tables()?.next().is_none();
    let found = transaction.open_table(tables::META)?.get(tables::META_FORMAT)?.map(|format| format.value());
    match found {
        Some(tables::FORMAT) => Ok(transaction.abort()?),
        Some(found) => Err(StoreError::NewerFormat { found, known: tables::FORMAT }),
        None if !is_new => Err(StoreError::Foreign(path.to_owned())),
        None => {
            transaction.open_table(tables::META)?.insert(tables::META_FORMAT, tables::FORMAT)?;
            transaction.open_table(tables::CHOICES)?;
            transaction.open_table(tables::BLOCKS)?;
            transaction.open_table(tables::INDEX)?;
            transaction.open_table(tables::ROLLUPS)?;
            transaction.open_table(tables::TOTALS)?;
            Ok(transaction.commit()?)
        }
    }
}

/// The key of a definition's row.
fn definition_key(choice: &Choice) -> DefinitionKey {
    let (metrics, id) = choice.key();
    DefinitionKey { metrics: metrics as u8, id: id.get() }
}

/// Reads all definitions.
fn read_choices(table: &impl ReadableTable<DefinitionKey, &'static [u8]>) -> Result<Choices, StoreError> {
    const JOB_TYPES: u8 = MetricsTypeId::JobTypes as u8;
    const STRIKES: u8 = MetricsTypeId::Ingests as u8;
    const ERRORS: u8 = MetricsTypeId::Errors as u8;
    let mut choices = Choices::default();
    for row in table.range::<DefinitionKey>(..)? {
        let (key, value) = row?;
        choices.define(match key.value().metrics {
            JOB_TYPES => Choice::JobType(codec::decode_definition(value.value())?),
            STRIKES => Choice::Strike(codec::decode_definition(value.value())?),
            ERRORS => Choice::Error(codec::decode_definition(value.value())?),
            _ => return Err(Corrupt("a choice has an unknown type").into()),
        });
    }
    Ok(choices)
}
