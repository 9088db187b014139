//! The catalogue of what can be measured: metrics types with their groups, columns and filters, as constant data.
//!
//! A column is one statistic ([`Statistic`]) of one measure ([`Measure`]): `run_time_min` is the minimum of the distribution of
//! run times. The names of distribution columns are made here, those of counts stand in the file of their metrics type. The
//! overview page and the examples in the API description contain some names literally. Which percentiles have columns is a setting,
//! so there is a catalogue for each list of them ([`with_percentiles`]).
//!
//! Not here: which events feed a measure (`events::contribution`), the numbers themselves (`rollup`).

mod errors;
mod ingests;
mod job_types;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ptr;
use std::sync::LazyLock;

use parking_lot::Mutex;

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
    /// The same columns, with times in milliseconds.
    pub columns_in_milliseconds: Vec<Column>,
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
#[derive(Debug, Clone)]
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

/// Types that equal only themselves: a catalogue has one of each.
macro_rules! equals_itself {
    ($($Type:ty)+) => {$(
        impl PartialEq for $Type {
            fn eq(&self, other: &Self) -> bool {
                ptr::eq(self, other)
            }
        }

        impl Eq for $Type {}

        impl Hash for $Type {
            fn hash<H: Hasher>(&self, state: &mut H) {
                ptr::hash(self, state);
            }
        }
    )+};
}

equals_itself! { MetricsType Column }

string_enum! {
    /// The unit of a column's values.
    pub Units {
        /// A number of things.
        Count = "count",
        /// Whole seconds; the observations are in microseconds.
        Seconds = "seconds",
        /// Whole milliseconds; the observations are in microseconds.
        Milliseconds = "milliseconds",
        /// Bytes.
        Bytes = "bytes",
    }
}

impl Units {
    /// Returns the number of stored units that make one shown unit.
    pub fn scale(self) -> u64 {
        match self {
            Self::Count | Self::Bytes => 1,
            Self::Milliseconds => 1_000,
            Self::Seconds => 1_000_000,
        }
    }
}

/// The operation that computes one value from many. It is displayed as `aggregate` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// The sum.
    Sum,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The sum divided by the number of observations.
    Avg,
    /// The observation at the rank of that many percent (docs/reference.md, Percentiles).
    Percentile(u8),
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sum => f.write_str("sum"),
            Self::Min => f.write_str("min"),
            Self::Max => f.write_str("max"),
            Self::Avg => f.write_str("avg"),
            Self::Percentile(percent) => write!(f, "p{percent}"),
        }
    }
}

/// A list of percentiles that have columns: whole numbers from 1 to 99, ascending, at most [`Percentiles::MOST`].
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentiles(Vec<u8>);

impl Percentiles {
    /// The largest number of percentiles.
    pub const MOST: usize = 8;

    /// Returns the list, if it is one.
    pub fn new(percentiles: Vec<u8>) -> Option<Self> {
        let is_list = percentiles.len() <= Self::MOST
            && percentiles.iter().all(|percent| (1..=99).contains(percent))
            && percentiles.is_sorted_by(|one, next| one < next);
        is_list.then_some(Self(percentiles))
    }

    /// The percentiles that have columns where nothing else is set: those that most tools show.
    pub fn common() -> Self {
        Self(vec![50, 95, 99])
    }

    /// The percentiles, ascending.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
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

/// What is measured of an event: a distribution by the name of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Observed {
    /// The name used in queries.
    pub name: &'static str,
    /// The index of the distribution.
    pub place: usize,
    /// The unit in which observations are shown.
    pub units: Units,
}

/// All metrics types, in catalogue order, without columns of percentiles.
pub static CATALOG: LazyLock<&[MetricsType]> = LazyLock::new(|| with_percentiles(&Percentiles::default()));

/// Returns all metrics types, in catalogue order, with columns of these percentiles. Each list has one catalogue, which stays.
pub fn with_percentiles(percentiles: &Percentiles) -> &'static [MetricsType] {
    static CATALOGS: Mutex<BTreeMap<Percentiles, &[MetricsType]>> = Mutex::new(BTreeMap::new());
    CATALOGS.lock().entry(percentiles.clone()).or_insert_with(|| {
        let types = [job_types::metrics_type, ingests::metrics_type, errors::metrics_type];
        Box::leak(Box::new(types.map(|make| make(percentiles).finish())))
    })
}

impl MetricsTypeId {
    /// Returns the description of the metrics type.
    pub fn describe(self) -> &'static MetricsType {
        self.describe_in(&CATALOG)
    }

    /// Returns the description of the metrics type in a catalogue.
    pub fn describe_in(self, catalog: &'static [MetricsType]) -> &'static MetricsType {
        catalog.iter().find(|metrics| metrics.id == self).expect("the catalogue has every type")
    }
}

impl MetricsType {
    /// Returns the columns with times in seconds or milliseconds.
    pub fn columns_in(&self, units: Units) -> &[Column] {
        if units == Units::Milliseconds { &self.columns_in_milliseconds } else { &self.columns }
    }

    /// Returns what is measured of its events, in catalogue order, with times in seconds or milliseconds.
    pub fn observed_in(&self, units: Units) -> Vec<Observed> {
        let sums = self.columns_in(units).iter().filter(|column| column.statistic == Statistic::Sum);
        let observed = sums.filter_map(|&Column { group: name, measure, units, .. }| match measure {
            Measure::Distribution(place) => Some(Observed { name, place, units }),
            Measure::Counter(_) | Measure::Total | Measure::ErrorsOf(_) | Measure::BuiltinErrors => None,
        });
        observed.collect()
    }

    fn new(
        id: MetricsTypeId,
        name: &'static str,
        title: &'static str,
        description: &'static str,
        filters: &'static [&'static str],
    ) -> Self {
        let (groups, columns, columns_in_milliseconds) = (Vec::new(), Vec::new(), Vec::new());
        Self { id, name, title, description, filters, groups, columns, columns_in_milliseconds }
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

    /// Adds the columns of a distribution to its group. `observed` completes "Minimum …", "Total …".
    fn distribution(mut self, place: usize, units: Units, observed: &str, percentiles: &Percentiles) -> Self {
        let Group { name: group, title, .. } = *self.groups.last().expect("a distribution has a group");
        let fixed = [
            (Statistic::Sum, "Sum".to_owned(), "Total".to_owned()),
            (Statistic::Min, "Min".to_owned(), "Minimum".to_owned()),
            (Statistic::Max, "Max".to_owned(), "Maximum".to_owned()),
            (Statistic::Avg, "Avg".to_owned(), "Average".to_owned()),
        ];
        let percentiles = percentiles.as_slice().iter().map(|&percent| {
            (Statistic::Percentile(percent), format!("P{percent}"), format!("{} percentile of the", ordinal(percent)))
        });
        for (statistic, label, adjective) in fixed.into_iter().chain(percentiles) {
            self.columns.push(Column {
                name: format!("{group}_{statistic}"),
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

    /// Ends the list of columns.
    fn finish(mut self) -> Self {
        self.columns_in_milliseconds.clone_from(&self.columns);
        for column in self.columns_in_milliseconds.iter_mut().filter(|column| column.units == Units::Seconds) {
            column.units = Units::Milliseconds;
        }
        self
    }
}

/// The ordinal number of a number below 100, such as `3rd` and `95th`.
fn ordinal(number: u8) -> String {
    let ending = match (number / 10, number % 10) {
        (0 | 2.., 1) => "st",
        (0 | 2.., 2) => "nd",
        (0 | 2.., 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_few_ascending_and_within_bounds() {
        for good in [&[][..], &[1], &[99], &[50, 95, 99], &[1, 2, 3, 4, 5, 6, 7, 8]] {
            assert_eq!(Percentiles::new(good.to_vec()).unwrap().as_slice(), good);
        }
        for bad in [&[0][..], &[100], &[101], &[50, 50], &[95, 50], &[1, 2, 3, 4, 5, 6, 7, 8, 9]] {
            assert_eq!(Percentiles::new(bad.to_vec()), None, "{bad:?}");
        }
    }

    #[test]
    fn a_percentile_has_a_column_behind_the_average() {
        let types = with_percentiles(&Percentiles::new(vec![1, 52, 93]).unwrap());
        let columns: Vec<_> = types[0].columns.iter().filter(|column| column.group == "run_time").collect();
        let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
        let expected = ["sum", "min", "max", "avg", "p1", "p52", "p93"].map(|name| format!("run_time_{name}"));
        assert_eq!(names, expected);
        assert_eq!(columns[4].title, "Run Time (P1)");
        assert_eq!(columns[4].description, "1st percentile of the time spent running the pre, job, and post tasks.");
        assert_eq!(columns[5].description, "52nd percentile of the time spent running the pre, job, and post tasks.");
        assert_eq!(columns[6].description, "93rd percentile of the time spent running the pre, job, and post tasks.");
        assert_eq!((columns[6].statistic.to_string(), columns[6].units), ("p93".to_owned(), Units::Seconds));
        assert_eq!(ordinal(11) + &ordinal(12) + &ordinal(13), "11th12th13th");
    }
}
