//! Reading and writing rows in transactions of `redb`.

use std::cell::OnceCell;
use std::ops::{Bound, Range};
use std::sync::Arc;

use parking_lot::RwLockReadGuard;
use redb::{Cursor, ReadTransaction, ReadableTable, Table as WritableTable, WriteTransaction};

use super::panics::Guard;
use super::tables::{NUMBERS, RowKey, with_table};
use super::{OpenDatabase, RedbDatabase};
use crate::store::rows::{
    Change, Changes, Floor, Key, Numbers, Order, Read, RowsError, Stamp, Table, Transaction, View, Visitor,
};

/// The smallest number of new rows for which a cursor is faster.
const FEW_ROWS: usize = 4;

/// One state of the database.
pub(super) struct RedbView {
    pub(super) transaction: ReadTransaction,
    pub(super) guard: Arc<Guard>,
}

impl View for RedbView {}

/// A write transaction, with the handles that check whether its commit may be acknowledged.
pub(super) struct RedbTransaction<'a> {
    pub(super) database: &'a RedbDatabase,
    pub(super) open: RwLockReadGuard<'a, Option<OpenDatabase>>,
    pub(super) transaction: WriteTransaction,
    pub(super) guard: Arc<Guard>,
}

/// Implements `Read` for both kinds of transactions. Only the types of their tables differ.
macro_rules! impl_read {
    ($type:ty) => {
        impl Read for $type {
            fn stamp(&self) -> Stamp {
                Stamp::default()
            }

            fn get(&self, table: Table, keys: &[Key], visit: &mut Visitor<'_>) -> Result<(), RowsError> {
                self.guard.run(|| with_table!(self.transaction, table, rows => get(rows, keys, visit)))
            }

            fn floors(&self, table: Table, floors: &[Floor], visit: &mut Visitor<'_>) -> Result<(), RowsError> {
                self.guard.run(|| with_table!(self.transaction, table, rows => visit_floors(rows, floors, visit)))
            }

            fn scan(
                &self,
                table: Table,
                range: Range<Key>,
                order: Order,
                visit: &mut Visitor<'_>,
            ) -> Result<(), RowsError> {
                self.guard.run(|| with_table!(self.transaction, table, rows => scan(rows, &range, order, visit)))
            }

            fn numbers(&self, names: &[&str]) -> Result<Numbers, RowsError> {
                self.guard.run(|| numbers(&self.transaction.open_table(NUMBERS)?, names))
            }
        }
    };
}
impl_read!(RedbView);
impl_read!(RedbTransaction<'_>);

impl Transaction for RedbTransaction<'_> {
    fn write(&mut self, changes: &[(Table, &Changes)]) -> Result<(), RowsError> {
        self.guard.run(|| write_all(&self.transaction, changes))
    }

    fn remove_range(&mut self, table: Table, range: Range<Key>) -> Result<(), RowsError> {
        self.guard.run(|| {
            with_table!(self.transaction, table, rows => {
                Ok(rows.retain_in(range.start.as_bytes()..range.end.as_bytes(), |_, _| false)?)
            })
        })
    }

    fn commit(
        self: Box<Self>,
        changes: &[(Table, &Changes)],
        numbers: &[(&str, Option<u64>)],
    ) -> Result<Stamp, RowsError> {
        let Self { database, open, transaction, guard } = *self;
        guard.run(|| {
            write_all(&transaction, changes)?;
            if !numbers.is_empty() {
                let mut rows = transaction.open_table(NUMBERS)?;
                for &(name, number) in numbers {
                    match number {
                        Some(number) => _ = rows.insert(name, number)?,
                        None => _ = rows.remove(name)?,
                    }
                }
            }
            Ok(transaction.commit()?)
        })?;
        // The file may have been moved since. Then the commit must not be acknowledged.
        database.check_file_of(open.as_ref())?;
        Ok(Stamp::default())
    }
}

fn get<const TABLE: usize>(
    rows: &impl ReadableTable<RowKey<TABLE>, &'static [u8]>,
    keys: &[Key],
    visit: &mut Visitor<'_>,
) -> Result<(), RowsError> {
    debug_assert!(keys.is_sorted(), "keys are ascending");
    for key in keys {
        if let Some(value) = rows.get(key.as_bytes())?
            && visit(key.as_bytes(), value.value()).is_break()
        {
            break;
        }
    }
    Ok(())
}

/// The row that was visited last.
struct VisitedRow<'a, const TABLE: usize> {
    row: Key,
    /// The gap behind this row.
    gap: Cursor<'a, RowKey<TABLE>, &'static [u8]>,
    /// The key of the row behind the gap, after it was looked up.
    next: OnceCell<Option<Key>>,
}

impl<const TABLE: usize> VisitedRow<'_, TABLE> {
    fn next(&mut self) -> Result<Option<Key>, RowsError> {
        if let Some(next) = self.next.get() {
            return Ok(*next);
        }
        let next = self.gap.peek_next()?.map(|(key, _)| Key::new(key.value()));
        Ok(*self.next.get_or_init(|| next))
    }
}

fn visit_floors<const TABLE: usize>(
    rows: &impl ReadableTable<RowKey<TABLE>, &'static [u8]>,
    floors: &[Floor],
    visit: &mut Visitor<'_>,
) -> Result<(), RowsError> {
    debug_assert!(floors.is_sorted_by_key(|floor| (floor.first, floor.last)), "floors are ascending");
    // Events arrive in the order of time, so most floors are new: no row is stored at or behind them.
    let Some(last_row) = rows.last()?.map(|(key, _)| Key::new(key.value())) else { return Ok(()) };
    let mut visited: Option<VisitedRow<'_, TABLE>> = None;
    for floor in floors {
        if floor.first > last_row {
            break;
        }
        if let Some(visited) = &mut visited
            && visited.row >= floor.first
            && visited.next()?.is_none_or(|next| next > floor.last)
        {
            continue;
        }
        // One descent finds both neighbours. A range would need one descent for each of its ends.
        let mut gap = rows.upper_bound(Bound::Included(floor.last.as_bytes()))?;
        if let Some((key, value)) = gap.peek_prev()? {
            let row = Key::new(key.value());
            if row >= floor.first {
                let is_done = visit(key.value(), value.value()).is_break();
                visited = Some(VisitedRow { row, gap, next: OnceCell::new() });
                if is_done {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn scan<const TABLE: usize>(
    rows: &impl ReadableTable<RowKey<TABLE>, &'static [u8]>,
    range: &Range<Key>,
    order: Order,
    visit: &mut Visitor<'_>,
) -> Result<(), RowsError> {
    if range.is_empty() {
        return Ok(());
    }
    let mut found = rows.range::<&[u8]>(range.start.as_bytes()..range.end.as_bytes())?;
    loop {
        let row = match order {
            Order::Ascending => found.next(),
            Order::Descending => found.next_back(),
        };
        let Some((key, value)) = row.transpose()? else { return Ok(()) };
        if visit(key.value(), value.value()).is_break() {
            return Ok(());
        }
    }
}

pub(super) fn numbers(rows: &impl ReadableTable<&'static str, u64>, names: &[&str]) -> Result<Numbers, RowsError> {
    names.iter().map(|name| Ok(rows.get(*name)?.map(|number| number.value()))).collect()
}

fn write_all(transaction: &WriteTransaction, changes: &[(Table, &Changes)]) -> Result<(), RowsError> {
    for &(table, changes) in changes {
        if !changes.is_empty() {
            with_table!(transaction, table, rows => write(rows, changes)?);
        }
    }
    Ok(())
}

/// Writes changes to a table. Rows that are inserted one by one anywhere but at the end of a table leave its pages half empty. So
/// new rows that are adjacent, with no stored row between them, are inserted through a cursor, which fills the pages and is
/// faster.
fn write<const TABLE: usize>(
    rows: &mut WritableTable<'_, RowKey<TABLE>, &'static [u8]>,
    changes: &Changes,
) -> Result<(), RowsError> {
    let mut left = &changes.rows[..];
    while !left.is_empty() {
        let (now, later) = left.split_at(new_rows_together(rows, left)?.max(1));
        left = later;
        if now.len() < FEW_ROWS {
            for Change { key, value, .. } in now {
                match value {
                    Some(value) => _ = rows.insert(key.as_bytes(), &changes.values[value.clone()])?,
                    None => _ = rows.remove(key.as_bytes())?,
                }
            }
        } else {
            let mut gap = rows.upper_bound_mut(Bound::Excluded(now[0].key.as_bytes()))?;
            for Change { key, value, .. } in now {
                let value = value.clone().expect("a new row has a value");
                gap.insert_before(key.as_bytes(), &changes.values[value])?;
            }
            gap.close()?;
        }
    }
    Ok(())
}

/// Returns how many of the first changes are adjacent new rows, with no stored row between them; 0 if they are few.
fn new_rows_together<const TABLE: usize>(
    rows: &WritableTable<'_, RowKey<TABLE>, &'static [u8]>,
    changes: &[Change],
) -> Result<usize, RowsError> {
    if changes.len() < FEW_ROWS || !changes[..FEW_ROWS].iter().all(|change| change.is_new) {
        return Ok(0);
    }
    let next = rows.range::<&[u8]>(changes[0].key.as_bytes()..)?.next().transpose()?;
    let next = next.map(|(key, _)| Key::new(key.value()));
    let is_together = |change: &&Change| change.is_new && next.is_none_or(|next| change.key < next);
    Ok(changes.iter().take_while(is_together).count())
}
