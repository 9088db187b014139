//! `GET /v6/metrics/{name}/plot.svg`: the selected columns as a picture.
//!
//! It takes the parameters of plot data, and a few more that describe the look of the picture. A request becomes a
//! [`PlotDataQuery`], as for plot data, so pictures are cached in the same way.

use std::ops::RangeInclusive;

use super::{Format, PlotDataQuery, query, with_ids};
use crate::api::ApiError;
use crate::api::params::Params;
use crate::api::v6::request::ReadRequest;
use crate::picture::{Drawing, Impossible, Kind, Theme, check, keys};

/// The values of `kind`; the first one is the default.
pub(in crate::api) const KINDS: &[(&str, Kind)] =
    &[("bar", Kind::Bar), ("line", Kind::Line), ("stacked", Kind::Stacked)];
/// The values of `theme`; the first one is the default.
pub(in crate::api) const THEMES: &[(&str, Theme)] = &[("light", Theme::Light), ("dark", Theme::Dark)];
/// The values of `legend`; the first one is the default.
pub(in crate::api) const LEGENDS: &[(&str, bool)] = &[("true", true), ("false", false)];
/// The allowed widths and heights of a picture, and the default ones, in pixels.
pub(in crate::api) const WIDTHS: RangeInclusive<u32> = 240..=4_096;
pub(in crate::api) const STANDARD_WIDTH: u32 = 800;
pub(in crate::api) const HEIGHTS: RangeInclusive<u32> = 120..=2_160;
pub(in crate::api) const STANDARD_HEIGHT: u32 = 320;

impl PlotDataQuery {
    /// Parses the parameters of a request for a picture.
    pub(in crate::api::v6) fn parse_picture(request: &ReadRequest<'_>) -> Result<Self, ApiError> {
        let (params, dialect) = (request.params, request.settings.dialect);
        let kind = params.word("kind", KINDS)?.unwrap_or(KINDS[0].1);
        let width = params.number("width", WIDTHS)?.unwrap_or(STANDARD_WIDTH);
        let height = params.number("height", HEIGHTS)?.unwrap_or(STANDARD_HEIGHT);
        let theme = params.word("theme", THEMES)?.unwrap_or(THEMES[0].1);
        let legend = params.word("legend", LEGENDS)?.unwrap_or(LEGENDS[0].1);
        let clock = (request.now(), request.zone()?);
        let mut query = query::parse(request.metrics, params, request.definitions, dialect, clock)?;
        if params.one("column").is_none() && params.one("group").is_none() {
            // All columns of a type are too many for one picture.
            query.columns.retain(|column| column.group == request.metrics.groups[0].name);
        }
        check(&query, kind).map_err(|error| match error {
            Impossible::MixedStack(_) => ApiError::parameter("kind", "stacked", error.to_string()),
            Impossible::ManySeries { .. } | Impossible::ManyUnits(_) => error.into(),
        })?;
        let with_ids = with_ids(&query.selection, dialect);
        let hidden = hidden(params, &keys(&query, with_ids))?;
        let drawing = Drawing { kind, width, height, theme, legend, hidden };
        Ok(Self { query, with_ids, format: Format::Svg(drawing) })
    }
}

/// Returns for each series of a picture, in their order, whether `hidden` leaves it out. An unknown series is an error.
fn hidden(params: &Params<'_>, keys: &[String]) -> Result<Vec<bool>, ApiError> {
    let mut hidden = vec![false; keys.len()];
    for asked in params.distinct("hidden") {
        let place = keys.iter().position(|key| key == asked);
        let place = place.ok_or_else(|| {
            let allowed = format!("it must be one of the series of the picture: {}", keys.join(", "));
            ApiError::parameter("hidden", asked, allowed)
        })?;
        hidden[place] = true;
    }
    Ok(hidden)
}
