//! Buckets of time: which hour, day, week or month a point in time belongs to, in a time zone.

use chrono::{Datelike as _, Days, Months, NaiveDate, NaiveDateTime, Timelike as _, Weekday};

use super::{DAY_US, Date, HOUR_US, TimeRange, Timestamp, Zone};

/// The length of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// A day, from local midnight.
    Day,
    /// An hour of local clocks.
    Hour,
    /// A week, from Monday (ISO 8601).
    Week,
    /// A month.
    Month,
}

/// A division of time into buckets of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Calendar {
    /// The zone whose clocks divide the time.
    pub zone: Zone,
    /// The length of the buckets.
    pub resolution: Resolution,
}

impl Calendar {
    /// Returns the start of the bucket that a point in time belongs to. A bucket that begins before 1970 starts there.
    pub fn start_of(self, time: Timestamp) -> Timestamp {
        let start = match (self.resolution, self.zone) {
            (Resolution::Hour, Zone::UTC) => Timestamp::at(time.micros() / HOUR_US * HOUR_US),
            (Resolution::Day, Zone::UTC) => Timestamp::at(time.micros() / DAY_US * DAY_US),
            (Resolution::Hour, _) => self.start_of_hour(time),
            (Resolution::Day | Resolution::Week | Resolution::Month, _) => {
                let date = self.zone.local(time).date();
                let start = self.zone.start_of_day(self.first_day(date));
                // Clocks may still go back into the day before, which then is not over.
                let before = date.pred_opt().filter(|_| start > time);
                before.map_or(start, |before| self.zone.start_of_day(self.first_day(before)))
            }
        };
        start.min(time)
    }

    /// Returns the start of the bucket behind the one that starts at `start`; `None` if it begins after 9999.
    pub fn next(self, start: Timestamp) -> Option<Timestamp> {
        let day = || self.first_day(self.zone.local(start).date());
        let next = match (self.resolution, self.zone) {
            (Resolution::Hour, Zone::UTC) => return Timestamp::from_micros(start.micros() + HOUR_US),
            (Resolution::Day, Zone::UTC) => return Timestamp::from_micros(start.micros() + DAY_US),
            (Resolution::Hour, _) => {
                let end = self.hour_of(start) + i128::from(HOUR_US);
                let last = Timestamp::from_micros(u64::try_from(end - 1).ok()?)?;
                return self.zone.change(start, last).or_else(|| last.after());
            }
            (Resolution::Day, _) => day().succ_opt(),
            (Resolution::Week, _) => day().checked_add_days(Days::new(7)),
            (Resolution::Month, _) => day().checked_add_months(Months::new(1)),
        };
        // Clocks may have skipped a whole day, which then has no bucket.
        Some(self.zone.start_of_day(next?)).filter(|next| *next > start && *next < Timestamp::MAX)
    }

    /// Returns the range from the start of the first bucket to that of the last one.
    #[must_use]
    pub fn buckets(self, range: TimeRange) -> TimeRange {
        TimeRange { started: self.start_of(range.started), ended: self.start_of(range.ended) }
    }

    /// Returns an upper bound of the number of buckets of a range in whole buckets.
    pub fn most_buckets(self, range: TimeRange) -> usize {
        // The shortest that there are: clocks are put forward by an hour, or change within an hour.
        let shortest = match (self.resolution, self.zone) {
            (Resolution::Hour, Zone::UTC) => HOUR_US,
            (Resolution::Hour, _) => HOUR_US / 2,
            (Resolution::Day, Zone::UTC) => DAY_US,
            (Resolution::Day, _) => DAY_US - HOUR_US,
            (Resolution::Week, _) => 6 * DAY_US,
            (Resolution::Month, _) => 27 * DAY_US,
        };
        usize::try_from(range.ended.since(range.started) / shortest).unwrap_or(usize::MAX).saturating_add(1)
    }

    /// Whether buckets of a UTC day begin only at full hours of UTC, so that hourly rollups tell everything.
    pub fn has_full_hours(self, date: Date) -> bool {
        let full = |time: Timestamp| self.zone.offset_at(time) % 3_600 == 0;
        let changes_full = || self.zone.change(date.start(), date.end()).is_none_or(Timestamp::is_full_hour);
        self.zone.is_utc() || (full(date.start()) && full(date.end()) && changes_full())
    }

    /// Returns what local clocks show at the start of a bucket. A bucket that begins before 1970 starts later than that.
    pub fn local_start(self, start: Timestamp) -> NaiveDateTime {
        let local = self.zone.local(start);
        if start > Timestamp::MIN {
            return local;
        }
        let hour = if self.resolution == Resolution::Hour { local.hour() } else { 0 };
        self.first_day(local.date()).and_hms_opt(hour, 0, 0).unwrap_or(local)
    }

    /// Writes the local start of a bucket with its offset from UTC, such as `2015-10-05T00:00:00-04:00`; in UTC without.
    pub fn text_of(self, start: Timestamp) -> String {
        self.zone.text_of(self.local_start(start), start)
    }

    /// The local day with which the bucket of a local day begins.
    fn first_day(self, date: NaiveDate) -> NaiveDate {
        match self.resolution {
            Resolution::Hour | Resolution::Day => date,
            Resolution::Week => date.week(Weekday::Mon).checked_first_day().unwrap_or(date),
            Resolution::Month => date.with_day(1).unwrap_or(date),
        }
    }

    fn start_of_hour(self, time: Timestamp) -> Timestamp {
        let start = Timestamp::at(u64::try_from(self.hour_of(time)).unwrap_or(0));
        // If clocks were changed since, by a part of an hour, the bucket begins there.
        self.zone.change(start, time).unwrap_or(start)
    }

    /// When the hour that local clocks show began, in microseconds since 1970, if they were not changed since.
    fn hour_of(self, time: Timestamp) -> i128 {
        let offset = i128::from(self.zone.offset_at(time)) * 1_000_000;
        let local = i128::from(time.micros()) + offset;
        i128::from(time.micros()) - local.rem_euclid(HOUR_US.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn zone(name: &str) -> Zone {
        name.parse().unwrap()
    }

    /// The starts of the buckets from the one of `from` on, as long as they begin before `to`, each with its length in minutes.
    fn buckets(zone_name: &str, resolution: Resolution, from: &str, to: &str) -> Vec<(String, u64)> {
        let calendar = Calendar { zone: zone(zone_name), resolution };
        let mut start = calendar.start_of(time(from));
        let mut buckets = Vec::new();
        while start < time(to) {
            let next = calendar.next(start).unwrap();
            for inside in [start.micros(), next.micros() - 1, u64::midpoint(start.micros(), next.micros())] {
                assert_eq!(calendar.start_of(Timestamp::from_micros(inside).unwrap()), start);
            }
            buckets.push((calendar.zone.text_at(start), next.since(start) / 60_000_000));
            start = next;
        }
        buckets
    }

    #[track_caller]
    fn assert_buckets(zone: &str, resolution: Resolution, (from, to): (&str, &str), expected: &[(&str, u64)]) {
        let expected: Vec<_> = expected.iter().map(|&(start, minutes)| (start.to_owned(), minutes)).collect();
        assert_eq!(buckets(zone, resolution, from, to), expected);
    }

    #[test]
    fn days_are_as_long_as_clocks_make_them() {
        let day = Resolution::Day;
        assert_buckets(
            "UTC",
            day,
            ("2015-01-01T12:00:00Z", "2015-01-02T12:00:00Z"),
            &[("2015-01-01T00:00:00", 1_440), ("2015-01-02T00:00:00", 1_440)],
        );
        assert_buckets(
            "America/New_York",
            day,
            ("2015-03-07T12:00:00Z", "2015-03-09T12:00:00Z"),
            &[
                ("2015-03-07T00:00:00-05:00", 1_440),
                ("2015-03-08T00:00:00-05:00", 1_380),
                ("2015-03-09T00:00:00-04:00", 1_440),
            ],
        );
        assert_buckets(
            "Europe/Berlin",
            day,
            ("2015-10-25T12:00:00Z", "2015-10-26T12:00:00Z"),
            &[("2015-10-25T00:00:00+02:00", 1_500), ("2015-10-26T00:00:00+01:00", 1_440)],
        );
        assert_buckets(
            "Asia/Kathmandu",
            day,
            ("2015-01-01T12:00:00Z", "2015-01-01T13:00:00Z"),
            &[("2015-01-01T00:00:00+05:45", 1_440)],
        );
    }

    #[test]
    fn a_day_without_midnight_begins_at_its_first_instant() {
        assert_buckets(
            "America/Sao_Paulo",
            Resolution::Day,
            ("2015-10-17T12:00:00Z", "2015-10-19T12:00:00Z"),
            &[
                ("2015-10-17T00:00:00-03:00", 1_440),
                ("2015-10-18T01:00:00-02:00", 1_380),
                ("2015-10-19T00:00:00-02:00", 1_440),
            ],
        );
        // Here the hour before midnight comes twice.
        assert_buckets(
            "America/Sao_Paulo",
            Resolution::Day,
            ("2015-02-21T12:00:00Z", "2015-02-22T12:00:00Z"),
            &[("2015-02-21T00:00:00-02:00", 1_500), ("2015-02-22T00:00:00-03:00", 1_440)],
        );
        // Here midnight comes twice.
        assert_buckets(
            "America/Havana",
            Resolution::Day,
            ("2015-11-01T12:00:00Z", "2015-11-02T12:00:00Z"),
            &[("2015-11-01T00:00:00-04:00", 1_500), ("2015-11-02T00:00:00-05:00", 1_440)],
        );
    }

    #[test]
    fn a_day_begins_when_clocks_no_longer_go_back_into_the_one_before() {
        // At 00:01 on November 1, clocks were set to 23:01.
        assert_buckets(
            "America/St_Johns",
            Resolution::Day,
            ("2009-10-31T12:00:00Z", "2009-11-01T12:00:00Z"),
            &[("2009-10-31T00:00:00-02:30", 1_500), ("2009-11-01T00:00:00-03:30", 1_440)],
        );
        assert_buckets(
            "America/St_Johns",
            Resolution::Month,
            ("2009-11-01T02:30:30Z", "2009-11-01T05:00:00Z"),
            &[("2009-10-01T00:00:00-02:30", 31 * 1_440 + 60), ("2009-11-01T00:00:00-03:30", 30 * 1_440)],
        );
        assert_buckets(
            "Antarctica/Casey",
            Resolution::Day,
            ("2010-03-04T12:00:00Z", "2010-03-05T12:00:00Z"),
            &[("2010-03-04T00:00:00+11:00", 27 * 60), ("2010-03-05T00:00:00+08:00", 1_440)],
        );
    }

    #[test]
    fn a_day_that_was_skipped_has_no_bucket() {
        let days = ("2011-12-29T12:00:00Z", "2012-01-01T00:00:00Z");
        assert_buckets(
            "Pacific/Apia",
            Resolution::Day,
            days,
            &[
                ("2011-12-29T00:00:00-10:00", 1_440),
                ("2011-12-31T00:00:00+14:00", 1_440),
                ("2012-01-01T00:00:00+14:00", 1_440),
            ],
        );
        assert_eq!(zone("Pacific/Apia").first_at("2011-12-30T12:00:00".parse().unwrap()), time("2011-12-30T10:00:00Z"));
        assert_buckets("Pacific/Apia", Resolution::Week, days, &[("2011-12-26T00:00:00-10:00", 6 * 1_440)]);
        assert_buckets(
            "Pacific/Apia",
            Resolution::Month,
            days,
            &[("2011-12-01T00:00:00-10:00", 30 * 1_440), ("2012-01-01T00:00:00+14:00", 31 * 1_440)],
        );
    }

    #[test]
    fn hours_that_come_twice_stay_apart() {
        assert_buckets(
            "America/New_York",
            Resolution::Hour,
            ("2015-11-01T05:10:00Z", "2015-11-01T07:30:00Z"),
            &[("2015-11-01T01:00:00-04:00", 60), ("2015-11-01T01:00:00-05:00", 60), ("2015-11-01T02:00:00-05:00", 60)],
        );
        assert_buckets(
            "Asia/Kolkata",
            Resolution::Hour,
            ("2015-11-01T05:10:00Z", "2015-11-01T06:00:00Z"),
            &[("2015-11-01T10:00:00+05:30", 60), ("2015-11-01T11:00:00+05:30", 60)],
        );
        // Half an hour comes twice, and is skipped.
        assert_buckets(
            "Australia/Lord_Howe",
            Resolution::Hour,
            ("2015-04-04T14:00:00Z", "2015-04-04T16:00:00Z"),
            &[("2015-04-05T01:00:00+11:00", 60), ("2015-04-05T01:30:00+10:30", 30), ("2015-04-05T02:00:00+10:30", 60)],
        );
        assert_buckets(
            "Australia/Lord_Howe",
            Resolution::Hour,
            ("2015-10-03T15:00:00Z", "2015-10-03T17:00:00Z"),
            &[("2015-10-04T01:00:00+10:30", 60), ("2015-10-04T02:30:00+11:00", 30), ("2015-10-04T03:00:00+11:00", 60)],
        );
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_their_first() {
        assert_buckets(
            "UTC",
            Resolution::Week,
            ("2014-12-31T12:00:00Z", "2015-01-06T00:00:00Z"),
            &[("2014-12-29T00:00:00", 7 * 1_440), ("2015-01-05T00:00:00", 7 * 1_440)],
        );
        assert_buckets(
            "UTC",
            Resolution::Month,
            ("2016-01-31T12:00:00Z", "2016-03-01T00:00:01Z"),
            &[
                ("2016-01-01T00:00:00", 31 * 1_440),
                ("2016-02-01T00:00:00", 29 * 1_440),
                ("2016-03-01T00:00:00", 31 * 1_440),
            ],
        );
        assert_buckets(
            "Europe/Berlin",
            Resolution::Month,
            ("2015-03-31T21:59:59Z", "2015-03-31T22:00:01Z"),
            &[("2015-03-01T00:00:00+01:00", 31 * 1_440 - 60), ("2015-04-01T00:00:00+02:00", 30 * 1_440)],
        );
    }

    #[test]
    fn the_ends_of_time_have_buckets() {
        for name in ["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati"] {
            for resolution in [Resolution::Hour, Resolution::Day, Resolution::Week, Resolution::Month] {
                let calendar = Calendar { zone: zone(name), resolution };
                assert_eq!(calendar.start_of(Timestamp::MIN), Timestamp::MIN);
                assert!(calendar.next(Timestamp::MIN).unwrap() > Timestamp::MIN);
                let last = calendar.start_of(Timestamp::MAX);
                assert_eq!(calendar.start_of(last), last);
                assert_eq!(calendar.next(last), None, "{name} {resolution:?}");
            }
        }
    }

    #[test]
    fn buckets_that_begin_before_1970_say_so() {
        let first = |name: &str, resolution| {
            let calendar = Calendar { zone: zone(name), resolution };
            let next = calendar.next(Timestamp::MIN).unwrap();
            (calendar.text_of(Timestamp::MIN), calendar.text_of(next))
        };
        let pair = |first: &str, next: &str| (first.to_owned(), next.to_owned());
        assert_eq!(first("UTC", Resolution::Week), pair("1969-12-29T00:00:00", "1970-01-05T00:00:00"));
        let new_york = pair("1969-12-01T00:00:00-05:00", "1970-01-01T00:00:00-05:00");
        assert_eq!(first("America/New_York", Resolution::Month), new_york);
        let kolkata = pair("1970-01-01T05:00:00+05:30", "1970-01-01T06:00:00+05:30");
        assert_eq!(first("Asia/Kolkata", Resolution::Hour), kolkata);
    }

    #[test]
    fn the_bound_of_buckets_holds() {
        for name in ["UTC", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia"] {
            for resolution in [Resolution::Hour, Resolution::Day, Resolution::Week, Resolution::Month] {
                let calendar = Calendar { zone: zone(name), resolution };
                let range = TimeRange { started: time("2011-01-01T00:00:00Z"), ended: time("2016-01-01T00:00:00Z") };
                let range = calendar.buckets(range);
                let mut start = Some(range.started);
                let mut count = 0;
                while let Some(at) = start.filter(|start| *start <= range.ended) {
                    count += 1;
                    start = calendar.next(at);
                }
                assert!(count <= calendar.most_buckets(range) && count * 4 > calendar.most_buckets(range), "{name}");
            }
        }
    }

    #[test]
    fn full_hours_are_told_from_others() {
        let full = |name: &str, date: &str| {
            let calendar = Calendar { zone: zone(name), resolution: Resolution::Day };
            calendar.has_full_hours(date.parse().unwrap())
        };
        assert!(full("UTC", "2015-01-01") && full("Europe/Berlin", "2015-03-29"));
        // At half past three, clocks went back to half past two.
        assert!(full("Asia/Hong_Kong", "1979-10-19") && !full("Asia/Hong_Kong", "1979-10-20"));
        assert!(!full("Asia/Kolkata", "2015-01-01") && !full("Asia/Kathmandu", "2015-01-01"));
        assert!(full("Australia/Lord_Howe", "2015-03-01"), "it is summer there");
        assert!(!full("Australia/Lord_Howe", "2015-04-04") && !full("Australia/Lord_Howe", "2015-05-04"));
    }
}
