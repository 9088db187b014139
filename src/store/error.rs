//! Why the store cannot do what it is asked to.

use std::io;
use std::path::PathBuf;

use super::codec::Corrupt;
use super::rows::RowsError;

/// Why the store cannot do what it is asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A later version of this program wrote the database.
    #[error("the database has format {found}, this program reads up to format {known}")]
    NewerFormat {
        /// The format of the database.
        found: u64,
        /// The newest format that is known here.
        known: u64,
    },
    /// What was read is damaged.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// A copy of the events cannot be written into that directory.
    #[error("the data directory `{}` cannot be used", .directory.display())]
    NoCopy {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A copy of the events cannot be read again.
    #[error("a copy of the events cannot be read")]
    Copy(#[source] io::Error),
}
