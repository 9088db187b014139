//! Writes the values of a plot one after the other: the code that JSON and CSV share.
//!
//! Not here: what is around the values (`json`, `csv`).

use crate::plot::{Bucket, Series};
use crate::rollup::RollupScope;
use crate::time::{Calendar, Date, Timestamp};
use crate::vocabulary::ChoiceId;

/// The format of an item, which is a value with its bucket. `N` bytes end it.
pub(super) struct Form<'a, const N: usize> {
    /// The bytes at the beginning of an item.
    pub(super) before: &'a [u8],
    /// The bytes between the id of the choice and the date and time; if `None`, items have no id.
    pub(super) behind_id: Option<&'a [u8]>,
    /// The bytes between the date and time and the value.
    pub(super) before_value: &'a [u8],
    /// The bytes at the end of an item.
    pub(super) behind: [u8; N],
}

/// Writes items one after the other. Each item is composed in one buffer, which keeps the parts that the item shares with the one
/// before, and is then appended as a whole: a year by the hour has a quarter of a million items.
pub(super) struct Items<'a, const N: usize> {
    form: Form<'a, N>,
    calendar: Calendar,
    text: [u8; ITEM_BYTES],
    /// The positions at which the item begins, its id ends, and its value begins.
    start: usize,
    id_end: usize,
    value: usize,
    /// The time, the UTC day of it and the choice that the buffer has.
    time: Option<Timestamp>,
    date: Option<Date>,
    choice: Option<ChoiceId>,
}

/// The position of the date and time in the buffer, such as `2015-10-05T00:00:00`, which is UTC without a suffix. Before it,
/// there is room for the longest name of a column and an id.
const DATETIME: usize = 96;
const DATETIME_BYTES: usize = "2015-10-05T00:00:00".len();
/// The longest suffix for another zone than UTC.
const OFFSET_BYTES: usize = "-00:44:30".len();
/// The length of the buffer. After the date and time, there is room for a value of 128 bits.
const ITEM_BYTES: usize = 192;

/// The largest length of a date and time, in bytes.
pub(super) fn datetime_bytes(calendar: Calendar) -> usize {
    if calendar.zone.is_utc() { DATETIME_BYTES } else { DATETIME_BYTES + OFFSET_BYTES }
}

impl<'a, const N: usize> Items<'a, N> {
    pub(super) fn new(form: Form<'a, N>, calendar: Calendar) -> Self {
        let mut text = [0; ITEM_BYTES];
        let before_datetime = form.behind_id.unwrap_or(form.before);
        let id_end = DATETIME - before_datetime.len();
        text[id_end..DATETIME].copy_from_slice(before_datetime);
        let mut items =
            Self { form, calendar, text, start: id_end, id_end, value: 0, time: None, date: None, choice: None };
        items.put_time(b"0000-00-00T00:00:00");
        items
    }

    /// Appends an item.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, bucket: Bucket, value: u128) {
        let Bucket { start, scope } = bucket;
        if self.time != Some(start) {
            self.time = Some(start);
            self.show_time(start);
        }
        if let (Some(_), RollupScope::Choice(choice)) = (self.form.behind_id, scope)
            && self.choice != Some(choice)
        {
            self.choice = Some(choice);
            self.start = self.id_end;
            self.put_before(itoa::Buffer::new().format(choice.get()).as_bytes());
            self.put_before(self.form.before);
        }
        let mut digits = itoa::Buffer::new();
        // Nearly all values are small, and formatting 128 bits takes longer.
        let digits = match u64::try_from(value) {
            Ok(value) => digits.format(value),
            Err(_) => digits.format(value),
        };
        let end = self.value + digits.len();
        self.text[self.value..end].copy_from_slice(digits.as_bytes());
        self.text[end..end + N].copy_from_slice(&self.form.behind);
        out.extend_from_slice(&self.text[self.start..end + N]);
    }

    fn show_time(&mut self, time: Timestamp) {
        if !self.calendar.zone.is_utc() || time == Timestamp::MIN {
            return self.put_time(self.calendar.text_of(time).as_bytes());
        }
        // In UTC, a bucket begins at a full hour.
        let (date, hour) = (time.date(), time.hour());
        if self.date != Some(date) {
            self.date = Some(date);
            self.text[DATETIME..][..10].copy_from_slice(&date.to_text());
        }
        [self.text[DATETIME + 11], self.text[DATETIME + 12]] = [b'0' + hour / 10, b'0' + hour % 10];
    }

    /// Puts a date and time into its place, and what comes before the value behind it.
    fn put_time(&mut self, text: &[u8]) {
        self.date = None;
        let end = DATETIME + text.len();
        self.value = end + self.form.before_value.len();
        self.text[DATETIME..end].copy_from_slice(text);
        self.text[end..self.value].copy_from_slice(self.form.before_value);
    }

    fn put_before(&mut self, part: &[u8]) {
        let end = self.start;
        self.start -= part.len();
        self.text[self.start..end].copy_from_slice(part);
    }
}

/// The number of digits of the largest value of a series.
pub(super) fn most_digits(series: &Series) -> usize {
    series.bounds_y().map_or(0, |(_, max)| max.checked_ilog10().unwrap_or(0) as usize + 1)
}

/// The largest number of digits of an id.
pub(super) const ID_DIGITS: usize = 16;
