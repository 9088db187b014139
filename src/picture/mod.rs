//! Draws plot data as a picture in SVG.
//!
//! A [`Drawing`] says how the picture looks; [`draw`] takes the values of a plot and writes the whole document. It turns values
//! into marks (`marks`), computes the layout (`frame`, `axes`), and writes marks (`paths`) and texts (`text`). No library draws:
//! three shapes and a linear scale do not need one. The document has attributes only and no styles, so that a page with a strict
//! policy may show it. The attributes `data-plot` and its siblings describe the plot to a script of the page.
//!
//! Not here: how a picture is asked for (`api::v6::plot_data`), where values come from (`plot`).

mod axes;
mod frame;
mod marks;
mod palette;
mod paths;
mod series;
mod span;
mod text;
mod units;

use std::fmt::Write as _;
use std::iter;

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use self::axes::Tick;
use self::frame::{APART, BESIDE, Frame, SQUARE};
use self::marks::{Bar, Cells, Point, Row};
use self::palette::{Colour, Palette};
use self::paths::Position;
use self::series::Series;
use self::span::Span;
use self::text::{Anchor, escape};
use crate::catalog::Units;
use crate::events::Choices;
use crate::plot::{Plot, Query};
use crate::time::{Resolution, Timestamp};

pub use palette::Theme;
pub use series::keys;

/// The maximum number of series of a picture, hidden or not.
pub const MOST_SERIES: usize = 24;
/// The maximum number of units of a picture, since there is one axis on each side.
pub const MOST_UNITS: usize = 2;

/// The maximum memory that drawing takes, in bytes, including the picture itself.
pub const MOST_BYTES: usize = 1 << 20;

/// How values are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The series of a bucket are side by side.
    Bar,
    /// A line connects the middle of each bucket with that of the next one.
    Line,
    /// The series of a bucket are stacked.
    Stacked,
}

/// How a picture looks. Two drawings are equal if they look the same for the same values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Drawing {
    /// How values are drawn.
    pub kind: Kind,
    /// The width in pixels, at least 240.
    pub width: u32,
    /// The height in pixels, at least 120.
    pub height: u32,
    /// The theme of the page that shows the picture.
    pub theme: Theme,
    /// Whether the picture has a title, the names of the series, and a background surface.
    pub legend: bool,
    /// For each series, whether it is hidden.
    pub hidden: Vec<bool>,
}

/// Why a query has no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// More series than a reader can tell apart: so many columns of each of so many choices.
    #[error(
        "a picture has at most {MOST_SERIES} series, and this one would have {columns} columns of {choices} choices; ask for \
         fewer columns (column, group) or fewer choices (choice_id, or a filter)"
    )]
    ManySeries {
        /// The number of columns.
        columns: usize,
        /// The number of choices of each column.
        choices: usize,
    },
    /// More units than there are axes.
    #[error(
        "a picture has at most {MOST_UNITS} units, and these columns have {}; ask for fewer columns (column, group)",
        list(.0)
    )]
    ManyUnits(Vec<Units>),
    /// A stack of columns that cannot be added up.
    #[error("stacks need columns of one unit, and these have {}", list(.0))]
    MixedStack(Vec<Units>),
}

/// Checks that a picture of the query can be drawn.
pub fn check(query: &Query, kind: Kind) -> Result<(), Impossible> {
    let (columns, choices) = (query.columns.len(), series::scopes(query).len());
    if columns.saturating_mul(choices) > MOST_SERIES {
        return Err(Impossible::ManySeries { columns, choices });
    }
    let mut units = Vec::new();
    for column in &query.columns {
        if !units.contains(&column.units) {
            units.push(column.units);
        }
    }
    match units.len() {
        1 => Ok(()),
        2 if kind != Kind::Stacked => Ok(()),
        2 => Err(Impossible::MixedStack(units)),
        _ => Err(Impossible::ManyUnits(units)),
    }
}

fn list(units: &[Units]) -> String {
    units.iter().map(|units| units.name()).collect::<Vec<_>>().join(", ")
}

/// Draws the values of a query that [`check`] has accepted.
pub fn draw(drawing: &Drawing, query: &Query, plot: &Plot<'_>, choices: &Choices, with_ids: bool) -> String {
    let all = series::all(query, choices, with_ids);
    let shown: Vec<_> = all.iter().filter(|series| !drawing.hidden[series.number]).collect();
    let span = span(query, plot);
    let scopes = series::scopes(query);
    let rows = || marks::rows(plot, span, &scopes, &drawing.hidden);
    let largest = frame::largest(drawing.kind, &all, rows());
    let frame = Frame::new(drawing, &shown, &largest);
    let (room_left, room_right) = (f64::from(frame.left), f64::from(drawing.width - frame.right()));
    let picture = Picture {
        palette: drawing.theme.palette(),
        ticks: axes::time_ticks(span, f64::from(frame.width), room_left, room_right),
        drawing,
        shown,
        span,
        frame,
    };
    let mut body = String::new();
    picture.write_marks(&mut body, rows());
    let title = series::title(query, choices, with_ids);
    picture.write_texts(&mut body, &title, rows().next().is_none());
    let description = describe(query, choices, span, drawing.kind, &picture.shown, &largest);
    picture.whole(&body, &title, &description, &all)
}

/// The time range of a picture. It begins at the requested start, or else at the first value. It ends at the requested end.
fn span(query: &Query, plot: &Plot<'_>) -> Span {
    let first = plot.series().iter().filter_map(|series| Some(plot.points(series).next()?.0.start)).min();
    let (started, last) = (query.range.started, query.range.ended);
    let from = if started > Timestamp::MIN { started } else { first.unwrap_or(last) };
    Span { calendar: query.calendar, from, last }
}

/// Describes the picture for people who cannot see it.
fn describe(
    query: &Query,
    choices: &Choices,
    span: Span,
    kind: Kind,
    shown: &[&Series],
    largest: &[(Units, f64)],
) -> String {
    let kind = match kind {
        Kind::Bar => "Bars",
        Kind::Line => "Lines",
        Kind::Stacked => "Stacked bars",
    };
    let bucket = match query.calendar.resolution {
        Resolution::Day => "day",
        Resolution::Hour => "hour",
        Resolution::Week => "week",
        Resolution::Month => "month",
    };
    let names: Vec<_> = shown.iter().map(|series| series.name.as_str()).collect();
    let largest: Vec<_> = largest.iter().map(|&(units, largest)| units::show(units, largest)).collect();
    format!(
        "{kind} by {bucket} from {} to {}, of {}: {}. At most {}.",
        span.calendar.zone.instant_text(span.from),
        span.calendar.zone.instant_text(span.end()),
        series::whose(query, choices),
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") },
        largest.join(" and "),
    )
}

/// A picture whose layout is known.
struct Picture<'a> {
    drawing: &'a Drawing,
    palette: &'static Palette,
    /// The series that are not hidden.
    shown: Vec<&'a Series>,
    span: Span,
    frame: Frame,
    ticks: Vec<Tick>,
}

/// The reason why writing cannot fail.
const TAKEN: &str = "a text takes all that is written to it";

impl Picture<'_> {
    /// Wraps what was drawn into the whole document.
    fn whole(&self, body: &str, title: &str, description: &str, all: &[Series]) -> String {
        let Drawing { width, height, .. } = *self.drawing;
        let Frame { left, top, width: plot_width, height: plot_height, .. } = self.frame;
        // A page may have several pictures, and each id only once.
        let id = format!("{:x}", xxh3_64(body.as_bytes()) ^ xxh3_64(description.as_bytes()));
        let mut svg = String::with_capacity(body.len() + 2_000);
        write!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title-{id} desc-{id}" data-plot="{left} {top} {plot_width} {plot_height}" data-from="{}" data-to="{}" data-bucket="{}" data-series=""#,
            self.span.from,
            self.span.end(),
            self.span.bucket(),
        )
        .expect(TAKEN);
        escape(&mut svg, &self.series(all));
        write!(svg, r#""><title id="title-{id}">"#).expect(TAKEN);
        escape(&mut svg, title);
        write!(svg, r#"</title><desc id="desc-{id}">"#).expect(TAKEN);
        escape(&mut svg, description);
        svg.push_str("</desc>");
        svg.push_str(body);
        svg.push_str("</svg>\n");
        svg
    }

    /// All series as JSON, for scripts.
    fn series(&self, all: &[Series]) -> String {
        let about = |series: &Series| {
            let Series { key, title, units, .. } = series;
            let color = self.palette.series(series.number).to_string();
            json!({ "key": key, "title": title, "units": units.name(), "color": color })
        };
        all.iter().map(about).collect::<Value>().to_string()
    }

    /// Writes the surface, the lines behind the marks, the marks, and the base line that they stand on.
    fn write_marks(&self, svg: &mut String, rows: impl Iterator<Item = Row>) {
        let Drawing { width, height, .. } = *self.drawing;
        if self.drawing.legend {
            write!(svg, r#"<rect width="{width}" height="{height}" fill="{}"/>"#, self.palette.surface).expect(TAKEN);
        }
        let Frame { left, width, .. } = self.frame;
        let grid = self.frame.steps().skip(1).map(|(y, _)| [left, y, width, 1]);
        paths::rectangles(svg, self.palette.grid, grid.map(tenths));
        match self.drawing.kind {
            Kind::Bar => {
                let cells = self.cells(self.shown.len());
                self.write_bars(svg, cells, &marks::bars(rows, cells));
            }
            Kind::Stacked => {
                let cells = self.cells(1);
                self.write_bars(svg, cells, &marks::stacks(rows, cells));
            }
            Kind::Line => self.write_lines(svg, &marks::lines(rows, self.cells(1))),
        }
        let bottom = self.frame.bottom();
        let ticks = self.ticks.iter().map(|tick| [left + frame::nearest(tick.x), bottom + 1, 1, 4]);
        paths::rectangles(svg, self.palette.base, iter::once([left, bottom, width, 1]).chain(ticks).map(tenths));
    }

    /// The cells that have room for `side_by_side` marks next to each other.
    fn cells(&self, side_by_side: usize) -> Cells {
        let count = |series: usize| u32::try_from(series).expect("a picture has few series");
        Cells::new(self.span.buckets(), self.frame.width, count(side_by_side), count(self.shown.len()))
    }

    fn write_bars(&self, svg: &mut String, cells: Cells, bars: &[Vec<Bar>]) {
        let slots = if self.drawing.kind == Kind::Stacked { 1 } else { self.shown.len() };
        let buckets = self.span.buckets();
        let x = |bucket: u32| f64::from(self.frame.width) * f64::from(bucket) / f64::from(buckets);
        for (place, series) in self.shown.iter().enumerate() {
            // Side by side, the bar of a value above 0 is at least one pixel high.
            let least = self.frame.axis(series.units).top() / f64::from(self.frame.height);
            let rectangles = bars[series.number].iter().map(|bar| {
                let (first, end) = cells.buckets(bar.cell, buckets);
                let (left, right) = marks::slot(x(first), x(end), place % slots, slots);
                let high = if self.drawing.kind == Kind::Bar { bar.high.max(least) } else { bar.high };
                let ((left, bottom), (right, top)) =
                    (self.position(series, left, bar.low), self.position(series, right, high));
                [left, top, right - left, bottom - top]
            });
            paths::rectangles(svg, self.colour(series), rectangles);
        }
    }

    fn write_lines(&self, svg: &mut String, lines: &[Vec<Vec<Point>>]) {
        let bucket = f64::from(self.frame.width) / f64::from(self.span.buckets());
        for series in &self.shown {
            let place = |&(number, value): &Point| self.position(series, (f64::from(number) + 0.5) * bucket, value);
            let (dots, pieces): (Vec<_>, Vec<_>) = lines[series.number].iter().partition(|piece| piece.len() == 1);
            paths::lines(svg, self.colour(series), pieces.into_iter().map(|piece| piece.iter().map(place)));
            paths::dots(svg, self.colour(series), dots.into_iter().flatten().map(place));
        }
    }

    /// The position of a value of a series, `x` pixels from the left edge of the plot.
    fn position(&self, series: &Series, x: f64, value: f64) -> Position {
        let Frame { left, width, height, .. } = self.frame;
        // The thousandth makes up for errors of rounding, so that whole pixels stay whole.
        let part =
            |part: f64, pixels: u32| frame::nearest((f64::from(pixels * 10) * part + 1e-3).floor()).cast_signed();
        let right = part(x / f64::from(width), width);
        let up = part(value / self.frame.axis(series.units).top(), height);
        let [left, bottom] = tenths([left, self.frame.bottom()]);
        (left + right, bottom - up)
    }

    fn colour(&self, series: &Series) -> Colour {
        self.palette.series(series.number)
    }

    /// Writes the title, the legend and the labels of the axes, and a note if there are no values.
    fn write_texts(&self, svg: &mut String, title: &str, is_empty: bool) {
        let Self { palette, frame, .. } = self;
        write!(svg, r#"<g font-family="system-ui, sans-serif" font-size="12" fill="{}">"#, palette.text).expect(TAKEN);
        if self.drawing.legend {
            self.write_legend(svg, title);
        }
        let places = [(f64::from(frame.left) - APART, Anchor::End), (f64::from(frame.right()) + APART, Anchor::Start)];
        for (y, labels) in frame.steps() {
            for (label, (x, anchor)) in labels.iter().zip(places) {
                text::write(svg, (x, f64::from(y) + 4.5), anchor, "", label);
            }
        }
        for tick in &self.ticks {
            let place = (f64::from(frame.left) + tick.x, f64::from(frame.bottom()) + 18.0);
            text::write(svg, place, Anchor::Middle, "", &tick.label);
        }
        if is_empty {
            let middle = f64::from(frame.left) + f64::from(frame.width) / 2.0;
            let place = (middle, f64::from(frame.top) + f64::from(frame.height) / 2.0);
            text::write(svg, place, Anchor::Middle, r#" font-size="14""#, "no values");
        }
        svg.push_str("</g>");
    }

    fn write_legend(&self, svg: &mut String, title: &str) {
        let look = format!(r#" font-size="14" font-weight="600" fill="{}""#, self.palette.title);
        text::write(svg, (BESIDE, 21.0), Anchor::Start, &look, title);
        let date = |time: Timestamp| self.span.calendar.zone.local(time).date();
        let range = format!("{} to {}", date(self.span.from), date(self.span.end().before()));
        let end = f64::from(self.drawing.width) - BESIDE;
        // The letters of the title are larger.
        if BESIDE + 1.3 * text::width(title) + BESIDE + text::width(&range) <= end {
            text::write(svg, (end, 21.0), Anchor::End, "", &range);
        }
        for item in &self.frame.legend {
            let y = Frame::legend_line(item.line);
            let mut x = item.x;
            if let Some(series) = item.series {
                let colour = self.palette.series(series);
                write!(svg, r#"<rect x="{x:.0}" y="{:.0}" width="10" height="10" rx="2" fill="{colour}"/>"#, y - 9.0)
                    .expect(TAKEN);
                x += SQUARE;
            }
            text::write(svg, (x, y), Anchor::Start, "", &item.text);
        }
    }
}

/// Converts pixels into tenths of a pixel.
fn tenths<const N: usize>(pixels: [u32; N]) -> [i32; N] {
    pixels.map(|pixels| pixels.cast_signed() * 10)
}
