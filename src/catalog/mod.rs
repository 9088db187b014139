//! What can be measured: metrics types with their groups, columns and filters, as constant data.
//!
//! A column is one statistic ([`Statistic`]) of one measure ([`Measure`]): `run_time_min` is the minimum of the
//! distribution of run times. Nothing else in the program knows a column's name. A metrics type is one file here.
//!
//! Not here: which events feed a measure (`events::contribution`), the numbers themselves (`rollup`).

mod errors;
mod ingests;
mod job_types;

use std::hash::{Hash, Hasher};
use std::ptr;
use std::sync::LazyLock;

use crate::vocabulary::{ErrorCategory, MetricsTypeId};

/// One of the things that `GET /v6/metrics/` lists.
#[derive(Debug)]
pub struct MetricsType {
    /// Which one.
    pub id: MetricsTypeId,
    /// The name used in queries.
    pub name: &'static str,
    /// The name shown to people.
    pub title: &'static str,
    /// A sentence about it.
    pub description: &'static str,
    /// The fields of its choices that narrow a query; each is a string.
    pub filters: &'static [&'static str],
    /// Its groups, in catalogue order.
    pub groups: Vec<Group>,
    /// Its columns, in catalogue order.
    pub columns: Vec<Column>,
}

/// Columns that belong together.
#[derive(Debug)]
pub struct Group {
    /// The name used in queries.
    pub name: &'static str,
    /// The name shown to people.
    pub title: &'static str,
    /// A sentence about it.
    pub description: &'static str,
}

/// One statistic of one measure.
#[derive(Debug)]
pub struct Column {
    /// The name used in queries.
    pub name: String,
    /// The name shown to people.
    pub title: String,
    /// A sentence about it.
    pub description: String,
    /// What its values count.
    pub units: Units,
    /// The name of its group.
    pub group: &'static str,
    /// How values of it are combined.
    pub statistic: Statistic,
    /// What it is computed from.
    pub measure: Measure,
}

/// A column is itself alone: there is one of each, in [`CATALOG`].
impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self, other)
    }
}

impl Eq for Column {}

impl Hash for Column {
    fn hash<H: Hasher>(&self, state: &mut H) {
        ptr::hash(self, state);
    }
}

/// What a column's values count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Units {
    /// Things.
    Count,
    /// Whole seconds, of observations in microseconds.
    Seconds,
    /// Bytes.
    Bytes,
}

impl Units {
    /// The name used on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }

    /// How much of what is stored makes one of what is shown.
    pub fn scale(self) -> u64 {
        match self {
            Self::Count | Self::Bytes => 1,
            Self::Seconds => 1_000_000,
        }
    }
}

/// The operation that makes one value of many; `aggregate` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// All together.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The total divided by the number of observations.
    Avg,
}

impl Statistic {
    /// The name used on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
        }
    }
}

/// What a column is computed from: a part of a `rollup::Aggregate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// One counter, by its place.
    Counter(usize),
    /// All counters of the type together.
    Total,
    /// Events that name an error of this category, as errors are defined now.
    ErrorsOf(ErrorCategory),
    /// Events that name a built-in error, as errors are defined now.
    BuiltinErrors,
    /// One distribution of observations, by its place.
    Distribution(usize),
}

/// All metrics types, in catalogue order.
pub static CATALOG: LazyLock<Vec<MetricsType>> =
    LazyLock::new(|| vec![job_types::metrics_type(), ingests::metrics_type(), errors::metrics_type()]);

impl MetricsTypeId {
    /// The metrics type.
    pub fn describe(self) -> &'static MetricsType {
        CATALOG.iter().find(|metrics| metrics.id == self).expect("the catalogue has every type")
    }
}

impl MetricsType {
    fn new(id: MetricsTypeId, name: &'static str, title: &'static str, description: &'static str) -> Self {
        Self { id, name, title, description, filters: &[], groups: Vec::new(), columns: Vec::new() }
    }

    fn filters(mut self, filters: &'static [&'static str]) -> Self {
        self.filters = filters;
        self
    }

    /// Adds a group of counts: name, title and description of each, and what it counts.
    fn counts(mut self, group: Group, counts: &[(&str, &str, &str, Measure)]) -> Self {
        self.columns.extend(counts.iter().map(|&(name, title, description, measure)| Column {
            name: name.to_owned(),
            title: title.to_owned(),
            description: description.to_owned(),
            units: Units::Count,
            group: group.name,
            statistic: Statistic::Sum,
            measure,
        }));
        self.groups.push(group);
        self
    }

    /// Adds a distribution: a group of its own with four columns. `observed` completes "Minimum …", "Total …".
    fn distribution(mut self, place: usize, units: Units, group: Group, observed: &str) -> Self {
        let statistics = [
            (Statistic::Sum, "Sum", "Total"),
            (Statistic::Min, "Min", "Minimum"),
            (Statistic::Max, "Max", "Maximum"),
            (Statistic::Avg, "Avg", "Average"),
        ];
        self.columns.extend(statistics.into_iter().map(|(statistic, label, adjective)| Column {
            name: format!("{}_{}", group.name, statistic.name()),
            title: format!("{} ({label})", group.title),
            description: format!("{adjective} {observed}."),
            units,
            group: group.name,
            statistic,
            measure: Measure::Distribution(place),
        }));
        self.groups.push(group);
        self
    }
}
