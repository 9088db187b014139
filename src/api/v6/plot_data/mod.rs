//! `GET /v6/metrics/{name}/plot-data/`: the selected columns as series, oldest value first.
//!
//! A request becomes a [`PlotDataQuery`], whose answer is cached (`v6::read`).

mod csv;
mod items;
mod json;
mod picture;
mod query;

pub(in crate::api) use json::SeriesHead;
pub(in crate::api) use picture::{HEIGHTS, KINDS, LEGENDS, STANDARD_HEIGHT, STANDARD_WIDTH, THEMES, WIDTHS};
pub(in crate::api) use query::parse;
pub(in crate::api) use query::{FILLS, RESOLUTIONS};

use crate::api::ApiError;
use crate::api::answer::{Answer, Content};
use crate::api::compute_budget::ComputeBudget;
use crate::api::page::PageRequest;
use crate::api::v6::buckets::{self, Buckets, Wanted};
use crate::api::v6::request::{ReadRequest, days_with_something};
use crate::api::v6::selection::FORMATS;
use crate::config::Dialect;
use crate::picture::{Drawing, MOST_BYTES, draw};
use crate::plot::{Bucket, Fill, Plot, Query, Selection, Sequence};
use crate::rollup::Aggregate;
use crate::store::Snapshot;
use crate::time::{Calendar, Resolution};

/// Queries with more values than this are computed off the async threads.
const FEW_VALUES: usize = 4_096;
/// Reading a day by the hour takes as long as reading this many whole days.
const HOURS_AS_DAYS: usize = 10;
/// Reading the events of a day takes as long as reading at least this many whole days.
const EVENTS_AS_DAYS: usize = 1_000;

/// The meaning of a request. Requests with the same meaning are equal values, however they are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PlotDataQuery {
    query: Query,
    /// Whether every value has the id of its choice.
    with_ids: bool,
    format: Format,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Format {
    /// A page of the columns. `opening` is the JSON before its results.
    Json { opening: Vec<u8> },
    /// All columns.
    Csv,
    /// A picture of the columns.
    Svg(Drawing),
}

impl PlotDataQuery {
    /// Parses the parameters of a request.
    pub(in crate::api::v6) fn parse(request: &ReadRequest<'_>) -> Result<Self, ApiError> {
        let (params, dialect) = (request.params, request.settings.dialect);
        let page = PageRequest::parse(params)?;
        let is_csv = params.word("format", FORMATS)?.unwrap_or(false);
        let clock = (request.now(), request.zone()?);
        let mut query = query::parse(request.metrics, params, request.definitions, dialect, clock)?;
        let with_ids = with_ids(&query.selection, dialect);
        let format = if is_csv {
            Format::Csv
        } else {
            let count = query.columns.len();
            query.columns = page.slice(&query.columns)?.to_vec();
            Format::Json { opening: page.opening(count, || request.links()) }
        };
        Ok(Self { query, with_ids, format })
    }

    /// The approximate memory of the query, in bytes.
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

    /// Whether the answer takes so little time that an async thread may compute it.
    pub(super) fn is_small(&self) -> bool {
        let Calendar { zone, resolution } = self.query.calendar;
        let is_read_as_it_is = zone.is_utc() && matches!(resolution, Resolution::Hour | Resolution::Day);
        is_read_as_it_is && self.query.most_values() <= FEW_VALUES
    }

    /// The approximate number of rollups that the query reads. A day by the hour counts as [`HOURS_AS_DAYS`], one whose events are
    /// read as [`EVENTS_AS_DAYS`].
    pub(super) fn rollups(&self, snapshot: &Snapshot) -> Result<usize, ApiError> {
        let Query { metrics, selection, calendar: Calendar { zone, resolution }, .. } = &self.query;
        let buckets = self.buckets();
        let scopes = if let Selection::Choices(ids) = selection { ids.len() } else { 1 };
        let parts = match resolution {
            _ if buckets.need_events() => EVENTS_AS_DAYS,
            Resolution::Hour => HOURS_AS_DAYS,
            Resolution::Day if !zone.is_utc() => HOURS_AS_DAYS,
            Resolution::Day | Resolution::Week | Resolution::Month => 1,
        };
        Ok(days_with_something(snapshot, *metrics, buckets.dates())?.saturating_mul(scopes).saturating_mul(parts))
    }

    fn buckets(&self) -> Buckets {
        Buckets::of(self.query.calendar, self.query.range)
    }

    /// Computes the answer from the rollups.
    pub(super) fn answer(&self, snapshot: &Snapshot, mut budget: ComputeBudget) -> Result<Answer, ApiError> {
        let plot = self.read(snapshot, &mut budget)?;
        let calendar = self.query.calendar;
        let content = match &self.format {
            Format::Json { opening } => {
                budget.hold(plot.memory() + json::most_bytes(&plot, calendar))?;
                Content { media_type: "application/json", body: json::write(opening, &plot, calendar, self.with_ids) }
            }
            Format::Csv => {
                budget.hold(plot.memory() + csv::most_bytes(&plot, calendar))?;
                Content { media_type: "text/csv; charset=utf-8", body: csv::write(&plot, calendar, self.with_ids) }
            }
            Format::Svg(drawing) => {
                budget.hold(plot.memory() + MOST_BYTES)?;
                let svg = draw(drawing, &self.query, &plot, snapshot.definitions(), self.with_ids);
                Content { media_type: "image/svg+xml", body: svg.into_bytes() }
            }
        };
        drop(plot);
        budget.keep(content)
    }

    /// Reads the values of all buckets.
    fn read<'s>(&self, snapshot: &'s Snapshot, budget: &mut ComputeBudget) -> Result<Plot<'s>, ApiError> {
        let query = &self.query;
        let scopes = query.selection.scopes();
        let wanted = Wanted { metrics: query.metrics, scopes: &scopes, parts: query.parts() };
        let mut plot = Plot::new(&query.columns, snapshot.definitions(), query.fill != Fill::None);
        let mut sequence = Sequence::of(query);
        let nothing = Aggregate::default();
        let mut fill = |plot: &mut Plot<'_>, budget: &mut ComputeBudget, held, bucket| {
            while let Some(empty) = sequence.as_mut().and_then(|sequence| sequence.next_before(bucket)) {
                plot.add(empty, &nothing);
                budget.hold(held + plot.memory())?;
            }
            Ok::<_, ApiError>(())
        };
        buckets::read(snapshot, self.buckets(), &wanted, 0, budget, |budget, held, (start, scope), aggregate| {
            let bucket = Bucket { start, scope };
            fill(&mut plot, budget, held, Some(bucket))?;
            plot.add(bucket, aggregate);
            budget.hold(held + plot.memory())
        })?;
        fill(&mut plot, budget, 0, None)?;
        Ok(plot)
    }
}

/// Whether each value has the id of its choice: if several choices are selected, or in Scale's dialect, if any is.
fn with_ids(selection: &Selection, dialect: Dialect) -> bool {
    match selection {
        Selection::All => false,
        Selection::Choices(ids) => ids.len() > usize::from(dialect == Dialect::Documented),
    }
}
