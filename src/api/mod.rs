//! The HTTP interface: routes and what the handlers share.
//!
//! A handler parses, asks, renders. Reads go to a snapshot of the store, off the async threads unless they are short, and
//! what was computed is kept ([`answers`]); writes go to the rollup task's queue and wait for its answer.
//!
//! Not here: what the numbers mean (`plot`, `catalog`), how a request is stored (`worker`).

mod answer;
mod answers;
mod error;
mod events;
mod export;
mod health;
mod metrics;
mod observe;
mod page;
mod params;
mod v6;

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route};

use crate::access::{Access, Scope};
use crate::catalog::CATALOG;
use crate::config::Dialect;
use crate::figures::Figures;
use crate::store::Store;
use crate::time::Clock;
use crate::worker::{Queue, Readiness};

pub(crate) use answer::{Content, answer};
pub(crate) use answers::Answers;
pub(crate) use error::ApiError;
pub(crate) use export::Exports;
pub(crate) use observe::observe;

/// What every handler may use.
pub(crate) struct State {
    pub(crate) access: Access,
    pub(crate) store: Arc<Store>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) answers: Answers,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) clock: Clock,
    pub(crate) dialect: Dialect,
    /// Bounds an event body, unpacked.
    pub(crate) max_body_bytes: usize,
    /// By when an event body has to be there.
    pub(crate) body_timeout: Duration,
    /// The exports that may still begin.
    pub(crate) exports: Exports,
}

impl State {
    /// Refuses a request whose token does not have the scope.
    fn allow(&self, request: &HttpRequest, scope: Scope) -> Result<(), ApiError> {
        Ok(self.access.check(secret(request), scope)?)
    }
}

/// The token that a request carries: `Authorization: Bearer …`, or Scale's `Authorization: Token …`.
fn secret(request: &HttpRequest) -> Option<&[u8]> {
    let value = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, secret) = value.split_at(value.iter().position(|&byte| byte == b' ')?);
    let is_known = [b"bearer".as_slice(), b"token"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    is_known.then(|| secret.trim_ascii())
}

/// Adds all routes of the interface.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/v6/events/")
                .route(web::post().to(events::post))
                .default_service(method_not_allowed("POST")),
        )
        .service(
            web::resource("/v6/export/")
                .route(web::get().to(export::export))
                .default_service(method_not_allowed("GET")),
        )
        .service(readable("/v6/metrics/", v6::list))
        .service(readable("/healthz", health::alive))
        .service(readable("/readyz", health::ready))
        .service(readable("/metrics", metrics::metrics));
    // A path for each type: all are known, and a pattern takes longer to compare than a small answer takes to be sent.
    for metrics in CATALOG.iter() {
        let path = format!("/v6/metrics/{}/", metrics.name);
        config
            .service(readable(&format!("{path}plot-data/"), move |request, state| {
                v6::plot_data(metrics, request, state)
            }))
            .service(readable(&path, move |request, state| v6::details(metrics, request, state)));
    }
    for path in ["/v6/metrics", "/v6/metrics/{name}", "/v6/metrics/{name}/plot-data", "/v6/events", "/v6/export"] {
        config.service(web::resource(path).to(add_slash));
    }
    config.default_service(web::to(not_found));
}

/// What the figures call the route of a path.
fn route_of(path: &str) -> &str {
    static ROUTES: LazyLock<HashSet<String>> = LazyLock::new(|| {
        let fixed = ["/", "/healthz", "/readyz", "/metrics", "/v6/events/", "/v6/export/", "/v6/metrics/"];
        let types = CATALOG.iter().map(|metrics| format!("/v6/metrics/{}/", metrics.name));
        let all = types.flat_map(|path| [format!("{path}plot-data/"), path]);
        all.chain(fixed.map(str::to_owned)).collect()
    });
    // Clients cannot make the figures grow.
    if ROUTES.contains(path) { path } else { "other" }
}

/// A resource that is read with `GET` or `HEAD`.
pub(crate) fn readable<H, A>(path: &str, handler: H) -> Resource
where
    H: Handler<A>,
    A: FromRequest + 'static,
    H::Output: Responder + 'static,
{
    let (get, head) = (web::get().to(handler.clone()), web::head().to(handler));
    web::resource(path).route(get).route(head).default_service(method_not_allowed("GET, HEAD"))
}

/// Sends the client to the path with its trailing slash, method and query kept.
async fn add_slash(request: HttpRequest) -> HttpResponse {
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = format!("{}/{query}", request.uri().path());
    HttpResponse::build(StatusCode::PERMANENT_REDIRECT).insert_header((header::LOCATION, location)).finish()
}

async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ApiError::NotFound)
}

/// The handler of the methods that a resource does not have; `allow` lists those that it has.
fn method_not_allowed(allow: &'static str) -> Route {
    web::to(move |request: HttpRequest| async move {
        let mut response = HttpResponse::from_error(ApiError::MethodNotAllowed(request.method().clone()));
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        response
    })
}

/// Runs what reads the store off the async threads.
async fn blocking<T: Send + 'static>(
    state: Data<State>,
    read: impl FnOnce(&State) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    web::block(move || read(&state)).await.map_err(|_| ApiError::Internal)?
}
