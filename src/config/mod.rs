//! Settings: flags over environment variables over a file over defaults.
//!
//! `keys.rs` declares every setting, once; all else follows from that: the structs below [`Config`], their defaults, flags
//! and variables ([`Overrides`]), what a file may say, and what `--print-config` shows ([`Settings`]). `config.toml` in the
//! project's root lists them all.
//!
//! Whatever is written for a setting is checked, also where something else goes over it, and refused in one line that says
//! where it stands.

mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod keys;
mod load;
mod overrides;
mod print;
mod types;
mod value;

use crate::store::OpenOptions;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

pub use keys::{AccessConfig, ApiConfig, Config, KEYS, Key, LogConfig, RetentionConfig, ServerConfig, StorageConfig};
pub use overrides::Overrides;
pub use types::{Dialect, LogFormat, LogLevel, WebOrigin};

/// What is in force, and where each value comes from. Shown as a file that says the same.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The values.
    pub config: Config,
    /// Where they come from, by flag, if not from the defaults.
    origins: BTreeMap<&'static str, Origin>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A file.
    File {
        /// As it was named.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// An environment variable.
    Environment(&'static str),
    /// A flag.
    Flag(&'static str),
}

/// Why the settings cannot be used. One line, naming the file, variable or flag.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}cannot read the settings in `{}`", prefix(named_by), .path.display().to_string().escape_debug())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Who says that it is this one.
        named_by: Origin,
        /// What the system says.
        source: io::Error,
    },
    /// An unknown key, or a bad value.
    #[error("{origin}: {detail}")]
    Invalid {
        /// Where it stands.
        origin: Origin,
        /// What is wrong there.
        detail: String,
    },
    /// Numbers would go while their events are still there.
    #[error("retention.rollups_days must not be less than retention.events_days, where 0 means for ever")]
    ShortRollups,
    /// Beyond this machine, writing would be open to all (docs/reference.md, Access).
    #[error(
        "refusing to listen on {listen}, where anybody could write (hint: `scale-metrics token NAME --scope write` \
         prints a line for access.tokens; server.allow_open_writes = true lets everybody write)"
    )]
    OpenWrites {
        /// The address.
        listen: SocketAddr,
    },
}

impl Settings {
    /// Whether anybody says what the setting of that flag is, rather than leaving it at its default.
    pub fn says(&self, flag: &str) -> bool {
        self.origins.contains_key(flag)
    }

    /// Whether the setting of that flag was given on the command line.
    pub fn is_flag(&self, flag: &str) -> bool {
        matches!(self.origins.get(flag), Some(Origin::Flag(_)))
    }
}

impl StorageConfig {
    /// How the database is opened.
    pub fn open_options(&self) -> OpenOptions {
        OpenOptions { cache_bytes: self.cache_bytes, verify: self.verify }
    }
}

impl Config {
    /// Puts together what is in force.
    pub fn load(overrides: &Overrides) -> Result<Self, ConfigError> {
        Settings::load(overrides).map(|settings| settings.config)
    }

    /// Refuses to keep events for longer than what they add up to.
    pub fn refuse_short_rollups(&self) -> Result<(), ConfigError> {
        let RetentionConfig { events_days, rollups_days, .. } = self.retention;
        let is_short = rollups_days > 0 && (events_days == 0 || events_days > rollups_days);
        if is_short { Err(ConfigError::ShortRollups) } else { Ok(()) }
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
}

/// Who named a file, before a message about it; nothing if nobody did.
fn prefix(named_by: &Origin) -> String {
    if *named_by == Origin::Default { String::new() } else { format!("{named_by}: ") }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            // Whatever the file is called, it stays on its line.
            Self::File { path, line } => write!(f, "{}:{line}", path.display().to_string().escape_debug()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}
