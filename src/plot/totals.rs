//! Totals: the values of columns over a whole period, for each choice and for all choices together.
//!
//! Merged aggregates equal the aggregate of all their events. So a total is exact for every division of the period into parts,
//! and an average is not an average of averages. That is why a day that lies wholly in the period is read as one part.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::value;
use crate::catalog::Column;
use crate::events::Choices;
use crate::rollup::{Aggregate, Tally};
use crate::time::{Calendar, Resolution, TimeRange, Timestamp, Zone};
use crate::vocabulary::ChoiceId;

/// A sequence of hours of local clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    started: Timestamp,
    /// The last point in time.
    last: Timestamp,
    /// The zone of the clocks.
    pub zone: Zone,
}

impl Period {
    /// Returns the hours that start in a range. The start of the range is rounded down to an hour.
    pub fn of(range: TimeRange, zone: Zone) -> Self {
        let hours = Calendar { zone, resolution: Resolution::Hour };
        let TimeRange { started, ended } = hours.buckets(range);
        Self { started, last: hours.next(ended).map_or(Timestamp::MAX, Timestamp::before), zone }
    }

    /// Returns the same number of hours, shifted back by `by_us`, which is in microseconds and must be whole hours. Returns
    /// `None` if they would begin before 1970.
    #[must_use]
    pub fn earlier(self, by_us: u64) -> Option<Self> {
        let back = |time: Timestamp| time.micros().checked_sub(by_us).and_then(Timestamp::from_micros);
        Some(Self { started: back(self.started)?, last: back(self.last)?, ..self })
    }

    /// Returns the length in microseconds.
    pub fn length_us(self) -> u64 {
        self.last.since(self.started) + 1
    }

    /// Returns the start of the first hour.
    pub fn started(self) -> Timestamp {
        self.started
    }

    /// Returns the last point in time.
    pub fn last(self) -> Timestamp {
        self.last
    }

    /// Returns the end of the last hour. For the last possible hour, returns one microsecond less.
    pub fn ended(self) -> Timestamp {
        self.last.after().unwrap_or(Timestamp::MAX)
    }
}

/// The aggregates of a period, by choice.
#[derive(Debug, Default)]
pub struct Totals {
    choices: BTreeMap<ChoiceId, Aggregate>,
    bytes: usize,
}

impl Totals {
    /// Adds the aggregate of a choice.
    pub fn add(&mut self, choice: ChoiceId, aggregate: &Aggregate) {
        self.bytes += size_of::<(ChoiceId, Aggregate)>() + aggregate.memory();
        self.choices.entry(choice).or_default().merge(aggregate);
    }

    /// Returns the approximate size in bytes.
    pub fn memory(&self) -> usize {
        self.bytes
    }

    /// Returns the choices that have data, ordered by id.
    pub fn choices(&self) -> impl Iterator<Item = ChoiceId> {
        self.choices.keys().copied()
    }

    /// Returns the values of the columns for a choice.
    pub fn of(&self, choice: ChoiceId, columns: &[&'static Column], choices: &Choices) -> Vec<Option<u128>> {
        values(self.choices.get(&choice), columns, choices)
    }

    /// Returns the values of the columns for all choices together.
    pub fn of_all(&self, columns: &[&'static Column], choices: &Choices) -> Vec<Option<u128>> {
        let mut all = self.choices.values().fold(None, |all: Option<Aggregate>, aggregate| {
            let mut all = all.unwrap_or_default();
            all.merge(aggregate);
            Some(all)
        });
        if let Some(all) = &mut all {
            all.sort(&mut Tally::default());
        }
        values(all.as_ref(), columns, choices)
    }
}

/// Returns the values of the columns. Without an aggregate, a column has no value, not even 0.
fn values(aggregate: Option<&Aggregate>, columns: &[&'static Column], choices: &Choices) -> Vec<Option<u128>> {
    columns.iter().map(|column| aggregate.and_then(|aggregate| value::of(column, aggregate, choices))).collect()
}

/// The quotient of two values; the divisor is not 0. Comparisons are exact.
#[derive(Debug, Clone, Copy)]
pub struct Quotient {
    dividend: u128,
    divisor: u128,
}

impl Quotient {
    /// Returns the quotient, or `None` if the divisor is 0.
    pub fn new(dividend: u128, divisor: u128) -> Option<Self> {
        (divisor > 0).then_some(Self { dividend, divisor })
    }
}

impl Ord for Quotient {
    /// Multiplies crosswise, in 256 bits.
    fn cmp(&self, other: &Self) -> Ordering {
        let product = |one: u128, other: u128| {
            let (low, high) = one.carrying_mul(other, 0);
            (high, low)
        };
        product(self.dividend, other.divisor).cmp(&product(other.dividend, self.divisor))
    }
}

impl PartialOrd for Quotient {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quotient {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Quotient {}
