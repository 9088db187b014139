//! The values of columns: computes the value of a column from an aggregate. Only this module divides totals and applies units.

use crate::catalog::{Column, Measure, Statistic};
use crate::events::Choices;
use crate::rollup::{Aggregate, Distribution, Parts};
use crate::vocabulary::ChoiceId;

/// Returns the parts of an aggregate that a column needs.
pub(super) fn parts(column: &Column) -> Parts {
    match column.measure {
        Measure::Counter(place) => Parts::counter(place),
        Measure::Total => Parts::COUNTERS,
        Measure::ErrorsOf(_) | Measure::BuiltinErrors => Parts::ERRORS,
        Measure::Distribution(place) => match column.statistic {
            Statistic::Percentile(_) => Parts::histogram(place),
            Statistic::Sum | Statistic::Min | Statistic::Max | Statistic::Avg => Parts::distribution(place),
        },
    }
}

/// Returns the value of a column in a bucket that exists. Returns `None` if the column has no value there: for a distribution
/// without observations, for a percentile if the histogram is unknown, or if the bucket has only errors that are no longer built in
/// (docs/reference.md, Counting).
pub(super) fn of(column: &Column, aggregate: &Aggregate, choices: &Choices) -> Option<u128> {
    match column.measure {
        Measure::Counter(place) => Some(aggregate.counters[place].into()),
        Measure::Total => Some(aggregate.counters.iter().map(|&counter| u128::from(counter)).sum()),
        Measure::ErrorsOf(category) => {
            Some(count(aggregate, |error| choices.error(error).is_some_and(|error| error.category == category)))
        }
        Measure::BuiltinErrors => {
            let count = count(aggregate, |error| choices.error(error).is_some_and(|error| error.is_builtin));
            (count > 0).then_some(count)
        }
        Measure::Distribution(place) => {
            let value = statistic(column.statistic, &aggregate.distributions[place])?;
            Some(divide(value, column.units.scale()))
        }
    }
}

fn count(aggregate: &Aggregate, counts: impl Fn(ChoiceId) -> bool) -> u128 {
    let errors = aggregate.errors.iter().filter(|&(&error, _)| counts(error));
    errors.map(|(_, &count)| u128::from(count)).sum()
}

fn statistic(statistic: Statistic, distribution: &Distribution) -> Option<u128> {
    if distribution.n == 0 {
        return None;
    }
    Some(match statistic {
        Statistic::Sum => distribution.sum,
        Statistic::Min => distribution.min.into(),
        Statistic::Max => distribution.max.into(),
        // Rounding down here and again for the unit has the same result as rounding down once.
        Statistic::Avg => divide(distribution.sum, distribution.n),
        Statistic::Percentile(percent) => distribution.percentile(percent)?.into(),
    })
}

/// Divides and rounds down. Nearly all values are small, and dividing 128 bits takes several times as long.
fn divide(value: u128, by: u64) -> u128 {
    match u64::try_from(value) {
        Ok(value) => (value / by).into(),
        Err(_) => value / u128::from(by),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_rounded_down_however_large_the_sum_is() {
        let average = |sum, n| statistic(Statistic::Avg, &Distribution { n, sum, ..Distribution::default() });
        let largest = u128::from(u64::MAX);
        assert_eq!(average(7, 2), Some(3));
        assert_eq!(average(largest, 2), Some(largest / 2));
        assert_eq!(average(largest + 1, u64::MAX), Some(1));
        assert_eq!(average(largest * 3 + 2, 3), Some(largest));
        assert_eq!(average(0, 0), None);
    }
}
