//! The endpoints that read rollups: from a request to a query, and from the query to its answer.
//!
//! A query says what a request means, however it was spelled. Equal queries have equal answers as long as nothing changes, so
//! answers are cached by them ([`crate::api::response_cache`]).

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::details::DetailsQuery;
use super::plot_data::PlotDataQuery;
use super::request::ReadRequest;
use super::totals::TotalsQuery;
use crate::access::Scope;
use crate::api::answer::Answer;
use crate::api::compute_budget::ComputeBudget;
use crate::api::connection::Phase;
use crate::api::jobs::Size;
use crate::api::page::address;
use crate::api::params::Params;
use crate::api::response_cache::CachedQuery;
use crate::api::{ApiError, State, known_at_endpoint, off_thread, parameters};
use crate::catalog::MetricsType;
use crate::store::Snapshot;

/// Longer queries are parsed off the async threads, in bytes: they may name thousands of choices.
const SHORT_QUERY: usize = 4 << 10;
/// If there are more choices, a filter may find more than can be listed at once on an async thread.
const FEW_CHOICES: usize = 1_000;
/// Reading more rollups takes long: some hundred milliseconds.
const SHORT_ROLLUPS: usize = 100_000;

/// `GET /v6/metrics/{name}/`: a metrics type with its choices.
pub(in crate::api) async fn details(
    metrics: &'static MetricsType,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    respond(metrics, &request, &state, |read| Ok(DetailsQuery::parse(read))).await
}

/// `GET /v6/metrics/{name}/plot-data/`: values by bucket.
pub(in crate::api) async fn plot_data(
    metrics: &'static MetricsType,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    respond(metrics, &request, &state, PlotDataQuery::parse).await
}

/// `GET /v6/metrics/{name}/plot.svg`: the same values as a picture.
pub(in crate::api) async fn plot_svg(
    metrics: &'static MetricsType,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    respond(metrics, &request, &state, PlotDataQuery::parse_picture).await
}

/// `GET /v6/metrics/{name}/totals/`: values of a whole period.
pub(in crate::api) async fn totals(
    metrics: &'static MetricsType,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    respond(metrics, &request, &state, TotalsQuery::parse).await
}

/// Answers a request about a metrics type, if its token may read; `parse` turns it into a query.
pub(super) async fn respond<Q: Into<ReadQuery> + 'static>(
    metrics: &'static MetricsType,
    request: &HttpRequest,
    state: &Data<State>,
    parse: fn(&ReadRequest<'_>) -> Result<Q, ApiError>,
) -> Result<HttpResponse, ApiError> {
    state.allow(request, Scope::Read)?;
    let ask = async || {
        if request.query_string().len() <= SHORT_QUERY {
            let params = parameters(request)?;
            let snapshot = state.store.snapshot()?;
            let has_filter = || metrics.filters.iter().any(|filter| params.one(filter).is_some());
            if snapshot.definitions().count(metrics.id) <= FEW_CHOICES || !has_filter() {
                let address = || address(request, state.address);
                let read = ReadRequest { metrics, params: &params, snapshot: &snapshot, state, address: &address };
                let query = parse(&read)?.into();
                return Ok((query, snapshot));
            }
        }
        let known = known_at_endpoint(request);
        let (text, address) = (request.query_string().to_owned(), address(request, state.address));
        let (permit, state) = (state.responses.turn().await?, state.clone());
        off_thread(move || {
            let _permit = permit;
            let params = Params::parse(&text, known)?;
            let snapshot = state.store.snapshot()?;
            let address = || address.clone();
            let read = ReadRequest { metrics, params: &params, snapshot: &snapshot, state: &state, address: &address };
            let query = parse(&read)?.into();
            Ok((query, snapshot))
        })
        .await?
    };
    let client = request.conn_data::<Phase>();
    let answer = state.read(async || state.responses.answer(&state.store, client, &ask).await).await?;
    state.responses.send(request, answer).await
}

/// What a request means, however it was spelled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ReadQuery {
    /// Values by bucket.
    PlotData(PlotDataQuery),
    /// Values of a whole period.
    Totals(TotalsQuery),
    /// A metrics type and its choices.
    Details(DetailsQuery),
}

impl CachedQuery for ReadQuery {
    fn memory(&self) -> usize {
        match self {
            Self::PlotData(query) => query.memory(),
            Self::Totals(query) => query.memory(),
            Self::Details(query) => query.memory(),
        }
    }

    fn is_small(&self) -> bool {
        match self {
            Self::PlotData(query) => query.is_small(),
            Self::Totals(query) => query.is_small(),
            Self::Details(query) => query.is_small(),
        }
    }

    fn size(&self, snapshot: &Snapshot) -> Result<Size, ApiError> {
        let rollups = match self {
            Self::PlotData(query) => query.rollups(snapshot)?,
            Self::Totals(query) => query.rollups(snapshot)?,
            Self::Details(_) => 0,
        };
        Ok(if rollups <= SHORT_ROLLUPS { Size::Short } else { Size::Long })
    }

    fn answer(&self, snapshot: &Snapshot, budget: ComputeBudget) -> Result<Answer, ApiError> {
        match self {
            Self::PlotData(query) => query.answer(snapshot, budget),
            Self::Totals(query) => query.answer(snapshot, budget),
            Self::Details(query) => query.answer(snapshot, budget),
        }
    }
}

impl From<DetailsQuery> for ReadQuery {
    fn from(query: DetailsQuery) -> Self {
        Self::Details(query)
    }
}

impl From<PlotDataQuery> for ReadQuery {
    fn from(query: PlotDataQuery) -> Self {
        Self::PlotData(query)
    }
}

impl From<TotalsQuery> for ReadQuery {
    fn from(query: TotalsQuery) -> Self {
        Self::Totals(query)
    }
}
