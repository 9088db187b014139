//! `GET /v6/metrics/{name}/plot.svg`: the selected columns as a picture.
//!
//! It takes what plot data takes, and says in a few parameters how the picture looks. It is a [`Question`] like the others, so
//! pictures are kept as plot data is.

use std::ops::RangeInclusive;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::{Format, Question, query, with_ids};
use crate::api::params::Params;
use crate::api::v6::question::respond;
use crate::api::{ApiError, State};
use crate::catalog::MetricsType;
use crate::picture::{Drawing, Impossible, Kind, Theme, check, keys};
use crate::store::Snapshot;

/// What `kind` may be; the first one is the default.
pub(in crate::api) const KINDS: &[(&str, Kind)] =
    &[("bar", Kind::Bar), ("line", Kind::Line), ("stacked", Kind::Stacked)];
/// What `theme` may be; the first one is the default.
pub(in crate::api) const THEMES: &[(&str, Theme)] = &[("light", Theme::Light), ("dark", Theme::Dark)];
/// What `legend` may be; the first one is the default.
pub(in crate::api) const LEGENDS: &[(&str, bool)] = &[("true", true), ("false", false)];
/// How many pixels a picture may have, and has if nothing is said.
pub(in crate::api) const WIDTHS: RangeInclusive<u32> = 240..=4_096;
pub(in crate::api) const STANDARD_WIDTH: u32 = 800;
pub(in crate::api) const HEIGHTS: RangeInclusive<u32> = 120..=2_160;
pub(in crate::api) const STANDARD_HEIGHT: u32 = 320;

pub(in crate::api) async fn plot_svg(
    metrics: &'static MetricsType,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    respond(&request, &state, |snapshot| Question::of_picture(metrics, &request, &state, snapshot)).await
}

impl Question {
    fn of_picture(
        metrics: &'static MetricsType,
        request: &HttpRequest,
        state: &State,
        snapshot: &Snapshot,
    ) -> Result<Self, ApiError> {
        let params = Params::parse(request.query_string());
        let kind = params.word("kind", KINDS)?.unwrap_or(KINDS[0].1);
        let width = params.number("width", WIDTHS)?.unwrap_or(STANDARD_WIDTH);
        let height = params.number("height", HEIGHTS)?.unwrap_or(STANDARD_HEIGHT);
        let theme = params.word("theme", THEMES)?.unwrap_or(THEMES[0].1);
        let legend = params.word("legend", LEGENDS)?.unwrap_or(LEGENDS[0].1);
        let mut query = query::parse(metrics, &params, snapshot.choices(), state.dialect, state.clock.now())?;
        if params.one("column").is_none() && params.one("group").is_none() {
            // All columns of a type are too many for one picture.
            query.columns.retain(|column| column.group == metrics.groups[0].name);
        }
        check(&query, kind).map_err(|error| match error {
            Impossible::MixedStack(_) => ApiError::parameter("kind", "stacked", error.to_string()),
            Impossible::ManySeries { .. } | Impossible::ManyUnits(_) => error.into(),
        })?;
        let with_ids = with_ids(&query.selection, state.dialect);
        let is_hidden = |key: &String| params.all("hidden").any(|hidden| hidden == key);
        let hidden = keys(&query, with_ids).iter().map(is_hidden).collect();
        let drawing = Drawing { kind, width, height, theme, legend, hidden };
        Ok(Self { query, with_ids, format: Format::Svg(drawing) })
    }
}
