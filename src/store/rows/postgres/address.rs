//! The address of a database on a server: `postgres://USER:PASSWORD@HOST:PORT/NAME?…`.
//!
//! The parameters behind `?` are those of `libpq` that `tokio-postgres` knows, and how the connection is secured:
//!
//! | `sslmode` | |
//! | --- | --- |
//! | `disable` | no TLS |
//! | `prefer`, the default | TLS if the server has it, with any certificate |
//! | `require` | TLS, with any certificate; with one that `sslrootcert` has issued, if that is given |
//! | `verify-full` | TLS, with a certificate for this host that an authority of the system or of `sslrootcert` has issued |
//!
//! Of several hosts, the one that can be written is used.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::{Cause, RowsError};
use super::PATIENCE;
use crate::access::MASK;
use crate::tls;

/// The address of a database on a server. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    config: Config,
    /// Whether the certificate of the server is verified.
    is_verified: bool,
    /// The PEM file of an authority to trust.
    root_certificate: Option<PathBuf>,
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

    /// How TLS connections to the server are made; `None` for connections without TLS. Without verification, it is no error that the
    /// processor is too old for TLS that is only preferred.
    pub(super) fn tls(&self) -> Result<Option<MakeRustlsConnect>, RowsError> {
        let mode = self.config.get_ssl_mode();
        if mode == SslMode::Disable {
            return Ok(None);
        }
        let config = if self.is_verified {
            tls::client_config(self.root_certificate.as_deref()).map(Arc::unwrap_or_clone)
        } else {
            tls::unverified_config()
        };
        match config {
            Ok(config) => Ok(Some(MakeRustlsConnect::new(config))),
            Err(_) if mode == SslMode::Prefer => Ok(None),
            Err(error) => Err(RowsError::Unusable(Cause::with_source("TLS to the database cannot be used", error))),
        }
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
        let (mut plain, mut mode, mut root_certificate) = (text.to_owned(), "prefer", None);
        // A password may have a question mark in it.
        let (credentials, rest) = text.split_at(text.find('@').unwrap_or(0));
        if let (before, Some(parameters)) = split_parameters(rest) {
            let mut others = Vec::new();
            for parameter in parameters.split('&') {
                match parameter.split_once('=') {
                    Some(("sslmode", value)) => mode = value,
                    Some(("sslrootcert", path)) => {
                        root_certificate = Some(PathBuf::from(&*percent_decode_str(path).decode_utf8_lossy()));
                    }
                    _ => others.push(parameter),
                }
            }
            plain = format!("{credentials}{before}?{}", others.join("&"));
        }
        let (ssl_mode, is_verified) = match mode {
            "disable" => (SslMode::Disable, false),
            "prefer" => (SslMode::Prefer, false),
            "require" => (SslMode::Require, root_certificate.is_some()),
            "verify-full" => (SslMode::Require, true),
            _ => {
                return Err(NoAddress("has an sslmode that is not disable, prefer, require or verify-full".to_owned()));
            }
        };
        let mut config: Config = plain.trim_end_matches('?').parse().map_err(|error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            NoAddress(format!("is no address of a PostgreSQL database: {cause}"))
        })?;
        if config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(host) if host.contains('@'))) {
            let hint =
                "has more than one @ (hint: one in a password is written %40; / is %2F, ? is %3F, # is %23, % is %25)";
            return Err(NoAddress(hint.to_owned()));
        }
        if config.get_hosts().is_empty() {
            return Err(NoAddress("must name a host, as in postgres://USER@HOST/NAME".to_owned()));
        }
        if config.get_password() == Some(MASK.as_bytes()) {
            return Err(NoAddress(format!("has {MASK} in the place of its password, as --print-config shows it")));
        }
        config.ssl_mode(ssl_mode);
        Ok(Self { text: text.to_owned(), config, is_verified, root_certificate })
    }
}

/// What stands before the parameters, and these, if there are any.
fn split_parameters(rest: &str) -> (&str, Option<&str>) {
    rest.split_once('?').map_or((rest, None), |(before, parameters)| (before, Some(parameters)))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (credentials, rest) = self.text.rsplit_once('@').map_or((None, &*self.text), |(a, b)| (Some(a), b));
        if let Some(credentials) = credentials {
            let (scheme, who) = credentials.split_once("://").unwrap_or_default();
            match who.split_once(':') {
                Some((user, _)) => write!(f, "{scheme}://{user}:{MASK}@")?,
                None => write!(f, "{credentials}@")?,
            }
        }
        let (place, parameters) = split_parameters(rest);
        f.write_str(place)?;
        let Some(parameters) = parameters else { return Ok(()) };
        let shown = parameters.split('&').map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if percent_decode_str(name).eq(*b"password") => format!("password={MASK}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (text, shown) in [
            ("postgres://u:a?b@h:1/n?sslmode=require", "postgres://u:***@h:1/n?sslmode=require"),
            ("postgres://u:a:b@h/n", "postgres://u:***@h/n"),
            ("postgres://u@h/n?password=a&connect_timeout=1", "postgres://u@h/n?password=***&connect_timeout=1"),
            ("postgres://u@h/n?pass%77ord=a", "postgres://u@h/n?password=***"),
            ("postgres://h/n", "postgres://h/n"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        for unescaped in ["postgres://u:a@b@h/n", "postgres://u:a/b@c@h/n"] {
            let refused = unescaped.parse::<Address>().unwrap_err().to_string();
            assert!(refused.contains("%40") && !refused.contains("b@"), "{refused}");
        }
    }
}
