//! From aggregates to the series that a query asks for: one series a column, values oldest first.
//!
//! A [`Query`] says which columns, choices, buckets and time; a [`Plot`] takes the aggregates of those buckets as they are
//! read and keeps the columns' values only, in flat lists.
//!
//! Not here: how a query is spelled (`api::v6::plot_data`), where aggregates come from (`store`).

mod value;

use crate::catalog::{Column, MetricsTypeId};
use crate::events::{ChoiceId, Choices};
use crate::rollup::{Aggregate, Parts, Scope};
use crate::time::{Date, TimeRange, Timestamp};

/// How long the buckets of a plot are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// A UTC day.
    Day,
    /// An hour.
    Hour,
}

/// Which choices a query is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selection {
    /// No choice was selected: all of them together.
    All,
    /// These, each by itself; ordered by id, none twice, maybe none at all.
    Choices(Vec<ChoiceId>),
}

impl Selection {
    /// The scopes whose rollups answer the query.
    pub fn scopes(&self) -> Vec<Scope> {
        match self {
            Self::All => vec![Scope::All],
            Self::Choices(ids) => ids.iter().copied().map(Scope::Choice).collect(),
        }
    }
}

/// What a plot shows. Two queries are equal if they mean the same, however they were spelled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Query {
    /// Of which metrics type.
    pub metrics: MetricsTypeId,
    /// Which statistics, in the order of the answer.
    pub columns: Vec<&'static Column>,
    /// Whose.
    pub selection: Selection,
    /// By day or by hour.
    pub resolution: Resolution,
    /// When: the starts of the first bucket and of the last.
    pub range: TimeRange,
}

impl Query {
    /// The most values that it can have.
    pub fn most_values(&self) -> usize {
        let (first, last) = self.range.dates();
        let buckets =
            (last.days() - first.days() + 1) as usize * if self.resolution == Resolution::Hour { 24 } else { 1 };
        buckets.saturating_mul(self.selection.scopes().len()).saturating_mul(self.columns.len())
    }

    /// The parts of an aggregate that its columns show.
    pub fn parts(&self) -> Parts {
        self.columns.iter().fold(Parts::NONE, |parts, column| parts.and(value::parts(column)))
    }
}

/// A bucket of somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Its start.
    pub start: Timestamp,
    /// Whose it is.
    pub scope: Scope,
}

/// The values of the columns in all buckets, side by side: a year by the hour has a quarter of a million.
pub struct Plot<'a> {
    choices: &'a Choices,
    buckets: Vec<Bucket>,
    series: Vec<Series>,
}

/// The values of one column.
#[derive(Debug)]
pub struct Series {
    /// The column.
    pub column: &'static Column,
    /// The places of their buckets, ascending.
    buckets: Vec<u32>,
    /// In the units of the column, rounded down.
    values: Vec<u128>,
    /// The smallest value and the largest.
    bounds: Option<(u128, u128)>,
}

impl<'a> Plot<'a> {
    /// Empty series of these columns. Errors count as `choices` define them.
    pub fn new(columns: &[&'static Column], choices: &'a Choices) -> Self {
        let series =
            columns.iter().map(|&column| Series { column, buckets: Vec::new(), values: Vec::new(), bounds: None });
        Self { choices, buckets: Vec::new(), series: series.collect() }
    }

    /// Takes in the aggregate of a bucket. Buckets come oldest first, those of one start in the order of their scopes.
    pub fn add(&mut self, bucket: Bucket, aggregate: &Aggregate) {
        let place = u32::try_from(self.buckets.len()).expect("four billion buckets do not fit into memory");
        self.buckets.push(bucket);
        for series in &mut self.series {
            if let Some(value) = value::of(series.column, aggregate, self.choices) {
                series.buckets.push(place);
                series.values.push(value);
                let (min, max) = series.bounds.unwrap_or((value, value));
                series.bounds = Some((min.min(value), max.max(value)));
            }
        }
    }

    /// The memory that it takes, in bytes, at most.
    pub fn memory(&self) -> usize {
        let of_each_series = size_of::<u32>() + size_of::<u128>();
        self.buckets.capacity() * (size_of::<Bucket>() + self.series.len() * of_each_series)
    }

    /// The series, in the order of the columns.
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// The values of a series with their buckets: oldest first, then by choice.
    pub fn points(&self, series: &Series) -> impl Iterator<Item = (Bucket, u128)> {
        series.buckets.iter().zip(&series.values).map(|(&place, &value)| (self.buckets[place as usize], value))
    }

    /// The dates of the first and the last value of a series.
    pub fn bounds_x(&self, series: &Series) -> Option<(Date, Date)> {
        let date = |place: &u32| self.buckets[*place as usize].start.date();
        Some((date(series.buckets.first()?), date(series.buckets.last()?)))
    }
}

impl Series {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The smallest and the largest value.
    pub fn bounds_y(&self) -> Option<(u128, u128)> {
        self.bounds
    }
}
