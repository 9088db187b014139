//! Time zones: what local clocks show at a point in time, by the rules of the IANA database, which is built in.

use std::fmt;
use std::str::FromStr;

use chrono::{
    DateTime, Datelike as _, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset as _, TimeDelta,
    TimeZone as _, Timelike as _,
};
use chrono_tz::Tz;

use super::{SECOND_US, Timestamp};

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zone(Tz);

/// There is no time zone of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the name of a time zone of the IANA database, such as Europe/Berlin or UTC")]
pub struct UnknownZone;

/// The longest that clocks were ever put forward at once, as in Samoa in 2011.
const LONGEST_GAP: TimeDelta = TimeDelta::hours(25);

impl Zone {
    /// UTC.
    pub const UTC: Self = Self(Tz::UTC);

    /// Whether it is the zone with the name `UTC`.
    pub fn is_utc(self) -> bool {
        self == Self::UTC
    }

    /// Returns the name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Returns by how many seconds local clocks are ahead of UTC.
    pub fn offset_at(self, time: Timestamp) -> i32 {
        self.offset_of(utc(time))
    }

    fn offset_of(self, utc: NaiveDateTime) -> i32 {
        if self.is_utc() { 0 } else { self.0.offset_from_utc_datetime(&utc).fix().local_minus_utc() }
    }

    /// Returns what local clocks show.
    pub fn local(self, time: Timestamp) -> NaiveDateTime {
        let utc = utc(time);
        utc + TimeDelta::seconds(self.offset_of(utc).into())
    }

    /// Returns the first point in time at which local clocks show this time, or a later one if they skip it. Before 1970 or after
    /// 9999, returns the nearest possible time.
    pub fn first_at(self, local: NaiveDateTime) -> Timestamp {
        if let Some(time) = self.0.from_local_datetime(&local).earliest() {
            return timestamp(time.naive_utc());
        }
        // Clocks were put forward over this time, at the latest when they would have shown it otherwise.
        let before = self.offset_of(local - LONGEST_GAP);
        let shown = local - TimeDelta::seconds(before.into());
        let (from, to) = (timestamp(shown - LONGEST_GAP), timestamp(shown));
        self.change(from, to).unwrap_or(to)
    }

    /// Returns the first point in time of a local day: midnight, or later if clocks skip it. If clocks go back from the day into the
    /// one before, it begins when that is over.
    pub fn start_of_day(self, date: NaiveDate) -> Timestamp {
        let midnight = date.and_time(NaiveTime::MIN);
        if let MappedLocalTime::Ambiguous(_, second) = self.0.from_local_datetime(&midnight) {
            let second = timestamp(second.naive_utc());
            if self.local(second.before()).date() < date {
                return second;
            }
        }
        self.first_at(midnight)
    }

    /// Returns the first time in `from..=to` from which on the offset is another one than at `from`, if it is another one at `to`.
    pub(super) fn change(self, from: Timestamp, to: Timestamp) -> Option<Timestamp> {
        let offset = self.offset_at(from);
        if self.offset_at(to) == offset {
            return None;
        }
        let (mut same, mut other) = (from.micros() / SECOND_US, to.micros().div_ceil(SECOND_US));
        while other - same > 1 {
            let middle = u64::midpoint(same, other);
            let is_same = self.offset_at(Timestamp::from_micros(middle * SECOND_US)?) == offset;
            (same, other) = if is_same { (middle, other) } else { (same, middle) };
        }
        Timestamp::from_micros(other * SECOND_US)
    }

    /// Returns the hour, from 0 to 23, and the day of the week, from 1 for Monday to 7, that local clocks show.
    pub fn clock(self, time: Timestamp) -> (u8, u8) {
        let local = self.local(time);
        let number = |number: u32| u8::try_from(number).expect("clocks show small numbers");
        (number(local.hour()), number(local.weekday().number_from_monday()))
    }

    /// Writes a point in time as local clocks show it, with its offset from UTC; in UTC as it is displayed, with `Z`.
    pub fn instant_text(self, time: Timestamp) -> String {
        if self.is_utc() { time.to_string() } else { self.text_at(time) }
    }

    /// Writes the local time with its offset from UTC, such as `2015-10-05T00:00:00-04:00`; in UTC without.
    pub fn text_at(self, time: Timestamp) -> String {
        self.text_of(self.local(time), time)
    }

    /// Writes a local time with the offset of another one.
    pub(super) fn text_of(self, local: NaiveDateTime, of: Timestamp) -> String {
        // Written for debugging, a time is in ISO 8601, and takes a third of the time that a format would.
        let local = local.with_nanosecond(0).unwrap_or(local);
        if self.is_utc() { format!("{local:?}") } else { format!("{local:?}{}", Offset(self.offset_at(of))) }
    }
}

fn utc(time: Timestamp) -> NaiveDateTime {
    let utc = DateTime::from_timestamp_micros(time.micros().cast_signed());
    utc.expect("a timestamp lies before the year 10000").naive_utc()
}

fn timestamp(utc: NaiveDateTime) -> Timestamp {
    let us = utc.and_utc().timestamp_micros();
    Timestamp::from_micros(u64::try_from(us).unwrap_or(0)).unwrap_or(Timestamp::MAX)
}

/// An offset from UTC in seconds, displayed as `+05:30`.
struct Offset(i32);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, seconds) = (if self.0 < 0 { '-' } else { '+' }, self.0.unsigned_abs());
        write!(f, "{sign}{:02}:{:02}", seconds / 3_600, seconds / 60 % 60)?;
        // A few zones had such offsets until 1972.
        if seconds % 60 == 0 { Ok(()) } else { write!(f, ":{:02}", seconds % 60) }
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        name.parse().map(Self).map_err(|_| UnknownZone)
    }
}
