//! Plot data as CSV.

use super::items::{Form, ID_DIGITS, Items, datetime_bytes, most_digits};
use crate::plot::{Plot, Series};
use crate::time::Calendar;

const HEADER: &[u8] = b"column,id,datetime,value\n";

/// The largest length of the CSV of a plot, in bytes.
pub(super) fn most_bytes(plot: &Plot<'_>, calendar: Calendar) -> usize {
    let time = datetime_bytes(calendar);
    let value = |series: &Series| series.column.name.len() + ",,,\n".len() + time + ID_DIGITS + most_digits(series);
    HEADER.len() + plot.series().iter().map(|series| series.len() * value(series)).sum::<usize>()
}

/// Returns the values as CSV lines: `column,id,datetime,value`. No value needs quotes.
pub(super) fn write(plot: &Plot<'_>, calendar: Calendar, with_ids: bool) -> Vec<u8> {
    let mut lines = Vec::with_capacity(most_bytes(plot, calendar));
    lines.extend_from_slice(HEADER);
    for series in plot.series() {
        let name = &series.column.name;
        let before = if with_ids { format!("{name},") } else { format!("{name},,") };
        let behind_id = with_ids.then_some(b",".as_slice());
        let form = Form { before: before.as_bytes(), behind_id, before_value: b",", behind: *b"\n" };
        let mut items = Items::new(form, calendar);
        for (bucket, value) in plot.points(series) {
            items.write(&mut lines, bucket, value);
        }
    }
    lines
}
