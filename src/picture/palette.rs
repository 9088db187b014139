//! Themes: the colours of surfaces, texts and series.
//!
//! The series have the colours of Okabe and Ito, which colour-blind people can tell apart. They are adjusted to stand out from
//! each surface. Their order is part of the interface: blue, vermilion and grey suit success, failure and cancellation.

use std::fmt;

/// A colour of the screen: a byte each of red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colour(pub(super) u32);

impl fmt::Display for Colour {
    /// Writes the colour as `#0072b2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:06x}", self.0)
    }
}

impl Colour {
    /// Mixes this colour with `percent` percent of another one.
    fn mixed(self, other: Self, percent: u32) -> Self {
        let mix = |shift: u32| {
            let [one, other] = [self, other].map(|colour| colour.0 >> shift & 0xff);
            ((one * (100 - percent) + other * percent) / 100) << shift
        };
        Self(mix(16) | mix(8) | mix(0))
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
    series: [u32; 8],
}

const WHITE: Colour = Colour(0xff_ff_ff);
const BLACK: Colour = Colour(0);

static LIGHT: Palette = Palette {
    surface: WHITE,
    title: Colour(0x1b_21_2b),
    text: Colour(0x4c_55_63),
    grid: Colour(0xe4_e7_ec),
    base: Colour(0x9a_a2_ae),
    series: [0x00_72_b2, 0xd5_5e_00, 0x8c_93_9c, 0x00_9e_73, 0xcc_79_a7, 0xc6_9a_00, 0x56_b4_e9, 0x5e_3c_25],
};

static DARK: Palette = Palette {
    surface: Colour(0x16_19_1e),
    title: Colour(0xee_f1_f5),
    text: Colour(0xb4_bc_c8),
    grid: Colour(0x2c_32_3b),
    base: Colour(0x6b_74_82),
    series: [0x3b_8f_d9, 0xf2_76_2e, 0x9a_a2_ad, 0x1f_b8_8c, 0xe0_93_bf, 0xe3_c2_3c, 0x8f_d2_ff, 0xa3_7c_5e],
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
        let colour = Colour(self.series[number % self.series.len()]);
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
        let linear = |shift: u32| {
            let part = f64::from(colour.0 >> shift & 0xff) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(16) + 0.7152 * linear(8) + 0.0722 * linear(0)
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
