//! Retention in a transaction: forgets events and rollups of days before the first days that are kept.
//!
//! A day is forgotten at once, in one small commit. Its rows are deleted later in small steps, so that no request waits for the
//! deletion. Reads ignore the events and rollups of a forgotten day, unless the day is opened again (`worker::reopen`).

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

use super::Transaction;
use super::events::IndexEdit;
use crate::catalog::CATALOG;
use crate::events::{Event, EventKey};
use crate::store::audit::EventCursor;
use crate::store::blocks::{decode_events, encode_events};
use crate::store::error::StoreError;
use crate::store::keys::{self, BlockKey, DayKey, TableKey, TotalKey};
use crate::store::location::BlockPrefix;
use crate::store::reads::scan_until;
use crate::store::retention::RetentionRecord;
use crate::store::rows::{Changes, Table};
use crate::store::snapshot::RetentionMarks;
use crate::time::Date;

impl Transaction<'_> {
    /// Returns the first days that are kept.
    pub fn kept(&self) -> RetentionMarks {
        self.kept
    }

    /// Sets the first days that are kept. Older days are forgotten from then on.
    pub fn keep(&mut self, kept: RetentionMarks) {
        self.numbers.push((keys::NUMBER_EVENTS_FROM, Some(kept.events_from.days().into())));
        self.numbers.push((keys::NUMBER_ROLLUPS_FROM, Some(kept.rollups_from.days().into())));
        self.are_days_hidden |= kept != self.kept;
        self.kept = kept;
    }

    /// Records the agreed state of clock and periods.
    pub fn record_retention(&mut self, record: &RetentionRecord) {
        self.numbers.extend(record.numbers());
    }

    /// Removes the retention record, so that the database looks like one of an earlier version of the program, which recorded
    /// nothing.
    #[cfg(test)]
    pub(crate) fn forget_record(&mut self) {
        self.numbers.extend(RetentionRecord::nothing());
    }

    /// Deletes up to `most` blocks of forgotten events that ended before a date. Returns the number of deleted events.
    pub fn remove_events(&mut self, before: Date, most: usize) -> Result<u64, StoreError> {
        let end = before.min(self.kept.events_from);
        let range = BlockKey::first_of(0)..BlockKey::first_of(end.days());
        Ok(self.remove_from_blocks(range, most, |_| true)?.0)
    }

    /// Deletes events that ended before a date and never had a partition, from up to `most` blocks. These events count nowhere,
    /// so nothing else records that they existed. Returns the number of deleted events, and the position at which to continue, if
    /// there are more blocks.
    pub fn remove_unpartitioned(
        &mut self,
        EventCursor(from): EventCursor,
        before: Date,
        most: usize,
    ) -> Result<(u64, Option<EventCursor>), StoreError> {
        let is_old = |event: &Event| event.ended().is_some_and(|ended| ended.date() < before);
        let range = from..BlockKey::first_of(0);
        let (removed, next) = self.remove_from_blocks(range, most, is_old)?;
        Ok((removed, next.map(EventCursor)))
    }

    /// Deletes some of the events that are stored under a date. Returns the number of deleted events.
    pub fn remove_events_of(&mut self, date: Date, keys: &BTreeSet<EventKey>) -> Result<u64, StoreError> {
        let range = BlockKey::first_of(date.days())..BlockKey::first_of(date.days() + 1);
        Ok(self.remove_from_blocks(range, usize::MAX, |event| keys.contains(&event.key()))?.0)
    }

    /// Deletes up to `most` forgotten rollups of days before a date. Returns the number of deleted rollups.
    pub fn remove_rollups(&mut self, before: Date, most: usize) -> Result<u64, StoreError> {
        let days = before.min(self.kept.rollups_from).days();
        let mut removed = self.remove_rows(DayKey::first_of(0)..DayKey::first_of(days), most)?;
        for metrics in CATALOG.iter().map(|metrics| metrics.id as u8) {
            let total = |days| TotalKey { metrics, days };
            removed += self.remove_rows(total(0)..total(days), most.saturating_sub(removed))?;
        }
        Ok(removed as u64)
    }

    /// Deletes the events that satisfy `is_forgotten` from the first blocks of a range. Returns the number of deleted events, and
    /// the key at which to continue, if there are more blocks.
    fn remove_from_blocks(
        &mut self,
        range: Range<BlockKey>,
        most: usize,
        is_forgotten: impl Fn(&Event) -> bool,
    ) -> Result<(u64, Option<BlockKey>), StoreError> {
        let (mut changes, mut edits) = (Changes::default(), Vec::new());
        let (mut blocks, mut next) = (0, None);
        let record = &mut self.record;
        scan_until(&*self.rows, range, |key, block| {
            if blocks == most {
                next = Some(key);
                return Ok::<_, StoreError>(ControlFlow::Break(()));
            }
            blocks += 1;
            let prefix = BlockPrefix::of_block(key)?;
            let (forgotten, kept): (Vec<_>, Vec<_>) =
                decode_events(prefix, block)?.into_iter().partition(&is_forgotten);
            if kept.is_empty() {
                changes.remove(key.key());
            } else if !forgotten.is_empty() {
                let kept: Vec<_> = kept.iter().collect();
                changes.replace(key.key(), encode_events(record, prefix.location, &kept));
            }
            edits.extend(forgotten.iter().map(|event| (event.key(), IndexEdit::Remove(prefix.location))));
            Ok(ControlFlow::Continue(()))
        })?;
        edits.sort_unstable_by_key(|(key, _)| *key);
        self.edit_index(&edits)?;
        self.rows.write(&[(Table::Blocks, &changes)])?;
        Ok((edits.len() as u64, next))
    }

    /// Deletes up to `most` first rows of a range. Returns the number of deleted rows.
    fn remove_rows<K: TableKey>(&mut self, range: Range<K>, most: usize) -> Result<usize, StoreError> {
        let (mut changes, mut removed) = (Changes::default(), 0);
        if most > 0 {
            scan_until(&*self.rows, range, |key: K, _| {
                changes.remove(key.key());
                removed += 1;
                Ok::<_, StoreError>(if removed < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
            self.rows.write(&[(K::TABLE, &changes)])?;
        }
        Ok(removed)
    }
}
