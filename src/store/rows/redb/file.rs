//! The file of the database: checks that it is still the file that was opened, and counts how much of it was read.
//!
//! The operating system lets a process go on writing to a file that another program deletes, moves, replaces or truncates.
//! Everything that is acknowledged then is lost at the next start. So the store calls [`DatabaseFile::check`] before it writes,
//! and again before it acknowledges. The check compares the device, inode and length of the file at the path, the device and
//! inode of the directory, and the header of the file with the header that this process wrote last. The header is needed because
//! a backup that is copied over the file keeps its inode. Modification times would reveal such a copy as well, but `touch` and
//! network file systems change them, too.
//!
//! | event | reading | writing to the open file |
//! | --- | --- | --- |
//! | moved, deleted or replaced | goes on: the open file is whole | refused before each commit; only closing writes, to mark the file as closed |
//! | truncated or overwritten | refused: old and new pages would mix | refused, so that foreign content stays intact |
//!
//! Not here: damage within the file (`panics`), when the database is opened again (`RollupTask` in `worker/task.rs`).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use redb::backends::FileBackend;
use redb::{BackendError, Database, DatabaseError, StorageBackend};

use super::unusable;
use crate::store::rows::{Cause, OpenProgress, RowsError};

/// The length of the header: the part at the beginning of the file that changes with every commit. It is compared as a whole,
/// regardless of its meaning.
const HEADER_BYTES: usize = 320;

/// The error that `redb` gets from a file whose content another program changed.
const TAMPERED: &str = "the file was truncated or overwritten by another program";

/// The way in which a database file differs from the one that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Displacement {
    /// No file is at its path.
    #[error("was deleted or moved; move it back, or restart to begin with an empty one")]
    Missing,
    /// Another file is at its path.
    #[error("was replaced by another file; restart to use that one, or move the first one back")]
    Replaced,
    /// Its directory is another one.
    #[error("is in another directory than before; restart to use it there, or move the first directory back")]
    OtherDirectory,
    /// The file is shorter than before.
    #[error("was truncated from {known} to {found} bytes; restore a backup and restart")]
    Truncated {
        /// The length when this process changed it last.
        known: u64,
        /// The current length.
        found: u64,
    },
    /// Another program wrote to it.
    #[error("was overwritten by another program; restart to use what it holds now")]
    Overwritten,
}

impl Displacement {
    /// Whether the content of the open file has changed.
    fn is_of_content(self) -> bool {
        matches!(self, Self::Truncated { .. } | Self::Overwritten)
    }
}

/// The device and the inode of a file or directory, which identify it among all that exist.
type Identity = (u64, u64);

/// Returns the identity and the length of the file or directory at `path`.
///
/// Does not ask for times. If a program has read the modification time of a file on Linux (6.13 and later, on most file systems),
/// the next write stores a new one, which made the commit of a single event a sixth slower.
#[cfg(target_os = "linux")]
fn status(path: &Path) -> io::Result<(Identity, u64)> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};

    match statx(CWD, path, AtFlags::empty(), StatxFlags::INO | StatxFlags::SIZE) {
        Ok(status) => {
            let device = makedev(status.stx_dev_major, status.stx_dev_minor);
            Ok(((device, status.stx_ino), status.stx_size))
        }
        // Some sandboxes do not have this system call.
        Err(rustix::io::Errno::NOSYS) => status_with_times(path),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
use status_with_times as status;

fn status_with_times(path: &Path) -> io::Result<(Identity, u64)> {
    let metadata = fs::metadata(path)?;
    Ok(((metadata.dev(), metadata.ino()), metadata.len()))
}

/// The path of the database, and the open file after it was opened.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// The file that was opened last. It stays here while the database is closed after a failure.
    opened: Mutex<Option<Arc<OpenedFile>>>,
    progress: Arc<OpenProgress>,
}

/// An opened file, and its state as this process left it.
#[derive(Debug)]
struct OpenedFile {
    backend: FileBackend,
    identity: Identity,
    directory: Identity,
    /// Keeps the inode of the directory from being reused.
    _directory: Option<File>,
    /// The length that this process set last. It is 0 until the database is open, since another process may change the length
    /// until then.
    length: AtomicU64,
    /// The header as it was written last; `None` after a write of it failed.
    header: Mutex<Option<[u8; HEADER_BYTES]>>,
    /// Whether another program changed the content. If so, the file is neither read nor written.
    sealed: AtomicBool,
    progress: Arc<OpenProgress>,
}

impl DatabaseFile {
    /// Returns a file that is not opened yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, opened: Mutex::default(), progress: Arc::default() }
    }

    /// Returns the progress of opening.
    pub(super) fn progress(&self) -> &Arc<OpenProgress> {
        &self.progress
    }

    /// Opens the database in the file, which must exist. After the first time, it opens only the same file again.
    pub(super) fn open(&self, builder: &redb::Builder) -> Result<Database, RowsError> {
        let failed = |error: DatabaseError| unusable(&self.path, error.into());
        let io_failed = |error: io::Error| failed(DatabaseError::Storage(error.into()));
        let opened = Arc::new(OpenedFile::open(&self.path, Arc::clone(&self.progress)).map_err(io_failed)?);
        {
            let mut before = self.opened.lock();
            if before.as_ref().is_some_and(|before| before.identity != opened.identity) {
                return Err(self.displaced(Displacement::Replaced));
            }
            *before = Some(Arc::clone(&opened));
        }
        let database = builder.create_with_backend(Backend(Arc::clone(&opened))).map_err(failed)?;
        // Another process may have written to the file until it was locked.
        opened.learn().map_err(io_failed)?;
        Ok(database)
    }

    /// Checks that the file that was opened is still at its path, with everything that was written to it. Succeeds if no file is
    /// open yet.
    pub(super) fn check(&self) -> Result<(), RowsError> {
        let Some(opened) = self.opened.lock().clone() else { return Ok(()) };
        let found = opened.displacement(&self.path);
        let found = found.map_err(|error| RowsError::Unavailable(directory_failed(directory_of(&self.path), error)))?;
        let Some(displacement) = found else { return Ok(()) };
        if displacement.is_of_content() {
            opened.sealed.store(true, Ordering::Relaxed);
        }
        Err(self.displaced(displacement))
    }

    /// Whether a check found that another program changed the content of the file that was opened last.
    pub(super) fn is_sealed(&self) -> bool {
        self.opened.lock().as_ref().is_some_and(|opened| opened.sealed.load(Ordering::Relaxed))
    }

    /// Returns an error if [`is_sealed`](Self::is_sealed).
    pub(super) fn refuse_if_sealed(&self) -> Result<(), RowsError> {
        if self.is_sealed() { Err(self.displaced(Displacement::Overwritten)) } else { Ok(()) }
    }

    fn displaced(&self, displacement: Displacement) -> RowsError {
        RowsError::Displaced(Cause::new(format!("the database file `{}` {displacement}", self.path.display())))
    }
}

/// Returns the error of a directory that cannot be made or written, or has no room left.
pub(super) fn directory_failed(directory: &Path, error: io::Error) -> Cause {
    Cause::with_source(format!("the data directory `{}` cannot be used", directory.display()), error)
}

/// Returns the directory of a file.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

impl OpenedFile {
    fn open(path: &Path, progress: Arc<OpenProgress>) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let metadata = file.metadata()?;
        if metadata.len() == 0 {
            // `redb` would create a new database in it.
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty"));
        }
        let directory = directory_of(path);
        progress.begin(metadata.len());
        Ok(Self {
            backend: FileBackend::new(file).map_err(io::Error::other)?,
            identity: (metadata.dev(), metadata.ino()),
            directory: status(directory)?.0,
            _directory: File::open(directory).ok(),
            length: AtomicU64::new(0),
            header: Mutex::default(),
            sealed: AtomicBool::new(false),
            progress,
        })
    }

    /// Records the current length and header as the ones that this process wrote.
    fn learn(&self) -> io::Result<()> {
        let mut header = self.header.lock();
        self.length.store(self.backend.len()?, Ordering::Relaxed);
        *header = self.read_header()?;
        Ok(())
    }

    /// Reads the header of the file; `None` if the file is shorter.
    fn read_header(&self) -> io::Result<Option<[u8; HEADER_BYTES]>> {
        let mut header = [0; HEADER_BYTES];
        match self.backend.read(0, &mut header) {
            Ok(()) => Ok(Some(header)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns how the file differs from the one that was opened, if it does.
    fn displacement(&self, path: &Path) -> io::Result<Option<Displacement>> {
        let ((file, found), (directory, _)) = match (status(path), status(directory_of(path))) {
            (Ok(file), Ok(directory)) => (file, directory),
            (Err(error), _) | (_, Err(error)) => {
                let is_gone = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
                return if is_gone { Ok(Some(Displacement::Missing)) } else { Err(error) };
            }
        };
        if file != self.identity {
            return Ok(Some(Displacement::Replaced));
        }
        if directory != self.directory {
            return Ok(Some(Displacement::OtherDirectory));
        }
        let known = self.length.load(Ordering::Relaxed);
        if found < known {
            return Ok(Some(Displacement::Truncated { known, found }));
        }
        // The lock keeps this process from writing the header during the comparison.
        let header = self.header.lock();
        let is_ours = header.is_none() || *header == self.read_header()?;
        Ok((!is_ours).then_some(Displacement::Overwritten))
    }

    fn refuse_if_sealed(&self) -> io::Result<()> {
        if self.sealed.load(Ordering::Relaxed) {
            return Err(io::Error::other(TAMPERED));
        }
        Ok(())
    }

    /// Fails if the file is shorter than this process left it. Callers must call this before they write at the end or set the
    /// length: that would restore the length and hide the truncation from [`displacement`](Self::displacement). A write that ends
    /// earlier hides nothing.
    fn refuse_if_shorter(&self) -> io::Result<()> {
        if self.backend.len()? < self.length.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, TAMPERED));
        }
        Ok(())
    }
}

/// The storage backend of `redb`: the file with its checks.
#[derive(Debug)]
struct Backend(Arc<OpenedFile>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.refuse_if_sealed()?;
        self.0.backend.read(offset, out)?;
        self.0.progress.add(out.len() as u64);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.refuse_if_sealed()?;
        self.0.refuse_if_shorter()?;
        if length < self.0.length.load(Ordering::Relaxed) {
            // If the truncation fails, the file may be shorter nevertheless.
            self.0.length.store(length, Ordering::Relaxed);
        }
        self.0.backend.set_len(length)?;
        self.0.length.store(length, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.refuse_if_sealed()?;
        self.0.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.refuse_if_sealed()?;
        if offset + data.len() as u64 >= self.0.length.load(Ordering::Relaxed) {
            self.0.refuse_if_shorter()?;
        }
        let start = usize::try_from(offset).ok().filter(|&start| start < HEADER_BYTES);
        let Some(start) = start else { return self.0.backend.write(offset, data) };
        let mut header = self.0.header.lock();
        let before = header.take();
        self.0.backend.write(offset, data)?;
        let end = HEADER_BYTES.min(start + data.len());
        *header = before.map(|mut header| {
            header[start..end].copy_from_slice(&data[..end - start]);
            header
        });
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.0.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.backend.lock_shared_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.backend.query_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.backend.unlock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncation_between_check_and_commit_is_not_hidden_by_what_is_written_then() {
        const LENGTH: u64 = 8_192;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.redb");
        fs::write(&path, [7; 8_192]).unwrap();
        let opened = Arc::new(OpenedFile::open(&path, Arc::default()).unwrap());
        opened.learn().unwrap();
        let backend = Backend(Arc::clone(&opened));
        backend.write(LENGTH - 100, &[1; 100]).unwrap();
        backend.set_len(LENGTH + 4_096).unwrap();
        assert_eq!(opened.displacement(&path).unwrap(), None);

        OpenOptions::new().write(true).open(&path).unwrap().set_len(LENGTH).unwrap();
        for hiding in [backend.write(LENGTH + 4_000, &[1; 96]), backend.set_len(LENGTH + 8_192)] {
            assert_eq!(hiding.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
        backend.write(LENGTH, &[1; 100]).unwrap();
        let truncated = Displacement::Truncated { known: LENGTH + 4_096, found: LENGTH + 100 };
        assert_eq!(opened.displacement(&path).unwrap(), Some(truncated));
    }
}
