//! The time that a picture shows, in whole buckets: which place a bucket has, and which one a time of local clocks has.
//!
//! Days, weeks and months are equally wide, however long clocks make them; hours are as wide as they are long.

use chrono::{DateTime, Datelike as _, Days, NaiveDateTime, NaiveTime};

use crate::time::{Calendar, Resolution, Timestamp};

pub(super) const HOUR_S: i64 = 3_600;
pub(super) const DAY_S: i64 = 24 * HOUR_S;

/// The time of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) calendar: Calendar,
    /// The start of the first bucket.
    pub(super) from: Timestamp,
    /// The start of the last bucket.
    pub(super) last: Timestamp,
}

impl Span {
    /// The end of the last bucket, in seconds since 1970.
    fn end_s(self) -> i64 {
        self.calendar.next(self.last).map_or_else(|| seconds(Timestamp::MAX) + 1, seconds)
    }

    /// The end of the last bucket. That of the last possible one is the last possible time.
    pub(super) fn end(self) -> Timestamp {
        self.calendar.next(self.last).unwrap_or(Timestamp::MAX)
    }

    /// The number of the bucket that starts at a time, from the left edge of the picture.
    pub(super) fn number(self, start: Timestamp) -> u32 {
        let place = |start: Timestamp| match self.calendar.resolution {
            Resolution::Hour => seconds(start) / HOUR_S,
            Resolution::Day => self.day(start) / DAY_S,
            // January 5, 1970, was a Monday.
            Resolution::Week => (self.day(start) / DAY_S - 4).div_euclid(7),
            Resolution::Month => month(naive(self.day(start))),
        };
        u32::try_from(place(start) - place(self.from)).expect("there are fewer hours from 1970 to 9999")
    }

    /// The number of buckets.
    pub(super) fn buckets(self) -> u32 {
        self.number(self.last) + 1
    }

    /// The length of a bucket in seconds, on average.
    pub(super) fn bucket(self) -> u64 {
        u64::try_from(self.end_s() - seconds(self.from)).unwrap_or(0) / u64::from(self.buckets())
    }

    /// What local clocks show at the left and at the right edge, in seconds since 1970. Days count from midnight.
    pub(super) fn edges(self) -> (i64, i64) {
        let last_day = self.day(self.last);
        match self.calendar.resolution {
            Resolution::Hour => {
                let to = self.local(self.last) + self.end_s() - seconds(self.last);
                (self.local(self.from), to)
            }
            Resolution::Day => (self.day(self.from), last_day + DAY_S),
            Resolution::Week => (self.monday(self.from), self.monday(self.last) + 7 * DAY_S),
            Resolution::Month => {
                let first = naive(self.day(self.from)).date();
                let next = naive(last_day).date().with_day(1).and_then(|first| first.checked_add_days(Days::new(31)));
                let start = |date: Option<chrono::NaiveDate>| {
                    date.and_then(|date| date.with_day(1))
                        .map_or(last_day, |date| midnight(date.and_time(NaiveTime::MIN)))
                };
                (start(Some(first)), start(next))
            }
        }
    }

    /// The horizontal position of a time of local clocks: 0 at the left edge of the picture, 1 at its right edge.
    #[expect(clippy::cast_precision_loss, reason = "seconds of 8000 years are exact")]
    pub(super) fn position(self, local: i64) -> f64 {
        let part = |at: i64, (from, to): (i64, i64)| (at - from) as f64 / (to - from) as f64;
        match self.calendar.resolution {
            Resolution::Hour => {
                let at = seconds(self.calendar.zone.first_at(naive(local)));
                part(at, (seconds(self.from), self.end_s()))
            }
            Resolution::Day | Resolution::Week => part(local, self.edges()),
            Resolution::Month => {
                let (from, to) = self.edges();
                let (at, first, end) = (naive(local), month(naive(from)), month(naive(to)));
                let whole = (month(at) - first) as f64;
                let day = f64::from(at.day0()) / f64::from(at.num_days_in_month());
                (whole + day) / (end - first) as f64
            }
        }
    }

    /// The middle of the bucket that begins at a time of local clocks, which is a day, a week or a month.
    pub(super) fn middle(self, local: i64) -> f64 {
        match self.calendar.resolution {
            Resolution::Hour | Resolution::Day => self.position(local + DAY_S / 2),
            Resolution::Week => self.position(local + 7 * DAY_S / 2),
            Resolution::Month => self.position(local) + 0.5 / f64::from(self.buckets()),
        }
    }

    /// Whether local clocks ever show a time, where that matters.
    pub(super) fn is_shown(self, local: i64) -> bool {
        let at = |local| self.calendar.zone.first_at(naive(local));
        self.calendar.resolution != Resolution::Hour || self.local(at(local)) == local
    }

    /// What local clocks show at a time, in seconds since 1970.
    fn local(self, time: Timestamp) -> i64 {
        self.calendar.zone.local(time).and_utc().timestamp()
    }

    /// The midnight of the local day of a time, in seconds since 1970.
    fn day(self, time: Timestamp) -> i64 {
        midnight(self.calendar.local_start(time))
    }

    fn monday(self, time: Timestamp) -> i64 {
        let days = self.day(time) / DAY_S;
        (days - (days - 4).rem_euclid(7)) * DAY_S
    }
}

/// The seconds since 1970.
fn seconds(time: Timestamp) -> i64 {
    (time.micros() / 1_000_000).cast_signed()
}

/// The midnight before, in seconds since 1970.
fn midnight(local: NaiveDateTime) -> i64 {
    local.and_utc().timestamp().div_euclid(DAY_S) * DAY_S
}

/// The number of a month, since the year 0.
fn month(local: NaiveDateTime) -> i64 {
    i64::from(local.year()) * 12 + i64::from(local.month0())
}

/// The time that local clocks show as these seconds since 1970.
pub(super) fn naive(seconds: i64) -> NaiveDateTime {
    DateTime::from_timestamp_secs(seconds).expect("it is a time before the year 10001").naive_utc()
}
