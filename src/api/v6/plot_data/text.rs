//! Plot data as text: what JSON and CSV share, and CSV itself.
//!
//! Not here: JSON (`json`).

use crate::plot::{Plot, Series};
use crate::rollup::Scope;
use crate::time::{Date, Timestamp};

/// The start of a bucket without the zone, which is UTC: `2015-10-05T00:00:00`. Written once and changed from bucket to
/// bucket: a year by the hour shows a quarter of a million of them.
pub(super) struct DateTime {
    date: Option<Date>,
    text: [u8; 19],
}

impl DateTime {
    pub(super) fn new() -> Self {
        Self { date: None, text: *b"0000-00-00T00:00:00" }
    }

    pub(super) fn of(&mut self, start: Timestamp) -> &[u8; 19] {
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
    let of = |series: &Series| {
        series.len() * (series.column.name.len() + ID_DIGITS + "2015-10-05T00:00:00".len() + most_digits(series) + 4)
    };
    CSV_HEADER.len() + plot.series().iter().map(of).sum::<usize>()
}

/// The values as CSV lines: `column,id,datetime,value`. No value needs quotes.
pub(super) fn write(plot: &Plot<'_>, with_ids: bool) -> Vec<u8> {
    let mut lines = Vec::with_capacity(most_bytes(plot));
    lines.extend_from_slice(CSV_HEADER);
    let (mut datetime, mut digits) = (DateTime::new(), itoa::Buffer::new());
    for series in plot.series() {
        for (bucket, value) in plot.points(series) {
            lines.extend_from_slice(series.column.name.as_bytes());
            lines.push(b',');
            if let (true, Scope::Choice(choice)) = (with_ids, bucket.scope) {
                lines.extend_from_slice(digits.format(choice.get()).as_bytes());
            }
            lines.push(b',');
            lines.extend_from_slice(datetime.of(bucket.start));
            lines.push(b',');
            lines.extend_from_slice(digits.format(value).as_bytes());
            lines.push(b'\n');
        }
    }
    lines
}
