//! Retention: what the database records about it, and which stored data is older than a cut-off.
//!
//! Three concepts are separate:
//!
//! | concept | meaning |
//! | --- | --- |
//! | *marks* ([`RetentionMarks`]) | which days were forgotten; their events are refused, since they could be counted twice |
//! | [`RetentionRecord`] | what is agreed: the latest trusted time, and for how many days data is kept |
//! | *cut-off* | computed from these two whenever it is needed, and never stored |
//!
//! Not here: when a cut-off takes effect (`worker::retention`), how rows are removed (`transaction/expiry.rs`).

use std::time::Duration;

use super::codec::Corrupt;
use super::error::StoreError;
use super::keys::{self, BlockKey, DayKey, TotalKey, date};
use super::reads::first_key;
use super::rows::Order;
use super::snapshot::{RetentionMarks, Snapshot};
use crate::catalog::CATALOG;
use crate::time::{Date, Timestamp};

/// Retention periods in days; 0 means for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// How long events are kept after their end.
    pub events_days: u64,
    /// How long rollups are kept; at least as long as events.
    pub rollups_days: u64,
}

impl Retention {
    /// Returns the first day whose events are accepted.
    pub fn first_day(self, now: Timestamp) -> Date {
        first_day(self.events_days, now)
    }

    /// Returns the first days that are kept. They are one day before the first day that is accepted. So a request that was
    /// checked just before midnight still finds the stored events of its days.
    pub fn cut_offs(self, now: Timestamp) -> RetentionMarks {
        let kept_from = |days: u64| if days == 0 { Date::MIN } else { first_day(days.saturating_add(1), now) };
        let events_from = kept_from(self.events_days);
        RetentionMarks { events_from, rollups_from: kept_from(self.rollups_days).min(events_from) }
    }

    /// Returns the longer period of the two, for events and for rollups.
    #[must_use]
    pub fn longest(self, other: Self) -> Self {
        let longest = |a: u64, b: u64| if a == 0 || b == 0 { 0 } else { a.max(b) };
        Self {
            events_days: longest(self.events_days, other.events_days),
            rollups_days: longest(self.rollups_days, other.rollups_days),
        }
    }
}

/// Returns the day that is `days` days before today; the first possible day for 0.
fn first_day(days: u64, now: Timestamp) -> Date {
    let today = now.date().days();
    let days = u32::try_from(days).ok().filter(|&days| days > 0).and_then(|days| today.checked_sub(days));
    days.and_then(Date::from_days).unwrap_or(Date::MIN)
}

/// The agreed state of clock and periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionRecord {
    /// The time that was trusted when this was recorded.
    pub trusted: Timestamp,
    /// The time that the clock showed at that moment.
    pub seen: Timestamp,
    /// How long the clock had run undisturbed, as far as that matters.
    pub steady: Duration,
    /// The periods in force.
    pub agreed: Retention,
    /// Shorter periods that wait for the end of the grace period, and the elapsed part of the grace period.
    pub waiting: Option<(Retention, Duration)>,
}

impl RetentionRecord {
    /// Returns numbers that mean that nothing was recorded.
    #[cfg(test)]
    pub(super) fn nothing() -> impl Iterator<Item = (&'static str, Option<u64>)> {
        keys::NUMBERS_OF_RETENTION.into_iter().map(|name| (name, None))
    }

    /// Returns the numbers of this record.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (&'static str, Option<u64>)> {
        let us = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let &Self { trusted, seen, steady, agreed, waiting } = self;
        keys::NUMBERS_OF_RETENTION.into_iter().zip([
            Some(trusted.micros()),
            Some(seen.micros()),
            Some(us(steady)),
            Some(agreed.events_days),
            Some(agreed.rollups_days),
            waiting.map(|(retention, _)| retention.events_days),
            waiting.map(|(retention, _)| retention.rollups_days),
            waiting.map(|(_, waited)| us(waited)),
        ])
    }

    /// Reads the numbers of [`keys::NUMBERS_OF_RETENTION`]. Returns `None` if nothing was recorded.
    fn read(numbers: &[Option<u64>]) -> Result<Option<Self>, Corrupt> {
        let &[trusted, seen, steady, events, rollups, waiting_events, waiting_rollups, waited] = numbers else {
            unreachable!("all eight are read")
        };
        if trusted.is_none() {
            return Ok(None);
        }
        let time = |us: Option<u64>| us.and_then(Timestamp::from_micros).ok_or(Corrupt("a time is wrong"));
        let duration = |us: Option<u64>| Duration::from_micros(us.unwrap_or(0));
        let retention = |events: Option<u64>, rollups: Option<u64>| Retention {
            events_days: events.unwrap_or(0),
            rollups_days: rollups.unwrap_or(0),
        };
        Ok(Some(Self {
            trusted: time(trusted)?,
            seen: time(seen)?,
            steady: duration(steady),
            agreed: retention(events, rollups),
            waiting: waiting_events.map(|events| (retention(Some(events), waiting_rollups), duration(waited))),
        }))
    }
}

impl Snapshot {
    /// Returns the agreed state; `None` if nothing was ever recorded.
    pub fn retention_record(&self) -> Result<Option<RetentionRecord>, StoreError> {
        Ok(RetentionRecord::read(&self.rows().numbers(&keys::NUMBERS_OF_RETENTION)?)?)
    }

    /// Whether there are neither events nor rollups.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        let (event, total): (Option<BlockKey>, Option<TotalKey>) =
            (first_key(self.rows(), .., Order::Ascending)?, first_key(self.rows(), .., Order::Ascending)?);
        Ok(event.is_none() && total.is_none())
    }

    /// Returns the last day up to `not_after` that has stored data.
    pub fn newest_day(&self, not_after: Date) -> Result<Option<Date>, StoreError> {
        let end = not_after.days() + 1;
        let newest = self.last_day_of_events(0, end)?.max(self.last_day_of_totals(0, end)?);
        Ok(newest.map(date).transpose()?)
    }

    /// Returns the marks after these cut-offs take effect. A mark moves at most to the day after the last day that has data to
    /// forget, and never moves back.
    pub fn marks(&self, cut_offs: RetentionMarks) -> Result<RetentionMarks, StoreError> {
        let RetentionMarks { mut events_from, mut rollups_from } = self.kept();
        if cut_offs.events_from > events_from
            && let Some(last) = self.last_day_of_events(events_from.days(), cut_offs.events_from.days())?
        {
            events_from = date(last)?.plus_days(1);
        }
        if cut_offs.rollups_from > rollups_from {
            let (start, end) = (rollups_from.days(), cut_offs.rollups_from.days());
            let last = self.last_day_of_rollups(start, end)?.max(self.last_day_of_totals(start, end)?);
            if let Some(last) = last {
                // Days whose events are kept also keep their rollups.
                rollups_from = date(last)?.plus_days(1).min(events_from);
            }
        }
        Ok(RetentionMarks { events_from, rollups_from })
    }

    /// Returns the last day in a range that has stored events, in days since 1970.
    fn last_day_of_events(&self, start: u32, end: u32) -> Result<Option<u32>, StoreError> {
        let range = BlockKey::first_of(start)..BlockKey::first_of(end);
        Ok(first_key(self.rows(), range, Order::Descending)?.map(|key| key.days))
    }

    /// Returns the last day in a range that has a rollup of a choice.
    fn last_day_of_rollups(&self, start: u32, end: u32) -> Result<Option<u32>, StoreError> {
        let range = DayKey::first_of(start)..DayKey::first_of(end);
        Ok(first_key(self.rows(), range, Order::Descending)?.map(|key| key.days))
    }

    /// Returns the last day in a range that has a rollup of all choices together.
    fn last_day_of_totals(&self, start: u32, end: u32) -> Result<Option<u32>, StoreError> {
        let mut last = None;
        for metrics in CATALOG.iter().map(|metrics| metrics.id as u8) {
            let range = TotalKey { metrics, days: start }..TotalKey { metrics, days: end };
            last = last.max(first_key(self.rows(), range, Order::Descending)?.map(|key| key.days));
        }
        Ok(last)
    }
}
