//! The declarations of all settings.
//!
//! A new setting is an entry in `settings!` and, at the same place, in `config.toml`, and a row in `docs/settings.md`. Its type
//! must implement [`Setting`]. `app.rs` passes most settings on.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Arg;

use super::types::{BasePath, Dialect, LogFormat, LogLevel, Network, WebOrigin};
use super::value::{Problem, Setting, Written};
use crate::access::Token;
use crate::catalog::Percentiles;
use crate::store::rows::postgres::Address;
use crate::time::Zone;

/// The properties of a setting that do not depend on its type.
#[derive(Debug)]
pub struct Key {
    /// The section of the file.
    pub section: &'static str,
    /// Its name in that section.
    pub name: &'static str,
    /// Its flag, with the dashes.
    pub flag: &'static str,
    /// Its environment variable.
    pub variable: &'static str,
    /// Its help text.
    pub help: &'static str,
    /// Whether its value must not be shown.
    pub secret: bool,
    /// The placeholder for its value in the help text.
    pub(super) placeholder: &'static str,
    pub(super) names: fn() -> Vec<&'static str>,
    pub(super) taken: fn(Arg) -> Arg,
    pub(super) set: fn(&mut Config, Written<'_>) -> Result<(), Problem>,
    pub(super) show: fn(&Config) -> toml::Value,
}

impl Key {
    /// The names of all its possible values, if they have names; otherwise none.
    pub fn names(&self) -> Vec<&'static str> {
        (self.names)()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.section, self.name)
    }
}

/// Generates from the declaration: [`Config`], a struct with defaults for each section, and [`KEYS`].
macro_rules! settings {
    ($(
        $(#[doc = $about:literal])+
        $section:ident: $Section:ident {$(
            $(#[doc = $help:literal])+
            $name:ident: $Type:ty = $default:expr $(, at least $least:literal)?,
                flag $flag:literal of $placeholder:literal, variable $variable:literal;
        )+}
    )+) => {
        /// Everything that can be set.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Config {$(
            $(#[doc = $about])+
            pub $section: $Section,
        )+}

        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $Section {$(
                $(#[doc = $help])+
                pub $name: $Type,
            )+}

            impl Default for $Section {
                fn default() -> Self {
                    Self { $($name: $default,)+ }
                }
            }
        )+

        /// Every setting, in the order of `config.toml`.
        pub static KEYS: &[Key] = &[$($(
            Key {
                section: stringify!($section),
                name: stringify!($name),
                flag: $flag,
                variable: $variable,
                help: concat!($($help),+).trim_ascii(),
                secret: <$Type>::SECRET,
                placeholder: $placeholder,
                names: <$Type>::names,
                taken: <$Type>::taken,
                set: |config, written| {
                    let value: $Type = written.read()?;
                    $(
                        if value < $least {
                            return Err(concat!("must be at least ", $least).into());
                        }
                    )?
                    config.$section.$name = value;
                    Ok(())
                },
                show: |config| config.$section.$name.show(),
            },
        )+)+];
    };
}

settings! {
    /// How requests are served.
    server: ServerConfig {
        /// Where the server listens; port 0 picks a free one.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)),
            flag "--listen" of "ADDR:PORT", variable "SCALE_METRICS_LISTEN";

        /// How many connections there may be at once, shared out evenly among the server's threads; further ones wait.
        max_connections: usize = 4_096, at least 1,
            flag "--max-connections" of "COUNT", variable "SCALE_METRICS_MAX_CONNECTIONS";

        /// The largest body that is accepted, in bytes, unpacked.
        max_body_bytes: usize = 64 << 20, at least 1,
            flag "--max-body-bytes" of "BYTES", variable "SCALE_METRICS_MAX_BODY_BYTES";

        /// How long a body may take to arrive, in seconds.
        body_timeout_s: u64 = 30, at least 1,
            flag "--body-timeout-s" of "SECONDS", variable "SCALE_METRICS_BODY_TIMEOUT_S";

        /// How many bytes a second of a body have to arrive on average, after its first thirty seconds; 0 means any number.
        body_least_bytes_s: u64 = 100,
            flag "--body-least-bytes-s" of "BYTES", variable "SCALE_METRICS_BODY_LEAST_BYTES_S";

        /// How long a connection may get nowhere, in seconds: idle, a head that is not complete, an answer of which
        /// hardly anything is read.
        stall_timeout_s: u64 = 30, at least 1,
            flag "--stall-timeout-s" of "SECONDS", variable "SCALE_METRICS_STALL_TIMEOUT_S";

        /// How long the server goes on after it was told to stop, in seconds; it says so at `/readyz`.
        stop_delay_s: u64 = 0,
            flag "--stop-delay-s" of "SECONDS", variable "SCALE_METRICS_STOP_DELAY_S";

        /// The origins whose pages may use the server, such as `https://example.org`; `*` is any.
        cors_origins: Vec<WebOrigin> = Vec::new(),
            flag "--cors-origins" of "ORIGINS", variable "SCALE_METRICS_CORS_ORIGINS";

        /// How much memory all requests that write may hold together, in bytes, beside one that may hold what it needs; a
        /// quarter of it is for small ones only. Others wait for room, thirty seconds at most.
        queue_bytes: usize = 64 << 20,
            flag "--queue-bytes" of "BYTES", variable "SCALE_METRICS_QUEUE_BYTES";

        /// Whether anybody who reaches the server may write, even from beyond this machine.
        allow_open_writes: bool = false,
            flag "--allow-open-writes" of "BOOL", variable "SCALE_METRICS_ALLOW_OPEN_WRITES";

        /// The PEM file with the certificate by which the server speaks HTTPS, and those of its issuers behind it.
        tls_certificate: Option<PathBuf> = None,
            flag "--tls-certificate" of "FILE", variable "SCALE_METRICS_TLS_CERTIFICATE";

        /// The PEM file with the private key of that certificate.
        tls_key: Option<PathBuf> = None,
            flag "--tls-key" of "FILE", variable "SCALE_METRICS_TLS_KEY";

        /// The path under which a proxy serves this server, such as `/metrics-app`; `/` is none.
        base_path: BasePath = BasePath::default(),
            flag "--base-path" of "PATH", variable "SCALE_METRICS_BASE_PATH";

        /// The addresses and networks of the proxies that are believed what they say of the client's request.
        trusted_proxies: Vec<Network> = Network::loopback(),
            flag "--trusted-proxies" of "NETWORKS", variable "SCALE_METRICS_TRUSTED_PROXIES";
    }

    /// Where and how data is kept.
    storage: StorageConfig {
        /// The directory of the database; made if it is missing.
        data: PathBuf = PathBuf::from("data"),
            flag "--data" of "DIR", variable "SCALE_METRICS_DATA";

        /// Keep everything in this PostgreSQL database instead, such as `postgres://USER@HOST/NAME`; any number of servers may
        /// share it.
        database: Option<Address> = None,
            flag "--database" of "URL", variable "SCALE_METRICS_DATABASE";

        /// The most memory that the database's page cache takes, in bytes.
        cache_bytes: usize = 64 << 20,
            flag "--cache-bytes" of "BYTES", variable "SCALE_METRICS_CACHE_BYTES";

        /// Whether all of the database is verified before it is used; a damaged one is refused.
        verify: bool = true,
            flag "--verify" of "BOOL", variable "SCALE_METRICS_VERIFY";
    }

    /// For how long what is kept.
    retention: RetentionConfig {
        /// For how many days events are kept after they ended; 0 means for ever. Older ones are refused.
        events_days: u64 = 0,
            flag "--retention-events-days" of "DAYS", variable "SCALE_METRICS_RETENTION_EVENTS_DAYS";

        /// For how many days rollups are kept, and so numbers shown; 0 means for ever. At least as long as events.
        rollups_days: u64 = 0,
            flag "--retention-rollups-days" of "DAYS", variable "SCALE_METRICS_RETENTION_ROLLUPS_DAYS";

        /// How long shorter periods, or a clock that jumped ahead, wait before anything is deleted by them, in hours.
        grace_hours: u64 = 24,
            flag "--retention-grace-hours" of "HOURS", variable "SCALE_METRICS_RETENTION_GRACE_HOURS";
    }

    /// What is measured.
    metrics: MetricsConfig {
        /// Which percentiles of every time and size there are: at most 8 whole numbers from 1 to 99, ascending, or `[]`. By default
        /// 50, 95 and 99, and none with the dialect of Scale.
        percentiles: Option<Percentiles> = None,
            flag "--percentiles" of "PERCENTILES", variable "SCALE_METRICS_PERCENTILES";
    }

    /// How the read endpoints answer.
    api: ApiConfig {
        /// Whose habits the read endpoints follow where the specification and Scale's own server differ.
        dialect: Dialect = Dialect::Documented,
            flag "--dialect" of "DIALECT", variable "SCALE_METRICS_DIALECT";

        /// The time zone of requests that ask for none: the name of a zone of the IANA database, such as `Europe/Berlin`.
        timezone: Zone = Zone::UTC,
            flag "--timezone" of "ZONE", variable "SCALE_METRICS_TIMEZONE";

        /// How much memory the answers about metrics may take together, in bytes, until they are sent; one of them at
        /// most half of it.
        answer_bytes: usize = 512 << 20,
            flag "--answer-bytes" of "BYTES", variable "SCALE_METRICS_ANSWER_BYTES";

        /// How much of that is for answers that are kept for the next who asks; at most half, whatever is set.
        answer_cache_bytes: usize = 64 << 20,
            flag "--answer-cache-bytes" of "BYTES", variable "SCALE_METRICS_ANSWER_CACHE_BYTES";

        /// How long a large answer may take to compute, in seconds, and before that wait for its turn: one for each core is
        /// computed at a time.
        answer_timeout_s: u64 = 30, at least 1,
            flag "--answer-timeout-s" of "SECONDS", variable "SCALE_METRICS_ANSWER_TIMEOUT_S";

        /// How many events a request may read that asks for events or groups of them.
        events_scanned: u64 = 20_000_000, at least 1,
            flag "--events-scanned" of "EVENTS", variable "SCALE_METRICS_EVENTS_SCANNED";
    }

    /// Who may do what.
    access: AccessConfig {
        /// The tokens that are good for anything, `NAME:SCOPE[+SCOPE]:HASH`, as a flag separated by commas. Without any,
        /// everybody may do everything.
        tokens: Vec<Token> = Vec::new(),
            flag "--tokens" of "TOKENS", variable "SCALE_METRICS_TOKENS";

        /// Whether reading needs no token.
        public_read: bool = false,
            flag "--public-read" of "BOOL", variable "SCALE_METRICS_PUBLIC_READ";
    }

    /// What is logged.
    log: LogConfig {
        /// How lines are written.
        format: LogFormat = LogFormat::Text,
            flag "--log-format" of "FORMAT", variable "SCALE_METRICS_LOG_FORMAT";

        /// How much is logged.
        level: LogLevel = LogLevel::Info,
            flag "--log-level" of "LEVEL", variable "SCALE_METRICS_LOG_LEVEL";
    }
}
