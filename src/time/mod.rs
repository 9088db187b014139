//! Time as metrics count it: instants, days, hours, and ranges of them.
//!
//! Everything is UTC and exact to the microsecond, from 1970-01-01 to 9999-12-31 (docs/reference.md, Posting events). A
//! [`Timestamp`] is a point in time. A [`Date`] is the UTC day that keys of rows contain. An hour is a number from 0 to 23 within
//! its day. `chrono` provides the calendar. The module `text` reads the text forms, because the wire allows more than RFC 3339
//! and an event has up to a dozen of them.
//!
//! Not here: the content of a bucket (`rollup`), the parameters that name a time (`api::params`).

mod calendar;
mod text;
mod zone;

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use chrono::{DateTime, Datelike, Months, NaiveDate};
use parking_lot::Mutex;
use serde::{Serialize, Serializer};

use text::Scanner;

pub use calendar::{Calendar, Resolution};
pub use zone::{UnknownZone, Zone};

const SECOND_US: u64 = 1_000_000;
const HOUR_US: u64 = 3_600 * SECOND_US;
const DAY_US: u64 = 24 * HOUR_US;

/// The reason why a text is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// The text does not have the form of an ISO-8601 date-time.
    #[error("must be an ISO-8601 date-time such as 2015-01-01T00:00:00Z")]
    Form,
    /// The form is right, but the date or time does not exist.
    #[error("must be a date and time that exist")]
    Impossible,
    /// Outside the supported range.
    #[error("must lie between 1970-01-01 and 9999-12-31")]
    Range,
}

/// A point in time: microseconds since 1970-01-01T00:00:00Z, at most the last one of 9999-12-31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// The microseconds plus one, so that an `Option` of a timestamp takes no more memory: an event has up to a dozen.
    us_and_1: NonZeroU64,
}

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const MIN: Self = Self::at(0);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self::at((Date::MAX.0 as u64 + 1) * DAY_US - 1);

    const fn at(us: u64) -> Self {
        Self { us_and_1: NonZeroU64::MIN.saturating_add(us) }
    }

    /// Returns the point `us` microseconds after 1970, if it is in the supported range.
    pub fn from_micros(us: u64) -> Option<Self> {
        (us <= Self::MAX.micros()).then_some(Self::at(us))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn micros(self) -> u64 {
        self.us_and_1.get() - 1
    }

    /// Returns the microseconds from `earlier` to `self`, or 0 if `self` is earlier because clocks were out of step
    /// (docs/reference.md, Counting).
    pub fn since(self, earlier: Self) -> u64 {
        self.micros().saturating_sub(earlier.micros())
    }

    /// Returns the microsecond before, or the first one.
    #[must_use]
    pub fn before(self) -> Self {
        Self::at(self.micros().saturating_sub(1))
    }

    /// Returns the next microsecond, if it is in the supported range.
    pub fn after(self) -> Option<Self> {
        Self::from_micros(self.micros() + 1)
    }

    /// Whether an hour of UTC begins at this time.
    pub fn is_full_hour(self) -> bool {
        self.micros().is_multiple_of(HOUR_US)
    }

    /// Returns the UTC day of this time.
    pub fn date(self) -> Date {
        Date(u32::try_from(self.micros() / DAY_US).expect("a timestamp lies before the year 10000"))
    }

    /// Returns the hour within the UTC day, from 0 to 23.
    pub fn hour(self) -> u8 {
        u8::try_from(self.micros() % DAY_US / HOUR_US).expect("a day has 24 hours")
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    /// Reads `YYYY-MM-DDThh:mm[:ss[.fraction]]`, followed by `Z`, `±hh:mm`, `±hhmm`, `±hh` or nothing (UTC). Digits beyond the
    /// microsecond are cut off. A leap second becomes the last microsecond of its minute.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        Self::parse_in(Zone::UTC, text)
    }
}

impl Timestamp {
    /// Reads the same forms as `from_str`; a time without an offset is that of local clocks.
    pub fn parse_in(zone: Zone, text: &str) -> Result<Self, TimeError> {
        let mut scan = Scanner(text.as_bytes());
        let written = scan.time().filter(|_| scan.0.is_empty()).ok_or(TimeError::Form)?;
        let us = written.micros().ok_or(TimeError::Impossible)?;
        let time = u64::try_from(us).ok().and_then(Self::from_micros).ok_or(TimeError::Range)?;
        Ok(if zone.is_utc() || written.has_offset { time } else { zone.first_at(Zone::UTC.local(time)) })
    }
}

impl fmt::Display for Timestamp {
    /// Writes `2015-01-01T00:00:00Z`, with six digits of fraction if there is a fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, us) = (self.micros() % DAY_US / SECOND_US, self.micros() % SECOND_US);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        text[..10].copy_from_slice(&self.date().to_text());
        for (places, number) in
            [(11..13, seconds / 3_600), (14..16, seconds / 60 % 60), (17..19, seconds % 60), (20..26, us)]
        {
            write_digits(&mut text[places], number);
        }
        if us == 0 {
            text[19] = b'Z';
        }
        let written = if us == 0 { &text[..20] } else { &text };
        f.write_str(str::from_utf8(written).expect("digits and signs"))
    }
}

/// Writes a number over as many zeros.
fn write_digits(zeros: &mut [u8], mut number: u64) {
    for digit in zeros.iter_mut().rev() {
        *digit += u8::try_from(number % 10).expect("a digit");
        number /= 10;
    }
}

/// As the text that it is displayed as.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A UTC day: days since 1970-01-01, at most 9999-12-31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(u32);

impl Date {
    /// 1970-01-01.
    pub const MIN: Self = Self(0);
    /// 9999-12-31.
    pub const MAX: Self = Self(2_932_896);

    /// Returns the day `days` after 1970-01-01, if it is in the supported range.
    pub fn from_days(days: u32) -> Option<Self> {
        (days <= Self::MAX.0).then_some(Self(days))
    }

    /// Days since 1970-01-01.
    pub fn days(self) -> u32 {
        self.0
    }

    /// Returns the day `days` later, or the last possible day if that is beyond it.
    #[must_use]
    pub fn plus_days(self, days: u32) -> Self {
        Self(self.0.saturating_add(days).min(Self::MAX.0))
    }

    /// Returns the next day, if it is in the supported range.
    pub fn next(self) -> Option<Self> {
        Self::from_days(self.0 + 1)
    }

    /// Returns the first microsecond of the day.
    pub fn start(self) -> Timestamp {
        Timestamp::at(u64::from(self.0) * DAY_US)
    }

    /// Returns the last microsecond of the day.
    pub fn end(self) -> Timestamp {
        Timestamp::at(self.start().micros() + DAY_US - 1)
    }

    /// Returns the start of the `hour` of the day, from 0 to 23.
    pub fn hour_start(self, hour: u8) -> Timestamp {
        Timestamp::at(self.start().micros() + u64::from(hour) * HOUR_US)
    }

    /// Returns the last microsecond of the `hour` of the day, from 0 to 23.
    pub fn hour_end(self, hour: u8) -> Timestamp {
        Timestamp::at(self.hour_start(hour).micros() + HOUR_US - 1)
    }

    /// Writes `2015-01-01`.
    pub fn to_text(self) -> [u8; 10] {
        let days = i32::try_from(self.0).expect("a date lies before the year 10000");
        let date = NaiveDate::from_epoch_days(days).expect("a date lies before the year 10000");
        let mut text = *b"0000-00-00";
        for (places, number) in [(0..4, date.year().unsigned_abs()), (5..7, date.month()), (8..10, date.day())] {
            write_digits(&mut text[places], number.into());
        }
        text
    }
}

impl FromStr for Date {
    type Err = TimeError;

    /// Reads `YYYY-MM-DD`.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let mut scan = Scanner(text.as_bytes());
        let day = scan.date().filter(|_| scan.0.is_empty()).ok_or(TimeError::Form)?;
        let days = day.days().ok_or(TimeError::Impossible)?;
        u32::try_from(days).ok().and_then(Self::from_days).ok_or(TimeError::Range)
    }
}

impl fmt::Display for Date {
    /// Writes `2015-01-01`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.to_text()).expect("digits and dashes"))
    }
}

/// The buckets that a query selects: those that start between `started`, rounded down to the bucket, and `ended`, both included
/// (docs/reference.md, Reading).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// The start of the range.
    pub started: Timestamp,
    /// The end of the range; not earlier than `started`.
    pub ended: Timestamp,
}

/// An ISO-8601 duration: `P1Y2M3W4DT5H6M7.5S`. Every part is optional, and the last one may have a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duration {
    months: u32,
    /// A fraction of further months: the number of months, and the fraction in millionths.
    part: Option<(u32, u32)>,
    us: u64,
}

impl Duration {
    /// Returns the point this long before `now`, or 1970 if it is earlier. Half a month is half of the time from one month
    /// earlier.
    pub fn before(self, now: Timestamp) -> Timestamp {
        let now = DateTime::from_timestamp_micros(now.micros().cast_signed());
        // `None` means a time before the beginning of the calendar, which is far before 1970.
        let months_back = |months| {
            let back = now.and_then(|now| now.checked_sub_months(Months::new(months)));
            back.map_or(0, |back| i128::from(back.timestamp_micros()))
        };
        let mut us = months_back(self.months);
        if let Some((months, millionths)) = self.part {
            let whole = us - months_back(self.months.saturating_add(months));
            us -= whole * i128::from(millionths) / 1_000_000;
        }
        Timestamp::at(u64::try_from(us - i128::from(self.us)).unwrap_or(0))
    }

    /// Returns the length in microseconds, if it is a whole number of hours that does not depend on the start.
    pub fn whole_hours_us(self) -> Option<u64> {
        (self.months == 0 && self.part.is_none() && self.us > 0 && self.us.is_multiple_of(HOUR_US)).then_some(self.us)
    }
}

impl FromStr for Duration {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        Scanner(text.as_bytes()).duration().ok_or(TimeError::Form)
    }
}

/// The system clock shows a time that the program cannot use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// Before 1970.
    #[error("the system clock shows a time before 1970-01-01; set it and start again")]
    Early,
    /// After 9999.
    #[error("the system clock shows a time after 9999-12-31; set it and start again")]
    Late,
}

/// The source of the current time. Tests use a fixed clock; the clones of a fixed clock share its time.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The system clock.
    System,
    /// A clock that stands still until a test moves it.
    Fixed(Arc<FixedClock>),
}

/// The time that a fixed clock shows.
#[derive(Debug)]
pub struct FixedClock {
    /// Microseconds since 1970.
    wall_us: AtomicU64,
    /// Microseconds that have passed.
    steady_us: AtomicU64,
}

impl Clock {
    /// Returns a fixed clock that shows `now`.
    pub fn fixed(now: Timestamp) -> Self {
        Self::Fixed(Arc::new(FixedClock { wall_us: AtomicU64::new(now.micros()), steady_us: AtomicU64::new(0) }))
    }

    /// Sets a fixed clock to another time, like an operator who sets the clock of a machine: no time passes.
    pub fn set(&self, now: Timestamp) {
        if let Self::Fixed(clock) = self {
            clock.wall_us.store(now.micros(), Ordering::SeqCst);
        }
    }

    /// Advances a fixed clock by some time.
    pub fn pass(&self, time: std::time::Duration) {
        if let Self::Fixed(clock) = self {
            let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            clock.wall_us.fetch_add(us, Ordering::SeqCst);
            clock.steady_us.fetch_add(us, Ordering::SeqCst);
        }
    }

    /// Returns the current time. Before 1970 or after 9999, returns the nearest time that a [`Timestamp`] can hold.
    pub fn now(&self) -> Timestamp {
        self.read().unwrap_or_else(|error| match error {
            ClockError::Early => Timestamp::MIN,
            ClockError::Late => Timestamp::MAX,
        })
    }

    /// Returns the current time, if the program can use it.
    pub fn read(&self) -> Result<Timestamp, ClockError> {
        let us = match self {
            Self::System => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|_| ClockError::Early)?;
                u64::try_from(since.as_micros()).map_err(|_| ClockError::Late)?
            }
            Self::Fixed(clock) => clock.wall_us.load(Ordering::SeqCst),
        };
        Timestamp::from_micros(us).ok_or(ClockError::Late)
    }

    /// Returns the time that has passed since a fixed moment of this process. Setting the clock does not change it.
    ///
    /// The clock has to be read at least once an hour: a longer time between two readings counts as an hour. So a monotonic clock
    /// that jumps (as under some sandboxes) does not count as elapsed time.
    pub fn steady(&self) -> std::time::Duration {
        match self {
            Self::System => {
                let mut steady = STEADY.lock();
                let now = Instant::now();
                let (at, passed) = steady.unwrap_or((now, std::time::Duration::ZERO));
                let passed = passed + now.saturating_duration_since(at).min(MAX_STEADY_STEP);
                *steady = Some((now, passed));
                passed
            }
            Self::Fixed(clock) => std::time::Duration::from_micros(clock.steady_us.load(Ordering::SeqCst)),
        }
    }
}

/// The limit of the time between two readings of the steady clock. A longer time counts as this.
const MAX_STEADY_STEP: std::time::Duration = std::time::Duration::from_hours(1);

/// The time of the last reading of the steady clock, and its value.
static STEADY: Mutex<Option<(Instant, std::time::Duration)>> = Mutex::new(None);
