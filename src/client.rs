//! How commands reach a server: through which proxy, and for how long they wait.
//!
//! A server on this machine is asked directly, whatever `HTTP_PROXY` and `ALL_PROXY` say. Limits are for one step, such as the next
//! piece of a body, and not for a whole request: an export may take hours.

use std::net::IpAddr;
use std::time::Duration;

use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::http::Uri;
use ureq::typestate::AgentScope;

/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may send nothing or take nothing. It answers a post that waits for room after half a minute.
const IDLE: Duration = Duration::from_mins(2);

/// The configuration of an agent for requests to `url`.
pub(crate) fn config(url: &str) -> ConfigBuilder<AgentScope> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(IDLE))
        .timeout_per_write(Some(IDLE));
    if is_loopback(url) { config.proxy(None) } else { config }
}

/// Whether the host of an address is this machine.
fn is_loopback(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| {
        uri.host().is_some_and(|host| {
            let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
            ip.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_all_its_names() {
        for url in ["http://127.0.0.1:8080/x", "http://127.8.0.1", "http://[::1]:80", "http://LocalHost:1/v6/"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["http://metrics:8080", "http://10.0.0.1", "http://[2001:db8::1]", "http://localhost.example"] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
