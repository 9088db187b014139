//! Settings: flags over environment variables over a file over defaults.
//!
//! [`Config`] is what is in force, [`Overrides`] what the command line and the environment say. Every key has a flag and a
//! variable; `config.toml` in the project's root lists them all.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use crate::access::Token;

/// Everything that can be set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How requests are served.
    pub server: ServerConfig,
    /// Where and how data is kept.
    pub storage: StorageConfig,
    /// How the read endpoints answer.
    pub api: ApiConfig,
    /// Who may do what.
    pub access: AccessConfig,
    /// What is logged.
    pub log: LogConfig,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where the server listens; port 0 picks a free one.
    #[serde(deserialize_with = "listen_address")]
    pub listen: SocketAddr,
    /// The largest body that is accepted, in bytes, unpacked; at least 1.
    pub max_body_bytes: usize,
    /// How long a body may take to arrive, in seconds; at least 1.
    pub body_timeout_s: u64,
    /// How much memory all requests that write may hold together, in bytes, before more are refused with `503`.
    pub queue_bytes: usize,
    /// Whether anybody who reaches the server may write, even from beyond this machine.
    pub allow_open_writes: bool,
}

/// `[storage]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// The directory of the database; made if it is missing.
    pub data: PathBuf,
    /// The most memory that the database's page cache takes, in bytes.
    pub cache_bytes: usize,
}

/// `[api]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Whose habits the read endpoints follow where the specification and Scale's own server differ.
    pub dialect: Dialect,
    /// How much memory the answers with plot data may take together, in bytes, until they are sent; one of them at most
    /// half of it.
    pub answer_bytes: usize,
    /// How much of that is for answers that are kept for the next who asks; at most half, whatever is set.
    pub answer_cache_bytes: usize,
}

/// `[access]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessConfig {
    /// The tokens that are good for anything. Without any, everybody may do everything.
    pub tokens: Vec<Token>,
    /// Whether reading needs no token.
    pub public_read: bool,
}

/// `[log]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// How lines are written.
    pub format: LogFormat,
    /// How much is logged.
    pub level: LogLevel,
}

/// Whose habits the read endpoints follow (contract, section 5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// The specification.
    #[default]
    Documented,
    /// Scale's own server, so that scale-ui works unchanged.
    Scale,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only what is broken.
    Error,
    /// What should be looked at, too.
    Warn,
    /// What happens.
    #[default]
    Info,
    /// In detail.
    Debug,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            max_body_bytes: 64 << 20,
            body_timeout_s: 30,
            queue_bytes: 128 << 20,
            allow_open_writes: false,
        }
    }
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self { data: PathBuf::from("data"), cache_bytes: 64 << 20 }
    }
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self { dialect: Dialect::default(), answer_bytes: 512 << 20, answer_cache_bytes: 64 << 20 }
    }
}

/// What the command line and the environment say; it goes over the file.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Overrides {
    /// Read settings from this file [default: ./config.toml, if present]
    #[arg(long, value_name = "FILE", env = "SCALE_METRICS_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// Listen there; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT", env = "SCALE_METRICS_LISTEN", value_parser = resolve_listen, global = true)]
    pub listen: Option<SocketAddr>,
    /// Refuse larger bodies, in bytes, unpacked [default: 67108864]
    #[arg(long, value_name = "BYTES", env = "SCALE_METRICS_MAX_BODY_BYTES", global = true)]
    pub max_body_bytes: Option<usize>,
    /// Give up on a body that takes longer, in seconds [default: 30]
    #[arg(long, value_name = "SECONDS", env = "SCALE_METRICS_BODY_TIMEOUT_S", global = true)]
    pub body_timeout_s: Option<u64>,
    /// Refuse to write while requests hold this much memory, in bytes [default: 134217728]
    #[arg(long, value_name = "BYTES", env = "SCALE_METRICS_QUEUE_BYTES", global = true)]
    pub queue_bytes: Option<usize>,
    /// Listen beyond this machine although anybody could write then [default: false]
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
        env = "SCALE_METRICS_ALLOW_OPEN_WRITES", global = true
    )]
    pub allow_open_writes: Option<bool>,
    /// Keep the database in this directory, made if missing [default: data]
    #[arg(long, value_name = "DIR", env = "SCALE_METRICS_DATA", global = true)]
    pub data: Option<PathBuf>,
    /// Bound the page cache of the database, in bytes [default: 67108864]
    #[arg(long, value_name = "BYTES", env = "SCALE_METRICS_CACHE_BYTES", global = true)]
    pub cache_bytes: Option<usize>,
    /// Answer as the specification says, or as Scale's own server does [default: documented]
    #[arg(long, value_enum, env = "SCALE_METRICS_DIALECT", global = true)]
    pub dialect: Option<Dialect>,
    /// Bound the memory of all answers with plot data, in bytes; one may take half of it [default: 536870912]
    #[arg(long, value_name = "BYTES", env = "SCALE_METRICS_ANSWER_BYTES", global = true)]
    pub answer_bytes: Option<usize>,
    /// Keep answers for the next who asks, up to so many bytes [default: 67108864]
    #[arg(long, value_name = "BYTES", env = "SCALE_METRICS_ANSWER_CACHE_BYTES", global = true)]
    pub answer_cache_bytes: Option<usize>,
    /// Tokens of those who may do something: NAME:SCOPE[+SCOPE]:HASH, separated by commas [default: none]
    #[arg(
        long,
        value_name = "TOKENS",
        env = "SCALE_METRICS_TOKENS",
        hide_env_values = true,
        value_delimiter = ',',
        global = true
    )]
    pub tokens: Option<Vec<Token>>,
    /// Let everybody read, whatever tokens there are [default: false]
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
        env = "SCALE_METRICS_PUBLIC_READ", global = true
    )]
    pub public_read: Option<bool>,
    /// How log lines are written [default: text]
    #[arg(long, value_enum, env = "SCALE_METRICS_LOG_FORMAT", global = true)]
    pub log_format: Option<LogFormat>,
    /// How much is logged [default: info]
    #[arg(long, value_enum, env = "SCALE_METRICS_LOG_LEVEL", global = true)]
    pub log_level: Option<LogLevel>,
}

/// Why the settings cannot be used. One line, naming the file or flag.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file has an unknown key or a bad value.
    #[error("{}:{line}: {detail}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        detail: String,
    },
    /// A value is out of its range, wherever it came from.
    #[error("{key} must be at least 1")]
    TooSmall {
        /// The key, with its section.
        key: &'static str,
    },
    /// Beyond this machine, writing would be open to all (contract, section 6).
    #[error(
        "refusing to listen on {listen}, where anybody could write (hint: access.tokens says who may, and \
         server.allow_open_writes = true permits it to all)"
    )]
    OpenWrites {
        /// The address.
        listen: SocketAddr,
    },
}

/// The file that is read if it is there and no other was named.
const DEFAULT_FILE: &str = "config.toml";

impl Config {
    /// Puts together what is in force.
    pub fn load(overrides: &Overrides) -> Result<Self, ConfigError> {
        let mut config = match &overrides.config {
            Some(path) => Self::read(path)?,
            None if Path::new(DEFAULT_FILE).exists() => Self::read(Path::new(DEFAULT_FILE))?,
            None => Self::default(),
        };
        set(&mut config.server.listen, overrides.listen.as_ref());
        set(&mut config.server.max_body_bytes, overrides.max_body_bytes.as_ref());
        set(&mut config.server.body_timeout_s, overrides.body_timeout_s.as_ref());
        set(&mut config.server.queue_bytes, overrides.queue_bytes.as_ref());
        set(&mut config.server.allow_open_writes, overrides.allow_open_writes.as_ref());
        set(&mut config.storage.data, overrides.data.as_ref());
        set(&mut config.storage.cache_bytes, overrides.cache_bytes.as_ref());
        set(&mut config.api.dialect, overrides.dialect.as_ref());
        set(&mut config.api.answer_bytes, overrides.answer_bytes.as_ref());
        set(&mut config.api.answer_cache_bytes, overrides.answer_cache_bytes.as_ref());
        set(&mut config.access.tokens, overrides.tokens.as_ref());
        set(&mut config.access.public_read, overrides.public_read.as_ref());
        set(&mut config.log.format, overrides.log_format.as_ref());
        set(&mut config.log.level, overrides.log_level.as_ref());
        for (key, is_zero) in [
            ("server.max_body_bytes", config.server.max_body_bytes == 0),
            ("server.body_timeout_s", config.server.body_timeout_s == 0),
        ] {
            if is_zero {
                return Err(ConfigError::TooSmall { key });
            }
        }
        Ok(config)
    }

    /// Refuses to serve where anybody could write, unless that is what the settings say.
    pub fn refuse_open_writes(&self) -> Result<(), ConfigError> {
        let listen = self.server.listen;
        if listen.ip().is_loopback() || self.server.allow_open_writes || !self.access.tokens.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::OpenWrites { listen })
        }
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count();
            let written = text.lines().nth(line).unwrap_or_default().trim();
            let detail = format!("{}, in `{written}`", error.message().replace('\n', " "));
            ConfigError::Invalid { path: path.to_owned(), line: line + 1, detail }
        })
    }
}

fn set<T: Clone>(value: &mut T, override_value: Option<&T>) {
    if let Some(given) = override_value {
        value.clone_from(given);
    }
}

/// An address to listen on; a host name stands for the first address that it has.
fn resolve_listen(text: &str) -> Result<SocketAddr, String> {
    let mut addresses = text.to_socket_addrs().map_err(|_| "must be ADDR:PORT, such as 127.0.0.1:8080".to_owned())?;
    addresses.next().ok_or_else(|| "that host has no address".to_owned())
}

fn listen_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    resolve_listen(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}
