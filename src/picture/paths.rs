//! Writes the marks of a picture as paths. All marks of a series are one path, since an element for each bar would take three
//! times the bytes. Coordinates and sizes are in tenths of a pixel.

use std::fmt::Write as _;
use std::iter;

use super::TAKEN;
use super::palette::Colour;

/// The widths of lines and the diameters of dots, in pixels.
const LINE_WIDTH: f64 = 1.8;
const DOT_DIAMETER: f64 = 4.4;

/// A position, from the left and the top of the picture.
pub(super) type Position = (i32, i32);

/// Appends filled rectangles. Each has a left edge, a top edge, a width and a height.
pub(super) fn rectangles(svg: &mut String, colour: Colour, rectangles: impl Iterator<Item = [i32; 4]>) {
    path(svg, &format!(r#"fill="{colour}""#), rectangles, |svg, [left, top, width, height]| {
        let [left, top, width, height, back] = [left, top, width, height, -width].map(pixels);
        write!(svg, "M{left} {top}h{width}v{height}h{back}z").expect(TAKEN);
    });
}

/// Appends lines through the given points.
pub(super) fn lines(svg: &mut String, colour: Colour, lines: impl Iterator<Item = impl Iterator<Item = Position>>) {
    let look = format!(r#"stroke="{colour}" stroke-width="{LINE_WIDTH}" fill="none" stroke-linejoin="round""#);
    path(svg, &look, lines, |svg, line| {
        // Coordinates after an `L` are lines, too, without a letter of their own.
        let commands = ['M', 'L'].into_iter().chain(iter::repeat(' '));
        for (command, (x, y)) in commands.zip(line) {
            write!(svg, "{command}{} {}", pixels(x), pixels(y)).expect(TAKEN);
        }
    });
}

/// Appends dots around the given points.
pub(super) fn dots(svg: &mut String, colour: Colour, dots: impl Iterator<Item = Position>) {
    let look = format!(r#"stroke="{colour}" stroke-width="{DOT_DIAMETER}" fill="none" stroke-linecap="round""#);
    path(svg, &look, dots, |svg, (x, y)| write!(svg, "M{} {}h0", pixels(x), pixels(y)).expect(TAKEN));
}

/// Appends a path of these marks, or nothing if there are none.
fn path<T>(svg: &mut String, look: &str, marks: impl Iterator<Item = T>, draw: impl Fn(&mut String, T)) {
    let mut marks = marks.peekable();
    if marks.peek().is_some() {
        write!(svg, r#"<path {look} d=""#).expect(TAKEN);
        marks.for_each(|mark| draw(svg, mark));
        svg.push_str("\"/>");
    }
}

fn pixels(tenths: i32) -> f64 {
    f64::from(tenths) / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_one_look_are_one_path() {
        let (mut svg, red) = (String::new(), Colour(0xff_00_00));
        rectangles(&mut svg, red, [[0, 203, 40, 297], [105, 203, 40, 297]].into_iter());
        lines(&mut svg, red, iter::once([(0, 5), (10, 15), (20, 0)].into_iter()));
        dots(&mut svg, red, iter::empty());
        dots(&mut svg, red, iter::once((30, 40)));
        assert_eq!(
            svg,
            concat!(
                r##"<path fill="#ff0000" d="M0 20.3h4v29.7h-4zM10.5 20.3h4v29.7h-4z"/>"##,
                r##"<path stroke="#ff0000" stroke-width="1.8" fill="none" stroke-linejoin="round" d="M0 0.5L1 1.5 2 0"/>"##,
                r##"<path stroke="#ff0000" stroke-width="4.4" fill="none" stroke-linecap="round" d="M3 4h0"/>"##,
            )
        );
    }
}
