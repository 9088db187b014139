//! What is told of every request: a line in the log, a count in the figures, an id in the answer.
//!
//! The figures count an answer when its head goes out, so that whoever has it finds it counted. The line is written when
//! the last of the body was handed to the connection, or the client is gone.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpRequest};

use super::connection::Phase;
use super::params::{IGNORED_PARAMETERS, ignored};
use super::{ApiError, State, known_parameters, route_of};
use crate::config::LogLevel;
use crate::telemetry::{RequestLine, say_request};

/// Tells requests apart, in the log and for whoever asks about one. A client may choose it.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that a client may choose.
const ID_BYTES: usize = 128;

/// Nothing of what is sent may be taken for a page or a script, unless it says so itself.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");

/// How much of a path the log shows, in bytes.
const SHOWN_BYTES: usize = 1_000;

/// Passes a request on, and tells of it.
pub(crate) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<Observed>, Error> {
    let state = request.app_data::<Data<State>>().expect("the state is there for all routes").clone();
    let mut line = Line::of(&request);
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
    let ignored = ignored_parameters(response.request());
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

/// Which of the parameters of a request nothing knows.
fn ignored_parameters(request: &HttpRequest) -> Option<HeaderValue> {
    let query = request.uri().query()?;
    ignored(query, known_parameters(request)?)
}

/// The method, if it is one that anybody uses: clients cannot make the figures grow.
fn known(method: &Method) -> &str {
    const KNOWN: [Method; 7] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS];
    if KNOWN.contains(method) { method.as_str() } else { "other" }
}

/// What the log says of a request when this is dropped, and its connection waits for the next one.
struct Line {
    started: Instant,
    id: HeaderValue,
    method: Method,
    path: String,
    client: Option<IpAddr>,
    /// `None` until there is an answer.
    status: Option<StatusCode>,
    /// Of the body, as far as it was handed to the connection.
    bytes: u64,
    /// What is still to be handed to it; a body of unknown length says when it is over.
    left: u64,
    /// What the client is not told.
    error: Option<String>,
    /// The client has closed the connection, so the status says nothing of the server.
    is_given_up: bool,
    /// Of the connection that the request came by.
    phase: Option<Phase>,
}

impl Line {
    fn of(request: &ServiceRequest) -> Self {
        let chosen = request.headers().get(&REQUEST_ID).filter(|id| is_fit(id.as_bytes()));
        let new = || HeaderValue::try_from(new_id()).expect("digits make a header");
        let path = request.uri().path_and_query().map_or("", |path| path.as_str());
        let phase = request.conn_data::<Phase>().cloned();
        phase.iter().for_each(Phase::begin);
        Self {
            started: Instant::now(),
            id: chosen.cloned().unwrap_or_else(new),
            method: request.method().clone(),
            path: shown(path),
            client: request.peer_addr().map(|address| address.ip()),
            status: None,
            bytes: 0,
            left: u64::MAX,
            error: None,
            is_given_up: false,
            phase,
        }
    }
}

/// An id for a request that has chosen none.
pub(super) fn new_id() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// A path and its query as the log shows them: their beginning, and of what may be secret no more than its name.
fn shown(path: &str) -> String {
    let end = path.floor_char_boundary(SHOWN_BYTES);
    let rest = if end < path.len() { "…" } else { "" };
    let shown = &path[..end];
    match shown.split_once('?') {
        Some((path, query)) if query.split('&').any(is_secret) => {
            let pairs = query.split('&').map(|pair| match pair.split_once('=') {
                Some((name, _)) if is_secret(pair) => format!("{name}=***"),
                _ => pair.to_owned(),
            });
            [path, "?", &pairs.collect::<Vec<_>>().join("&"), rest].concat()
        }
        _ => [shown, rest].concat(),
    }
}

/// Whether a parameter may hold a token or something like it: contract, section 6. No endpoint knows such a parameter, and
/// none has a name that anybody would escape.
fn is_secret(pair: &str) -> bool {
    const WORDS: [&[u8]; 5] = [b"token", b"secret", b"password", b"auth", b"key"];
    let name = pair.split_once('=').map_or(pair, |(name, _)| name).as_bytes();
    let has = |word: &[u8]| name.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    name.contains(&b'%') || WORDS.iter().any(|word| has(word))
}

/// Whether a request may have that id.
fn is_fit(id: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    (1..=ID_BYTES).contains(&id.len()) && id.iter().all(is_plain)
}

impl Drop for Line {
    fn drop(&mut self) {
        self.phase.iter().for_each(Phase::end);
        let level = match self.status {
            Some(StatusCode::INTERNAL_SERVER_ERROR) => LogLevel::Error,
            Some(status) if status.is_server_error() && !self.is_given_up => LogLevel::Warn,
            _ => LogLevel::Info,
        };
        say_request(
            level,
            &RequestLine {
                method: self.method.as_str(),
                path: &self.path,
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

/// Milliseconds, to the microsecond.
pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// The body of an answer, whose line in the log is written when it is over.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_cut_and_what_may_be_secret_is_left_out() {
        assert_eq!(shown("/v6/metrics/?column=a&&started=P7D"), "/v6/metrics/?column=a&&started=P7D");
        assert_eq!(
            shown("/?a=1&Access_Token=s3cr&b&%74oken=s3cr&apiKey=&c=2"),
            "/?a=1&Access_Token=***&b&%74oken=***&apiKey=***&c=2"
        );
        let long = format!("/?a={}ä", "x".repeat(SHOWN_BYTES - 5));
        assert_eq!(shown(&long), format!("/?a={}…", "x".repeat(SHOWN_BYTES - 5)));
        assert_eq!(shown(&format!("{long}&token=s3cr")), shown(&long));
        assert_eq!(shown(&format!("/?token={long}")), "/?token=***…");
    }
}
