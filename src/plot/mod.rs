//! From aggregates to the series that a query asks for: one series a column, values oldest first.
//!
//! A [`Query`] says which columns, choices, buckets and time; a [`Plot`] takes the aggregates of those buckets as they are
//! read and keeps the columns' values only.
//!
//! Not here: how a query is spelled (`api::v6::plot_data`), where aggregates come from (`store`).

mod value;

use crate::catalog::{Column, MetricsType};
use crate::events::{ChoiceId, Choices};
use crate::rollup::{Aggregate, Scope};
use crate::time::{Date, TimeRange, Timestamp};

/// How long the buckets of a plot are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// A UTC day.
    Day,
    /// An hour.
    Hour,
}

/// Which choices a query is about.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// What a plot shows.
#[derive(Debug)]
pub struct Query {
    /// Of which metrics type.
    pub metrics: &'static MetricsType,
    /// Which statistics, in the order of the answer.
    pub columns: Vec<&'static Column>,
    /// Whose.
    pub selection: Selection,
    /// By day or by hour.
    pub resolution: Resolution,
    /// When.
    pub range: TimeRange,
}

/// One value of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The start of the bucket.
    pub start: Timestamp,
    /// Whose value it is.
    pub scope: Scope,
    /// In the units of the column, rounded down.
    pub value: u128,
}

/// The values of one column, oldest first, then by choice.
#[derive(Debug)]
pub struct Series {
    /// The column.
    pub column: &'static Column,
    /// Its values.
    pub points: Vec<Point>,
}

impl Series {
    /// The dates of the first and the last value.
    pub fn bounds_x(&self) -> Option<(Date, Date)> {
        Some((self.points.first()?.start.date(), self.points.last()?.start.date()))
    }

    /// The smallest and the largest value.
    pub fn bounds_y(&self) -> Option<(u128, u128)> {
        let values = || self.points.iter().map(|point| point.value);
        Some((values().min()?, values().max()?))
    }
}

/// Series that grow as aggregates are read.
pub struct Plot<'a> {
    choices: &'a Choices,
    series: Vec<Series>,
}

impl<'a> Plot<'a> {
    /// Empty series of these columns. Errors count as `choices` define them.
    pub fn new(columns: &[&'static Column], choices: &'a Choices) -> Self {
        Self { choices, series: columns.iter().map(|&column| Series { column, points: Vec::new() }).collect() }
    }

    /// Takes in the aggregate of a bucket.
    pub fn add(&mut self, start: Timestamp, scope: Scope, aggregate: &Aggregate) {
        for Series { column, points } in &mut self.series {
            if let Some(value) = value::of(column, aggregate, self.choices) {
                points.push(Point { start, scope, value });
            }
        }
    }

    /// The series, in the order of the columns.
    pub fn finish(mut self) -> Vec<Series> {
        for series in &mut self.series {
            // Days come in this order; the hours of several choices come choice by choice.
            series.points.sort_by_key(|point| (point.start, point.scope));
        }
        self.series
    }
}
