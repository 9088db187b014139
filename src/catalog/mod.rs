//! The catalogue of what can be measured: metrics types with their groups, columns and filters, as constant data.
//!
//! A column is one statistic ([`Statistic`]) of one measure ([`Measure`]): `run_time_min` is the minimum of the distribution of
//! run times. The names of distribution columns are made here, those of counts stand in the file of their metrics type. The
//! overview page and the examples in the API description contain some names literally.
//!
//! Not here: which events feed a measure (`events::contribution`), the numbers themselves (`rollup`).

mod errors;
mod ingests;
mod job_types;

use std::hash::{Hash, Hasher};
use std::ptr;
use std::sync::LazyLock;

use crate::vocabulary::{ErrorCategory, MetricsTypeId, string_enum};

/// One metrics type: an entry of the list that `GET /v6/metrics/` returns.
#[derive(Debug)]
pub struct MetricsType {
    /// The id of the metrics type.
    pub id: MetricsTypeId,
    /// The name used in queries.
    pub name: &'static str,
    /// The name shown to people.
    pub title: &'static str,
    /// A sentence that describes it.
    pub description: &'static str,
    /// The fields of its choices that can filter a query. Each is a string.
    pub filters: &'static [&'static str],
    /// The groups of its columns, in catalogue order.
    pub groups: Vec<Group>,
    /// Its columns, in catalogue order.
    pub columns: Vec<Column>,
}

/// A group of related columns.
#[derive(Debug)]
pub struct Group {
    /// The name used in queries.
    pub name: &'static str,
    /// The name shown to people.
    pub title: &'static str,
    /// A sentence that describes it.
    pub description: &'static str,
}

/// One statistic of one measure.
#[derive(Debug)]
pub struct Column {
    /// The name used in queries.
    pub name: String,
    /// The name shown to people.
    pub title: String,
    /// A sentence that describes it.
    pub description: String,
    /// The unit of its values.
    pub units: Units,
    /// The name of its group.
    pub group: &'static str,
    /// The operation that combines its values.
    pub statistic: Statistic,
    /// What it is computed from.
    pub measure: Measure,
}

/// A column equals only itself: [`CATALOG`] has one of each.
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

string_enum! {
    /// The unit of a column's values.
    pub Units {
        /// A number of things.
        Count = "count",
        /// Whole seconds; the observations are in microseconds.
        Seconds = "seconds",
        /// Bytes.
        Bytes = "bytes",
    }
}

impl Units {
    /// Returns the number of stored units that make one shown unit.
    pub fn scale(self) -> u64 {
        match self {
            Self::Count | Self::Bytes => 1,
            Self::Seconds => 1_000_000,
        }
    }
}

string_enum! {
    /// The operation that computes one value from many; `aggregate` on the wire.
    pub Statistic {
        /// The sum.
        Sum = "sum",
        /// The smallest value.
        Min = "min",
        /// The largest value.
        Max = "max",
        /// The sum divided by the number of observations.
        Avg = "avg",
    }
}

/// The source of a column's values: a part of a `rollup::Aggregate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// One counter, by its index.
    Counter(usize),
    /// The sum of all counters of the type.
    Total,
    /// The number of events that name an error of this category, by the current definitions of errors.
    ErrorsOf(ErrorCategory),
    /// The number of events that name a built-in error, by the current definitions of errors.
    BuiltinErrors,
    /// One distribution of observations, by its index.
    Distribution(usize),
}

/// All metrics types, in catalogue order.
pub static CATALOG: LazyLock<Vec<MetricsType>> =
    LazyLock::new(|| vec![job_types::metrics_type(), ingests::metrics_type(), errors::metrics_type()]);

impl MetricsTypeId {
    /// Returns the description of the metrics type.
    pub fn describe(self) -> &'static MetricsType {
        CATALOG.iter().find(|metrics| metrics.id == self).expect("the catalogue has every type")
    }
}

impl MetricsType {
    fn new(
        id: MetricsTypeId,
        name: &'static str,
        title: &'static str,
        description: &'static str,
        filters: &'static [&'static str],
    ) -> Self {
        Self { id, name, title, description, filters, groups: Vec::new(), columns: Vec::new() }
    }

    /// Adds a group. The counts that are added next belong to it.
    fn group(mut self, name: &'static str, title: &'static str, description: &'static str) -> Self {
        self.groups.push(Group { name, title, description });
        self
    }

    fn count(mut self, name: &str, title: &str, description: &str, measure: Measure) -> Self {
        let group = self.groups.last().expect("a count belongs to a group").name;
        let [name, title, description] = [name, title, description].map(str::to_owned);
        let (units, statistic) = (Units::Count, Statistic::Sum);
        self.columns.push(Column { name, title, description, units, group, statistic, measure });
        self
    }

    /// Adds the four columns of a distribution to its group. `observed` completes "Minimum …", "Total …".
    fn distribution(mut self, place: usize, units: Units, observed: &str) -> Self {
        let Group { name: group, title, .. } = *self.groups.last().expect("a distribution has a group");
        for (statistic, label, adjective) in [
            (Statistic::Sum, "Sum", "Total"),
            (Statistic::Min, "Min", "Minimum"),
            (Statistic::Max, "Max", "Maximum"),
            (Statistic::Avg, "Avg", "Average"),
        ] {
            self.columns.push(Column {
                name: format!("{group}_{}", statistic.name()),
                title: format!("{title} ({label})"),
                description: format!("{adjective} {observed}."),
                units,
                group,
                statistic,
                measure: Measure::Distribution(place),
            });
        }
        self
    }
}
