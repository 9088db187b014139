//! The rollups of a batch: a row for each day of a choice, and for each day of all choices together.
//!
//! Not here: what the bytes of a row mean (`rollup_rows`), what moves a rollup (`worker`).

use std::borrow::Borrow;

use redb::{ReadableTable, Table, WriteTransaction};

use crate::rollup::{Rollup, RollupKey, Scope};
use crate::store::codec::Record;
use crate::store::{StoreError, rollup_rows, tables};

type RollupRow = (u32, u64, u8);

/// The rollups as a batch reads and writes them.
pub struct StoredRollups<'txn> {
    /// Where rows are packed.
    record: Record,
    rollups: Table<'txn, RollupRow, &'static [u8]>,
    totals: Table<'txn, (u8, u32), &'static [u8]>,
    /// No rollup of a choice is stored behind this one: in the order of time, most are new, and need not be looked for.
    last: Option<RollupRow>,
}

impl<'txn> StoredRollups<'txn> {
    pub(super) fn new(transaction: &'txn WriteTransaction) -> Result<Self, StoreError> {
        let rollups = transaction.open_table(tables::ROLLUPS)?;
        let last = rollups.last()?.map(|(key, _)| key.value());
        Ok(Self { record: Record::default(), rollups, totals: transaction.open_table(tables::TOTALS)?, last })
    }

    /// The rollup of that name; empty if nothing is counted there.
    pub fn get(&self, RollupKey { date, metrics, scope }: RollupKey) -> Result<Rollup, StoreError> {
        let row = match scope {
            Scope::All => self.totals.get((metrics as u8, date.days()))?,
            Scope::Choice(choice) => {
                let key = (date.days(), choice.get(), metrics as u8);
                if Some(key) <= self.last { self.rollups.get(key)? } else { None }
            }
        };
        Ok(row.map_or_else(|| Ok(Rollup::default()), |row| rollup_rows::decode_rollup(row.value()))?)
    }

    /// Stores a rollup; an empty one takes its row away.
    pub fn put(&mut self, RollupKey { date, metrics, scope }: RollupKey, rollup: &Rollup) -> Result<(), StoreError> {
        let row = (!rollup.is_empty()).then(|| rollup_rows::encode_rollup(&mut self.record, rollup));
        match scope {
            Scope::All => put_or_remove(&mut self.totals, (metrics as u8, date.days()), row),
            Scope::Choice(choice) => {
                let key = (date.days(), choice.get(), metrics as u8);
                self.last = self.last.max(Some(key));
                put_or_remove(&mut self.rollups, key, row)
            }
        }
    }
}

fn put_or_remove<'k, K: redb::Key + 'static>(
    table: &mut Table<'_, K, &'static [u8]>,
    key: impl Borrow<K::SelfType<'k>>,
    row: Option<&[u8]>,
) -> Result<(), StoreError> {
    match row {
        Some(row) => table.insert(key, row)?,
        None => table.remove(key)?,
    };
    Ok(())
}
