//! Observation of requests: middleware that logs each request, counts it in the figures and gives its answer an id.
//!
//! The figures count an answer when its head is sent, so that a client that has an answer finds it counted. The line in the log
//! is written when the last of the body was handed to the connection, or when the client is gone.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode, Uri, Version};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};

use super::connection::Phase;
use super::params::{IGNORED_PARAMETERS, ignored};
use super::{ApiError, State, known_parameters, masking, route_of};
use crate::access::Access;
use crate::config::LogLevel;
use crate::telemetry::log::{RequestLine, is_said, milliseconds, new_request_id, say_request};

/// The header with the id of a request, which identifies it in the log and in questions about it. A client may choose the id.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that a client may choose.
const ID_BYTES: usize = 128;

/// The policy of answers that set none: no answer may be treated as a page or a script unless it says so itself.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");

/// Passes a request on, then counts it, logs it and adds headers to its answer.
pub(crate) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<Observed>, Error> {
    let state = request.app_data::<Data<State>>().expect("the state is there for all routes").clone();
    let mut line = Line::of(&request, state.clone());
    let mut response = next.call(request).await?.map_into_boxed_body();
    let status = response.status();
    line.status = Some(status);
    if status.is_server_error() {
        let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
        line.error = error.map(ApiError::cause);
        line.is_given_up = matches!(error, Some(ApiError::ClientGone));
    }
    let route = route_of(response.request().path());
    state.figures.count_request(route, known(&line.method), status.as_str(), line.started.elapsed());
    line.left = match response.response().body().size() {
        BodySize::Sized(bytes) if line.method != Method::HEAD => bytes,
        BodySize::Stream if line.method != Method::HEAD => u64::MAX,
        BodySize::Sized(_) | BodySize::Stream | BodySize::None => 0,
    };
    let request = response.request();
    let ignored = request.uri().query().and_then(|query| ignored(query, known_parameters(request)?));
    let is_stream = response.response().body().size() == BodySize::Stream;
    let head = response.response_mut().head_mut();
    if is_stream && line.version < Version::HTTP_11 {
        // Such a client does not know chunks; for it, the end of the connection ends the body.
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    if line.phase.as_ref().is_some_and(Phase::expects_continue) {
        // The client may send either the body or the next request now, and the server could not tell which.
        head.set_connection_type(ConnectionType::Close);
    }
    let headers = response.headers_mut();
    if let Some(names) = ignored {
        headers.insert(IGNORED_PARAMETERS, names);
    }
    headers.insert(REQUEST_ID, line.id.clone());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    }
    Ok(response.map_body(|_, body| Observed { body, line }))
}

/// The method if it is a usual one, else `other`. So clients cannot add figures without limit.
fn known(method: &Method) -> &str {
    const KNOWN: [Method; 7] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS];
    if KNOWN.contains(method) { method.as_str() } else { "other" }
}

/// The line in the log about a request. When it is dropped, the line is written, and the connection waits for the next request.
struct Line {
    started: Instant,
    id: HeaderValue,
    version: Version,
    method: Method,
    target: Uri,
    client: Option<IpAddr>,
    /// The status of the answer; `None` until there is one.
    status: Option<StatusCode>,
    /// How many bytes of the body were handed to the connection.
    bytes: u64,
    /// How many bytes are still to be handed to the connection; [`u64::MAX`] for a body of unknown length, until it ends.
    left: u64,
    /// The cause of an error, which the client does not see.
    error: Option<String>,
    /// Whether the client closed the connection, so that the status does not describe the server.
    is_given_up: bool,
    /// The phase of the connection of the request.
    phase: Option<Phase>,
    /// Has the access rules, and so knows the tokens that must not be logged.
    state: Data<State>,
}

impl Line {
    fn of(request: &ServiceRequest, state: Data<State>) -> Self {
        let chosen = request.headers().get(&REQUEST_ID).filter(|id| is_fit(id, &state.access));
        let new = || HeaderValue::try_from(new_request_id()).expect("digits make a header");
        let phase = request.conn_data::<Phase>().cloned();
        let may_expect = request.version() >= Version::HTTP_11 && has_body(request.headers());
        if let Some(phase) = &phase {
            phase.begin(may_expect);
        }
        Self {
            started: Instant::now(),
            id: chosen.cloned().unwrap_or_else(new),
            version: request.version(),
            method: request.method().clone(),
            target: request.uri().clone(),
            client: request.peer_addr().map(|address| address.ip()),
            status: None,
            bytes: 0,
            left: u64::MAX,
            error: None,
            is_given_up: false,
            phase,
            state,
        }
    }
}

/// Whether a request has a body.
fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// Whether a request may have this id. The id is logged, so it must not be a token.
fn is_fit(id: &HeaderValue, access: &Access) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte);
    id.to_str().is_ok_and(|id| {
        (1..=ID_BYTES).contains(&id.len()) && id.bytes().all(is_plain) && !masking::may_be_token(id, access)
    })
}

impl Drop for Line {
    fn drop(&mut self) {
        self.phase.iter().for_each(Phase::end);
        let level = match self.status {
            Some(StatusCode::INTERNAL_SERVER_ERROR) => LogLevel::Error,
            Some(status) if status.is_server_error() && !self.is_given_up => LogLevel::Warn,
            _ => LogLevel::Info,
        };
        if !is_said(level) {
            return;
        }
        let access = &self.state.access;
        let target = self.target.path_and_query().map_or("", |target| target.as_str());
        say_request(
            level,
            &RequestLine {
                method: &masking::masked(self.method.as_str(), access),
                path: &masking::path(target, access),
                status: self.status.map(|status| status.as_u16()),
                bytes: self.bytes,
                elapsed_ms: milliseconds(self.started.elapsed()),
                client: self.client,
                request_id: self.id.to_str().unwrap_or_default(),
                gone: self.left > 0,
                error: self.error.as_deref(),
            },
        );
    }
}

/// The body of an answer. The line in the log is written when it is dropped.
pub(crate) struct Observed {
    body: BoxBody,
    line: Line,
}

impl MessageBody for Observed {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_next(context);
        match &polled {
            Poll::Ready(Some(Ok(piece))) => {
                let bytes = piece.len() as u64;
                self.line.bytes += bytes;
                self.line.left = self.line.left.saturating_sub(bytes);
            }
            Poll::Ready(None) => self.line.left = 0,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }
}
