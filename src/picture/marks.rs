//! Turns values into marks: bars, stacked bars and lines. The coordinates of marks are buckets and values rather than pixels.
//!
//! If there are more buckets than pixels, neighbouring buckets share a **cell**. So no outlier is lost, and the number of marks
//! has a bound.
//!
//! | marks | what a cell shows |
//! | --- | --- |
//! | bars | the largest value |
//! | stacks | the bucket with the largest sum |
//! | lines | the smallest and the largest value |

use std::iter;

use super::MOST_SERIES;
use super::span::Span;
use crate::plot::Plot;
use crate::rollup::RollupScope;

/// The maximum number of marks of all series together. A written mark has less than 30 bytes.
const MOST_MARKS: u32 = 6_000;

/// The values of a bucket, one for each shown series that has a value in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// The number of the bucket, from the left edge of the picture.
    bucket: u32,
    values: [Option<f64>; MOST_SERIES],
}

impl Row {
    /// The values, each with the number of its series.
    pub(super) fn values(&self) -> impl Iterator<Item = (usize, f64)> {
        self.values.iter().enumerate().filter_map(|(series, value)| Some((series, (*value)?)))
    }

    pub(super) fn sum(&self) -> f64 {
        self.values().map(|(_, value)| value).sum()
    }
}

/// The buckets of a plot, oldest first. Series are numbered column by column, and within a column scope by scope. `hidden` says
/// of each series whether it is hidden.
pub(super) fn rows(plot: &Plot<'_>, span: Span, scopes: &[RollupScope], hidden: &[bool]) -> impl Iterator<Item = Row> {
    let mut columns: Vec<_> = plot.series().iter().map(|series| plot.points(series).peekable()).collect();
    iter::from_fn(move || {
        let start = columns.iter_mut().filter_map(|points| points.peek()).map(|(bucket, _)| bucket.start).min()?;
        let bucket = span.number(start);
        let mut values = [None; MOST_SERIES];
        for (column, points) in columns.iter_mut().enumerate() {
            while let Some((bucket, value)) = points.next_if(|(bucket, _)| bucket.start == start) {
                let scope = scopes.binary_search(&bucket.scope).expect("nobody else's values are read");
                let series = column * scopes.len() + scope;
                if !hidden[series] {
                    values[series] = Some(drawable(value));
                }
            }
        }
        Some(Row { bucket, values })
    })
}

#[expect(clippy::cast_precision_loss, reason = "nobody sees the sixteenth digit in a picture")]
fn drawable(value: u128) -> f64 {
    value as f64
}

/// How buckets are grouped into cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cells {
    /// The number of buckets in a cell.
    pub(super) each: u32,
}

impl Cells {
    /// The smallest cells that fit into `pixels`, if a cell is at least `least` pixels wide and has `marks` marks.
    pub(super) fn new(buckets: u32, pixels: u32, least: u32, marks: u32) -> Self {
        let most = (pixels / least.max(1)).min(MOST_MARKS / marks.max(1)).max(1);
        Self { each: buckets.div_ceil(most) }
    }

    /// The first bucket of a cell, and the bucket behind its last one. `all` is the number of buckets.
    pub(super) fn buckets(self, cell: u32, all: u32) -> (u32, u32) {
        (cell * self.each, ((cell + 1) * self.each).min(all))
    }

    fn of(self, bucket: u32) -> u32 {
        bucket / self.each
    }
}

/// A bar over a cell, from a lower value to an upper one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bar {
    pub(super) cell: u32,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// The left and the right edge of one of `slots` bars side by side in a cell with these edges. The results are whole pixels, with
/// a gap between cells that have room for one.
pub(super) fn slot(left: f64, right: f64, slot: usize, slots: usize) -> (f64, f64) {
    let count = |slots: usize| f64::from(u8::try_from(slots).expect("a picture has few series"));
    let width = right - left;
    let gap = if width >= 2.0 * count(slots) + 2.0 { (width * 0.15).clamp(1.0, 12.0) } else { 0.0 };
    let [left, right] = [(left + gap / 2.0).round(), (right - gap / 2.0).round()];
    let edge = |slot: usize| (left + (right - left) * count(slot) / count(slots)).round();
    (edge(slot), edge(slot + 1))
}

/// The bars of each series. Only values above 0 have a bar.
pub(super) fn bars(rows: impl Iterator<Item = Row>, cells: Cells) -> Vec<Vec<Bar>> {
    let mut bars: Vec<Vec<Bar>> = vec![Vec::new(); MOST_SERIES];
    for row in rows {
        let cell = cells.of(row.bucket);
        for (series, value) in row.values().filter(|&(_, value)| value > 0.0) {
            match bars[series].last_mut() {
                Some(last) if last.cell == cell => last.high = last.high.max(value),
                _ => bars[series].push(Bar { cell, low: 0.0, high: value }),
            }
        }
    }
    bars
}

/// The bars of each series, each on top of those of the previous series.
pub(super) fn stacks(rows: impl Iterator<Item = Row>, cells: Cells) -> Vec<Vec<Bar>> {
    let mut bars: Vec<Vec<Bar>> = vec![Vec::new(); MOST_SERIES];
    let mut rows = rows.peekable();
    while let Some(mut largest) = rows.next() {
        let cell = cells.of(largest.bucket);
        while let Some(row) = rows.next_if(|row| cells.of(row.bucket) == cell) {
            if row.sum() > largest.sum() {
                largest = row;
            }
        }
        let mut low = 0.0;
        for (series, value) in largest.values().filter(|&(_, value)| value > 0.0) {
            bars[series].push(Bar { cell, low, high: low + value });
            low += value;
        }
    }
    bars
}

/// A point of a line: the number of its bucket, and the value.
pub(super) type Point = (u32, f64);

/// The lines of each series, in pieces. Cells without a value separate the pieces.
pub(super) fn lines(rows: impl Iterator<Item = Row>, cells: Cells) -> Vec<Vec<Vec<Point>>> {
    // The smallest and the largest value of each cell.
    let mut extremes: Vec<Vec<(Point, Point)>> = vec![Vec::new(); MOST_SERIES];
    for row in rows {
        for (series, value) in row.values() {
            let point = (row.bucket, value);
            match extremes[series].last_mut() {
                Some((least, most)) if cells.of(least.0) == cells.of(row.bucket) => {
                    if value < least.1 {
                        *least = point;
                    }
                    if value > most.1 {
                        *most = point;
                    }
                }
                _ => extremes[series].push((point, point)),
            }
        }
    }
    let points = |&(one, other): &(Point, Point)| {
        let (first, second) = if one.0 <= other.0 { (one, other) } else { (other, one) };
        iter::once(first).chain((first != second).then_some(second))
    };
    let is_next = |(one, _): &(Point, Point), (next, _): &(Point, Point)| cells.of(one.0) + 1 == cells.of(next.0);
    let pieces =
        |extremes: Vec<_>| extremes.chunk_by(is_next).map(|piece| piece.iter().flat_map(points).collect()).collect();
    extremes.into_iter().map(pieces).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bucket: u32, given: &[Option<f64>]) -> Row {
        let mut values = [None; MOST_SERIES];
        values[..given.len()].copy_from_slice(given);
        Row { bucket, values }
    }

    fn bar(cell: u32, low: f64, high: f64) -> Bar {
        Bar { cell, low, high }
    }

    #[test]
    fn cells_are_as_small_as_pixels_and_marks_allow() {
        assert_eq!(Cells::new(30, 700, 1, 1).each, 1);
        assert_eq!(Cells::new(8_760, 730, 1, 1).each, 12);
        assert_eq!(Cells::new(8_760, 730, 3, 3).each, 37);
        assert_eq!(Cells::new(8_760, 4_000, 1, 24).each, 36);
        assert_eq!(Cells::new(8_760, 110, 24, 24).each, 2_190);
        let cells = Cells { each: 12 };
        assert_eq!(cells.buckets(0, 30), (0, 12));
        assert_eq!(cells.buckets(2, 30), (24, 30));
    }

    #[test]
    fn bars_share_their_cell_without_gaps_or_overlap() {
        assert_eq!(slot(100.0, 120.0, 0, 1), (102.0, 119.0));
        assert_eq!(
            [slot(0.0, 24.0, 0, 3), slot(0.0, 24.0, 1, 3), slot(0.0, 24.0, 2, 3)],
            [(2.0, 9.0), (9.0, 15.0), (15.0, 22.0)]
        );
        assert_eq!(slot(7.2, 8.3, 0, 1), (7.0, 8.0));
        for slots in 1..=MOST_SERIES {
            let width = f64::from(u8::try_from(slots).expect("it is small")) + 0.3;
            let edges: Vec<_> = (0..slots).map(|place| slot(10.4, 10.4 + width, place, slots)).collect();
            assert!(edges.iter().all(|(left, right)| right - left >= 1.0), "{edges:?}");
            let (lefts, rights): (Vec<_>, Vec<_>) = edges.iter().copied().unzip();
            assert_eq!(lefts[1..], rights[..slots - 1]);
        }
    }

    #[test]
    fn bars_show_the_largest_of_their_cells_and_zeros_have_none() {
        let rows = [
            row(0, &[Some(3.0), Some(0.0)]),
            row(1, &[Some(5.0), Some(1.0)]),
            row(4, &[Some(2.0), None]),
            row(5, &[None, Some(7.0)]),
        ];
        let two = bars(rows.into_iter(), Cells { each: 2 });
        assert_eq!(two[0], [bar(0, 0.0, 5.0), bar(2, 0.0, 2.0)]);
        assert_eq!(two[1], [bar(0, 0.0, 1.0), bar(2, 0.0, 7.0)]);
        let one = bars(rows.into_iter(), Cells { each: 1 });
        assert_eq!(one[1], [bar(1, 0.0, 1.0), bar(5, 0.0, 7.0)]);
    }

    #[test]
    fn stacks_stand_on_each_other_and_are_of_one_bucket() {
        let rows = [
            row(0, &[Some(3.0), Some(0.0), Some(4.0)]),
            row(1, &[Some(5.0), Some(1.0), None]),
            row(2, &[None, Some(6.0), Some(1.0)]),
        ];
        let one = stacks(rows.into_iter(), Cells { each: 1 });
        assert_eq!(one[0], [bar(0, 0.0, 3.0), bar(1, 0.0, 5.0)]);
        assert_eq!(one[1], [bar(1, 5.0, 6.0), bar(2, 0.0, 6.0)]);
        assert_eq!(one[2], [bar(0, 3.0, 7.0), bar(2, 6.0, 7.0)]);
        let two = stacks(rows.into_iter(), Cells { each: 2 });
        assert_eq!(two[0], [bar(0, 0.0, 3.0)]);
        assert_eq!(two[1], [bar(1, 0.0, 6.0)]);
        assert_eq!(two[2], [bar(0, 3.0, 7.0), bar(1, 6.0, 7.0)]);
    }

    #[test]
    fn lines_break_at_gaps_and_keep_what_stands_out() {
        let values = [(0, 1.0), (1, 0.0), (3, 5.0), (5, 2.0), (6, 3.0)];
        let rows = || values.map(|(bucket, value)| row(bucket, &[Some(value)])).into_iter();
        let one = lines(rows(), Cells { each: 1 });
        assert_eq!(one[0], [vec![(0, 1.0), (1, 0.0)], vec![(3, 5.0)], vec![(5, 2.0), (6, 3.0)]]);
        assert!(one[1].is_empty());
        let many = [(0, 4.0), (1, 9.0), (2, 1.0), (3, 5.0), (8, 7.0), (9, 7.0), (10, 7.0)];
        let rows = many.map(|(bucket, value)| row(bucket, &[Some(value)])).into_iter();
        let four = lines(rows, Cells { each: 4 });
        assert_eq!(four[0], [vec![(1, 9.0), (2, 1.0)], vec![(8, 7.0)]]);
    }
}
