//! Themes: the colours of surfaces, texts and series.
//!
//! The series have the colours of Okabe and Ito, which colour-blind people can tell apart. They are adjusted to stand out from
//! each surface. Their order is part of the interface: blue, vermilion and grey suit success, failure and cancellation.

use std::fmt;

/// A colour of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colour(pub(super) u8, pub(super) u8, pub(super) u8);

impl fmt::Display for Colour {
    /// Writes the colour as `#0072b2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

impl Colour {
    /// Mixes this colour with `percent` percent of another one.
    fn mixed(self, other: Self, percent: u16) -> Self {
        let mix = |one: u8, other: u8| {
            let sum = u16::from(one) * (100 - percent) + u16::from(other) * percent;
            u8::try_from(sum / 100).expect("a mean of two bytes is a byte")
        };
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }
}

/// The background that a picture is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Theme {
    /// A light page.
    Light,
    /// A dark page.
    Dark,
}

/// The colours of a theme.
pub(super) struct Palette {
    /// The background of everything.
    pub(super) surface: Colour,
    /// The title.
    pub(super) title: Colour,
    /// All other texts.
    pub(super) text: Colour,
    /// The lines behind the marks.
    pub(super) grid: Colour,
    /// The base line that the marks stand on.
    pub(super) base: Colour,
    /// The colours of the series, in their order.
    series: [Colour; 8],
}

const WHITE: Colour = Colour(255, 255, 255);
const BLACK: Colour = Colour(0, 0, 0);

static LIGHT: Palette = Palette {
    surface: WHITE,
    title: Colour(0x1b, 0x21, 0x2b),
    text: Colour(0x4c, 0x55, 0x63),
    grid: Colour(0xe4, 0xe7, 0xec),
    base: Colour(0x9a, 0xa2, 0xae),
    series: [
        Colour(0x00, 0x72, 0xb2),
        Colour(0xd5, 0x5e, 0x00),
        Colour(0x8c, 0x93, 0x9c),
        Colour(0x00, 0x9e, 0x73),
        Colour(0xcc, 0x79, 0xa7),
        Colour(0xc6, 0x9a, 0x00),
        Colour(0x56, 0xb4, 0xe9),
        Colour(0x5e, 0x3c, 0x25),
    ],
};

static DARK: Palette = Palette {
    surface: Colour(0x16, 0x19, 0x1e),
    title: Colour(0xee, 0xf1, 0xf5),
    text: Colour(0xb4, 0xbc, 0xc8),
    grid: Colour(0x2c, 0x32, 0x3b),
    base: Colour(0x6b, 0x74, 0x82),
    series: [
        Colour(0x3b, 0x8f, 0xd9),
        Colour(0xf2, 0x76, 0x2e),
        Colour(0x9a, 0xa2, 0xad),
        Colour(0x1f, 0xb8, 0x8c),
        Colour(0xe0, 0x93, 0xbf),
        Colour(0xe3, 0xc2, 0x3c),
        Colour(0x8f, 0xd2, 0xff),
        Colour(0xa3, 0x7c, 0x5e),
    ],
};

impl Theme {
    pub(super) fn palette(self) -> &'static Palette {
        match self {
            Self::Light => &LIGHT,
            Self::Dark => &DARK,
        }
    }
}

impl Palette {
    /// The colour of a series by its number. From the ninth series on, the colours repeat in a paler shade, and then in a darker
    /// one.
    pub(super) fn series(&self, number: usize) -> Colour {
        let colour = self.series[number % self.series.len()];
        match number / self.series.len() {
            0 => colour,
            1 => colour.mixed(WHITE, 45),
            _ => colour.mixed(BLACK, 45),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::MOST_SERIES;

    /// The relative luminance of WCAG 2.
    fn luminance(colour: Colour) -> f64 {
        let linear = |byte: u8| {
            let part = f64::from(byte) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(colour.0) + 0.7152 * linear(colour.1) + 0.0722 * linear(colour.2)
    }

    fn contrast(one: Colour, other: Colour) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn texts_stand_out_from_the_surface() {
        for theme in [Theme::Light, Theme::Dark] {
            let palette = theme.palette();
            for colour in [palette.title, palette.text] {
                assert!(contrast(colour, palette.surface) >= 4.5, "{colour} on {}", palette.surface);
            }
        }
    }

    #[test]
    fn each_series_has_a_colour_of_its_own_that_can_be_seen() {
        for theme in [Theme::Light, Theme::Dark] {
            let palette = theme.palette();
            let colours: Vec<_> = (0..MOST_SERIES).map(|number| palette.series(number)).collect();
            for (place, colour) in colours.iter().enumerate() {
                assert!(!colours[..place].contains(colour), "{colour} comes twice");
            }
            for colour in &colours[..8] {
                assert!(contrast(*colour, palette.surface) >= 2.3, "{colour} on {}", palette.surface);
            }
        }
        assert_eq!(Theme::Light.palette().series(0).to_string(), "#0072b2");
    }
}
