//! Formats values for people, and defines the steps of axes of values.

use std::iter;

use crate::catalog::Units;

const SECOND_MS: f64 = 1_000.0;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// The prefixes of thousands. The largest possible value has 128 bits, which is some hundreds of millions of the last prefix.
const THOUSANDS: [&str; 11] = ["", "k", "M", "G", "T", "P", "E", "Z", "Y", "R", "Q"];
const BINARIES: [&str; 11] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB", "RiB", "QiB"];

/// The possible steps of an axis, from the smallest on. The last step is larger than every value.
pub(super) fn steps(units: Units) -> Box<dyn Iterator<Item = f64>> {
    let parts = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];
    let multiples = move |of: f64, base: f64| {
        let units = iter::successors(Some(of), move |unit| Some(unit * base)).take_while(|unit| unit.is_finite());
        units.flat_map(move |unit| parts.map(|part| unit * part))
    };
    match units {
        Units::Count | Units::Milliseconds => Box::new(multiples(1.0, 1000.0)),
        Units::Bytes => Box::new(multiples(1.0, 1024.0)),
        Units::Seconds => {
            let [seconds, hours] = [[1.0, 2.0, 5.0, 10.0, 15.0, 30.0].as_slice(), &[1.0, 2.0, 3.0, 6.0, 12.0]];
            let of = |parts: &'static [f64], unit: f64| parts.iter().map(move |part| part * unit);
            let within_a_day = of(seconds, 1.0).chain(of(seconds, MINUTE)).chain(of(hours, HOUR));
            Box::new(within_a_day.chain(multiples(DAY, 1000.0)))
        }
    }
}

/// Formats a value, such as `12.3 k`, `3 h 20 m`, `1.4 GiB`.
pub(super) fn show(units: Units, value: f64) -> String {
    match units {
        Units::Count => count(value),
        Units::Milliseconds if value < SECOND_MS => format!("{value} ms"),
        Units::Milliseconds => seconds(value / SECOND_MS),
        Units::Seconds => seconds(value),
        Units::Bytes => prefixed(value, 1024.0, &BINARIES),
    }
}

/// The label at `number` steps of an axis. All labels in bytes have the unit of the step: an axis with 500 KiB also has 1000 KiB.
pub(super) fn tick(units: Units, step: f64, number: u32) -> String {
    let value = step * f64::from(number);
    match units {
        _ if number == 0 => "0".to_owned(),
        Units::Bytes => {
            let place = place(step, 1024.0, BINARIES.len());
            format!("{} {}", digits(value / of_place(place, 1024.0)), BINARIES[place])
        }
        Units::Count | Units::Milliseconds | Units::Seconds => show(units, value),
    }
}

fn count(value: f64) -> String {
    prefixed(value, 1000.0, &THOUSANDS)
}

/// Formats a duration in its two largest units. The second unit is omitted if it is zero.
fn seconds(value: f64) -> String {
    let (large, unit, small, small_unit) = match value {
        _ if value < MINUTE => return format!("{value} s"),
        _ if value < HOUR => (MINUTE, "m", 1.0, "s"),
        _ if value < DAY => (HOUR, "h", MINUTE, "m"),
        _ => (DAY, "d", HOUR, "h"),
    };
    let (whole, rest) = ((value / large).floor(), (value % large / small).floor());
    let whole = if whole < 10_000.0 { whole.to_string() } else { count(whole) };
    if rest == 0.0 { format!("{whole} {unit}") } else { format!("{whole} {unit} {rest} {small_unit}") }
}

/// Formats about three digits in the largest unit that the value reaches.
fn prefixed(value: f64, base: f64, units: &[&str]) -> String {
    let mut place = place(value, base, units.len());
    let mut text = digits(value / of_place(place, base));
    // A value that is rounded up to a whole next unit is written in that unit.
    if text == digits(base) && place + 1 < units.len() {
        place += 1;
        text = digits(1.0);
    }
    format!("{text} {}", units[place]).trim_end().to_owned()
}

/// The index of the largest unit that the value reaches. There are `units` units, and each is `base` times the one before.
fn place(value: f64, base: f64, units: usize) -> usize {
    (1..units).take_while(|&place| value >= of_place(place, base)).count()
}

fn of_place(place: usize, base: f64) -> f64 {
    iter::repeat_n(base, place).product()
}

/// Formats three digits, or all digits before the point if these are more, without trailing zeros.
fn digits(value: f64) -> String {
    let text = match value {
        _ if value >= 10_000.0 => return format!("{value:.1e}"),
        _ if value >= 100.0 => return format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (7.0, "7"),
            (100.0, "100"),
            (999.0, "999"),
            (1000.0, "1 k"),
            (12_345.0, "12.3 k"),
            (999_499.0, "999 k"),
            (999_999.0, "1 M"),
            (1_500_000.0, "1.5 M"),
            (2_f64.powi(64), "18.4 E"),
            (2_f64.powi(128), "3.4e8 Q"),
        ] {
            assert_eq!(show(Units::Count, value), text);
        }
    }

    #[test]
    fn times_have_their_two_largest_units() {
        for (value, text) in [
            (0.0, "0 s"),
            (45.0, "45 s"),
            (60.0, "1 m"),
            (90.0, "1 m 30 s"),
            (12_000.0, "3 h 20 m"),
            (3_600.0, "1 h"),
            (187_200.0, "2 d 4 h"),
            (86_400.0 * 9_999.0, "9999 d"),
            (86_400.0 * 12_345.0, "12.3 k d"),
        ] {
            assert_eq!(show(Units::Seconds, value), text);
        }
    }

    #[test]
    fn sizes_are_binary() {
        for (value, text) in [
            (0.0, "0 B"),
            (1_023.0, "1023 B"),
            (1_024.0, "1 KiB"),
            (1_503_238_553.0, "1.4 GiB"),
            (1_048_575.9, "1 MiB"),
            (2_f64.powi(128), "2.7e8 QiB"),
        ] {
            assert_eq!(show(Units::Bytes, value), text);
        }
    }

    #[test]
    fn steps_are_those_that_people_count_in() {
        let first = |units, number| steps(units).take(number).collect::<Vec<_>>();
        assert_eq!(first(Units::Count, 11), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3]);
        assert_eq!(first(Units::Bytes, 11)[8..], [500.0, 1024.0, 2048.0]);
        let times = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];
        assert_eq!(first(Units::Seconds, 19)[..18], times.map(f64::from));
        assert_eq!(first(Units::Seconds, 19)[18..], [172_800.0]);
        for units in [Units::Count, Units::Bytes, Units::Seconds] {
            assert!(steps(units).any(|step| step > 2_f64.powi(128)), "{units:?}");
        }
    }

    #[test]
    fn the_labels_of_an_axis_are_of_one_unit() {
        assert_eq!(tick(Units::Count, 20.0, 0), "0");
        assert_eq!(tick(Units::Count, 500.0, 3), "1.5 k");
        assert_eq!(tick(Units::Bytes, 500.0 * 1024.0, 3), "1500 KiB");
        assert_eq!(tick(Units::Seconds, 1_800.0, 3), "1 h 30 m");
    }
}
