//! Rollups: precomputed aggregates that merge, by day and hour.
//!
//! An [`Aggregate`] summarises the contributions of one bucket. Any split of the same contributions merges to the same aggregate,
//! in any order. So posting, rebuilding and queries over a year share one type. A [`Rollup`] holds one day of one choice, or of
//! all choices together: an aggregate for each hour in which something was counted.
//!
//! An aggregate holds the parts of each statistic rather than the result: an average is a sum and a count until a column divides
//! them, once (docs/reference.md, Counting).
//!
//! Not here: what an event contributes (`events::contribution`), which columns exist (`catalog`), the encoding (`store`).

mod aggregate;
mod distribution;
mod histogram;
mod zones;

pub use aggregate::{Aggregate, LostExtremes, Parts};
pub use distribution::Distribution;
pub use histogram::{Cell, Count, Tally};
pub use zones::{Ranges, Zone, ZoneMap, ranges_of};

use crate::events::Partition;
use crate::time::Date;
use crate::vocabulary::{ChoiceId, MetricsTypeId};

/// The choices that a rollup covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RollupScope {
    /// All choices of the metrics type together.
    All,
    /// One choice.
    Choice(ChoiceId),
}

impl RollupScope {
    /// Returns the choice, if it is one.
    pub fn choice(self) -> Option<ChoiceId> {
        match self {
            Self::All => None,
            Self::Choice(choice) => Some(choice),
        }
    }
}

/// The key of a rollup: one day of one choice, or of all choices together, of a metrics type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollupKey {
    /// The UTC day.
    pub date: Date,
    /// The metrics type.
    pub metrics: MetricsTypeId,
    /// The choices that the rollup covers.
    pub scope: RollupScope,
}

impl Partition {
    /// Returns the key of the rollup of this partition.
    pub fn rollup(self) -> RollupKey {
        RollupKey { date: self.date, metrics: self.metrics, scope: RollupScope::Choice(self.choice) }
    }
}

/// The aggregates of one day, by hour. An hour exists in it exactly while something is counted in that hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollup {
    /// One bit for each hour that exists.
    hours: u32,
    /// The aggregates of these hours, in the order of the hours.
    aggregates: Vec<Aggregate>,
}

impl Rollup {
    /// Returns a rollup without hours, with capacity for `hours` of them.
    pub fn with_room_for(hours: usize) -> Self {
        Self { hours: 0, aggregates: Vec::with_capacity(hours) }
    }

    /// Returns the hours that exist, from 0 to 23, in order.
    pub fn hours(&self) -> impl ExactSizeIterator<Item = (u8, &Aggregate)> {
        let mut hours = self.hours;
        self.aggregates.iter().map(move |aggregate| {
            let hour = hours.trailing_zeros();
            hours &= hours - 1;
            (u8::try_from(hour).expect("there are 24 hours"), aggregate)
        })
    }

    /// Returns the aggregates of the hours that exist, in order.
    pub fn aggregates(&self) -> &[Aggregate] {
        &self.aggregates
    }

    /// Returns one bit for each hour that exists, from 0 to 23.
    pub fn hour_bits(&self) -> u32 {
        self.hours
    }

    /// Returns the aggregate of the whole day.
    pub fn day(&self) -> Aggregate {
        let mut aggregates = self.aggregates.iter();
        let mut day = aggregates.next().cloned().unwrap_or_default();
        for aggregate in aggregates {
            day.merge(aggregate);
        }
        day
    }

    /// Returns the aggregate of the whole day without histograms.
    pub fn numbers_of_day(&self) -> Aggregate {
        let mut day = Aggregate::default();
        for aggregate in &self.aggregates {
            day.merge_numbers(aggregate);
        }
        day
    }

    /// Whether it may be of the same contributions ([`Aggregate::agrees_with`]).
    pub fn agrees_with(&self, other: &Self) -> bool {
        let mut pairs = self.aggregates.iter().zip(&other.aggregates);
        self.hours == other.hours && pairs.all(|(one, other)| one.agrees_with(other))
    }

    /// Whether nothing is counted on that day.
    pub fn is_empty(&self) -> bool {
        self.hours == 0
    }

    /// Removes all hours, and keeps the memory for reuse.
    pub fn clear(&mut self) {
        self.hours = 0;
        self.aggregates.clear();
    }

    /// Returns the aggregate of an hour for changes. Creates it if it is missing.
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

    /// Replaces the aggregate of an hour. An empty aggregate removes the hour.
    pub fn set_hour(&mut self, hour: u8, aggregate: Aggregate) {
        if !aggregate.is_empty() {
            *self.hour_mut(hour) = aggregate;
        } else if self.has(hour) {
            self.aggregates.remove(self.place(hour));
            self.hours &= !(1 << hour);
        }
    }

    /// Removes and adds contributions. Returns the hours that lost extremes with the removed ones. The caller has to find these
    /// extremes again among the remaining observations; otherwise the rollup is wrong.
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

    /// Adds all contributions of another rollup.
    pub fn merge(&mut self, other: &Self) {
        for (hour, aggregate) in other.hours() {
            self.hour_mut(hour).merge(aggregate);
        }
    }

    /// Returns the aggregate of an hour, if it exists.
    pub fn hour(&self, hour: u8) -> Option<&Aggregate> {
        self.has(hour).then(|| &self.aggregates[self.place(hour)])
    }

    fn has(&self, hour: u8) -> bool {
        self.hours >> hour & 1 == 1
    }

    /// Returns the index of the aggregate of an hour, or the index at which to insert it.
    fn place(&self, hour: u8) -> usize {
        (self.hours & ((1 << hour) - 1)).count_ones() as usize
    }
}
