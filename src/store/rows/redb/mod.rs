//! A database of rows in one file, by `redb`.
//!
//! Commits use the default of `redb`: one-phase commits, with an fsync. After a failed write, `redb` reads only its cache, so
//! the database has to be closed and opened again ([`RedbDatabase::reopen`]). A file that was not closed in order has to be
//! read through before it opens, unless its last commit was a [`checkpoint`](RedbDatabase::checkpoint), which stores the data
//! that a quick start needs. Only this module handles the peculiarities of `redb` and of files.
//!
//! Not here: when a database is reopened or checkpointed (`worker/task.rs`).

mod file;
mod panics;
mod tables;
mod transactions;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use redb::{DatabaseError, ReadableDatabase};

pub use redb::StorageBackend;

use file::{DatabaseFile, directory_failed, directory_of};
use panics::{Guard, guarded};
use transactions::{RedbTransaction, RedbView};

use super::{Cause, Database, Numbers, OpenProgress, RowsError, Transaction, View};

/// The room that the disk must have before writing is tried again, in bytes: enough for some commits.
const ROOM_BYTES: usize = 1 << 20;

/// Options for opening a database.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions {
    /// The limit of the page cache, in bytes.
    pub cache_bytes: usize,
    /// Whether the whole file is verified first, by the checksums of its pages. A damaged file is then refused. Otherwise, a file
    /// that was checkpointed or closed in order is trusted, and opens at once.
    pub verify: bool,
}

impl OpenOptions {
    /// Options that verify the whole file.
    pub fn verified(cache_bytes: usize) -> Self {
        Self { cache_bytes, verify: true }
    }
}

/// Opens the database on a custom storage backend.
type Opener = dyn Fn(&redb::Builder) -> Result<redb::Database, DatabaseError> + Send + Sync;

/// The storage of the database.
enum Backend {
    File(DatabaseFile),
    Other(Box<Opener>),
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Backend")
    }
}

/// A database that is open, and its guard.
#[derive(Debug)]
struct OpenDatabase {
    database: redb::Database,
    guard: Arc<Guard>,
}

/// A database in one file.
#[derive(Debug)]
pub struct RedbDatabase {
    path: PathBuf,
    backend: Backend,
    options: OpenOptions,
    /// `None` before it is opened, and while it is closed after a failure. Only closing and reopening lock it for writing.
    open: RwLock<Option<OpenDatabase>>,
    /// Whether the file is or was damaged. It is then verified whenever it is opened.
    verify_always: AtomicBool,
}

impl RedbDatabase {
    /// Returns the database in a file. The file and its directory are created when the database is opened.
    pub fn in_file(path: PathBuf, options: OpenOptions) -> Self {
        Self::new(path.clone(), options, Backend::File(DatabaseFile::new(path)))
    }

    /// Returns a database on storage other than a file. `backend` is called whenever the database is opened, also after failures.
    /// Errors name `path` nevertheless, and the check for room uses its directory.
    pub fn with_backend<B: StorageBackend>(
        path: PathBuf,
        options: OpenOptions,
        backend: impl Fn() -> io::Result<B> + Send + Sync + 'static,
    ) -> Self {
        let open = move |builder: &redb::Builder| {
            builder.create_with_backend(backend().map_err(|error| DatabaseError::Storage(error.into()))?)
        };
        Self::new(path, options, Backend::Other(Box::new(open)))
    }

    fn new(path: PathBuf, options: OpenOptions, backend: Backend) -> Self {
        Self { path, backend, options, open: RwLock::default(), verify_always: AtomicBool::new(false) }
    }

    fn directory(&self) -> &Path {
        directory_of(&self.path)
    }

    fn unusable_directory(&self, error: io::Error) -> RowsError {
        RowsError::Unusable(directory_failed(self.directory(), error))
    }

    fn open_database(&self, options: OpenOptions) -> Result<OpenDatabase, RowsError> {
        guarded(|| {
            let mut builder = redb::Builder::new();
            builder.set_cache_size(options.cache_bytes).set_check_integrity_on_open(options.verify);
            let database = match &self.backend {
                Backend::File(file) => file.open(&builder)?,
                Backend::Other(open) => open(&builder).map_err(|error| unusable(&self.path, error.into()))?,
            };
            Ok(OpenDatabase { database, guard: Arc::default() })
        })
    }

    /// Checks that the file that was opened is still at its path, with everything that was written to it.
    fn check_file_of(&self, open: Option<&OpenDatabase>) -> Result<(), RowsError> {
        let Backend::File(file) = &self.backend else { return Ok(()) };
        let checked = file.check();
        if file.is_sealed()
            && let Some(open) = open
        {
            // If the original file comes back, it is verified as a whole.
            open.guard.distrust();
        }
        checked
    }

    /// Makes a commit that changes nothing but is written.
    fn commit_nothing(&self, quick_repair: bool) -> Result<(), RowsError> {
        let open = self.open.read();
        let open = open.as_ref().ok_or(RowsError::Closed)?;
        self.check_file_of(Some(open))?;
        open.guard.run(|| {
            let mut transaction = open.database.begin_write()?;
            transaction.set_quick_repair(quick_repair);
            tables::touch(&transaction)?;
            Ok(transaction.commit()?)
        })?;
        self.check_file_of(Some(open))
    }
}

impl Database for RedbDatabase {
    /// A backend other than a file creates what it opens.
    fn exists(&self) -> Result<bool, RowsError> {
        match self.backend {
            Backend::File(_) => self.path.try_exists().map_err(|error| self.unusable_directory(error)),
            Backend::Other(_) => Ok(true),
        }
    }

    fn is_remote(&self) -> bool {
        false
    }

    fn open(&self, first_numbers: &[(&str, u64)]) -> Result<(), RowsError> {
        let mut open = self.open.write();
        if matches!(self.backend, Backend::File(_)) {
            make_directory(self.directory()).map_err(|error| self.unusable_directory(error))?;
            if !self.exists()? {
                make_file(self.directory(), &self.path, first_numbers)?;
            }
        }
        let opened = self.open_database(self.options)?;
        guarded(|| tables::prepare(&opened.database, &self.path, first_numbers))?;
        *open = Some(opened);
        Ok(())
    }

    fn open_progress(&self) -> Arc<OpenProgress> {
        match &self.backend {
            Backend::File(file) => Arc::clone(file.progress()),
            Backend::Other(_) => Arc::default(),
        }
    }

    fn view(&self, names: &[&str]) -> Result<(Box<dyn View>, Numbers), RowsError> {
        let open = self.open.try_read().ok_or(RowsError::Closed)?;
        let open = open.as_ref().ok_or(RowsError::Closed)?;
        if let Backend::File(file) = &self.backend {
            // Otherwise, old pages from memory and foreign pages from the file would form a state that never existed.
            file.refuse_if_sealed()?;
        }
        open.guard.run(|| {
            let transaction = open.database.begin_read()?;
            let numbers = transactions::numbers(&transaction.open_table(tables::NUMBERS)?, names)?;
            let view: Box<dyn View> = Box::new(RedbView { transaction, guard: Arc::clone(&open.guard) });
            Ok((view, numbers))
        })
    }

    fn begin(&self, names: &[&str]) -> Result<(Box<dyn Transaction + '_>, Numbers), RowsError> {
        let open = self.open.read();
        let opened = open.as_ref().ok_or(RowsError::Closed)?;
        self.check_file_of(Some(opened))?;
        let guard = Arc::clone(&opened.guard);
        let (transaction, numbers) = guard.run(|| {
            let transaction = opened.database.begin_write()?;
            let numbers = transactions::numbers(&transaction.open_table(tables::NUMBERS)?, names)?;
            Ok((transaction, numbers))
        })?;
        Ok((Box::new(RedbTransaction { database: self, open, transaction, guard }), numbers))
    }

    fn is_usable(&self) -> bool {
        self.open.try_read().is_some_and(|open| open.as_ref().is_some_and(|open| !open.guard.has_failed()))
    }

    /// If `redb` found damage, the whole file is verified first. Only the file that was open before is opened. If it is no longer
    /// at its path, the open file stays open.
    fn reopen(&self) -> Result<(), RowsError> {
        let mut open = self.open.write();
        self.check_file_of(open.as_ref())?;
        if open.as_ref().is_some_and(|open| open.guard.has_met_damage()) {
            self.verify_always.store(true, Ordering::Relaxed);
        }
        close(open.take());
        let verify = self.options.verify || self.verify_always.load(Ordering::Relaxed);
        *open = Some(self.open_database(OpenOptions { verify, ..self.options })?);
        Ok(())
    }

    fn check(&self) -> Result<(), RowsError> {
        let open = self.open.read();
        self.check_file_of(open.as_ref())
    }

    /// Ignores other errors of the directory: they may not affect the database.
    fn check_room(&self) -> Result<(), RowsError> {
        let fill = || {
            let mut file = tempfile::tempfile_in(self.directory())?;
            file.write_all(&vec![0; ROOM_BYTES])?;
            file.sync_data()
        };
        match fill() {
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                Err(RowsError::Full(directory_failed(self.directory(), error)))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Checks for room first. On a full disk the commit would fail, and then nothing could be read until the database is opened
    /// again.
    fn probe(&self) -> Result<(), RowsError> {
        self.check()?;
        self.check_room()?;
        self.commit_nothing(false)
    }

    /// Costs about as much as the commit of a small request. The cost grows with the size of the file.
    fn checkpoint(&self) -> Result<(), RowsError> {
        self.commit_nothing(true)
    }

    fn verify(&self) -> Result<bool, RowsError> {
        let mut open = self.open.write();
        let OpenDatabase { database, guard } = open.as_mut().ok_or(RowsError::Closed)?;
        guard.run(|| database.check_integrity().map_err(|error| RowsError::from(redb::Error::from(error))))
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(fs::metadata(&self.path)?.len())
    }

    fn close(&self) {
        let mut open = self.open.write();
        // The check prevents that closing overwrites the content of another program.
        if let Err(error) = self.check_file_of(open.as_ref()) {
            tracing::warn!("while it was open, {error}");
        }
        close(open.take());
    }
}

fn close(open: Option<OpenDatabase>) {
    let Some(OpenDatabase { database, .. }) = open else { return };
    if let Err(error) = guarded(|| database.close().map_err(|error| RowsError::from(redb::Error::from(error)))) {
        // Nothing is lost: every commit is on disk, and the next open reads through the file.
        tracing::debug!(%error, "the database did not close in order");
    }
}

/// Creates a directory and its missing ancestors.
fn make_directory(directory: &Path) -> io::Result<()> {
    let missing: Vec<_> = directory.ancestors().take_while(|above| !above.exists()).collect();
    fs::create_dir_all(directory)?;
    for made in missing {
        // The ancestors of a relative path end with an empty path, which is no directory.
        match made.parent() {
            Some(parent) if parent.as_os_str().is_empty() => sync_names(Path::new("."))?,
            Some(parent) => sync_names(parent)?,
            None => {}
        }
    }
    Ok(())
}

/// Syncs the entries of a directory, so that they exist after a crash, too.
fn sync_names(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Creates a new database beside its path, and moves it there when it is complete. So an empty file is always damaged, even if
/// the program was killed early while it created one.
fn make_file(directory: &Path, path: &Path, first_numbers: &[(&str, u64)]) -> Result<(), RowsError> {
    let failed = |error| RowsError::Unusable(directory_failed(directory, error));
    let mut builder = tempfile::Builder::new();
    builder.prefix(path.file_name().unwrap_or_default());
    // The permissions of a newly created file, minus those that the umask of the process excludes.
    #[cfg(unix)]
    builder.permissions(fs::Permissions::from_mode(0o666));
    let new = builder.tempfile_in(directory).map_err(failed)?;
    guarded(|| {
        let open = |error: DatabaseError| unusable(path, error.into());
        let database = redb::Builder::new().create(new.path()).map_err(open)?;
        tables::prepare(&database, path, first_numbers)?;
        database.close().map_err(open)
    })?;
    match new.persist_noclobber(path) {
        Ok(_) => sync_names(directory).map_err(failed),
        // Another process created the file first.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error.error)),
    }
}

/// Returns the error of a file that cannot be opened as a database.
fn unusable(path: &Path, error: redb::Error) -> RowsError {
    let path = path.display();
    RowsError::Unusable(if matches!(error, redb::Error::DatabaseAlreadyOpen) {
        Cause::new(format!("the database `{path}` is open in another process (hint: stop that first)"))
    } else {
        Cause::with_source(format!("the database `{path}` cannot be opened"), error)
    })
}

impl From<redb::Error> for RowsError {
    fn from(error: redb::Error) -> Self {
        let is_damage = matches!(error, redb::Error::Corrupted(_));
        let cause = Cause::with_source("the database failed", error);
        if is_damage { Self::Damaged(cause) } else { Self::Unavailable(cause) }
    }
}

macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for RowsError {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}
from_redb!(TransactionError, TableError, StorageError, CommitError, CursorError, SetDurabilityError);
