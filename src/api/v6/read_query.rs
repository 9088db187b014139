//! What a request for metrics means, however it was spelled.
//!
//! Equal queries have equal answers as long as nothing changes in the store, so answers are cached by them
//! ([`crate::api::response_cache`]).

use super::breakdown::BreakdownQuery;
use super::details::DetailsQuery;
use super::event_list::EventListQuery;
use super::now::NowQuery;
use super::plot_data::PlotDataQuery;
use super::request::ReadRequest;
use super::totals::TotalsQuery;
use crate::api::ApiError;
use crate::api::answer::Answer;
use crate::api::compute_budget::ComputeBudget;
use crate::api::jobs::Size;
use crate::store::Snapshot;

/// Reading more rollups takes long: some hundred milliseconds.
const SHORT_ROLLUPS: usize = 100_000;

/// The meaning of a request about a metrics type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ReadQuery {
    /// Values by bucket.
    PlotData(PlotDataQuery),
    /// Values of a whole period.
    Totals(TotalsQuery),
    /// A metrics type and its choices.
    Details(DetailsQuery),
    /// The events behind a number.
    Events(Box<EventListQuery>),
    /// Groups of these events.
    Breakdown(Box<BreakdownQuery>),
    /// What has not ended.
    Now(Box<NowQuery>),
}

impl ReadQuery {
    /// Parses a request for a metrics type with its choices.
    pub(in crate::api) fn details(request: &ReadRequest<'_>) -> Self {
        Self::Details(DetailsQuery::parse(request))
    }

    /// Parses a request for values by bucket.
    pub(in crate::api) fn plot_data(request: &ReadRequest<'_>) -> Result<Self, ApiError> {
        PlotDataQuery::parse(request).map(Self::PlotData)
    }

    /// Parses a request for the same values as a picture.
    pub(in crate::api) fn plot_svg(request: &ReadRequest<'_>) -> Result<Self, ApiError> {
        PlotDataQuery::parse_picture(request).map(Self::PlotData)
    }

    /// Parses a request for values of a whole period.
    pub(in crate::api) fn totals(request: &ReadRequest<'_>) -> Result<Self, ApiError> {
        TotalsQuery::parse(request).map(Self::Totals)
    }

    /// Parses a request for the events behind a number.
    pub(in crate::api) fn events(request: &ReadRequest<'_>) -> Result<Self, ApiError> {
        EventListQuery::parse(request).map(Box::new).map(Self::Events)
    }

    /// Parses a request for groups of events.
    pub(in crate::api) fn breakdown(request: &ReadRequest<'_>) -> Result<Self, ApiError> {
        BreakdownQuery::parse(request).map(Box::new).map(Self::Breakdown)
    }

    /// Parses a request for what has not ended.
    pub(in crate::api) fn now(request: &ReadRequest<'_>) -> Result<Self, ApiError> {
        NowQuery::parse(request).map(Box::new).map(Self::Now)
    }

    /// The approximate memory of the query, in bytes.
    pub(in crate::api) fn memory(&self) -> usize {
        match self {
            Self::PlotData(query) => query.memory(),
            Self::Totals(query) => query.memory(),
            Self::Details(query) => query.memory(),
            Self::Events(query) => query.memory(),
            Self::Breakdown(query) => query.memory(),
            Self::Now(query) => query.memory(),
        }
    }

    /// Whether the answer takes so little time that an async thread may compute it.
    pub(in crate::api) fn is_small(&self) -> bool {
        match self {
            Self::PlotData(query) => query.is_small(),
            Self::Totals(query) => query.is_small(),
            Self::Details(query) => query.is_small(),
            // There may be any number of events.
            Self::Events(_) | Self::Breakdown(_) | Self::Now(_) => false,
        }
    }

    /// How much there is to do if the query is not small.
    pub(in crate::api) fn size(&self, snapshot: &Snapshot) -> Result<Size, ApiError> {
        let rollups = match self {
            Self::PlotData(query) => query.rollups(snapshot)?,
            Self::Totals(query) => query.rollups(snapshot)?,
            Self::Details(_) | Self::Now(_) => 0,
            Self::Events(query) => return query.size(snapshot),
            Self::Breakdown(query) => return query.size(snapshot),
        };
        Ok(if rollups <= SHORT_ROLLUPS { Size::Short } else { Size::Long })
    }

    /// Computes the answer.
    pub(in crate::api) fn answer(&self, snapshot: &Snapshot, budget: ComputeBudget) -> Result<Answer, ApiError> {
        match self {
            Self::PlotData(query) => query.answer(snapshot, budget),
            Self::Totals(query) => query.answer(snapshot, budget),
            Self::Details(query) => query.answer(snapshot, budget),
            Self::Events(query) => query.answer(snapshot, budget),
            Self::Breakdown(query) => query.answer(snapshot, budget),
            Self::Now(query) => query.answer(snapshot, budget),
        }
    }
}
