//! What a command asks or changes: a running server, or a store that no server has open.

use std::path::PathBuf;

use clap::Args;

use super::CannotStart;
use super::client::{Server, Trust};
use super::open_store::open_store;
use crate::config::{Settings, StorageConfig};
use crate::store::Store;

/// What a command asks or changes.
#[derive(Debug)]
pub(super) enum Target {
    /// A running server.
    Server {
        /// Its address.
        url: String,
        /// The token by which the server knows the client.
        token: Option<String>,
        /// What it has to show.
        trust: Trust,
    },
    /// A directory that no server has open, or a database on a server.
    Store(Box<StorageConfig>),
}

/// A target that is there, for commands that ask it more than once.
pub(super) enum Opened {
    /// A server, which may or may not answer.
    Server(Server),
    /// A store that existed before.
    Store(Store),
}

impl Target {
    /// Opens the store, or prepares to ask the server.
    pub(super) fn open(&self) -> anyhow::Result<Opened> {
        Ok(match self {
            Self::Server { url, token, trust } => Opened::Server(Server::new(url, token.as_deref(), trust)?),
            Self::Store(storage) => Opened::Store(open_store(storage)?),
        })
    }
}

/// Parses the address of a server, and removes slashes at its end.
pub(super) fn server_url(text: &str) -> Result<String, String> {
    let address = text.trim_end_matches('/');
    let host = ["http://", "https://"].iter().find_map(|scheme| address.strip_prefix(scheme));
    match host {
        // A password would be visible in error messages.
        Some(host) if host.contains('@') => Err("an address has no password in it: --token says who asks".to_owned()),
        Some(host) if !host.is_empty() => Ok(address.to_owned()),
        _ => Err("an address begins with http:// or https://".to_owned()),
    }
}

/// The flags of a command about the server that it asks.
#[derive(Clone, Args)]
pub(super) struct ServerFlags {
    /// Ask this server, such as `http://127.0.0.1:8080` [default: use the data directory or the database]
    #[arg(long, value_name = "URL", env = "SCALE_METRICS_URL", value_parser = server_url)]
    pub(super) url: Option<String>,
    /// The token that this server wants
    #[arg(long, value_name = "TOKEN", env = "SCALE_METRICS_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    /// Trust the certificate authorities in this PEM file, too, if the address begins with `https://`
    #[arg(long, value_name = "FILE", env = "SCALE_METRICS_CA")]
    pub(super) ca: Option<PathBuf>,
}

/// The server at `--url`, or else the store. A flag overrides a variable here, too: `has_url_flag` says whether the address was given on
/// the command line.
pub(super) fn target(settings: &Settings, server: &ServerFlags, has_url_flag: bool) -> Result<Target, CannotStart> {
    let ServerFlags { url, token, ca } = server.clone();
    let has_store_flag = settings.is_flag("--data") || settings.is_flag("--database");
    match url {
        Some(_) if has_url_flag && has_store_flag => {
            Err(CannotStart::new("--url names a server, --data and --database a store: one of them is enough"))
        }
        Some(url) if has_url_flag || !has_store_flag => {
            Ok(Target::Server { url, token, trust: Trust::Authorities(ca) })
        }
        _ => Ok(Target::Store(Box::new(settings.config.storage.clone()))),
    }
}
