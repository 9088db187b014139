//! The precomputed numbers: aggregates that merge, and the rollup of one day.
//!
//! An [`Aggregate`] summarises the contributions of one bucket. Any split of the same contributions merges to the same
//! aggregate, in any order, so that posting, rebuilding and a year-long query share one type. A [`Rollup`] is what one day
//! of one choice, or of all choices together, keeps: an aggregate for each hour in which something was counted.
//!
//! The parts are kept, not the answers: an average is a sum and a count until a column divides them, once
//! (docs/reference.md, Counting).
//!
//! Not here: what an event contributes (`events::contribution`), which columns exist (`catalog`), bytes (`store`).

mod aggregate;
mod zones;

pub use aggregate::{Aggregate, Distribution, LostExtremes, Parts};
pub use zones::{Ranges, Zone, ZoneMap, ranges_of};

use crate::events::Partition;
use crate::time::Date;
use crate::vocabulary::{ChoiceId, MetricsTypeId};

/// Whose numbers a rollup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RollupScope {
    /// All choices of the metrics type together.
    All,
    /// One of them.
    Choice(ChoiceId),
}

/// Names a rollup: one day of one choice, or of all choices together, of a metrics type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollupKey {
    /// The UTC day.
    pub date: Date,
    /// The metrics type.
    pub metrics: MetricsTypeId,
    /// Whose numbers.
    pub scope: RollupScope,
}

impl Partition {
    /// The name of its rollup.
    pub fn rollup(self) -> RollupKey {
        RollupKey { date: self.date, metrics: self.metrics, scope: RollupScope::Choice(self.choice) }
    }
}

/// The aggregates of one day, by hour. An hour stands in it exactly while something is counted there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollup {
    /// A bit for each hour that exists.
    hours: u32,
    /// Their aggregates, in the order of the hours.
    aggregates: Vec<Aggregate>,
}

impl Rollup {
    /// A rollup without hours, with room for so many.
    pub fn with_room_for(hours: usize) -> Self {
        Self { hours: 0, aggregates: Vec::with_capacity(hours) }
    }

    /// The hours that exist, from 0 to 23, in order.
    pub fn hours(&self) -> impl ExactSizeIterator<Item = (u8, &Aggregate)> {
        let mut hours = self.hours;
        self.aggregates.iter().map(move |aggregate| {
            let hour = hours.trailing_zeros();
            hours &= hours - 1;
            (u8::try_from(hour).expect("there are 24 hours"), aggregate)
        })
    }

    /// A bit for each hour that exists, from 0 to 23.
    pub fn hour_bits(&self) -> u32 {
        self.hours
    }

    /// The aggregate of the whole day.
    pub fn day(&self) -> Aggregate {
        let mut aggregates = self.aggregates.iter();
        let mut day = aggregates.next().cloned().unwrap_or_default();
        for aggregate in aggregates {
            day.merge(aggregate);
        }
        day
    }

    /// Whether nothing is counted on that day.
    pub fn is_empty(&self) -> bool {
        self.hours == 0
    }

    /// Takes all hours away, and keeps their memory for others.
    pub fn clear(&mut self) {
        self.hours = 0;
        self.aggregates.clear();
    }

    /// The aggregate of an hour, to add to; made if it is missing.
    pub fn hour_mut(&mut self, hour: u8) -> &mut Aggregate {
        let place = self.place(hour);
        if !self.has(hour) {
            self.hours |= 1 << hour;
            // Most rollups of a commit have a single hour, and aggregates are large.
            if self.aggregates.is_empty() {
                self.aggregates.reserve_exact(1);
            }
            self.aggregates.insert(place, Aggregate::default());
        }
        &mut self.aggregates[place]
    }

    /// Puts an aggregate in the place of an hour's; an empty one takes the hour away.
    pub fn set_hour(&mut self, hour: u8, aggregate: Aggregate) {
        if !aggregate.is_empty() {
            *self.hour_mut(hour) = aggregate;
        } else if self.has(hour) {
            self.aggregates.remove(self.place(hour));
            self.hours &= !(1 << hour);
        }
    }

    /// Takes out and puts in what changed. Returns the hours that lost extremes with what was taken out: these have to be
    /// found again from what remains, or the rollup would be wrong.
    #[must_use = "the extremes returned are wrong until they are set again"]
    pub fn apply(&mut self, removed: &Self, added: &Self) -> Vec<(u8, LostExtremes)> {
        let mut lost = Vec::new();
        let nothing = Aggregate::default();
        for (hour, removed) in removed.hours() {
            let aggregate = self.hour_mut(hour);
            let extremes = aggregate.replace(removed, added.hour(hour).unwrap_or(&nothing));
            if !extremes.is_empty() {
                lost.push((hour, extremes));
            } else if aggregate.is_empty() {
                self.set_hour(hour, Aggregate::default());
            }
        }
        for (hour, added) in added.hours() {
            if !removed.has(hour) {
                self.hour_mut(hour).merge(added);
            }
        }
        lost
    }

    /// Adds all that another one holds.
    pub fn merge(&mut self, other: &Self) {
        for (hour, aggregate) in other.hours() {
            self.hour_mut(hour).merge(aggregate);
        }
    }

    /// The aggregate of an hour, if it exists.
    pub fn hour(&self, hour: u8) -> Option<&Aggregate> {
        self.has(hour).then(|| &self.aggregates[self.place(hour)])
    }

    fn has(&self, hour: u8) -> bool {
        self.hours >> hour & 1 == 1
    }

    /// Where the aggregate of an hour stands, or would stand.
    fn place(&self, hour: u8) -> usize {
        (self.hours & ((1 << hour) - 1)).count_ones() as usize
    }
}
