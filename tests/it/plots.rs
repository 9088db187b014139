//! Plots and totals without a server: their series, periods and quotients.

use proptest::prelude::*;
use scale_metrics::catalog::{Column, Statistic};
use scale_metrics::events::Choices;
use scale_metrics::plot::totals::{Period, Quotient};
use scale_metrics::plot::{Bucket, Fill, Plot, Query, Selection, Sequence};
use scale_metrics::rollup::{Aggregate, RollupScope};
use scale_metrics::time::{Calendar, Date, Resolution, TimeRange, Timestamp, Zone};
use scale_metrics::vocabulary::{ChoiceId, MetricsTypeId};

const HOUR_US: u64 = 3_600_000_000;

fn columns() -> impl Iterator<Item = &'static Column> {
    MetricsTypeId::JobTypes.describe().columns.iter()
}

#[test]
fn a_query_has_a_value_for_each_column_scope_and_bucket_at_most() {
    let mut query = query(Resolution::Hour, Fill::None);
    assert_eq!(query.most_values(), 50 * 3 * 5);
    query = self::query(Resolution::Day, Fill::None);
    assert_eq!(query.most_values(), 4 * 3 * 5);
    query.selection = Selection::All;
    assert_eq!(query.most_values(), 4 * 5);
}

/// Five columns of three choices over four days.
fn query(resolution: Resolution, fill: Fill) -> Query {
    let time = |text: &str| text.parse().unwrap();
    let choice = |id| ChoiceId::new(id).unwrap();
    let range = TimeRange { started: time("2014-12-31T23:00:00Z"), ended: time("2015-01-03T00:00:00Z") };
    let calendar = Calendar { zone: Zone::UTC, resolution };
    Query {
        metrics: MetricsTypeId::JobTypes,
        columns: columns().take(5).collect(),
        selection: Selection::Choices(vec![choice(1), choice(2), choice(7)]),
        calendar,
        range: calendar.buckets(range),
        fill,
    }
}

#[test]
fn a_sequence_has_every_bucket_that_is_not_there() {
    let day = |day: u8| format!("2015-01-0{day}T00:00:00Z").parse::<Timestamp>().unwrap();
    let bucket = |start, id| Bucket { start, scope: RollupScope::Choice(ChoiceId::new(id).unwrap()) };
    assert!(Sequence::of(&query(Resolution::Day, Fill::None)).is_none());
    let missing = |from_start, there: &[Bucket]| {
        let mut sequence = Sequence::of(&query(Resolution::Day, Fill::Zero { from_start })).unwrap();
        let mut missing = Vec::new();
        for next in there.iter().copied().map(Some).chain([None]) {
            while let Some(empty) = sequence.next_before(next) {
                missing.push(empty);
            }
        }
        missing
    };
    assert_eq!(missing(true, &[]).len(), 4 * 3);
    assert_eq!(missing(false, &[]), []);
    let there = [bucket(day(2), 2), bucket(day(2), 7), bucket(day(3), 7)];
    let expected = [bucket(day(2), 1), bucket(day(3), 1), bucket(day(3), 2)];
    assert_eq!(missing(false, &there), expected);
    let all = missing(true, &there);
    assert_eq!((all.len(), &all[6..]), (9, &expected[..]));
}

#[test]
fn a_series_goes_from_its_first_value_to_its_last() {
    let choices = Choices::default();
    let averages: Vec<_> = columns().filter(|column| column.statistic == Statistic::Avg).collect();
    let mut plot = Plot::new(&averages, &choices, false);
    assert_eq!(plot.bounds_x(&plot.series()[0]), None);
    let mut timed = Aggregate::default();
    for distribution in &mut timed.distributions {
        distribution.observe(7_000_000);
    }
    // No time was observed on the first day, the third one and the last one.
    let days = [Aggregate::default(), timed.clone(), Aggregate::default(), timed, Aggregate::default()];
    let dates = (16_436..).map(|days| Date::from_days(days).unwrap());
    for (date, aggregate) in dates.zip(&days) {
        plot.add(Bucket { start: date.start(), scope: RollupScope::All }, aggregate);
    }
    for series in plot.series() {
        let points: Vec<_> = plot.points(series).map(|(bucket, value)| (bucket.start.date().days(), value)).collect();
        assert_eq!(points, [(16_437, 7), (16_439, 7)], "{}", series.column.name);
        let bounds = plot.bounds_x(series).map(|(first, last)| (first.date().days(), last.date().days()));
        assert_eq!(bounds, Some((16_437, 16_439)));
    }
}

fn period(started: &str, ended: &str) -> Period {
    let time = |text: &str| text.parse().unwrap();
    Period::of(TimeRange { started: time(started), ended: time(ended) }, Zone::UTC)
}

#[test]
fn a_period_has_the_hours_that_start_in_its_range() {
    for (started, ended, hours) in [
        ("2015-01-01T00:00:00Z", "2015-01-01T23:59:59Z", 24),
        ("2015-01-01T00:00:00Z", "2015-01-01T22:59:59Z", 23),
        ("2015-01-01T01:00:00Z", "2015-01-01T23:00:00Z", 23),
        ("2014-12-31T23:00:00Z", "2015-01-01T00:00:00Z", 2),
        ("2014-12-31T12:30:00Z", "2015-01-03T11:59:00Z", 72),
        ("2014-12-31T00:00:00Z", "2015-01-03T23:00:00Z", 96),
        ("2014-12-31T07:00:00Z", "2014-12-31T07:30:00Z", 1),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:30:00Z", 1),
    ] {
        let period = period(started, ended);
        assert_eq!(period.length_us(), hours * HOUR_US, "{started} to {ended}");
        assert_eq!(period.ended().since(period.started()), hours * HOUR_US, "{started} to {ended}");
    }
}

#[test]
fn a_period_ends_when_its_last_hour_is_over() {
    let period = period("2015-01-01T10:20:00Z", "2015-01-01T12:10:00Z");
    assert_eq!(period.started().to_string(), "2015-01-01T10:00:00Z");
    assert_eq!(period.ended().to_string(), "2015-01-01T13:00:00Z");
    let before = period.earlier(period.length_us()).unwrap();
    assert_eq!(before.ended(), period.started());
    assert_eq!(period.earlier(u64::MAX), None);
}

#[test]
fn quotients_of_huge_values_are_compared_exactly() {
    let quotient = |dividend, divisor| Quotient::new(dividend, divisor).unwrap();
    assert!(quotient(u128::MAX - 1, u128::MAX) < quotient(1, 1));
    assert!(quotient(u128::MAX - 2, u128::MAX - 1) < quotient(u128::MAX - 1, u128::MAX));
    assert_eq!(quotient(u128::MAX / 3, u128::MAX), quotient(1, 3));
    assert_ne!(quotient(u128::MAX / 3 - 1, u128::MAX), quotient(1, 3));
    assert_eq!(Quotient::new(1, 0), None);
}

#[test]
fn a_whole_number_is_less_than_itself_and_a_bit() {
    let quotient = |dividend, divisor| Quotient::new(dividend, divisor).unwrap();
    assert_eq!(quotient(4, 2), quotient(2, 1));
    assert!(quotient(2, 1) < quotient(5, 2));
    assert!(quotient(5, 2) > quotient(4, 2));
    assert!(quotient(0, 7) < quotient(1, u128::MAX));
}

proptest! {
    #[test]
    fn quotients_are_ordered_as_by_cross_multiplication(a: u64, b in 1..=u64::MAX, c: u64, d in 1..=u64::MAX) {
        let cross = (u128::from(a) * u128::from(d)).cmp(&(u128::from(c) * u128::from(b)));
        prop_assert_eq!(Quotient::new(a.into(), b.into()).cmp(&Quotient::new(c.into(), d.into())), cross);
    }
}
