//! Forgetting what is too old: events and rollups of days before those that are kept.
//!
//! A day is forgotten at once, in one small commit; what is on disk of it is taken away in small steps, so that nobody waits
//! for it. Its events are never loaded again, its rollups never shown.

use redb::{ReadableTable, Table};

use super::Batch;
use super::events::{StoredEvents, index_row, low_byte};
use crate::catalog::CATALOG;
use crate::events::Event;
use crate::store::blocks::{decode_events, encode_events};
use crate::store::copy::home_of;
use crate::store::index_pages::{Place, encode_index_page};
use crate::store::tables::{self, BlockKey, DayKey, TotalKey};
use crate::store::{Kept, StoreError};

/// How far the events without a home were looked through.
#[derive(Debug, Clone, Copy)]
pub struct Homeless(BlockKey);

impl Default for Homeless {
    /// At the beginning.
    fn default() -> Self {
        Self(BlockKey { days: 0, choice: 0, kind: 0, lower: 0 })
    }
}

/// The first block of events that ended on a day.
fn first_block(days: u32) -> BlockKey {
    BlockKey { days, choice: u64::from(days == 0), kind: 0, lower: 0 }
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
        self.rollups_hidden |= kept.rollups_from > self.kept.rollups_from;
        self.kept = kept;
        Ok(())
    }

    /// Takes away blocks of forgotten events, at most so many; returns how many events these were.
    pub fn take_events(&mut self, most: usize) -> Result<u64, StoreError> {
        let range = first_block(0)..first_block(self.kept.events_from.days());
        let keys = first_keys(&self.events.blocks, range, most)?;
        let mut taken = 0;
        for key in keys {
            taken += self.events.take_block(key, |_| true)?;
        }
        Ok(taken)
    }

    /// Takes away forgotten events that never had a home, from the next blocks, at most so many. Returns how many events these
    /// were, and where to go on, if it is not through.
    pub fn take_homeless(&mut self, from: Homeless, most: usize) -> Result<(u64, Option<Homeless>), StoreError> {
        let events_from = self.kept.events_from;
        let keys = first_keys(&self.events.blocks, from.0..first_block(0), most)?;
        let next = keys.last().filter(|_| keys.len() == most).map(|last| BlockKey { lower: last.lower + 1, ..*last });
        let mut taken = 0;
        for key in keys {
            let is_forgotten = |event: &Event| event.ended().is_some_and(|ended| ended.date() < events_from);
            taken += self.events.take_block(key, is_forgotten)?;
        }
        Ok((taken, next.map(Homeless)))
    }

    /// Takes away forgotten rollups, at most so many; returns how many these were.
    pub fn take_rollups(&mut self, most: usize) -> Result<u64, StoreError> {
        let days = self.kept.rollups_from.days();
        let start = |days| DayKey { days, choice: 0, metrics: 0 };
        let mut taken = take_rows(&mut self.rollups.rollups, start(0)..start(days), most)?;
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
