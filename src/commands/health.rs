//! `health`: checks whether a running server can take writes, for a supervisor that restarts it if not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The timeout for the answer of the server.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a server is not healthy.
#[derive(Debug, thiserror::Error)]
pub(super) enum HealthError {
    /// It does not answer.
    #[error("{address}")]
    Unreachable {
        /// The address of the request.
        address: String,
        /// What is wrong.
        source: ureq::Error,
    },
    /// The server answers that it is not ready, or another server answers.
    #[error("{address} answers {status}: {said}")]
    NotReady {
        /// The address of the request.
        address: String,
        /// The status of its answer.
        status: u16,
        /// Its answer.
        said: String,
    },
}

/// The URL at which this machine reaches the server that listens at `listen`.
pub(super) fn url_of(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

/// Asks the server at `url` whether it is ready.
pub(super) fn check(url: &str) -> Result<(), HealthError> {
    let address = format!("{url}/readyz");
    let agent = super::client::config(url).timeout_global(Some(PATIENCE)).build();
    let agent: ureq::Agent = agent.into();
    let answer = agent.get(&address).call().and_then(|mut answer| {
        let said = answer.body_mut().read_to_string()?;
        Ok((answer.status().as_u16(), said))
    });
    match answer {
        Ok((200, said)) if said == r#"{"status":"ready"}"# => Ok(()),
        Ok((status, said)) => Err(HealthError::NotReady { address, status, said }),
        Err(source) => Err(HealthError::Unreachable { address, source }),
    }
}
