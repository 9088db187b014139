//! Plot data as JSON, written straight into the body, since a year by the hour has a quarter of a million values.

use serde::Serialize;
use utoipa::ToSchema;

use super::items::{Form, ID_DIGITS, Items, datetime_bytes, most_digits};
use crate::api::v6::ColumnView;
use crate::plot::{Plot, Series};
use crate::time::{Calendar, Date, Timestamp};

/// The values of a column, oldest first, and how far they reach.
#[derive(Serialize, ToSchema)]
#[schema(as = Series)]
pub(in crate::api) struct SeriesHead {
    column: ColumnView,
    /// The date of the first value; `null` if there is none.
    #[schema(value_type = Option<Date>)]
    min_x: Option<String>,
    /// The date of the last value; `null` if there is none.
    #[schema(value_type = Option<Date>)]
    max_x: Option<String>,
    /// The smallest value; `null` if there is none.
    min_y: Option<u128>,
    /// The largest value; `null` if there is none.
    max_y: Option<u128>,
}

impl SeriesHead {
    fn of(plot: &Plot<'_>, series: &Series, calendar: Calendar) -> Self {
        let (x, y) = (plot.bounds_x(series), series.bounds_y());
        let date = |start: Timestamp| calendar.local_start(start).date().to_string();
        Self {
            column: series.column.into(),
            min_x: x.map(|(min, _)| date(min)),
            max_x: x.map(|(_, max)| date(max)),
            min_y: y.map(|(min, _)| min),
            max_y: y.map(|(_, max)| max),
        }
    }
}

/// The largest length of a head, in bytes; the longest one of the catalogue is not half as long.
const HEAD_BYTES: usize = 1 << 10;

/// The largest length of the results of a plot, in bytes.
pub(super) fn most_bytes(plot: &Plot<'_>, calendar: Calendar) -> usize {
    let time = datetime_bytes(calendar);
    let value = |series| r#"{"id":,"datetime":"","value":},"#.len() + time + ID_DIGITS + most_digits(series);
    plot.series().iter().map(|series| HEAD_BYTES + series.len() * value(series)).sum()
}

/// Returns the body: `opening`, then the results, then the ends of the list and the object that `opening` begins.
pub(super) fn write(opening: &[u8], plot: &Plot<'_>, calendar: Calendar, with_ids: bool) -> Vec<u8> {
    let mut body = Vec::with_capacity(opening.len() + most_bytes(plot, calendar));
    body.extend_from_slice(opening);
    let (before, behind_id): (&[u8], Option<&[u8]>) =
        if with_ids { (br#"{"id":"#, Some(br#","datetime":""#)) } else { (br#"{"datetime":""#, None) };
    let mut items = Items::new(Form { before, behind_id, before_value: br#"","value":"#, behind: *b"}," }, calendar);
    for series in plot.series() {
        serde_json::to_writer(&mut body, &SeriesHead::of(plot, series, calendar))
            .expect("a head is plain texts and numbers");
        // The values come after the other fields.
        body.pop();
        body.extend_from_slice(br#","values":["#);
        for (bucket, value) in plot.points(series) {
            items.write(&mut body, bucket, value);
        }
        close_list(&mut body);
        body.extend_from_slice(b"},");
    }
    close_list(&mut body);
    body.push(b'}');
    body
}

/// Closes a list. Each of its items, if there are any, is followed by a comma.
fn close_list(body: &mut Vec<u8>) {
    if body.last() == Some(&b',') {
        body.pop();
    }
    body.push(b']');
}
