//! Times as text: the forms that are read and written, and durations before now.

use chrono::{DateTime, FixedOffset};
use proptest::prelude::*;
use scale_metrics::time::{Date, Duration, TimeError, Timestamp};

fn at(us: u64) -> Timestamp {
    Timestamp::from_micros(us).unwrap()
}

fn us(text: &str) -> Result<u64, TimeError> {
    text.parse::<Timestamp>().map(Timestamp::micros)
}

fn back(duration: &str) -> Option<String> {
    let now = "2015-03-31T12:00:00Z".parse::<Timestamp>().ok()?;
    duration.parse::<Duration>().ok().map(|duration| duration.before(now).to_string())
}

#[test]
fn every_written_form_of_an_instant_is_the_same_instant() {
    let forms = [
        "2015-01-01T00:00:00Z",
        "2015-01-01T00:00:00",
        "2015-01-01T00:00",
        "2015-01-01T00:00:00.000Z",
        "2015-01-01T00:00:00,0000000001Z",
        "2015-01-01T05:30:00+05:30",
        "2015-01-01T05:30:00+0530",
        "2014-12-31T22:00:00-02",
    ];
    for form in forms {
        assert_eq!(us(form), Ok(1_420_070_400_000_000), "{form}");
    }
}

#[test]
fn the_kept_range_is_1970_to_9999() {
    assert_eq!(us("1970-01-01T00:00:00Z"), Ok(0));
    assert_eq!(us("1969-12-31T23:59:59.999999Z"), Err(TimeError::Range));
    assert_eq!(us("1970-01-01T00:00:00+00:01"), Err(TimeError::Range));
    assert_eq!(us("9999-12-31T23:59:59.9999999Z"), Ok(Timestamp::MAX.micros()));
    assert_eq!(us("9999-12-31T23:59:59-00:01"), Err(TimeError::Range));
    assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
}

#[test]
fn a_leap_second_stays_in_its_minute() {
    assert_eq!(us("2016-12-31T23:59:60Z"), us("2016-12-31T23:59:59.999999Z"));
    assert_eq!(us("2016-12-31T23:59:61Z"), Err(TimeError::Impossible));
}

#[test]
fn broken_texts_are_refused() {
    for text in [
        "",
        "2015-01-01",
        "2015-01-01T",
        "2015-01-01T00",
        "2015-01-01 00:00:00Z",
        "2015-1-01T00:00:00Z",
        "2015-01-01T00:00:00.Z",
        "2015-01-01T00:00:00Zx",
        "2015-01-01T00:00:00+",
        "2015-01-01T00:00:00+1",
        "+2015-01-01T00:00:00Z",
        "2015-01-01T00:00:00z",
        "now",
    ] {
        assert_eq!(us(text), Err(TimeError::Form), "{text:?}");
    }
    for text in ["2015-02-29T00:00:00Z", "2015-13-01T00:00:00Z", "2015-01-01T24:00:00Z", "2015-01-01T00:00:00+24:00"] {
        assert_eq!(us(text), Err(TimeError::Impossible), "{text:?}");
    }
}

#[test]
fn durations_reach_back_from_now() {
    for (duration, then) in [
        ("PT3H0M0S", "2015-03-31T09:00:00Z"),
        ("P7D", "2015-03-24T12:00:00Z"),
        ("P1W", "2015-03-24T12:00:00Z"),
        ("P1M", "2015-02-28T12:00:00Z"),
        ("P1Y1M", "2014-02-28T12:00:00Z"),
        ("P0.5D", "2015-03-31T00:00:00Z"),
        ("PT1,5H", "2015-03-31T10:30:00Z"),
        ("PT0.000001S", "2015-03-31T11:59:59.999999Z"),
        ("P0.5M", "2015-03-16T00:00:00Z"),
        ("P1.5M", "2015-02-14T12:00:00Z"),
        ("P0,5Y", "2014-09-30T00:00:00Z"),
        ("P1Y0.0M", "2014-03-31T12:00:00Z"),
        ("P45.5Y", "1970-01-01T00:00:00Z"),
        ("P99999999999999999999.5Y", "1970-01-01T00:00:00Z"),
        ("P1DT12H", "2015-03-30T00:00:00Z"),
        ("P99999999999999999999Y", "1970-01-01T00:00:00Z"),
        ("PT99999999999999999999S", "1970-01-01T00:00:00Z"),
    ] {
        assert_eq!(back(duration).as_deref(), Some(then), "{duration}");
    }
    for broken in [
        "P", "PT", "P1DT", "1D", "P1", "P1H", "PT1D", "P1D1W", "P1D1D", "P0.5DT1H", "P0.5Y1M", "P1.5MT1S", "-P1D",
        "P-1D",
    ] {
        assert_eq!(back(broken), None, "{broken}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(us in 0..=Timestamp::MAX.micros()) {
        prop_assert_eq!(at(us).to_string().parse(), Ok(at(us)));
    }

    #[test]
    fn chrono_reads_the_same_instant(us in 0..=Timestamp::MAX.micros(), minutes in -1439..1440_i32) {
        let offset = FixedOffset::east_opt(minutes * 60).unwrap_or(FixedOffset::east_opt(0).unwrap());
        let there = DateTime::from_timestamp_micros(us.cast_signed()).unwrap().with_timezone(&offset);
        let text = there.to_rfc3339();
        prop_assume!(text.len() < 36 && text.as_bytes()[4] == b'-');
        prop_assert_eq!(text.parse(), Ok(at(us)));
    }

    #[test]
    fn any_text_is_a_time_or_an_error(text in "\\PC{0,40}") {
        let _: (Result<Timestamp, _>, Result<Date, _>, Result<Duration, _>) = (text.parse(), text.parse(), text.parse());
    }
}
