//! Ordered rows: the seam between what is stored and where it is stored.
//!
//! A [`Database`] keeps a few named tables of rows. Keys and values are bytes, and the rows of a table are ordered by key. This
//! is all that the store asks of a database, so every implementation holds the same packed blocks and rollups, and shares all
//! proofs and speed-ups above this seam.
//!
//! Every read names all its keys, all its floors ([`Floor`]: the last row at or before a key), or one range. So a database
//! across a network needs one round trip for each call, rather than one for each row. Rows are handed to a visitor one at a
//! time, so the answer to a large read never stands in memory as a whole.
//!
//! The rejected alternative is a seam at "commit these requests": each implementation would need its own way of resolving events
//! and folding rollups.
//!
//! Not here: what keys and values mean (`store::keys`, `store::codec`).

pub mod postgres;
pub mod redb;

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A table of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// The definitions of choices.
    Definitions,
    /// Blocks of events.
    Blocks,
    /// The index: the location of each event.
    Index,
    /// The rollups of choices.
    Rollups,
    /// The rollups of all choices together.
    Totals,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Definitions, Self::Blocks, Self::Index, Self::Rollups, Self::Totals];
}

/// The key of a row: up to [`Key::MAX_BYTES`] bytes, ordered as bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Zeros behind the end.
    bytes: [u8; Self::MAX_BYTES],
    length: u8,
}

impl Key {
    /// The length of the longest key.
    pub const MAX_BYTES: usize = 23;
    /// The first of all keys.
    pub const MIN: Self = Self { bytes: [0; Self::MAX_BYTES], length: 0 };

    /// Behind all keys that are shorter than [`Self::MAX_BYTES`].
    pub const MAX: Self = Self { bytes: [u8::MAX; Self::MAX_BYTES], length: 23 };

    /// A key of these bytes, of which there may be [`Self::MAX_BYTES`].
    pub fn new(bytes: &[u8]) -> Self {
        let mut key = Self::MIN;
        key.bytes[..bytes.len()].copy_from_slice(bytes);
        key.length = u8::try_from(bytes.len()).expect("a key is short");
        key
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The smallest key that is greater; the key must be shorter than [`Self::MAX_BYTES`].
    #[must_use]
    pub fn successor(self) -> Self {
        assert!(usize::from(self.length) < Self::MAX_BYTES, "there is room for a byte");
        Self { length: self.length + 1, ..self }
    }
}

/// Asks for the last row whose key lies in `first..=last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Floor {
    /// The lower bound of the key.
    pub first: Key,
    /// The upper bound of the key; a row with this key is the best match.
    pub last: Key,
}

/// The order in which a scan visits rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By key.
    Ascending,
    /// The last one first.
    Descending,
}

/// Numbers of some names, in the order in which they were asked for.
pub type Numbers = Vec<Option<u64>>;

/// Takes the key and the value of a row; `Break` ends the read. Must not read or write the same database.
pub type Visitor<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Identifies a state of a database that other processes may change, too. The default is the stamp of every state of a database
/// that only this process changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Grows when the database may have gone back to an earlier state, as when a replica takes over.
    pub era: u64,
    /// The number of commits of all processes.
    pub commits: u64,
}

/// Reads rows of one state of a database. Each call costs one round trip.
pub trait Read {
    /// The stamp of the state, without the writes of the transaction itself. Costs no round trip.
    fn stamp(&self) -> Stamp;

    /// Visits the rows with these keys that exist, in the order of the keys, which must be ascending.
    fn get(&self, table: Table, keys: &[Key], visit: &mut Visitor<'_>) -> Result<(), RowsError>;

    /// Visits the rows that these floors ask for, each row once. Floors must be ascending by both keys, and no two may overlap
    /// unless they have the same `first`.
    fn floors(&self, table: Table, floors: &[Floor], visit: &mut Visitor<'_>) -> Result<(), RowsError>;

    /// Visits the rows with keys in a range.
    fn scan(&self, table: Table, range: Range<Key>, order: Order, visit: &mut Visitor<'_>) -> Result<(), RowsError>;

    /// The numbers of these names, in the same order.
    fn numbers(&self, names: &[&str]) -> Result<Numbers, RowsError>;
}

/// One state of a database, which no later commit changes. While it exists, space that later commits free cannot be used again.
pub trait View: Read + Send + Sync {}

/// A change of the database while it is made: reads see its own writes, and nobody else does before it is committed. Dropping it
/// changes nothing.
pub trait Transaction: Read {
    /// Says that rows with some of these keys will be read soon, so that a database across a network can fetch them while the
    /// caller computes. The keys may have any order.
    fn prefetch(&mut self, _table: Table, _keys: &mut dyn Iterator<Item = Key>) -> Result<(), RowsError> {
        Ok(())
    }

    /// Says that the rows that exactly these floors ask for will be read soon.
    fn prefetch_floors(&mut self, _table: Table, _floors: &[Floor]) -> Result<(), RowsError> {
        Ok(())
    }

    /// Writes changes of some tables, each [sorted](Changes::sort). Costs one round trip.
    fn write(&mut self, changes: &[(Table, &Changes)]) -> Result<(), RowsError>;

    /// Removes the rows with keys in a range.
    fn remove_range(&mut self, table: Table, range: Range<Key>) -> Result<(), RowsError>;

    /// Writes the last changes, sets some numbers (`None` removes one), and commits everything durably. Returns the stamp of the
    /// new state. After an error other than [`RowsError::Full`] it may be unknown whether the commit took effect.
    fn commit(
        self: Box<Self>,
        changes: &[(Table, &Changes)],
        numbers: &[(&str, Option<u64>)],
    ) -> Result<Stamp, RowsError>;
}

/// Keeps tables of rows, and a few numbers that have names.
pub trait Database: fmt::Debug + Send + Sync {
    /// Whether it was created. Creates nothing.
    fn exists(&self) -> Result<bool, RowsError>;

    /// Whether it is across a network. Then every call may wait, and other processes may change the rows.
    fn is_remote(&self) -> bool;

    /// Opens the database for the first time. A new one gets its tables and these numbers, in one commit. Until this returns,
    /// reading and writing fail with [`RowsError::Closed`].
    fn open(&self, first_numbers: &[(&str, u64)]) -> Result<(), RowsError>;

    /// How far opening has come.
    fn open_progress(&self) -> Arc<OpenProgress>;

    /// The current state, with the numbers of these names. Never waits for a writer, nor for a database that is being reopened.
    fn view(&self, names: &[&str]) -> Result<(Box<dyn View>, Numbers), RowsError>;

    /// The numbers of these names in the current state, and its stamp.
    fn numbers(&self, names: &[&str]) -> Result<(Stamp, Numbers), RowsError> {
        let (view, numbers) = self.view(names)?;
        Ok((view.stamp(), numbers))
    }

    /// Begins a transaction, with the numbers of these names. There is one at a time.
    fn begin(&self, names: &[&str]) -> Result<(Box<dyn Transaction + '_>, Numbers), RowsError>;

    /// Whether the database works, as far as is known without asking it. If not, only [`reopen`](Self::reopen) helps.
    fn is_usable(&self) -> bool;

    /// Closes the database and opens it again, after a failure. From then on it can be read, even if it cannot be written.
    fn reopen(&self) -> Result<(), RowsError>;

    /// Checks whether a commit would be acknowledged, without making one.
    fn check(&self) -> Result<(), RowsError>;

    /// Checks whether there is room for more rows.
    fn check_room(&self) -> Result<(), RowsError>;

    /// Makes a commit that changes nothing, to see whether one succeeds.
    fn probe(&self) -> Result<(), RowsError>;

    /// Makes a checkpoint, so that the next start is quick. Callers do this while they are idle.
    fn checkpoint(&self) -> Result<(), RowsError>;

    /// Verifies what is stored, as far as the database can by itself. Returns whether all was well; if not, it was mended as
    /// far as possible.
    fn verify(&self) -> Result<bool, RowsError>;

    /// The size of everything that is stored, in bytes.
    fn size_bytes(&self) -> io::Result<u64>;

    /// Closes the database. All else fails with [`RowsError::Closed`] from then on.
    fn close(&self);
}

/// Why rows cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The database cannot be opened until an operator acts: it is in use, belongs to another program, or is not accessible.
    #[error(transparent)]
    Unusable(Cause),
    /// Reading or writing failed. Opening the database again may help.
    #[error(transparent)]
    Unavailable(Cause),
    /// There is no room for more.
    #[error(transparent)]
    Full(Cause),
    /// The file at the path is no longer the one that was opened; writes may be lost.
    #[error(transparent)]
    Displaced(Cause),
    /// The database is damaged.
    #[error(transparent)]
    Damaged(Cause),
    /// The database is not open.
    #[error("the database is closed")]
    Closed,
}

/// What failed, in words, and why.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Cause {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Cause {
    /// A failure that needs no further explanation.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// A failure and the error that caused it.
    pub fn with_source(message: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { message: message.into(), source: Some(source.into()) }
    }
}

/// How far opening a database has come.
#[derive(Debug, Default)]
pub struct OpenProgress {
    /// Bytes read so far. Some are read more than once.
    read: AtomicU64,
    /// The length of the file; 0 while it is unknown.
    total: AtomicU64,
    /// The days that are upgraded to a new format, and all of them; 0 while there are none.
    upgraded: AtomicU64,
    to_upgrade: AtomicU64,
}

impl OpenProgress {
    /// Begins anew, with so many bytes to read.
    pub fn begin(&self, total: u64) {
        self.read.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// Records how many days are upgraded to a new format, of how many.
    pub fn upgraded(&self, days: u64, of: u64) {
        self.upgraded.store(days, Ordering::Relaxed);
        self.to_upgrade.store(of, Ordering::Relaxed);
    }

    /// Counts bytes that were read.
    pub fn add(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl fmt::Display for OpenProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MEGABYTE: u64 = 1_000_000;
        let (read, total) = (self.read.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        let (days, of) = (self.upgraded.load(Ordering::Relaxed), self.to_upgrade.load(Ordering::Relaxed));
        if of > 0 {
            return write!(f, "upgrading the database to a new format: {days} of {of} days");
        }
        f.write_str("opening the database")?;
        if total == 0 {
            return Ok(());
        }
        write!(f, ": read {} of {} MB", read.min(total) / MEGABYTE, total.div_ceil(MEGABYTE))
    }
}

/// Changes of the rows of one table, on their way into it. Values are copied into one piece of memory.
#[derive(Debug, Default)]
pub struct Changes {
    rows: Vec<Change>,
    values: Vec<u8>,
    is_unordered: bool,
}

#[derive(Debug)]
struct Change {
    key: Key,
    /// No row has this key.
    is_new: bool,
    /// Where the value is; `None` to remove the row.
    value: Option<Range<usize>>,
}

impl Changes {
    /// Adds a row whose key no row has.
    pub fn insert(&mut self, key: Key, value: &[u8]) {
        self.push(key, true, Some(value));
    }

    /// Puts a row in the place of one with the same key, if there is one.
    pub fn replace(&mut self, key: Key, value: &[u8]) {
        self.push(key, false, Some(value));
    }

    /// Removes a row, if it exists.
    pub fn remove(&mut self, key: Key) {
        self.push(key, false, None);
    }

    fn push(&mut self, key: Key, is_new: bool, value: Option<&[u8]>) {
        let value = value.map(|value| {
            let start = self.values.len();
            self.values.extend_from_slice(value);
            start..self.values.len()
        });
        self.is_unordered |= self.rows.last().is_some_and(|last| last.key >= key);
        self.rows.push(Change { key, is_new, value });
    }

    /// The changed rows: the key, and the new value, or `None` if the row is removed. The order is that of the keys if they are
    /// [sorted](Self::sort).
    pub fn rows(&self) -> impl Iterator<Item = (Key, Option<&[u8]>)> {
        self.rows.iter().map(|change| (change.key, change.value.clone().map(|place| &self.values[place])))
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Puts the changes into the order of their keys. Of several changes of a row, the last one counts.
    pub fn sort(&mut self) {
        if std::mem::take(&mut self.is_unordered) {
            self.rows.sort_by_key(|change| change.key);
            self.rows.dedup_by(|later, earlier| {
                let is_same = later.key == earlier.key;
                if is_same {
                    earlier.value = later.value.take();
                }
                is_same
            });
        }
    }

    /// Takes all changes out, and keeps their memory for others.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.values.clear();
        self.is_unordered = false;
    }
}
