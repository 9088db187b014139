//! Forgetting what is too old: events and rollups of days before those that are kept.
//!
//! A day is forgotten at once, in one small commit; what is on disk of it is removed in small steps, so that nobody waits for it.
//! Its events are not loaded and its rollups not shown any more, unless the day is opened again (`reopen`).

use std::collections::BTreeSet;
use std::time::Duration;

use redb::{ReadableTable, Table};

use super::Batch;
use super::events::{StoredEvents, index_row, low_byte};
use crate::catalog::CATALOG;
use crate::events::{Event, EventKey};
use crate::store::blocks::{decode_events, encode_events};
use crate::store::copy::home_of;
use crate::store::index_pages::{Place, encode_index_page};
use crate::store::tables::{self, BlockKey, DayKey, TotalKey};
use crate::store::{Kept, RetentionRecord, StoreError};
use crate::time::Date;

/// How far the events without a home were looked through.
#[derive(Debug, Clone, Copy)]
pub struct Homeless(BlockKey);

impl Default for Homeless {
    /// At the beginning.
    fn default() -> Self {
        Self(BlockKey::HOMELESS)
    }
}

impl Batch<'_> {
    /// The first days that are kept.
    pub fn kept(&self) -> Kept {
        self.kept
    }

    /// From now on, older days are forgotten.
    pub fn keep(&mut self, kept: Kept) -> Result<(), StoreError> {
        self.meta.insert(tables::META_EVENTS_FROM, u64::from(kept.events_from.days()))?;
        self.meta.insert(tables::META_ROLLUPS_FROM, u64::from(kept.rollups_from.days()))?;
        self.rollups_hidden |= kept.rollups_from != self.kept.rollups_from;
        self.kept = kept;
        self.events.kept_from = kept.events_from;
        Ok(())
    }

    /// Records what is agreed.
    pub fn record_retention(&mut self, record: &RetentionRecord) -> Result<(), StoreError> {
        let us = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let RetentionRecord { trusted, seen, steady, agreed, waiting } = *record;
        let meta = &mut self.meta;
        let mut put = |key, number: Option<u64>| put(meta, key, number);
        put(tables::META_CLOCK_TRUSTED, Some(trusted.micros()))?;
        put(tables::META_CLOCK_SEEN, Some(seen.micros()))?;
        put(tables::META_CLOCK_STEADY, Some(us(steady)))?;
        put(tables::META_AGREED_EVENTS, Some(agreed.events_days))?;
        put(tables::META_AGREED_ROLLUPS, Some(agreed.rollups_days))?;
        put(tables::META_WAITING_EVENTS, waiting.map(|(retention, _)| retention.events_days))?;
        put(tables::META_WAITING_ROLLUPS, waiting.map(|(retention, _)| retention.rollups_days))?;
        put(tables::META_WAITED, waiting.map(|(_, waited)| us(waited)))
    }

    /// Leaves the file as an earlier version of the program does, which recorded nothing.
    #[cfg(test)]
    pub(crate) fn forget_record(&mut self) -> Result<(), StoreError> {
        for key in [tables::META_CLOCK_TRUSTED, tables::META_CLOCK_SEEN, tables::META_CLOCK_STEADY] {
            self.meta.remove(key)?;
        }
        for key in [tables::META_AGREED_EVENTS, tables::META_AGREED_ROLLUPS, tables::META_WAITING_EVENTS] {
            self.meta.remove(key)?;
        }
        for key in [tables::META_WAITING_ROLLUPS, tables::META_WAITED] {
            self.meta.remove(key)?;
        }
        Ok(())
    }

    /// Removes blocks of forgotten events that ended before a date, at most so many; returns how many events these were.
    pub fn take_events(&mut self, before: Date, most: usize) -> Result<u64, StoreError> {
        let end = before.min(self.kept.events_from);
        let range = BlockKey::first_of(0)..BlockKey::first_of(end.days());
        let keys = first_keys(&self.events.blocks, range, most)?;
        let mut taken = 0;
        for key in keys {
            taken += self.events.take_block(key, |_| true)?;
        }
        Ok(taken)
    }

    /// Removes events that ended before a date and never had a home, from the next blocks, at most so many. They count nowhere,
    /// so nothing tells that they were there. Returns how many events these were, and where to go on, if there is more.
    pub fn take_homeless(
        &mut self,
        from: Homeless,
        before: Date,
        most: usize,
    ) -> Result<(u64, Option<Homeless>), StoreError> {
        let keys = first_keys(&self.events.blocks, from.0..BlockKey::first_of(0), most)?;
        let next = keys.last().filter(|_| keys.len() == most).map(|last| BlockKey { lower: last.lower + 1, ..*last });
        let mut taken = 0;
        for key in keys {
            let is_old = |event: &Event| event.ended().is_some_and(|ended| ended.date() < before);
            taken += self.events.take_block(key, is_old)?;
        }
        Ok((taken, next.map(Homeless)))
    }

    /// Removes forgotten rollups of days before a date, at most so many; returns how many these were.
    pub fn take_rollups(&mut self, before: Date, most: usize) -> Result<u64, StoreError> {
        let days = before.min(self.kept.rollups_from).days();
        let mut taken = take_rows(&mut self.rollups.rollups, DayKey::first_of(0)..DayKey::first_of(days), most)?;
        for metrics in CATALOG.iter().map(|metrics| metrics.id as u8) {
            taken += take_rows(
                &mut self.rollups.totals,
                TotalKey { metrics, days: 0 }..TotalKey { metrics, days },
                most.saturating_sub(taken),
            )?;
        }
        Ok(taken as u64)
    }
}

impl Batch<'_> {
    /// Removes events that are stored under a date; returns how many these were.
    pub fn take_of_date(&mut self, date: Date, keys: &BTreeSet<EventKey>) -> Result<u64, StoreError> {
        let range = BlockKey::first_of(date.days())..BlockKey::first_of(date.days() + 1);
        let mut taken = 0;
        for key in first_keys(&self.events.blocks, range, usize::MAX)? {
            taken += self.events.take_block(key, |event| keys.contains(&event.key()))?;
        }
        Ok(taken)
    }
}

impl StoredEvents<'_> {
    /// Takes those events of a block away that `is_forgotten`, and returns how many they were.
    fn take_block(&mut self, key: BlockKey, is_forgotten: impl Fn(&Event) -> bool) -> Result<u64, StoreError> {
        let (place, kind) = home_of(key)?;
        let block = self.blocks.get(key)?.map(|block| decode_events(place, kind, block.value())).transpose()?;
        let (forgotten, kept): (Vec<_>, Vec<_>) = block.unwrap_or_default().into_iter().partition(is_forgotten);
        if forgotten.is_empty() {
            return Ok(0);
        }
        self.unname(&forgotten, place)?;
        if kept.is_empty() {
            self.blocks.remove(key)?;
        } else {
            let row = encode_events(&mut self.record, place, &kept.iter().collect::<Vec<_>>());
            self.blocks.insert(key, row)?;
        }
        Ok(forgotten.len() as u64)
    }

    /// Takes events out of the index, unless it says that they are kept elsewhere by now. They are ordered by id.
    fn unname(&mut self, events: &[Event], place: Place) -> Result<(), StoreError> {
        for events in events.chunk_by(|a, b| index_row(a.key()) == index_row(b.key())) {
            let row = index_row(events[0].key());
            let mut page = self.index_page(row)?;
            for event in events {
                let low = low_byte(event.key().id);
                if page.get(low) == Some(place) {
                    page.remove(low);
                }
            }
            if page.len() == 0 {
                self.index.remove(row)?;
            } else {
                self.index.insert(row, encode_index_page(&mut self.record, &page))?;
            }
        }
        Ok(())
    }
}

/// Stores a number, or removes it.
fn put(meta: &mut Table<'_, &'static str, u64>, key: &'static str, number: Option<u64>) -> Result<(), StoreError> {
    match number {
        Some(number) => _ = meta.insert(key, number)?,
        None => _ = meta.remove(key)?,
    }
    Ok(())
}

/// The first keys of a range.
fn first_keys<K>(
    table: &Table<'_, K, &'static [u8]>,
    range: std::ops::Range<K>,
    most: usize,
) -> Result<Vec<K>, StoreError>
where
    K: redb::Key + for<'k> redb::Value<SelfType<'k> = K> + PartialOrd + 'static,
{
    if range.start >= range.end {
        return Ok(Vec::new());
    }
    table.range(range)?.take(most).map(|row| Ok(row?.0.value())).collect()
}

/// Takes the first rows of a range away, and returns how many they were.
fn take_rows<K>(
    table: &mut Table<'_, K, &'static [u8]>,
    range: std::ops::Range<K>,
    most: usize,
) -> Result<usize, StoreError>
where
    K: redb::Key + for<'k> redb::Value<SelfType<'k> = K> + PartialOrd + Copy + 'static,
{
    let keys = first_keys(table, range, most)?;
    for key in &keys {
        table.remove(*key)?;
    }
    Ok(keys.len())
}
