//! `health`: checks whether a running server can take writes, for a supervisor that restarts it if not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use super::client::{self, Trust};
use crate::config::{ConfigError, ServerConfig};

/// The timeout for the answer of the server.
const PATIENCE: Duration = Duration::from_secs(5);

/// The URL at which this machine reaches the server with these settings, and what that server shows.
pub(super) fn own_server(config: &ServerConfig) -> Result<(String, Trust), ConfigError> {
    let listen = config.listen;
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    let address = SocketAddr::new(ip, listen.port());
    Ok(match config.tls_files()? {
        Some((certificate, _)) => (format!("https://{address}"), Trust::OwnServer(certificate.to_owned())),
        None => (format!("http://{address}"), Trust::Authorities(None)),
    })
}

/// Asks the server at `url` whether it is ready.
pub(super) fn check(url: &str, trust: &Trust) -> anyhow::Result<()> {
    let address = format!("{url}/readyz");
    let agent = client::agent(url, trust, Some(PATIENCE))?;
    let answer = agent.get(&address).call().and_then(|mut answer| {
        let said = answer.body_mut().read_to_string()?;
        Ok((answer.status().as_u16(), said))
    });
    if let Err(error) = &answer
        && let Some(reason) = client::refused_tls(error)
    {
        bail!("{address}: {reason}");
    }
    let (status, said) = answer.with_context(|| address.clone())?;
    // Another server may answer, too.
    ensure!(status == 200 && said == r#"{"status":"ready"}"#, "{address} answers {status}: {said}");
    Ok(())
}
