//! The errors of the store.

use std::io;
use std::path::PathBuf;

use super::codec::Corrupt;
use super::rows::RowsError;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The database has a format that this program does not know, mostly since a later version wrote it.
    #[error("the database has format {found}, this program reads up to format {known}")]
    OtherFormat {
        /// The format of the database.
        found: u64,
        /// The newest format that is known here.
        known: u64,
    },
    /// The database has an earlier format, and is being upgraded.
    #[error("the database is being upgraded to a new format")]
    Upgrading,
    /// The database has an earlier format, and servers of an earlier version may run on it.
    #[error(
        "the database has an earlier format; `scale-metrics serve` upgrades it, and servers of earlier versions stop using it then"
    )]
    EarlierFormat,
    /// The database has an earlier format, and cannot be upgraded from here: it may be a standby, or the user may only read.
    #[error("the database has an earlier format, and cannot be upgraded from here")]
    CannotUpgrade(#[source] RowsError),
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
