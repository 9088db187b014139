//! A parser for the text forms of ISO-8601, which reads a text part by part from the front.
//!
//! Parsing has two steps: whether the text has the right form, then whether that day or time exists.

use chrono::NaiveDate;

use super::{DAY_US, Duration, HOUR_US, SECOND_US};

/// Year, month and day as written.
#[derive(Clone, Copy)]
pub(super) struct WrittenDate([u32; 3]);

impl WrittenDate {
    /// Returns the date at the beginning of a text of the form [`DATE`].
    fn of(pairs: &[u8; 16]) -> Self {
        let [century, year, month, day] = [pairs[0], pairs[2], pairs[5], pairs[8]].map(u32::from);
        Self([century * 100 + year, month, day])
    }

    /// Returns the days since 1970, negative before; `None` if the calendar has no such day.
    pub(super) fn days(self) -> Option<i64> {
        let [year, month, day] = self.0;
        let date = NaiveDate::from_ymd_opt(year.try_into().ok()?, month, day)?;
        Some(i64::from(date.to_epoch_days()))
    }
}

/// A date and a clock time as written, with its offset from UTC.
pub(super) struct WrittenTime {
    date: WrittenDate,
    hour: u32,
    minute: u32,
    second: u32,
    us: u32,
    /// Whether the offset was written, also as `Z`.
    pub(super) has_offset: bool,
    is_west: bool,
    offset_hours: u32,
    offset_minutes: u32,
}

impl WrittenTime {
    /// Returns the microseconds since 1970, negative before; `None` if there is no such date, time or offset.
    pub(super) fn micros(&self) -> Option<i64> {
        let days = self.date.days()?;
        let minute_us = match self.second {
            0..60 => u64::from(self.second) * SECOND_US + u64::from(self.us),
            60 => 60 * SECOND_US - 1,
            _ => return None,
        };
        if self.hour >= 24 || self.minute >= 60 || self.offset_hours >= 24 || self.offset_minutes >= 60 {
            return None;
        }
        let offset = i64::from(self.offset_hours * 60 + self.offset_minutes);
        let minutes = i64::from(self.hour * 60 + self.minute) + if self.is_west { offset } else { -offset };
        Some((days * 24 * 60 + minutes) * 60 * SECOND_US.cast_signed() + minute_us.cast_signed())
    }
}

const DATE: Form<10> = Form::new(b"0000-00-00");
const DATE_AND_MINUTE: Form<16> = Form::new(b"0000-00-00T00:00");
const TWO_DIGITS: Form<2> = Form::new(b"00");

/// A pattern for a text of `N` bytes, at most 16. In the pattern, `0` stands for any digit and every other byte for itself. All
/// bytes are compared together, as one number of 128 bits, because reading times is a large part of the cost of an event.
#[derive(Clone, Copy)]
struct Form<const N: usize> {
    text: u128,
    /// The number to add to each byte after the XOR with the pattern, so that a wrong byte reaches 128.
    excess: u128,
}

impl<const N: usize> Form<N> {
    const fn new(form: &[u8; N]) -> Self {
        let (mut text, mut excess, mut place) = (0, 0, N);
        while place > 0 {
            place -= 1;
            let most = if form[place] == b'0' { 9 } else { 0 };
            text = text << 8 | form[place] as u128;
            excess = excess << 8 | (127 - most);
        }
        Self { text, excess }
    }

    /// Returns the digits if the text has this form: the value at the index of a digit is the two-digit number of this digit and
    /// the next byte.
    fn read(self, text: &[u8; N]) -> Option<[u8; 16]> {
        const HIGH_BITS: u128 = u128::from_le_bytes([0x80; 16]);
        let mut padded = [0; 16];
        padded[..N].copy_from_slice(text);
        let digits = u128::from_le_bytes(padded) ^ self.text;
        let wrong = (digits.wrapping_add(self.excess) | digits) & HIGH_BITS;
        // No byte exceeds 99, so none overflows into the next.
        (wrong == 0).then(|| (digits * 10 + (digits >> 8)).to_le_bytes())
    }
}

/// Reads the parts of ISO-8601 texts from the front. Methods return `None` if the form is wrong.
pub(super) struct Scanner<'a>(pub(super) &'a [u8]);

impl Scanner<'_> {
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.eat(byte).then_some(())
    }

    /// Reads a text of this form; see [`Form::read`].
    fn form<const N: usize>(&mut self, form: Form<N>) -> Option<[u8; 16]> {
        let (text, rest) = self.0.split_first_chunk()?;
        let pairs = form.read(text)?;
        self.0 = rest;
        Some(pairs)
    }

    /// Reads all following digits, at least one.
    fn run(&mut self) -> Option<&[u8]> {
        let end = self.0.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.0.len());
        let (run, rest) = self.0.split_at(end);
        self.0 = rest;
        (!run.is_empty()).then_some(run)
    }

    /// Whether a fraction follows, after `.` or `,`. Reads this mark.
    fn has_fraction(&mut self) -> bool {
        self.eat(b'.') || self.eat(b',')
    }

    /// Reads the digits of a fraction, at least one, in millionths. Digits after the sixth are cut off.
    fn millionths(&mut self) -> Option<u32> {
        let (mut millionths, mut each) = (0, 100_000);
        let before = self.0.len();
        while let [byte @ b'0'..=b'9', rest @ ..] = self.0 {
            millionths += u32::from(byte - b'0') * each;
            each /= 10;
            self.0 = rest;
        }
        (self.0.len() < before).then_some(millionths)
    }

    pub(super) fn date(&mut self) -> Option<WrittenDate> {
        self.form(DATE).map(|pairs| WrittenDate::of(&pairs))
    }

    pub(super) fn time(&mut self) -> Option<WrittenTime> {
        let pairs = self.form(DATE_AND_MINUTE)?;
        let (date, hour, minute) = (WrittenDate::of(&pairs), pairs[11].into(), pairs[14].into());
        let (mut second, mut us) = (0, 0);
        if self.eat(b':') {
            second = self.two_digits()?;
            if self.has_fraction() {
                us = self.millionths()?;
            }
        }
        let (mut is_west, mut offset_hours, mut offset_minutes) = (false, 0, 0);
        let has_offset = !self.0.is_empty();
        if has_offset && !self.eat(b'Z') {
            is_west = self.eat(b'-');
            if !is_west {
                self.expect(b'+')?;
            }
            offset_hours = self.two_digits()?;
            if self.eat(b':') || !self.0.is_empty() {
                offset_minutes = self.two_digits()?;
            }
        }
        Some(WrittenTime { date, hour, minute, second, us, has_offset, is_west, offset_hours, offset_minutes })
    }

    fn two_digits(&mut self) -> Option<u32> {
        self.form(TWO_DIGITS).map(|pairs| pairs[0].into())
    }

    pub(super) fn duration(&mut self) -> Option<Duration> {
        self.expect(b'P')?;
        let mut designators: &[(u8, Part)] = &[
            (b'Y', Part::Months(12)),
            (b'M', Part::Months(1)),
            (b'W', Part::Micros(7 * DAY_US)),
            (b'D', Part::Micros(DAY_US)),
        ];
        let (mut months, mut part, mut us) = (0_u32, None, 0_u64);
        let (mut parts, mut in_time, mut has_fraction) = (0, false, false);
        while !self.0.is_empty() {
            if !in_time && self.eat(b'T') {
                in_time = true;
                designators = &[
                    (b'H', Part::Micros(HOUR_US)),
                    (b'M', Part::Micros(60 * SECOND_US)),
                    (b'S', Part::Micros(SECOND_US)),
                ];
                parts = 0;
                continue;
            }
            if has_fraction {
                return None;
            }
            let whole = saturating(self.run()?);
            has_fraction = self.has_fraction();
            let millionths = if has_fraction { self.millionths()? } else { 0 };
            let (&designator, rest) = self.0.split_first()?;
            self.0 = rest;
            let place = designators.iter().position(|&(letter, _)| letter == designator)?;
            match designators[place].1 {
                Part::Months(each) => {
                    part = has_fraction.then_some((each, millionths));
                    let whole = u32::try_from(whole).unwrap_or(u32::MAX);
                    months = months.saturating_add(whole.saturating_mul(each));
                }
                Part::Micros(each) => {
                    // Every unit is a whole number of seconds, so a millionth of it is a whole number of microseconds.
                    let part = u64::from(millionths) * (each / SECOND_US);
                    us = us.saturating_add(whole.saturating_mul(each)).saturating_add(part);
                }
            }
            designators = &designators[place + 1..];
            parts += 1;
        }
        // `P` and a trailing `T` are not parts. A text without parts is no duration.
        (parts > 0).then_some(Duration { months, part, us })
    }
}

/// The unit of one number of a duration.
#[derive(Clone, Copy)]
enum Part {
    Months(u32),
    Micros(u64),
}

/// Returns the number of these digits, or the largest possible one if it is too large.
fn saturating(digits: &[u8]) -> u64 {
    digits.iter().fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
}
