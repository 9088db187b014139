//! `GET /v6/metrics/{name}/plot-data/`: the selected columns as series, oldest value first.
//!
//! A request becomes a [`Question`]: what it means, however it is spelled. Equal questions have equal answers as long as
//! nothing changes, so answers are kept by them ([`crate::api::answers`]).

mod json;
mod picture;
mod query;
mod text;

pub(in crate::api) use json::SeriesHead;
pub(in crate::api) use picture::{HEIGHTS, KINDS, LEGENDS, STANDARD_HEIGHT, STANDARD_WIDTH, THEMES, WIDTHS, plot_svg};
pub(in crate::api) use query::RESOLUTIONS;
#[cfg(any(test, feature = "fuzzing"))]
pub(in crate::api) use query::parse;
pub(super) use query::{columns, selection};

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use crate::api::answer::{Answer, Content};
use crate::api::answers::Room;
use crate::api::page::PageRequest;
use crate::api::v6::question::{Asked, days_with_something, respond};
use crate::api::{ApiError, State};
use crate::catalog::MetricsType;
use crate::config::Dialect;
use crate::picture::{Drawing, MOST_BYTES, draw};
use crate::plot::{Bucket, Plot, Query, Resolution, Selection};
use crate::store::{RollupQuery, Snapshot};

/// Whatever has more values is computed off the async threads.
const FEW_VALUES: usize = 4_096;
/// A day by hours takes as long as so many whole ones.
const HOURS_AS_DAYS: usize = 10;

pub(in crate::api) async fn plot_data(
    metrics: &'static MetricsType,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    respond(metrics, &request, &state, Question::of).await
}

/// What a request means.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    query: Query,
    /// Whether every value says whose it is.
    with_ids: bool,
    format: Format,
}

/// What `format` may be, and whether that is CSV; the first one is the default.
pub(in crate::api) const FORMATS: &[(&str, bool)] = &[("json", false), ("csv", true)];

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Format {
    /// A page of the columns, with what stands before its results.
    Json { opening: Vec<u8> },
    /// All columns.
    Csv,
    /// A picture of them.
    Svg(Drawing),
}

impl Question {
    fn of(asked: &Asked<'_>) -> Result<Self, ApiError> {
        let (params, dialect) = (asked.params, asked.state.dialect);
        let page = PageRequest::parse(params)?;
        let is_csv = params.word("format", FORMATS)?.unwrap_or(false);
        let mut query = query::parse(asked.metrics, params, asked.snapshot.definitions(), dialect, asked.now())?;
        let with_ids = with_ids(&query.selection, dialect);
        let format = if is_csv {
            Format::Csv
        } else {
            let count = query.columns.len();
            query.columns = page.slice(&query.columns)?.to_vec();
            Format::Json { opening: page.opening(count, || asked.links()) }
        };
        Ok(Self { query, with_ids, format })
    }

    /// How much memory it takes, in bytes, about.
    pub(super) fn memory(&self) -> usize {
        let Query { columns, selection, .. } = &self.query;
        let choices = if let Selection::Choices(ids) = selection { ids.len() } else { 0 };
        let format = match &self.format {
            Format::Json { opening } => opening.len(),
            Format::Csv => 0,
            Format::Svg(drawing) => drawing.hidden.len(),
        };
        size_of::<Self>() + (columns.len() + choices) * size_of::<u64>() + format
    }

    /// Whether answering takes so little time that an async thread may do it.
    pub(super) fn is_small(&self) -> bool {
        self.query.most_values() <= FEW_VALUES
    }

    /// How many rollups it reads, about; of each, a day by hours takes as long as some whole days.
    pub(super) fn rollups(&self, snapshot: &Snapshot) -> Result<usize, ApiError> {
        let Query { metrics, range, selection, resolution, .. } = &self.query;
        let scopes = if let Selection::Choices(ids) = selection { ids.len() } else { 1 };
        let parts = if *resolution == Resolution::Hour { HOURS_AS_DAYS } else { 1 };
        Ok(days_with_something(snapshot, *metrics, range.dates())?.saturating_mul(scopes).saturating_mul(parts))
    }

    /// Computes the answer from the rollups.
    pub(super) fn answer(&self, snapshot: &Snapshot, room: Room) -> Result<Answer, ApiError> {
        let mut room = room;
        let plot = read(&self.query, snapshot, &mut room)?;
        let content = match &self.format {
            Format::Json { opening } => {
                room.hold(plot.memory() + json::most_bytes(&plot))?;
                Content { media_type: "application/json", body: json::write(opening, &plot, self.with_ids) }
            }
            Format::Csv => {
                room.hold(plot.memory() + text::most_bytes(&plot))?;
                Content { media_type: "text/csv; charset=utf-8", body: text::write(&plot, self.with_ids) }
            }
            Format::Svg(drawing) => {
                room.hold(plot.memory() + MOST_BYTES)?;
                let svg = draw(drawing, &self.query, &plot, snapshot.definitions(), self.with_ids);
                Content { media_type: "image/svg+xml", body: svg.into_bytes() }
            }
        };
        drop(plot);
        room.keep(content)
    }
}

/// Whether values say whose they are: where several choices are selected, or, as Scale has it, any.
fn with_ids(selection: &Selection, dialect: Dialect) -> bool {
    match selection {
        Selection::All => false,
        Selection::Choices(ids) => ids.len() > usize::from(dialect == Dialect::Documented),
    }
}

/// Reads the rollups that a query names.
fn read<'a>(query: &Query, snapshot: &'a Snapshot, room: &mut Room) -> Result<Plot<'a>, ApiError> {
    let mut plot = Plot::new(&query.columns, snapshot.definitions());
    let wanted = RollupQuery {
        metrics: query.metrics,
        scopes: &query.selection.scopes(),
        dates: query.range.dates(),
        parts: query.parts(),
    };
    let bounds = room.bounds();
    let go_on = || bounds.check();
    match query.resolution {
        Resolution::Day => snapshot.days(&wanted, go_on, |date, scope, day| {
            plot.add(Bucket { date, hour: 0, scope }, day);
            room.hold(plot.memory())
        })?,
        Resolution::Hour => snapshot.hours(&wanted, go_on, |date, hour, scope, aggregate| {
            if query.range.has(date.hour_start(hour)) {
                plot.add(Bucket { date, hour, scope }, aggregate);
            }
            room.hold(plot.memory())
        })?,
    }
    Ok(plot)
}
