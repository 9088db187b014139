//! Date-times, dates and durations: a time that was read can be written and read again, and means the same as for other parsers.

use chrono::{DateTime, NaiveDate};
use scale_metrics::time::{Date, Duration, Timestamp};

const SECOND_US: u128 = 1_000_000;

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    check_timestamp(text);
    check_date(text);
    check_duration(text);
}

fn check_timestamp(text: &str) {
    let ours = text.parse::<Timestamp>().ok();
    if let Some(ours) = ours {
        assert!(ours <= Timestamp::MAX);
        assert_eq!(ours.to_string().parse(), Ok(ours), "{text:?}");
    }
    // `chrono` accepts other letters and signs, too.
    let is_strict = text.is_ascii() && text.get(10..11) == Some("T") && !text.ends_with('z');
    let theirs = DateTime::parse_from_rfc3339(text).ok().and_then(|time| {
        // `chrono` counts a leap second as the second after it; this program counts it as the last microsecond of its minute.
        let second_us = time.timestamp_subsec_micros().min(999_999);
        let us = time.timestamp() * 1_000_000 + i64::from(second_us);
        u64::try_from(us).ok().and_then(Timestamp::from_micros)
    });
    if theirs.is_some() && (is_strict || ours.is_some()) {
        assert_eq!(ours, theirs, "{text:?}");
    }
}

fn check_date(text: &str) {
    let Ok(ours) = text.parse::<Date>() else { return };
    assert_eq!(ours.to_string(), text);
    let theirs = NaiveDate::parse_from_str(text, "%Y-%m-%d").expect("it is a date");
    assert_eq!(i64::from(ours.days()), i64::from(theirs.to_epoch_days()), "{text:?}");
    assert_eq!(ours.start().date(), ours);
}

fn check_duration(text: &str) {
    let Ok(ours) = text.parse::<Duration>() else { return };
    for now in [Timestamp::MIN, Timestamp::MAX] {
        let before = ours.before(now);
        assert!(before <= now, "{text:?}");
        if let Some(us) = micros(text) {
            let back = u128::from(now.micros() - before.micros());
            assert_eq!(back, us.min(now.micros().into()), "{text:?}");
        }
    }
}

/// Returns the length of an accepted duration; `None` if it has months, whose lengths differ.
fn micros(text: &str) -> Option<u128> {
    let (days, clock) = text.split_once('T').unwrap_or((text, ""));
    let units = |letter| match letter {
        'W' => Some(7 * 86_400),
        'D' => Some(86_400),
        _ => None,
    };
    let clock_units = |letter| match letter {
        'H' => Some(3_600),
        'M' => Some(60),
        'S' => Some(1),
        _ => None,
    };
    Some(sum(days.strip_prefix('P')?, units)?.saturating_add(sum(clock, clock_units)?))
}

/// Returns the sum of numbers. A letter after each number names its unit; `unit_s` returns the unit in seconds.
fn sum(text: &str, unit_s: impl Fn(char) -> Option<u128>) -> Option<u128> {
    text.split_inclusive(char::is_alphabetic).try_fold(0_u128, |sum, part| {
        let letter = part.chars().last()?;
        let number = part.strip_suffix(letter)?;
        let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, ""));
        // A number with more digits is longer than the whole range of time.
        let whole = whole.parse::<u128>().map_or(u128::MAX, |whole| whole.saturating_mul(SECOND_US));
        let millionths: u128 = format!("{fraction:0<6}")[..6].parse().ok()?;
        Some(sum.saturating_add(whole.saturating_add(millionths).saturating_mul(unit_s(letter)?)))
    })
}
