//! The address of a database on a server: `postgres://USER:PASSWORD@HOST:PORT/NAME?…`.
//!
//! The parameters behind `?` are those of `libpq` that `tokio-postgres` knows. Of several hosts, the one that can be written is used.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, TargetSessionAttrs};

use super::PATIENCE;
use crate::access::MASK;

/// The address of a database on a server. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    config: Config,
}

/// Why a text is no address, as in "must be …". Never shows the text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoAddress(String);

impl Address {
    /// The configuration of connections to this database.
    pub(super) fn config(&self) -> Config {
        let mut config = self.config.clone();
        if config.get_application_name().is_none() {
            config.application_name("scale-metrics");
        }
        let connect_timeout = config.get_connect_timeout().copied().unwrap_or(PATIENCE / 2);
        config.connect_timeout(connect_timeout);
        if config.get_hosts().len() > 1 && config.get_target_session_attrs() == TargetSessionAttrs::Any {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        // A host that vanishes without a word is noticed before the patience of the next step ends.
        config.keepalives_idle(PATIENCE / 2).keepalives_interval(Duration::from_secs(2)).keepalives_retries(2);
        config.tcp_user_timeout(PATIENCE);
        config
    }

    /// The hosts and the name of the database, for messages.
    pub fn place(&self) -> String {
        let ports = self.config.get_ports();
        let hosts = self.config.get_hosts().iter().enumerate().map(|(place, host)| {
            let port = ports.get(place).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(host) => format!("{host}:{port}"),
                Host::Unix(path) => path.display().to_string(),
            }
        });
        let name = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        format!("{}/{name}", hosts.collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(NoAddress("must be an address such as postgres://USER@HOST/NAME".to_owned()));
        }
        let config: Config = text.parse().map_err(|error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            NoAddress(format!("is no address of a PostgreSQL database: {cause}"))
        })?;
        if config.get_hosts().is_empty() {
            return Err(NoAddress("must name a host, as in postgres://USER@HOST/NAME".to_owned()));
        }
        if config.get_password() == Some(MASK.as_bytes()) {
            return Err(NoAddress(format!("has {MASK} in the place of its password, as --print-config shows it")));
        }
        Ok(Self { text: text.to_owned(), config })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, parameters) = self.text.split_once('?').map_or((&*self.text, None), |(a, b)| (a, Some(b)));
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        write!(f, "{scheme}://")?;
        match rest.rsplit_once('@') {
            Some((who, place)) => match who.split_once(':') {
                Some((user, _)) => write!(f, "{user}:{MASK}@{place}")?,
                None => f.write_str(rest)?,
            },
            None => f.write_str(rest)?,
        }
        let Some(parameters) = parameters else { return Ok(()) };
        let shown = parameters.split('&').map(|parameter| match parameter.split_once('=') {
            Some((name @ "password", _)) => format!("{name}={MASK}"),
            _ => parameter.to_owned(),
        });
        write!(f, "?{}", shown.collect::<Vec<_>>().join("&"))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
