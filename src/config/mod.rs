//! Settings. Flags override environment variables, which override a file, which overrides the defaults.
//!
//! `keys.rs` declares every setting once. Everything else follows from that: the structs below [`Config`], their defaults, flags
//! and variables ([`Overrides`]), the keys of a file, and the output of `--print-config` ([`Settings`]). `config.toml` in the
//! project's root lists all settings.
//!
//! Every value is validated, even if another source overrides it. An invalid value is rejected with an error of one line, which
//! names its origin.

mod file;
mod keys;
mod load;
mod overrides;
mod print;
mod types;
mod value;

use crate::catalog::Percentiles;
use crate::store::rows::postgres::{Address, PostgresDatabase};
use crate::store::{OpenOptions, Store, StoreError};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use keys::{
    AccessConfig, ApiConfig, Config, KEYS, Key, LogConfig, MetricsConfig, RetentionConfig, ServerConfig, StorageConfig,
};
pub use overrides::Overrides;
pub use types::{BasePath, Dialect, LogFormat, LogLevel, Network, WebOrigin};

/// The settings that are in force, and the origin of each value. They are shown as a file with the same content.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The values.
    pub config: Config,
    /// The origins of the values that are not defaults, by flag.
    origins: BTreeMap<&'static str, Origin>,
}

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// No source sets the value.
    Default,
    /// A file.
    File {
        /// The path as it was given.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(&'static str),
    /// A flag.
    Flag(&'static str),
}

/// Why the settings cannot be used. The message is one line, and names the file, variable or flag.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}cannot read the settings in `{}`", prefix(named_by), .path.display().to_string().escape_debug())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The source that names the file.
        named_by: Origin,
        /// The error of the system.
        source: io::Error,
    },
    /// An unknown key, or a bad value.
    #[error("{origin}: {detail}")]
    Invalid {
        /// The origin of the value.
        origin: Origin,
        /// What is wrong there.
        detail: String,
    },
    /// Rollups would be deleted while their events are still kept.
    #[error("retention.rollups_days must not be less than retention.events_days, where 0 means for ever")]
    ShortRollups,
    /// The server would listen beyond this machine, and everybody could write (docs/reference.md, Access).
    #[error(
        "refusing to listen on {listen}, where anybody could write (hint: `scale-metrics token NAME --scope write` \
         prints a line for access.tokens; server.allow_open_writes = true lets everybody write)"
    )]
    OpenWrites {
        /// The address.
        listen: SocketAddr,
    },
    /// A certificate without its key, or a key without its certificate.
    #[error("server.tls_certificate and server.tls_key are needed both for HTTPS, or neither of them")]
    HalfOfTls,
}

impl Settings {
    /// Whether a source sets the setting of that flag, rather than leaving it at its default.
    pub fn says(&self, flag: &str) -> bool {
        self.origins.contains_key(flag)
    }

    /// Whether the setting of that flag was given on the command line.
    pub fn is_flag(&self, flag: &str) -> bool {
        matches!(self.origins.get(flag), Some(Origin::Flag(_)))
    }
}

impl StorageConfig {
    /// The store in the database, or else in the directory. It is not open yet.
    pub fn store(&self) -> Result<Store, StoreError> {
        if let Some(address) = &self.database {
            return Ok(Store::on_server(PostgresDatabase::at(address)?));
        }
        let options = OpenOptions { cache_bytes: self.cache_bytes, verify: self.verify };
        Ok(Store::unopened(&self.data, options))
    }

    /// Where the store is, for messages.
    pub fn place(&self) -> String {
        self.database.as_ref().map_or_else(|| self.data.display().to_string(), Address::place)
    }
}

impl ServerConfig {
    /// The files of the certificate and of its key, if the server speaks HTTPS.
    pub fn tls_files(&self) -> Result<Option<(&Path, &Path)>, ConfigError> {
        match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(ConfigError::HalfOfTls),
        }
    }
}

impl Config {
    /// The percentiles that have columns.
    pub fn percentiles(&self) -> Percentiles {
        self.metrics.percentiles.clone().unwrap_or_else(|| match self.api.dialect {
            Dialect::Documented => Percentiles::common(),
            Dialect::Scale => Percentiles::default(),
        })
    }

    /// Rejects settings that keep events longer than their rollups.
    pub fn refuse_short_rollups(&self) -> Result<(), ConfigError> {
        let RetentionConfig { events_days, rollups_days, .. } = self.retention;
        let is_short = rollups_days > 0 && (events_days == 0 || events_days > rollups_days);
        if is_short { Err(ConfigError::ShortRollups) } else { Ok(()) }
    }

    /// Rejects settings with which everybody could write, unless they allow that explicitly.
    pub fn refuse_open_writes(&self) -> Result<(), ConfigError> {
        let listen = self.server.listen;
        if listen.ip().is_loopback() || self.server.allow_open_writes || !self.access.tokens.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::OpenWrites { listen })
        }
    }
}

/// The source that names a file, as a prefix of an error message. It is empty if no source names the file.
fn prefix(named_by: &Origin) -> String {
    if *named_by == Origin::Default { String::new() } else { format!("{named_by}: ") }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            // The path is escaped, so that every file name stays on its line.
            Self::File { path, line } => write!(f, "{}:{line}", path.display().to_string().escape_debug()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}
