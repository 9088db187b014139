//! Protection of writes from other web pages: cross-site requests and DNS rebinding.
//!
//! A browser sends requests for any page that asks for it, also to servers that only its own machine can reach, and adds the
//! credentials that it has for them. Two headers distinguish such requests from those of programs; a page can set neither of
//! them:
//!
//! | header | means | which requests pass |
//! | --- | --- | --- |
//! | `Origin` | The page that sends the request. | Origins that `server.cors_origins` lists, whether there are tokens or not. |
//! | `Host` | The name by which the server was found. A page of `evil.example` can point that name at 127.0.0.1 and then counts as the server's own. | While writing is open to all because the server listens on loopback: addresses, `localhost`, and names without a dot, which nobody can register. |
//!
//! Reads are not checked by host: behind a proxy, clients read by the public name of the server, and links begin with that name.
//!
//! Not here: which pages may read answers (`cors`), tokens (`access`).

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::http::uri::Authority;

use super::ApiError;
use super::public_url::without_user;
use crate::config::WebOrigin;

/// Decides whether a request may write, regardless of its token.
pub(crate) struct WriteGuard {
    origins: Vec<WebOrigin>,
    checks_host: bool,
}

impl WriteGuard {
    /// Creates a guard that lets pages of these origins write. `checks_host` says whether loopback is the only protection of the
    /// server.
    pub(crate) fn new(origins: Vec<WebOrigin>, checks_host: bool) -> Self {
        Self { origins, checks_host }
    }

    /// Refuses a request that a browser sends for a page that may not write.
    pub(super) fn check(&self, request: &HttpRequest) -> Result<(), ApiError> {
        for origin in request.headers().get_all(header::ORIGIN) {
            let is_listed =
                |listed: &WebOrigin| listed.as_str() == "*" || listed.as_str().as_bytes() == origin.as_bytes();
            if !self.origins.iter().any(is_listed) {
                return Err(ApiError::ForeignOrigin(String::from_utf8_lossy(origin.as_bytes()).into_owned()));
            }
        }
        match host(request) {
            Some(host) if self.checks_host && is_foreign(&host) => Err(ApiError::ForeignHost(host)),
            Some(_) | None => Ok(()),
        }
    }
}

/// The host of a request, with its port if it has one; `None` if the request names none. Headers in which a proxy names another
/// host do not count, since pages may set them.
fn host(request: &HttpRequest) -> Option<String> {
    if let Some(target) = request.uri().authority() {
        return Some(without_user(target).to_owned());
    }
    let host = request.headers().get(header::HOST)?;
    Some(String::from_utf8_lossy(host.as_bytes()).into_owned())
}

/// Whether a host may be a registered domain that points at this server.
fn is_foreign(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return !host.is_empty() };
    let name = authority.host();
    let name = name.strip_suffix('.').unwrap_or(name);
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let is_local = || name.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost"));
    name.contains('.') && bare.parse::<IpAddr>().is_err() && !is_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_can_be_registered_is_foreign() {
        for host in [
            "",
            "x",
            "localhost",
            "LOCALHOST:8080",
            "localhost.",
            "metrics.localhost:1",
            "scale-metrics:8080",
            "127.0.0.1",
            "127.0.0.1.:80",
            "192.168.1.7:8080",
            "[::1]",
            "[::ffff:127.0.0.1]:8080",
        ] {
            assert!(!is_foreign(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "evil.example.",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "user@evil.example",
            "1.2.3",
            "a b",
            "\u{e4}.example",
        ] {
            assert!(is_foreign(host), "{host}");
        }
    }
}
