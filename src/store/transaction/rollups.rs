//! Rollups in a transaction: a row for each day of a choice, and for each day of all choices together.
//!
//! Not here: what the bytes of a row mean (`rollup_rows`), what a change does to a rollup (`ledger`).

use std::ops::Range;

use super::Transaction;
use crate::events::{EventChange, Partition};
use crate::rollup::{Rollup, RollupKey, RollupScope};
use crate::store::error::StoreError;
use crate::store::keys::{DayKey, TableKey, TotalKey};
use crate::store::reads::look_up;
use crate::store::rollup_rows::{decode_rollup, encode_rollup};
use crate::store::rows::{Changes, Key, Table};
use crate::time::Date;
use crate::vocabulary::MetricsTypeId;

/// The stored rollups of some keys, in the order of the keys. Each stays packed until it is needed: unpacked, the rollups of one
/// commit would exceed the caches of a processor.
pub struct StoredRollups {
    bytes: Vec<u8>,
    rows: Vec<Option<Range<usize>>>,
}

impl StoredRollups {
    /// Returns the rollups. A rollup is `None` if nothing is counted there.
    pub fn iter(&self) -> impl Iterator<Item = Result<Option<Rollup>, StoreError>> {
        let row = |row: &Option<Range<usize>>| row.clone().map(|row| decode_rollup(&self.bytes[row])).transpose();
        self.rows.iter().map(move |found| Ok(row(found)?))
    }
}

impl Transaction<'_> {
    /// Says that the rollups that these changes touch will be read.
    pub(super) fn prefetch_rollups(&mut self, changes: &[EventChange<'_>]) -> Result<(), StoreError> {
        let partitions = || changes.iter().flat_map(EventChange::partitions);
        self.rows.prefetch(Table::Rollups, &mut partitions().map(|partition| day_key(partition).key()))?;
        let mut totals = partitions().map(|Partition { metrics, date, .. }| total_key(metrics, date).key());
        Ok(self.rows.prefetch(Table::Totals, &mut totals)?)
    }

    /// Reads the rollups of partitions. These must be ascending by date, then choice, then metrics type.
    pub fn rollups(&mut self, partitions: &[Partition]) -> Result<StoredRollups, StoreError> {
        self.get_rollups(partitions, |&partition| day_key(partition))
    }

    /// Reads the rollups of all choices together on some days. The days must be ascending by metrics type, then date.
    pub fn totals(&mut self, days: &[(MetricsTypeId, Date)]) -> Result<StoredRollups, StoreError> {
        self.get_rollups(days, |&(metrics, date)| total_key(metrics, date))
    }

    fn get_rollups<T, K: TableKey>(&mut self, items: &[T], key: fn(&T) -> K) -> Result<StoredRollups, StoreError> {
        self.write_rollups()?;
        let (mut bytes, mut rows) = (Vec::new(), Vec::with_capacity(items.len()));
        look_up(self.rows(), items, key, |_, row| {
            rows.push(row.map(|row| {
                bytes.extend_from_slice(row);
                bytes.len() - row.len()..bytes.len()
            }));
            Ok::<_, StoreError>(())
        })?;
        Ok(StoredRollups { bytes, rows })
    }

    /// Stores a rollup under a key that has none.
    pub fn insert_rollup(&mut self, key: RollupKey, rollup: &Rollup) {
        self.put_rollup(key, rollup, Changes::insert);
    }

    /// Replaces a stored rollup. An empty rollup deletes the row.
    pub fn replace_rollup(&mut self, key: RollupKey, rollup: &Rollup) {
        self.put_rollup(key, rollup, Changes::replace);
    }

    fn put_rollup(&mut self, key: RollupKey, rollup: &Rollup, put: fn(&mut Changes, Key, &[u8])) {
        self.rollups_put += 1;
        let changes = if key.scope == RollupScope::All { &mut self.totals } else { &mut self.rollups };
        if rollup.is_empty() {
            changes.remove(row_key(key));
        } else {
            put(changes, row_key(key), encode_rollup(&mut self.packer, rollup));
        }
    }

    /// Returns how many rollups were stored or deleted.
    pub fn rollups_put(&self) -> u64 {
        self.rollups_put
    }

    /// Writes the rollups that are not written yet, so that reads see them.
    pub(in crate::store) fn write_rollups(&mut self) -> Result<(), StoreError> {
        for changes in [&mut self.rollups, &mut self.totals] {
            changes.sort();
        }
        if !self.rollups.is_empty() || !self.totals.is_empty() {
            self.rows.write(&[(Table::Rollups, &self.rollups), (Table::Totals, &self.totals)])?;
            self.rollups.clear();
            self.totals.clear();
        }
        Ok(())
    }
}

fn row_key(RollupKey { date, metrics, scope }: RollupKey) -> Key {
    match scope {
        RollupScope::All => total_key(metrics, date).key(),
        RollupScope::Choice(choice) => day_key(Partition { date, metrics, choice }).key(),
    }
}

fn day_key(Partition { date, metrics, choice }: Partition) -> DayKey {
    DayKey { days: date.days(), choice: choice.get(), metrics: metrics as u8 }
}

fn total_key(metrics: MetricsTypeId, date: Date) -> TotalKey {
    TotalKey { metrics: metrics as u8, days: date.days() }
}
