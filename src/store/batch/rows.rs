//! Rows on their way into a table, gathered in the order of their keys.
//!
//! Rows that are inserted one by one anywhere but at the end of a table leave its pages half empty. So new rows between
//! which nothing is stored go in together, through a cursor, which fills the pages and is faster too. At the end of the table
//! that is what nearly all rows are, and when requests overtake each other, still most.

use std::ops::{Bound, Range};

use redb::{Key, ReadableTable, Table, Value};

use crate::store::StoreError;

/// Fewer rows than that are not worth a cursor.
const FEW: usize = 4;

/// Rows that are not written yet.
pub(super) struct Rows<K> {
    rows: Vec<Row<K>>,
    bytes: Vec<u8>,
}

struct Row<K> {
    key: K,
    /// Nothing is stored at its key.
    is_new: bool,
    /// Where in the bytes.
    range: Range<usize>,
}

impl<K: Copy + Ord> Rows<K> {
    pub(super) fn new() -> Self {
        Self { rows: Vec::new(), bytes: Vec::new() }
    }

    /// Whether a row of this key would come behind all that are here.
    pub(super) fn end_before(&self, key: K) -> bool {
        self.rows.last().is_none_or(|last| last.key < key)
    }

    /// Adds a row; it must come behind all that are here.
    pub(super) fn push(&mut self, key: K, is_new: bool, row: &[u8]) {
        debug_assert!(self.end_before(key), "rows come in the order of their keys");
        let start = self.bytes.len();
        self.bytes.extend_from_slice(row);
        self.rows.push(Row { key, is_new, range: start..self.bytes.len() });
    }

    /// Writes all rows, and keeps their memory for others.
    pub(super) fn write_into(&mut self, table: &mut Table<'_, K, &'static [u8]>) -> Result<(), StoreError>
    where
        K: Key + for<'k> Value<SelfType<'k> = K> + 'static,
    {
        let mut rows = &self.rows[..];
        while let Some(first) = rows.first() {
            let (together, later) = rows.split_at(fit_together(rows, table)?);
            if together.len() < FEW {
                for row in together {
                    table.insert(row.key, &self.bytes[row.range.clone()])?;
                }
            } else {
                let mut gap = table.upper_bound_mut(Bound::Excluded(first.key))?;
                for row in together {
                    gap.insert_before(row.key, &self.bytes[row.range.clone()])?;
                }
                gap.close()?;
            }
            rows = later;
        }
        self.rows.clear();
        self.bytes.clear();
        Ok(())
    }
}

/// How many of the rows are new and have nothing stored between them; at least 1.
fn fit_together<K>(rows: &[Row<K>], table: &Table<'_, K, &'static [u8]>) -> Result<usize, StoreError>
where
    K: Key + for<'k> Value<SelfType<'k> = K> + Copy + Ord + 'static,
{
    let new = rows.iter().take_while(|row| row.is_new).count();
    if new < FEW {
        return Ok(new.max(1));
    }
    let next = table.range(rows[0].key..)?.next().transpose()?.map(|(key, _)| key.value());
    Ok(rows[..new].iter().take_while(|row| next.is_none_or(|next| row.key < next)).count().max(1))
}
