//! The rollups of a batch: a row for each day of a choice, and for each day of all choices together.
//!
//! Not here: what the bytes of a row mean (`rollup_rows`), what moves a rollup (`worker`).

use redb::{ReadableTable, Table, WriteTransaction};

use super::rows::Rows;
use crate::catalog::MetricsTypeId;
use crate::rollup::{Rollup, RollupKey, Scope};
use crate::store::codec::Record;
use crate::store::tables::{DayKey, TotalKey};
use crate::store::{StoreError, rollup_rows, tables};
use crate::time::Date;

/// The rollups as a batch reads and writes them.
pub struct StoredRollups<'txn> {
    /// Where rows are packed.
    record: Record,
    pub(super) rollups: Table<'txn, DayKey, &'static [u8]>,
    pub(super) totals: Table<'txn, TotalKey, &'static [u8]>,
    /// Rollups of choices that are not written yet.
    rows: Rows<DayKey>,
    /// No rollup of a choice is stored behind this one: in the order of time, most are new, and need not be looked for.
    last: Option<DayKey>,
    /// The rollup of a choice that was looked for last, if it was not there.
    missing: Option<DayKey>,
    /// How many were put.
    written: u64,
}

impl<'txn> StoredRollups<'txn> {
    pub(super) fn new(transaction: &'txn WriteTransaction) -> Result<Self, StoreError> {
        let rollups = transaction.open_table(tables::ROLLUPS)?;
        let last = rollups.last()?.map(|(key, _)| key.value());
        let totals = transaction.open_table(tables::TOTALS)?;
        Ok(Self { record: Record::default(), rollups, totals, rows: Rows::new(), last, missing: None, written: 0 })
    }

    /// The rollup of that name; empty if nothing is counted there.
    pub fn get(&mut self, RollupKey { date, metrics, scope }: RollupKey) -> Result<Rollup, StoreError> {
        let row = match scope {
            Scope::All => self.totals.get(total_key(metrics, date))?,
            Scope::Choice(choice) => {
                let key = DayKey { days: date.days(), choice: choice.get(), metrics: metrics as u8 };
                if !self.rows.end_before(key) {
                    self.rows.write_into(&mut self.rollups)?;
                }
                let row = if Some(key) <= self.last { self.rollups.get(key)? } else { None };
                self.missing = row.is_none().then_some(key);
                row
            }
        };
        Ok(row.map_or_else(|| Ok(Rollup::default()), |row| rollup_rows::decode_rollup(row.value()))?)
    }

    /// Stores a rollup; an empty one takes its row away.
    pub fn put(&mut self, RollupKey { date, metrics, scope }: RollupKey, rollup: &Rollup) -> Result<(), StoreError> {
        self.written += 1;
        let row = (!rollup.is_empty()).then(|| rollup_rows::encode_rollup(&mut self.record, rollup));
        match (scope, row) {
            (Scope::All, Some(row)) => _ = self.totals.insert(total_key(metrics, date), row)?,
            (Scope::All, None) => _ = self.totals.remove(total_key(metrics, date))?,
            (Scope::Choice(choice), row) => {
                let key = DayKey { days: date.days(), choice: choice.get(), metrics: metrics as u8 };
                if !self.rows.end_before(key) {
                    self.rows.write_into(&mut self.rollups)?;
                }
                match row {
                    Some(row) => self.rows.push(key, self.missing == Some(key), row),
                    None => _ = self.rollups.remove(key)?,
                }
                self.last = self.last.max(Some(key));
            }
        }
        Ok(())
    }

    /// Stores bytes that are no rollup.
    #[cfg(test)]
    pub(crate) fn put_damaged(&mut self, RollupKey { date, metrics, scope }: RollupKey) -> Result<(), StoreError> {
        self.rows.write_into(&mut self.rollups)?;
        match scope {
            Scope::All => _ = self.totals.insert(total_key(metrics, date), b"no".as_slice())?,
            Scope::Choice(choice) => {
                let key = DayKey { days: date.days(), choice: choice.get(), metrics: metrics as u8 };
                self.rollups.insert(key, b"no".as_slice())?;
            }
        }
        Ok(())
    }

    /// The rows of all rollups of choices, written so far as they are known.
    pub(in crate::store) fn stored_rows(&mut self) -> Result<&Table<'txn, DayKey, &'static [u8]>, StoreError> {
        self.rows.write_into(&mut self.rollups)?;
        Ok(&self.rollups)
    }

    /// How many rollups were stored, or taken away.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Writes the rollups that are not written yet. Returns whether any has changed at all.
    pub(super) fn finish(&mut self) -> Result<bool, StoreError> {
        self.rows.write_into(&mut self.rollups)?;
        Ok(self.written > 0)
    }
}

fn total_key(metrics: MetricsTypeId, date: Date) -> TotalKey {
    TotalKey { metrics: metrics as u8, days: date.days() }
}
