//! Plots: turns aggregates into the series that a query asks for, one series per column with the oldest value first.
//!
//! A [`Query`] selects columns, choices, buckets and a time range. A [`Plot`] receives the aggregates of those buckets as they
//! are read. It keeps only the values of the columns, in flat lists.
//!
//! Not here: the syntax of a query (`api::v6::plot_data`, `api::v6::selection`), reading aggregates (`store`).

pub mod totals;
mod value;

use crate::catalog::{Column, Statistic};
use crate::events::Choices;
use crate::rollup::{Aggregate, Parts, RollupScope};
use crate::time::{Calendar, TimeRange, Timestamp};
use crate::vocabulary::{ChoiceId, MetricsTypeId};

/// What stands in a plot for buckets in which nothing is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fill {
    /// Nothing.
    None,
    /// 0 in sums, and nothing in other columns.
    Zero {
        /// Whether this begins with the first bucket of the range rather than with the first one that has something.
        from_start: bool,
    },
}

/// The choices that a query selects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selection {
    /// No choice was selected: all choices together.
    All,
    /// These choices, each by itself. They are ordered by id, without duplicates; the list may be empty.
    Choices(Vec<ChoiceId>),
}

impl Selection {
    /// Returns the scopes of the rollups that answer the query.
    pub fn scopes(&self) -> Vec<RollupScope> {
        match self {
            Self::All => vec![RollupScope::All],
            Self::Choices(ids) => ids.iter().copied().map(RollupScope::Choice).collect(),
        }
    }
}

/// The content of a plot. Two queries are equal if they mean the same, even if they were written differently.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Query {
    /// The metrics type.
    pub metrics: MetricsTypeId,
    /// The statistics, in the order of the answer.
    pub columns: Vec<&'static Column>,
    /// The selected choices.
    pub selection: Selection,
    /// The buckets.
    pub calendar: Calendar,
    /// The time range: the starts of the first bucket and of the last.
    pub range: TimeRange,
    /// What stands for buckets in which nothing is counted.
    pub fill: Fill,
}

impl Query {
    /// Returns the largest number of values that the plot can have.
    pub fn most_values(&self) -> usize {
        let buckets = self.calendar.most_buckets(self.range);
        let scopes = if let Selection::Choices(ids) = &self.selection { ids.len() } else { 1 };
        buckets.saturating_mul(scopes).saturating_mul(self.columns.len())
    }

    /// Returns the parts of an aggregate that the columns of this query need.
    pub fn parts(&self) -> Parts {
        parts(&self.columns)
    }
}

/// Returns the parts of an aggregate that columns need.
pub fn parts(columns: &[&'static Column]) -> Parts {
    columns.iter().fold(Parts::NONE, |parts, column| parts.union(value::parts(column)))
}

/// The buckets of a query that is filled, one after the other.
#[derive(Debug)]
pub struct Sequence {
    calendar: Calendar,
    last: Timestamp,
    scopes: Vec<RollupScope>,
    /// The next bucket, with the place of its scope; `None` before the first one and behind the last one.
    next: Option<(Timestamp, usize)>,
    /// Whether it begins with the first bucket that is asked for.
    begins_late: bool,
}

impl Sequence {
    /// The buckets of a query; `None` if it is not filled.
    pub fn of(query: &Query) -> Option<Self> {
        let Fill::Zero { from_start } = query.fill else { return None };
        let scopes = query.selection.scopes();
        let next = (from_start && !scopes.is_empty()).then_some((query.range.started, 0));
        Some(Self { calendar: query.calendar, last: query.range.ended, scopes, next, begins_late: !from_start })
    }

    /// Returns the next bucket before this one, or before the end; `None` if there is none. Then it goes on behind this bucket.
    pub fn next_before(&mut self, bucket: Option<Bucket>) -> Option<Bucket> {
        if let Some(bucket) = bucket
            && std::mem::take(&mut self.begins_late)
        {
            self.next = Some((bucket.start, 0));
        }
        let (start, place) = self.next.filter(|(start, _)| *start <= self.last)?;
        let next = Bucket { start, scope: self.scopes[place] };
        let behind = (place + 1) % self.scopes.len();
        self.next = if behind > 0 { Some((start, behind)) } else { self.calendar.next(start).map(|start| (start, 0)) };
        (Some(next) != bucket).then_some(next)
    }
}

/// One bucket of one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// When it starts.
    pub start: Timestamp,
    /// The scope of the bucket.
    pub scope: RollupScope,
}

/// The values of the columns in all buckets, stored compactly: a year by the hour has a quarter of a million.
pub struct Plot<'a> {
    choices: &'a Choices,
    /// Whether sums are 0 where nothing is counted.
    is_filled: bool,
    buckets: Vec<Bucket>,
    series: Vec<Series>,
}

/// The values of one column.
#[derive(Debug)]
pub struct Series {
    /// The column.
    pub column: &'static Column,
    /// The indices of the buckets of these values, ascending.
    buckets: Vec<u32>,
    values: Values,
}

impl<'a> Plot<'a> {
    /// Returns empty series of these columns. Errors count as `choices` define them. If `is_filled`, a sum has a value in every
    /// bucket that is added.
    pub fn new(columns: &[&'static Column], choices: &'a Choices, is_filled: bool) -> Self {
        let series = columns.iter().map(|&column| Series { column, buckets: Vec::new(), values: Values::default() });
        Self { choices, is_filled, buckets: Vec::new(), series: series.collect() }
    }

    /// Adds the aggregate of a bucket. Buckets must come oldest first, and buckets with the same start in the order of their
    /// scopes.
    pub fn add(&mut self, bucket: Bucket, aggregate: &Aggregate) {
        let place = u32::try_from(self.buckets.len()).expect("four billion buckets do not fit into memory");
        self.buckets.push(bucket);
        for series in &mut self.series {
            let nothing = (self.is_filled && series.column.statistic == Statistic::Sum).then_some(0);
            if let Some(value) = value::of(series.column, aggregate, self.choices).or(nothing) {
                series.buckets.push(place);
                series.values.push(value);
            }
        }
    }

    /// Returns the upper bound of its size in bytes. It takes half of that, unless most values are larger than 64 bits.
    pub fn memory(&self) -> usize {
        let of_each_series = size_of::<u32>() + size_of::<u128>();
        self.buckets.capacity() * (size_of::<Bucket>() + self.series.len() * of_each_series)
    }

    /// Returns the series, in the order of the columns.
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// Returns the values of a series with their buckets: oldest first, then by choice.
    pub fn points(&self, series: &Series) -> impl Iterator<Item = (Bucket, u128)> {
        let values = series.buckets.iter().enumerate();
        values.map(|(number, &place)| (self.buckets[place as usize], series.values.get(number)))
    }

    /// Returns the starts of the buckets of the first and the last value of a series.
    pub fn bounds_x(&self, series: &Series) -> Option<(Timestamp, Timestamp)> {
        let start = |place: &u32| self.buckets[*place as usize].start;
        Some((start(series.buckets.first()?), start(series.buckets.last()?)))
    }
}

impl Series {
    /// Returns the number of values.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Returns the smallest and the largest value.
    pub fn bounds_y(&self) -> Option<(u128, u128)> {
        match &self.values {
            Values::Small(values) => Some(((*values.iter().min()?).into(), (*values.iter().max()?).into())),
            Values::Large(values) => Some((*values.iter().min()?, *values.iter().max()?)),
        }
    }
}

/// Values in the units of their column, rounded down. Nearly all values fit into 64 bits; the sum of a few huge sizes needs more.
#[derive(Debug)]
enum Values {
    Small(Vec<u64>),
    Large(Vec<u128>),
}

impl Default for Values {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

impl Values {
    fn push(&mut self, value: u128) {
        match (self, u64::try_from(value)) {
            (Self::Small(values), Ok(value)) => values.push(value),
            (Self::Large(values), _) => values.push(value),
            (values @ Self::Small(_), Err(_)) => {
                values.enlarge();
                values.push(value);
            }
        }
    }

    #[cold]
    fn enlarge(&mut self) {
        if let Self::Small(values) = self {
            *self = Self::Large(values.iter().map(|&value| value.into()).collect());
        }
    }

    fn get(&self, number: usize) -> u128 {
        match self {
            Self::Small(values) => values[number].into(),
            Self::Large(values) => values[number],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_what_they_are_when_one_outgrows_64_bits() {
        let largest = u128::from(u64::MAX);
        let column = &MetricsTypeId::JobTypes.describe().columns[0];
        let mut series = Series { column, buckets: Vec::new(), values: Values::default() };
        assert!(series.is_empty());
        assert_eq!(series.bounds_y(), None);
        let values = [7, 3, largest, 5, largest + 1, 4];
        for (place, value) in (0..).zip(values) {
            series.buckets.push(place);
            series.values.push(value);
            assert_eq!(series.len(), place as usize + 1);
            let so_far = &values[..series.len()];
            assert_eq!(so_far, (0..series.len()).map(|number| series.values.get(number)).collect::<Vec<_>>());
            let bounds = so_far.iter().copied().min().zip(so_far.iter().copied().max());
            assert_eq!(series.bounds_y(), bounds);
        }
        assert!(!series.is_empty());
    }
}
