//! `health`: checks whether a running server can take writes, for a supervisor that restarts it if not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, ensure};

/// The timeout for the answer of the server.
const PATIENCE: Duration = Duration::from_secs(5);

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
pub(super) fn check(url: &str) -> anyhow::Result<()> {
    let address = format!("{url}/readyz");
    let agent = super::client::config(url).timeout_global(Some(PATIENCE)).build();
    let agent: ureq::Agent = agent.into();
    let answer = agent.get(&address).call().and_then(|mut answer| {
        let said = answer.body_mut().read_to_string()?;
        Ok((answer.status().as_u16(), said))
    });
    let (status, said) = answer.with_context(|| address.clone())?;
    // Another server may answer, too.
    ensure!(status == 200 && said == r#"{"status":"ready"}"#, "{address} answers {status}: {said}");
    Ok(())
}
