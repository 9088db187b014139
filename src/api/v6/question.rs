//! What is asked of the rollups. Equal questions have equal answers as long as nothing changes, so answers are kept by them
//! ([`crate::api::answers`]).

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::{details, plot_data, totals};
use crate::access::Scope;
use crate::api::answer::Answer;
use crate::api::answers::Room;
use crate::api::connection::Phase;
use crate::api::page::{Links, address};
use crate::api::params::Params;
use crate::api::work::Size;
use crate::api::{ApiError, State, known_at_endpoint, off_thread, parameters};
use crate::catalog::{MetricsType, MetricsTypeId};
use crate::store::{Snapshot, StoreError};
use crate::time::{Date, Timestamp};

/// Longer queries are read off the async threads, in bytes: they may name thousands of choices.
const SHORT_QUERY: usize = 4 << 10;
/// If there are more choices, a filter may find more than can be listed at once on an async thread.
const FEW_CHOICES: usize = 1_000;
/// Whoever reads more rollups is long about it: some hundred milliseconds.
const SHORT_ROLLUPS: usize = 100_000;

/// What a request asks, and of which state of the store.
pub(super) struct Asked<'a> {
    pub(super) metrics: &'static MetricsType,
    pub(super) params: &'a Params<'a>,
    pub(super) snapshot: &'a Snapshot,
    pub(super) state: &'a State,
    /// The absolute URL, without the query.
    address: &'a dyn Fn() -> String,
}

impl Asked<'_> {
    /// Links to the other pages.
    pub(super) fn links(&self) -> Links {
        Links::new((self.address)(), self.params)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.state.clock.now()
    }
}

/// Answers a request about a metrics type to whoever may read; `ask` finds out what it means.
pub(super) async fn respond<Q: Into<Question> + 'static>(
    metrics: &'static MetricsType,
    request: &HttpRequest,
    state: &Data<State>,
    ask: fn(&Asked<'_>) -> Result<Q, ApiError>,
) -> Result<HttpResponse, ApiError> {
    state.allow(request, Scope::Read)?;
    let ask = async || {
        if request.query_string().len() <= SHORT_QUERY {
            let params = parameters(request)?;
            let snapshot = state.store.snapshot()?;
            let has_filter = || metrics.filters.iter().any(|filter| params.one(filter).is_some());
            if snapshot.definitions().count(metrics.id) <= FEW_CHOICES || !has_filter() {
                let address = || address(request, state.address);
                let asked = Asked { metrics, params: &params, snapshot: &snapshot, state, address: &address };
                let question = ask(&asked)?.into();
                return Ok((question, snapshot));
            }
        }
        let known = known_at_endpoint(request);
        let (query, address) = (request.query_string().to_owned(), address(request, state.address));
        let (permit, state) = (state.answers.turn().await?, state.clone());
        off_thread(move || {
            let _permit = permit;
            let params = Params::parse(&query, known)?;
            let snapshot = state.store.snapshot()?;
            let address = || address.clone();
            let asked = Asked { metrics, params: &params, snapshot: &snapshot, state: &state, address: &address };
            let question = ask(&asked)?.into();
            Ok((question, snapshot))
        })
        .await?
    };
    let client = request.conn_data::<Phase>();
    let answer = state.read(async || state.answers.answer(&state.store, client, &ask).await).await?;
    state.answers.send(request, answer).await
}

/// What a request means, however it was spelled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    /// Values by bucket.
    PlotData(plot_data::Question),
    /// Values of a whole period.
    Totals(totals::Question),
    /// A metrics type and its choices.
    Details(details::Question),
}

impl Question {
    /// How much memory it takes, in bytes, about.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::PlotData(question) => question.memory(),
            Self::Totals(question) => question.memory(),
            Self::Details(question) => question.memory(),
        }
    }

    /// Whether answering takes so little time that an async thread may do it.
    pub(crate) fn is_small(&self) -> bool {
        match self {
            Self::PlotData(question) => question.is_small(),
            Self::Totals(question) => question.is_small(),
            Self::Details(question) => question.is_small(),
        }
    }

    /// How much there is to do if it is not small.
    pub(crate) fn size(&self, snapshot: &Snapshot) -> Result<Size, ApiError> {
        let rollups = match self {
            Self::PlotData(question) => question.rollups(snapshot)?,
            Self::Totals(question) => question.rollups(snapshot)?,
            Self::Details(_) => 0,
        };
        Ok(if rollups <= SHORT_ROLLUPS { Size::Short } else { Size::Long })
    }

    /// Computes the answer from the rollups.
    pub(crate) fn answer(&self, snapshot: &Snapshot, room: Room) -> Result<Answer, ApiError> {
        match self {
            Self::PlotData(question) => question.answer(snapshot, room),
            Self::Totals(question) => question.answer(snapshot, room),
            Self::Details(question) => question.answer(snapshot, room),
        }
    }
}

/// How many of these days may have something of a metrics type in them.
pub(super) fn days_with_something(
    snapshot: &Snapshot,
    metrics: MetricsTypeId,
    (first, last): (Date, Date),
) -> Result<usize, StoreError> {
    let span = snapshot.span(metrics)?;
    let (first, last) = match span {
        Some((oldest, newest)) => (first.max(oldest), last.min(newest)),
        None => return Ok(0),
    };
    Ok((last.days() + 1).saturating_sub(first.days()) as usize)
}

impl From<details::Question> for Question {
    fn from(question: details::Question) -> Self {
        Self::Details(question)
    }
}

impl From<plot_data::Question> for Question {
    fn from(question: plot_data::Question) -> Self {
        Self::PlotData(question)
    }
}

impl From<totals::Question> for Question {
    fn from(question: totals::Question) -> Self {
        Self::Totals(question)
    }
}
