//! Plot data as text: what JSON and CSV share, and CSV itself.
//!
//! Not here: JSON (`json`).

use crate::plot::{Bucket, Plot, Series};
use crate::rollup::Scope;
use crate::time::{Date, Timestamp};

/// Writes one value after the other. The text is put together in one place and changed from value to value, since a year
/// by the hour has a quarter of a million of them.
pub(super) struct ValueWriter {
    with_ids: bool,
    datetime: DateTime,
    digits: itoa::Buffer,
}

impl ValueWriter {
    pub(super) fn new(with_ids: bool) -> Self {
        Self { with_ids, datetime: DateTime::new(), digits: itoa::Buffer::new() }
    }

    /// Appends what stands before the id, the id, if values have ids, and what stands behind it.
    pub(super) fn id(&mut self, out: &mut Vec<u8>, before: &[u8], bucket: Bucket, behind: &[u8]) {
        if let (true, Scope::Choice(choice)) = (self.with_ids, bucket.scope) {
            out.extend_from_slice(before);
            out.extend_from_slice(self.digits.format(choice.get()).as_bytes());
            out.extend_from_slice(behind);
        }
    }

    /// Appends the start of a bucket without the zone, which is UTC: `2015-10-05T00:00:00`.
    pub(super) fn datetime(&mut self, out: &mut Vec<u8>, bucket: Bucket) {
        out.extend_from_slice(self.datetime.of(bucket.start));
    }

    /// Appends a value.
    pub(super) fn value(&mut self, out: &mut Vec<u8>, value: u128) {
        // Nearly all values are small, and 128 bits take longer.
        let digits = match u64::try_from(value) {
            Ok(value) => self.digits.format(value),
            Err(_) => self.digits.format(value),
        };
        out.extend_from_slice(digits.as_bytes());
    }
}

/// A date and time that changes from bucket to bucket.
struct DateTime {
    date: Option<Date>,
    text: [u8; 19],
}

impl DateTime {
    fn new() -> Self {
        Self { date: None, text: *b"0000-00-00T00:00:00" }
    }

    fn of(&mut self, start: Timestamp) -> &[u8; 19] {
        let date = start.date();
        if self.date != Some(date) {
            self.date = Some(date);
            self.text[..10].copy_from_slice(&date.to_text());
        }
        let hour = start.hour();
        (self.text[11], self.text[12]) = (b'0' + hour / 10, b'0' + hour % 10);
        &self.text
    }
}

/// How many digits the largest value of a series has.
pub(super) fn most_digits(series: &Series) -> usize {
    series.bounds_y().map_or(0, |(_, max)| max.checked_ilog10().unwrap_or(0) as usize + 1)
}

/// The digits of an id, at most.
pub(super) const ID_DIGITS: usize = 16;

const CSV_HEADER: &[u8] = b"column,id,datetime,value\n";

/// How long the CSV of a plot can be, in bytes.
pub(super) fn most_bytes(plot: &Plot<'_>) -> usize {
    let value =
        |series: &Series| series.column.name.len() + ",,2015-10-05T00:00:00,\n".len() + ID_DIGITS + most_digits(series);
    CSV_HEADER.len() + plot.series().iter().map(|series| series.len() * value(series)).sum::<usize>()
}

/// The values as CSV lines: `column,id,datetime,value`. No value needs quotes.
pub(super) fn write(plot: &Plot<'_>, with_ids: bool) -> Vec<u8> {
    let mut lines = Vec::with_capacity(most_bytes(plot));
    lines.extend_from_slice(CSV_HEADER);
    let mut write = ValueWriter::new(with_ids);
    for series in plot.series() {
        for (bucket, value) in plot.points(series) {
            lines.extend_from_slice(series.column.name.as_bytes());
            lines.push(b',');
            write.id(&mut lines, b"", bucket, b"");
            lines.push(b',');
            write.datetime(&mut lines, bucket);
            lines.push(b',');
            write.value(&mut lines, value);
            lines.push(b'\n');
        }
    }
    lines
}
