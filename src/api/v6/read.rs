//! The handler of all requests about a metrics type: from a request to a query, and from the query to its answer.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::read_query::ReadQuery;
use super::request::ReadRequest;
use crate::access::Scope;
use crate::api::connection::Phase;
use crate::api::look::Look;
use crate::api::params::Params;
use crate::api::{ApiError, State, known_at_endpoint, off_thread, parameters};
use crate::catalog::MetricsType;
use crate::vocabulary::MetricsTypeId;

/// Longer queries are parsed off the async threads, in bytes: they may name thousands of choices.
const SHORT_QUERY: usize = 4 << 10;
/// If there are more choices, a filter may find more than can be listed at once on an async thread.
const FEW_CHOICES: usize = 1_000;

/// Turns a request into a query.
pub(in crate::api) type Parse = fn(&ReadRequest<'_>) -> Result<ReadQuery, ApiError>;

/// Answers a request about a metrics type, if its token may read.
pub(in crate::api) async fn respond(
    metrics: MetricsTypeId,
    parse: Parse,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    state.allow(&request, Scope::Read)?;
    let metrics = metrics.describe_in(state.reads.catalog);
    let client = request.conn_data::<Phase>();
    let attempt = async || {
        let (query, look) = ask(metrics, parse, &request, &state).await?;
        state.responses.answer(query, look, &state.store, client).await
    };
    let answer = state.read(attempt).await?;
    state.responses.send(&request, answer).await
}

/// Parses a request with a look at the store, off the async threads unless it takes little time.
async fn ask(
    metrics: &'static MetricsType,
    parse: Parse,
    request: &HttpRequest,
    state: &Data<State>,
) -> Result<(ReadQuery, Look), ApiError> {
    if request.query_string().len() <= SHORT_QUERY {
        let params = parameters(request)?;
        let look = state.looks.take().await?;
        let definitions = look.state.definitions();
        let has_filter = || metrics.filters.iter().any(|filter| params.one(filter).is_some());
        if definitions.count(metrics.id) <= FEW_CHOICES || !has_filter() {
            let address = || state.public_urls.of(request);
            let read = ReadRequest { metrics, params: &params, definitions, settings: &state.reads, address: &address };
            return Ok((parse(&read)?, look));
        }
    }
    let known = known_at_endpoint(request);
    let (text, address) = (request.query_string().to_owned(), state.public_urls.of(request));
    let permit = state.responses.jobs.turn().await?;
    let (look, state) = (state.looks.take().await?, state.clone());
    off_thread(move || {
        let _permit = permit;
        let params = Params::parse(&text, known)?;
        let address = || address.clone();
        let definitions = look.state.definitions();
        let read = ReadRequest { metrics, params: &params, definitions, settings: &state.reads, address: &address };
        Ok((parse(&read)?, look))
    })
    .await?
}
