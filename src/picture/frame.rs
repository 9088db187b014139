//! The layout of a picture: the title and the legend above, the plot with its axes below.

use super::axes::ValueAxis;
use super::marks::Row;
use super::series::Series;
use super::text;
use super::{Drawing, Kind};
use crate::catalog::Units;

/// Heights in pixels: the line of the title, a line of the legend, and the free space above the plot, which is below the title
/// and the legend if there are any.
const TITLE: u32 = 30;
const LINE: u32 = 18;
const ABOVE: u32 = 12;
/// The height of the line with the labels of the time axis.
const BELOW: u32 = 26;
/// The minimum space on the sides. It has room for half of a date.
pub(super) const BESIDE: f64 = 16.0;
/// The distance between the labels of values and the plot.
pub(super) const APART: f64 = 8.0;
/// The minimum distance between two steps of an axis.
const STEP: u32 = 34;
/// In the legend: the width of the square before a name, with the space behind it, and the space behind the name.
pub(super) const SQUARE: f64 = 16.0;
const BEHIND: f64 = 16.0;

/// The position of each part, in pixels from the left and the top.
pub(super) struct Frame {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    /// The axis on the left, and the one on the right if there are two units.
    pub(super) axes: Vec<ValueAxis>,
    pub(super) legend: Vec<Item>,
}

/// A name in the legend.
pub(super) struct Item {
    pub(super) x: f64,
    /// The number of its line, from 0.
    pub(super) line: u32,
    /// The number of its series. `None` stands for all series that have no room.
    pub(super) series: Option<usize>,
    pub(super) text: String,
}

impl Frame {
    /// The frame for these series. `largest` has the largest value of each unit, in the order of the units.
    pub(super) fn new(drawing: &Drawing, shown: &[&Series], largest: &[(Units, f64)]) -> Self {
        let legend =
            if drawing.legend { legend(drawing, shown, largest.first().map(|(units, _)| *units)) } else { Vec::new() };
        let lines = legend.last().map_or(0, |item| item.line + 1);
        let top = if drawing.legend { TITLE + lines * LINE + ABOVE } else { ABOVE };
        let height = drawing.height - top - BELOW;
        let mut axes: Vec<ValueAxis> = Vec::new();
        for &(units, largest) in largest {
            axes.push(match axes.first() {
                // Both axes share the horizontal lines, so the right axis has as many steps as the left one.
                Some(left) => ValueAxis::with_steps(units, largest, left.steps),
                None => ValueAxis::new(units, largest, (height / STEP).max(1)),
            });
        }
        let beside = |axis: Option<&ValueAxis>| {
            let widest = axis.map(|axis| axis.labels().map(|label| text::width(&label)).fold(0.0, f64::max));
            whole(widest.map_or(BESIDE, |widest| (widest + APART + 4.0).max(BESIDE)))
        };
        let (left, right) = (beside(axes.first()), beside(axes.get(1)));
        Self { left, top, width: drawing.width - left - right, height, axes, legend }
    }

    /// The position of the base line that the marks stand on.
    pub(super) fn bottom(&self) -> u32 {
        self.top + self.height
    }

    /// The right edge of the plot.
    pub(super) fn right(&self) -> u32 {
        self.left + self.width
    }

    /// The horizontal lines behind the marks, from the lowest on, each with its labels on the left and on the right.
    pub(super) fn steps(&self) -> impl Iterator<Item = (u32, Vec<String>)> {
        let mut labels: Vec<_> = self.axes.iter().map(|axis| axis.labels()).collect();
        let steps = self.axes.first().map_or(1, |axis| axis.steps);
        (0..=steps).map(move |step| {
            let y = self.bottom() - (self.height * step + steps / 2) / steps;
            (y, labels.iter_mut().filter_map(Iterator::next).collect())
        })
    }

    /// The axis with these units.
    pub(super) fn axis(&self, units: Units) -> &ValueAxis {
        self.axes.iter().find(|axis| axis.units == units).expect("each unit has an axis")
    }

    /// The baseline of the text in a line of the legend, from the top.
    pub(super) fn legend_line(line: u32) -> f64 {
        f64::from(TITLE + line * LINE) + 12.0
    }
}

/// Rounds up to whole pixels.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is some hundreds")]
fn whole(pixels: f64) -> u32 {
    pixels.ceil() as u32
}

/// Rounds to the nearest whole pixel.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is some thousands")]
pub(super) fn nearest(pixels: f64) -> u32 {
    pixels.round() as u32
}

/// The largest shown value of each unit. For stacks, it is the largest sum.
pub(super) fn largest(kind: Kind, all: &[Series], rows: impl Iterator<Item = Row>) -> Vec<(Units, f64)> {
    let mut largest: Vec<(Units, f64)> = Vec::new();
    for series in all {
        if !largest.iter().any(|(units, _)| *units == series.units) {
            largest.push((series.units, 0.0));
        }
    }
    for row in rows {
        if kind == Kind::Stacked {
            largest[0].1 = largest[0].1.max(row.sum());
        } else {
            for (series, value) in row.values() {
                let place = largest.iter().position(|(units, _)| *units == all[series].units);
                let most = &mut largest[place.expect("each unit was found")].1;
                *most = most.max(value);
            }
        }
    }
    largest
}

/// The names of the series, arranged in lines. The lines take at most half of the picture.
fn legend(drawing: &Drawing, shown: &[&Series], on_the_left: Option<Units>) -> Vec<Item> {
    let most = ((drawing.height / 2).saturating_sub(TITLE) / LINE).max(1);
    let end = f64::from(drawing.width) - BESIDE;
    let mut items: Vec<Item> = Vec::new();
    let (mut x, mut line) = (BESIDE, 0);
    for series in shown {
        // If there is an axis on each side, a name says on which side the axis of its values is.
        let side = if Some(series.units) == on_the_left { "" } else { " (right)" };
        let text = text::fit(&series.name, end - BESIDE - SQUARE - text::width(side)) + side;
        let wide = SQUARE + text::width(&text);
        if x > BESIDE && x + wide > end {
            (x, line) = (BESIDE, line + 1);
        }
        items.push(Item { x, line, series: Some(series.number), text });
        x += wide + BEHIND;
    }
    if line < most {
        return items;
    }
    items.retain(|item| item.line < most);
    let line = most - 1;
    loop {
        let text = format!("and {} more", shown.len() - items.len());
        let x = match items.last() {
            Some(last) if last.line == line => last.x + SQUARE + text::width(&last.text) + BEHIND,
            _ => BESIDE,
        };
        if x == BESIDE || x + text::width(&text) <= end {
            items.push(Item { x, line, series: None, text });
            return items;
        }
        items.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Theme;

    fn drawing(width: u32, height: u32) -> Drawing {
        Drawing { kind: Kind::Bar, width, height, theme: Theme::Light, legend: true, hidden: Vec::new() }
    }

    fn series(names: &[&str]) -> Vec<Series> {
        let series = |(number, name): (usize, &&str)| {
            let [key, title, name] = [*name; 3].map(str::to_owned);
            Series { number, key, title, name, units: Units::Count }
        };
        names.iter().enumerate().map(series).collect()
    }

    /// The lines of the legend.
    fn lines(drawing: &Drawing, names: &[&str]) -> Vec<String> {
        let all = series(names);
        let frame = Frame::new(drawing, &all.iter().collect::<Vec<_>>(), &[(Units::Count, 84.0)]);
        let mut lines: Vec<Vec<&str>> = Vec::new();
        for item in &frame.legend {
            assert!(item.x + SQUARE + text::width(&item.text) <= f64::from(drawing.width) || item.series.is_none());
            lines.resize(item.line as usize + 1, Vec::new());
            lines[item.line as usize].push(&item.text);
        }
        lines.iter().map(|line| line.join(" | ")).collect()
    }

    #[test]
    fn names_have_as_many_lines_as_they_need() {
        assert_eq!(lines(&drawing(800, 320), &["one", "two", "three"]), ["one | two | three"]);
        assert_eq!(lines(&drawing(240, 320), &["a name", "another name", "one"]), ["a name | another name", "one"]);
    }

    #[test]
    fn names_that_have_no_room_are_counted() {
        let names = ["a rather long name"; 24];
        assert_eq!(lines(&drawing(360, 120), &names), ["a rather long name | and 23 more"]);
        assert_eq!(lines(&drawing(240, 120), &names), ["and 24 more"]);
        assert_eq!(lines(&drawing(240, 160), &names), ["a rather long name", "and 23 more"]);
    }

    #[test]
    fn the_plot_is_what_titles_and_labels_leave() {
        let all = series(&["one"]);
        let shown: Vec<_> = all.iter().collect();
        let with_legend = Frame::new(&drawing(800, 320), &shown, &[(Units::Count, 84.0)]);
        assert_eq!((with_legend.top, with_legend.height), (60, 234));
        let without = Drawing { legend: false, ..drawing(800, 320) };
        let frame = Frame::new(&without, &shown, &[(Units::Count, 84.0), (Units::Bytes, 5e9)]);
        assert_eq!((frame.top, frame.bottom()), (12, 294));
        assert_eq!(frame.axes[0].steps, frame.axes[1].steps);
        let steps: Vec<_> = frame.steps().collect();
        assert_eq!(steps[0], (294, vec!["0".to_owned(), "0".to_owned()]));
        assert_eq!(steps.last(), Some(&(12, vec!["100".to_owned(), "5 GiB".to_owned()])));
    }
}
