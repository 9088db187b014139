//! The SVG backend for plotters. Consecutive marks of the same look become one path.
//!
//! plotters counts in whole units. A unit here is a tenth of a pixel.

use std::convert::Infallible;
use std::fmt::Write as _;

use plotters_backend::{BackendColor, BackendCoord, BackendStyle, DrawingBackend, DrawingErrorKind};

/// The number of units in a pixel.
pub(super) const UNITS: i32 = 10;

/// A backend that appends paths to a text.
pub(super) struct Paths<'a> {
    svg: &'a mut String,
    size: (u32, u32),
    /// The look of the path that is still open.
    pen: Option<Pen>,
}

/// The look of marks.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pen {
    Filled((u8, u8, u8)),
    /// With its width in units.
    Line((u8, u8, u8), u32),
    /// With their diameter in units.
    Dots((u8, u8, u8), u32),
}

impl<'a> Paths<'a> {
    /// A backend for a picture of this size, in pixels.
    pub(super) fn new(svg: &'a mut String, (width, height): (u32, u32)) -> Self {
        let unit = UNITS.unsigned_abs();
        Self { svg, size: (width * unit, height * unit), pen: None }
    }

    /// Makes sure that the open path is drawn with this pen.
    fn take(&mut self, pen: Pen) {
        if self.pen == Some(pen) {
            return;
        }
        self.close();
        self.pen = Some(pen);
        self.svg.push_str("<path");
        match pen {
            Pen::Filled(colour) => self.colour("fill", colour),
            Pen::Line(colour, width) => {
                self.colour("stroke", colour);
                self.width(width);
                self.svg.push_str(r#" fill="none" stroke-linejoin="round""#);
            }
            Pen::Dots(colour, diameter) => {
                self.colour("stroke", colour);
                self.width(diameter);
                self.svg.push_str(r#" fill="none" stroke-linecap="round""#);
            }
        }
        self.svg.push_str(r#" d=""#);
    }

    fn close(&mut self) {
        if self.pen.take().is_some() {
            self.svg.push_str("\"/>");
        }
    }

    fn colour(&mut self, attribute: &str, (red, green, blue): (u8, u8, u8)) {
        let written = write!(self.svg, r##" {attribute}="#{red:02x}{green:02x}{blue:02x}""##);
        written.expect("a text takes all that is written to it");
    }

    fn width(&mut self, width: u32) {
        self.svg.push_str(r#" stroke-width=""#);
        self.number(width.cast_signed());
        self.svg.push('"');
    }

    /// Writes a command with its numbers.
    fn command<const N: usize>(&mut self, name: char, numbers: [i32; N]) {
        self.svg.push(name);
        for (place, number) in numbers.into_iter().enumerate() {
            if place > 0 {
                self.svg.push(' ');
            }
            self.number(number);
        }
    }

    /// Writes a number of units as pixels.
    fn number(&mut self, units: i32) {
        if units < 0 {
            self.svg.push('-');
        }
        let (pixels, rest) = (units.unsigned_abs() / UNITS.unsigned_abs(), units.unsigned_abs() % UNITS.unsigned_abs());
        self.svg.push_str(itoa::Buffer::new().format(pixels));
        if rest > 0 {
            self.svg.push('.');
            self.svg.push_str(itoa::Buffer::new().format(rest));
        }
    }
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl DrawingBackend for Paths<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        self.close();
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Drawn {
        self.draw_rect((x, y), (x + 1, y + 1), &colour, true)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): BackendCoord,
        (right, bottom): BackendCoord,
        style: &S,
        _: bool,
    ) -> Drawn {
        self.take(Pen::Filled(style.color().rgb));
        self.command('M', [left, top]);
        self.command('h', [right - left]);
        self.command('v', [bottom - top]);
        self.command('h', [left - right]);
        self.svg.push('z');
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        self.take(Pen::Line(style.color().rgb, style.stroke_width()));
        let mut command = 'M';
        for (x, y) in path {
            self.command(command, [x, y]);
            // Coordinates after an `L` are lines, too, without a letter of their own.
            command = if command == 'M' { 'L' } else { ' ' };
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(&mut self, (x, y): BackendCoord, radius: u32, style: &S, _: bool) -> Drawn {
        self.take(Pen::Dots(style.color().rgb, 2 * radius));
        self.command('M', [x, y]);
        self.command('h', [0]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use plotters::prelude::{Circle, IntoDrawingArea as _, PathElement, RED, Rectangle};
    use plotters::style::Color;

    use super::*;

    #[test]
    fn marks_of_one_look_are_one_path() {
        let mut svg = String::new();
        let area = Paths::new(&mut svg, (100, 50)).into_drawing_area();
        assert_eq!(area.dim_in_pixel(), (1000, 500));
        for x in [0, 105] {
            area.draw(&Rectangle::new([(x, 500), (x + 40, 203)], RED.filled())).expect("nothing can fail");
        }
        area.draw(&PathElement::new([(0, 5), (10, 15), (20, 0)], Color::stroke_width(&RED, 15)))
            .expect("nothing can fail");
        area.draw(&Circle::new((30, 40), 22, RED.filled())).expect("nothing can fail");
        area.present().expect("nothing can fail");
        drop(area);
        assert_eq!(
            svg,
            concat!(
                r##"<path fill="#ff0000" d="M0 20.3h4v29.7h-4zM10.5 20.3h4v29.7h-4z"/>"##,
                r##"<path stroke="#ff0000" stroke-width="1.5" fill="none" stroke-linejoin="round" d="M0 0.5L1 1.5 2 0"/>"##,
                r##"<path stroke="#ff0000" stroke-width="4.4" fill="none" stroke-linecap="round" d="M3 4h0"/>"##,
            )
        );
    }
}
