//! The axes of a picture: where their ticks are, and how the ticks are labelled.

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};

use super::span::{DAY_S, HOUR_S, Span, naive};
use super::text;
use super::units;
use crate::catalog::Units;
use crate::time::Resolution;

/// The minimum gap between labels of the time axis, in pixels.
const GAP: f64 = 14.0;

/// A tick of the time axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    /// The distance from the left edge of the plot, in pixels.
    pub(super) x: f64,
    /// The text below the tick.
    pub(super) label: String,
}

/// The distance between ticks of the time axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Hours(u32),
    Days(u32),
    Months(u32),
    Years(u32),
}

/// The ticks of the time axis of a plot that is `width` pixels wide, with `left` and `right` pixels of room beside it. There are
/// as many ticks as have room for their labels.
pub(super) fn time_ticks(span: Span, width: f64, left: f64, right: f64) -> Vec<Tick> {
    let resolution = span.calendar.resolution;
    let hours = [1, 2, 3, 6, 12].map(Step::Hours).into_iter().filter(|_| resolution == Resolution::Hour);
    let days = [1, 2, 7, 14].into_iter().filter(|&days| match resolution {
        Resolution::Hour | Resolution::Day => true,
        Resolution::Week => days >= 7,
        Resolution::Month => false,
    });
    let days = days.map(Step::Days);
    let months = [1, 2, 3, 6].map(Step::Months);
    let years = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 10_000].map(Step::Years);
    let possible = hours.chain(days).chain(months).chain(years);
    // Steps with more ticks than could ever have room are skipped, without computing their ticks.
    let (from, to) = span.edges();
    let few = possible.filter(|step| length(step.seconds()) / length(to - from) * width >= GAP);
    let is_inside = |tick: &Tick| {
        let half = text::width(&tick.label) / 2.0;
        tick.x - half >= -left && tick.x + half <= width + right
    };
    let have_room = |ticks: &[Tick]| {
        let halves = |pair: &[Tick]| f64::midpoint(text::width(&pair[0].label), text::width(&pair[1].label));
        ticks.windows(2).all(|pair| pair[1].x - pair[0].x >= halves(pair) + GAP)
    };
    // If no midnight names the day, the label of an hour names it. If no label has room for that, the next larger step is tried.
    let dated = |ticks: &[Tick]| {
        (0..ticks.len()).find_map(|place| {
            let mut ticks = ticks.to_vec();
            ticks[place].label = format!("{}, {}", naive(from).format(DATE), ticks[place].label);
            (is_inside(&ticks[place]) && have_room(&ticks)).then_some(ticks)
        })
    };
    let mut undated = Vec::new();
    for step in few {
        let mut ticks = step.ticks(span, width);
        if have_room(&ticks) {
            ticks.retain(is_inside);
            if !ticks.iter().all(|tick| tick.label.contains(':')) {
                return ticks;
            }
            if let Some(dated) = dated(&ticks) {
                return dated;
            }
            if undated.is_empty() {
                undated = ticks;
            }
        }
    }
    undated
}

/// The format of a day.
const DATE: &str = "%b %-d";

impl Step {
    /// The minimum length of the step, in seconds.
    fn seconds(self) -> i64 {
        match self {
            Self::Hours(hours) => i64::from(hours) * HOUR_S,
            Self::Days(days) => i64::from(days) * DAY_S,
            Self::Months(months) => i64::from(months) * 28 * DAY_S,
            Self::Years(years) => i64::from(years) * 365 * DAY_S,
        }
    }

    /// All ticks of the span.
    fn ticks(self, span: Span, width: f64) -> Vec<Tick> {
        let mut ticks = Vec::new();
        let mut before: Option<NaiveDateTime> = None;
        for seconds in self.times(span).into_iter().filter(|&local| span.is_shown(local)) {
            let time = naive(seconds);
            let is_first_of_year = before.is_some_and(|before| before.year() != time.year());
            let label = match self {
                Self::Hours(_) if time.hour() > 0 => time.format("%H:%M"),
                Self::Days(_) if is_first_of_year => time.format("%b %-d, %Y"),
                Self::Hours(_) | Self::Days(_) => time.format(DATE),
                Self::Months(_) => time.format("%b %Y"),
                Self::Years(_) => time.format("%Y"),
            };
            // Where a tick names a bucket, it is in the middle of that bucket.
            let names_bucket = matches!(
                (self, span.calendar.resolution),
                (Self::Days(_), Resolution::Day | Resolution::Week) | (Self::Months(_), Resolution::Month)
            );
            let x = if names_bucket { span.middle(seconds) } else { span.position(seconds) } * width;
            ticks.push(Tick { x, label: label.to_string() });
            before = Some(time);
        }
        ticks
    }

    /// The times of the ticks in the span, as local clocks show them, in seconds since 1970.
    fn times(self, span: Span) -> Vec<i64> {
        let (from, to) = span.edges();
        let since = |first: i64| {
            let step = self.seconds();
            let first = from + (first - from).rem_euclid(step);
            (first..to).step_by(usize::try_from(step).expect("a step is less than a month")).collect()
        };
        match self {
            Self::Hours(_) | Self::Days(1 | 2) => since(0),
            // Weeks begin on a Monday. January 5, 1970, was a Monday.
            Self::Days(_) => since(4 * DAY_S),
            Self::Months(step) => months((from, to), step),
            Self::Years(step) => months((from, to), step * 12),
        }
    }
}

/// The beginnings of the months between two times. Only months whose number since the year 0 is a multiple of `step` are returned.
fn months((from, to): (i64, i64), step: u32) -> Vec<i64> {
    let first = naive(from);
    let month = |number: u32| {
        let year = i32::try_from(number / 12).expect("it is a year of five digits");
        let first = NaiveDate::from_ymd_opt(year, number % 12 + 1, 1).expect("every month has a first day");
        first.and_time(chrono::NaiveTime::MIN).and_utc().timestamp()
    };
    let first = first.year().unsigned_abs() * 12 + first.month0();
    let numbers = (first.div_ceil(step) * step..).step_by(step as usize);
    numbers.map(month).skip_while(|&start| start < from).take_while(|&start| start < to).collect()
}

#[expect(clippy::cast_precision_loss, reason = "seconds of 8000 years are exact")]
fn length(seconds: i64) -> f64 {
    seconds as f64
}

/// An axis of values. It begins at 0 and has equal steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ValueAxis {
    pub(super) units: Units,
    /// The size of a step.
    step: f64,
    /// The number of steps, at least one.
    pub(super) steps: u32,
}

impl ValueAxis {
    /// The axis with the smallest steps that needs at most `most` of them for the largest value.
    pub(super) fn new(units: Units, largest: f64, most: u32) -> Self {
        let axis = Self::with_steps(units, largest, most);
        let needed = (1..=most).find(|&steps| axis.step * f64::from(steps) >= largest);
        Self { steps: needed.unwrap_or(most), ..axis }
    }

    /// The axis with exactly `steps` steps, which are as small as the largest value permits.
    pub(super) fn with_steps(units: Units, largest: f64, steps: u32) -> Self {
        let step = units::steps(units).find(|step| step * f64::from(steps) >= largest);
        Self { units, step: step.expect("the last step is beyond all values"), steps }
    }

    /// The value at the upper end of the axis.
    pub(super) fn top(self) -> f64 {
        self.step * f64::from(self.steps)
    }

    /// The labels of the ticks, from the lowest on.
    pub(super) fn labels(self) -> impl Iterator<Item = String> {
        (0..=self.steps).map(move |number| units::tick(self.units, self.step, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Calendar, Timestamp, Zone};

    /// The buckets between two times.
    fn span(from: &str, to: &str, resolution: Resolution) -> Span {
        span_in("UTC", from, to, resolution)
    }

    fn span_in(zone: &str, from: &str, to: &str, resolution: Resolution) -> Span {
        let time = |text: &str| text.parse::<Timestamp>().expect("it is a time");
        let calendar = Calendar { zone: zone.parse().expect("it is a zone"), resolution };
        Span { calendar, from: calendar.start_of(time(from)), last: calendar.start_of(time(to).before()) }
    }

    fn labels(span: Span, width: f64) -> Vec<String> {
        time_ticks(span, width, 20.0, 20.0).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn hours_are_natural_and_midnights_have_dates() {
        let day = span("2026-11-02T18:00:00Z", "2026-11-03T18:00:00Z", Resolution::Hour);
        assert_eq!(labels(day, 500.0), ["18:00", "21:00", "Nov 3", "03:00", "06:00", "09:00", "12:00", "15:00"]);
        assert_eq!(labels(day, 200.0), ["18:00", "Nov 3", "06:00", "12:00"]);
        let ticks = time_ticks(day, 240.0, 20.0, 20.0);
        assert_eq!(ticks.iter().map(|tick| tick.x).collect::<Vec<_>>(), [0.0, 60.0, 120.0, 180.0]);
    }

    #[test]
    fn hours_of_one_day_say_which() {
        let morning = span("2026-11-02T05:00:00Z", "2026-11-02T11:00:00Z", Resolution::Hour);
        assert_eq!(labels(morning, 300.0), ["Nov 2, 06:00", "08:00", "10:00"]);
        let hour = span("2026-11-02T05:00:00Z", "2026-11-02T06:00:00Z", Resolution::Hour);
        assert_eq!(labels(hour, 300.0), ["05:00"]);
    }

    #[test]
    fn days_stand_below_their_buckets_and_new_years_are_told() {
        let week = span("2026-12-29T00:00:00Z", "2027-01-03T00:00:00Z", Resolution::Day);
        assert_eq!(labels(week, 500.0), ["Dec 29", "Dec 30", "Dec 31", "Jan 1, 2027", "Jan 2"]);
        let places: Vec<_> = time_ticks(week, 500.0, 20.0, 20.0).iter().map(|tick| tick.x).collect();
        assert_eq!(places, [50.0, 150.0, 250.0, 350.0, 450.0]);
        let month = span("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", Resolution::Day);
        assert_eq!(labels(month, 400.0), ["Nov 2", "Nov 9", "Nov 16", "Nov 23", "Nov 30"]);
        let day = span("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", Resolution::Day);
        assert_eq!(labels(day, 400.0), ["Nov 1"]);
    }

    #[test]
    fn long_times_have_months_and_years() {
        let year = span("2025-11-23T00:00:00Z", "2026-11-24T00:00:00Z", Resolution::Hour);
        assert_eq!(labels(year, 400.0), ["Jan 2026", "Apr 2026", "Jul 2026", "Oct 2026"]);
        let hours = Calendar { zone: Zone::UTC, resolution: Resolution::Hour };
        let all = Span { calendar: hours, from: Timestamp::MIN, last: hours.start_of(Timestamp::MAX) };
        assert_eq!(labels(all, 400.0), ["2000", "3000", "4000", "5000", "6000", "7000", "8000", "9000"]);
        let from_1970 = span("1970-01-01T00:00:00Z", "2026-11-24T00:00:00Z", Resolution::Day);
        assert_eq!(labels(from_1970, 400.0), ["1970", "1980", "1990", "2000", "2010", "2020"]);
    }

    #[test]
    fn ticks_are_where_local_clocks_show_them() {
        // From 03:00 on it is summer.
        let night = span_in("Europe/Berlin", "2026-03-28T22:00:00Z", "2026-03-29T04:00:00Z", Resolution::Hour);
        assert_eq!(labels(night, 600.0), ["23:00", "Mar 29", "01:00", "03:00", "04:00", "05:00"]);
        let places: Vec<_> = time_ticks(night, 600.0, 20.0, 20.0).iter().map(|tick| tick.x).collect();
        assert_eq!(places, [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]);
        let days = span_in("Asia/Kolkata", "2026-03-27T18:30:00Z", "2026-03-30T18:30:00Z", Resolution::Day);
        assert_eq!(labels(days, 300.0), ["Mar 28", "Mar 29", "Mar 30"]);
        let places: Vec<_> = time_ticks(days, 300.0, 20.0, 20.0).iter().map(|tick| tick.x).collect();
        assert_eq!(places, [50.0, 150.0, 250.0]);
    }

    #[test]
    fn weeks_and_months_are_equally_wide() {
        let weeks = span("2026-11-02T00:00:00Z", "2026-11-30T00:00:00Z", Resolution::Week);
        assert_eq!(labels(weeks, 400.0), ["Nov 2", "Nov 9", "Nov 16", "Nov 23"]);
        let months = span("2026-01-15T00:00:00Z", "2026-04-02T00:00:00Z", Resolution::Month);
        assert_eq!((months.buckets(), months.number(months.last)), (4, 3));
        assert_eq!(labels(months, 400.0), ["Jan 2026", "Feb 2026", "Mar 2026", "Apr 2026"]);
        let places: Vec<_> = time_ticks(months, 400.0, 20.0, 20.0).iter().map(|tick| tick.x).collect();
        assert_eq!(places, [50.0, 150.0, 250.0, 350.0]);
    }

    #[test]
    fn values_have_nice_steps_that_are_few_enough() {
        let axis = |largest| {
            let axis = ValueAxis::new(Units::Count, largest, 5);
            (axis.step, axis.steps)
        };
        assert_eq!(axis(0.0), (1.0, 1));
        assert_eq!(axis(1.0), (1.0, 1));
        assert_eq!(axis(5.0), (1.0, 5));
        assert_eq!(axis(6.0), (2.0, 3));
        assert_eq!(axis(84.0), (20.0, 5));
        assert_eq!(axis(101.0), (50.0, 3));
        let axis = ValueAxis::new(Units::Seconds, 12_000.0, 5);
        assert_eq!(axis.labels().collect::<Vec<_>>(), ["0", "1 h", "2 h", "3 h", "4 h"]);
        let other = ValueAxis::with_steps(Units::Bytes, 5_000.0, 4);
        assert_eq!(other.labels().collect::<Vec<_>>(), ["0", "2 KiB", "4 KiB", "6 KiB", "8 KiB"]);
        assert!((other.top() - 8_192.0).abs() < f64::EPSILON);
        let most = 2_f64.powi(128);
        assert!(ValueAxis::new(Units::Bytes, most, 5).top() >= most);
    }
}
