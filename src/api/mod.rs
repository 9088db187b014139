//! The HTTP interface: routes and what the handlers share.
//!
//! A handler parses, asks, renders. Reads go to a snapshot of the store, off the async threads unless they are short, and
//! what was computed is cached ([`response_cache`]); writes go to the rollup task's queue and wait for its answer.
//!
//! Not here: what the numbers mean (`plot`, `catalog`), how a request is stored (`worker`).

mod admin;
mod answer;
mod compute_budget;
mod connection;
mod cors;
mod error;
mod events;
mod export;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod health;
mod masking;
mod metrics;
mod observe;
mod openapi;
mod origin;
mod page;
mod params;
mod response_cache;
mod v6;
mod work;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
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
use crate::config::Dialect;
use crate::figures::ServerMetrics;
use crate::store::{RowsError, Store, StoreError};
use crate::time::Clock;
use crate::worker::retention::RetentionGuard;
use crate::worker::{Queue, Readiness};

pub(crate) use admin::Rebuilds;
pub(crate) use answer::{Content, answer};
pub(crate) use connection::Connection;
pub(crate) use cors::cors;
pub(crate) use error::ApiError;
use error::Refusal;
pub(crate) use export::Exports;
pub(crate) use observe::observe;
pub(crate) use openapi::DOCUMENT;
pub(crate) use origin::WriteGuard;
use params::{Known, Params};
pub(crate) use response_cache::ResponseCache;
use v6::ReadQuery;

/// How long a request waits for a database to be open, at the start or after a failure.
const REOPEN_PATIENCE: Duration = Duration::from_secs(5);
/// How often they look.
const REOPEN_LOOK: Duration = Duration::from_millis(10);

/// What every handler may use.
pub(crate) struct State {
    /// Where the server listens.
    pub(crate) address: SocketAddr,
    pub(crate) access: Access,
    pub(crate) write_guard: WriteGuard,
    pub(crate) store: Arc<Store>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) responses: ResponseCache<ReadQuery>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) figures: Arc<ServerMetrics>,
    pub(crate) clock: Clock,
    pub(crate) retention: Arc<RetentionGuard>,
    pub(crate) dialect: Dialect,
    /// Bounds an event body, unpacked.
    pub(crate) max_body_bytes: usize,
    /// By when an event body has to be there.
    pub(crate) body_timeout: Duration,
    /// How many bytes a second of a body have to arrive on average.
    pub(crate) body_least_bytes_s: u64,
    /// How many large bodies more may be read at the same time: beyond one for each core they only take memory.
    pub(crate) readers: Semaphore,
    /// The exports that may still begin.
    pub(crate) exports: Exports,
    pub(crate) rebuilds: Rebuilds,
}

impl State {
    /// Refuses a request whose token does not have the scope.
    fn allow(&self, request: &HttpRequest, scope: Scope) -> Result<(), ApiError> {
        Ok(self.access.check(secret(request), scope)?)
    }

    /// Refuses a request that changes something, if its token does not have the scope or if a web page sends it that may not write.
    fn allow_writing(&self, request: &HttpRequest, scope: Scope) -> Result<(), ApiError> {
        self.write_guard.check(request)?;
        self.allow(request, scope)
    }

    /// What `read` finds in the store. When a write or a read has failed, the database fails whoever is reading, and the rollup
    /// task opens it again: so it is waited for, and read once more.
    async fn read<T>(&self, read: impl AsyncFn() -> Result<T, ApiError>) -> Result<T, ApiError> {
        let found = read().await;
        if !found.as_ref().is_err_and(ApiError::may_pass) {
            return found;
        }
        if self.wait_until_usable().await { read().await } else { found }
    }

    /// Waits for some seconds until the server has started; not while it stops.
    async fn wait_until_open(&self) -> Result<(), ApiError> {
        let began = Instant::now();
        while self.readiness.is_opening() {
            if began.elapsed() > REOPEN_PATIENCE || self.readiness.is_stopping() {
                return Err(StoreError::from(RowsError::Closed).into());
            }
            sleep(REOPEN_LOOK).await;
        }
        Ok(())
    }

    /// Waits for some seconds until the database is open again; not while the server stops. Returns whether it is.
    async fn wait_until_usable(&self) -> bool {
        let began = Instant::now();
        while !self.store.is_usable() {
            if began.elapsed() > REOPEN_PATIENCE || self.readiness.is_stopping() {
                return false;
            }
            sleep(REOPEN_LOOK).await;
        }
        true
    }
}

/// The token that a request carries: `Authorization: Bearer …`, or Scale's `Authorization: Token …`.
fn secret(request: &HttpRequest) -> Option<&[u8]> {
    let value = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, secret) = value.split_at(value.iter().position(|&byte| byte == b' ')?);
    let is_known = [b"bearer".as_slice(), b"token"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    is_known.then(|| secret.trim_ascii())
}

const EVENTS: &str = "/v6/events/";

/// A path of the interface.
struct Endpoint {
    /// With `{name}` where the name of a metrics type stands.
    path: &'static str,
    /// What the document says of it.
    describe: fn() -> PathItem,
    /// What answers on that path.
    serve: fn(&str) -> Vec<Resource>,
}

/// All paths of the interface. Here one is added: what is served is described, and what is described is served.
const ENDPOINTS: &[Endpoint] = &[
    Endpoint { path: "/v6/metrics/", describe: openapi::types, serve: |path| vec![readable(path, v6::list)] },
    Endpoint {
        path: "/v6/metrics/{name}/",
        describe: openapi::details,
        serve: |path| {
            each_type(path, |path, metrics| readable(path, move |request, state| v6::details(metrics, request, state)))
        },
    },
    Endpoint {
        path: "/v6/metrics/{name}/plot-data/",
        describe: openapi::plot_data,
        serve: |path| {
            each_type(path, |path, metrics| {
                readable(path, move |request, state| v6::plot_data(metrics, request, state))
            })
        },
    },
    Endpoint {
        path: "/v6/metrics/{name}/plot.svg",
        describe: openapi::plot_svg,
        serve: |path| {
            each_type(path, |path, metrics| readable(path, move |request, state| v6::plot_svg(metrics, request, state)))
        },
    },
    Endpoint {
        path: "/v6/metrics/{name}/totals/",
        describe: openapi::totals,
        serve: |path| {
            each_type(path, |path, metrics| readable(path, move |request, state| v6::totals(metrics, request, state)))
        },
    },
    Endpoint {
        path: EVENTS,
        describe: openapi::post,
        // Whoever posts without the slash means this: a redirect would have them send the body twice, if they follow it at all.
        serve: |path| {
            let slashless = web::resource(path.trim_end_matches('/')).route(web::post().to(events::post)).to(add_slash);
            vec![writable(path, events::post), slashless]
        },
    },
    Endpoint { path: "/v6/export/", describe: openapi::export, serve: |path| vec![readable(path, export::export)] },
    Endpoint {
        path: "/v6/admin/rebuild/",
        describe: openapi::rebuild,
        serve: |path| vec![writable(path, admin::rebuild)],
    },
    Endpoint { path: "/metrics", describe: openapi::figures, serve: |path| vec![readable(path, metrics::metrics)] },
    Endpoint { path: "/healthz", describe: openapi::alive, serve: |path| vec![readable(path, health::alive)] },
    Endpoint { path: "/readyz", describe: openapi::ready, serve: |path| vec![readable(path, health::ready)] },
    Endpoint {
        path: "/v6/openapi.json",
        describe: openapi::document,
        serve: |path| vec![readable(path, openapi::get)],
    },
];

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

/// A path for each type: all are known, and a pattern takes longer to compare than a small answer takes to be sent.
fn each_type(path: &str, serve: fn(&str, &'static MetricsType) -> Resource) -> Vec<Resource> {
    CATALOG.iter().map(|metrics| serve(&path.replace("{name}", metrics.name), metrics)).collect()
}

/// The pages for people, which `dashboard` serves.
pub(crate) const PAGES: [&str; 3] = ["/", "/explorer/", "/v6/docs/"];

/// Every path that something is served at; of an endpoint, with the query parameters that its description names. What is
/// read of a query and what the document says of it cannot differ.
static ROUTES: LazyLock<HashMap<String, Option<Known>>> = LazyLock::new(|| {
    let mut routes: HashMap<_, _> = PAGES.iter().map(|&path| (path.to_owned(), None)).collect();
    for endpoint in ENDPOINTS {
        let described = openapi::query_parameters(&(endpoint.describe)());
        for metrics in CATALOG.iter() {
            // The description is that of all types; the filters of another one mean nothing.
            let is_foreign = |name: &String| CATALOG.iter().any(|other| other.filters.contains(&name.as_str()));
            let is_own = |name: &String| metrics.filters.contains(&name.as_str());
            let known = described.iter().filter(|name| is_own(name) || !is_foreign(name)).cloned();
            routes.insert(endpoint.path.replace("{name}", metrics.name), Some(Known::new(known)));
        }
    }
    routes
});

/// What the figures call the route of a path: the path itself, if there is anything. Clients cannot make the figures grow.
fn route_of(path: &str) -> &str {
    if EVENTS.strip_suffix('/') == Some(path) {
        EVENTS
    } else if ROUTES.contains_key(path) {
        path
    } else {
        "other"
    }
}

/// The query parameters that the endpoint of a request knows; `None` where there is no endpoint.
fn known_parameters(request: &HttpRequest) -> Option<&'static Known> {
    let known = ROUTES.get(request.path());
    // A path may be written with escapes that it does not need, or be taken without its slash.
    let known = known.or_else(|| ROUTES.get(&request.match_pattern()?));
    known.or_else(|| ROUTES.get(&format!("{}/", request.match_pattern()?)))?.as_ref()
}

/// The query parameters of a request to an endpoint.
fn parameters(request: &HttpRequest) -> Result<Params<'_>, ApiError> {
    Params::parse(request.query_string(), known_at_endpoint(request))
}

/// The query parameters that the endpoint which answers a request knows.
fn known_at_endpoint(request: &HttpRequest) -> &'static Known {
    known_parameters(request).expect("every endpoint has a description")
}

/// The query parameters that an endpoint knows, by its path.
#[cfg(any(test, feature = "fuzzing"))]
fn known_at(path: &str) -> &'static Known {
    ROUTES.get(path).and_then(Option::as_ref).expect("it is the path of an endpoint")
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

/// A resource that is written with `POST`.
fn writable<H, A>(path: &str, handler: H) -> Resource
where
    H: Handler<A>,
    A: FromRequest + 'static,
    H::Output: Responder + 'static,
{
    web::resource(path).route(web::post().to(handler)).default_service(method_not_allowed("POST"))
}

/// The path without its trailing slash, which leads to the one with it.
pub(crate) fn slashless(path: &str) -> Resource {
    web::resource(path.trim_end_matches('/')).to(add_slash)
}

/// Sends the client to the path with its trailing slash, method and query kept. The location is relative to the last part of the
/// path, so that whatever a proxy has before the path stays there, and begins so that it can name no other host.
async fn add_slash(request: HttpRequest) -> HttpResponse {
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
    let detail = format!("This path ends with a slash: \"{name}/\".");
    HttpResponse::build(StatusCode::PERMANENT_REDIRECT)
        .insert_header((header::LOCATION, format!("./{name}/{query}")))
        .json(Refusal { detail })
}

/// A longer path, in bytes, is nobody's typing error.
const LONGEST_TYPED: usize = 256;

/// Answers a path that does not exist. The body is fixed (docs/reference.md, Reading); a header leads to the list of those that do.
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

/// The relative address of the root, as seen from `path`. A path prefix of a proxy stays in place.
pub(crate) fn root_from(path: &str) -> String {
    match path.matches('/').count().saturating_sub(1) {
        0 => "./".to_owned(),
        depth => "../".repeat(depth),
    }
}

/// The handler of the methods that a resource does not have; `allow` lists those that it has.
fn method_not_allowed(allow: &'static str) -> Route {
    web::to(move |request: HttpRequest| async move {
        let mut response = HttpResponse::from_error(ApiError::MethodNotAllowed(request.method().clone()));
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        response
    })
}

/// Runs what takes a while off the async threads.
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
