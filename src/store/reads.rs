//! Reads of rows by the keys of their table, with visitors that may fail. The first failure of a visitor ends the read and is
//! returned.

use std::ops::{Bound, ControlFlow, Range, RangeBounds};

use super::error::StoreError;
use super::keys::TableKey;
use super::rows::{Floor, Key, Order, Read, RowsError, Visitor};

/// Looks up a row for each item. The items must be ascending by `key`. Visits every item in this order, with its row if that
/// exists.
pub(super) fn look_up<T, K: TableKey, E: From<StoreError>>(
    rows: &dyn Read,
    items: &[T],
    key: impl Fn(&T) -> K,
    mut visit: impl FnMut(&T, Option<&[u8]>) -> Result<(), E>,
) -> Result<(), E> {
    let keys: Vec<_> = items.iter().map(|item| key(item).key()).collect();
    let mut left = items.iter().zip(&keys);
    visiting(
        |visitor| rows.get(K::TABLE, &keys, visitor),
        |found, row| {
            for (item, key) in left.by_ref() {
                if key.as_bytes() == found {
                    visit(item, Some(row))?;
                    break;
                }
                visit(item, None)?;
            }
            Ok::<_, E>(ControlFlow::Continue(()))
        },
    )?;
    left.try_for_each(|(item, _)| visit(item, None))
}

/// Visits the rows that some floors ask for ([`Read::floors`]).
pub(super) fn floors<K: TableKey, E: From<StoreError>>(
    rows: &dyn Read,
    floors: &[Floor],
    mut visit: impl FnMut(K, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    visiting(
        |visitor| rows.floors(K::TABLE, floors, visitor),
        |key, row| visit(K::read(key).map_err(StoreError::from)?, row).map(ControlFlow::Continue),
    )
}

/// Visits the rows with keys in a range, in their order.
pub(super) fn scan<K: TableKey, E: From<StoreError>>(
    rows: &dyn Read,
    range: impl RangeBounds<K>,
    mut visit: impl FnMut(K, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    scan_until(rows, range, |key, row| visit(key, row).map(ControlFlow::Continue))
}

/// Like [`scan`], but ends when the visitor breaks.
pub(super) fn scan_until<K: TableKey, E: From<StoreError>>(
    rows: &dyn Read,
    range: impl RangeBounds<K>,
    mut visit: impl FnMut(K, &[u8]) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    visiting(
        |visitor| rows.scan(K::TABLE, bytes_of(&range), Order::Ascending, visitor),
        |key, row| visit(K::read(key).map_err(StoreError::from)?, row),
    )
}

/// Returns the first key in a range, or the last one if the order is descending.
pub(super) fn first_key<K: TableKey>(
    rows: &dyn Read,
    range: impl RangeBounds<K>,
    order: Order,
) -> Result<Option<K>, StoreError> {
    let mut found = None;
    rows.scan(K::TABLE, bytes_of(&range), order, &mut |key, _| {
        found = Some(K::read(key));
        ControlFlow::Break(())
    })?;
    Ok(found.transpose()?)
}

/// Returns the first and the last key in a range, if there are any.
pub(super) fn span<K: TableKey>(
    rows: &dyn Read,
    range: impl RangeBounds<K> + Clone,
) -> Result<Option<(K, K)>, StoreError> {
    let first = first_key(rows, range.clone(), Order::Ascending)?;
    Ok(first.zip(first_key(rows, range, Order::Descending)?))
}

fn bytes_of<K: TableKey>(range: &impl RangeBounds<K>) -> Range<Key> {
    let start = match range.start_bound() {
        Bound::Included(key) => key.key(),
        Bound::Excluded(key) => key.key().successor(),
        Bound::Unbounded => Key::MIN,
    };
    let end = match range.end_bound() {
        Bound::Included(key) => key.key().successor(),
        Bound::Excluded(key) => key.key(),
        Bound::Unbounded => Key::MAX,
    };
    start..end
}

fn visiting<E: From<StoreError>>(
    read: impl FnOnce(&mut Visitor<'_>) -> Result<(), RowsError>,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let mut failure = None;
    let read = read(&mut |key, value| {
        visit(key, value).unwrap_or_else(|error| {
            failure = Some(error);
            ControlFlow::Break(())
        })
    });
    match failure {
        Some(failure) => Err(failure),
        None => read.map_err(|error| StoreError::from(error).into()),
    }
}
