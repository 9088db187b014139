//! The HTTP client of the commands: TLS, proxies, timeouts and retries.
//!
//! A request to a server on this machine never uses a proxy, even if `HTTP_PROXY` or `ALL_PROXY` is set. Timeouts apply to one
//! step, such as the next piece of a body, and not to a whole request: an export may take hours.

mod https;

use std::cell::Cell;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::{Request, Response, StatusCode, Uri};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, TcpConnector};
use ureq::{Agent, Body, Proxy};

use crate::tls::{self, TlsError};
use https::HttpsConnector;

/// The timeout for making a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// The timeout for a server that sends nothing or takes nothing. A server answers a post that waits for room after half a minute.
const IDLE: Duration = Duration::from_mins(2);

/// What a server has to show, if it is asked with TLS.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// A certificate for its name, by an authority that the system trusts, or by one in this PEM file.
    Authorities(Option<PathBuf>),
    /// The certificate in this PEM file, which is that of the server on this machine.
    OwnServer(PathBuf),
}

/// An agent for requests to `url`. A request as a whole has a timeout only if `timeout` is given.
pub(crate) fn agent(url: &str, trust: &Trust, timeout: Option<Duration>) -> Result<Agent, TlsError> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(IDLE))
        .timeout_per_write(Some(IDLE))
        .timeout_global(timeout);
    let is_direct = Proxy::try_from_env().is_some() && is_loopback(url);
    let config = if is_direct { config.proxy(None) } else { config }.build();
    if !url.starts_with("https://") {
        return Ok(config.into());
    }
    let tls = match trust {
        Trust::Authorities(ca) => tls::client_config(ca.as_deref())?,
        Trust::OwnServer(certificate) => tls::own_server_config(certificate)?,
    };
    let connector = ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default());
    Ok(Agent::with_parts(config, connector.chain(HttpsConnector { config: tls }), DefaultResolver::default()))
}

/// Whether another try would meet the same error, since the request or the server's certificate is the reason.
fn is_final(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Http(_) | ureq::Error::BadUri(_)) || refused_tls(error).is_some()
}

/// Why the TLS of a server is refused, if that is the error. Another try would not help.
pub(crate) fn refused_tls(error: &ureq::Error) -> Option<String> {
    let ureq::Error::Io(error) = error else { return None };
    tls::reason(error, "--ca FILE")
}

/// The hint for a rejection with this status, if the cause is the token.
pub(crate) fn token_hint(status: u16) -> &'static str {
    match status {
        401 => " (hint: --token or SCALE_METRICS_TOKEN gives the token)",
        403 => " (hint: `scale-metrics token NAME --scope SCOPE` makes a token with another scope)",
        _ => "",
    }
}

/// Why a server gave no answer that is of use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// The server does not answer, or has stopped answering.
    #[error("{address}: {detail}")]
    Unreachable {
        /// The address of the request.
        address: String,
        /// What is wrong.
        detail: String,
    },
    /// It answers, but not as this program does.
    #[error("{address}: the answer is that of another program")]
    Foreign {
        /// The address of the request.
        address: String,
    },
    /// The server rejects the request.
    #[error("the server answered {status}: {detail}{}", token_hint(*.status))]
    Refused {
        /// Its status.
        status: u16,
        /// Its message.
        detail: String,
    },
}

/// The media type of nearly all answers.
pub(crate) const JSON: &str = "application/json";
/// Statuses that say nothing of a better time.
const FAILURES: [StatusCode; 2] = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::NOT_IMPLEMENTED];
/// How many characters of an answer that is not JSON are shown.
const SHOWN: usize = 200;

/// A server that a command asks. A request can be repeated: it reads, or a second time changes nothing more.
pub(crate) struct Server {
    agent: Agent,
    /// Its address, without a slash at the end.
    url: String,
    token: Option<String>,
    was_reached: Cell<bool>,
    has_repeated: Cell<bool>,
}

impl Server {
    /// The server at `url`, which knows the client by the token.
    pub(crate) fn new(url: &str, token: Option<&str>, trust: &Trust) -> Result<Self, TlsError> {
        let (url, token) = (url.to_owned(), token.map(str::to_owned));
        let agent = agent(&url, trust, None)?;
        Ok(Self { agent, url, token, was_reached: Cell::new(false), has_repeated: Cell::new(false) })
    }

    /// Whether a request was sent again after its answer did not arrive. What it changes may have been changed before, then.
    pub(crate) fn has_repeated(&self) -> bool {
        self.has_repeated.get()
    }

    /// The body of the answer to a `GET`, which must be of this media type.
    pub(crate) fn get(&self, path: &str, media_type: &str) -> Result<Vec<u8>, AskError> {
        self.body(path, self.ask(path, None, false, media_type)?)
    }

    /// The body of the answer to JSON that is posted, which must be JSON, too.
    pub(crate) fn post(&self, path: &str, json: &[u8]) -> Result<Vec<u8>, AskError> {
        self.body(path, self.ask(path, Some(json), false, JSON)?)
    }

    /// The answer to a `GET`, whose body is lines of JSON, is read bit by bit, and may be packed.
    pub(crate) fn stream(&self, path: &str) -> Result<Response<Body>, AskError> {
        self.ask(path, None, true, "application/x-ndjson")
    }

    /// Parses the answer that came from a path.
    pub(crate) fn parse<'b, T: Deserialize<'b>>(&self, path: &str, body: &'b [u8]) -> Result<T, AskError> {
        serde_json::from_slice(body).map_err(|_| self.foreign(path))
    }

    /// The error of an answer that is not that of this program.
    pub(crate) fn foreign(&self, path: &str) -> AskError {
        AskError::Foreign { address: self.address(path) }
    }

    /// The address of a path.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn body(&self, path: &str, answer: Response<Body>) -> Result<Vec<u8>, AskError> {
        let body = answer.into_body().into_with_config().limit(u64::MAX).read_to_vec();
        body.map_err(|error| AskError::Unreachable { address: self.address(path), detail: error.to_string() })
    }

    /// Sends a request until it is answered by more than that it should be tried again, for [`PATIENCE`] at most.
    fn ask(
        &self,
        path: &str,
        json: Option<&[u8]>,
        may_be_packed: bool,
        media_type: &str,
    ) -> Result<Response<Body>, AskError> {
        let address = self.address(path);
        let mut retry = Retry::new(PATIENCE, self.was_reached.get());
        let answer = loop {
            let answer = self.send(&address, json, may_be_packed);
            let may_pass = match &answer {
                // What a server fails at for a reason of its own, it fails at again.
                Ok(answer) => retry.may_pass(answer) && !FAILURES.contains(&answer.status()),
                Err(error) => !is_final(error),
            };
            self.was_reached.set(retry.was_reached());
            let last = || match &answer {
                Ok(answer) => format!("{address}: {}", answer.status()),
                Err(error) => format!("{address}: {error}"),
            };
            if !may_pass || retry.pause(&last()).is_err() {
                break answer;
            }
            self.has_repeated.set(self.has_repeated.get() || answer.is_err());
        };
        let unreachable = |error: ureq::Error| {
            let detail = refused_tls(&error).unwrap_or_else(|| error.to_string());
            AskError::Unreachable { address: address.clone(), detail }
        };
        let mut answer = answer.map_err(unreachable)?;
        let status = answer.status().as_u16();
        if status == 200 {
            let found = answer.headers().get("Content-Type").and_then(|found| found.to_str().ok()).unwrap_or_default();
            return if found.starts_with(media_type) { Ok(answer) } else { Err(AskError::Foreign { address }) };
        }
        let body = answer.body_mut().read_to_string().map_err(unreachable)?;
        let said = serde_json::from_str::<serde_json::Value>(&body);
        let detail = said.ok().and_then(|said| Some(said["detail"].as_str()?.to_owned()));
        let detail = detail.unwrap_or_else(|| body.lines().next().unwrap_or_default().chars().take(SHOWN).collect());
        Err(AskError::Refused { status, detail })
    }

    fn send(&self, address: &str, json: Option<&[u8]>, may_be_packed: bool) -> Result<Response<Body>, ureq::Error> {
        let mut request = Request::builder().uri(address);
        if may_be_packed {
            request = request.header("Accept-Encoding", "gzip");
        }
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        match json {
            None => self.agent.run(request.body(())?),
            Some(json) => self.agent.run(request.method("POST").header("Content-Type", "application/json").body(json)?),
        }
    }
}

/// How long to retry a server that does not answer, or that cannot serve the request at the moment: it may be starting, or its
/// disk may be full.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);
/// How long to retry a server that has never answered. Its address may be wrong.
const UNREACHED: Duration = Duration::from_secs(10);
/// The wait before the first retry. It doubles with each retry.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait, even if `Retry-After` says more.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Waits of at least this length are logged.
const TOLD_FROM: Duration = Duration::from_secs(1);

/// Retries of a request, with growing waits, until its patience ends.
pub(crate) struct Retry {
    patience: Duration,
    was_reached: bool,
    began: Instant,
    wait: Duration,
    asked: Duration,
}

impl Retry {
    /// Retries for a request that is tried for as long as `patience`, or for a few seconds while the server has never answered.
    pub(crate) fn new(patience: Duration, was_reached: bool) -> Self {
        Self { patience, was_reached, began: Instant::now(), wait: FIRST_WAIT, asked: Duration::ZERO }
    }

    /// Records an answer of the server. Returns whether a retry may help, because the status is not about the request itself.
    pub(crate) fn may_pass<B>(&mut self, answer: &Response<B>) -> bool {
        self.was_reached = true;
        let header = |name| answer.headers().get(name)?.to_str().ok()?.trim().parse().ok();
        self.asked = header("Retry-After").map_or(Duration::ZERO, Duration::from_secs);
        let status = answer.status();
        status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
    }

    /// Waits before the next try. If there is no time left for one, returns how long the request was tried. `last` says what
    /// happened.
    pub(crate) fn pause(&mut self, last: &str) -> Result<(), Duration> {
        let patience = if self.was_reached { self.patience } else { self.patience.min(UNREACHED) };
        let left = patience.saturating_sub(self.began.elapsed());
        if left.is_zero() {
            return Err(patience);
        }
        // The last try is made when the patience ends.
        let wait = self.wait.max(self.asked).min(LONGEST_WAIT).min(left);
        if wait >= TOLD_FROM {
            tracing::warn!("trying again in {} s: {last}", wait.as_secs());
        }
        thread::sleep(wait);
        self.wait = 2 * wait;
        Ok(())
    }

    /// Whether the server has ever answered.
    pub(crate) fn was_reached(&self) -> bool {
        self.was_reached
    }
}

/// Whether an address leads to this machine by a loopback address, however that is written.
fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let Some(host) = uri.host().map(|host| host.trim_start_matches('[').trim_end_matches(']')) else { return false };
    let is_here = |ip: IpAddr| ip.to_canonical().is_loopback() || ip.is_unspecified();
    match (host, 0).to_socket_addrs() {
        Ok(mut found) => found.all(|address| is_here(address.ip())),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_all_its_names() {
        for url in [
            "http://127.0.0.1:8080/x",
            "http://127.8.0.1",
            "http://[::1]:80",
            "http://LocalHost:1/v6/",
            "http://[::ffff:127.0.0.1]:80",
            "http://0.0.0.0:8080",
            "http://127.1:8080",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in
            ["http://metrics.invalid:8080", "http://10.0.0.1", "http://[2001:db8::1]", "http://localhost.invalid"]
        {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
