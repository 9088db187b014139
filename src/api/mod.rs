//! The HTTP interface: the routes, and code that all handlers share.
//!
//! A handler parses a request, asks the store or the rollup task, and renders the answer. A read takes a look at the store
//! ([`look`]) and uses a snapshot of it, off the async threads unless it is small; computed answers are cached
//! ([`response_cache`]). A write goes to the queue of the rollup task and waits for the result.
//!
//! Not here: what the numbers mean (`plot`, `catalog`), how a request is stored (`worker`).

mod admin;
mod answer;
mod base_path;
mod compute_budget;
mod connection;
mod cors;
mod delete_events;
mod error;
pub(crate) mod fuzz;
mod get_event;
mod get_export;
mod jobs;
mod look;
mod masking;
mod openapi;
mod page;
mod params;
mod post_events;
mod probes;
mod public_url;
mod question;
mod request_log;
mod response_cache;
mod server_metrics;
mod v6;
mod write_guard;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::rt::time::sleep;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route};
use tokio::sync::Semaphore;
use utoipa::openapi::PathItem;

use crate::access::{Access, Scope};
use crate::catalog::{CATALOG, MetricsType};
use crate::store::{RowsError, Store, StoreError};
use crate::telemetry::server_metrics::ServerMetrics;
use crate::worker::retention::RetentionGuard;
use crate::worker::{Queue, Readiness};

pub(crate) use answer::{Content, answer};
pub(crate) use base_path::strip_base_path;
pub(crate) use connection::{Connection, Socket, accept_tls};
pub(crate) use cors::cors;
pub(crate) use error::ApiError;
use error::Refusal;
pub(crate) use get_export::Exports;
pub(crate) use look::Looks;
pub(crate) use openapi::openapi;
pub(crate) use page::{DEFAULT_SIZE, MAX_SIZE};
use params::{Known, Params};
pub(crate) use public_url::{PublicUrls, Scheme};
pub(crate) use question::{Question, QuestionParameter};
pub(crate) use request_log::observe;
pub(crate) use response_cache::ResponseCache;
use v6::ReadQuery;
pub(crate) use v6::ReadSettings;
pub(crate) use write_guard::WriteGuard;

/// How long a request waits for the database to be opened, at the start or after a failure.
const REOPEN_PATIENCE: Duration = Duration::from_secs(5);
/// How often a waiting request checks whether the database is open.
const REOPEN_LOOK: Duration = Duration::from_millis(10);

/// The state that all handlers share.
pub(crate) struct State {
    pub(crate) public_urls: PublicUrls,
    pub(crate) access: Access,
    pub(crate) write_guard: WriteGuard,
    pub(crate) store: Arc<Store>,
    pub(crate) looks: Arc<Looks>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) responses: Arc<ResponseCache>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) figures: Arc<ServerMetrics>,
    pub(crate) reads: ReadSettings,
    pub(crate) retention: Arc<RetentionGuard>,
    /// The description of the interface, once it was asked for.
    pub(crate) openapi: OnceLock<String>,
    /// The size limit of an unpacked event body, in bytes.
    pub(crate) max_body_bytes: usize,
    /// The time limit for an event body to arrive.
    pub(crate) body_timeout: Duration,
    /// The minimum average transfer rate of an event body, in bytes a second.
    pub(crate) body_least_bytes_s: u64,
    /// Permits to parse large bodies. More of them than cores would only take memory.
    pub(crate) readers: Semaphore,
    /// Permits for exports.
    pub(crate) exports: Exports,
    /// The permit to rebuild: one rebuild runs at a time.
    pub(crate) rebuilds: Semaphore,
}

impl State {
    /// Refuses a request whose token does not have the scope.
    fn allow(&self, request: &HttpRequest, scope: Scope) -> Result<(), ApiError> {
        Ok(self.access.check(secret(request), scope)?)
    }

    /// Refuses a request to change something if its token does not have the scope, or if it comes from a web page that may not
    /// write.
    fn allow_writing(&self, request: &HttpRequest, scope: Scope) -> Result<(), ApiError> {
        self.write_guard.check(request)?;
        self.allow(request, scope)
    }

    /// Returns the result of `read`, which reads the store. After a failed write or read, the database fails all reads until the
    /// rollup task has opened it again. So this waits until the database is open, and reads a second time.
    async fn read<T>(&self, read: impl AsyncFn() -> Result<T, ApiError>) -> Result<T, ApiError> {
        let found = read().await;
        if !found.as_ref().is_err_and(ApiError::may_pass) {
            return found;
        }
        if self.wait_until(|| self.store.is_usable()).await { read().await } else { found }
    }

    /// Waits until the server has started, for [`REOPEN_PATIENCE`] at most. Fails at once while the server stops.
    async fn wait_until_open(&self) -> Result<(), ApiError> {
        let is_open = self.wait_until(|| !self.readiness.is_opening()).await;
        let error = || if self.store.needs_upgrade() { StoreError::Upgrading } else { RowsError::Closed.into() };
        if is_open { Ok(()) } else { Err(error().into()) }
    }

    /// Waits until something is done, for [`REOPEN_PATIENCE`] at most; does not wait while the server stops. Returns whether it
    /// is done.
    async fn wait_until(&self, is_done: impl Fn() -> bool) -> bool {
        let began = Instant::now();
        while !is_done() {
            if began.elapsed() > REOPEN_PATIENCE || self.readiness.is_stopping() {
                return false;
            }
            sleep(REOPEN_LOOK).await;
        }
        true
    }
}

/// The token of a request: `Authorization: Bearer …`, or Scale's `Authorization: Token …`.
fn secret(request: &HttpRequest) -> Option<&[u8]> {
    let value = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, secret) = value.split_at(value.iter().position(|&byte| byte == b' ')?);
    let is_known = [b"bearer".as_slice(), b"token"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    is_known.then(|| secret.trim_ascii())
}

const EVENTS: &str = "/v6/events/";
const LISTS: &str = "/v6/metrics/{name}/events/";
const NOW: &str = "/v6/metrics/{name}/now/";
const DELETIONS: &str = "/v6/events/delete/";
const SINGLE_EVENT: &str = "/v6/events/{kind}/{id}/";
const BREAKDOWNS: &str = "/v6/metrics/{name}/breakdown/";

/// One endpoint of the interface.
struct Endpoint {
    /// The path, with `{name}` as the placeholder for the name of a metrics type.
    path: &'static str,
    /// Returns the description of the endpoint in the OpenAPI document.
    describe: fn() -> PathItem,
    /// Returns the resources that serve the path.
    serve: fn(&str) -> Vec<Resource>,
}

/// All endpoints of the interface. A new endpoint is added here only: the routes and the OpenAPI document are both made from this
/// list.
const ENDPOINTS: &[Endpoint] = &[
    endpoint("/v6/metrics/", openapi::types, |path| vec![readable(path, v6::list)]),
    endpoint("/v6/metrics/{name}/", openapi::details, |path| {
        each_type(path, |request| Ok(ReadQuery::details(request)))
    }),
    endpoint("/v6/metrics/{name}/plot-data/", openapi::plot_data, |path| each_type(path, ReadQuery::plot_data)),
    endpoint("/v6/metrics/{name}/plot.svg", openapi::plot_svg, |path| each_type(path, ReadQuery::plot_svg)),
    endpoint("/v6/metrics/{name}/totals/", openapi::totals, |path| each_type(path, ReadQuery::totals)),
    endpoint(LISTS, openapi::events, |path| each_type(path, ReadQuery::events)),
    endpoint(BREAKDOWNS, openapi::breakdown, |path| each_type(path, ReadQuery::breakdown)),
    endpoint(NOW, openapi::now, |path| each_type(path, ReadQuery::now)),
    endpoint(SINGLE_EVENT, openapi::event, |path| {
        let delete = web::delete().to(delete_events::one);
        let (get, head) = (web::get().to(get_event::event), web::head().to(get_event::event));
        let methods = method_not_allowed("DELETE, GET, HEAD");
        vec![web::resource(path).route(get).route(head).route(delete).default_service(methods)]
    }),
    endpoint(DELETIONS, openapi::delete, |path| vec![writable(path, delete_events::many)]),
    // A `POST` without the slash is served as well: a redirect would make the client send the body twice, and some clients do
    // not follow it at all.
    endpoint(EVENTS, openapi::post, |path| {
        let slashless =
            web::resource(path.trim_end_matches('/')).route(web::post().to(post_events::post)).to(add_slash);
        vec![writable(path, post_events::post), slashless]
    }),
    endpoint("/v6/export/", openapi::export, |path| vec![readable(path, get_export::export)]),
    endpoint("/v6/admin/rebuild/", openapi::rebuild, |path| vec![writable(path, admin::rebuild)]),
    endpoint("/metrics", openapi::figures, |path| vec![readable(path, server_metrics::metrics)]),
    endpoint("/healthz", openapi::alive, |path| vec![readable(path, probes::alive)]),
    endpoint("/readyz", openapi::ready, |path| vec![readable(path, probes::ready)]),
    endpoint("/v6/openapi.json", openapi::document, |path| vec![readable(path, openapi::get)]),
];

const fn endpoint(path: &'static str, describe: fn() -> PathItem, serve: fn(&str) -> Vec<Resource>) -> Endpoint {
    Endpoint { path, describe, serve }
}

/// Adds all routes of the interface.
pub(crate) fn routes(config: &mut ServiceConfig) {
    for endpoint in ENDPOINTS {
        for resource in (endpoint.serve)(endpoint.path) {
            config.service(resource);
        }
    }
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.path.ends_with('/') && endpoint.path != EVENTS) {
        config.service(slashless(endpoint.path));
    }
    config.default_service(web::to(not_found));
}

/// Returns a resource for each metrics type, whose requests `parse` turns into queries. All types are known, and comparing a
/// pattern takes longer than sending a small answer.
fn each_type(path: &str, parse: v6::Parse) -> Vec<Resource> {
    let serve = |metrics: &'static MetricsType| {
        let respond = move |request, state| v6::respond(metrics.id, parse, request, state);
        readable(&path.replace("{name}", metrics.name), respond)
    };
    CATALOG.iter().map(serve).collect()
}

/// The paths of the web pages, which `dashboard` serves.
pub(crate) const PAGES: [&str; 3] = ["/", "/explorer/", "/v6/docs/"];

/// All paths that are served, each with the query parameters that its description names; `None` for a page. So the parameters
/// that are read and those that the document describes cannot differ.
static ROUTES: LazyLock<HashMap<String, Option<Known>>> = LazyLock::new(|| {
    let mut routes: HashMap<_, _> = PAGES.iter().map(|&path| (path.to_owned(), None)).collect();
    for endpoint in ENDPOINTS {
        let described = openapi::query_parameters(&(endpoint.describe)());
        for metrics in *CATALOG {
            // The description covers all types; what narrows only others has no meaning here.
            let narrows = |of: &MetricsType, name: &String| {
                let narrows_events =
                    [LISTS, BREAKDOWNS, NOW].contains(&endpoint.path) && v6::NARROWING.contains(&(of.id, name));
                of.filters.contains(&name.as_str()) || narrows_events
            };
            let is_foreign = |name: &String| CATALOG.iter().any(|other| narrows(other, name));
            let is_own = |name: &String| narrows(metrics, name);
            let known = described.iter().filter(|name| is_own(name) || !is_foreign(name)).cloned();
            routes.insert(endpoint.path.replace("{name}", metrics.name), Some(Known::new(known)));
        }
    }
    routes
});

/// The name of a route in the figures: the path itself if it is served, else `other`. So clients cannot add figures without
/// limit.
fn route_of(path: &str) -> &str {
    if EVENTS.strip_suffix('/') == Some(path) {
        EVENTS
    } else if ROUTES.contains_key(path) {
        path
    } else if is_single_event(path) {
        SINGLE_EVENT
    } else {
        "other"
    }
}

/// Whether a path is that of a single event.
fn is_single_event(path: &str) -> bool {
    let parts = path.strip_prefix(EVENTS).map(|rest| rest.split('/').collect::<Vec<_>>());
    matches!(parts.as_deref(), Some([kind, id, ""]) if !kind.is_empty() && !id.is_empty())
}

/// The query parameters that the endpoint of a request knows; `None` if there is no endpoint.
fn known_parameters(request: &HttpRequest) -> Option<&'static Known> {
    let known = ROUTES.get(request.path());
    // The path may have escapes that it does not need, or may lack its slash.
    let known = known.or_else(|| ROUTES.get(&request.match_pattern()?));
    known.or_else(|| ROUTES.get(&format!("{}/", request.match_pattern()?)))?.as_ref()
}

/// The query parameters of a request to an endpoint.
fn parameters(request: &HttpRequest) -> Result<Params<'_>, ApiError> {
    Params::parse(request.query_string(), known_at_endpoint(request))
}

/// The query parameters that the endpoint of a request knows. There has to be an endpoint.
fn known_at_endpoint(request: &HttpRequest) -> &'static Known {
    known_parameters(request).expect("every endpoint has a description")
}

/// A resource that clients read with `GET` or `HEAD`.
pub(crate) fn readable<H, A>(path: &str, handler: H) -> Resource
where
    H: Handler<A>,
    A: FromRequest + 'static,
    H::Output: Responder + 'static,
{
    let (get, head) = (web::get().to(handler.clone()), web::head().to(handler));
    web::resource(path).route(get).route(head).default_service(method_not_allowed("GET, HEAD"))
}

/// A resource that clients write with `POST`.
fn writable<H, A>(path: &str, handler: H) -> Resource
where
    H: Handler<A>,
    A: FromRequest + 'static,
    H::Output: Responder + 'static,
{
    web::resource(path).route(web::post().to(handler)).default_service(method_not_allowed("POST"))
}

/// A resource at the path without its trailing slash, which redirects to the path with it.
pub(crate) fn slashless(path: &str) -> Resource {
    web::resource(path.trim_end_matches('/')).to(add_slash)
}

/// Redirects the client to the path with its trailing slash; the method and the query stay. The location is relative to the last
/// part of the path, so that a path prefix of a proxy stays. It begins with `./`, so that it cannot name another host.
async fn add_slash(request: HttpRequest) -> HttpResponse {
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
    let detail = format!("This path ends with a slash: \"{name}/\".");
    HttpResponse::build(StatusCode::PERMANENT_REDIRECT)
        .insert_header((header::LOCATION, format!("./{name}/{query}")))
        .json(Refusal { detail })
}

/// The longest path that may be a typing error, in bytes.
const LONGEST_TYPED: usize = 256;

/// Answers a request to a path that does not exist. The body is fixed (docs/reference.md, Reading); a `Link` header points to the
/// list of the existing paths.
async fn not_found(request: HttpRequest) -> HttpResponse {
    let mut response = HttpResponse::from_error(ApiError::NotFound);
    if request.uri().path().len() > LONGEST_TYPED {
        return response;
    }
    let link = format!("<{}v6/docs/>; rel=\"service-doc\"", root_from(request.uri().path()));
    let link = HeaderValue::try_from(link).expect("dots and slashes make a header");
    response.headers_mut().insert(header::LINK, link);
    response
}

/// The relative URL of the root, as seen from `path`. A path prefix of a proxy stays.
pub(crate) fn root_from(path: &str) -> String {
    match path.matches('/').count().saturating_sub(1) {
        0 => "./".to_owned(),
        depth => "../".repeat(depth),
    }
}

/// Answers requests with methods that a resource does not have; `allow` lists the methods that it has.
fn method_not_allowed(allow: &'static str) -> Route {
    web::to(move |request: HttpRequest| async move {
        let mut response = HttpResponse::from_error(ApiError::MethodNotAllowed(request.method().clone()));
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        response
    })
}

/// Runs a slow function off the async threads.
async fn off_thread<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    web::block(run).await.map_err(|_| ApiError::Internal)
}

/// Reads the store off the async threads, as [`State::read`] does.
async fn read_off_thread<T: Send + 'static>(
    state: &Data<State>,
    read: impl Fn(&State) -> Result<T, ApiError> + Clone + Send + 'static,
) -> Result<T, ApiError> {
    let attempt = async || {
        let (state, read) = (state.clone(), read.clone());
        off_thread(move || read(&state)).await?
    };
    state.read(attempt).await
}
