//! Bodies for the refusals that the framework makes by itself, when there is no request yet: it sends a head without a body.
//!
//! Every other error has an id and a body with a `detail`. So these refusals get both on their way to the socket. The framework
//! writes a head with `content-length: 0` and without an id, as the last bytes of the connection:
//!
//! ```text
//! HTTP/1.1 400 Bad Request
//! content-length: 0
//! connection: close
//! date: Thu, 01 Jan 2015 00:00:00 GMT
//! ```
//!
//! A request in plain HTTP at a port with TLS gets a whole refusal from here, since the framework never sees it.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use actix_web::http::header::HttpDate;
use memchr::memmem;
use serde_json::json;

use crate::config::LogLevel;
use crate::telemetry::log::{RequestLine, milliseconds, say_request};

/// The beginning of every such refusal: a client error.
const START: &[u8] = b"HTTP/1.1 4";
const END: &[u8] = b"\r\n\r\n";
const NO_BODY: &str = "\r\ncontent-length: 0\r\n";

/// A refusal that gets a body.
pub(super) struct Refusal {
    status: u16,
    /// The cause, for people.
    detail: &'static str,
    /// The bytes that are sent.
    pub(super) bytes: Vec<u8>,
}

/// The position at which a refusal of the framework begins, if `bytes` end with one.
pub(super) fn find(bytes: &[u8]) -> Option<usize> {
    // This check is mostly enough: few answers end with a head.
    if !bytes.ends_with(END) {
        return None;
    }
    let start = memmem::rfind(bytes, START)?;
    let head = &bytes[start..];
    let is_one_head = memmem::find(head, END) == Some(head.len() - END.len());
    let is_empty = memmem::find(head, NO_BODY.as_bytes()).is_some();
    (is_one_head && is_empty && memmem::find(head, b"\r\nx-request-id: ").is_none()).then_some(start)
}

impl Refusal {
    /// Creates the refusal of a request that came without TLS to a port with TLS.
    pub(super) fn of_plain_http(id: &str) -> Self {
        let date = HttpDate::from(SystemTime::now());
        let head = format!("HTTP/1.1 400 Bad Request{NO_BODY}connection: close\r\ndate: {date}\r\n\r\n");
        let detail = "this port speaks HTTPS only (hint: https:// instead of http://)";
        let bytes = complete(head.as_bytes(), detail, id).expect("the head says that it has no body");
        Self { status: 400, detail, bytes }
    }

    /// Creates a refusal with this head, an id and a body.
    pub(super) fn new(head: &[u8], id: &str) -> Option<Self> {
        let status = str::from_utf8(head.get(START.len() - 1..START.len() + 2)?).ok()?.parse().ok()?;
        let detail = match status {
            408 => "the head of the request did not arrive in time",
            431 => "the head of the request has more than 96 headers or 131072 bytes",
            _ => {
                "the head of the request is malformed, or its path and query have more than 65534 bytes, or some that have \
                 to be percent-encoded"
            }
        };
        Some(Self { status, detail, bytes: complete(head, detail, id)? })
    }

    /// Logs the request as others are, as far as it is known.
    pub(super) fn log(&self, id: &str, client: Option<SocketAddr>, elapsed: Duration) {
        let line = RequestLine {
            method: "-",
            path: "-",
            status: Some(self.status),
            bytes: self.bytes.len() as u64,
            elapsed_ms: milliseconds(elapsed),
            client: client.map(|address| address.ip()),
            request_id: id,
            gone: false,
            error: Some(self.detail),
        };
        say_request(LogLevel::Info, &line);
    }
}

/// Adds an id and a body to a head that says that it has no body.
fn complete(head: &[u8], detail: &str, id: &str) -> Option<Vec<u8>> {
    let body = json!({ "detail": detail }).to_string();
    let length = body.len();
    let headers = format!("\r\ncontent-length: {length}\r\ncontent-type: application/json\r\nx-request-id: {id}\r\n");
    let place = memmem::find(head, NO_BODY.as_bytes())?;
    Some([&head[..place], headers.as_bytes(), &head[place + NO_BODY.len()..], body.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    #[track_caller]
    fn assert_replaced(bytes: &str, start: usize, status: &str) {
        assert_eq!(find(bytes.as_bytes()), Some(start));
        let refusal = Refusal::new(&bytes.as_bytes()[start..], "4711").unwrap();
        assert!(status.contains(&refusal.status.to_string()));
        let sent = String::from_utf8(refusal.bytes).unwrap();
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(status) && head.ends_with("\r\nconnection: close"), "{head}");
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
        assert!(head.contains("\r\ncontent-type: application/json\r\nx-request-id: 4711\r\n"), "{head}");
        assert!(body.starts_with("{\"detail\":\"") && body.ends_with("\"}"), "{body}");
    }

    #[test]
    fn a_refusal_of_the_framework_gets_a_body() {
        assert_replaced(EMPTY, 0, "HTTP/1.1 400 Bad Request\r\n");
        let before = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-request-id: 1\r\n\r\n{}";
        assert_replaced(&format!("{before}{EMPTY}"), before.len(), "HTTP/1.1 400 Bad Request\r\n");
    }

    #[test]
    fn a_refusal_of_plain_http_is_a_whole_answer() {
        let Refusal { status, bytes, .. } = Refusal::of_plain_http("4711");
        let sent = String::from_utf8(bytes).unwrap();
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        assert!(status == 400 && head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
        assert!(head.contains("\r\nx-request-id: 4711\r\nconnection: close\r\ndate: "), "{head}");
        assert!(body.contains("https://"), "{body}");
    }

    #[test]
    fn nothing_else_does() {
        let own = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nx-request-id: 1\r\n\r\n";
        let head = "HTTP/1.1 404 Not Found\r\ncontent-length: 23\r\n\r\n";
        let not_modified = "HTTP/1.1 304 Not Modified\r\ncontent-length: 0\r\n\r\n";
        for other in ["", "\r\n\r\n", own, head, not_modified, &format!("{EMPTY}{{}}"), &format!("{EMPTY}\r\n\r\n")] {
            assert_eq!(find(other.as_bytes()), None, "{other}");
        }
    }
}
